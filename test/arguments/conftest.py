"""Fixtures of test/arguments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import no_server, open_pair

from ws import WebSocket, WebSocketServer


@pytest.fixture
def wss() -> Iterator[WebSocketServer]:
    with no_server() as made:
        yield made


@pytest.fixture
def ws() -> Iterator[WebSocket]:
    with open_pair() as (client, _):
        yield client
