"""WebSockets on the port of an HTTP server: pages go on as before, connections leave the server, nothing is left."""

from __future__ import annotations

import os
import socket
import struct
import threading
from http.server import HTTPServer
from typing import Any

import pytest
from server.http_server.servers import each_keep_alive, each_server, http_server, read, talk
from sites import LOCAL, Pages, Site, serving
from support import HANDSHAKE, TIMEOUT, Waiter, read_all, read_head

from ws.protocol.http import MAX_HEAD, Request
from ws.server.http_server import attach, detach

plain_and_tls = pytest.mark.parametrize(
    'site', ['HTTPServer', 'ThreadingHTTPServer', 'ThreadingHTTPServer with TLS', 'Werkzeug with TLS'], indirect=True
)


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
