"""HTTP servers as people have them, at work, and their clients."""

from __future__ import annotations

import contextlib
import functools
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from wsgiref import simple_server

import flask
import trustme
import werkzeug.serving
from support import TIMEOUT, Waiter, read_all


class Pages(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        page = f'page {self.path}'.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *args: object) -> None:
        pass


class QuietWSGIHandler(simple_server.WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class UnixHTTPServer(HTTPServer):
    address_family = getattr(socket, 'AF_UNIX', None)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> Any:
        return self.socket.accept()[0], ('local', 0)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [f'page {environ["PATH_INFO"]}'.encode()]


def flask_app() -> flask.Flask:
    app = flask.Flask(__name__)
    app.secret_key = 'secret'
    app.add_url_rule('/<path:path>', 'page', lambda path: f'page /{path}')
    return app


def over_tls(httpd: HTTPServer, context: ssl.SSLContext, **options: Any) -> HTTPServer:
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True, **options)
    return httpd


LOCAL = ('127.0.0.1', 0)

#: Name -> what makes the server, of a folder for its socket and a TLS context.
SERVERS: dict[str, Callable[[Path, ssl.SSLContext], Any]] = {
    'HTTPServer': lambda folder, context: HTTPServer(LOCAL, Pages),
    'ThreadingHTTPServer': lambda folder, context: ThreadingHTTPServer(LOCAL, Pages),
    'HTTPServer with TLS': lambda folder, context: over_tls(HTTPServer(LOCAL, Pages), context),
    'ThreadingHTTPServer with TLS': lambda folder, context: over_tls(
        ThreadingHTTPServer(LOCAL, Pages), context, do_handshake_on_connect=False
    ),
    'wsgiref': lambda folder, context: simple_server.make_server(
        '127.0.0.1', 0, application, handler_class=QuietWSGIHandler
    ),
    'Werkzeug': lambda folder, context: werkzeug.serving.make_server('127.0.0.1', 0, application),
    'Werkzeug, threads': lambda folder, context: werkzeug.serving.make_server(
        '127.0.0.1', 0, application, threaded=True
    ),
    'Werkzeug with TLS': lambda folder, context: werkzeug.serving.make_server(
        '127.0.0.1', 0, application, ssl_context=context
    ),
    'Flask': lambda folder, context: werkzeug.serving.make_server('127.0.0.1', 0, flask_app(), threaded=True),
}
if hasattr(socket, 'AF_UNIX'):
    SERVERS['UNIX socket'] = lambda folder, context: UnixHTTPServer(str(folder / 'socket'), Pages)  # type: ignore[arg-type]

#: Those whose connections take more than one request.
KEEP_ALIVE = [name for name in SERVERS if 'HTTPServer' in name]


class Site:
    """A server at work, and its clients."""

    def __init__(self, httpd: Any, authority: trustme.CA) -> None:
        self.httpd = httpd
        self.tls = isinstance(httpd.socket, ssl.SSLSocket)
        self.address = httpd.socket.getsockname()
        self.errors = Waiter()
        httpd.handle_error = lambda request, address: self.errors(sys.exc_info()[1])
        self._authority = authority
        self._thread = threading.Thread(target=httpd.serve_forever, args=[0.01])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.ident is not None:
            self.httpd.shutdown()
            self._thread.join()
        self.httpd.server_close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.socket(self.httpd.address_family) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(self.address)
            if not self.tls:
                yield sock
                return
            with self._context.wrap_socket(sock, server_hostname='localhost') as wrapped:
                yield wrapped

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def page(self, path: str, lines: str = '') -> bytes:
        with self.connection() as sock:
            sock.sendall(f'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n'.encode())
            return read_all(sock)

    def has_page(self, path: str, lines: str = '') -> bool:
        answer = self.page(path, lines)
        return answer.startswith((b'HTTP/1.1 200 ', b'HTTP/1.0 200 ')) and f'page {path}'.encode() in answer


@contextlib.contextmanager
def serving(httpd: Any) -> Iterator[Site]:
    """A plain server of the test's own."""
    site = Site(httpd, trustme.CA())
    site.start()
    try:
        yield site
    finally:
        site.stop()
