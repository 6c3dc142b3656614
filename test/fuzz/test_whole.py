"""Whole servers and clients for a moment; ``make fuzz`` takes longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fuzz.targets import changed
from fuzz.whole import CLIENT_SEEDS, SERVER_SEEDS, Laboratory, laboratory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEEDS = {'server': SERVER_SEEDS, 'client': CLIENT_SEEDS}
CASES = [(name, seed) for name, seeds in SEEDS.items() for seed in seeds]


@pytest.fixture
def made() -> Iterator[Laboratory]:
    with laboratory() as it:
        yield it


@pytest.mark.parametrize(('name', 'seed'), CASES, ids=[f'{name}-{seed[:6].hex()}' for name, seed in CASES])
def test_seeds(made: Laboratory, name: str, seed: bytes) -> None:
    """Each of them, whole and cut off somewhere, and in all portions that a byte can tell."""
    target = getattr(made, name)
    for size in range(0, len(seed), 9):
        target(seed[:size])
    for portion in (0, 1, 2, 3, 5, 100):
        target(seed[:1] + bytes([portion]) + seed[2:])


def test_seeds_get_through(made: Laboratory) -> None:
    """Or nothing behind them would be fuzzed."""
    outcomes = {}
    for name, seed in CASES:
        getattr(made, name)(seed)
        outcomes[seed] = ' '.join(made.events)
    assert list(outcomes.values()) == [
        'message close',
        'message close',
        '',
        'message ping close',
        'message message close',
        'message pong close',
        'message message close',
        'error close',
        'message message message close',
        'open message close',
        'error close',
        'open message ping message close',
        'open message message close',
        'open error close',
    ]


@pytest.mark.parametrize('name', SEEDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_seeds(made: Laboratory, name: str, data: st.DataObject) -> None:
    getattr(made, name)(data.draw(changed(SEEDS[name])))


@pytest.mark.parametrize('name', SEEDS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=100))
def test_any_bytes(made: Laboratory, name: str, data: bytes) -> None:
    getattr(made, name)(data)
