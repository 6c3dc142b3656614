"""The accelerator, a few functions in C. Each has a twin in Python, named where it is chosen, that does the same.

`native` is None where it was not built, and where the environment variable WS_NO_SPEEDUPS is set.
"""

from __future__ import annotations

import os
from typing import Any


def _load() -> Any:
    if os.environ.get('WS_NO_SPEEDUPS', '0') not in ('', '0'):
        return None
    try:
        from . import speedups  # type: ignore[attr-defined]  # a statement: freezers look for these
    except ImportError:
        return None
    return speedups


native = _load()


def check_constants(own: dict[str, Any], *names: str) -> None:
    """Raises ImportError if the accelerator has other values: it was built from other sources than these."""
    for name in names:
        if native is not None and getattr(native, name, None) != own[name]:
            raise ImportError(f'the accelerator does not fit: {name} is not {own[name]}; build it again')
