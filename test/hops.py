"""A server that answers one request after the other as a test says, plainly, over TLS, or on a UNIX socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Optional, Union

from fakes import accept, header
from loop_timers import held_up
from support import TIMEOUT, Log, read_all, read_head

from ws import WebSocket

#: What is sent for a request: bytes, or a function that makes them of the request's head; a str leads there instead.
Answer = Union[bytes, str, Callable[[bytes], bytes]]


def opened(head: bytes) -> bytes:
    """Accepts a connection, and closes it."""
    return accept(head) + b'\x88\x00'


def found(location: str, *lines: str, status: str = '302 Found') -> bytes:
    """A redirect."""
    return '\r\n'.join([f'HTTP/1.1 {status}', f'Location: {location}', *lines, '', '']).encode('latin-1')


class Hops:
    """Such a server. In a `Location`, ``PORT`` stands for its port."""

    def __init__(self, listener: socket.socket, answers: tuple[Answer, ...], context: Optional[ssl.SSLContext]) -> None:
        self._listener = listener
        self._answers = list(answers)
        self._context = context
        self.heads: list[bytes] = []
        listener.settimeout(TIMEOUT)
        self.port: int = 0 if isinstance(listener.getsockname(), str) else listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def url(self, path: str = '/', scheme: str = 'ws', host: str = '127.0.0.1') -> str:
        return f'{scheme}://{host}:{self.port}{path}'

    def sent(self, number: int, name: str) -> Optional[str]:
        """The value of that header in that request, the first being 0; None if it isn't there."""
        try:
            return header(self.heads[number], name)
        except KeyError:
            return None

    def targets(self) -> list[str]:
        """What was asked for."""
        return [head.split()[1].decode() for head in self.heads]

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for another client
        self._listener.close()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while self._answers:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(TIMEOUT)
            with contextlib.suppress(OSError), self._secured(sock) as stream:
                self.heads.append(read_head(stream))
                stream.sendall(self._answer(self._answers.pop(0), self.heads[-1]))
                if self._context is None:
                    stream.shutdown(socket.SHUT_WR)
                read_all(stream)

    def _secured(self, sock: socket.socket) -> Any:
        """With TLS, if the client speaks it."""
        if self._context is not None and sock.recv(1, socket.MSG_PEEK) == b'\x16':
            return self._context.wrap_socket(sock, server_side=True)
        return sock

    def _answer(self, answer: Answer, head: bytes) -> bytes:
        if isinstance(answer, str):
            answer = found(answer)
        data = answer if isinstance(answer, bytes) else answer(head)
        return data.replace(b'PORT', str(self.port).encode())


@contextlib.contextmanager
def hops(
    *answers: Answer, context: Optional[ssl.SSLContext] = None, path: Optional[str] = None, host: str = '127.0.0.1'
) -> Iterator[Hops]:
    """A server with these answers, on a free port or at a UNIX socket's `path`."""
    if path is None:
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        listener = socket.create_server((host, 0), family=family)
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
    server = Hops(listener, answers, context)
    try:
        yield server
    finally:
        server.end()


class Outcome(NamedTuple):
    """How a client ended."""

    events: list[str]
    error: Any
    ws: WebSocket


EVENTS = ('redirect', 'upgrade', 'unexpected-response', 'open', 'error', 'close')


def outcome(ws: WebSocket, *events: str) -> Outcome:
    """Its events up to the end, of those that are listened to: that decides what happens."""
    return _outcome(ws, _log(ws, events))


def whole_outcome(make: Callable[[], WebSocket], *events: str) -> Outcome:
    """The same of what `make` returns: nothing happens before it is listened to, however loaded the machine is."""
    with held_up():
        ws = make()
        log = _log(ws, events)
    return _outcome(ws, log)


def _log(ws: WebSocket, events: tuple[str, ...]) -> Log:
    return Log(ws, *(events or ('open', 'error', 'close')))


def _outcome(ws: WebSocket, log: Log) -> Outcome:
    seen = log.until('close')
    errors = [event[1] for event in seen if event[0] == 'error']
    assert len(errors) <= 1
    return Outcome([event[0] for event in seen], errors[0] if errors else None, ws)
