"""What every client in Python is told, in its one argument, as JSON; and how it counts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

settings = json.loads(sys.argv[1])
if 'without' in settings:  # a compiled module that is not to be used
    sys.modules[settings['without']] = None  # type: ignore[assignment] an import raises ImportError
url = f'ws://127.0.0.1:{settings["port"]}/'
message = os.urandom(settings['size'])
in_flight = settings['in_flight']

CHECKED = 16  # messages between two looks at the clock


class Count:
    """Of the messages that came back: first those of the warm-up, then those that are measured."""

    def __init__(self) -> None:
        self._messages = 0
        self._started = (0, 0.0, 0.0)
        self._warm = False
        self._end = time.perf_counter() + settings['warm_up']

    def received(self, answer: bytes) -> None:
        """Ends the program when all is measured; else the caller sends the next message."""
        if answer != message:
            sys.stderr.write('a message came back changed\n')
            os._exit(1)
        self._messages += 1
        if not self._messages % CHECKED and time.perf_counter() > self._end:
            self._next_phase()

    def _next_phase(self) -> None:
        now = (self._messages, time.perf_counter(), time.process_time())
        if self._warm:
            names = ('messages', 'seconds', 'cpu')
            print(
                json.dumps({name: after - before for name, before, after in zip(names, self._started, now)}), flush=True
            )
            os._exit(0)
        self._warm, self._started, self._end = True, now, now[1] + settings['seconds']


received = Count().received


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs it on uvloop or asyncio."""
    if settings.get('uvloop'):
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)
