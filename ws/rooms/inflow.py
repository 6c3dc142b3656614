"""What has come in over a bus and has not yet been worked through by the loop thread."""

from __future__ import annotations

import threading

#: Bytes; whoever brings more has to wait.
MOST = 4 * 1024 * 1024


class Inflow:
    """A count of bytes that holds up whoever adds to it while it is high. For any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._bytes = 0
        self._ended = False

    def add(self, size: int, wait: bool) -> None:
        """This many bytes have come in; if `wait`, first wait until no more than :data:`MOST` are there."""
        with self._changed:
            while wait and self._bytes > MOST and not self._ended:
                self._changed.wait()
            self._bytes += size

    def take(self, size: int) -> None:
        """This many bytes have been worked through."""
        with self._changed:
            self._bytes -= size
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody waits from now on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
