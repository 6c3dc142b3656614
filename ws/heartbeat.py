"""Finds connections whose peer has vanished without a word: a silent peer gets a ping (RFC 6455 section 5.5.2)."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from .net.loop import Loop
from .net.timers import Timer

#: How many connections are looked at in one turn of the loop, so that none of the others has to wait for it.
_AT_ONCE = 100


class Watched(Protocol):
    """An open connection."""

    def _progress(self) -> Optional[tuple[int, int]]:
        """See :attr:`ws.net.stream.Stream.progress`."""

    def _probe(self) -> None:
        """Send a ping."""

    def _on_vanished(self) -> None:
        """The peer is gone."""


class _Look(NamedTuple):
    due: float
    progress: Optional[tuple[int, int]]  # what it was then

    def is_answered_by(self, progress: Optional[tuple[int, int]]) -> bool:
        return progress is None or progress != self.progress


class Heartbeat:
    """Looks after many connections with one timer, on the loop thread.

    Every `interval` milliseconds, connections that have been silent since the last look get a ping; those that then
    stay silent for `timeout` milliseconds are terminated, unless that is 0. Anything heard counts as an answer.
    """

    def __init__(self, loop: Loop, interval: float, timeout: float) -> None:
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        # Each in the order in which they are due, which is that in which they are put in.
        self._watched: dict[Watched, _Look] = {}
        self._asked: dict[Watched, _Look] = {}
        self._timer: Optional[Timer] = None

    def watch(self, connection: Watched) -> None:
        """`connection` is open."""
        self._watched[connection] = self._look_after(self._interval, connection)
        if self._timer is None:
            self._set_timer()

    def forget(self, connection: Watched) -> None:
        """It is no longer open."""
        self._watched.pop(connection, None)
        self._asked.pop(connection, None)
        if not self._watched and not self._asked and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @staticmethod
    def _look_after(milliseconds: float, connection: Watched) -> _Look:
        return _Look(time.monotonic() + milliseconds / 1000, connection._progress())

    def _set_timer(self) -> None:
        due = [next(iter(looks.values())).due for looks in (self._watched, self._asked) if looks]
        self._timer = self._loop.call_at(min(due), self._look) if due else None

    def _look(self) -> None:
        now = time.monotonic()
        for connection, look in _due(self._watched, now):
            answered = look.is_answered_by(connection._progress())
            self._watched[connection] = self._look_after(self._interval, connection)
            if answered:
                self._asked.pop(connection, None)
            elif connection not in self._asked:
                self._ask(connection)
        for connection, look in _due(self._asked, now):
            if not look.is_answered_by(connection._progress()):
                connection._on_vanished()
        self._set_timer()

    def _ask(self, connection: Watched) -> None:
        if self._timeout:
            self._asked[connection] = self._look_after(self._timeout, connection)
        connection._probe()  # after the look, which must not take it for progress


#: Those that are at work, by their times.
_shared: WeakKeyDictionary[Loop, WeakValueDictionary[tuple[float, float], Heartbeat]] = WeakKeyDictionary()


def shared_heartbeat(loop: Loop, interval: float, timeout: float) -> Heartbeat:
    """One for all clients that have the same times. On the loop thread."""
    of_loop = _shared.setdefault(loop, WeakValueDictionary())
    heartbeat = of_loop.get((interval, timeout))
    if heartbeat is None:
        heartbeat = of_loop[interval, timeout] = Heartbeat(loop, interval, timeout)
    return heartbeat


def _due(looks: dict[Watched, _Look], now: float) -> list[tuple[Watched, _Look]]:
    """Those that are due, taken out, as many as may be in one turn."""
    found: list[tuple[Watched, _Look]] = []
    while looks and len(found) < _AT_ONCE:
        connection, look = next(iter(looks.items()))
        if look.due > now:
            break
        del looks[connection]
        found.append((connection, look))
    return found
