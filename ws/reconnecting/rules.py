"""When a ReconnectingWebSocket tries again, and what its options may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Union

from ..events import fitted
from ..net.loop import report_exception
from ..options import Options


def reconnection_delay(options: Options, retry: int, chance: float) -> float:
    """Milliseconds before attempt number `retry`, 0 being the first one; `chance` is a random number from 0 to 1."""
    if retry < 1:
        return 0
    first: float = options.minReconnectionDelay * (1 + options.jitter * chance)
    longest: float = options.maxReconnectionDelay
    try:
        grown: float = first * float(options.reconnectionDelayGrowFactor) ** (retry - 1)
    except OverflowError:
        return longest if first else 0
    return min(grown, longest)


def shorter(one: float, other: float) -> float:
    """Of two times, each of which is 0 if it has no limit."""
    return min(one, other) if one and other else one or other


def number(options: Options, name: str, least: float) -> None:
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{name} must be a number, not {type(value).__name__}')
    if not least <= value < math.inf:
        raise ValueError(f'{name} must be a number, at least {least}, not {value}')


def limit(options: Options, name: str) -> float:
    """A whole number, or infinity."""
    value: float = options[name]
    if value != math.inf and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f'{name} must be an int or math.inf, not {type(value).__name__}')
    if value < 0:
        raise ValueError(f'{name} must not be negative: {value}')
    return value


def terminal(codes: Union[Iterable[int], Callable[..., object], None]) -> Callable[[int, str], bool]:
    """Whether a close code and its reason are the end of it."""
    if codes is None:
        return lambda code, reason: False
    if callable(codes):
        ends = fitted(codes, None)
        return lambda code, reason: _says_yes(ends, code, reason)
    if isinstance(codes, (str, bytes, bytearray)) or not isinstance(codes, Iterable):
        raise TypeError(f'terminalCodes must be a list of int or a function, not {type(codes).__name__}')
    listed = frozenset(codes)
    for code in listed:
        if not isinstance(code, int):
            raise TypeError(f'terminalCodes must be a list of int, not one with {type(code).__name__}')
    return lambda code, reason: code in listed


def _says_yes(function: Callable[..., object], *args: object) -> bool:
    """What it raises is reported, as that of a listener."""
    try:
        return bool(function(*args))
    except BaseException:
        report_exception()
        return False
