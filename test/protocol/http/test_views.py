"""What programs read of a request: path, query, cookies, environ, headers."""

from __future__ import annotations

from collections.abc import Container
from http.cookies import SimpleCookie
from types import SimpleNamespace
from wsgiref.validate import check_environ

import pytest
import werkzeug
from hypothesis import given
from hypothesis import strategies as st
from protocol.http.heads import REQUEST, parse_request, request_with

from ws.protocol.http import Headers, Request

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
