"""What ends the loop thread's wait; and what stands for the poller where there is none."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading

from .poller import READ


class Waker:
    """Ends the loop thread's wait, from any thread.

    Nobody closes it: it goes, with its descriptors, when the last thread lets go of it. Closed while another thread is
    on its way into the system call, the number might be somebody else's by the time of the write.
    """

    _ends: tuple[socket.socket, ...] = ()

    def __init__(self) -> None:
        self._ends = self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def __del__(self) -> None:
        for end in self._ends:
            end.close()

    def fileno(self) -> int:
        """What the poller watches."""
        return self._reader.fileno()

    def wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            self._writer.send(b'\0')

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(4096)


class Idle:
    """Poller and waker of a loop that can't have any: the process has run out of descriptors. Calls are made and timers
    run, so that whoever wants a socket is told what is wrong in the usual way."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._woken = threading.Event()

    def register(self, fd: int, mask: int) -> None:
        code = self._error.errno if isinstance(self._error, OSError) else None
        raise OSError(code, str(self._error.strerror if isinstance(self._error, OSError) else self._error))

    def unregister(self, fd: int) -> None:
        """Nothing is registered."""

    def fileno(self) -> int:
        return -1

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        return [(-1, READ)] if self._woken.wait(None if timeout < 0 else timeout) else []

    def wake(self) -> None:
        self._woken.set()

    def drain(self) -> None:
        self._woken.clear()

    def close(self) -> None:
        """There is nothing to close."""


class NoPoller:
    """What stands for the poller while everything ends that it has watched."""

    def register(self, fd: int, mask: int) -> None:
        raise OSError(errno.EBADF, 'the event loop has failed')

    modify = register

    def unregister(self, fd: int) -> None:
        pass
