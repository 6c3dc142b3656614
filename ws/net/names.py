"""Who is at both ends of a connected socket, by the names that Node's ``net.Socket`` has for it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Optional

from .certificate import Certificate
from .unix import printable


class Named:
    """A connected socket, and the names of its ends; the peer's stays the same when the socket is closed."""

    __slots__ = ('_fd', '_peer', '_sock')

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._fd = sock.fileno()  # negative once it is closed
        self._peer = _name(sock.getpeername)  # now: after a reset, the system has forgotten it

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def authorized(self) -> bool:
        """Whether TLS has verified the peer."""
        return False

    @property
    def certificate(self) -> Certificate:
        """The peer's; empty if it has shown none, and once the connection is gone."""
        return Certificate()

    @property
    def remoteAddress(self) -> Optional[str]:
        """The peer's IP address, or its UNIX path; the same when the connection is gone."""
        return _host_of(self._peer)

    @property
    def remotePort(self) -> Optional[int]:
        return _port_of(self._peer)

    @property
    def localAddress(self) -> Optional[str]:
        """Our own; None once the connection is gone."""
        return _host_of(self._local_name())

    @property
    def localPort(self) -> Optional[int]:
        return _port_of(self._local_name())

    def _local_name(self) -> Any:
        name = _name(self._sock.getsockname)
        return None if self.closed else name  # on another thread: by then, the descriptor may be somebody else's

    @property
    def peer(self) -> str:
        """The peer's address, for people."""
        return printable(self._peer)


def _name(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except OSError:
        return None


def _host_of(name: Any) -> Optional[str]:
    if isinstance(name, tuple):
        return str(name[0])
    return name if isinstance(name, str) else None


def _port_of(name: Any) -> Optional[int]:
    return int(name[1]) if isinstance(name, tuple) else None
