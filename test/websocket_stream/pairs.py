"""WebSockets as streams, and their peers, for the tests of this folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any, Optional

from ends import End, connection
from streams import in_thread
from support import Waiter, client, frames, open_pair, server, until

from ws import WebSocket, WebSocketStream, createWebSocketStream
from ws.protocol.frames import build_frame

MIB = 1 << 20


@contextlib.contextmanager
def pair(**options: Any) -> Iterator[tuple[WebSocketStream, WebSocketStream]]:
    """Streams at both ends of a connection: a client's and the server's, both with these options."""
    streams = Waiter()
    with server() as wss:
        wss.on('connection', lambda ws: streams(createWebSocketStream(ws, **options)))
        ws = client(wss)
        yield createWebSocketStream(ws, **options), streams.get()[0]
        ws.terminate()


@contextlib.contextmanager
def stream_and_peer(**options: Any) -> Iterator[tuple[WebSocketStream, WebSocket]]:
    """A client's stream, and the server's end without one."""
    with open_pair() as (ws, peer):
        yield createWebSocketStream(ws, **options), peer


@contextlib.contextmanager
def stream_and_socket(kind: str = 'server', **options: Any) -> Iterator[tuple[WebSocketStream, End]]:
    """A stream, and the plain socket of its peer, who does nothing by itself."""
    with connection(kind) as this:
        yield createWebSocketStream(this.ws, **options), this


def data_frame(payload: bytes) -> bytes:
    """As a client sends it."""
    return build_frame(2, payload, mask=True)


def close_frame(code: Optional[int], reason: bytes = b'') -> bytes:
    return build_frame(8, b'' if code is None else code.to_bytes(2, 'big') + reason, mask=True)


def waits(stream: WebSocketStream) -> bool:
    """Whether some thread waits in a call."""
    return bool(stream._changes._waiting)  # type: ignore[attr-defined]


@contextlib.contextmanager
def waiting(stream: WebSocketStream, function: Callable[..., Any], *args: Any) -> Iterator[Waiter]:
    """Have a thread call that, which has to wait; the value is told what it returned, or raised."""
    outcome = Waiter()

    def run() -> None:
        try:
            outcome(function(*args))
        except Exception as error:
            outcome(error)

    with in_thread(run):
        until(lambda: waits(stream))
        yield outcome


class Sink(io.RawIOBase):
    """Takes bytes, and what is to be looked at with each of them."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.hash.update(data)
        self._look()
        return len(data)


def copy_so_many(stream: WebSocketStream, sink: Any, size: int) -> None:
    while size:
        data = stream.read(min(size, 65536))
        assert data
        sink.write(data)
        size -= len(data)


CALLS = {
    'read': lambda stream: stream.read(1),
    'readall': lambda stream: stream.read(),
    'readline': lambda stream: stream.readline(),
    'write': lambda stream: stream.write(b'x'),
    'flush': lambda stream: stream.flush(),
}


def zip_first(this: End, number: int) -> list[Any]:
    return [frame for _, frame in zip(range(number), frames(this.sock))]
