"""WebSockets on the port of an HTTP server of Python's ``socketserver`` family: ``http.server``, ``wsgiref``, Werkzeug.

The server goes on as it is, but for its ``RequestHandlerClass``: in its place stands a subclass that looks at each
request once it is parsed. If it asks for a WebSocket, the connection leaves the server before the handler answers.
"""

from __future__ import annotations

import functools
import io
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, Optional
from urllib.parse import quote

from ..errors import HandshakeError, WebSocketError
from ..forks import in_child
from ..net.tls_socket import keep_open
from ..net.unix import printable
from ..protocol.http import Request, RequestParser, build_head, build_refusal
from .opening import log_refusal

OnUpgrade = Callable[[Request, socket.socket, bytes], object]

# RFC 3986 section 3.3: what a path may hold as it is, besides letters, digits, and '-._~'.
_SAFE = "/!$&'()*+,;=:@"


#: For attaching and detaching. The threads that serve requests only look.
_lock = threading.Lock()


class _Paths(dict[Optional[str], OnUpgrade]):
    """Path -> who takes its WebSockets, of one HTTP server; ``None`` -> who takes those of all other paths."""

    def __init__(self, handler: Any) -> None:
        super().__init__()
        #: The server's ``RequestHandlerClass`` before, and the one in its place.
        self.original = handler
        self.upgrading = _make_upgrading(handler)


def attach(httpd: Any, path: Optional[str], on_upgrade: OnUpgrade) -> None:
    """Have `httpd` hand over each connection that asks for a WebSocket at `path`; None: at any path no other claims.

    ``on_upgrade(request, sock, head)`` is called on the thread that serves the request: `sock`, which is blocking and
    has no timeout, is its own from then on, and `head` holds what the client had sent after the request. If it raises,
    the socket is closed, and the exception is left to ``httpd.handle_error``.

    Raises TypeError for a server that this can't be done with, :class:`WebSocketError` if the path is taken.
    """
    _check(httpd)
    with _lock:
        paths = _paths_of(httpd)
        if paths is None:
            paths = httpd._webSocketPaths = _Paths(httpd.RequestHandlerClass)
            httpd.RequestHandlerClass = paths.upgrading
        elif path in paths:
            raise WebSocketError('two instances of WebSocketServer cannot listen on the same http server path')
        paths[path] = on_upgrade


def detach(httpd: Any, path: Optional[str]) -> None:
    """Undo :func:`attach`, if it was done. After the last path, `httpd` is as it was before the first."""
    with _lock:
        paths = _paths_of(httpd)
        if paths is None:
            return
        paths.pop(path, None)
        if not paths:
            del httpd._webSocketPaths
            if httpd.RequestHandlerClass is paths.upgrading:
                httpd.RequestHandlerClass = paths.original


def _paths_of(httpd: Any) -> Optional[_Paths]:
    return getattr(httpd, '_webSocketPaths', None)


def _check(httpd: Any) -> None:
    if not isinstance(httpd, socketserver.BaseServer):
        kind = type(httpd).__name__
        raise TypeError(f'server must be an HTTP server based on socketserver.BaseServer, not {kind}')
    if hasattr(socketserver, 'ForkingMixIn') and isinstance(httpd, socketserver.ForkingMixIn):
        raise TypeError('server must not fork: the WebSockets would be in its child processes')
    handler = httpd.RequestHandlerClass
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not isinstance(handler, type) or not issubclass(handler, BaseHTTPRequestHandler):
        raise TypeError(f'the RequestHandlerClass of server must be a BaseHTTPRequestHandler, not {handler!r}')


def _make_upgrading(handler: Any) -> Any:
    if isinstance(handler, functools.partial):  # how SimpleHTTPRequestHandler is told its directory
        return functools.partial(_make_upgrading(handler.func), *handler.args, **handler.keywords)
    return type(handler.__name__, (_UpgradingHandler, handler), {})


class _UpgradingHandler(BaseHTTPRequestHandler):
    """What is put before a server's own handler."""

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        paths = _paths_of(self.server)
        if paths is None or self.headers.get('Upgrade', '').strip().lower() != 'websocket':
            return True
        self.close_connection = True
        request = None
        try:
            request = request_from(self)
            on_upgrade = paths.get(request.path) or paths.get(None)
            if on_upgrade is None:
                raise HandshakeError('Bad Request', 400)
        except HandshakeError as error:
            self._refuse(error, request)
        else:
            self._hand_over(request, on_upgrade)
        return False  # to a handler: this request has its answer

    def _refuse(self, error: HandshakeError, request: Optional[Request]) -> None:
        log_refusal(printable(self.client_address), error, request)
        try:
            self.wfile.write(build_refusal(error.status or 400, str(error), error.headers, method=self.command))
            self.wfile.flush()
        except OSError:  # the client is gone
            pass

    def _hand_over(self, request: Request, on_upgrade: OnUpgrade) -> None:
        self.wfile.flush()
        head = self._unread()
        sock = take_socket(self.connection)
        try:
            on_upgrade(request, sock, head)
        except BaseException as error:
            sock.close()
            if not isinstance(error, Exception):
                raise
            self.server.handle_error(self.request, self.client_address)

    def _unread(self) -> bytes:
        """What has been read of the connection beyond the request."""
        sock = self.connection
        sock.setblocking(False)
        head = b''
        try:
            if isinstance(self.rfile, io.BufferedReader):
                head = self.rfile.peek()
            # What TLS has decrypted already, no poller would ever report.
            while isinstance(sock, ssl.SSLSocket) and sock.pending():
                head += sock.recv(sock.pending())
        except OSError:  # nothing there, which TLS tells in this way, or an end that the next reader will find as well
            pass
        return head


def take_socket(sock: socket.socket) -> socket.socket:
    """The connection as a socket that the server, which is going to close its own, does not close."""
    if isinstance(sock, ssl.SSLSocket):
        keep_open(sock)
        taken: socket.socket = sock
    else:
        taken = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    taken.setblocking(True)
    return taken


def request_from(source: object) -> Request:
    """The request that `source` is or holds: a :class:`Request`, a ``BaseHTTPRequestHandler`` that has parsed its
    request, or a WSGI environ, whose header names we can't know as sent: they are in lower case.

    Raises TypeError for anything else, :class:`HandshakeError` for a request that our own parser would have refused.
    """
    if isinstance(source, Request):
        return source
    try:
        if isinstance(source, BaseHTTPRequestHandler):
            return _from_handler(source)
        if isinstance(source, Mapping) and 'REQUEST_METHOD' in source:
            return _from_environ(source)
    except ValueError:  # a character that ends a line, or one that stands for no byte
        raise HandshakeError('invalid character in request', 400) from None
    raise TypeError(f'a request must be a BaseHTTPRequestHandler or a WSGI environ, not {type(source).__name__}')


def _from_handler(handler: BaseHTTPRequestHandler) -> Request:
    headers = handler.headers
    # Where Python's parser meets what is no header line, it leaves it out, or takes it and all after it for a body.
    if headers.defects or headers.get_unixfrom() or headers.get_payload():
        raise HandshakeError('invalid header line', 400)
    return _parse(handler.requestline, headers.raw_items())


def _from_environ(environ: Mapping[str, Any]) -> Request:
    fields = []
    for key, value in environ.items():
        if key.startswith('HTTP_'):
            fields.append((key[5:], value))
        elif key in ('CONTENT_TYPE', 'CONTENT_LENGTH') and value:
            fields.append((key, value))
    target = environ.get('RAW_URI') or environ.get('REQUEST_URI') or _target_of(environ)
    version = environ.get('SERVER_PROTOCOL', 'HTTP/1.1')
    start_line = f'{environ["REQUEST_METHOD"]} {target} {version}'
    return _parse(start_line, [(name.replace('_', '-').lower(), value) for name, value in fields])


def _target_of(environ: Mapping[str, Any]) -> str:
    path = environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', '')
    query = environ.get('QUERY_STRING')
    target = quote(path.encode('latin-1'), _SAFE) or '/'  # PEP 3333: its characters stand for bytes
    return f'{target}?{query}' if query else target


def _parse(start_line: str, fields: Iterable[tuple[str, str]]) -> Request:
    """Whoever has parsed it before: what we take is what our parser takes."""
    request = RequestParser().feed(build_head(start_line, [f'{name}: {value}' for name, value in fields]))
    assert request is not None  # a head that was built is complete
    return request


@in_child
def _renew_after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # the old one may be held by a thread that does not exist here
