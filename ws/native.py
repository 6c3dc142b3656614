"""The C accelerator, ws/_speedups.c: None where it was not built, or where WS_NO_SPEEDUPS is set."""

from __future__ import annotations

import importlib
import os
from typing import Any


def _load() -> Any:
    if os.environ.get('WS_NO_SPEEDUPS', '0') not in ('', '0'):
        return None
    try:
        return importlib.import_module('ws._speedups')
    except ImportError:
        return None


native = _load()
