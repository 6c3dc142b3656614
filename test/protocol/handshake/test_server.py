"""The opening handshake of versions 8 and 13 (RFC 6455 section 4): the server's side."""

from __future__ import annotations

from base64 import b64encode
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.handshake.heads import KEY

from ws.errors import HandshakeError
from ws.protocol.handshake import Fields, ServerHandshake, check_request, check_upgrade, snapshot
from ws.protocol.http import Headers, Request
from ws.protocol.permessage_deflate import DeflateOptions


def request(method: str = 'GET', version: str = '1.1', **changes: Optional[str]) -> Request:
    """The right request, but for the changes: header names with '_', ``None`` for headers that are missing."""
    fields = {
        'host': 'localhost',
        'upgrade': 'websocket',
        'connection': 'Upgrade',
        'sec-websocket-key': KEY,
        'sec-websocket-version': '13',
    }
    changed = {**fields, **{name.replace('_', '-'): value for name, value in changes.items()}}
    headers = Headers({name: value for name, value in changed.items() if value is not None})
    return Request(method, '/', version, headers, [])


def refusal(message: Request) -> tuple[Optional[int], str, tuple[str, ...]]:
    with pytest.raises(HandshakeError) as caught:
        check_request(message)
    return caught.value.status, str(caught.value), caught.value.headers


# The server's check of the request


def test_request_of_version_13() -> None:
    handshake = check_request(
        request(origin='http://o', sec_websocket_origin='http://other', sec_websocket_protocol='a, b')
    )
    assert handshake.version == 13
    assert handshake.key == KEY
    assert handshake.origin == 'http://o'
    assert handshake.protocols == ['a', 'b']


def test_request_of_version_8() -> None:
    handshake = check_request(
        request(sec_websocket_version='8', origin='http://other', sec_websocket_origin='http://o')
    )
    assert handshake.version == 8
    assert handshake.origin == 'http://o'
    assert handshake.protocols == []


@pytest.mark.parametrize('version', ['8', '13'])
def test_request_without_origin(version: str) -> None:
    assert check_request(request(sec_websocket_version=version)).origin is None


@pytest.mark.parametrize('upgrade', ['websocket', 'WebSocket'])
@pytest.mark.parametrize('connection', ['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'x,UPGRADE\t, y'])
def test_request_in_any_case(upgrade: str, connection: str) -> None:
    assert check_request(request(upgrade=upgrade, connection=connection)).version == 13


@pytest.mark.parametrize('method', ['GET', 'POST', 'HEAD'])
def test_plain_http_is_told_to_upgrade(method: str) -> None:
    expected = (426, 'Upgrade Required', ('Connection: close, Upgrade', 'Upgrade: websocket'))
    assert refusal(request(method, upgrade=None)) == expected


@pytest.mark.parametrize('method', ['POST', 'HEAD', 'get', 'CONNECT'])
def test_method_is_get(method: str) -> None:
    assert refusal(request(method)) == (405, 'Invalid HTTP method', ('Allow: GET',))


@pytest.mark.parametrize('upgrade', ['', 'h2c', 'websocket, h2c', 'websocket/13'])
def test_upgrade_is_websocket(upgrade: str) -> None:
    assert refusal(request(upgrade=upgrade)) == (400, 'Invalid Upgrade header', ())


@pytest.mark.parametrize('connection', [None, '', 'keep-alive', 'Upgraded', 'keep-alive Upgrade'])
def test_connection_is_upgrade(connection: Optional[str]) -> None:
    assert refusal(request(connection=connection)) == (400, 'Invalid Connection header', ())


def test_http_1_0_is_too_old() -> None:
    assert refusal(request(version='1.0')) == (400, 'Invalid HTTP version', ())


def test_host_is_there() -> None:
    assert refusal(request(host=None)) == (400, 'Missing Host header', ())


@pytest.mark.parametrize(
    'host', ['', 'a', 'my_host-1.example.:8080', '127.0.0.1:', '[::1]:80', 'a%20b', "!$&'()*+,;=~"]
)
def test_hosts(host: str) -> None:
    assert check_request(request(host=host)).version == 13


@pytest.mark.parametrize(
    'host',
    ['a b', 'a/b', 'user@a', 'a:b', 'a:80:81', 'a, b:80/', '[::1', '::1', '[fe80::1%eth0]', 'a%2', 'a\\b', 'é', 'a#',
     'a?', 'http://a', '"a"', '[g]'],
)  # fmt: skip
def test_what_is_no_host(host: str) -> None:
    assert refusal(request(host=host)) == (400, 'Invalid Host header', ())


@pytest.mark.parametrize(
    'target', ['/', '/a?b', '//a', '/*', 'http://a', 'HTTPS://a:80/b?c', 'ws://[::1]/', 'wss://a?b', 'http://a/b:c@d']
)
def test_targets(target: str) -> None:
    given = request()
    given.url = target
    assert check_request(given).version == 13


@pytest.mark.parametrize(
    'target',
    ['*', 'a', 'a:80', 'a/b', '?a', '#a', '\\a', 'http:/a', 'http:a', 'http://', 'http:///a', 'http://?a', 'ftp://a/',
     'http://user@a/', 'http://a\\b/', 'http://a:b/', 'javascript:1', '%2F'],
)  # fmt: skip
def test_what_is_no_target(target: str) -> None:
    given = request()
    given.url = target
    assert refusal(given) == (400, 'Invalid request target', ())


@pytest.mark.parametrize(
    'body',
    [
        {'content_length': '11'},
        {'content_length': '00000001'},
        {'transfer_encoding': 'chunked'},
        {'transfer_encoding': 'identity'},
        {'transfer_encoding': ''},
        {'content_length': '0', 'transfer_encoding': 'chunked'},
        {'content_length': '11', 'transfer_encoding': 'gzip, chunked'},
    ],
)
def test_a_request_has_no_body(body: dict[str, str]) -> None:
    assert refusal(request(**body)) == (400, 'A request for a WebSocket has no body', ())


@pytest.mark.parametrize('length', ['0', '000'])
def test_a_body_of_no_bytes_is_none(length: str) -> None:
    assert check_request(request(content_length=length)).version == 13


@pytest.mark.parametrize(
    'key',
    [
        None,
        '',
        'junk',
        KEY[:-1],
        KEY + '=',
        KEY[:-2] + 'AA',
        '=' + KEY[:-1],
        'd' * 22 + '= ',
        *(KEY[:-3] + last + '==' for last in 'BPRfhvxz9/+'),  # bits that stand for nothing
        'dGhlIHNhbXBsZSBub25j-Q==',
        'dGhlIHNhbXBsZSBub25jé===',
        b64encode(bytes(15)).decode(),
        b64encode(bytes(17)).decode(),
    ],
)
def test_key_of_version_13_is_16_bytes(key: Optional[str]) -> None:
    assert refusal(request(sec_websocket_key=key)) == (400, 'Missing or invalid Sec-WebSocket-Key header', ())


@pytest.mark.parametrize(
    'key',
    [
        None,
        '',
        '=',
        '==',
        '====',
        'a',
        'aa',
        'aa=',
        'aaa',
        'aaaa=',
        'aQ==aaaa',
        'a-E=',
        'é===',
        'aa==',
        'aaB=',
        'aaaaa/==',
    ],
)
def test_key_of_version_8_is_base64(key: Optional[str]) -> None:
    expected = (400, 'Missing or invalid Sec-WebSocket-Key header', ())
    assert refusal(request(sec_websocket_version='8', sec_websocket_key=key)) == expected


@pytest.mark.parametrize('size', [1, 2, 3, 15, 16, 100])
def test_key_of_version_8_may_have_any_length(size: int) -> None:
    key = b64encode(bytes(size)).decode()
    assert check_request(request(sec_websocket_version='8', sec_websocket_key=key)).key == key


@pytest.mark.parametrize(('version', 'size'), [('8', 15), ('13', 16)])
def test_keys_of_the_original(version: str, size: int) -> None:
    clear = f'{version}-1371234567890'
    assert len(clear) == size
    key = b64encode(clear.encode()).decode()
    assert check_request(request(sec_websocket_version=version, sec_websocket_key=key)).key == key


@pytest.mark.parametrize('version', [None, '', '7', '12', '14', '13abc', '013', '+13', '13, 8', '１３', '0'])
def test_version_is_8_or_13(version: Optional[str]) -> None:
    assert refusal(request(sec_websocket_version=version)) == (
        400,
        'Missing or invalid Sec-WebSocket-Version header',
        ('Sec-WebSocket-Version: 13, 8',),
    )


@pytest.mark.parametrize(
    ('header', 'protocols'), [('a', ['a']), ('prot1, prot2', ['prot1', 'prot2']), ('b,a\t,  c', ['b', 'a', 'c'])]
)
def test_protocols_of_a_request(header: str, protocols: list[str]) -> None:
    assert check_request(request(sec_websocket_protocol=header)).protocols == protocols


@pytest.mark.parametrize(
    'header', ['', ',', 'a,', ',a', 'a,,b', 'a b', 'a, a', 'a;b', '"a"', 'é', 'a' + ' ' * 9000 + 'b']
)
def test_malformed_protocols_of_a_request(header: str) -> None:
    assert refusal(request(sec_websocket_protocol=header)) == (400, 'Invalid Sec-WebSocket-Protocol header', ())


@pytest.mark.parametrize('offer', [None, 'permessage-deflate', 'permessage-deflate;', '', 'x; y=z'])
def test_extensions_that_nobody_wants_are_not_even_read(offer: Optional[str]) -> None:
    assert check_request(request(sec_websocket_extensions=offer)).deflate is None


@pytest.mark.parametrize('offer', [None, 'x; y=z', 'x, y'])
def test_other_extensions_are_ignored(offer: Optional[str]) -> None:
    handshake = check_request(request(sec_websocket_extensions=offer), DeflateOptions())
    assert handshake.deflate is None
    assert not [line for line in handshake.response_lines(None) if 'Extensions' in line]


def test_extension_that_is_offered_and_wanted() -> None:
    offer = 'x, permessage-deflate; client_max_window_bits; server_no_context_takeover'
    options = DeflateOptions(client_max_window_bits=10, threshold=7)
    handshake = check_request(request(sec_websocket_extensions=offer), options)
    assert handshake.response_lines('chat')[-2:] == [
        'Sec-WebSocket-Protocol: chat',
        'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=10',
    ]
    assert handshake.deflate is not None
    assert handshake.deflate.deflater.threshold == 7


@pytest.mark.parametrize(
    'offer',
    ['', ',', 'x y', 'permessage-deflate; foo', 'permessage-deflate, permessage-deflate; server_max_window_bits=7',
     'permessage-deflate; server_no_context_takeover', 'permessage-deflate; server_no_context_takeover, x'],
)  # fmt: skip
def test_malformed_and_unacceptable_extensions(offer: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        check_request(request(sec_websocket_extensions=offer), DeflateOptions(server_no_context_takeover=False))
    assert caught.value.status == 400
    assert str(caught.value) == 'Invalid or unacceptable Sec-WebSocket-Extensions header'


def test_check_upgrade_asks_for_no_version() -> None:
    """It also serves Hixie-76, which has none."""
    check_upgrade(request(sec_websocket_key=None, sec_websocket_version=None))


@given(
    headers=st.dictionaries(
        st.sampled_from([
            'host', 'upgrade', 'connection', 'origin', 'sec-websocket-key', 'sec-websocket-version',
            'sec-websocket-protocol', 'sec-websocket-origin', 'sec-websocket-extensions', 'constructor',
        ]),
        st.one_of(
            st.sampled_from(['websocket', 'Upgrade', KEY, '13', '8', 'a, b', '']),
            st.text(st.characters(max_codepoint=0xFF), max_size=30),
        ),
    ),
    method=st.sampled_from(['GET', 'POST']),
    deflate=st.sampled_from([None, DeflateOptions()]),
)  # fmt: skip
def test_any_request_is_right_or_refused(
    headers: dict[str, str], method: str, deflate: Optional[DeflateOptions]
) -> None:
    try:
        handshake = check_request(Request(method, '/', '1.1', Headers(headers), []), deflate)
    except HandshakeError as error:
        assert error.status in (400, 405, 426)
    else:
        assert handshake.version in (8, 13)


# The server's response


def test_response_is_that_of_the_original() -> None:
    assert ServerHandshake(13, KEY, None, ['chat']).response_lines('chat') == [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
        'Sec-WebSocket-Protocol: chat',
    ]


@pytest.mark.parametrize('protocol', [None, ''])
def test_no_protocol_no_header(protocol: Optional[str]) -> None:
    lines = ServerHandshake(13, KEY, None, ['chat']).response_lines(protocol)
    assert lines[-1] == 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='


def test_protocol_that_was_not_offered_may_be_sent() -> None:
    """The original sends what its user chose; the client is the one to refuse it."""
    assert ServerHandshake(13, KEY, None, []).response_lines('other')[-1] == 'Sec-WebSocket-Protocol: other'


@pytest.mark.parametrize('protocol', ['a\r\nEvil: 1', 'a, b', 'é'])
def test_protocol_to_send_is_a_token(protocol: str) -> None:
    with pytest.raises(ValueError, match='An invalid or duplicated subprotocol was specified: '):
        ServerHandshake(13, KEY, None, []).response_lines(protocol)


def test_lines_may_be_changed() -> None:
    handshake = ServerHandshake(13, KEY, None, [])
    handshake.response_lines(None).append('X: 1')
    assert 'X: 1' not in handshake.response_lines(None)


# -- headers that listeners change -------------------------------------------------------------------------------------


def test_what_headers_are_now() -> None:
    given = {'X-Token': 'one'}
    taken = snapshot(given)
    given['X-Token'] = 'two'
    assert taken == {'X-Token': 'one'}
    assert snapshot(None) is None


def test_fields_are_found_in_whatever_case() -> None:
    fields = Fields()
    fields.set('X-Token', 'one')
    fields.set('x-token', ['two', 'three'])
    assert fields.get('X-TOKEN') == ['two', 'three']
    assert fields.items() == [('x-token', ['two', 'three'])]
    assert fields.lines() == ['x-token: two', 'x-token: three']
    fields.remove('X-Token')
    assert fields.get('x-token') is None
    assert fields.lines() == []


def test_a_field_needs_a_name() -> None:
    with pytest.raises(TypeError, match=r'^the name of a header must be a str, not int$'):
        Fields().set(5, 'x')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^invalid header name 'a b'$"):
        Fields().set('a b', 'x')
    with pytest.raises(TypeError, match=r'^header a: value must be a str or a number, not bool$'):
        Fields().set('a', True)
