"""The calls that a loop is to make later, by the time at which they are due."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Optional

from .poller import BATCH

_Callback = Callable[..., object]


class Timer:
    """A call to be made later on the loop thread. ``callback`` is None once it ran or was cancelled."""

    __slots__ = ('args', 'callback')

    def __init__(self, callback: _Callback, args: tuple[Any, ...]) -> None:
        self.callback: Optional[_Callback] = callback
        self.args: tuple[Any, ...] = args

    def cancel(self) -> None:
        # The heap may hold this object until it would have been due: let go of what it refers to.
        self.callback = None
        self.args = ()


class Timers(list[tuple[float, int, Timer]]):
    """A heap: what :func:`time.monotonic` gives when each is due, the number of each, which keeps the order of those
    that are due at once, and the timer."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._turns = 0  # how many turns the look at all sockets has taken that is under way
        self._began = 0.0  # when that look began
        self._allowed = 0  # when there are more, the cancelled ones are dropped

    def add(self, due: float, callback: _Callback, args: tuple[Any, ...]) -> Timer:
        timer = Timer(callback, args)
        heapq.heappush(self, (due, next(self._numbers), timer))
        return timer

    def first_due(self) -> Optional[float]:
        """When there is something to do; None if there is nothing."""
        while self and self[0][2].callback is None:
            heapq.heappop(self)
        return self[0][0] if self else None

    def run_due(
        self, polled: float, ready: int, watched: int, run: Callable[[_Callback, tuple[Any, ...]], object]
    ) -> None:
        """Have ``run(callback, args)`` make the calls that are due. When this turn of the loop began to poll, at
        `polled`, `ready` of `watched` sockets were ready.

        Many are about something that has not come, while it may only not have been read, since a listener took long or
        the process was stopped: so those are made that were due before a look at all sockets began."""
        if not self._turns:
            self._began = polled
        self._turns += 1
        if ready >= BATCH and self._turns <= watched // BATCH:
            return
        self._turns = 0
        began = self._began
        while self and self[0][0] <= began:
            timer = heapq.heappop(self)[2]
            if timer.callback is not None:
                callback, args = timer.callback, timer.args
                timer.cancel()
                run(callback, args)
        if len(self) > self._allowed:
            self._drop_cancelled()

    def _drop_cancelled(self) -> None:
        """Each accepted connection cancels a timer that would lie in the heap for seconds."""
        self[:] = [entry for entry in self if entry[2].callback is not None]
        heapq.heapify(self)
        # Not again before as many have been added: however many are in use, it costs little for each.
        self._allowed = 2 * len(self) + 64
