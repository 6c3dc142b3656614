"""A socket that speaks WebSocket only as far as it likes."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator
from typing import Optional

from support import frames, read_all, read_head

from ws.protocol.frames import build_frame

TEXT, BINARY = 1, 2
TIMEOUT = 60


class Raw:
    """One connection, closed at the end of the ``with`` block."""

    def __init__(self, address: tuple[str, int], number: int, context: Optional[ssl.SSLContext]) -> None:
        self.number = number
        self.secure = context is not None
        self._sock = socket.create_connection(address, TIMEOUT)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._sock = context.wrap_socket(self._sock, server_hostname=address[0])
        self.request = (
            f'GET /echo/{number} HTTP/1.1\r\nHost: {address[0]}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
        ).encode()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def shake_hands(self, hixie: bool = False) -> None:
        self.send(self._hixie_request() if hixie else self.request)
        head = read_head(self._sock)
        if not head.startswith(b'HTTP/1.1 101 '):
            raise ValueError(f'refused: {head[:40]!r}')
        if hixie:
            for _ in range(16):  # the answer to the challenge
                self._sock.recv(1)

    def _hixie_request(self) -> bytes:
        return (
            f'GET /echo/{self.number} HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n'
            'Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:ds[4U'
        ).encode()

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have enough of us already
            self._sock.sendall(data)

    def send_message(self, payload: bytes) -> None:
        self.send(build_frame(BINARY, payload, True, True))

    def messages(self) -> Iterator[bytes]:
        """The whole messages up to the end of the connection."""
        for fin, opcode, payload in frames(self._sock):
            if fin and opcode in (TEXT, BINARY):
                yield payload

    def read_all(self) -> bytes:
        return read_all(self._sock)

    def end(self) -> None:
        """Send no more."""
        self._sock.shutdown(socket.SHUT_WR)

    def end_somehow(self, rng: random.Random) -> None:
        if rng.random() < 0.5:
            self.close()
        else:
            self.reset()

    def reset(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.close()

    def close(self) -> None:
        """Without a word of TLS."""
        self._sock.close()
