"""The connections of a server that have not ended."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Optional

from ..metrics import Counts, add_open
from ..typing import Metrics
from ..websocket import WebSocket


class Clients(list[WebSocket]):
    """The open connections, oldest first. Iterating goes over a copy: any thread may, while clients come and go."""

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self[:])


class Connections:
    """All of them, also where ``clientTracking`` is off. Belongs to the loop thread, except :meth:`metrics`."""

    def __init__(self, clients: Optional[Clients], on_empty: Callable[[], object]) -> None:
        self._clients = clients  # the user's list of them, if it is to be kept
        self._on_empty = on_empty  # called when there may be none left
        # For what metrics() reads. Reentrant: a signal handler may come here in the middle of it.
        self._lock = threading.RLock()
        self._open: set[WebSocket] = set()
        self._leaving = 0  # that have ended, and have listeners on the pool that are still to be told
        self.counts: Counts = Counts()
        self._on_closed = (self._forget,)  # one for all of them

    def add(self, ws: WebSocket) -> None:
        ws._when_closed(self._on_closed)
        with self._lock:
            self._open.add(ws)
            self.counts.opened()
        if self._clients is not None:
            self._clients.append(ws)

    def _forget(self, ws: WebSocket) -> None:
        with self._lock:
            self._open.discard(ws)
            self.counts.ended(ws)
        if self._clients is not None:
            with contextlib.suppress(ValueError):  # the user has removed it
                self._clients.remove(ws)
        if ws._order is None:
            self._on_empty()
        else:
            self._leaving += 1
            ws._loop.defer(ws._order.add, ws._loop.call, self._has_left)  # behind its `close`, which is to come

    def _has_left(self) -> None:
        self._leaving -= 1
        self._on_empty()

    @property
    def are_gone(self) -> bool:
        """Whether there is none left, and all is told."""
        return not (self._open or self._leaving)

    def __iter__(self) -> Iterator[WebSocket]:
        """Over those that are open by now."""
        return iter(list(self._open))

    def metrics(self) -> Metrics:
        """From any thread."""
        with self._lock:
            counted = self.counts.metrics()
            connections = list(self._open)
        add_open(counted, connections)
        return counted
