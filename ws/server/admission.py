"""When a server begins to accept: not before somebody can hear of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from ..delivery import Emitter
from ..net.timers import Timer

#: How long, in milliseconds, a server that was made off the loop thread waits for what its maker does next: gives it a
#: name, attaches another listener.
SAME_BREATH = 10


class Admission:
    """Waits for a ``connection`` listener of `server`, or until the second that it has to come is over; then calls
    `on_begin`. Belongs to the loop thread."""

    def __init__(self, server: Emitter, on_begin: Callable[[], object]) -> None:
        self._server = server
        self._on_begin = on_begin
        self._timer: Optional[Timer] = None
        #: Whether it has begun.
        self.has_begun: bool = False
        #: What waits for that.
        self.waiting: list[Callable[[], object]] = []

    @property
    def is_wanted(self) -> bool:
        """Whether it has begun, or is about to."""
        return self.has_begun or self._timer is not None

    def begin_when_heard(self) -> None:
        """Those attached in the same breath, for ``headers`` say, get a few milliseconds, too."""
        kept = self._server._kept
        if self._timer is not None:
            self._timer.cancel()
        if kept is None or kept.is_over():
            self._begin()
        elif any(event.startswith('connection') for event in self._server.eventNames()):
            self._timer = self._server._loop.call_later(SAME_BREATH, self._begin)
        else:
            self._timer = self._server._loop.call_later(SAME_BREATH, self.begin_when_heard)

    def _begin(self) -> None:
        self.has_begun = True
        self._on_begin()
        waiting, self.waiting = self.waiting, []
        for start in waiting:
            start()

    def when_begun(self, start: Callable[[], object]) -> None:
        """Call `start` then, or now."""
        if self.has_begun:
            start()
        else:
            self.waiting.append(start)

    def end(self) -> None:
        """Nobody is accepted any longer."""
        self.waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def abandon(self) -> None:
        """This is the child after a fork, where nobody has to wait."""
        self.has_begun = True
        self._timer = None
        self.waiting.clear()
