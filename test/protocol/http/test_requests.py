"""Heads of requests: parsed strictly."""

from __future__ import annotations

import tracemalloc
import weakref

import pytest
from protocol.http.heads import REQUEST, parse_request, request_error, request_with

from ws.errors import HandshakeError
from ws.protocol.http import RequestParser


def test_request_has_the_attributes_of_node() -> None:
    request = parse_request(REQUEST)
    assert request.method == 'GET'
    assert request.url == '/chat?x=1'
    assert request.httpVersion == '1.1'
    assert request.headers == {
        'host': 'example.com',
        'upgrade': 'websocket',
        'connection': 'keep-alive, Upgrade',
        'cookie': 'a=1; b=2',
        'x-own': 'été',
    }
    assert request.rawHeaders == [
        'Host', 'example.com', 'Upgrade', 'websocket', 'Connection', 'keep-alive, Upgrade', 'Cookie', 'a=1',
        'X-Own', 'été', 'cookie', 'b=2',
    ]  # fmt: skip


def test_request_shows_its_connection_under_three_names() -> None:
    request = parse_request(REQUEST)
    assert request.connection is None
    assert request.socket is None
    assert request.client is None
    connection = request.connection = object()
    assert request.socket is connection
    assert request.client is connection


def test_request_takes_attributes_of_the_user_and_weak_references() -> None:
    request = parse_request(REQUEST)
    request.session = {'user': 1}  # type: ignore[attr-defined]  # it's the user's attribute
    assert request.session == {'user': 1}  # type: ignore[attr-defined]  # as above
    assert weakref.ref(request)() is request


def test_open_connections_share_the_names_of_headers() -> None:
    data = request_with(b'Sec-WebSocket-Key: 1', b'sec-websocket-version: 13', b'Origin: a')
    one, two = parse_request(data), parse_request(data)
    assert all(a is b for a, b in zip(one.rawHeaders[::2], two.rawHeaders[::2]))
    assert all(a is b for a, b in zip(one.headers, two.headers))


def test_the_request_of_an_open_connection_is_small() -> None:
    data = request_with(
        b'Host: localhost:8080', b'Connection: Upgrade', b'Pragma: no-cache', b'Cache-Control: no-cache',
        b'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0',
        b'Upgrade: websocket', b'Origin: http://localhost:8080', b'Sec-WebSocket-Version: 13',
        b'Accept-Encoding: gzip, deflate, br', b'Accept-Language: en-US,en;q=0.9',
        b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
    )  # fmt: skip
    parse_request(data)
    tracemalloc.start()
    try:
        requests = [parse_request(data) for _ in range(100)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(requests) < 2300


def test_rest_is_what_followed_the_head() -> None:
    parser = RequestParser()
    assert parser.feed(REQUEST + b'\x81\x00\r\n\r\n\n') is not None
    assert parser.rest == b'\x81\x00\r\n\r\n\n'


def test_rest_is_empty_when_nothing_followed() -> None:
    parser = RequestParser()
    assert parser.feed(REQUEST) is not None
    assert parser.rest == b''


def test_rest_is_whole_when_it_goes_past_the_limit_of_the_head() -> None:
    parser = RequestParser()
    frames = bytes(range(256)) * 1024
    assert parser.feed(REQUEST[:30]) is None
    assert parser.feed(REQUEST[30:] + frames) is not None
    assert parser.rest == frames


def test_incomplete_head_gives_none() -> None:
    parser = RequestParser()
    for byte in REQUEST[:-1]:
        assert parser.feed(bytes([byte])) is None
        assert parser.rest == b''
    assert parser.feed(REQUEST[-1:]) is not None
    assert parser.rest == b''


def test_no_bytes_change_nothing() -> None:
    parser = RequestParser()
    assert parser.feed(b'') is None
    assert parser.feed(REQUEST[:-1]) is None
    assert parser.feed(b'') is None
    assert parser.feed(REQUEST[-1:]) is not None


def test_a_request_without_headers() -> None:
    request = parse_request(b'OPTIONS * HTTP/1.1\r\n\r\n')
    assert (request.method, request.url, request.headers, request.rawHeaders) == ('OPTIONS', '*', {}, [])


def test_http_1_0_is_parsed() -> None:
    assert parse_request(b'GET / HTTP/1.0\r\n\r\n').httpVersion == '1.0'


def test_one_empty_line_before_the_request_is_passed_over() -> None:
    assert parse_request(b'\r\n' + REQUEST).url == '/chat?x=1'
    assert parse_request(b'\r\nGET / HTTP/1.1\r\n\r\n').url == '/'


def test_two_empty_lines_before_the_request_are_refused() -> None:
    assert request_error(b'\r\n\r\n' + REQUEST).status == 400


@pytest.mark.parametrize(
    'line',
    [
        b'',
        b'GET',
        b'GET /',
        b'GET / HTTP/1.1 ',
        b' GET / HTTP/1.1',
        b'GET  / HTTP/1.1',
        b'GET /  HTTP/1.1',
        b'GET\t/ HTTP/1.1',
        b'GET /a b HTTP/1.1',
        b'GET / http/1.1',
        b'GET / HTTP/1',
        b'GET / HTTP/1.',
        b'GET / HTTP/1.11',
        b'GET / HTTP/11.1',
        b'GET / HTTP/1.\xb2',
        b'GET / HTTPS/1.1',
        b'GET  HTTP/1.1',
        b'G\xc9T / HTTP/1.1',
        b'G@T / HTTP/1.1',
        b'GET: / HTTP/1.1',
        b'GET /\xe9 HTTP/1.1',
        b'GET /\t HTTP/1.1',
        b'/ GET HTTP/1.1',
    ],
)
def test_malformed_request_lines(line: bytes) -> None:
    error = request_error(line + b'\r\nHost: a\r\n\r\n')
    assert (str(error), error.status) == ('invalid request line', 400)


@pytest.mark.parametrize('version', ['0.9', '2.0', '3.0', '9.9'])
def test_other_versions_of_http_are_not_supported(version: str) -> None:
    error = request_error(b'GET / HTTP/%b\r\n\r\n' % version.encode())
    assert (str(error), error.status) == (f'HTTP version {version} is not supported', 505)


@pytest.mark.parametrize('minor', range(2, 10))
def test_there_is_no_later_http_1(minor: int) -> None:
    error = request_error(b'GET / HTTP/1.%d\r\n\r\n' % minor)
    assert (str(error), error.status) == (f'invalid HTTP version 1.{minor}', 400)


def test_preface_of_http_2_is_not_supported() -> None:
    assert request_error(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n').status == 505


@pytest.mark.parametrize('byte', [*range(9), *range(0x0B, 0x20), 0x0A, 0x7F])
@pytest.mark.parametrize('template', [b'GET /%b HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\nX: %b\r\n\r\n', b'%bGET'])
def test_control_characters_are_refused_at_once(byte: int, template: bytes) -> None:
    data = template % (b'a%ca' % byte)
    offset = data.index(b'a%ca' % byte) + 1
    error = request_error(data[: offset + 2])  # a CR is known to be alone by the byte after it
    assert str(error) == f'invalid byte 0x{byte:02x} at offset {offset}'
    assert error.status == 400


def test_offsets_do_not_depend_on_chunks() -> None:
    parser = RequestParser()
    parser.feed(b'GET / HTTP/1.1\r')
    parser.feed(b'\nA: b\r')
    with pytest.raises(HandshakeError, match=r'invalid byte 0x0d at offset 20$'):
        parser.feed(b'C: d')


@pytest.mark.parametrize('end', [b'\n\n', b'\n\r\n', b'\r\n\n', b'\r\r', b'\r\n\r\r\n', b'\r\r\n'])
def test_lines_end_with_crlf_only(end: bytes) -> None:
    assert request_error(b'GET / HTTP/1.1\r\nHost: a' + end + b' ').status == 400


@pytest.mark.parametrize('byte', [0x80, 0x85, 0xA0, 0xAD, 0xFF])
def test_latin_1_in_values_is_kept_and_never_ends_a_line(byte: int) -> None:
    request = parse_request(request_with(b'X: a%cEvil: b' % byte))
    assert request.headers == {'x': f'a{chr(byte)}Evil: b'}


@pytest.mark.parametrize(
    ('line', 'value'),
    [(b'X:', ''), (b'X:  ', ''), (b'X:a', 'a'), (b'X: \t a \t b \t', 'a \t b'), (b'X: :', ':'), (b'X: \xa0', '\xa0')],
)
def test_blanks_around_values_are_stripped(line: bytes, value: str) -> None:
    assert parse_request(request_with(line)).headers == {'x': value}


@pytest.mark.parametrize(
    'line',
    [
        b': a',
        b'X',
        b'X a: b',
        b'X : b',
        b'X\t: b',
        b' X: b',
        b'\tfolded',
        b' folded',
        b'(X): b',
        b'\xe9: b',
        b'X\xaa: b',
    ],
)
def test_malformed_header_lines(line: bytes) -> None:
    error = request_error(request_with(b'A: b', line))
    assert (str(error), error.status) == ('invalid header line 2', 400)


def test_every_token_character_may_be_in_a_name() -> None:
    name = "!#$%&'*+-.^_`|~0Az"
    assert parse_request(request_with(f'{name}: 1'.encode())).headers == {name.lower(): '1'}


@pytest.mark.parametrize(
    'name',
    [
        'Host', 'Content-Length', 'Authorization', 'Proxy-Authorization', 'Origin', 'Sec-WebSocket-Origin',
        'Sec-WebSocket-Key', 'Sec-WebSocket-Key1', 'Sec-WebSocket-Key2', 'Sec-WebSocket-Version',
    ],
)  # fmt: skip
def test_headers_that_decide_something_may_not_be_repeated(name: str) -> None:
    line = f'{name}: 8'.encode()
    error = request_error(request_with(line, line.lower()))
    assert (str(error), error.status) == (f'duplicate {name.lower()} header', 400)


def test_repeated_headers_are_joined() -> None:
    request = parse_request(
        request_with(b'Sec-WebSocket-Protocol: a', b'X: 1', b'sec-websocket-protocol: b, c', b'x:', b'X: 3')
    )
    assert request.headers == {'sec-websocket-protocol': 'a, b, c', 'x': '1, , 3'}
    assert request.rawHeaders[-4:] == ['x', '', 'X', '3']


@pytest.mark.parametrize('name', ['content-type', 'user-agent', 'referer'])
def test_of_descriptive_headers_the_first_is_kept_as_in_node(name: str) -> None:
    assert parse_request(request_with(f'{name}: a'.encode(), f'{name}: b'.encode())).headers == {name: 'a'}


@pytest.mark.parametrize('length', ['', '-1', '+1', '1_0', '1 2', '0x1', '1,1', '9' * 16, '\xb2', '1.0'])
def test_content_length_is_digits(length: str) -> None:
    error = request_error(request_with(f'Content-Length: {length}'.encode('latin-1')))
    assert (str(error), error.status) == ('invalid Content-Length header', 400)


@pytest.mark.parametrize('length', ['0', '007', '9' * 15])
def test_content_length_that_is_digits(length: str) -> None:
    assert parse_request(request_with(f'Content-Length: {length}'.encode())).headers['content-length'] == length
