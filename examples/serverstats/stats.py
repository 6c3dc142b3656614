"""What the server measures about itself, and pushes to each page once a second."""

import json
import os
import time
from pathlib import Path

from ws.timers import clearInterval, setInterval


class Stats:
    """Its methods run on the loop thread, one at a time: what they count needs no lock."""

    def __init__(self):
        self.messages = 0
        self.connections = 0

    def connection(self, ws):
        """The listener for `connection`."""
        self.connections += 1
        self.push(ws)
        timer = setInterval(self.push, 1000, ws)

        @ws.on('message')
        def message():
            self.messages += 1

        @ws.on('close')
        def closed():
            self.connections -= 1
            clearInterval(timer)

    def push(self, ws):
        if ws.readyState == ws.OPEN:
            ws.send(json.dumps(self.sample()))

    def sample(self):
        """How it stands now. How much that is per second, the page works out from two of these."""
        return {
            'time': time.monotonic(),  # in seconds
            'memory': resident_memory(),  # in bytes
            'messages': self.messages,
            'connections': self.connections,
        }


def resident_memory():
    """Bytes of this process that are in RAM; None where the system has no /proc to tell, as on macOS and Windows."""
    try:
        pages = Path('/proc/self/statm').read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf('SC_PAGE_SIZE')
