"""What a soak keeps of each connection, in constant memory, and what it takes of a process."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import zlib
from pathlib import Path

#: Of mallopt(3).
M_ARENA_MAX = -8
#: As many connections a run may have: each has a number.
MOST = 8_000_000


class Counts:
    """How often something has happened to each connection, by its number; at most 255 times."""

    def __init__(self) -> None:
        self._counts = bytearray(MOST)

    def add(self, number: int) -> None:
        self._counts[number] = min(self._counts[number] + 1, 255)

    def of(self, number: int) -> int:
        return self._counts[number]

    def save(self, path: Path) -> None:
        path.write_bytes(zlib.compress(bytes(self._counts), 1))

    @classmethod
    def load(cls, path: Path) -> Counts:
        counts = cls()
        counts._counts[:] = zlib.decompress(path.read_bytes())
        return counts


class Faults:
    """What went wrong: the first ones in full, and how many there were."""

    SHOWN = 20

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.number = 0
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        with self._lock:
            self.number += 1
            if len(self.texts) < self.SHOWN:
                self.texts.append(text)


def use_one_arena() -> None:
    """Each of the threads that come and go would leave free memory in an arena of its own, which looks like a leak.
    Only glibc has arenas, and can be told so."""
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    if set_option is not None:
        set_option(M_ARENA_MAX, 1)


def resources() -> dict[str, int]:
    """Of this process, after a collection: ``memory`` in KiB, ``threads``, ``descriptors`` and ``objects``."""
    gc.collect()
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return {
        'memory': pages * os.sysconf('SC_PAGE_SIZE') // 1024,
        'threads': threading.active_count(),
        'descriptors': len(os.listdir('/proc/self/fd')) - 1,
        'objects': len(gc.get_objects()),
    }
