"""Listening sockets."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, Union

from .loop import Loop
from .poller import READ
from .resolver import Endpoint

#: How many connections are accepted in one turn of the loop, so that open ones get theirs, too.
ACCEPTS_PER_TURN = 64
#: How long, in milliseconds, a listener rests when the process has run out of descriptors.
REST = 100

_log = logging.getLogger('ws')


def bind(endpoints: list[Endpoint], backlog: int) -> socket.socket:
    """A socket that listens on the first of `endpoints` that can be bound. Raises :class:`OSError`."""
    problem: OSError = OSError('no address to listen on')
    for endpoint in endpoints:
        try:
            return _bind(endpoint, backlog)
        except OSError as error:
            problem = error
    raise problem


def _bind(endpoint: Endpoint, backlog: int) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        if os.name == 'posix':
            # A restarted server must not wait for the old one's connections in TIME_WAIT. On Windows the same
            # option would let two servers share a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.family == socket.AF_INET6 and hasattr(socket, 'IPV6_V6ONLY'):
            # '::' means both families, as in Node, whatever the system's default is.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setblocking(False)
        try:
            sock.bind(endpoint.address)
            sock.listen(backlog)
        except OSError as error:
            raise OSError(error.errno, f'{error.strerror}: {_printable(endpoint.address)}') from None
    except BaseException:
        sock.close()
        raise
    return sock


def describe(sock: socket.socket) -> dict[str, Any]:
    """Where a TCP socket listens, as ``server.address()`` of Node tells it."""
    address, port = sock.getsockname()[:2]
    return {'address': address, 'family': 'IPv6' if sock.family == socket.AF_INET6 else 'IPv4', 'port': port}


def _printable(address: Union[tuple[Any, ...], str]) -> str:
    return address if isinstance(address, str) else f'{address[0]}:{address[1]}'


class Listener:
    """Accepts connections from a listening socket. Belongs to the loop thread."""

    def __init__(self, loop: Loop, sock: socket.socket, on_connection: Callable[[socket.socket], object]) -> None:
        self._loop = loop
        self._sock = sock
        self._on_connection = on_connection
        self._registered = False
        self._closed = False

    def start(self) -> None:
        """Accept from now on."""
        if not self._closed and not self._registered:
            self._registered = True
            self._loop.register(self._sock.fileno(), self, READ)

    def close(self) -> None:
        """Accept no more. The kernel resets what it had accepted on its own."""
        if not self._closed:
            self._stop()
            self._closed = True
            self._sock.close()

    def abandon(self) -> None:
        self._closed = True
        self._sock.close()

    def failed(self) -> None:
        """The connection at hand is lost; the next one deserves a try, though not at once."""
        self._rest()

    def _rest(self) -> None:
        self._stop()
        self._loop.call_later(REST, self.start)

    def _stop(self) -> None:
        if self._registered:
            self._registered = False
            self._loop.unregister(self._sock.fileno())

    def on_event(self, mask: int) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    # Trying on at once would be a busy loop: the connection stays in the queue, the socket ready.
                    _log.warning('accept: %s; next try in %d ms', error.strerror, REST)
                    self._rest()
                    return
                if error.errno in _PEER_GONE:
                    continue
                raise
            self._on_connection(sock)
            if not self._registered:  # closed by what it was told
                return


#: No more descriptors or memory just now.
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: The connection broke before it was accepted; Linux also reports network errors of the new connection here.
_PEER_GONE = frozenset(
    getattr(errno, name)
    for name in ('ECONNABORTED', 'EPROTO', 'ENETDOWN', 'ENETUNREACH', 'EHOSTDOWN', 'EHOSTUNREACH', 'EPERM')
    if hasattr(errno, name)
)

#: Node's default. The kernel has its own upper limit.
BACKLOG = 511 if sys.platform != 'win32' else 200
