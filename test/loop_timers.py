"""What tests of timers share: the loop thread, called upon and held up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from support import TIMEOUT, Waiter

from ws.net.lifetime import get_loop
from ws.timers import setImmediate

HOUR = 3600_000


@pytest.fixture(autouse=True)
def nothing_keeps_the_process() -> Iterator[None]:
    """A test that fails and leaves a timer behind must not keep pytest from ending."""
    yield
    for handle in list(get_loop()._handles):
        get_loop().unref(handle)


def on_loop(function: Callable[[], Any]) -> Any:
    """What `function` returns when it is called on the loop thread."""
    waiter = Waiter()
    setImmediate(lambda: waiter(function()))
    return waiter.get()[0]


@contextlib.contextmanager
def held_up() -> Iterator[None]:
    """The loop thread does nothing else meanwhile."""
    holding, go_on = threading.Event(), threading.Event()
    setImmediate(lambda: (holding.set(), go_on.wait(TIMEOUT)))
    assert holding.wait(TIMEOUT)
    try:
        yield
    finally:
        go_on.set()
