"""What a server counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from .typing import Metrics


class Traffic(NamedTuple):
    """Of one connection, without its opening handshake."""

    messages_received: int
    messages_sent: int
    bytes_received: int
    #: That the kernel has taken.
    bytes_sent: int
    #: That it has not.
    buffered: int


class Connection(Protocol):
    """One that is open, or no longer so."""

    def _count(self) -> Traffic: ...


class Counts:
    """What has become of a server's connections. Not for two threads at once."""

    __slots__ = ('_abandoned', '_ended', '_opened', '_refused')

    def __init__(self) -> None:
        self._opened = 0
        self._abandoned = 0
        self._refused: dict[int, int] = {}
        self._ended = Traffic(0, 0, 0, 0, 0)  # of connections that have ended

    def opened(self) -> None:
        self._opened += 1

    def refused(self, status: int) -> None:
        """See :class:`ws.server.opening.Counter`."""
        self._refused[status] = self._refused.get(status, 0) + 1

    def abandoned(self) -> None:
        """See :class:`ws.server.opening.Counter`."""
        self._abandoned += 1

    def ended(self, connection: Connection) -> None:
        traffic = connection._count()._replace(buffered=0)
        self._ended = Traffic(*map(sum, zip(self._ended, traffic)))

    def metrics(self) -> Metrics:
        """Without what is open, or under way."""
        ended = self._ended
        return Metrics(
            connections=0,
            connectionsTotal=self._opened,
            handshakes=0,
            refused=self._refused.copy(),
            abandoned=self._abandoned,
            messagesReceived=ended.messages_received,
            messagesSent=ended.messages_sent,
            bytesReceived=ended.bytes_received,
            bytesSent=ended.bytes_sent,
            bufferedBytes=0,
            loopLag=None,
        )


def add_open(metrics: Metrics, connections: Iterable[Connection]) -> None:
    """The rest."""
    for connection in connections:
        messages_received, messages_sent, received, sent, buffered = connection._count()
        metrics['connections'] += 1
        metrics['messagesReceived'] += messages_received
        metrics['messagesSent'] += messages_sent
        metrics['bytesReceived'] += received
        metrics['bytesSent'] += sent
        metrics['bufferedBytes'] += buffered
