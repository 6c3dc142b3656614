"""Waiting for what other threads change, so that Ctrl-C may interrupt it at any step."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Optional

from . import green

#: How often, in seconds, a main thread that waits looks for Ctrl-C. The system may give the signal to a thread that is
#: just starting another one, and then interrupts nobody; nor does it interrupt a call that is just about to begin, or,
#: on Windows, any. Where threads are green, it is their hub that waits.
INTERRUPT_POLL: Optional[float] = None if green.is_in_use() else 0.5


class Changes:
    """Tells those who wait that something has changed; each looks for itself.

    Unlike a Condition, it may be interrupted by a signal handler that raises, at any step: who waits holds no lock, so
    none is left locked, or let go of twice.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock: Any = lock
        self._waiting: list[threading.Lock] = []

    def tell(self) -> None:
        """Something has changed. To be called with the lock, which guards that."""
        for waiter in self._waiting.copy():
            with contextlib.suppress(RuntimeError):  # it was told before, and is going to look
                waiter.release()

    def until(self, is_so: Callable[[], bool], seconds: Optional[float] = None) -> bool:
        """Return True as soon as `is_so` does, or False once that many seconds have passed. `is_so` is called by this
        thread, at once and after each change, without the lock."""
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
                self._wait(waiter, _seconds_to_wait(deadline))
            return True
        finally:
            with contextlib.suppress(ValueError):  # interrupted before it was there
                self._waiting.remove(waiter)

    def _wait(self, waiter: threading.Lock, seconds: float) -> None:
        if not self._lock._is_owned():
            waiter.acquire(timeout=seconds)
            return
        # This is a signal handler, and what it has interrupted holds the lock. Others need it for what it waits for.
        levels = self._lock._release_save()
        try:
            waiter.acquire(timeout=seconds)
        finally:
            self._lock._acquire_restore(levels)


def _seconds_to_wait(deadline: Optional[float]) -> float:
    """-1: for ever."""
    limits = [] if deadline is None else [min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)]
    if INTERRUPT_POLL is not None and threading.get_ident() == threading.main_thread().ident:
        limits.append(INTERRUPT_POLL)
    return min(limits, default=-1)
