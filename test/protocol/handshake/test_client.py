"""The opening handshake of versions 8 and 13 (RFC 6455 section 4): the client's side."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any, Optional

import pytest
from protocol.handshake.heads import KEY, client

from ws.errors import HandshakeError
from ws.protocol.handshake import ClientHandshake, accept_key
from ws.protocol.http import Headers, RequestParser, Response
from ws.protocol.permessage_deflate import DeflateOptions


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


def client_error(handshake: ClientHandshake, answer: Response) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        handshake.check(answer)
    return caught.value


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
