"""Fixtures of test/protocol/receiver."""

from __future__ import annotations

import pytest
from protocol.recording import Feed, byte_by_byte, whole

from ws.protocol.receiver import Receiver


def in_halves(receiver: Receiver, data: bytes) -> None:
    receiver.add(data[: len(data) // 2])
    receiver.add(data[len(data) // 2 :])


@pytest.fixture(params=[whole, byte_by_byte, in_halves], ids=lambda feed: feed.__name__)
def feed(request: pytest.FixtureRequest) -> Feed:
    chosen: Feed = request.param
    return chosen
