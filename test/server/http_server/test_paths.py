"""Each path of an HTTP server has a WebSocket server of its own."""

from __future__ import annotations

import logging
import socket
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

import pytest
from server.http_server.servers import each_keep_alive, each_server, read, talk
from sites import LOCAL, Pages, Site, serving
from support import HANDSHAKE, Waiter, read_all, read_head

from ws.errors import WebSocketError
from ws.server.http_server import attach, detach


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
