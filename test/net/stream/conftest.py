"""Fixtures of test/net/stream."""

from __future__ import annotations

from typing import Any

import pytest
from net.stream.makers import KINDS, Maker
from streams import Driver


@pytest.fixture(params=list(KINDS))
def make(request: pytest.FixtureRequest, driver: Driver, tls_contexts: Any) -> Any:
    maker = Maker(request.param, driver, tls_contexts)
    yield maker
    maker.close()
