"""The opening handshake of versions 8 and 13 (RFC 6455 section 4): what both sides have to agree on."""

from __future__ import annotations

from typing import Optional

from hypothesis import given
from hypothesis import strategies as st
from protocol.handshake.heads import KEY, client

from ws.protocol.handshake import GUID, accept_key, check_request
from ws.protocol.http import RequestParser, ResponseParser, build_head


def test_guid() -> None:
    assert GUID == '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


def test_accept_key_of_rfc_6455_section_1_3() -> None:
    assert accept_key(KEY) == 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=10)
VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='\x7f'), min_size=1, max_size=20
)


@given(
    version=st.sampled_from([8, 13]),
    protocols=st.lists(TOKENS, unique=True, max_size=5),
    origin=st.one_of(st.none(), VALUES),
    own=VALUES,
    data=st.data(),
)
def test_both_sides_agree(
    version: int, protocols: list[str], origin: Optional[str], own: str, data: st.DataObject
) -> None:
    sent = client(version=version, protocols=protocols, origin=origin, headers={'X-Own': own})

    received = RequestParser().feed(sent.request)
    assert received is not None
    assert received.path == '/chat'
    assert received.headers['x-own'] == own
    server = check_request(received)
    assert server.version == version
    assert server.key == sent.key
    assert server.protocols == protocols
    assert server.origin == (origin if origin is not None or version == 8 else 'localhost:8080')

    protocol = data.draw(st.sampled_from(protocols)) if protocols else None
    lines = server.response_lines(protocol)
    answer = ResponseParser().feed(build_head(lines[0], lines[1:]))
    assert answer is not None
    assert sent.check(answer) == protocol
