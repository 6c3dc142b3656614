"""Name look-ups, which block, on threads of their own; the answers arrive on the loop thread."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

from .loop import Loop

#: How many look-ups run at once in a process.
MAX_THREADS = 4


class Endpoint(NamedTuple):
    """Where a socket may connect to or bind: one row of getaddrinfo's answer."""

    family: int
    address: Union[tuple[Any, ...], str]


class Answer(NamedTuple):
    endpoints: list[Endpoint]
    error: Optional[OSError]


OnAnswer = Callable[[Answer], object]


def look_up(host: Optional[str], port: int, flags: int = 0) -> list[Endpoint]:
    """Ask the system, however long it takes. Raises :class:`OSError`."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label of more than 63 characters, say
        raise socket.gaierror(socket.EAI_NONAME, f'{host!r} is no host name: {error}') from None
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f'{error.strerror}: {host}') from None
    return [Endpoint(family, address) for family, _, _, _, address in rows]


def look_up_literal(host: Optional[str], port: int, flags: int = 0) -> Optional[list[Endpoint]]:
    """The same for what is an IP address already, which never blocks; None if it is a name."""
    try:
        return look_up(host, port, flags | socket.AI_NUMERICHOST)
    except OSError:
        return None


class Resolver:
    """A few daemon threads that live while there are names to look up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Loop, str, int, int, OnAnswer]] = deque()
        self._threads = 0

    def resolve(self, loop: Loop, host: str, port: int, flags: int, on_answer: OnAnswer) -> None:
        """Have ``on_answer(answer)`` called on the thread of `loop`."""
        with self._lock:
            self._jobs.append((loop, host, port, flags, on_answer))
            if self._threads >= MAX_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name='ws-resolver', daemon=True).start()
        except RuntimeError:
            # No more threads, or the interpreter is past its last line and starts none: late is better than never.
            self._work()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._threads -= 1
                    return
                loop, host, port, flags, on_answer = self._jobs.popleft()
            try:
                answer = Answer(look_up(host, port, flags), None)
            except OSError as error:
                answer = Answer([], error)
            loop.call(on_answer, answer)


_resolver = Resolver()


def resolve(loop: Loop, host: str, port: int, on_answer: OnAnswer, flags: int = 0) -> None:
    """Look `host` up without blocking the loop; ``on_answer(answer)`` is called on its thread, never from here."""
    endpoints = look_up_literal(host, port, flags)
    if endpoints is not None:
        loop.call(on_answer, Answer(endpoints, None))
    else:
        _resolver.resolve(loop, host, port, flags, on_answer)


def _renew_after_fork() -> None:
    global _resolver
    _resolver = Resolver()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew_after_fork)
