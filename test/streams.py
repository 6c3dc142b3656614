"""Helpers of test/net: a loop of the test's own, and streams with a blocking socket at the other end."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, Optional, Union

from support import TIMEOUT, Waiter

from ws.net.loop import Loop
from ws.net.stream import Stream
from ws.net.tls import TLSStream
from ws.net.tls_socket import TLSSocketStream

#: For the server and for the client.
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Handle:
    """Keeps a loop alive; tells what the loop asks of it."""

    def __init__(self) -> None:
        self.asked = Waiter()

    def shutdown(self) -> None:
        self.asked('shutdown')

    def fail(self, error: BaseException) -> None:
        self.asked('fail', error)

    def abandon(self) -> None:
        self.asked('abandon')


class Driver:
    """Runs functions on the thread of a loop, which lives until :meth:`end`."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._handle = Handle()
        self.loop.hold(self._handle)

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """What ``function(*args)`` returns, or raises, on the loop thread."""
        done: queue.SimpleQueue[tuple[Any, Optional[BaseException]]] = queue.SimpleQueue()

        def run() -> None:
            try:
                done.put((function(*args), None))
            except BaseException as error:
                done.put((None, error))

        self.loop.call(run)
        result, error = done.get(timeout=TIMEOUT)
        if error is not None:
            raise error
        return result

    def turns(self, number: int = 2) -> None:
        """Return after at least so many turns of the loop: what was due by now has been done."""
        for _ in range(number):
            self(lambda: None)

    def block(self) -> threading.Event:
        """Hold the loop thread up until the event returned is set."""
        release, blocked = threading.Event(), threading.Event()

        def wait() -> None:
            blocked.set()
            release.wait(TIMEOUT)

        self.loop.call(wait)
        assert blocked.wait(TIMEOUT)
        return release

    def end(self) -> None:
        thread = self.loop._thread
        self.loop.release(self._handle)
        self.loop.call(lambda: None)
        if thread is not None:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), f'the loop goes on, for {self.loop._pollables}'


class Received:
    """What a stream reads: all of it in one piece, and what happened in order."""

    def __init__(self, stream: Stream) -> None:
        self.data = bytearray()
        self.happened: list[str] = []
        self.error: Optional[Exception] = None
        self._changed = threading.Condition()
        stream.on_data = self._on_data
        stream.on_end = self._on_end
        stream.on_close = self._on_close
        stream.on_drain = self._on_drain

    def _on_data(self, data: bytes) -> None:
        with self._changed:
            self.data += data
            if self.happened[-1:] != ['data']:
                self.happened.append('data')
            self._changed.notify_all()

    def _note(self, what: str) -> None:
        with self._changed:
            self.happened.append(what)
            self._changed.notify_all()

    def _on_end(self) -> None:
        self._note('end')

    def _on_drain(self) -> None:
        self._note('drain')

    def _on_close(self, error: Optional[Exception]) -> None:
        self.error = error
        self._note('close')

    def wait(self, condition: Callable[[], Any]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, TIMEOUT), f'{len(self.data)} bytes, {self.happened}'

    def until(self, what: str) -> None:
        self.wait(lambda: what in self.happened)

    def wait_for_bytes(self, number: int) -> None:
        self.wait(lambda: len(self.data) >= number)

    def bytes(self, number: int) -> bytes:
        """The next `number` bytes, and only these."""
        self.wait_for_bytes(number)
        assert len(self.data) == number
        data = bytes(self.data)
        self.data.clear()
        return data


def tcp_pair(buffers: int = 0) -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection over 127.0.0.1; with kernel buffers of about that many bytes, if given."""
    with socket.socket() as listener:
        if buffers:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        near = socket.socket()
        if buffers:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        near.settimeout(TIMEOUT)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
        far.settimeout(TIMEOUT)
        return near, far


def unix_pair(buffers: int = 0) -> tuple[socket.socket, socket.socket]:
    near, far = socket.socketpair()
    for end in (near, far):
        if buffers:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        end.settimeout(TIMEOUT)
    return near, far


def receive(sock: socket.socket, number: int) -> bytes:
    """Exactly `number` bytes."""
    data = bytearray()
    while len(data) < number:
        piece = sock.recv(min(65536, number - len(data)))
        assert piece, f'the connection ended after {len(data)} of {number} bytes'
        data += piece
    return bytes(data)


def reset(sock: socket.socket) -> None:
    """End a TCP connection with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    sock.close()


@contextlib.contextmanager
def in_thread(function: Callable[..., Any], *args: Any) -> Iterator[Callable[[], Any]]:
    """Run ``function(*args)`` beside the block; the value is a function that waits for its result."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*args))
        except BaseException as error:
            errors.append(error)

    def result() -> Any:
        thread.join(TIMEOUT)
        assert not thread.is_alive(), f'{function} has not ended'
        if errors:
            raise errors[0]
        return results[0]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield result
    result()


def server_stream(driver: Driver, contexts: Contexts, sock: socket.socket) -> TLSStream:
    return TLSStream(driver.loop, sock, contexts[0], server_side=True)


def client_stream(driver: Driver, context: ssl.SSLContext, sock: socket.socket, host: str = 'localhost') -> TLSStream:
    return TLSStream(driver.loop, sock, context, server_hostname=host)


def tls_sockets(contexts: Contexts, near: socket.socket, far: socket.socket) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """The server's end and the client's, which have shaken hands."""
    with in_thread(lambda: contexts[1].wrap_socket(far, server_hostname='localhost')) as shaken:
        server = contexts[0].wrap_socket(near, server_side=True)
        return server, shaken()


class TLSEnds:
    """Two streams of one loop with TLS between them: of our own, or over sockets of somebody else's."""

    server: Union[TLSStream, TLSSocketStream]
    client: Union[TLSStream, TLSSocketStream]

    def __init__(self, driver: Driver, contexts: Contexts, kind: type[Stream] = TLSStream, buffers: int = 0) -> None:
        near, far = tcp_pair(buffers)
        if kind is TLSStream:
            self.server, self.client = server_stream(driver, contexts, near), client_stream(driver, contexts[1], far)
        else:
            server, client = tls_sockets(contexts, near, far)
            self.server, self.client = TLSSocketStream(driver.loop, server), TLSSocketStream(driver.loop, client)
        self.streams = self.server, self.client
        self.at_server, self.at_client = Received(self.server), Received(self.client)

    def shake(self, driver: Driver) -> None:
        """Shake hands, and begin to read."""
        shaken = Waiter()
        for stream in self.streams:
            if isinstance(stream, TLSStream):
                driver.loop.call(stream.handshake, shaken)
        for stream in self.streams:
            if isinstance(stream, TLSStream):
                shaken.get()
        for stream in self.streams:
            driver(stream.resume)

    def destroy(self, driver: Driver) -> None:
        for stream in self.streams:
            driver(stream.destroy)
