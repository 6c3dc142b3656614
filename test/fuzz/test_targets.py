"""The fuzz targets for a moment, with hypothesis; ``make fuzz`` takes longer."""

from __future__ import annotations

import pytest
from fuzz.targets import TARGETS, changed
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize('name', TARGETS)
def test_seeds(name: str) -> None:
    target, seeds = TARGETS[name]
    for seed in seeds:
        for size in range(len(seed) + 1):
            target(seed[:size])


@pytest.mark.parametrize('name', TARGETS)
@given(st.data())
def test_changed_seeds(name: str, data: st.DataObject) -> None:
    target, seeds = TARGETS[name]
    target(data.draw(changed(seeds)))


@pytest.mark.parametrize('name', TARGETS)
@given(st.binary(max_size=100))
def test_any_bytes(name: str, data: bytes) -> None:
    TARGETS[name][0](data)
