"""Views that turn their request into a WebSocket, in hosts of this process; those in others are in test/hosts."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Optional
from wsgiref import simple_server

import django.conf
import flask
import pytest
import trustme
import werkzeug.serving
import werkzeug.test
from asgiref.wsgi import WsgiToAsgi
from django.core.handlers.asgi import ASGIRequest
from django.core.servers import basehttp
from sites import LOCAL, QuietWSGIHandler, Site
from support import HANDSHAKE, TIMEOUT, Waiter, end, no_server, on_loop, read_all, read_head, until

from ws import WebSocket, WebSocketError, WebSocketServer
from ws.protocol.http import RequestParser
from ws.server import views

if not django.conf.settings.configured:
    django.conf.settings.configure()


class QuietDjangoHandler(basehttp.WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class QuietWerkzeugHandler(werkzeug.serving.WSGIRequestHandler):
    def log(self, kind: str, message: str, *args: object) -> None:
        assert kind != 'error', message % args


def of_django(application: Any, context: ssl.SSLContext) -> Any:
    httpd = basehttp.ThreadedWSGIServer(LOCAL, QuietDjangoHandler)
    httpd.set_app(application)
    return httpd


def of_wsgiref(application: Any, context: ssl.SSLContext) -> Any:
    return simple_server.make_server('127.0.0.1', 0, application, handler_class=QuietWSGIHandler)


def of_wsgiref_with_tls(application: Any, context: ssl.SSLContext) -> Any:
    httpd = of_wsgiref(application, context)
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    return httpd


def of_werkzeug(application: Any, context: ssl.SSLContext, **options: Any) -> Any:
    return werkzeug.serving.make_server(
        '127.0.0.1', 0, application, threaded=True, request_handler=QuietWerkzeugHandler, **options
    )


HOSTS: dict[str, Callable[[Any, ssl.SSLContext], Any]] = {
    'Werkzeug': of_werkzeug,
    'Werkzeug with TLS': lambda application, context: of_werkzeug(application, context, ssl_context=context),
    'wsgiref': of_wsgiref,
    'wsgiref with TLS': of_wsgiref_with_tls,
    'Django': of_django,
}
each_host = pytest.mark.parametrize('host', list(HOSTS))


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.contextmanager
def site_of(host: str, authority: trustme.CA, view: Callable[[Any], Any]) -> Iterator[Site]:
    """A Flask application with that view, and a page, in that host."""
    app = flask.Flask(__name__)
    app.add_url_rule('/socket', 'socket', lambda: view(flask.request), websocket=True)
    app.add_url_rule('/page', 'page', lambda: 'page /page')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    site = Site(HOSTS[host](app, context), authority)
    site.start()
    try:
        yield site
    finally:
        site.stop()
    assert site.errors.nothing(0)


def frame(text: bytes) -> bytes:
    """A masked one; the mask changes nothing."""
    return bytes([0x81, 0x80 | len(text)]) + b'\0\0\0\0' + text


@each_host
def test_a_view(host: str, authority: trustme.CA, capfd: pytest.CaptureFixture[str]) -> None:
    """What comes ahead is not lost, what the host does afterwards harms nobody, and it says nothing about it."""
    connected, messages = Waiter(), Waiter()
    with no_server() as wss, site_of(host, authority, wss.handleUpgrade) as site:

        @wss.on('connection')
        def connection(ws: WebSocket, request: Any) -> None:
            ws.on('message', messages)
            connected(ws, request)

        with site.connection() as sock:
            sock.sendall(HANDSHAKE % b'/socket?a=b' + frame(b'one') + frame(b'two'))
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            ws, request = connected.get()
            assert request.url == '/socket?a=b'
            assert request.connection.encrypted == site.tls
            assert [messages.get()[0] for _ in range(2)] == ['one', 'two']
            for _ in range(3):
                assert site.has_page('/page')
            until(lambda: threads_of(site) == 0)
            sock.sendall(frame(b'three'))
            assert messages.get()[0] == 'three'
            ws.send('hello')
            assert sock.recv(100) == b'\x81\x05hello'
            end(ws)
            assert read_all(sock) == b''
    output = ''.join(capfd.readouterr())
    assert output == ''


def threads_of(site: Site) -> int:
    """How many are still at a request."""
    return sum('process_request_thread' in thread.name for thread in threading.enumerate())


@each_host
def test_refusals_are_answered_on_the_connection(host: str, authority: trustme.CA) -> None:
    with no_server(verifyClient=lambda info: False) as wss, site_of(host, authority, wss.handleUpgrade) as site:
        wss.on('connection', lambda: pytest.fail('connected'))
        for request, status in (HANDSHAKE, b'401'), (HANDSHAKE.replace(b'Version: 13', b'Version: 99'), b'400'):
            with site.connection() as sock:
                sock.sendall(request % b'/socket')
                assert read_all(sock).startswith(b'HTTP/1.1 ' + status)


@each_host
def test_a_server_that_is_closed_answers(host: str, authority: trustme.CA) -> None:
    with no_server() as wss:
        pass
    with site_of(host, authority, wss.handleUpgrade) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/socket')
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')


@each_host
def test_whatever_the_view_returns_the_client_does_not_get_it(host: str, authority: trustme.CA) -> None:
    """However much it is."""

    def view(request: Any) -> Any:
        wss.handleUpgrade(request, connected)
        return b'x' * 5_000_000

    connected = Waiter()
    with no_server() as wss, site_of(host, authority, view) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/socket')
        ws = connected.get()[0]
        read_head(sock)
        until(lambda: threads_of(site) == 0)
        ws.send('hello')
        assert sock.recv(100) == b'\x81\x05hello'
        end(ws)
        assert read_all(sock) == b''


@each_host
def test_a_connection_is_given_away_once(host: str, authority: trustme.CA) -> None:
    def view(request: Any) -> Any:
        response = wss.handleUpgrade(request, connected)
        try:
            wss.handleUpgrade(request, connected)
        except ValueError as error:
            errors(str(error))
        return response

    connected, errors = Waiter(), Waiter()
    with no_server() as wss, site_of(host, authority, view) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/socket')
        (text,) = errors.get()
        assert text.startswith('server.handleUpgrade() was called more than once with the same socket')
        connected.get()[0].send('hello')
        read_head(sock)
        assert sock.recv(100) == b'\x81\x05hello'


@pytest.mark.parametrize('host', ['Werkzeug', 'Werkzeug with TLS'])
def test_with_the_socket_of_the_host(host: str, authority: trustme.CA) -> None:
    """What is found by itself may also be named."""

    def view(request: Any) -> Any:
        return wss.handleUpgrade(request.environ, request.environ['werkzeug.socket'], b'', connected)

    def connected(ws: WebSocket) -> None:
        ws.on('message', lambda message: messages(ws, message))

    messages = Waiter()
    with no_server() as wss, site_of(host, authority, view) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/socket' + frame(b'ahead'))
        ws, message = messages.get()
        assert message == 'ahead'
        end(ws)


@each_host
def test_a_client_that_is_gone(host: str, authority: trustme.CA) -> None:
    """Nobody is told."""

    def view(request: Any) -> Any:
        called.set()
        assert go_on.wait(TIMEOUT)
        response = wss.handleUpgrade(request)
        done.set()
        return response

    called, go_on, done = threading.Event(), threading.Event(), threading.Event()
    with no_server() as wss, site_of(host, authority, view) as site:
        wss.on('connection', lambda: pytest.fail('connected'))
        with site.connection() as sock:
            sock.sendall(HANDSHAKE % b'/socket')
            assert called.wait(TIMEOUT)
        go_on.set()
        assert done.wait(TIMEOUT)
        on_loop(wss, lambda: None)


@pytest.mark.parametrize('put', [views._put_descriptor, views._put_into_object])
def test_what_the_host_keeps(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose client has gone: nothing to read, and an error that says so. It is safe to close."""
    monkeypatch.setattr(views, '_put_in_place', put)
    with socket.create_server(('127.0.0.1', 0)) as listener:
        here = socket.create_connection(listener.getsockname(), timeout=TIMEOUT)
        there = listener.accept()[0]
    with here:
        file = there.makefile('rb')
        taken = views._leave_dead(there)
        assert file.read() == b''
        assert there.recv(1) == b''
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                there.sendall(b'x')
        assert there.fileno() >= 0 and not os.get_inheritable(there.fileno())
        there.setblocking(False)
        there.shutdown(socket.SHUT_WR)
        file.close()
        there.close()
        with taken:
            assert taken.getpeername() == here.getsockname()
            assert taken.getblocking() and not taken.get_inheritable()
            here.sendall(b'ping')
            assert taken.recv(100) == b'ping'
            taken.sendall(b'pong')
            assert here.recv(100) == b'pong'


# -- what is returned to the host -------------------------------------------------------------------------------------


class DjangoRequest(SimpleNamespace):
    """What counts of one of Django's."""


def test_the_response_for_django() -> None:
    response = views.response_for(DjangoRequest(META={}, environ={}))
    assert isinstance(response, django.http.HttpResponse)
    assert (response.status_code, response.content) == (101, b'')


@pytest.mark.parametrize('request_', [{}, SimpleNamespace(environ={})])
def test_the_response_for_others_is_a_wsgi_application(request_: Any) -> None:
    response = views.response_for(request_)
    chunks, status, _headers = werkzeug.test.run_wsgi_app(response, {})
    assert (b''.join(chunks), status) == (b'', '101 Switching Protocols')
    assert flask.Flask(__name__).response_class.force_type(response, {}).status_code == 101


# -- hosts that keep their connections --------------------------------------------------------------------------------

ENVIRON = {
    'REQUEST_METHOD': 'GET',
    'PATH_INFO': '/',
    'SERVER_PROTOCOL': 'HTTP/1.1',
    'wsgi.input': io.BytesIO(),
}


@pytest.mark.parametrize(
    ('request_', 'name'),
    [
        ({**ENVIRON, 'SERVER_SOFTWARE': 'waitress'}, 'waitress'),
        ({**ENVIRON, 'uwsgi.version': b'2.0'}, 'uWSGI'),
        ({**ENVIRON, 'mod_wsgi.version': (5, 0)}, 'mod_wsgi'),
        ({**ENVIRON, 'asgi.scope': {}}, 'ASGI'),
        (ENVIRON, 'this host'),
        (SimpleNamespace(environ=ENVIRON), 'this host'),
        (SimpleNamespace(META={}, environ=ENVIRON), 'this host'),
        (SimpleNamespace(META={}, scope={'type': 'http'}), 'ASGI'),
        (SimpleNamespace(scope={'type': 'websocket'}), 'ASGI'),
        ({'type': 'http', 'asgi': {}}, 'ASGI'),
        ({**ENVIRON, 'SERVER_PROTOCOL': 'HTTP/2.0', 'gunicorn.socket': socket.socket, 'SERVER_SOFTWARE': 'g'}, 'g'),
        ({**ENVIRON, 'gunicorn.socket': object()}, 'this host'),
    ],
)
def test_hosts_that_give_no_connection_away(request_: Any, name: str) -> None:
    """It says so, and what to do instead."""
    with no_server() as wss, pytest.raises(WebSocketError) as caught:
        wss.handleUpgrade(request_)
    assert str(caught.value).startswith(f'{name}')
    assert 'keeps its connections' in str(caught.value)
    assert 'run gunicorn with threads, or give the WebSocketServer a port of its own' in str(caught.value)


def test_a_test_client() -> None:
    app = flask.Flask(__name__)
    app.testing = True
    app.add_url_rule('/socket', 'socket', lambda: wss.handleUpgrade(flask.request))
    with no_server() as wss, pytest.raises(WebSocketError, match=r'a test client'):
        app.test_client().get('/socket')


def test_django_under_asgi() -> None:
    scope = {'type': 'http', 'method': 'GET', 'path': '/', 'headers': [], 'query_string': b''}
    with no_server() as wss, pytest.raises(WebSocketError, match=r'^ASGI keeps its connections'):
        wss.handleUpgrade(ASGIRequest(scope, io.BytesIO()))


def test_flask_under_asgi() -> None:
    app = flask.Flask(__name__)
    app.testing = True
    app.add_url_rule('/socket', 'socket', lambda: wss.handleUpgrade(flask.request))
    scope = {
        'type': 'http', 'method': 'GET', 'path': '/socket', 'headers': [], 'query_string': b'', 'http_version': '1.1',
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {'type': 'http.request', 'body': b''}

    async def send(message: dict[str, Any]) -> None:
        pytest.fail('answered')

    with no_server() as wss, pytest.raises(WebSocketError, match='ASGI behind an adapter'):
        asyncio.run(WsgiToAsgi(app)(scope, receive, send))


@pytest.mark.loop
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_in_the_child_of_a_fork(authority: trustme.CA) -> None:
    """The server goes on there, without the parent's connections; and so it does in a child's child."""
    connected, messages = Waiter(), Waiter()
    with no_server() as wss, site_of('wsgiref', authority, wss.handleUpgrade) as site, site.connection() as sock:
        wss.on('connection', lambda ws: (ws.send(str(len(wss.clients))), ws.on('message', messages), connected(ws)))
        sock.sendall(HANDSHAKE % b'/socket')
        ws = connected.get()[0]
        read_head(sock)
        assert sock.recv(100) == b'\x81\x011'
        for depth in 1, 2:
            here, there = socket.socketpair()
            with here:
                here.settimeout(TIMEOUT)
                child = fork_and_serve(wss, there, here, depth)
                there.close()
                assert read_head(here).startswith(b'HTTP/1.1 101 ')
                here.sendall(b'\x88\x82\0\0\0\0\x03\xe9')
                assert read_all(here) == b'\x81\x011\x88\x02\x03\xe9'
            assert os.waitpid(child, 0)[1] == 0
        sock.sendall(frame(b'parent'))
        assert messages.get()[0] == 'parent'
        end(ws)


def fork_and_serve(wss: WebSocketServer, sock: socket.socket, other: socket.socket, depth: int) -> int:
    """In that many forks, one by the other, take the connection, and close; returns the first one's process."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        other.close()
        if depth > 1:
            status = os.waitpid(fork_and_serve(wss, sock, other, depth - 1), 0)[1]
        else:
            taken, closed = threading.Event(), threading.Event()
            wss.on('connection', lambda: taken.set())
            wss.handleUpgrade(RequestParser().feed(HANDSHAKE % b'/socket'), sock)
            taken.wait(TIMEOUT)
            wss.close(lambda *error: closed.set())
            status = int(not closed.wait(TIMEOUT))
    finally:
        os._exit(status)


@pytest.mark.parametrize('request_', [None, 'x', object(), {}, SimpleNamespace(environ=None)])
def test_what_is_no_request(request_: Optional[Any]) -> None:
    with no_server() as wss, pytest.raises(TypeError, match='a request must be'):
        wss.handleUpgrade(request_)
