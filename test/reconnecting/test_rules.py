"""When a WebSocket that connects again does so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.options import RECONNECTING_OPTIONS, Options
from ws.reconnecting.rules import reconnection_delay


def delays(number: int, chance: float = 0.0, **options: Any) -> list[float]:
    given = Options({**RECONNECTING_OPTIONS, **options})
    return [reconnection_delay(given, retry, chance) for retry in range(number)]


def test_the_first_attempt_is_made_at_once_and_the_delays_grow_to_the_longest() -> None:
    assert delays(5, jitter=0) == pytest.approx([0, 1000, 1300, 1690, 2197])
    assert delays(20, jitter=0)[-1] == 10_000
    given = {'minReconnectionDelay': 10, 'reconnectionDelayGrowFactor': 2, 'maxReconnectionDelay': 45, 'jitter': 0}
    assert delays(6, **given) == [0, 10, 20, 40, 45, 45]
    assert delays(4, minReconnectionDelay=7, reconnectionDelayGrowFactor=1, jitter=0) == [0, 7, 7, 7]


def test_by_default_the_first_delay_is_between_one_and_five_seconds() -> None:
    assert delays(2, chance=0.0)[1] == 1000
    assert delays(2, chance=0.5)[1] == 3000
    assert delays(2, chance=1.0)[1] == 5000


@given(
    retry=st.integers(1, 10**7),
    chance=st.floats(0, 1),
    jitter=st.floats(0, 100),
    factor=st.one_of(st.integers(1, 10), st.floats(1, 10)),
    least=st.floats(0, 10**6),
    longest=st.floats(0, 10**6),
)
def test_no_delay_is_shorter_or_longer_than_it_may_be(
    retry: int, chance: float, jitter: float, factor: float, least: float, longest: float
) -> None:
    options = Options(
        minReconnectionDelay=least, maxReconnectionDelay=longest, reconnectionDelayGrowFactor=factor, jitter=jitter
    )
    assert min(least, longest) <= reconnection_delay(options, retry, chance) <= longest
