"""The names of ws 8 that errors have as their ``code``: the table of doc/ws.md, row by row, over real connections."""

from __future__ import annotations

import re
import zlib
from typing import Any, Optional

import pytest
from documents import ROOT
from fakes import accept, fake_server
from support import Log, raw_pair, read_all, server

from ws import HandshakeError, NotOpenError, ProtocolError, WebSocket, WebSocketError
from ws.protocol.frames import build_frame

TABLE = {
    name: int(code)
    for name, code in re.findall(
        r'^\| `(WS_ERR_\w+)` \| .* \| (\d+) \|$', (ROOT / 'doc' / 'ws.md').read_text(encoding='utf-8'), re.MULTILINE
    )
}

#: Name -> what a client gets, beyond the fine frame before it.
TO_A_CLIENT: list[tuple[Optional[str], bytes]] = [
    ('WS_ERR_UNEXPECTED_RSV_1', b'\xc2\x00'),
    ('WS_ERR_UNEXPECTED_RSV_1', b'\xc9\x00'),
    ('WS_ERR_UNEXPECTED_RSV_2_3', b'\xa2\x00'),
    ('WS_ERR_UNEXPECTED_RSV_2_3', b'\x92\x00'),
    ('WS_ERR_UNEXPECTED_RSV_2_3', b'\xf2\x00'),
    ('WS_ERR_INVALID_OPCODE', b'\x00\x00'),
    ('WS_ERR_INVALID_OPCODE', b'\x01\x00\x01\x00'),
    ('WS_ERR_INVALID_OPCODE', b'\x01\x00\x02\x00'),
    ('WS_ERR_INVALID_OPCODE', b'\x85\x00'),
    ('WS_ERR_EXPECTED_FIN', b'\x09\x00'),
    ('WS_ERR_EXPECTED_FIN', b'\x08\x00'),
    ('WS_ERR_UNEXPECTED_MASK', b'\x81\x82\x56\x3a\xac\x80\x3e\x53'),
    ('WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', b'\x89\x7e'),
    ('WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', b'\x88\x01'),
    ('WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH', b'\x82\x7f\x00\x20\0\0\0\0\0\0'),
    ('WS_ERR_INVALID_UTF8', b'\x81\x04\xce\xba\xe1\xbd'),
    ('WS_ERR_INVALID_UTF8', b'\x88\x06\x03\xef\xce\xba\xe1\xbd'),
    ('WS_ERR_INVALID_CLOSE_CODE', b'\x88\x02\x00\x00'),
    ('WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', b'\x82\x15' + bytes(21)),
    ('WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', b'\x02\x14' + bytes(20) + b'\x80\x01x'),
    ('WS_ERR_TOO_MANY_BUFFERED_PARTS', b'\x01\x00\x00\x00\x00\x00'),
]


def deflated(data: bytes) -> bytes:
    """The payload of a compressed message (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def check(error: Any, event_code: int, name: str) -> None:
    assert isinstance(error, ProtocolError)
    assert error.code == name
    assert error.closeCode == event_code == TABLE[name]


@pytest.mark.parametrize(('name', 'data'), TO_A_CLIENT)
def test_what_a_client_says(name: str, data: bytes) -> None:
    def talk(sock: Any, head: bytes) -> None:
        sock.sendall(accept(head) + build_frame(1, b'fine') + data)
        read_all(sock)

    with fake_server(talk) as url:
        events = Log(WebSocket(url, maxPayload=20, maxFragments=2)).until('close')
        assert [event[0] for event in events] == ['open', 'message', 'error', 'close']
        check(events[2][1], events[2][2], name)


def test_what_a_server_says() -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws)
        sock.sendall(b'\x81\x02hi')
        _, error, code = log.get()
        check(error, code, 'WS_ERR_EXPECTED_MASK')


def test_what_comes_out_of_a_compressed_message() -> None:
    for data, name in (
        (build_frame(0x41, deflated(b'\xce\xba\xe1\xbd')), 'WS_ERR_INVALID_UTF8'),
        (build_frame(0x42, deflated(bytes(21))), 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'),
        (b'\x40\x00', 'WS_ERR_UNEXPECTED_RSV_1'),
        (b'\xc9\x00', 'WS_ERR_UNEXPECTED_RSV_1'),
    ):

        def talk(sock: Any, head: bytes, data: bytes = data) -> None:
            sock.sendall(accept(head, 'Sec-WebSocket-Extensions: permessage-deflate') + data)
            read_all(sock)

        with fake_server(talk) as url:
            events = Log(WebSocket(url, maxPayload=20)).until('close')
            check(events[1][1], events[1][2], name)


def test_every_name_has_been_seen() -> None:
    assert set(TABLE) == {name for name, _ in TO_A_CLIENT} | {'WS_ERR_EXPECTED_MASK'}


def test_the_others_have_none() -> None:
    """As in ws 8: what is wrong with a handshake, or with a call, has a text alone."""
    for error in (WebSocketError('x'), HandshakeError('x', 401), NotOpenError(), ProtocolError('x')):
        assert error.code is None
    with server(verifyClient=lambda info: False) as wss:
        wss.on('connection', lambda: None)
        ws = WebSocket(f'ws://127.0.0.1:{wss.address().port}')
        assert Log(ws).get()[1].code is None
