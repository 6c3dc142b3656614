"""HTTP servers of other shapes."""

from __future__ import annotations

import functools
import socketserver
from collections.abc import Callable
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import werkzeug.serving
from server.http_server.servers import read, talk
from sites import LOCAL, Pages, Site, application, flask_app, serving
from support import HANDSHAKE, Waiter, read_head

from ws.server.http_server import attach, detach


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
