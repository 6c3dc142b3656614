"""Connecting: every address of a name is tried, none of them for long alone (RFC 8305)."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Optional

from .loop import Loop, Timer
from .poller import WRITE
from .resolver import Answer, Endpoint, LookUp, resolve

#: How long, in milliseconds, an attempt runs alone before the next address is tried beside it (RFC 8305 section 8).
ATTEMPT_DELAY = 250

#: ``(error, socket)``: exactly one of them is not None.
OnConnected = Callable[[Optional[OSError], Optional[socket.socket]], object]

#: What connect() says when it goes on by itself. EWOULDBLOCK is a failure elsewhere: a UNIX socket's backlog is full.
_IN_PROGRESS = errno.EWOULDBLOCK if sys.platform == 'win32' else errno.EINPROGRESS


class Connector:
    """One connection being made. Runs on the loop thread; ``on_connected`` is called once, unless cancelled."""

    def __init__(self, loop: Loop, on_connected: OnConnected) -> None:
        self._loop = loop
        self._on_connected: Optional[OnConnected] = on_connected
        self._look_up: Optional[LookUp] = None
        self._untried: list[Endpoint] = []
        self._attempts: list[_Attempt] = []
        self._timer: Optional[Timer] = None
        self._error: OSError = OSError('no address to connect to')

    def connect(self, host: str, port: int) -> None:
        """Connect to a TCP port."""
        self._look_up = resolve(self._loop, host, port, self._on_answer)

    def connect_unix(self, path: str) -> None:
        """Connect to a UNIX socket."""
        if not hasattr(socket, 'AF_UNIX'):
            self._loop.defer(self._finish, OSError(errno.EAFNOSUPPORT, 'UNIX sockets are not available here'), None)
            return
        self._untried = [Endpoint(socket.AF_UNIX, path)]
        self._loop.defer(self._try_next)

    def cancel(self) -> None:
        """Stop trying; nobody is told."""
        self._on_connected = None
        self._clean_up()

    def _on_answer(self, answer: Answer) -> None:
        if answer.error is not None:
            self._finish(answer.error, None)
        else:
            self._untried = _interleaved(answer.endpoints)
            self._try_next()

    def _try_next(self) -> None:
        if self._on_connected is None:
            return
        while self._untried:
            try:
                attempt = _Attempt(self, self._loop, self._untried.pop(0))
            except OSError as error:
                self._error = error.with_traceback(None)  # its frames refer to us, which would be a circle
                continue
            self._attempts.append(attempt)
            if self._untried:
                self._restart_timer()
            return
        if not self._attempts:
            self._finish(self._error, None)

    def _restart_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(ATTEMPT_DELAY, self._try_next)

    def attempt_ended(self, attempt: _Attempt, error: Optional[OSError]) -> None:
        self._attempts.remove(attempt)
        if error is None:
            self._finish(None, attempt.sock)
        else:
            attempt.sock.close()
            self._error = error
            self._try_next()

    def _finish(self, error: Optional[OSError], sock: Optional[socket.socket]) -> None:
        on_connected, self._on_connected = self._on_connected, None
        self._clean_up()
        if on_connected is not None:
            on_connected(error, sock)

    def _clean_up(self) -> None:
        if self._look_up is not None:
            self._look_up.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._untried = []
        attempts, self._attempts = self._attempts, []
        for attempt in attempts:
            attempt.give_up()


class _Attempt:
    """One socket that is connecting to one address."""

    def __init__(self, connector: Connector, loop: Loop, endpoint: Endpoint) -> None:
        self._connector = connector
        self._loop = loop
        self._endpoint = endpoint
        self.sock: socket.socket = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            self.sock.setblocking(False)
            code = self.sock.connect_ex(endpoint.address)
            if code not in (0, _IN_PROGRESS):
                raise self._failure(code)
            loop.register(self.sock.fileno(), self, WRITE)
        except BaseException:
            self.sock.close()
            raise

    def on_event(self, mask: int) -> None:
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._loop.unregister(self.sock.fileno())
        self._connector.attempt_ended(self, self._failure(code) if code else None)

    def _failure(self, code: int) -> OSError:
        address = self._endpoint.address
        where = address if isinstance(address, str) else f'{address[0]}:{address[1]}'
        return OSError(code, f'{os.strerror(code)}: {where}')

    def failed(self) -> None:
        """Who was told of the connection raised; the socket is theirs by now."""

    def give_up(self) -> None:
        self._loop.unregister(self.sock.fileno())
        self.sock.close()

    def abandon(self) -> None:
        self.sock.close()


def _interleaved(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Alternate the address families, the first one first (RFC 8305 section 4)."""
    preferred = [endpoint for endpoint in endpoints if endpoint.family == endpoints[0].family]
    others = [endpoint for endpoint in endpoints if endpoint.family != endpoints[0].family]
    mixed = []
    while preferred or others:
        for family in (preferred, others):
            if family:
                mixed.append(family.pop(0))
    return mixed
