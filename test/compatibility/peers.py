"""What the original's suite has at the other end: its mini server, an HTTP server, an HTTP client."""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

from support import TIMEOUT, Waiter, read_head, server, wait_for

from ws import Receiver, Sender, WebSocket, WebSocketServer, timers
from ws.protocol.handshake import accept_key

# -- on the loop thread -----------------------------------------------------------------------------------------------


def in_node(function: Callable[[], Any]) -> Any:
    """What `function` returns, or raises, on the loop thread: there, as in Node, nothing else happens until it ends."""
    done: queue.SimpleQueue[tuple[Any, Optional[BaseException]]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((function(), None))
        except BaseException as error:
            done.put((None, error))

    timers.setImmediate(run)
    result, error = done.get(timeout=TIMEOUT)
    if error is not None:
        raise error
    return result


# -- the mini server --------------------------------------------------------------------------------------------------


def header_lines(head: bytes) -> dict[str, str]:
    """The header lines of a head, their names in lower case."""
    lines = head.decode('latin-1').split('\r\n')[1:-2]
    return {name.lower(): value for name, value in (line.split(': ', 1) for line in lines)}


def accepted(headers: dict[str, str]) -> bytes:
    """The answer that accepts a request with these header lines."""
    return (
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
        f'Sec-WebSocket-Accept: {accept_key(headers["sec-websocket-key"])}\r\n\r\n'
    ).encode()


class Peer:
    """A server for one client: sends each message back, and tells what comes.

    Unlike the original's it answers close frames, as RFC 6455 demands and our closing handshake expects; and it ends
    when its client does.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(TIMEOUT)
        self.port = self._listener.getsockname()[1]
        self.url = f'ws://127.0.0.1:{self.port}'
        #: The header lines of the request.
        self.headers = Waiter()
        #: ('text' | 'binary' | 'ping' | 'pong', data, flags) and ('close', code, reason, flags)
        self.received = Waiter()

    def serve(self, answer: Callable[[dict[str, str]], bytes], goes_on: bool) -> None:
        with contextlib.suppress(OSError):  # the test is over
            self._socket, _ = self._listener.accept()
            self._socket.settimeout(TIMEOUT)
            with self._socket:
                headers = header_lines(read_head(self._socket))
                self.headers(headers)
                self._socket.sendall(answer(headers))
                if goes_on:
                    self._talk()

    def _talk(self) -> None:
        self._sender = Sender(self)
        receiver = Receiver()
        receiver.ontext = self._echo('text')
        receiver.onbinary = self._echo('binary')
        receiver.onping = lambda data, flags: self.received('ping', data, flags)
        receiver.onpong = lambda data, flags: self.received('pong', data, flags)
        receiver.onclose = self._on_close
        while data := self._socket.recv(65536):
            receiver.add(data)

    def _echo(self, kind: str) -> Callable[[Any, Any], None]:
        def echo(data: Any, flags: Any) -> None:
            self.received(kind, data, flags)
            self._sender.send(data)

        return echo

    def _on_close(self, code: int, reason: str, flags: Any) -> None:
        self.received('close', code, reason, flags)
        self._sender.close(code)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        self._listener.close()
        with contextlib.suppress(AttributeError, OSError):  # nobody came, or the connection has ended
            self._socket.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def peer(answer: Callable[[dict[str, str]], bytes] = accepted, goes_on: bool = True) -> Iterator[Peer]:
    """The mini server; `answer` is given the request's header lines. Unless it `goes_on`, it hangs up after that."""
    mini = Peer()
    thread = threading.Thread(target=mini.serve, args=[answer, goes_on])
    thread.start()
    try:
        yield mini
    finally:
        mini.end()
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@contextlib.contextmanager
def connected() -> Iterator[tuple[WebSocket, Peer]]:
    """An open client of the mini server; ended at the end, if the test has not done that."""
    with peer() as mini:
        ws = WebSocket(mini.url)
        closed = Waiter()
        ws.on('close', closed)
        wait_for(ws, 'open')
        yield ws, mini
        ws.terminate()
        closed.get()


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word: who comes stays CONNECTING."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        yield f'ws://127.0.0.1:{listener.getsockname()[1]}'


# -- HTTP servers -----------------------------------------------------------------------------------------------------


class Pages(BaseHTTPRequestHandler):
    """Every path is a page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'page')

    def log_message(self, *args: object) -> None:
        pass


class UnixHTTPServer(HTTPServer):
    address_family = getattr(socket, 'AF_UNIX', None)  # type: ignore[assignment]

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> Any:
        return self.socket.accept()[0], ('local', 0)


@contextlib.contextmanager
def http_server(
    handler: type[BaseHTTPRequestHandler] = Pages,
    context: Optional[ssl.SSLContext] = None,
    unix: Optional[Path] = None,
) -> Iterator[HTTPServer]:
    """An HTTP server at work; with TLS, or on a UNIX socket."""
    if unix is not None:
        httpd: HTTPServer = UnixHTTPServer(str(unix), handler)  # type: ignore[arg-type]
    else:
        httpd = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    if context is not None:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=httpd.serve_forever, args=[0.01])
    thread.start()
    try:
        yield httpd
    finally:
        httpd.shutdown()
        thread.join(TIMEOUT)
        httpd.server_close()


def serves_pages(httpd: HTTPServer) -> bool:
    """Whether the HTTP server is still there."""
    connection = http.client.HTTPConnection('127.0.0.1', httpd.server_port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request('GET', '/')
        return connection.getresponse().read() == b'page'


def on_http(httpd: HTTPServer, **options: Any) -> contextlib.AbstractContextManager[WebSocketServer]:
    """A WebSocketServer on the port of `httpd`, closed at the end."""
    return server(port=None, server=httpd, **options)


# -- an HTTP client ---------------------------------------------------------------------------------------------------

KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
VERSION = 'Sec-WebSocket-Version: 13'


@contextlib.contextmanager
def request(wss: WebSocketServer, *lines: str, body: bytes = b'') -> Iterator[socket.socket]:
    """A request for a WebSocket with these header lines besides the usual ones, and what follows it at once."""
    address = wss.address()
    head = ['GET / HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket', *lines, '', '']
    with socket.create_connection((address.address, address.port), TIMEOUT) as sock:  # type: ignore[union-attr]
        sock.sendall('\r\n'.join(head).encode() + body)
        yield sock


def status(sock: socket.socket) -> int:
    """That of the response."""
    return int(read_head(sock).split()[1])


KEY1 = 'Sec-WebSocket-Key1: 3e6b263  4 17 80'
KEY2 = 'Sec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90'
NONCE = b'WjN}|M(6'


@contextlib.contextmanager
def hixie_request(
    wss: WebSocketServer, *lines: str, keys: tuple[str, ...] = (KEY1, KEY2), body: bytes = NONCE
) -> Iterator[socket.socket]:
    """A request of Hixie-76."""
    with request(wss, *keys, *lines, body=body) as sock:
        yield sock
