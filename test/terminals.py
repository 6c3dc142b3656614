"""wscat in a window, and between pipes."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Optional

from documents import ROOT
from support import TIMEOUT, Log, Waiter, read_head, url_of
from window import Window, python

from ws import WebSocket, WebSocketServer
from ws.protocol.handshake import accept_key
from ws.protocol.http import build_head

CONNECTED = 'Connected (press CTRL+C to quit)'


@contextlib.contextmanager
def typing_to(wss: WebSocketServer, *options: str, **window: Any) -> Iterator[tuple[Window, WebSocket, Log]]:
    """wscat in a window, connected to `wss`; the server's end of the connection, and the log of its events."""
    connections = Waiter()
    wss.on('connection', lambda ws: connections(ws, Log(ws, 'message', 'ping', 'pong', 'close')))
    with python('-m', 'ws', '-c', url_of(wss), *options, **window) as terminal:
        ws, log = connections.get()
        yield terminal, ws, log


class RawServer:
    """Takes one connection, and does nothing but what it is told to."""

    def __init__(self, context: Optional[ssl.SSLContext] = None) -> None:
        self._context = context
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(TIMEOUT)
        self._sock: Optional[socket.socket] = None
        self.address = f'127.0.0.1:{self._listener.getsockname()[1]}'

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *details: object) -> None:
        self._listener.close()
        if self._sock is not None:
            self._sock.close()

    def take(self) -> bytes:
        """Accept the connection; returns the head of its request."""
        sock = self._listener.accept()[0]
        sock.settimeout(TIMEOUT)
        self._sock = self._context.wrap_socket(sock, server_side=True) if self._context else sock
        return read_head(self._sock)

    def answer(self, request: bytes, more: bytes = b'') -> None:
        """Open the WebSocket connection."""
        key = request.split(b'Sec-WebSocket-Key: ')[1].split(b'\r\n')[0].decode()
        lines = ['Upgrade: websocket', 'Connection: Upgrade', f'Sec-WebSocket-Accept: {accept_key(key)}']
        self.send(build_head('HTTP/1.1 101 Switching Protocols', lines) + more)

    def send(self, data: bytes) -> None:
        assert self._sock is not None
        self._sock.sendall(data)

    def frame(self) -> tuple[int, bytes]:
        """The first byte and the payload of the next short frame."""
        first, length = self._read(2)
        key, payload = self._read(4), self._read(length & 0x7F)
        return first, bytes(byte ^ key[number % 4] for number, byte in enumerate(payload))

    def _read(self, size: int) -> bytes:
        assert self._sock is not None
        data = b''
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            assert piece, f'the connection ended after {data!r}'
            data += piece
        return data

    def subject(self) -> str:
        """Whom the client's certificate is for."""
        assert isinstance(self._sock, ssl.SSLSocket)
        certificate = self._sock.getpeercert()
        assert certificate is not None
        return certificate['subjectAltName'][0][1]


class Result:
    """How a wscat in pipes has ended."""

    def __init__(self, finished: subprocess.CompletedProcess[bytes]) -> None:
        self.status = finished.returncode
        self.bytes = finished.stdout
        self.output = finished.stdout.decode(errors='replace')
        self.errors = finished.stderr.decode()

    def __eq__(self, other: object) -> bool:
        return (self.status, self.output, self.errors) == other

    def __repr__(self) -> str:
        return repr((self.status, self.output, self.errors))


def run(*arguments: str, data: Optional[bytes] = b'', **options: Any) -> Result:
    """Run wscat to its end, with these arguments and this standard input."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-W', 'error', '-m', 'ws', *arguments]
    return Result(subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT, env=environment, **options))
