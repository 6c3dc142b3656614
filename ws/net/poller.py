"""Which descriptors are ready: epoll on Linux, :mod:`selectors` elsewhere, behind the same five methods."""

from __future__ import annotations

import errno
import os
import select
import selectors
import sys

#: Interest in, and readiness for, reading. The values are epoll's own, so that they pass through unchanged.
READ = 0x001
#: Interest in, and readiness for, writing.
WRITE = 0x004
#: As many are handed out at once, though more may be ready: ``select.epoll`` has room for FD_SETSIZE - 1.
BATCH = 1023


#: What ``select.select`` of CPython watches at most: elsewhere than on Windows, their numbers are below this, too.
SELECT_LIMIT = 512 if sys.platform == 'win32' else 1024
_NUMBERS_COUNT = sys.platform != 'win32'


class SelectorPoller:
    """``select.epoll`` as far as the loop uses it, on top of :class:`selectors.DefaultSelector`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._selects = isinstance(self._selector, selectors.SelectSelector)

    @property
    def full(self) -> bool:
        """Whether no further descriptor can be watched."""
        return self._selects and len(self._selector.get_map()) >= SELECT_LIMIT

    def register(self, fd: int, mask: int) -> None:
        """Raises :class:`OSError` for one that can't be watched: ``select`` itself would say so, each time, for all."""
        if self.full or (self._selects and _NUMBERS_COUNT and fd >= SELECT_LIMIT):
            raise OSError(errno.EMFILE, f'{os.strerror(errno.EMFILE)}: select() watches no more than {SELECT_LIMIT}')
        self._selector.register(fd, _to_selectors(mask))

    def modify(self, fd: int, mask: int) -> None:
        self._selector.modify(fd, _to_selectors(mask))

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        """Wait at most `timeout` seconds (negative: for ever); return ``(fd, mask)`` for each ready descriptor.

        Raises :class:`ValueError` when it is closed: ``select`` itself would wait for nothing, for ever.
        """
        if self._selector.get_map() is None:
            raise ValueError('I/O operation on closed poller')
        ready = self._selector.select(None if timeout < 0 else timeout)
        return [(key.fd, _from_selectors(mask)) for key, mask in ready]

    def close(self) -> None:
        self._selector.close()


def _to_selectors(mask: int) -> int:
    return (selectors.EVENT_READ if mask & READ else 0) | (selectors.EVENT_WRITE if mask & WRITE else 0)


def _from_selectors(mask: int) -> int:
    return (READ if mask & selectors.EVENT_READ else 0) | (WRITE if mask & selectors.EVENT_WRITE else 0)


# Where gevent or eventlet has patched it, select has no epoll; selectors has what waits as they do.
if sys.platform == 'linux' and hasattr(select, 'epoll'):
    Poller: type = select.epoll
else:
    Poller = SelectorPoller
