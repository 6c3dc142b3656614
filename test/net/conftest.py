"""Every test of this folder that takes `driver` runs over epoll and over selectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streams import Driver

from ws.net import loop as loop_module
from ws.net.poller import Poller, SelectorPoller

POLLERS: dict[str, Any] = {
    poller.__name__: poller for poller in (Poller, SelectorPoller)
}  # one where there is no epoll


@pytest.fixture(params=POLLERS.values(), ids=list(POLLERS))
def poller_class(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def driver(poller_class: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    monkeypatch.setattr(loop_module, 'Poller', poller_class)
    driver = Driver()
    yield driver
    driver.end()
