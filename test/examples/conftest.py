"""The examples, started as their READMEs say, and a browser to look at them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from browser import CHROMIUM, Chromium, DevTools
from documents import ROOT, Child, child

EXAMPLES = ROOT / 'examples'

Start = Callable[..., 'tuple[Child, int]']


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an example, on a port that the system chooses if none is given; returns it with its port."""
    with ExitStack() as stack:

        def start(script: object, *arguments: object, port: int = 0) -> tuple[Child, int]:
            example = stack.enter_context(child(EXAMPLES / str(script), '--port', port, *arguments))
            listens = re.search(r':(\d+)$', example.line())
            assert listens is not None
            return example, int(listens[1])

        yield start


@pytest.fixture(scope='session')
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if CHROMIUM is None:
        pytest.skip('no tests in the browser: chromium was not found')
    started = Chromium(tmp_path_factory.mktemp('chromium'))
    yield started
    started.end()


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[DevTools]:
    with chromium.connect() as devtools:
        yield devtools
