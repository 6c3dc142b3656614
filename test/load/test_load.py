"""``make soak`` for a moment, ``make chaos`` but for one case; and a bystander sees that it is held up."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from documents import port_of
from load.bystander import BENCH, TEST, Bystander
from load.chaos import CASES
from support import echo_server, on_loop

linux = pytest.mark.skipif(sys.platform != 'linux', reason='asks /proc')


def run(*arguments: str) -> str:
    """What a program of this folder prints; it must end well."""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(TEST), str(BENCH)])}
    done = subprocess.run(
        [sys.executable, '-m', *arguments], env=environment, cwd=TEST, capture_output=True, text=True, timeout=170
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    return done.stdout


@linux
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_soak() -> None:
    assert run('load.soak', '25').endswith('\n0 faults\n')


@linux
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_chaos() -> None:
    printed = run('load.chaos')
    if printed.startswith('SKIPPED'):
        pytest.skip(printed.strip())
    assert printed.endswith(f'\n0 of {len(CASES)} cases went wrong\n')


@linux
@pytest.mark.slow
def test_attacks() -> None:
    """The table has a row for each attack that is asked for."""
    *_, nothing, cuts = run('load.attacks', '--rounds', '1', '0', '3').splitlines()
    assert nothing.startswith('| 0 | nothing |')
    assert cuts.startswith('| 3 | a final block without its byte | 1 outcome(s) of 4 cuts |')


@linux
def test_bystander() -> None:
    with echo_server() as wss, Bystander(port_of(wss), min(os.sched_getaffinity(0))) as bystander:
        on_loop(wss, lambda: time.sleep(1.5))
        figures = bystander.finish()
    assert figures['longest'] >= 1000  # it may have asked a little later
    assert figures['echoes'] > 0
    assert not figures['lost']


@linux
def test_bystander_of_a_server_that_ends() -> None:
    with echo_server() as wss:
        bystander = Bystander(port_of(wss), min(os.sched_getaffinity(0)))
    with bystander:
        assert bystander.finish()['lost']
