"""Waiting for what other threads change, so that Ctrl-C may interrupt it at any step."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Optional

from . import green

#: How often, in seconds, a main thread that waits looks for Ctrl-C: a signal does not end the system call that it comes
#: just before, and on Windows none. gevent and eventlet look by themselves.
INTERRUPT_POLL: Optional[float] = None if green.is_in_use() else 0.5


class Changes:
    """What has changed, those who wait are told, and look.

    Nobody holds a lock while waiting. So a signal handler may raise between any two steps: a Condition may then be left
    locked, or raise RuntimeError instead, as it lets go of a lock that it does not hold.
    """

    def __init__(self) -> None:
        self._waiting: list[threading.Lock] = []

    def tell(self) -> None:
        """Something has changed. To be called with the lock that guards it, which a signal handler may share."""
        for waiter in self._waiting.copy():
            with contextlib.suppress(RuntimeError):  # it was told before, and is going to look
                waiter.release()

    def until(self, is_so: Callable[[], bool], seconds: Optional[float] = None) -> bool:
        """Return True as soon as `is_so` does, or False once that many seconds have passed. `is_so` is called by this
        thread, at once and after each change; it is where a lock belongs."""
        if is_so():
            return True
        deadline = None if seconds is None else time.monotonic() + seconds
        waiter = threading.Lock()
        waiter.acquire()
        try:
            self._waiting.append(waiter)
            while not is_so():
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                waiter.acquire(timeout=_seconds_to_wait(deadline))
            return True
        finally:
            with contextlib.suppress(ValueError):  # interrupted before it was there
                self._waiting.remove(waiter)


def _seconds_to_wait(deadline: Optional[float]) -> float:
    """-1: for ever."""
    limits = [] if deadline is None else [min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)]
    if INTERRUPT_POLL is not None and threading.get_ident() == threading.main_thread().ident:
        limits.append(INTERRUPT_POLL)
    return min(limits, default=-1)
