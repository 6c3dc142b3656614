"""WebSockets on the port of an HTTP server: pages go on as before, connections leave the server, nothing is left."""

from __future__ import annotations

import functools
import http.client
import logging
import os
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

import flask
import pytest
import trustme
import werkzeug.serving
from sites import (
    KEEP_ALIVE,
    LOCAL,
    SERVERS,
    Pages,
    Site,
    application,
    flask_app,
    serving,
)
from support import HANDSHAKE, TIMEOUT, Waiter, read_all, read_head

from ws.errors import HandshakeError, WebSocketError
from ws.protocol.http import MAX_HEAD, Request, RequestParser
from ws.server.http_server import attach, detach, request_from


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    return context


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, authority: trustme.CA, server_context: Any) -> Iterator[Site]:
    site = Site(SERVERS[request.param](tmp_path, server_context), authority)
    site.start()
    yield site
    site.stop()
    assert site.errors.nothing(0), 'the server met an exception that the test did not expect'


each_server = pytest.mark.parametrize('site', list(SERVERS), indirect=True)
each_keep_alive = pytest.mark.parametrize('site', KEEP_ALIVE, indirect=True)
http_server = pytest.mark.parametrize('site', ['HTTPServer'], indirect=True)
plain_and_tls = pytest.mark.parametrize(
    'site', ['HTTPServer', 'ThreadingHTTPServer', 'ThreadingHTTPServer with TLS', 'Werkzeug with TLS'], indirect=True
)


def read(sock: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        assert chunk, f'the connection ended after {data!r}'
        data += chunk
    return data


def talk(a: socket.socket, b: socket.socket) -> None:
    """Data goes both ways."""
    a.sendall(b'ping')
    assert read(b, 4) == b'ping'
    b.sendall(b'pong')
    assert read(a, 4) == b'pong'


# -- pages and WebSockets on one port ---------------------------------------------------------------------------------


@each_server
def test_pages_and_upgrades_on_one_port(site: Site) -> None:
    """Items 98 and 99. The worker is free at once: servers without threads serve the next page meanwhile."""
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    assert site.has_page('/before')
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat?x=1')
        request, sock, head = taken.get()
        with sock:
            assert (request.method, request.url, request.path, head) == ('GET', '/chat?x=1', '/chat', b'')
            assert request.headers['Sec-WebSocket-Key'] == 'dGhlIHNhbXBsZSBub25jZQ=='
            assert site.has_page('/chat')
            talk(client, sock)
        assert read_all(client) == b''
    assert site.has_page('/after')


@each_server
def test_the_socket_outlives_the_server(site: Site) -> None:
    taken = Waiter()
    attach(site.httpd, None, taken)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/')
        _, sock, _ = taken.get()
        with sock:
            site.stop()
            talk(client, sock)
            detach(site.httpd, None)
            talk(client, sock)


@each_server
def test_a_socket_closed_at_once_is_closed(site: Site) -> None:
    """Also where the server still holds it."""
    attach(site.httpd, None, lambda request, sock, head: sock.close())
    for _ in range(3):
        with site.connection() as client:
            client.sendall(HANDSHAKE % b'/')
            assert read_all(client) == b''


@each_keep_alive
def test_an_upgrade_as_second_request_of_a_connection(site: Site) -> None:
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(b'GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n')
        assert read_head(client).startswith(b'HTTP/1.1 200 ')
        assert read(client, 10) == b'page /page'
        client.sendall(HANDSHAKE % b'/chat')
        _, sock, _ = taken.get()
        with sock:
            talk(client, sock)


@each_keep_alive
def test_an_upgrade_sent_along_with_the_request_before(site: Site) -> None:
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(b'GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n' + HANDSHAKE % b'/chat' + b'head')
        _, sock, head = taken.get()
        with sock:
            assert head == b'head'
            assert read_head(client).startswith(b'HTTP/1.1 200 ')
            assert read(client, 10) == b'page /page'
            talk(client, sock)


@each_server
def test_what_follows_the_request_is_the_head(site: Site) -> None:
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat' + b'\x81\x05Hello')
        _, sock, head = taken.get()
        with sock:
            assert head == b'\x81\x05Hello'
            talk(client, sock)


@each_server
def test_nothing_is_lost_or_left_behind_of_what_comes_right_after(site: Site) -> None:
    """A TLS record is decrypted whole: what is not taken at once, no poller would tell of."""
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    frames = bytes(range(250)) * 60
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat' + frames)
        client.sendall(b'later')
        _, sock, head = taken.get()
        with sock:
            assert not site.tls or not sock.pending()
            data = head + read(sock, len(frames) + 5 - len(head))
            assert data == frames + b'later'
            talk(client, sock)


def test_a_client_that_has_gone_again_is_found_gone() -> None:
    taken = Waiter()
    with serving(HTTPServer(LOCAL, Pages)) as site:
        attach(site.httpd, '/chat', taken)
        with site.connection() as client:
            client.sendall(HANDSHAKE % b'/chat')
            client.shutdown(socket.SHUT_WR)
            _, sock, head = taken.get()
            with sock:
                assert head == b''
                assert sock.recv(1) == b''
                sock.sendall(b'bye')
            assert read_all(client) == b'bye'


@pytest.mark.parametrize('site', ['ThreadingHTTPServer with TLS'], indirect=True)
def test_a_tls_client_that_has_gone_again_is_found_gone(site: Site) -> None:
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat')
        client.shutdown(socket.SHUT_WR)
        _, sock, head = taken.get()
        with sock:
            assert head == b''
            assert sock.recv(1) == b''


@plain_and_tls
def test_timeouts_do_not_remain(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    handler: Any = site.httpd.RequestHandlerClass
    monkeypatch.setattr(handler, 'timeout', TIMEOUT)
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat')
        _, sock, _ = taken.get()
        with sock:
            assert sock.gettimeout() is None
            assert os.get_blocking(sock.fileno())


@pytest.mark.parametrize('upgrade', [b'WebSocket', b'WEBSOCKET', b' websocket\t'])
@http_server
def test_upgrade_is_found_in_any_case(site: Site, upgrade: bytes) -> None:
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(b'GET /chat HTTP/1.1\r\nHost: a\r\nuPGRADE:%b\r\nConnection: Upgrade\r\n\r\n^n:ds[4U' % upgrade)
        _, sock, head = taken.get()
        sock.close()
        assert head == b'^n:ds[4U', 'the third key of Hixie-76'


@pytest.mark.parametrize('lines', ['', 'Upgrade: h2c\r\n', 'Upgrade:\r\n', 'X-Upgrade: websocket\r\n'])
@each_server
def test_other_requests_are_the_servers(site: Site, lines: str) -> None:
    attach(site.httpd, None, lambda request, sock, head: pytest.fail('this is no WebSocket'))
    assert site.has_page('/page', lines)


# -- paths ------------------------------------------------------------------------------------------------------------


@each_server
def test_each_path_has_its_own(site: Site) -> None:
    """Item 101."""
    one, two, rest = Waiter(), Waiter(), Waiter()
    for path, taken in (('/one', one), ('/two', two), (None, rest)):
        attach(site.httpd, path, taken)
    for url, taken in ((b'/two?a=/one', two), (b'/one', one), (b'/three', rest), (b'/one/', rest), (b'/ONE', rest)):
        with site.connection() as client:
            client.sendall(HANDSHAKE % url)
            request, sock, _ = taken.get()
            sock.close()
            assert request.url == url.decode()


@each_server
def test_a_path_that_nobody_claims_is_refused(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    attach(site.httpd, '/chat', lambda request, sock, head: pytest.fail('not our path'))
    with caplog.at_level(logging.INFO, 'ws.handshake'), site.connection() as client:
        client.sendall(HANDSHAKE % b'/other')
        answer = read_all(client)
    assert answer.startswith(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n')
    assert answer.endswith(b'\r\n\r\nBad Request')
    [line] = [record.getMessage() for record in caplog.records if record.name == 'ws.handshake']
    assert line.endswith('refused: 400 Bad Request, path /other')
    assert site.has_page('/other')


@pytest.mark.parametrize('path', ['/one', None])
def test_a_path_is_attached_once(path: Optional[str]) -> None:
    """Item 102."""
    with HTTPServer(LOCAL, Pages) as httpd:
        attach(httpd, path, print)
        attach(httpd, '/two', print)
        with pytest.raises(
            WebSocketError, match=r'^two instances of WebSocketServer cannot listen on the same http server path$'
        ):
            attach(httpd, path, print)
        assert len(httpd._webSocketPaths) == 2  # type: ignore[attr-defined]  # as Node has it


def test_after_the_last_path_the_server_is_as_before() -> None:
    """Item 105."""
    with HTTPServer(LOCAL, Pages) as httpd:
        before = dict(vars(httpd))
        attach(httpd, '/one', print)
        attach(httpd, None, print)
        assert vars(httpd)['_webSocketPaths'] == {'/one': print, None: print}
        assert httpd.RequestHandlerClass is not Pages
        assert httpd.RequestHandlerClass.__name__ == 'Pages'
        detach(httpd, '/one')
        assert vars(httpd)['_webSocketPaths'] == {None: print}
        detach(httpd, None)
        assert vars(httpd) == before


def test_detaching_what_is_not_attached_does_nothing() -> None:
    with HTTPServer(LOCAL, Pages) as httpd:
        detach(httpd, '/one')
        attach(httpd, '/one', print)
        detach(httpd, '/two')
        detach(httpd, None)
        assert vars(httpd)['_webSocketPaths'] == {'/one': print}
        detach(httpd, '/one')
        detach(httpd, '/one')


def test_detaching_from_a_closed_server() -> None:
    httpd = HTTPServer(LOCAL, Pages)
    attach(httpd, '/one', print)
    httpd.server_close()
    detach(httpd, '/one')
    assert httpd.RequestHandlerClass is Pages


def test_a_handler_the_user_has_put_in_meanwhile_stays() -> None:
    with HTTPServer(LOCAL, Pages) as httpd:
        attach(httpd, '/one', print)
        httpd.RequestHandlerClass = SimpleHTTPRequestHandler
        detach(httpd, '/one')
        assert httpd.RequestHandlerClass is SimpleHTTPRequestHandler


@each_keep_alive
def test_a_connection_older_than_the_detaching_is_served_on(site: Site) -> None:
    """By a handler that was made before; what asks for a WebSocket is a page to it again."""
    attach(site.httpd, '/chat', lambda request, sock, head: pytest.fail('detached'))
    with site.connection() as client:
        client.sendall(b'GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n')
        assert read_head(client).startswith(b'HTTP/1.1 200 ')
        assert read(client, 10) == b'page /page'
        detach(site.httpd, '/chat')
        client.sendall(HANDSHAKE % b'/chat')
        assert read_head(client).startswith(b'HTTP/1.1 200 ')
        assert read(client, 10) == b'page /chat'


@each_server
def test_detached_while_the_socket_changes_hands(site: Site) -> None:
    """A WebSocketServer that is closed by its first connection says good-bye to it all the same."""
    taken = Waiter()

    def take(*args: Any) -> None:
        detach(site.httpd, '/chat')
        taken(*args)

    attach(site.httpd, '/chat', take)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat')
        _, sock, _ = taken.get()
        assert site.has_page('/page'), 'the server has come to the end of the request, if it has no threads'
        with sock:
            talk(client, sock)


def test_attaching_and_detaching_while_requests_run() -> None:
    with serving(ThreadingHTTPServer(LOCAL, Pages)) as site:
        done = threading.Event()

        def come_and_go(path: str) -> None:
            while not done.is_set():
                attach(site.httpd, path, lambda request, sock, head: sock.close())
                detach(site.httpd, path)

        threads = [threading.Thread(target=come_and_go, args=[f'/{number}']) for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(50):
                assert site.has_page('/page')
                with site.connection() as client:
                    client.sendall(HANDSHAKE % b'/0')
                    client.shutdown(socket.SHUT_WR)
                    assert read_all(client)[9:12] in (b'', b'200', b'400')
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert '_webSocketPaths' not in vars(site.httpd)
        assert site.httpd.RequestHandlerClass is Pages
        assert site.errors.nothing(0)


# -- what goes wrong --------------------------------------------------------------------------------------------------


@each_server
def test_an_exception_of_the_taker_is_the_servers_to_handle(site: Site) -> None:
    problem = ConnectionError('no room')  # of a kind that servers pass over in silence when a handler raises it

    def take(request: Request, sock: socket.socket, head: bytes) -> None:
        raise problem

    attach(site.httpd, '/chat', take)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat')
        assert read_all(client) == b''
    assert site.errors.get() == (problem,)
    assert site.has_page('/page')


@pytest.mark.parametrize(
    ('request_line', 'lines', 'status'),
    [
        (b'GET /chat HTTP/1.1', b'Host: a\r\nX: folded\r\n value', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nX: \x01', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nX: a\rb', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nno colon', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nX : blank', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\n: nameless', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nX(: b', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nFrom a b', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nhost: b', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nContent-Length: x', b'400'),
        (b'GET /chat HTTP/1.1', b'Host: a\r\nX: ' + b'a' * MAX_HEAD, b'431'),
        (b'GET /' + b'a' * MAX_HEAD + b' HTTP/1.1', b'Host: a', b'414'),
        (b'GET /caf\xe9 HTTP/1.1', b'Host: a', b'400'),
        (b'GET  /chat HTTP/1.1', b'Host: a', b'400'),
        (b'GET /chat', b'Host: a', b'400'),
    ],
)
@pytest.mark.parametrize('site', ['HTTPServer', 'ThreadingHTTPServer with TLS', 'wsgiref', 'Flask'], indirect=True)
def test_what_our_parser_refuses_is_refused(site: Site, request_line: bytes, lines: bytes, status: bytes) -> None:
    attach(site.httpd, None, lambda request, sock, head: pytest.fail('not to be taken'))
    with site.connection() as client:
        client.sendall(request_line + b'\r\nUpgrade: websocket\r\n' + lines + b'\r\n\r\n')
        head = read_head(client)
        assert head[9:12] == status
        assert b'\r\nConnection: close\r\n' in head
        assert read_all(client)
    assert site.has_page('/page')


@pytest.mark.parametrize('lines', [b'From a b\r\nUpgrade: websocket', b' folded\r\nUpgrade: websocket'])
@http_server
def test_what_pythons_parser_would_pass_over_is_refused(site: Site, lines: bytes) -> None:
    attach(site.httpd, None, lambda request, sock, head: pytest.fail('not to be taken'))
    with site.connection() as client:
        client.sendall(b'GET /chat HTTP/1.1\r\n' + lines + b'\r\n\r\n')
        assert read_head(client).startswith(b'HTTP/1.1 400 ')


@http_server
def test_what_pythons_parser_refuses_is_answered_by_it(site: Site) -> None:
    attach(site.httpd, None, lambda request, sock, head: pytest.fail('not to be taken'))
    with site.connection() as client:
        client.sendall(b'GET /chat HTTP/9.9\r\nUpgrade: websocket\r\n\r\n')
        assert b'Error code: 505' in read_all(client)  # Python 3.9 sends no head


def test_a_client_that_does_not_wait_for_its_refusal_harms_nobody() -> None:
    parsed, gone = threading.Event(), threading.Event()

    class Slow(Pages):
        def parse_request(self) -> bool:
            result = super().parse_request()
            parsed.set()
            gone.wait(TIMEOUT)
            return result

    with serving(HTTPServer(LOCAL, Slow)) as site:
        attach(site.httpd, '/chat', lambda request, sock, head: pytest.fail('not our path'))
        with site.connection() as client:
            client.sendall(HANDSHAKE % b'/other')
            assert parsed.wait(TIMEOUT)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # close() resets
        gone.set()
        assert site.has_page('/page')
        assert site.errors.nothing(0)


# -- servers of other shapes ------------------------------------------------------------------------------------------


def upgraded(site: Site, rest: bytes = b'') -> None:
    """An upgrade works, and so does a page after it."""
    taken = Waiter()
    attach(site.httpd, '/chat', taken)
    with site.connection() as client:
        client.sendall(HANDSHAKE % b'/chat' + rest)
        _, sock, head = taken.get()
        with sock:
            assert head + read(sock, len(rest) - len(head)) == rest
            talk(client, sock)
    detach(site.httpd, '/chat')


def test_a_handler_made_by_partial(tmp_path: Path) -> None:
    class Files(SimpleHTTPRequestHandler):
        log_message = Pages.log_message

    (tmp_path / 'page').write_text('page /page')
    handler = functools.partial(Files, directory=str(tmp_path))
    with serving(HTTPServer(LOCAL, handler)) as site:
        upgraded(site)
        assert site.has_page('/page')
        attach(site.httpd, None, print)
        assert site.has_page('/page')
        detach(site.httpd, None)
        assert site.httpd.RequestHandlerClass is handler


@pytest.mark.parametrize(('rbufsize', 'wbufsize'), [(0, 0), (-1, -1), (0, -1)])
def test_handlers_with_other_buffers(rbufsize: int, wbufsize: int) -> None:
    handler = type('Buffered', (Pages,), {'rbufsize': rbufsize, 'wbufsize': wbufsize})
    with serving(ThreadingHTTPServer(LOCAL, handler)) as site:
        upgraded(site, b'rest')
        assert site.has_page('/page')
        assert site.errors.nothing(0)


def test_what_a_handler_has_written_before_is_sent_before() -> None:
    handler = type('Buffered', (Pages,), {'wbufsize': -1})
    taken = Waiter()
    with serving(ThreadingHTTPServer(LOCAL, handler)) as site:
        attach(site.httpd, '/chat', taken)
        with site.connection() as client:
            client.sendall((HANDSHAKE % b'/chat').replace(b'\r\n\r\n', b'\r\nExpect: 100-continue\r\n\r\n'))
            _, sock, _ = taken.get()
            with sock:
                assert read_head(client) == b'HTTP/1.1 100 Continue\r\n\r\n'
                talk(client, sock)
        assert site.errors.nothing(0)


def test_what_the_servers_own_class_does_at_the_end_of_a_request_is_done() -> None:
    ended = Waiter()

    class Counting(HTTPServer):
        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            ended(request)

    with serving(Counting(LOCAL, Pages)) as site:
        upgraded(site)
        assert ended.get()[0].fileno() == -1


def test_a_handler_that_parses_in_its_own_way() -> None:
    class Rewriting(Pages):
        def parse_request(self) -> bool:
            parsed = super().parse_request()
            self.path = f'/v1{self.path}'
            return parsed

    with serving(HTTPServer(LOCAL, Rewriting)) as site:
        upgraded(site)
        assert b'page /v1/page' in site.page('/page')


class NoHTTP(socketserver.StreamRequestHandler):
    pass


@pytest.mark.parametrize(
    ('make', 'text'),
    [
        (lambda: 8080, 'server must be an HTTP server based on socketserver.BaseServer, not int'),
        (flask_app, 'server must be an HTTP server based on socketserver.BaseServer, not Flask'),
        (lambda: HTTPServer, 'server must be an HTTP server based on socketserver.BaseServer, not type'),
        (
            lambda: socketserver.TCPServer(LOCAL, NoHTTP),
            'RequestHandlerClass .* must be a BaseHTTPRequestHandler, .*NoHTTP',
        ),
        (
            lambda: HTTPServer(LOCAL, lambda *args: None),
            'RequestHandlerClass .* must be a BaseHTTPRequestHandler, .*lambda',
        ),  # type: ignore[arg-type, return-value]
    ],
)
def test_what_is_no_http_server(make: Callable[[], Any], text: str) -> None:
    httpd = make()
    with pytest.raises(TypeError, match=text):
        attach(httpd, '/', print)
    assert not hasattr(httpd, '_webSocketPaths')
    if isinstance(httpd, socketserver.BaseServer):
        httpd.server_close()


@pytest.mark.skipif(not hasattr(socketserver, 'ForkingMixIn'), reason='the system knows no fork')
def test_servers_that_fork_are_refused() -> None:
    class ForkingHTTPServer(socketserver.ForkingMixIn, HTTPServer):
        pass

    for httpd in (
        ForkingHTTPServer(LOCAL, Pages),
        werkzeug.serving.make_server('127.0.0.1', 0, application, processes=2),
    ):
        with pytest.raises(TypeError, match='server must not fork: the WebSockets would be in its child processes'):
            attach(httpd, '/', print)
        httpd.server_close()


# -- requests ---------------------------------------------------------------------------------------------------------


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
