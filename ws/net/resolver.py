"""Name look-ups, which block, on threads of their own; the answers arrive on the loop thread."""

from __future__ import annotations

import encodings.idna  # noqa: F401  # for each host name; imported then, it would fail once descriptors have run out
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Protocol, Union

from ..forks import in_child
from .loop import Loop
from .timers import Timer
from .workers import Workers

#: How many names are looked up at once in a process, those not counted that nobody wants to know any more, or that take
#: longer than `PATIENCE`: a name whose server does not answer blocks its thread for as long as the system likes.
MAX_THREADS = 64
#: How long, in milliseconds, a name may keep others waiting.
PATIENCE = 1000


class Endpoint(NamedTuple):
    """Where a socket may connect to or bind: one row of getaddrinfo's answer."""

    family: int
    address: Union[tuple[Any, ...], str]


class Answer(NamedTuple):
    endpoints: list[Endpoint]
    error: Optional[BaseException]


OnAnswer = Callable[[Answer], object]
_Arguments = tuple[str, int, int, int]  # host, port, flags, family


def look_up(host: str, port: int, flags: int = 0, family: int = 0) -> list[Endpoint]:
    """Ask the system, however long it takes. Raises :class:`OSError`."""
    try:
        rows = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as error:
        raise socket.gaierror(error.errno, f'{error.strerror}: {host}') from None
    except ValueError as error:  # a label of more than 63 characters, say
        raise socket.gaierror(socket.EAI_NONAME, f'{host!r} is not a host name: {error}') from None
    return [Endpoint(family, address) for family, _, _, _, address in rows]


def look_up_literal(host: str, port: int, flags: int = 0) -> Optional[list[Endpoint]]:
    """The same for what is an IP address already, which never blocks; None if it is a name."""
    try:
        return look_up(host, port, flags | socket.AI_NUMERICHOST)
    except OSError:
        return None


class LookUp:
    """Somebody's interest in what a name stands for. Others may ask the same."""

    def __init__(self, loop: Loop, on_answer: OnAnswer) -> None:
        self._loop = loop
        self._on_answer: Optional[OnAnswer] = on_answer  # None: nobody wants to know any more
        self._question: Optional[Question] = None  # that it waits for
        self._timer: Optional[Timer] = None

    def wait_for(self, question: Question) -> None:
        self._question = question

    def watch(self) -> None:
        """See to it that it keeps nobody waiting for long. To be called on the loop thread."""
        if self._question is not None:
            self._timer = self._loop.call_later(PATIENCE, self._on_slow, self._question)

    def _on_slow(self, question: Question) -> None:
        if not question.stand_aside():
            self.watch()

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def cancel(self) -> None:
        """Nobody will be told. To be called on the loop thread."""
        self._on_answer = None
        self._stop_watching()
        question, self._question = self._question, None
        if question is not None:
            question.leave(self)

    def tell(self, answer: Answer) -> None:
        """Have the answer delivered on the loop thread; on any other."""
        self._loop.call(self.deliver, answer)

    def deliver(self, answer: Answer) -> None:
        self._stop_watching()
        self._question = None
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(answer)


class Question(Protocol):
    """What a :class:`LookUp` waits for."""

    def leave(self, asking: LookUp) -> None:
        """That one does not want to know any more."""

    def stand_aside(self) -> bool:
        """It takes long: let others go first. Returns False if it has to be asked again."""


#: ``(host, port, family, asking)``: asks somebody else than the system.
Ask = Callable[[str, int, int, LookUp], object]


class _Question:
    """A name that is being looked up: once at a time, for whoever wants to know."""

    def __init__(self, arguments: _Arguments) -> None:
        self._arguments = arguments
        self.asking: list[LookUp] = []

    def run(self) -> None:
        """Ask, and tell; blocks."""
        try:
            answer = Answer(look_up(*self._arguments), None)
        except OSError as error:
            error.__context__ = error.__traceback__ = None  # their frames refer to the answer, which would be a circle
            answer = Answer([], error)
        except Exception as error:  # getaddrinfo may be somebody's own
            answer = Answer([], OSError(f'{type(error).__name__}: {error}'))
        with _lock:
            asking, self.asking = self.asking, []
            self._close()
        for one in asking:
            one.tell(answer)

    def leave(self, asking: LookUp) -> None:
        """That one does not want to know any more. The last of them gives the thread up: nothing can end its wait."""
        with _lock:
            if asking not in self.asking:
                return
            self.asking.remove(asking)
            if self.asking:
                return
            self._close()
        _resolver.give_up(self.run)

    def stand_aside(self) -> bool:
        return _resolver.stand_aside(self.run)

    def _close(self) -> None:
        """Whoever asks from now on makes a new look-up."""
        if _questions.get(self._arguments) is self:
            del _questions[self._arguments]


_resolver = Workers('ws-resolver', MAX_THREADS)
_questions: dict[_Arguments, _Question] = {}
# For these, and for who is asking. Reentrant: a signal handler may come here in the middle of it.
_lock = threading.RLock()


@in_child
def _forget() -> None:
    """The child after a fork has none of these threads, and the lock may be held by one of them."""
    global _lock
    _lock = threading.RLock()
    _questions.clear()


def _ask(arguments: _Arguments, asking: LookUp) -> None:
    with _lock:
        question = _questions.get(arguments)
        is_new = question is None
        if question is None:
            question = _questions[arguments] = _Question(arguments)
        question.asking.append(asking)
        asking.wait_for(question)
    if is_new:
        _resolver.add(question.run)


def resolve(
    loop: Loop,
    host: str,
    port: int,
    on_answer: OnAnswer,
    flags: int = 0,
    family: int = 0,
    ask: Optional[Ask] = None,
) -> LookUp:
    """Look `host` up without blocking the loop; ``on_answer(answer)`` is called on its thread, never from here.

    A name has addresses of `family` only, if that is not 0; the system is asked for it, or somebody else by `ask`. What
    is an address is what it is.
    """
    asking = LookUp(loop, on_answer)
    endpoints = look_up_literal(host, port, flags)
    if endpoints is not None:
        asking.tell(Answer(endpoints, None))
    elif ask is not None:
        ask(host, port, family, asking)
    else:
        _ask((host, port, flags, family), asking)
    if loop.in_thread():
        asking.watch()
    return asking
