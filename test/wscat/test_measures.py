"""The figures of a load test."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.wscat.measures import Durations, Plan, Results, as_json, table

PLAN = Plan(connections=2, duration=10.0, messages=None, size=64, in_flight=1, rate=None, binary=False)


def durations(*seconds: float) -> Durations:
    made = Durations()
    for one in seconds:
        made.add(one)
    return made


def nearest_rank(seconds: list[float], percent: int) -> float:
    """By the definition."""
    return sorted(seconds)[max(1, math.ceil(len(seconds) * percent / 100)) - 1]


@given(st.lists(st.floats(0, 1000), min_size=1), st.integers(0, 100))
def test_percentiles_are_as_precise_as_they_are_said_to_be(seconds: list[float], percent: int) -> None:
    found, exact = durations(*seconds).percentile(percent), nearest_rank(seconds, percent)
    assert exact - 1e-9 <= found <= exact * 1.002 + 1e-9


def test_percentiles_of_a_hundred() -> None:
    made = durations(*(number / 1e6 for number in range(1, 101)))
    assert [round(made.percentile(percent) * 1e6, 1) for percent in (1, 50, 90, 99, 100)] == pytest.approx(
        [1, 50, 90, 99, 100], rel=0.002
    )


def test_the_longest_and_the_mean_are_exact() -> None:
    made = durations(0.123456789, 3.000000001, 0.5)
    assert made.longest == made.percentile(100) == 3.000000001
    assert made.mean() == (0.123456789 + 3.000000001 + 0.5) / 3
    assert made.count == 3


def test_a_clock_that_goes_back() -> None:
    assert durations(-1.0).percentile(50) == 0


def test_no_durations_have_no_percentiles() -> None:
    with pytest.raises(ValueError, match='no duration'):
        durations().percentile(50)


def test_many_durations_take_little_memory() -> None:
    made = Durations()
    for number in range(100_000):
        made.add(number / 1e7)
    assert len(made._counts) < 20_000


def results(**changes: object) -> Results:
    made = Results('ws://localhost:8080', PLAN)
    made.opened, made.sent, made.returned, made.seconds = 2, 1000, 1000, 2.0
    made.opening = durations(0.0015, 0.0025)
    made.latency = durations(*(number / 1000 for number in range(1, 101)))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_table() -> None:
    assert table(results()) == '\n'.join(
        [
            '2 connections to ws://localhost:8080; text messages of 64 bytes, 1 in flight on each',
            '',
            'Connections  2 opened, 0 failed, 0 lost',
            'Messages     1,000 sent, 1,000 came back, 0 missing',
            'Rate         500 messages per second, 0.03 MB/s each way, in 2.0 s',
            '',
            '                     p50         p90         p99         max',
            'Latency          50.0 ms     90.0 ms     99.1 ms      100 ms',
            'Opening          1.50 ms     2.50 ms     2.50 ms     2.50 ms',
        ]
    )


def test_the_table_of_what_went_wrong() -> None:
    made = results(others=3, interrupted=True, latency=Durations(), failed=1)
    made.errors.update({'Connection refused': 1})
    made.plan = PLAN._replace(connections=1, size=1, rate=1500.0, binary=True)
    lines = table(made).splitlines()
    assert lines[0] == '1 connection to ws://localhost:8080; binary messages of 1 byte, 1500 per second'
    assert lines[3] == 'Messages     1,000 sent, 1,000 came back, 0 missing, 3 others came'
    assert lines[7] == 'Latency                -           -           -           -'
    assert lines[9:] == [
        '',
        'Errors',
        '          1  Connection refused',
        '',
        'Interrupted: this is what was measured until then.',
    ]


def test_json() -> None:
    found = json.loads(as_json(results()))
    assert found.pop('latency') == {
        'p50': pytest.approx(50, rel=0.002),
        'p90': pytest.approx(90, rel=0.002),
        'p99': pytest.approx(99, rel=0.002),
        'max': 100.0,
        'mean': 50.5,
    }
    assert found.pop('opening')['max'] == 2.5
    assert found == {
        'url': 'ws://localhost:8080',
        'options': {
            'connections': 2, 'duration': 10.0, 'messages': None, 'size': 64, 'inFlight': 1, 'rate': None,
            'binary': False,
        },
        'connections': {'opened': 2, 'failed': 0, 'lost': 0},
        'messages': {'sent': 1000, 'returned': 1000, 'missing': 0, 'others': 0},
        'seconds': 2.0,
        'messagesPerSecond': 500.0,
        'bytesPerSecond': 32_000.0,
        'errors': {},
        'interrupted': False,
        'complaint': None,
    }  # fmt: skip
    empty = Results('ws://localhost:8080', PLAN._replace(rate=5.0))
    found = json.loads(as_json(empty))
    assert (found['latency'], found['options']['inFlight'], found['messagesPerSecond']) == (None, None, 0)


@pytest.mark.parametrize('changes', [{'failed': 1}, {'lost': 1}, {'missing': 1}, {'complaint': 'x'}])
def test_what_is_good(changes: dict[str, object]) -> None:
    assert results().good
    assert results(others=1, interrupted=True).good
    assert not results(**changes).good
