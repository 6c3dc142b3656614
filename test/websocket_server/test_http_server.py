"""WebSocketServer on the port of an HTTP server."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import trustme
from sites import SERVERS, Site
from support import HANDSHAKE, TIMEOUT, Log, Waiter, read_all, read_head, server, until, wait_for, wait_for_end

from ws import WebSocketError, WebSocketServer, delivery
from ws.server.listening import address_of


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    site = Site(SERVERS[request.param](tmp_path, context), authority)
    site.start()
    yield site
    site.stop()
    assert site.errors.nothing(0), 'the HTTP server met an exception'


each_server = pytest.mark.parametrize('site', list(SERVERS), indirect=True)
http_server = pytest.mark.parametrize('site', ['ThreadingHTTPServer'], indirect=True)


@contextlib.contextmanager
def on(site: Site, **options: Any) -> Iterator[WebSocketServer]:
    wss = WebSocketServer({'server': site.httpd, 'closeTimeout': 2000, **options})
    yield wss
    wait_for_end(wss)


def talk(sock: socket.socket, path: bytes, greeting: bytes) -> None:
    sock.sendall(HANDSHAKE % path)
    assert read_head(sock).startswith(b'HTTP/1.1 101 ')
    assert sock.recv(100) == bytes([0x81, len(greeting)]) + greeting


@each_server
def test_pages_and_two_servers_on_one_port(site: Site) -> None:
    """Items 98, 99, 101, 104 and 105."""
    with on(site, path='/a') as a, on(site, path='/b') as b:
        a.on('connection', lambda ws, request: ws.send(f'a {request.query}'))
        b.on('connection', lambda ws, request: ws.send(f'b {request.query}'))
        assert len(site.httpd._webSocketPaths) == 2
        with contextlib.ExitStack() as stack:  # one after the other: servers without threads talk to one at a time
            one = stack.enter_context(site.connection())
            talk(one, b'/a?x=1', b'a x=1')
            two = stack.enter_context(site.connection())
            talk(two, b'/b?y', b'b y')
            assert site.has_page('/page')
            with site.connection() as three:
                three.sendall(HANDSHAKE % b'/c')
                assert read_all(three).startswith(b'HTTP/1.1 400 ')
            assert (len(a.clients), len(b.clients)) == (1, 1)
            a.close()
            assert one.recv(100) == b'\x88\x02\x03\xe9'
            one.sendall(b'\x88\x82\0\0\0\0\x03\xe9')
            assert read_all(one) == b''
            b.clients[0].send('still here')
            assert two.recv(100) == b'\x81\x0astill here'
            assert site.has_page('/a')
    assert not hasattr(site.httpd, '_webSocketPaths')
    assert site.has_page('/b')


@each_server
def test_what_programs_read_of_a_request(site: Site) -> None:
    told = Waiter()

    def verify(info: Any) -> bool:
        told(info.origin, info.secure)
        return True

    with on(site, verifyClient=verify) as wss:
        assert wss.address() == address_of(site.httpd.socket)

        @wss.on('connection')
        def connection(ws: Any, request: Any) -> None:
            ws.id = 7
            request = ws.upgradeReq
            told(request.url, request.headers['origin'], request.headers['Origin'], request.method, request.httpVersion)
            told(request.connection.remoteAddress, request.connection is ws._socket, ws.id)

        with site.connection() as sock:
            sock.sendall((HANDSHAKE % b'/p?q').replace(b'\r\n\r\n', b'\r\nOrigin: http://o\r\n\r\n'))
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            assert told.get() == ('http://o', site.tls)
            assert told.get() == ('/p?q', 'http://o', 'http://o', 'GET', '1.1')
            address = site.address[0] if isinstance(site.address, tuple) else ''
            assert told.get() == (address, True, 7)


@http_server
def test_address_and_listening(site: Site) -> None:
    told = Waiter()
    wss = WebSocketServer({'server': site.httpd}, lambda: told('callback', wss.address()))
    log = Log(wss, 'listening', 'close')
    assert log.get() == ('listening',)
    name, address = told.get()
    assert name == 'callback' and (address.address, address.port) == site.address
    wait_for_end(wss)
    assert wss.address() is None
    assert log.get() == ('close',)


@http_server
def test_the_callback_is_told_before_the_server_closes(site: Site) -> None:
    told = Waiter()
    wss = WebSocketServer({'server': site.httpd}, lambda: told('listening'))
    wss.close(lambda: told('closed'))
    assert [told.get(), told.get()] == [('listening',), ('closed',)]


@http_server
def test_the_port_of_the_options_comes_first(site: Site) -> None:
    with server(server=site.httpd) as wss:
        assert wss.address().port != site.address[1]  # type: ignore[union-attr]
        assert not hasattr(site.httpd, '_webSocketPaths')


@http_server
def test_a_path_that_is_taken(site: Site) -> None:
    """Item 102. Free again as soon as close() returns; closing once more takes nothing from its next owner."""
    with on(site, path='/a') as first:
        with pytest.raises(WebSocketError, match='two instances of WebSocketServer cannot listen'):
            WebSocketServer(server=site.httpd, path='/a')
        first.close()
        with on(site, path='/a') as second:
            second.on('connection', lambda ws: ws.send('second'))
            first.close()
            with site.connection() as sock:
                talk(sock, b'/a', b'second')


@http_server
def test_a_server_that_closes_in_its_constructor(site: Site) -> None:
    class Closed(WebSocketServer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.close()

    with on(site) as wss:
        with pytest.raises(WebSocketError):
            Closed(server=site.httpd)
        wait_for(Closed(server=site.httpd, path='/a'), 'close')
        until(lambda: list(site.httpd._webSocketPaths) == [None])
        wss.on('connection', lambda ws: ws.send('there'))
        with site.connection() as sock:
            talk(sock, b'/', b'there')
    until(lambda: not wss._loop._handles)


@pytest.mark.parametrize('junk', ['x', 5, object(), socketserver.TCPServer])
def test_what_is_no_http_server(junk: Any) -> None:
    with pytest.raises(TypeError, match='server must be an HTTP server'):
        WebSocketServer(server=junk)


@pytest.mark.parametrize('path', [5, b'/a', ['/a']])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(TypeError, match='path must be a str, not'):
        WebSocketServer(noServer=True, path=path)


@http_server
def test_requests_wait_for_a_listener(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP server is at work already when the WebSocketServer is made."""
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    wss = WebSocketServer(server=site.httpd)
    with site.connection() as early, site.connection() as gone:
        gone.sendall(HANDSHAKE % b'/')
        until(lambda: len(wss._admission.waiting) == 1)
        gone.close()
        early.sendall(HANDSHAKE % b'/' + b'\x81\x85\0\0\0\0early')
        until(lambda: len(wss._admission.waiting) == 2)
        connected, messages = Waiter(), Waiter()
        wss.on('connection', lambda ws: (connected(ws), ws.on('message', messages)))
        connected.get()
        assert messages.get()[0] == 'early'
        assert read_head(early).startswith(b'HTTP/1.1 101 ')
        assert connected.nothing(0.02)
        assert wss._admission.waiting == []
    wait_for_end(wss)


@http_server
def test_requests_that_wait_when_the_server_closes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    wss = WebSocketServer(server=site.httpd)
    with site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/')
        until(lambda: wss._admission.waiting)
        wait_for_end(wss)
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')
    assert not wss._openings and not wss._admission.waiting


@http_server
def test_a_request_nobody_hears_of_is_accepted_after_a_second(site: Site) -> None:
    with on(site) as wss, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/')
        assert read_head(sock).startswith(b'HTTP/1.1 101 ')
        assert len(wss.clients) == 1


@http_server
def test_a_request_on_its_way_while_the_server_closes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It got past the HTTP server before the path was given back."""
    wss = WebSocketServer(server=site.httpd)
    arrived, go_on = threading.Event(), threading.Event()
    on_upgrade = site.httpd._webSocketPaths[None]
    site.httpd._webSocketPaths[None] = lambda *args: (arrived.set(), go_on.wait(TIMEOUT), on_upgrade(*args))
    with site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/')
        assert arrived.wait(TIMEOUT)
        wait_for_end(wss)
        go_on.set()
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')


@pytest.mark.parametrize('site', ['Flask'], indirect=True)
def test_the_session_of_a_flask_app(site: Site) -> None:
    app = site.httpd.app

    @app.route('/login')
    def login() -> str:
        flask.session['user'] = 'ann'
        return 'welcome'

    def user_of(request: Any) -> Any:
        with app.request_context(request.environ):
            return flask.session.get('user')

    page = site.page('/login').decode()
    cookie = next(line for line in page.split('\r\n') if line.startswith('Set-Cookie: ')).split()[1]
    with on(site, verifyClient=lambda info: user_of(info.req) is not None) as wss:
        wss.on('connection', lambda ws, request: ws.send(user_of(request)))
        with site.connection() as known, site.connection() as unknown:
            unknown.sendall(HANDSHAKE % b'/')
            assert read_all(unknown).startswith(b'HTTP/1.1 401 ')
            known.sendall((HANDSHAKE % b'/').replace(b'\r\n\r\n', f'\r\nCookie: {cookie}\r\n\r\n'.encode()))
            read_head(known)
            assert known.recv(100) == b'\x81\x03ann'


@http_server
def test_closed_on_two_threads_at_once(site: Site) -> None:
    """Whoever comes second leaves the path alone, which may be somebody else's by then."""
    followers: list[WebSocketServer] = []

    def close_and_follow(wss: WebSocketServer, barrier: threading.Barrier) -> None:
        barrier.wait(TIMEOUT)
        wss.close()
        with contextlib.suppress(WebSocketError):  # the other one was quicker
            followers.append(WebSocketServer(server=site.httpd, path='/'))

    for _ in range(100):
        barrier = threading.Barrier(2)
        wss = WebSocketServer(server=site.httpd, path='/')
        threads = [threading.Thread(target=close_and_follow, args=(wss, barrier)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        [follower] = followers
        assert '/' in site.httpd._webSocketPaths
        followers.clear()
        wait_for_end(follower)
