"""Files of several kinds, and messages in pieces that are under way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, Optional

from support import (
    TIMEOUT,
    Waiter,
    until,
)

from ws import WebSocket


class Chunks:
    """A file that yields what it is given, raises the exceptions among it, and calls the functions."""

    def __init__(self, *chunks: Any) -> None:
        self._chunks = iter(chunks)
        self.reads = 0
        self.closings = Waiter()

    def read(self, size: int) -> Any:
        self.reads += 1
        chunk = next(self._chunks, b'')
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk() if callable(chunk) else chunk

    def close(self) -> None:
        self.closings()


class Blocked(Chunks):
    """A file with nothing in it, behind `chunks`, until `release` is set; `begun` tells that somebody waits for it."""

    def __init__(self, *chunks: Any) -> None:
        self.begun, self.release = Waiter(), threading.Event()
        super().__init__(*chunks, self._wait)

    def _wait(self) -> bytes:
        self.begun()
        assert self.release.wait(TIMEOUT)
        return b'late'


class Endless(Blocked):
    """A file that has no end, and is never waited for."""

    def read(self, size: int) -> bytes:
        self.reads += 1
        return bytes(size)


def supply(*pieces: Any, told: Optional[Callable[..., object]] = None) -> Callable[..., None]:
    """What stream() calls: one piece for each call, the last of them final. Errors go to `told`."""
    remaining = list(pieces)

    def callback(error: Optional[Exception], send: Any) -> None:
        if error is None:
            piece = remaining.pop(0)
            send(piece, not remaining)
        elif told is not None:
            told(error)

    return callback


def small_buffers(ws: WebSocket, sock: socket.socket) -> int:
    """Make the kernel hold little; returns how much it may hold, generously."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    ws._stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # type: ignore[union-attr]
    return 1 << 20


def begin(kind: str, ws: WebSocket, told: Callable[..., object]) -> Blocked:
    """Something in pieces is under way, and not at its end. For a file, what is sent; it waits for `release`."""
    file = Blocked(b'first') if kind == 'a file in the middle' else Blocked()
    if kind == 'a file that the peer does not take':
        file = Endless()
        ws.send(file, told)
        until(lambda: ws._stream.stalled)  # type: ignore[union-attr]
    elif 'file' in kind:
        ws.send(file, told)
        file.begun.get()
    else:
        sends = Waiter()
        ws.stream(lambda error, send: sends(send) if error is None else told(error))
        (send,) = sends.get()
        if kind == 'a stream in the middle':
            send(b'first')
            sends.get()
    return file
