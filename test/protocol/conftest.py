"""Fixtures of test/protocol."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest


@pytest.fixture
def traced() -> Any:
    """Returns a function that tells how many bytes are held more than at the start, not counting what pytest holds."""
    others = [tracemalloc.Filter(False, f'*/{package}/*') for package in ('_pytest', 'pluggy')]

    def held() -> int:
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(others).traces)

    gc.collect()
    tracemalloc.start()
    yield held
    tracemalloc.stop()
