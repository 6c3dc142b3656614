"""The opening handshake of versions 8 and 13 (RFC 6455 section 4)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import HandshakeError
from ws.protocol.handshake import (
    GUID,
    ClientHandshake,
    Fields,
    ServerHandshake,
    accept_key,
    check_request,
    check_upgrade,
    snapshot,
)
from ws.protocol.http import Headers, Request, RequestParser, Response, ResponseParser, build_head
from ws.protocol.permessage_deflate import DeflateOptions
from ws.protocol.url import parse_url

KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
ADDRESS = parse_url('ws://localhost:8080/chat?room=1')


def client(url: str = 'ws://localhost:8080/chat?room=1', **options: Any) -> ClientHandshake:
    return ClientHandshake(address=parse_url(url), **options)


def lines_of(handshake: ClientHandshake) -> list[str]:
    """The lines of the request, with the key that is new each time replaced by KEY."""
    text = handshake.request.decode('latin-1')
    assert text.endswith('\r\n\r\n')
    return text[:-4].replace(handshake.key, KEY).split('\r\n')


def fields_of(handshake: ClientHandshake) -> Headers:
    request = RequestParser().feed(handshake.request)
    assert request is not None
    return request.headers


def response(handshake: ClientHandshake, status: int = 101, **changes: Optional[str]) -> Response:
    """The right response, but for the changes: header names with '_', ``None`` for headers that are missing."""
    fields = {
        'upgrade': 'websocket',
        'connection': 'Upgrade',
        'sec-websocket-accept': accept_key(handshake.key),
    }
    changed = {**fields, **{name.replace('_', '-'): value for name, value in changes.items()}}
    headers = Headers({name: value for name, value in changed.items() if value is not None})
    return Response(status, 'Switching Protocols', '1.1', headers, [])


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


def client_error(handshake: ClientHandshake, answer: Response) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        handshake.check(answer)
    return caught.value


def refusal(message: Request) -> tuple[Optional[int], str, tuple[str, ...]]:
    with pytest.raises(HandshakeError) as caught:
        check_request(message)
    return caught.value.status, str(caught.value), caught.value.headers


def test_guid() -> None:
    assert GUID == '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


def test_accept_key_of_rfc_6455_section_1_3() -> None:
    assert accept_key(KEY) == 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


# The client's request


def test_request_is_that_of_the_original() -> None:
    assert lines_of(client()) == [
        'GET /chat?room=1 HTTP/1.1',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Host: localhost:8080',
        'Origin: localhost:8080',
        'Sec-WebSocket-Version: 13',
        f'Sec-WebSocket-Key: {KEY}',
    ]


def test_request_with_everything() -> None:
    handshake = client(
        'ws://user:pass@localhost/',
        version=8,
        protocols=['a', 'b'],
        origin='http://o',
        headers={'Cookie': 'x=1', 'X-Own': ['1', '2']},
    )
    assert lines_of(handshake) == [
        'GET / HTTP/1.1',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Host: localhost',
        'Origin: localhost',
        'Sec-WebSocket-Version: 8',
        f'Sec-WebSocket-Key: {KEY}',
        'Authorization: Basic dXNlcjpwYXNz',
        'Sec-WebSocket-Protocol: a, b',
        'Cookie: x=1',
        'X-Own: 1',
        'X-Own: 2',
        'Sec-WebSocket-Origin: http://o',
    ]


def test_key_is_16_bytes_and_never_the_same() -> None:
    keys = [client().key for _ in range(100)]
    assert len(set(keys)) == 100
    assert {len(b64decode(key, validate=True)) for key in keys} == {16}


@pytest.mark.parametrize('version', [None, 0, 7, 12, 14, '13', 'hixie-76', 13.5, True])
def test_other_versions_are_not_supported(version: Any) -> None:
    with pytest.raises(ValueError, match=r'^unsupported protocol version$'):
        client(version=version)


def test_host_replaces_the_host_header_only() -> None:
    fields = fields_of(client(host='example.com'))
    assert fields['host'] == 'example.com'
    assert fields['origin'] == 'localhost:8080'


def test_origin_replaces_origin_in_version_13() -> None:
    fields = fields_of(client(origin='http://o', headers={'origin': 'http://headers'}))
    assert fields['origin'] == 'http://o'
    assert 'sec-websocket-origin' not in fields


def test_origin_has_its_own_header_in_version_8() -> None:
    fields = fields_of(client(version=8, origin='http://o', headers={'Sec-WebSocket-Origin': 'http://headers'}))
    assert fields['origin'] == 'localhost:8080'
    assert fields['sec-websocket-origin'] == 'http://o'


def test_headers_replace_what_is_built_in_in_any_case() -> None:
    handshake = client(
        'ws://user:pass@localhost/',
        host='example.com',
        headers={'HOST': 'h', 'origin': 'o', 'authorization': 'Bearer t', 'User-Agent': 'test'},
    )
    fields = fields_of(handshake)
    assert fields['host'] == 'h'
    assert fields['origin'] == 'o'
    assert fields['authorization'] == 'Bearer t'
    assert fields['user-agent'] == 'test'
    assert [line.partition(':')[0].lower() for line in lines_of(handshake)[1:]] == list(fields)


def test_no_values_take_a_header_away() -> None:
    assert 'origin' not in fields_of(client(headers={'Origin': []}))


def test_the_callers_headers_are_not_written_to() -> None:
    headers = {'Host': 'h'}
    client(headers=headers, origin='o', host='x')
    assert headers == {'Host': 'h'}


@pytest.mark.parametrize('value', ['a\r\nEvil: 1', 'a\n', 'a\0', '\u20ac', ['fine', 'a\r']])
def test_what_cannot_stand_in_a_header_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^invalid character in header line 'X-Own: "):
        client(headers={'X-Own': value})


@pytest.mark.parametrize('name', ['', 'X-Own ', 'X-Own: a\r\nEvil', 'X:', 'é'])
def test_names_of_headers_are_tokens(name: str) -> None:
    with pytest.raises(ValueError, match=f'^{re.escape(f"invalid header name {name!r}")}$'):
        client(headers={name: 'a'})


@pytest.mark.parametrize('name', ['host', 'origin'])
def test_options_let_no_data_become_headers(name: str) -> None:
    with pytest.raises(ValueError, match=f"^invalid character in header line '{name.title()}: a"):
        client(**{name: 'a\r\nEvil: 1'})


@pytest.mark.parametrize('value', [None, True, b'a', bytearray(b'a'), ['a', None], [b'a'], {'a': 1}, object()])
def test_values_of_headers_are_text_or_numbers(value: Any) -> None:
    kind = r'(NoneType|bool|bytes|bytearray|dict|object)'
    with pytest.raises(TypeError, match=f'^header X-Own: value must be a str or a number, not {kind}$'):
        client(headers={'X-Own': value})


def test_numbers_are_sent_as_their_text() -> None:
    assert fields_of(client(headers={'X-Own': 5, 'X-Half': 0.5}))['x-half'] == '0.5'
    assert client(headers={'X-Own': [5, 'a']}).request.count(b'\r\nX-Own: ') == 2


class Items:
    """What has items, some of them more than once, and is no Mapping: as http.client.HTTPMessage."""

    def items(self) -> list[tuple[str, str]]:
        return [('X-Own', '1'), ('x-own', '2')]


@pytest.mark.parametrize(
    'headers',
    [
        [('X-Own', '1'), ('x-own', '2')],
        (['X-Own', 1], ['X-Own', 2]),
        iter([('X-Own', ['1', '2'])]),
        Items(),
        {'X-Own': ('1', '2')},
    ],
)
def test_headers_in_pairs(headers: Any) -> None:
    request = client(headers=headers).request
    assert request.endswith(b'\r\nX-Own: 1\r\nX-Own: 2\r\n\r\n')


def test_pairs_replace_what_is_built_in() -> None:
    request = client(headers=[('HOST', 'h'), ('X-Own', '1')]).request
    assert request.count(b'\r\nHOST: h\r\n') == 1 and b'\r\nHost: ' not in request


@pytest.mark.parametrize('headers', [5, 'X-Own: 1', b'x', ['X-Own'], [('X-Own',)], [(b'X-Own', '1')], [5], True])
def test_headers_are_a_dict_or_pairs(headers: Any) -> None:
    with pytest.raises(TypeError, match=r'^headers must be a dict, or a list of pairs of a name and a value'):
        client(headers=headers)


def test_names_of_headers_are_text() -> None:
    with pytest.raises(TypeError, match=r'^the name of a header must be a str, not int$'):
        client(headers={5: 'a'})


@pytest.mark.parametrize('protocols', [[''], ['a b'], ['a,b'], ['a', 'b', 'a'], ['a\r\nEvil: 1'], ['é'], ['a', 'a\n']])
def test_protocols_are_tokens_and_different(protocols: list[str]) -> None:
    with pytest.raises(ValueError, match='An invalid or duplicated subprotocol was specified: ') as caught:
        client(protocols=protocols)
    assert repr(protocols[-1]) in str(caught.value)


# The client's check of the response


def test_response_without_protocol() -> None:
    handshake = client()
    assert handshake.check(response(handshake)) is None


@pytest.mark.parametrize('upgrade', ['websocket', 'WebSocket', 'WEBSOCKET'])
@pytest.mark.parametrize('connection', ['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'UPGRADE ,x'])
def test_response_in_any_case(upgrade: str, connection: str) -> None:
    handshake = client()
    assert handshake.check(response(handshake, upgrade=upgrade, connection=connection)) is None


@pytest.mark.parametrize('status', [200, 302, 400, 401, 426, 500, 999])
def test_status_other_than_101(status: int) -> None:
    handshake = client()
    error = client_error(handshake, response(handshake, status, upgrade='h2c', sec_websocket_protocol='a'))
    assert str(error) == f'unexpected server response ({status})'
    assert error.status == status


@pytest.mark.parametrize('upgrade', [None, '', 'h2c', 'websocket, h2c', 'web\N{KELVIN SIGN}socket'])
def test_upgrade_must_be_websocket(upgrade: Optional[str]) -> None:
    handshake = client()
    error = client_error(handshake, response(handshake, upgrade=upgrade))
    assert (str(error), error.status) == ('Invalid Upgrade header', None)


@pytest.mark.parametrize('connection', [None, '', 'close', 'Upgraded', 'keep-alive Upgrade'])
def test_connection_must_be_upgrade(connection: Optional[str]) -> None:
    handshake = client()
    assert str(client_error(handshake, response(handshake, connection=connection))) == 'Invalid Connection header'


@pytest.mark.parametrize('accept', [None, '', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'é'])
def test_accept_key_must_answer_the_key(accept: Optional[str]) -> None:
    handshake = client()
    assert str(client_error(handshake, response(handshake, sec_websocket_accept=accept))) == 'invalid server key'


def test_accept_key_is_compared_with_case() -> None:
    handshake = client()
    accept = accept_key(handshake.key).swapcase()
    assert str(client_error(handshake, response(handshake, sec_websocket_accept=accept))) == 'invalid server key'


@pytest.mark.parametrize('extension', ['permessage-deflate', ''])
def test_extension_that_was_not_offered(extension: str) -> None:
    handshake = client()
    error = client_error(handshake, response(handshake, sec_websocket_extensions=extension))
    assert str(error) == 'Server sent a Sec-WebSocket-Extensions header but no extension was requested'


def test_extension_is_offered_if_wanted() -> None:
    assert 'sec-websocket-extensions' not in fields_of(client())
    assert fields_of(client(deflate=DeflateOptions()))['sec-websocket-extensions'] == (
        'permessage-deflate; client_max_window_bits'
    )
    offer = 'permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10'
    options = DeflateOptions(True, False, 9, 10)
    assert fields_of(client(deflate=options, version=8))['sec-websocket-extensions'] == offer
    headers = {'sec-websocket-Extensions': 'other'}
    assert fields_of(client(deflate=options, headers=headers))['sec-websocket-extensions'] == 'other'


def test_extension_that_is_not_accepted() -> None:
    handshake = client(deflate=DeflateOptions())
    handshake.check(response(handshake))
    assert handshake.deflate is None


def test_extension_that_is_accepted() -> None:
    handshake = client(deflate=DeflateOptions(client_no_context_takeover=True, threshold=7))
    answer = 'permessage-deflate; client_no_context_takeover; server_max_window_bits="10"'
    handshake.check(response(handshake, sec_websocket_extensions=answer))
    assert handshake.deflate is not None
    assert handshake.deflate.parameters == (False, True, 10, None)
    assert handshake.deflate.deflater.threshold == 7


@pytest.mark.parametrize(
    'answer, text',
    [
        ('', 'Invalid Sec-WebSocket-Extensions header'),
        ('permessage-deflate;', 'Invalid Sec-WebSocket-Extensions header'),
        ('permessage-deflate; foo', 'Invalid Sec-WebSocket-Extensions header'),
        ('permessage-deflate; client_max_window_bits', 'Invalid Sec-WebSocket-Extensions header'),
        ('permessage-deflate; client_max_window_bits=11', 'Invalid Sec-WebSocket-Extensions header'),
        ('permessage-deflate, permessage-deflate', 'Invalid Sec-WebSocket-Extensions header'),
        ('x-webkit-deflate-frame', 'Server indicated an extension that was not requested'),
        ('Permessage-Deflate', 'Server indicated an extension that was not requested'),
        ('permessage-deflate, x', 'Server indicated an extension that was not requested'),
    ],
)
def test_extension_that_is_not_an_answer(answer: str, text: str) -> None:
    handshake = client(deflate=DeflateOptions(client_max_window_bits=10))
    error = client_error(handshake, response(handshake, sec_websocket_extensions=answer))
    assert str(error) == text
    assert error.status is None
    assert handshake.deflate is None


@pytest.mark.parametrize('protocol', ['a', 'b'])
def test_protocol_the_server_selected(protocol: str) -> None:
    handshake = client(protocols=['a', 'b'])
    assert handshake.check(response(handshake, sec_websocket_protocol=protocol)) == protocol


def test_protocol_that_was_not_requested() -> None:
    handshake = client()
    error = client_error(handshake, response(handshake, sec_websocket_protocol='a'))
    assert str(error) == 'server sent a subprotocol even though none requested'


@pytest.mark.parametrize('protocol', [None, ''])
def test_protocol_requested_but_not_sent(protocol: Optional[str]) -> None:
    handshake = client(protocols=['a'])
    error = client_error(handshake, response(handshake, sec_websocket_protocol=protocol))
    assert str(error) == 'server sent no subprotocol even though requested'


@pytest.mark.parametrize('protocol', ['c', 'A', 'a, b', 'a '])
def test_protocol_that_was_not_among_those_requested(protocol: str) -> None:
    handshake = client(protocols=['a', 'b'])
    error = client_error(handshake, response(handshake, sec_websocket_protocol=protocol))
    assert str(error) == 'server responded with an invalid protocol'


def test_empty_protocol_counts_as_none() -> None:
    handshake = client()
    assert handshake.check(response(handshake, sec_websocket_protocol='')) is None


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


# Both sides

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
