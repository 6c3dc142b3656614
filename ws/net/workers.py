"""Threads for what blocks: look-ups, files. Their results go back to the loop with :meth:`Loop.call`."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

Job = Callable[[], object]


class Workers:
    """A few daemon threads that live while there are jobs. A job must not raise."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._forget()
        if hasattr(os, 'register_at_fork'):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """There are no jobs and no threads; also in the child after a fork, whose parent does the jobs."""
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._threads = 0

    def add(self, job: Job) -> None:
        """Do `job` soon on one of the threads. Jobs begin in the order they were added."""
        with self._lock:
            self._waiting.append(job)
            if self._threads >= self._most:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:
            # No more threads, or the interpreter is past its last line and starts none: late is better than never.
            self._work()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                job = self._waiting.popleft()
            job()
            del job  # or it would be kept until there is another
