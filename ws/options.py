"""Options as Node's users write them: a dict, or keywords, or both."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Optional


class Options(dict[str, Any]):
    """A dict whose items can be read as attributes, too: ``options.port`` and ``options['port']``."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def merge(
    owner: str, defaults: Mapping[str, Any], given: Optional[Mapping[str, Any]], keywords: Mapping[str, Any]
) -> Options:
    """`defaults`, overridden by `given`, overridden by `keywords`; None counts as not given.

    A name that is no option is ignored, as in Node, but with a warning. Raises TypeError if `given` is no mapping.
    """
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f'the options of {owner} must be a dict, not {type(given).__name__}')
    options = Options(defaults)
    for source in (given or {}, keywords):
        for name, value in source.items():
            if name not in defaults:
                _warn_of_unknown(owner, name, defaults)
            elif value is not None:
                options[name] = value
    return options


def _warn_of_unknown(owner: str, name: object, defaults: Mapping[str, Any]) -> None:
    near = difflib.get_close_matches(str(name), defaults, n=1)
    hint = f'; did you mean {near[0]!r}?' if near else ''
    # Up through merge(), the constructor and what called it: the line that made the object.
    warnings.warn(f'{owner} has no option {name!r}: ignored{hint}', stacklevel=5)


def milliseconds(options: Options, name: str) -> float:
    """The option `name` as a time. Raises TypeError or ValueError naming it."""
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{name} must be a number of milliseconds, not {type(value).__name__}')
    if not 0 <= value <= sys.float_info.max:
        raise ValueError(f'{name} must be a number of milliseconds, not {value}')
    return value


def count(options: Options, name: str) -> int:
    """The option `name` as a whole number, 0 for no limit. Raises TypeError or ValueError naming it."""
    value = options[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, not {type(value).__name__}')
    if value < 0:
        raise ValueError(f'{name} must not be negative: {value}')
    return value
