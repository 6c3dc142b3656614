"""Connecting: every address of a name is tried, none of them for long alone (RFC 8305)."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

from .loop import Loop
from .poller import WRITE
from .resolver import Answer, Ask, Endpoint, LookUp, resolve
from .timers import Timer
from .unix import printable

#: How long, in milliseconds, an attempt runs alone before the next address is tried beside it (RFC 8305 section 8).
ATTEMPT_DELAY = 250

#: ``(error, socket)``: exactly one of them is not None.
OnConnected = Callable[[Optional[BaseException], Optional[socket.socket]], object]

#: What connect() says when it goes on by itself. EWOULDBLOCK is a failure elsewhere: a UNIX socket's backlog is full.
_IN_PROGRESS = errno.EWOULDBLOCK if sys.platform == 'win32' else errno.EINPROGRESS


_UP_TO_THE_SYSTEM: Mapping[int, Any] = MappingProxyType({})


class Preferences(NamedTuple):
    """To which of a name's addresses to connect, and from which of our own. Not for UNIX sockets."""

    #: ``AF_INET``, ``AF_INET6``, or 0 for both.
    family: int = 0
    #: Who knows the addresses, if it is not the system.
    ask: Optional[Ask] = None
    #: Family to the address to bind to; empty if that is up to the system.
    local: Mapping[int, Any] = _UP_TO_THE_SYSTEM

    def bind(self, sock: socket.socket) -> None:
        """Bind `sock`, if there is anything to say about that. Raises :class:`OSError`."""
        if not self.local:
            return
        if sock.family not in self.local:
            raise OSError(errno.EADDRNOTAVAIL, 'the local address is of another family')
        address = self.local[sock.family]
        if os.name == 'posix':
            # Such a port may be in TIME_WAIT; and two attempts at once have the same one.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            raise OSError(error.errno, f'{error.strerror}: {printable(address)}') from None


NO_PREFERENCES = Preferences()


class Connector:
    """One connection being made. Runs on the loop thread; ``on_connected`` is called once, unless cancelled."""

    def __init__(self, loop: Loop, on_connected: OnConnected, preferences: Preferences = NO_PREFERENCES) -> None:
        self._loop = loop
        self._on_connected: Optional[OnConnected] = on_connected
        self._preferences = preferences
        self._look_up: Optional[LookUp] = None
        self._untried: list[Endpoint] = []
        self._attempts: list[_Attempt] = []
        self._timer: Optional[Timer] = None
        self._error: OSError = OSError('no address to connect to')

    def connect(self, host: str, port: int) -> None:
        """Connect to a TCP port."""
        family, ask = self._preferences.family, self._preferences.ask
        self._look_up = resolve(self._loop, host, port, self._on_answer, family=family, ask=ask)

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
                attempt = _Attempt(self, self._loop, self._untried.pop(0), self._preferences)
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

    def _finish(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
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

    def __init__(self, connector: Connector, loop: Loop, endpoint: Endpoint, preferences: Preferences) -> None:
        self._connector = connector
        self._loop = loop
        self._endpoint = endpoint
        self.sock: socket.socket = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            self.sock.setblocking(False)
            if not isinstance(endpoint.address, str):
                preferences.bind(self.sock)
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
        return OSError(code, f'{os.strerror(code)}: {printable(self._endpoint.address)}')

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
