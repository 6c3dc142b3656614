"""A pollable and a poller that do as they are told, and the threads of loops."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any


class Pollable:
    """A socket that tells what happens to it."""

    def __init__(self, sock: socket.socket, on_event: Callable[[int], object] = lambda mask: None) -> None:
        self.sock = sock
        self._on_event = on_event
        self.failures = 0

    def on_event(self, mask: int) -> None:
        self._on_event(mask)

    def failed(self) -> None:
        self.failures += 1

    def abandon(self) -> None:
        self.sock.close()


class Broken:
    """A poller that fails, when it is told to."""

    fails = False

    def __init__(self, poller: Any) -> None:
        self._poller = poller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, timeout: float) -> Any:
        if self.fails:
            raise ValueError('too many file descriptors in select()')
        return self._poller.poll(timeout)


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == 'ws']
