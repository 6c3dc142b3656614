"""Name look-ups, which block, on threads of their own; the answers arrive on the loop thread."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

from .loop import Loop
from .workers import Workers

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


def look_up(host: str, port: int, flags: int = 0) -> list[Endpoint]:
    """Ask the system, however long it takes. Raises :class:`OSError`."""
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f'{error.strerror}: {host}') from None
    except ValueError as error:  # a label of more than 63 characters, say
        raise socket.gaierror(socket.EAI_NONAME, f'{host!r} is no host name: {error}') from None
    return [Endpoint(family, address) for family, _, _, _, address in rows]


def look_up_literal(host: str, port: int, flags: int = 0) -> Optional[list[Endpoint]]:
    """The same for what is an IP address already, which never blocks; None if it is a name."""
    try:
        return look_up(host, port, flags | socket.AI_NUMERICHOST)
    except OSError:
        return None


class LookUp:
    """A name that is being looked up."""

    def __init__(self, loop: Loop, host: str, port: int, flags: int, on_answer: OnAnswer) -> None:
        self._loop = loop
        self._arguments = (host, port, flags)
        self._on_answer: Optional[OnAnswer] = on_answer  # None: nobody wants to know any more

    def cancel(self) -> None:
        """Nobody will be told. To be called on the loop thread."""
        self._on_answer = None

    def run(self) -> None:
        """Ask, and have the answer delivered on the loop thread; blocks."""
        if self._on_answer is None:
            return
        try:
            answer = Answer(look_up(*self._arguments), None)
        except OSError as error:
            error.__context__ = error.__traceback__ = None  # their frames refer to the answer, which would be a circle
            answer = Answer([], error)
        except Exception as error:  # getaddrinfo may be somebody's own
            answer = Answer([], OSError(f'{type(error).__name__}: {error}'))
        if self._on_answer is not None:
            self._loop.call(self.deliver, answer)

    def deliver(self, answer: Answer) -> None:
        if self._on_answer is not None:
            self._on_answer(answer)


_resolver = Workers('ws-resolver', MAX_THREADS)


def resolve(loop: Loop, host: str, port: int, on_answer: OnAnswer, flags: int = 0) -> LookUp:
    """Look `host` up without blocking the loop; ``on_answer(answer)`` is called on its thread, never from here."""
    question = LookUp(loop, host, port, flags, on_answer)
    endpoints = look_up_literal(host, port, flags)
    if endpoints is not None:
        loop.call(question.deliver, Answer(endpoints, None))
    else:
        _resolver.add(question.run)
    return question
