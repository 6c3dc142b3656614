"""Look-ups by a function of the user's, as the option ``lookup`` of Node's ``net.connect`` has it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from ..events import arity_of, check_callable, fitted
from ..options import Options
from . import green
from .resolver import Answer, Ask, Endpoint, LookUp, look_up_literal
from .workers import Workers

# Such functions may block. So many of them can be at work in a process.
_workers = Workers('ws-lookup', 256)

#: What Node calls the families.
FAMILIES: dict[int, int] = {0: 0, 4: socket.AF_INET, 6: socket.AF_INET6}
_NODES = {family: number for number, family in FAMILIES.items()}


class LookupOptions(Options):
    """What a ``lookup`` is asked for."""

    __slots__ = ()
    #: 4, 6, or 0 for both.
    family: int
    hints: int
    all: bool


def ask_by(function: Any) -> Ask:
    """`function` as a resolver: ``function(host, options)`` returns addresses, or with three parameters,
    ``function(host, options, callback)`` calls ``callback(error, addresses)``, now or later, on any thread.

    `options` has ``family`` (0, 4 or 6), ``all`` (True) and ``hints`` (0). An address is a str, or a dict with the item
    ``address``; one of them will do. Raises TypeError for anything that is not a function.
    """
    check_callable(function, 'lookup')
    calls_back = arity_of(function).needed == 3
    call = fitted(function, None)

    def ask(host: str, port: int, family: int, asking: LookUp) -> None:
        question = _Question(call, calls_back, host, port, family, asking)
        asking.wait_for(question)
        _workers.add(question.run)

    return ask


class _Question:
    """One name that somebody asks for. Nobody else gets the answer: the function may know why."""

    def __init__(
        self, call: Callable[..., Any], calls_back: bool, host: str, port: int, family: int, asking: LookUp
    ) -> None:
        self._call = call
        self._calls_back = calls_back
        self._host = host
        self._port = port
        self._family = family
        self._asking = asking

    def run(self) -> None:
        """Call the function; blocks."""
        options = LookupOptions(family=_NODES[self._family], hints=0, all=True)
        try:
            if self._calls_back:
                self._call(self._host, options, self._answer)
            else:
                self._answer(None, self._call(self._host, options))
        except BaseException as error:  # whatever it is: somebody waits for the answer
            green.pass_on(error)
            self._answer(error)

    def leave(self, asking: LookUp) -> None:
        _workers.give_up(self.run)

    def stand_aside(self) -> bool:
        return _workers.stand_aside(self.run)

    def _answer(self, error: Any = None, addresses: Any = None, *more: Any) -> None:
        """The callback. The first answer counts."""
        try:
            if error is not None:
                raise error if isinstance(error, BaseException) else OSError(str(error))
            answer = Answer(self._endpoints(addresses), None)
        except BaseException as problem:  # also what is wrong with the addresses: this is no place to raise that
            answer = Answer([], problem.with_traceback(None))  # its frames refer to us: a circle
        self._asking.tell(answer)

    def _endpoints(self, addresses: Any) -> list[Endpoint]:
        found = []
        for address in addresses if isinstance(addresses, (list, tuple)) else [addresses]:
            text = address.get('address') if isinstance(address, Mapping) else address
            endpoints = look_up_literal(text, self._port) if text and isinstance(text, str) else None
            if endpoints is None:
                raise TypeError(f'lookup must give IP addresses, not {text!r}')
            found += [endpoint for endpoint in endpoints if self._family in (0, endpoint.family)]
        if not found:
            raise OSError(f'lookup has found no address for {self._host}')
        return found
