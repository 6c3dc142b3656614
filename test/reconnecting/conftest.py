"""Fixtures of test/reconnecting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import on_loop


@pytest.fixture(params=['loop', 'main'])
def call(request: pytest.FixtureRequest) -> Callable[[Any, Callable[[], Any]], Any]:
    """Calls something, on the loop thread or on this one."""
    return on_loop if request.param == 'loop' else lambda emitter, function: function()
