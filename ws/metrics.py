"""What a server counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .typing import Metrics


class Traffic(Protocol):
    """A connection, open or no longer so."""

    def _count(self) -> tuple[int, int, int]:
        """Bytes received, bytes sent, bytes that wait to be sent."""


class Counts:
    """What has become of a server's connections. Not for two threads at once."""

    __slots__ = ('_abandoned', '_opened', '_received', '_refused', '_sent')

    def __init__(self) -> None:
        self._opened = 0
        self._abandoned = 0
        self._refused: dict[int, int] = {}
        # By connections that have ended.
        self._received = 0
        self._sent = 0

    def opened(self) -> None:
        self._opened += 1

    def refused(self, status: int) -> None:
        """See :class:`ws.server.opening.Counter`."""
        self._refused[status] = self._refused.get(status, 0) + 1

    def abandoned(self) -> None:
        """See :class:`ws.server.opening.Counter`."""
        self._abandoned += 1

    def ended(self, connection: Traffic) -> None:
        received, sent, _ = connection._count()
        self._received += received
        self._sent += sent

    def metrics(self) -> Metrics:
        """Without what is open, or under way."""
        return Metrics(
            connections=0,
            connectionsTotal=self._opened,
            handshakes=0,
            refused=self._refused.copy(),
            abandoned=self._abandoned,
            bytesReceived=self._received,
            bytesSent=self._sent,
            bufferedBytes=0,
            loopLag=None,
        )


def add_open(metrics: Metrics, connections: Iterable[Traffic]) -> None:
    """The rest."""
    for connection in connections:
        received, sent, buffered = connection._count()
        metrics['connections'] += 1
        metrics['bytesReceived'] += received
        metrics['bytesSent'] += sent
        metrics['bufferedBytes'] += buffered
