"""Heads: parsed strictly, in linear time, within limits; built such that no data becomes a header."""

from __future__ import annotations

import re
import tracemalloc
import weakref
from collections.abc import Container, Iterable
from http.cookies import SimpleCookie
from types import SimpleNamespace
from typing import Any, Union
from unittest import mock
from wsgiref.validate import check_environ

import pytest
import werkzeug
from hypothesis import given
from hypothesis import strategies as st

from ws.errors import HandshakeError
from ws.protocol import http
from ws.protocol.http import (
    MAX_HEAD,
    MAX_HEADERS,
    MAX_INTERIM,
    MAX_TARGET,
    Headers,
    Request,
    RequestParser,
    Response,
    ResponseParser,
    build_head,
    build_refusal,
    is_token,
)

REQUEST = (
    b'GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n'
    b'Cookie: a=1\r\nX-Own: \xe9t\xe9\r\ncookie: b=2\r\n\r\n'
)
RESPONSE = b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'


def parse_request(data: bytes) -> Request:
    request = RequestParser().feed(data)
    assert request is not None
    return request


def parse_response(data: bytes) -> Response:
    response = ResponseParser().feed(data)
    assert response is not None
    return response


def request_with(*lines: bytes) -> bytes:
    return b'\r\n'.join((b'GET / HTTP/1.1', *lines)) + b'\r\n\r\n'


def request_error(data: bytes) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        RequestParser().feed(data)
    return caught.value


def response_error(data: bytes) -> str:
    with pytest.raises(HandshakeError) as caught:
        ResponseParser().feed(data)
    assert caught.value.status is None, 'the peer named no status'
    assert str(caught.value).startswith('invalid server response: ')
    return str(caught.value)


# Requests


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


# Limits


def test_limits_are_those_documented() -> None:
    assert (MAX_HEAD, MAX_HEADERS, MAX_TARGET, MAX_INTERIM) == (16384, 128, 8192, 16)


def head_of(size: int) -> bytes:
    return request_with(b'X: ' + b'a' * (size - len(request_with(b'X: '))))


def test_longest_head() -> None:
    data = head_of(MAX_HEAD)
    assert len(data) == MAX_HEAD
    parser = RequestParser()
    assert parser.feed(data + b'rest') is not None
    assert parser.rest == b'rest'


@pytest.mark.parametrize('size', [1, 7, MAX_HEAD, 2 * MAX_HEAD])
def test_head_too_long(size: int) -> None:
    data = head_of(MAX_HEAD + 1)
    parser = RequestParser()
    with pytest.raises(HandshakeError) as caught:
        for at in range(0, len(data), size):
            assert parser.feed(data[at : at + size]) is None
    assert (str(caught.value), caught.value.status) == (f'head is longer than {MAX_HEAD} bytes', 431)


def test_parser_keeps_no_more_than_a_head() -> None:
    parser = RequestParser()
    for _ in range(3):
        with pytest.raises(HandshakeError):
            parser.feed(b'a' * 10 * MAX_HEAD)
    assert len(parser._buffer) == MAX_HEAD


@pytest.mark.parametrize('before', [b'', b'\r\n'])
def test_request_line_without_end(before: bytes) -> None:
    error = request_error(before + b'GET /' + b'a' * MAX_HEAD)
    assert (str(error), error.status) == (f'request target is longer than {MAX_TARGET} bytes', 414)


def test_longest_target() -> None:
    target = '/' + 'a' * (MAX_TARGET - 1)
    assert parse_request(f'GET {target} HTTP/1.1\r\n\r\n'.encode()).url == target


def test_target_too_long() -> None:
    error = request_error(b'GET /%b HTTP/1.1\r\n\r\n' % (b'a' * MAX_TARGET))
    assert (str(error), error.status) == (f'request target is longer than {MAX_TARGET} bytes', 414)


def test_most_headers() -> None:
    request = parse_request(request_with(*[b'X%d: a' % n for n in range(MAX_HEADERS)]))
    assert len(request.headers) == MAX_HEADERS


def test_too_many_headers() -> None:
    error = request_error(request_with(*[b'X: a'] * (MAX_HEADERS + 1)))
    assert (str(error), error.status) == (f'more than {MAX_HEADERS} headers', 431)


def test_work_is_linear_one_byte_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow sender costs no more than a fast one: no byte is looked at more than three times."""
    looked_at = 0

    class CountingBuffer(bytearray):
        def find(self, what: Any, start: Any = 0, stop: Any = None) -> int:
            nonlocal looked_at
            looked_at += len(self) - start
            return super().find(what, start)

    def match_lines(buffer: bytearray, start: int, stop: int) -> Union[re.Match[bytes], None]:
        nonlocal looked_at
        looked_at += stop - start
        return original(buffer, start, stop)

    original = http._match_lines
    monkeypatch.setattr(http, '_match_lines', match_lines)
    parser = RequestParser()
    parser._buffer = CountingBuffer()
    data = request_with(*[b'X: ' + b'a' * 120] * 120)
    for byte in data[:-1]:
        assert parser.feed(bytes([byte])) is None
    assert parser.feed(data[-1:]) is not None
    assert looked_at < 6 * len(data)


# Paths, cookies, environs


def request_to(url: str, *lines: bytes) -> Request:
    return parse_request(b'\r\n'.join((f'GET {url} HTTP/1.1'.encode(), *lines)) + b'\r\n\r\n')


@pytest.mark.parametrize(
    ('url', 'path', 'query'),
    [
        ('/', '/', ''),
        ('/chat', '/chat', ''),
        ('/chat?a=/b', '/chat', 'a=/b'),
        ('/chat?a?b', '/chat', 'a?b'),
        ('/chat#a?b', '/chat', ''),
        ('/chat?a#b?c', '/chat', 'a'),
        ('/?', '/', ''),
        ('?a', '/', 'a'),
        ('*', '*', ''),
        ('//host/path', '//host/path', ''),
        ('/a://b/c', '/a://b/c', ''),
        ('/%2F?%3f=+', '/%2F', '%3f=+'),
        ('http://host/chat?a', '/chat', 'a'),
        ('ws://host:80/chat', '/chat', ''),
        ('wss://host', '/', ''),
        ('wss://host?a', '/', 'a'),
        ('wss://host#a', '/', ''),
    ],
)
def test_path_and_query(url: str, path: str, query: str) -> None:
    request = request_to(url)
    assert (request.path, request.query) == (path, query)


@pytest.mark.parametrize(
    ('lines', 'cookies'),
    [
        ([], {}),
        ([b''], {}),
        ([b'a=1'], {'a': '1'}),
        ([b'a=1; b=2'], {'a': '1', 'b': '2'}),
        ([b'a=1', b'b=2'], {'a': '1', 'b': '2'}),
        ([b'a=1;b=2;\tc=3'], {'a': '1', 'b': '2', 'c': '3'}),
        ([b'a=1; a=2'], {'a': '1'}),
        ([b'a=; b==; c=d=e'], {'a': '', 'b': '=', 'c': 'd=e'}),
        ([b'a="1"; b="\\"\\054\\073"; c="'], {'a': '1', 'b': '",;', 'c': '"'}),
        ([b'a; =b; ;; c=1;'], {'c': '1'}),
        ([b'a[0]={"b": [1]}; c d=1; e:f=2'], {'a[0]': '{"b": [1]}', 'c d': '1', 'e:f': '2'}),
        ([b'path=/; expires=now; $Version=1'], {'path': '/', 'expires': 'now', '$Version': '1'}),
        ([b'a=\xe9'], {'a': 'é'}),
    ],
)
def test_cookies(lines: list[bytes], cookies: dict[str, str]) -> None:
    assert request_to('/', *[b'Cookie: ' + line for line in lines]).cookies == cookies


@given(value=st.binary().map(lambda data: data.translate(None, bytes([*range(9), *range(10, 32), 127]))))
def test_whatever_cookies_are_sent_there_are_cookies(value: bytes) -> None:
    cookies = request_to('/', b'Cookie: ' + value).cookies
    assert all(isinstance(text, str) for pair in cookies.items() for text in pair)


@given(st.text(st.sampled_from('\\"0134789ab '), max_size=20))
def test_values_in_quotes_are_those_of_http_cookies(text: str) -> None:
    assert request_to('/', f'Cookie: a="{text}"'.encode()).cookies['a'] == SimpleCookie().value_decode(f'"{text}"')[0]


CONNECTION = SimpleNamespace(
    remoteAddress='192.0.2.1', remotePort=50000, localAddress='192.0.2.2', localPort=8080, encrypted=False
)


def test_environ_is_one_of_pep_3333() -> None:
    request = request_to(
        '/caf%C3%A9/%2F?a=%20b', b'Host: example.com', b'Content-Type: text/plain', b'Content-Length: 0',
        b'X-Own: \xe9', b'X_Own: b', b'Cookie: a=1', b'cookie: b=2',
    )  # fmt: skip
    request.connection = CONNECTION
    environ = request.environ
    check_environ(environ)
    assert {name: value for name, value in environ.items() if not name.startswith('wsgi.')} == {
        'REQUEST_METHOD': 'GET',
        'SCRIPT_NAME': '',
        'PATH_INFO': '/caf\xc3\xa9//',
        'QUERY_STRING': 'a=%20b',
        'REQUEST_URI': '/caf%C3%A9/%2F?a=%20b',
        'SERVER_PROTOCOL': 'HTTP/1.1',
        'SERVER_NAME': '192.0.2.2',
        'SERVER_PORT': '8080',
        'REMOTE_ADDR': '192.0.2.1',
        'REMOTE_PORT': '50000',
        'CONTENT_TYPE': 'text/plain',
        'CONTENT_LENGTH': '0',
        'HTTP_HOST': 'example.com',
        'HTTP_X_OWN': 'é',
        'HTTP_COOKIE': 'a=1; b=2',
    }
    assert environ['wsgi.url_scheme'] == 'http'
    assert environ['wsgi.input'].read() == b''


@pytest.mark.parametrize(
    ('connection', 'expected'),
    [
        (None, ('http', 'localhost', '80', None, None)),
        (SimpleNamespace(encrypted=True), ('https', 'localhost', '443', None, None)),
        (
            SimpleNamespace(**{**vars(CONNECTION), 'encrypted': True}),
            ('https', '192.0.2.2', '8080', '192.0.2.1', '50000'),
        ),
        (  # a UNIX socket
            SimpleNamespace(remoteAddress='', remotePort=None, localAddress='/tmp/a', localPort=None, encrypted=False),
            ('http', '/tmp/a', '80', None, None),
        ),
        (  # a connection that has gone
            SimpleNamespace(remoteAddress=None, remotePort=None, localAddress=None, localPort=None, encrypted=False),
            ('http', 'localhost', '80', None, None),
        ),
    ],
)
def test_environ_tells_of_the_connection_what_there_is(connection: object, expected: tuple[object, ...]) -> None:
    request = request_to('/')
    request.connection = connection
    environ = request.environ
    check_environ(environ)
    assert expected == (
        environ['wsgi.url_scheme'], environ['SERVER_NAME'], environ['SERVER_PORT'],
        environ.get('REMOTE_ADDR'), environ.get('REMOTE_PORT'),
    )  # fmt: skip


def test_environ_is_read_by_werkzeug() -> None:
    request = request_to('/caf%C3%A9?room=%C3%A9', b'Host: example.com:81', b'Cookie: a=1', b'User-Agent: x')
    request.connection = CONNECTION
    read = werkzeug.Request(request.environ)
    assert read.url == 'http://example.com:81/café?room=é'
    assert (read.path, read.args['room'], read.cookies['a']) == ('/café', 'é', '1')
    assert (read.remote_addr, read.user_agent.string, read.get_data()) == ('192.0.2.1', 'x', b'')


def test_who_writes_into_an_environ_keeps_it_to_himself() -> None:
    request = request_to('/')
    request.environ['REQUEST_METHOD'] = 'POST'
    request.cookies['a'] = 'b'
    assert request.environ['REQUEST_METHOD'] == 'GET'
    assert request.cookies == {}


# Headers


def test_headers_are_found_in_any_case() -> None:
    headers = parse_request(request_with(b'X-Own: a')).headers
    assert headers['x-own'] == headers['X-Own'] == headers.get('X-OWN') == headers.get('x-own') == 'a'
    assert 'X-Own' in headers
    assert 'x-own' in headers


@pytest.mark.parametrize('name', ['other', 'Other'])
def test_headers_that_are_missing(name: str) -> None:
    headers = parse_request(REQUEST).headers
    assert headers.get(name) is None
    assert headers.get(name, 'b') == 'b'
    assert name not in headers
    with pytest.raises(KeyError):
        headers[name]


def test_headers_hold_strings_only() -> None:
    headers: Container[object] = Headers({'1': 'a'})
    assert 1 not in headers


# Responses


def test_response_has_the_attributes_of_node() -> None:
    parser = ResponseParser()
    response = parser.feed(RESPONSE + b'\x81\x00')
    assert response is not None
    assert response.statusCode == 101
    assert response.statusMessage == 'Switching Protocols'
    assert response.httpVersion == '1.1'
    assert response.headers == {'upgrade': 'websocket', 'connection': 'Upgrade'}
    assert response.rawHeaders == ['Upgrade', 'websocket', 'Connection', 'Upgrade']
    assert parser.rest == b'\x81\x00'


@pytest.mark.parametrize(
    ('line', 'status', 'reason'),
    [
        (b'HTTP/1.1 200 OK', 200, 'OK'),
        (b'HTTP/1.0 404 Not Found', 404, 'Not Found'),
        (b'HTTP/1.1 401', 401, ''),
        (b'HTTP/1.1 401 ', 401, ''),
        (b'HTTP/1.1 999 Request\tdenied \xe9', 999, 'Request\tdenied é'),
    ],
)
def test_status_lines(line: bytes, status: int, reason: str) -> None:
    response = parse_response(line + b'\r\n\r\n')
    assert (response.statusCode, response.statusMessage) == (status, reason)
    assert response.httpVersion == line[5:8].decode()


@pytest.mark.parametrize(
    'line',
    [
        b'HTTP/1.1',
        b'HTTP/1. 200 OK',
        b'HTTP/1.1  200 OK',
        b'HTTP/1.1 20 OK',
        b'HTTP/1.1 2000 OK',
        b'HTTP/1.1 099 OK',
        b'HTTP/1.1 \xb2\xb2\xb2 OK',
        b'HTTP/1.1 200OK',
        b'HTTP/1.11 200 OK',
        b'HTTP/1.x 200 OK',
    ],
)
def test_malformed_status_lines(line: bytes) -> None:
    assert 'invalid status line' in response_error(line + b'\r\n\r\n')


def test_long_status_lines_are_shown_in_part() -> None:
    assert len(response_error(b'HTTP/1.1 ' + b'\xff' * 1000 + b'\r\n\r\n')) < 300


@pytest.mark.parametrize(
    'data',
    [
        b'S',
        b'SSH-2.0-OpenSSH_9.2\r\n',
        b'\x15\x03\x01\x00\x02\x02\x0a',
        b'HTTP/2',
        b'http/1.1',
        b'\r\n',
        b'\x81\x05Hello',
    ],
)
def test_a_peer_that_speaks_something_else_is_refused_at_once(data: bytes) -> None:
    assert response_error(data) == f'invalid server response: not HTTP/1.1 but {data!r}'


@pytest.mark.parametrize('cut', range(1, 8))
def test_a_peer_that_speaks_something_else_in_small_pieces(cut: int) -> None:
    parser = ResponseParser()
    assert parser.feed(b'HTTP/1.'[: cut - 1]) is None
    with pytest.raises(HandshakeError, match=re.escape(f'{b"HTTP/1."[: cut - 1] + b"?"!r}')):
        parser.feed(b'?')


def test_what_is_shown_of_another_protocol_is_short() -> None:
    assert len(response_error(b'\x00' * 100_000)) < 300


@pytest.mark.parametrize(
    ('line', 'text'),
    [
        (b'X: a\nb', 'invalid byte 0x0a at offset 19'),
        (b' folded', 'invalid header line 1'),
        (b'Content-Length: a', 'invalid Content-Length header'),
        (b'Content-Length: 1\r\nContent-Length: 1', 'duplicate content-length header'),
        (b'Sec-WebSocket-Accept: a\r\nSec-WebSocket-Accept: a', 'duplicate sec-websocket-accept header'),
        (b'\r\n'.join([b'X: a'] * (MAX_HEADERS + 1)), f'more than {MAX_HEADERS} headers'),
        (b'X: ' + b'a' * MAX_HEAD, f'head is longer than {MAX_HEAD} bytes'),
    ],
)
def test_malformed_responses_say_what_is_wrong(line: bytes, text: str) -> None:
    assert response_error(b'HTTP/1.1 101 \r\n' + line + b'\r\n\r\n') == f'invalid server response: {text}'


@pytest.mark.parametrize('name', ['location', 'retry-after', 'server'])
def test_of_a_response_too_the_first_is_kept(name: str) -> None:
    response = parse_response(f'HTTP/1.1 302 Found\r\n{name}: a\r\n{name}: b\r\n\r\n'.encode())
    assert response.headers == {name: 'a'}


def test_versions_may_be_repeated_in_a_response() -> None:
    """RFC 6455 section 4.4 shows them so."""
    response = parse_response(b'HTTP/1.1 426 \r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8, 7\r\n\r\n')
    assert response.headers['sec-websocket-version'] == '13, 8, 7'


@pytest.mark.parametrize('interim', [b'HTTP/1.1 100 Continue\r\n\r\n', b'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n'])
@pytest.mark.parametrize('size', [1, 1000])
def test_interim_responses_are_passed_over(interim: bytes, size: int) -> None:
    parser = ResponseParser()
    data = interim * 3 + RESPONSE
    responses = [parser.feed(data[at : at + size]) for at in range(0, len(data), size)]
    assert responses[:-1] == [None] * (len(responses) - 1)
    assert responses[-1] is not None
    assert responses[-1].statusCode == 101
    assert responses[-1].headers == {'upgrade': 'websocket', 'connection': 'Upgrade'}
    assert parser.rest == b''


@pytest.mark.parametrize('size', [1, 10_000])
def test_too_many_interim_responses(size: int) -> None:
    interim = b'HTTP/1.1 100 Continue\r\n\r\n'
    parser = ResponseParser()
    data = interim * (MAX_INTERIM + 1)
    assert ResponseParser().feed(interim * MAX_INTERIM + RESPONSE) is not None
    with pytest.raises(HandshakeError, match=f'^invalid server response: more than {MAX_INTERIM} interim responses$'):
        for at in range(0, len(data), size):
            assert parser.feed(data[at : at + size]) is None


def test_nothing_is_left_of_an_interim_response() -> None:
    parser = ResponseParser()
    assert parser.feed(b'HTTP/1.1 100 \r\n\r\nHTTP') is None
    assert parser.rest == b''


# Any chunks, any bytes

Outcome = tuple[Any, ...]


def outcome(parser: Union[RequestParser, ResponseParser], chunks: Iterable[bytes]) -> Outcome:
    """What the parser makes of it all: the message with the bytes that followed, or the error."""
    message = None
    rest = b''
    for chunk in chunks:
        if message is not None:
            rest += chunk
            continue
        try:
            message = parser.feed(chunk)
        except HandshakeError as error:
            # Only the excerpt of a foreign protocol depends on how much of it was there.
            return str(error).partition(' but ')[0], error.status
        rest = parser.rest
    if message is None:
        return (None,)
    if isinstance(message, Request):
        return message.method, message.url, message.httpVersion, message.headers, message.rawHeaders, rest
    return message.statusCode, message.statusMessage, message.httpVersion, message.headers, message.rawHeaders, rest


NASTY = st.sampled_from([
    b'\r', b'\n', b'\r\n', b'\r\n\r\n', b'\0', b' ', b'\t', b':', b'\x0b', b'\x85', b'\xff', b'HTTP/1.1', b'GET ',
    b'100', b'\r\n folded', b'\r\nHost: b', b'\r\nContent-Length: x', b'\r\nX:' + b'a' * 200, b'\r\nX: a' * 7,
])  # fmt: skip
HEADS = st.sampled_from([
    REQUEST, RESPONSE, b'\r\n' + REQUEST, b'HTTP/1.1 100 Continue\r\n\r\n' + RESPONSE, b'HTTP/1.1 401\r\n\r\nbody',
])  # fmt: skip


@st.composite
def broken_heads(draw: st.DrawFn) -> bytes:
    data = draw(HEADS)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(NASTY) + data[at + draw(st.integers(0, 2)) :]
    return data


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)])]


@pytest.mark.parametrize('parser', [RequestParser, ResponseParser])
@given(head=st.one_of(broken_heads(), st.binary()), data=st.data())
def test_any_chunks_give_the_same(parser: type[Any], head: bytes, data: st.DataObject) -> None:
    with mock.patch.multiple(http, MAX_HEAD=400, MAX_HEADERS=12, MAX_TARGET=100):
        whole = outcome(parser(), [head])
        assert outcome(parser(), data.draw(chunked(head))) == whole
        assert outcome(parser(), [bytes([byte]) for byte in head]) == whole


LINE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters='\x7f'), max_size=30)
NAMES = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=20)


@given(fields=st.lists(st.tuples(NAMES.filter(lambda name: name != 'Host'), LINE), max_size=20))
def test_what_is_built_is_parsed(fields: list[tuple[str, str]]) -> None:
    request = parse_request(build_head('GET / HTTP/1.1', [f'{name}:{value}' for name, value in fields]))
    assert request.rawHeaders == [part for name, value in fields for part in (name, value.strip(' \t'))]
    assert set(request.headers) == {name.lower() for name, _ in fields}


# Building


def test_build_head() -> None:
    assert build_head('GET / HTTP/1.1', ['Host: a', 'X: \té']) == b'GET / HTTP/1.1\r\nHost: a\r\nX: \t\xe9\r\n\r\n'


def test_build_head_takes_any_iterable() -> None:
    assert build_head('HTTP/1.1 200 OK', iter(())) == b'HTTP/1.1 200 OK\r\n\r\n'


@pytest.mark.parametrize(
    'character', ['\r', '\n', '\r\nEvil: 1', '\0', '\x0b', '\x1f', '\x7f', '\u0100', '\u2028', '\ud800']
)
def test_build_head_names_the_line_it_refuses(character: str) -> None:
    line = f'X: a{character}'
    with pytest.raises(ValueError, match=re.escape(f'invalid character in header line {line!r}')):
        build_head('GET / HTTP/1.1', ['Host: a', line])
    with pytest.raises(ValueError, match='invalid character'):
        build_head(f'GET /{character} HTTP/1.1', [])


@pytest.mark.parametrize('line', ['', ' ', ' X: folded', '\tX: 1', 'X', ': 1', 'X : 1', 'é: 1', 'HTTP/1.1 200 OK'])
def test_build_head_takes_header_lines_only(line: str) -> None:
    """An empty one would end the head, and what follows be the body."""
    for lines in ([line], ['X: 1', line], [line, 'Y: 1']):
        with pytest.raises(ValueError, match=re.escape(f'invalid header line {line!r}')):
            build_head('HTTP/1.1 101 Switching Protocols', lines)


@given(line=st.one_of(st.text(), st.text().map('X: {}'.format)))
def test_nothing_that_is_built_holds_a_second_line(line: str) -> None:
    try:
        head = build_head('GET / HTTP/1.1', [line])
    except ValueError:
        return
    assert head == b'GET / HTTP/1.1\r\n' + line.encode('latin-1') + b'\r\n\r\n'
    assert not set(line) & set('\r\n\0')


def test_build_refusal() -> None:
    assert build_refusal(401) == (
        b'HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n'
        b'Content-Length: 12\r\n\r\nUnauthorized'
    )


def test_build_refusal_with_message_headers_and_name() -> None:
    assert build_refusal(404, 'né', ['X: 1', 'Y: 2'], 'Unauthorized') == (
        b'HTTP/1.1 404 Unauthorized\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n'
        b'Content-Length: 3\r\nX: 1\r\nY: 2\r\n\r\nn\xc3\xa9'
    )


def test_the_answer_to_head_has_no_body() -> None:
    assert build_refusal(405, method='GET') == build_refusal(405)
    assert build_refusal(405, method='HEAD') + b'Method Not Allowed' == build_refusal(405)


def test_name_without_message_is_the_body() -> None:
    assert build_refusal(501, name='Could not process protocols').endswith(b'\r\n\r\nCould not process protocols')


def test_headers_of_a_refusal_replace_those_built_in() -> None:
    response = parse_response(build_refusal(403, '<p>', ['content-type: text/html']))
    assert response.rawHeaders == ['Connection', 'close', 'Content-Length', '3', 'content-type', 'text/html']


def test_status_without_standard_reason() -> None:
    assert build_refusal(499) == (
        b'HTTP/1.1 499 \r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n'
    )


@pytest.mark.parametrize('status', [-1, 0, 100, 101, 199, 600, 1000])
def test_what_is_no_status_of_a_refusal(status: int) -> None:
    with pytest.raises(ValueError, match=f'not the status of a refusal: {status}'):
        build_refusal(status)


@pytest.mark.parametrize('arguments', [{'name': 'a\r\nEvil: 1'}, {'headers': ['X: a\nb']}, {'name': '\u20ac'}])
def test_refusals_let_no_data_become_headers(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='invalid character'):
        build_refusal(400, **arguments)


@pytest.mark.parametrize('status', [200, 302, 400, 405, 426, 431, 500, 503, 505, 599])
def test_refusals_are_whole_responses(status: int) -> None:
    parser = ResponseParser()
    response = parser.feed(build_refusal(status, 'sorry'))
    assert response is not None
    assert response.statusCode == status
    assert response.headers['connection'] == 'close'
    assert parser.rest == b'sorry'
    assert response.headers['content-length'] == '5'


@pytest.mark.parametrize(
    ('text', 'expected'), [('chat', True), ("!#$%&'*+-.^_`|~9zZ", True), ('', False), ('a b', False), ('a,b', False)]
)
def test_tokens(text: str, expected: bool) -> None:
    assert is_token(text) is expected


@pytest.mark.parametrize('text', ['a\n', 'é', '"a"', 'a/b', '\x7f', '\u0661', '(a)', 'a:'])
def test_no_tokens(text: str) -> None:
    assert is_token(text) is False


# -- Set-Cookie -------------------------------------------------------------------------------------------------------


def test_cookies_of_a_response() -> None:
    head = b'HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/; HttpOnly\r\nset-cookie: c="d e"\r\nSet-Cookie: a=z\r\n'
    response = ResponseParser().feed(head + b'Set-Cookie: nothing\r\nX: y=z\r\n\r\n')
    assert response is not None
    assert response.cookies == {'a': 'z', 'c': 'd e'}
