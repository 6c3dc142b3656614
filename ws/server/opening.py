"""A server's side of the opening handshake over a real stream, under one deadline for all of its steps."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Optional, Protocol

from ..errors import HandshakeError
from ..net.loop import Loop
from ..net.stream import Stream
from ..net.tls import TLSStream
from ..net.tls_socket import close_socket
from ..net.unix import printable
from ..protocol.http import Request, RequestParser, build_refusal

#: How many bytes a client may send ahead while its request is considered.
REST_LIMIT = 65536
#: How many characters of a path stand in the log. There are only visible ones of ASCII: the parser takes no others.
_LOGGED = 200

CLOSING = HandshakeError('The server is closing', 503)

_log = logging.getLogger('ws.handshake')


class Counter(Protocol):
    """Who counts what becomes of opening handshakes that lead to nothing."""

    def refused(self, status: int) -> None:
        """A request was refused."""

    def abandoned(self) -> None:
        """The connection has ended before there was a request, or an answer to it."""


class ServerOpening:
    """From a connection to a request. ``on_request(opening, request)`` is called at most once.

    Who is called takes the stream (:meth:`take`), refuses (:meth:`refuse`) or leaves that to the program
    (:meth:`leave_to_program`), at once or later. ``on_done(opening)`` follows in any case, once the connection is
    somebody else's or closed.
    """

    __slots__ = (
        '_counter', '_decided', '_loop', '_on_done', '_on_more', '_on_request', '_parser', '_request', '_rest',
        '_timer', 'stream',
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        stream: Stream,
        timeout: float,
        counter: Counter,
        on_request: Callable[[ServerOpening, Request], object],
        on_done: Callable[[ServerOpening], object],
    ) -> None:
        self._loop = loop
        self._counter = counter
        self._on_request = on_request
        self._on_done = on_done
        self._on_more: Optional[Callable[[], object]] = None
        self._parser = RequestParser()
        self._rest = bytearray()  # what has come after the request
        self._timer = loop.call_later(timeout, self._on_timeout) if timeout else None
        self._decided = False
        self._request: Optional[Request] = None
        self.stream: Stream = stream
        stream.on_close = self._on_close

    @property
    def over(self) -> bool:
        """Whether it is decided: taken, refused, ended by the client, or cut off."""
        return self._decided or self.stream.closed

    def start(self) -> None:
        """Read the request."""
        if isinstance(self.stream, TLSStream):
            self.stream.handshake(self._read)
        else:
            self._read()

    def start_with(self, request: Request, head: bytes) -> None:
        """Somebody else has read the request, and `head` behind it."""
        self.stream.on_end = self._on_end
        self._on_parsed(request, head)
        if not self.over and len(self._rest) < REST_LIMIT:
            self.stream.resume()

    def wait_for(self, size: int, callback: Callable[[], object]) -> None:
        """Call ``callback()`` when `size` bytes have come after the request."""

        def on_more() -> None:
            if self.has(size) and not self.over:
                self._on_more = None
                callback()

        self._on_more = on_more
        on_more()

    def has(self, size: int) -> bool:
        """Whether that much has come after the request."""
        return len(self._rest) >= size

    def answer(self, head: bytes) -> None:
        """Write the head of the answer; the rest is up to who takes the stream."""
        self.stream.write(head)

    def take(self) -> bytes:
        """Give the stream away, paused; returns what has been read beyond the request."""
        self._decided = True
        self._on_more = None
        if self._timer is not None:
            self._timer.cancel()
        self.stream.pause()  # what comes now must not come before what is here
        self.stream.on_close = _nobody
        self._on_done(self)
        return bytes(self._rest)

    def refuse(self, error: HandshakeError, name: Optional[str] = None) -> None:
        """Answer with an HTTP error, `name` its reason phrase, and end; just end if the answer has begun already. The
        deadline stays in force until the peer has ended, too. Raises as :func:`build_refusal` does."""
        method = self._parser.method if self._request is None else self._request.method
        response = build_refusal(error.status or 400, str(error), error.headers, name, method)
        self.leave_to_program(error)
        if not self.stream.bytes_written:
            self.stream.write(response)
        self.stream.end()

    def leave_to_program(self, error: HandshakeError) -> None:
        """It is refused, and somebody else writes the answer, and ends. The deadline stays in force."""
        if not self._decided:
            self._decided = True
            self._counter.refused(error.status or 400)
            log_refusal(self.stream.peer, error, self._request)
        self._on_more = None
        self.stream.on_data = _nobody
        self.stream.resume()  # it may be paused, and would not see the peer's end

    def cancel(self) -> None:
        """The server is closing."""
        self._cut_off(CLOSING)

    def _read(self) -> None:
        self.stream.on_data = self._on_data
        self.stream.on_end = self._on_end
        self.stream.resume()

    def _on_data(self, data: bytes) -> None:
        try:
            request = self._parser.feed(data)
        except HandshakeError as error:
            self.refuse(error)
            return
        if request is not None:
            self._on_parsed(request, self._parser.rest)

    def _on_parsed(self, request: Request, rest: bytes) -> None:
        self._request = request
        self._rest += rest
        # Reading goes on, so that a client that leaves is noticed.
        self.stream.on_data = self._on_rest
        self._on_request(self, request)
        self._pause_if_much()

    def _on_rest(self, data: bytes) -> None:
        self._rest += data
        if self._on_more is not None:
            self._on_more()
        self._pause_if_much()

    def _pause_if_much(self) -> None:
        if len(self._rest) >= REST_LIMIT and not self.over:
            self.stream.pause()

    def _on_timeout(self) -> None:
        self._cut_off(HandshakeError('Request Timeout', 408))

    def _cut_off(self, reason: HandshakeError) -> None:
        """Answer as far as that takes no time, and close."""
        if self.stream.closed:  # _on_close is about to be called
            return
        if isinstance(self.stream, TLSStream) and self.stream.handshaking:
            self.leave_to_program(reason)  # and to nobody: there is no way yet to tell
        else:
            self.refuse(reason)  # nothing happens if a refusal is under way already
            self.stream.flush()
        self.stream.destroy()

    def _on_end(self) -> None:
        self._abandon(None)
        self.stream.end()

    def _abandon(self, error: Optional[Exception]) -> None:
        """The connection has ended on its own."""
        if not self._decided:
            self._decided = True
            self._counter.abandoned()
            if isinstance(error, ssl.SSLError):
                _log.info('%s failed the TLS handshake: %s', self.stream.peer, error)
            else:
                _log.debug('%s left during the opening handshake', self.stream.peer)

    def _on_close(self, error: Optional[Exception]) -> None:
        self._abandon(error)
        self._on_more = None
        if self._timer is not None:
            self._timer.cancel()
        self._on_done(self)


def log_refusal(peer: str, error: HandshakeError, request: Optional[Request] = None) -> None:
    """Also for refusals without an opening. The query is left out: it may hold secrets."""
    path = '-' if request is None else request.path[:_LOGGED]
    _log.info('%s refused: %d %s, path %s', peer, error.status or 400, error, path)


def _nobody(*arguments: object) -> None:
    pass


def refuse_at_once(sock: socket.socket) -> None:
    """The server is closing, or has closed: there is no loop any more to do it properly."""
    kind = type(sock)  # its own methods may be for others: see keep_from_owner
    with contextlib.suppress(OSError):
        log_refusal(printable(sock.getpeername()), CLOSING)
    kind.setblocking(sock, False)
    with contextlib.suppress(OSError):  # also if it can't be sent without waiting
        kind.send(sock, build_refusal(503, str(CLOSING)))
    close_socket(sock)
