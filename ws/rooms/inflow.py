"""What has come in over a bus, and the loop thread has not worked through yet."""

from __future__ import annotations

import threading

#: Bytes; who brings more waits.
MOST = 4 * 1024 * 1024


class Inflow:
    """A count of bytes that holds up who adds to it while it is high. For any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._bytes = 0
        self._ended = False

    def add(self, size: int, wait: bool) -> None:
        """So many bytes have come in; if they may, wait until there are fewer than :data:`MOST` before."""
        with self._changed:
            while wait and self._bytes > MOST and not self._ended:
                self._changed.wait()
            self._bytes += size

    def take(self, size: int) -> None:
        """So many bytes have been worked through."""
        with self._changed:
            self._bytes -= size
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
