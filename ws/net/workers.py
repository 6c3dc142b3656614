"""Threads for what blocks: look-ups, files. Their results go back to the loop with :meth:`Loop.call`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from weakref import WeakSet

from ..forks import in_child

Job = Callable[[], object]

#: How many threads may stand aside for each that counts.
ASIDE = 4

#: How long, in seconds, a thread waits for another job: whoever reads a file has the next one soon, and starting a
#: thread takes longer than reading a piece.
_PATIENCE = 0.05


_all: WeakSet[Workers] = WeakSet()  # any thread adds to it; it is gone through only in the child after a fork, by one


class Workers:
    """A few daemon threads that live while there are jobs, and a moment longer. A job must not raise."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """There are no jobs and no threads; also in the child after a fork, whose parent does the jobs."""
        # For all of the following. A signal handler may raise in the middle of entering a Condition, not of a lock.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._threads = 0  # those that were given up don't count
        self._idle = 0  # of these
        self._lost = 0  # threads whose job nobody waits for, or that have stood aside with it

    def add(self, job: Job) -> None:
        """Do `job` soon on one of the threads. Jobs begin in the order they were added."""
        with self._lock:
            self._waiting.append(job)
            if self._idle >= len(self._waiting):
                self._changed.notify()
                return
            if self._threads >= self._most:
                return
            self._threads += 1
        self._start()

    def give_up(self, job: Job) -> None:
        """Nobody waits for `job` any longer. If it has begun, nothing can end it: its thread will do nothing else, and
        another one may take its place."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                return
            replaced = self._lose(job)
        if replaced:
            self._start()

    def stand_aside(self, job: Job) -> bool:
        """`job` takes longer than others shall wait for: it goes on, and another thread may take its thread's place.
        Returns False if that is not so now: it has not begun, or many have stood aside already."""
        with self._lock:
            if job in self._waiting or (job in self._running and self._lost >= self._most * ASIDE):
                return False
            replaced = self._lose(job)
        if replaced:
            self._start()
        return True

    def _lose(self, job: Job) -> bool:
        """Count the thread of `job` no longer; returns whether there is something to do for another one."""
        if job not in self._running:
            return False
        self._running.remove(job)
        self._lost += 1
        if not self._waiting:
            self._threads -= 1
            return False
        return True

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, args=[_PATIENCE], name=self._name, daemon=True).start()
        except RuntimeError:
            # No more threads, or the interpreter is past its last line and starts none: late is better than never.
            self._work(0)

    def _work(self, patience: float) -> None:
        while True:
            with self._lock:
                if not self._waiting and patience:
                    self._idle += 1
                    self._changed.wait_for(lambda: self._waiting, patience)
                    self._idle -= 1
                if not self._waiting:
                    self._threads -= 1
                    return
                job = self._waiting.popleft()
                self._running.append(job)
            job()
            with self._lock:
                if job not in self._running:  # it was given up, and this thread with it
                    self._lost -= 1
                    return
                self._running.remove(job)
            del job  # or it would be kept until there is another


@in_child
def _forget_all() -> None:
    for workers in list(_all):
        workers.forget()
