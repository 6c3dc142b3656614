"""The signals that end wscat: the first one politely, the second one at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Optional

#: How often, in seconds, the main thread ends its wait to look for signals: one that comes when it is just about to
#: wait doesn't interrupt that, and on Windows none ever does.
SIGNAL_POLL = 0.5


class Interrupted(BaseException):
    """A signal ends wscat, which is to end as if killed by it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class EndSignals:
    """Calls `first` with the number of the first of them, in the main thread; another one raises Interrupted there."""

    def __init__(self, first: Callable[[int], object]) -> None:
        self._first = first
        #: The first one, once it has come.
        self.number: Optional[int] = None

    def listen(self) -> None:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as for what a script starts in the background
            signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, number: int, *_: object) -> None:
        if self.number is not None:
            raise Interrupted(number)
        self.number = number
        self._first(number)
