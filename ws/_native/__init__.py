"""The C accelerator, speedups.c: None where it was not built, or where WS_NO_SPEEDUPS is set."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar('F', bound=Callable[..., Any])


def _load() -> Any:
    if os.environ.get('WS_NO_SPEEDUPS', '0') not in ('', '0'):
        return None
    try:
        from . import speedups  # type: ignore[attr-defined]  # a statement: freezers look for these
    except ImportError:
        return None
    return speedups


native = _load()


def shortcut(name: str, more: Any = None) -> Callable[[F], F]:
    """Decorates a method that C has a shortcut for: it does the same in the usual case, and calls the method in others.

    The method is still there, as ``__wrapped__``. `more` is what the shortcut needs besides.
    """

    def decorate(function: F) -> F:
        if native is None:
            return function
        made: Any = native.shortcut(name, function, more)
        functools.update_wrapper(made, function)
        made.__qualname__ = name
        return made  # type: ignore[no-any-return]

    return decorate
