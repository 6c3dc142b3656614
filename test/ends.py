"""Open connections of every kind, each with the plain socket of a peer that does whatever a test says."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Union

import pytest
from fakes import accept
from streams import reset
from support import HANDSHAKE, TIMEOUT, Waiter, read_head, server, wait_for

from ws import WebSocket, WebSocketServer
from ws.protocol.frames import build_frame

KINDS = ['server', 'server tls', 'version 8', 'hixie', 'client', 'client tls', 'client tls socket']

HIXIE_HANDSHAKE = (
    b'GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n'
    b'Sec-WebSocket-Key1: 3e6b263  4 17 80\r\nSec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90\r\n\r\nWjN}|M(6'
)


class End:
    """Our end of a connection, `ws`, and the socket of its peer."""

    def __init__(self, kind: str, ws: WebSocket, sock: socket.socket) -> None:
        self.kind = kind
        self.ws = ws
        self.sock = sock
        self.is_server = 'client' not in kind
        #: The peer's address and port.
        self.name = sock.getsockname()

    def text(self, text: str) -> bytes:
        """A message, as the peer sends it."""
        if self.kind == 'hixie':
            return b'\0' + text.encode() + b'\xff'
        return build_frame(1, text.encode(), True, self.is_server)

    def close_frame(self) -> bytes:
        """A close frame of the peer's, with 3000 if it has room for a code."""
        return b'\xff\0' if self.kind == 'hixie' else build_frame(8, b'\x0b\xb8', True, self.is_server)

    def wrong(self) -> bytes:
        """What breaks the protocol."""
        return b'\x77' if self.kind == 'hixie' else build_frame(3, b'', True, self.is_server)

    def sent(self, text: str) -> bytes:
        """A message, as a server's end sends it."""
        return self.text(text) if self.kind == 'hixie' else build_frame(1, text.encode())

    def finish(self) -> None:
        """Send a FIN, and stay."""
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def reset(self) -> None:
        """Send an RST."""
        reset(self.sock)


@functools.lru_cache(1)
def _authority() -> tuple[Any, Any]:
    authority = pytest.importorskip('trustme').CA()
    return authority, authority.issue_cert('localhost', '127.0.0.1')


def tls_options() -> dict[str, bytes]:
    """For a server of ours."""
    issued = _authority()[1]
    return {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}


@functools.lru_cache(1)  # reading the system's certificates takes longer than a connection
def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    _authority()[0].configure_trust(context)
    return context


@functools.lru_cache(1)
def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # a client that never reads them resets the connection
    _authority()[1].configure_cert(context)
    return context


@contextlib.contextmanager
def our_client(wss: WebSocketServer) -> Iterator[WebSocket]:
    """A client of a server of ours, which may have :func:`tls_options`."""
    tls = wss.options.cert is not None
    options = {'ca': _authority()[0].cert_pem.bytes()} if tls else {}
    address = wss.address()
    ws = WebSocket(f'{"wss" if tls else "ws"}://localhost:{address.port}/', {'closeTimeout': 2000, **options})
    yield ws
    ws.terminate()


@contextlib.contextmanager
def connection(kind: str, **options: Any) -> Iterator[End]:
    """A connection of that kind, open and without listeners."""
    with _server_end(kind, options) if 'client' not in kind else _client_end(kind, options) as end:
        yield end
        end.ws.terminate()


@contextlib.contextmanager
def _server_end(kind: str, options: dict[str, Any]) -> Iterator[End]:
    tls = 'tls' in kind
    with server(**{**options, **(tls_options() if tls else {})}) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        address = wss.address()
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection((address.address, address.port), TIMEOUT))
            if tls:
                sock = stack.enter_context(client_context().wrap_socket(sock, server_hostname='localhost'))
            sock.sendall(_request(kind))
            read_head(sock)
            for _ in range(16 if kind == 'hixie' else 0):
                sock.recv(1)
            yield End(kind, connected.get()[0], sock)


def _request(kind: str) -> bytes:
    if kind == 'hixie':
        return HIXIE_HANDSHAKE
    request = HANDSHAKE % b'/'
    return request.replace(b'Version: 13', b'Version: 8') if kind == 'version 8' else request


@contextlib.contextmanager
def _client_end(kind: str, options: dict[str, Any]) -> Iterator[End]:
    scheme = 'wss' if 'tls' in kind else 'ws'
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(('127.0.0.1', 0)))
        listener.settimeout(TIMEOUT)
        port = listener.getsockname()[1]
        if kind == 'client tls':
            options = {**options, 'ca': _authority()[0].cert_pem.bytes()}
        elif kind == 'client tls socket':
            options = {**options, 'agent': lambda request, options: _connect_by_tls(options.port)}
        ws = WebSocket(f'{scheme}://localhost:{port}/', {'closeTimeout': 2000, **options})
        sock: Union[socket.socket, ssl.SSLSocket] = stack.enter_context(listener.accept()[0])
        sock.settimeout(TIMEOUT)
        if scheme == 'wss':
            sock = stack.enter_context(_server_context().wrap_socket(sock, server_side=True))
        sock.sendall(accept(read_head(sock)))
        wait_for(ws, 'open')
        yield End(kind, ws, sock)


def _connect_by_tls(port: int) -> ssl.SSLSocket:
    sock = socket.create_connection(('127.0.0.1', port), TIMEOUT)
    return client_context().wrap_socket(sock, server_hostname='localhost')
