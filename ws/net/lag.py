"""How late a loop is: how long what is ready has to wait until the loop comes to it."""

from __future__ import annotations

import time
from typing import Optional

from .loop import Loop
from .timers import Timer

#: How often, in milliseconds, we look.
LOOK_EVERY = 100
#: How long, in seconds, the longest delay is remembered, at least; and at most twice as long.
PERIOD = 30
#: How long, in seconds, it goes on after the last time that somebody asked.
ASKED_FOR = 300


class Lag:
    """Measures how late a timer runs, from the first time that somebody asks until nobody has asked for
    :data:`ASKED_FOR` seconds. :meth:`ask` may be called from any thread, everything else belongs to the loop thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop: Loop = loop
        self._timer: Optional[Timer] = None
        self._asked = 0.0
        self._due = 0.0
        self._longest = 0.0  # in this period
        self._longest_before = 0.0
        self._period_ends = 0.0

    def ask(self) -> Optional[float]:
        """The longest delay, in milliseconds, of about the last minute; if a longer one is not over yet, that so far.
        None if nothing has been measured yet."""
        self._asked = now = time.monotonic()
        if self._timer is None:
            self.loop.call(self._start)
            return None
        return 1000 * max(self._longest, self._longest_before, now - self._due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        if self._timer is None:
            now = time.monotonic()
            self._longest = self._longest_before = 0.0
            self._period_ends = now + PERIOD
            self._look_later(now)

    def _look_later(self, now: float) -> None:
        self._due = now + LOOK_EVERY / 1000
        self._timer = self.loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._asked + ASKED_FOR:
            self._timer = None
            return
        if now >= self._period_ends:
            self._longest, self._longest_before = 0.0, self._longest
            self._period_ends = now + PERIOD
        self._longest = max(self._longest, now - self._due)
        self._look_later(now)
