"""Helpers that tests share."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Union

import ws as package
from ws import WebSocket, WebSocketServer

#: How long, in seconds, a test waits for something that must happen.
TIMEOUT = 20.0

#: Of a child: with it, another Python finds the same package as this one, and what this one was told to find.
PYTHONPATH = os.pathsep.join(
    filter(None, [str(Path(package.__file__).parent.parent), os.environ.get('PYTHONPATH', '')])
)


class Waiter:
    """Collects what callbacks are given, for a test to wait for, each thing once and in order."""

    def __init__(self) -> None:
        self._things: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, *args: Any) -> None:
        self._things.put(args)

    def get(self) -> Any:
        """The arguments of the next call."""
        try:
            return self._things.get(timeout=TIMEOUT)
        except queue.Empty:
            raise AssertionError(f'nothing came within {TIMEOUT} s') from None

    def nothing(self, seconds: float = 0.1) -> bool:
        """Whether there is no call within that time: only for what must not happen."""
        try:
            # Not with a timeout of 0, with which Python 3.9 may wait for ever.
            self._things.get(seconds > 0, seconds)
        except queue.Empty:
            return True
        return False


class Log(Waiter):
    """Collects the named events of one emitter as ``(event, *args)``."""

    def __init__(self, emitter: Any, *events: str) -> None:
        super().__init__()
        for event in events or ('open', 'message', 'ping', 'pong', 'error', 'close', 'listening', 'connection'):
            emitter.on(event, self._collect(event))

    def _collect(self, event: str) -> Callable[..., None]:
        return lambda *args: self(event, *args)

    def until(self, event: str) -> list[Any]:
        """Everything up to the next `event`, this included."""
        seen = []
        while True:
            seen.append(self.get())
            if seen[-1][0] == event:
                return seen


def wait_for(emitter: Any, event: str) -> Any:
    """The arguments of the next `event`. For events that can't have happened yet, or are kept."""
    waiter = Waiter()
    emitter.once(event, lambda *args: waiter(*args))
    return waiter.get()


def end(ws: WebSocket, how: str = 'terminate', *args: Any) -> Any:
    """Call ``ws.close`` or ``ws.terminate`` and wait; returns the arguments of ``close``."""
    waiter = Waiter()
    ws.on('close', waiter)
    getattr(ws, how)(*args)
    return waiter.get()


def until(condition: Callable[[], Any]) -> None:
    """Wait for what no event tells."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, 'it did not come to that'
        time.sleep(0.002)


def until_at_rest(pid: Union[int, str]) -> None:
    """Wait until the main thread of that process, or the thread ``pid/task/tid``, sleeps, and goes on sleeping; where
    there is no /proc, for 20 ms.

    A person who presses Ctrl-C is no quicker. What is, may reach the interpreter between the last line and the exit
    hooks, and there it forgets an exception: without a word, if it is just flushing standard output.
    """

    def status() -> list[str]:
        """Changes whenever the thread does something."""
        try:
            lines = Path(f'/proc/{pid}/status').read_text().splitlines()
        except OSError:
            return []
        return [line for line in lines if line.startswith('State:') or 'ctxt_switches' in line]

    def rests() -> bool:
        before = status()
        time.sleep(0.02)
        return before == status() and not (before and '(running)' in before[0])

    until(rests)


def on_loop(emitter: Any, function: Callable[[], Any]) -> Any:
    """What `function` returns, or raises, when it is called on the loop thread."""
    done: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((function(), None))
        except BaseException as error:
            done.put((None, error))

    emitter._loop.call(run)
    result, error = done.get(timeout=TIMEOUT)
    if error is not None:
        raise error
    return result


@contextlib.contextmanager
def server(**options: Any) -> Iterator[WebSocketServer]:
    """A server on a free port of 127.0.0.1, closed at the end."""
    with no_server(**{'noServer': False, 'port': 0, 'host': '127.0.0.1', **options}) as wss:
        yield wss


@contextlib.contextmanager
def no_server(**options: Any) -> Iterator[WebSocketServer]:
    """One that listens nowhere, and takes what it is given; closed at the end."""
    wss = WebSocketServer({'noServer': True, 'closeTimeout': 2000, **options})
    try:
        yield wss
    finally:
        closed = threading.Event()
        wss.close(lambda *_: closed.set())
        assert closed.wait(TIMEOUT), 'the server did not close'


@contextlib.contextmanager
def echo_server(**options: Any) -> Iterator[WebSocketServer]:
    """A server that sends every message back as it came."""
    with server(**options) as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
        yield wss


def wait_for_end(wss: WebSocketServer) -> None:
    closed = Waiter()
    wss.close(closed)
    closed.get()


def url_of(wss: WebSocketServer, path: str = '/', scheme: str = 'ws') -> str:
    address = wss.address()
    assert address is not None
    return f'{scheme}://{address.address}:{address.port}{path}'


def client(wss: WebSocketServer, path: str = '/', **options: Any) -> WebSocket:
    return WebSocket(url_of(wss, path), {'closeTimeout': 2000, **options})


@contextlib.contextmanager
def open_pair() -> Iterator[tuple[WebSocket, WebSocket]]:
    """An open client, and the server's end of it."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        wait_for(ws, 'open')
        yield ws, connected.get()[0]
        ws.terminate()


@contextlib.contextmanager
def raw_connection(wss: WebSocketServer) -> Iterator[socket.socket]:
    """A plain TCP connection to the server."""
    address = wss.address()
    assert address is not None
    with socket.create_connection((address.address, address.port), timeout=TIMEOUT) as sock:
        yield sock


HANDSHAKE = (
    b'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
)


def read_head(sock: socket.socket) -> bytes:
    """A response head, byte by byte so that nothing after it is taken."""
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        byte = sock.recv(1)
        assert byte, f'the connection ended after {head!r}'
        head += byte
    return head


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    data = b''
    while True:
        try:
            chunk = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not chunk:
            return data
        data += chunk


@contextlib.contextmanager
def raw_client(wss: WebSocketServer, path: bytes = b'/') -> Iterator[socket.socket]:
    """A TCP connection after a complete opening handshake."""
    with raw_connection(wss) as sock:
        sock.sendall(HANDSHAKE % path)
        assert read_head(sock).startswith(b'HTTP/1.1 101 ')
        yield sock


@contextlib.contextmanager
def raw_pair(**options: Any) -> Iterator[tuple[WebSocket, socket.socket]]:
    """A server's end of a connection, and the plain socket at the other end."""
    with server(**options) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_client(wss) as sock:
            yield connected.get()[0], sock


def _read(sock: socket.socket, number: int) -> bytes:
    """So many bytes, or what is left of the connection."""
    data = bytearray()
    while len(data) < number:
        piece = sock.recv(min(65536, number - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def frames(sock: socket.socket) -> Iterator[tuple[bool, int, bytes]]:
    """The unmasked frames that come in: whether it is a final one, opcode, payload."""
    # Not with a file made of the socket, which would keep the connection open for as long as somebody has the iterator.
    while True:
        head = _read(sock, 2)
        if not head:
            return
        length = head[1]
        if length >= 126:
            length = int.from_bytes(_read(sock, 2 if length == 126 else 8), 'big')
        yield bool(head[0] & 0x80), head[0] & 0xF, _read(sock, length)
