"""Servers that are none: what a peer may do, said in bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from support import (
    TIMEOUT,
    read_head,
)

from ws.protocol.handshake import accept_key


@contextlib.contextmanager
def fake_server(talk: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that accepts one connection, reads a request head and leaves the rest to `talk`; yields its URL."""
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(TIMEOUT)

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            sock.settimeout(TIMEOUT)
            with sock:
                talk(sock, read_head(sock))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f'ws://127.0.0.1:{listener.getsockname()[1]}/'
    finally:
        listener.close()
        thread.join(TIMEOUT)
        assert not thread.is_alive()


@contextlib.contextmanager
def black_hole(host: str = '127.0.0.1', port: int = 0) -> Iterator[int]:
    """A port where connections neither succeed nor fail: its backlog is full, and further SYNs are dropped."""
    with contextlib.ExitStack() as stack:
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        listening = stack.enter_context(socket.socket(family))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


def header(head: bytes, name: str) -> str:
    for line in head.decode().split('\r\n')[1:]:
        key, _, value = line.partition(': ')
        if key.lower() == name.lower():
            return value
    raise KeyError(name)


def accept(head: bytes, *lines: str) -> bytes:
    """The answer that accepts the handshake `head`."""
    key = accept_key(header(head, 'Sec-WebSocket-Key'))
    rows = ['HTTP/1.1 101 x', 'Upgrade: websocket', 'Connection: Upgrade', f'Sec-WebSocket-Accept: {key}', *lines]
    return '\r\n'.join([*rows, '', '']).encode()
