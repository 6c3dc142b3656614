"""Requests as an HTTP server, or WSGI, has them."""

from __future__ import annotations

import http.client

import flask
import pytest
from server.http_server.servers import http_server
from sites import Site, application, flask_app
from support import HANDSHAKE, Waiter, read_head

from ws.errors import HandshakeError
from ws.protocol.http import MAX_HEAD, RequestParser
from ws.server.http_server import attach, request_from


def test_a_request_is_itself() -> None:
    request = RequestParser().feed(HANDSHAKE % b'/')
    assert request_from(request) is request


@http_server
def test_the_request_of_a_handler_is_as_sent(site: Site) -> None:
    taken = Waiter()
    attach(site.httpd, '//chat', taken)
    data = HANDSHAKE % b'//chat?x' + b'X-Own: \xe9\r\nx-own:two\r\n\r\n'
    data = data.replace(b'==\r\n\r\n', b'==\r\n')
    with site.connection() as client:
        client.sendall(data)
        request, sock, _ = taken.get()
        sock.close()
    expected = RequestParser().feed(data)
    assert expected is not None
    assert (request.method, request.url, request.httpVersion) == ('GET', '//chat?x', '1.1')
    assert request.headers == expected.headers
    assert request.rawHeaders == expected.rawHeaders


@pytest.mark.parametrize('site', ['wsgiref', 'Werkzeug'], indirect=True)
def test_the_request_of_an_environ(site: Site) -> None:
    """An application sees requests that nobody has attached himself for."""
    seen = Waiter()
    site.httpd.app = lambda environ, start_response: (seen(environ), application(environ, start_response))[1]
    site.httpd.application = site.httpd.app
    with site.connection() as client:
        client.sendall(
            (HANDSHAKE % b'/caf%C3%A9/a%2Fb?x=%20').replace(b'\r\n\r\n', b'\r\nX-Own: \xe9\r\nX-Own: 2\r\n\r\n')
        )
        assert read_head(client)[9:12] == b'200'
        request = request_from(seen.get()[0])
    assert (request.method, request.query, request.httpVersion) == ('GET', 'x=%20', '1.1')
    assert request.path == ('/caf%C3%A9/a/b' if 'base_environ' in vars(site.httpd) else '/caf%C3%A9/a%2Fb')
    assert request.headers['Upgrade'] == 'websocket'
    assert request.headers['Sec-WebSocket-Key'] == 'dGhlIHNhbXBsZSBub25jZQ=='
    assert request.headers['X-Own'] == 'é,2'


ENVIRON = {'REQUEST_METHOD': 'GET', 'SCRIPT_NAME': '', 'PATH_INFO': '/', 'SERVER_PROTOCOL': 'HTTP/1.1'}


@pytest.mark.parametrize(
    ('items', 'url'),
    [
        ({}, '/'),
        ({'PATH_INFO': ''}, '/'),
        ({'SCRIPT_NAME': '/app', 'PATH_INFO': '/chat', 'QUERY_STRING': 'a=b'}, '/app/chat?a=b'),
        ({'SCRIPT_NAME': '/app', 'PATH_INFO': '', 'QUERY_STRING': ''}, '/app'),
        ({'PATH_INFO': '/a?b#c%d \xe9'}, '/a%3Fb%23c%25d%20%E9'),
        ({'PATH_INFO': "/~-._!$&'()*+,;=:@"}, "/~-._!$&'()*+,;=:@"),
        ({'PATH_INFO': '/b', 'RAW_URI': '/a%2Fb?c'}, '/a%2Fb?c'),
        ({'PATH_INFO': '/b', 'REQUEST_URI': '/a%2Fb?c', 'QUERY_STRING': 'd'}, '/a%2Fb?c'),
    ],
)
def test_the_target_of_an_environ(items: dict[str, str], url: str) -> None:
    assert request_from({**ENVIRON, **items}).url == url


def test_the_headers_of_an_environ() -> None:
    request = request_from({
        **ENVIRON, 'HTTP_X_OWN': 'a', 'HTTP_HOST': 'localhost', 'CONTENT_TYPE': '', 'CONTENT_LENGTH': '0',
        'wsgi.version': (1, 0), 'X': 'b', 'HTTPS': 'on',
    })  # fmt: skip
    assert request.headers == {'x-own': 'a', 'host': 'localhost', 'content-length': '0'}
    assert request.rawHeaders == ['x-own', 'a', 'host', 'localhost', 'content-length', '0']


@pytest.mark.parametrize(
    ('items', 'status'),
    [
        ({'HTTP_X': 'a\r\nEvil: b'}, 400),
        ({'HTTP_X': '\u20ac'}, 400),
        ({'HTTP_X': '\ud800'}, 400),
        ({'HTTP_X\r\nEvil: ': 'a'}, 400),
        ({'HTTP_': 'a'}, 400),
        ({'HTTP_\xc9': 'a'}, 400),
        ({'PATH_INFO': '/\u20ac'}, 400),
        ({'PATH_INFO': '/\ud800'}, 400),
        ({'QUERY_STRING': '\xe9'}, 400),
        ({'QUERY_STRING': 'a b'}, 400),
        ({'RAW_URI': '/\udcff'}, 400),
        ({'REQUEST_METHOD': ''}, 400),
        ({'REQUEST_METHOD': 'GET /a HTTP/1.1\r\nX: '}, 400),
        ({'SERVER_PROTOCOL': 'HTTP/2'}, 400),
        ({'SERVER_PROTOCOL': 'HTTP/2.0'}, 505),
        ({'CONTENT_LENGTH': 'x'}, 400),
        ({'HTTP_X': 'a' * MAX_HEAD}, 431),
        ({'PATH_INFO': 'a' * MAX_HEAD}, 414),
    ],
)
def test_environs_that_are_refused(items: dict[str, str], status: int) -> None:
    with pytest.raises(HandshakeError) as caught:
        request_from({**ENVIRON, **items})
    assert caught.value.status == status


@pytest.mark.parametrize(
    'source', [None, 'GET / HTTP/1.1', {}, {'headers': {}}, flask_app(), http.client.HTTPMessage()]
)
def test_what_is_no_request(source: object) -> None:
    with pytest.raises(
        TypeError, match=f'must be a BaseHTTPRequestHandler or a WSGI environ, not {type(source).__name__}'
    ):
        request_from(source)


@pytest.mark.parametrize('site', ['Flask'], indirect=True)
def test_the_session_of_a_flask_app_is_there_for_an_upgrade(site: Site) -> None:
    app = site.httpd.app

    @app.route('/login')
    def login() -> str:
        flask.session['user'] = 'ann'
        return 'welcome'

    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    page = site.page('/login').decode()
    cookie = next(line for line in page.split('\r\n') if line.startswith('Set-Cookie: ')).split()[1]
    with site.connection() as client:
        client.sendall((HANDSHAKE % b'/chat?room=1').replace(b'\r\n\r\n', f'\r\nCookie: {cookie}\r\n\r\n'.encode()))
        request, sock, _ = taken.get()
        sock.close()
    with app.request_context(request.environ):
        assert flask.session['user'] == 'ann'
        assert flask.request.args['room'] == '1'
        assert flask.request.path == '/chat'
