"""Two threads of Python in a race, for `make races`: racy.c, built as the argument says."""

from __future__ import annotations

import ctypes
import sys
import threading

library = ctypes.CDLL(sys.argv[1])
both = threading.Barrier(2)


def count() -> None:
    both.wait()
    library.count()


threads = [threading.Thread(target=count) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
