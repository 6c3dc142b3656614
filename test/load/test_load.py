"""The soak for a moment, as ``make soak`` does it for ten minutes; and that a bystander sees who is held up."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from documents import port_of
from load.bystander import BENCH, TEST, Bystander
from support import echo_server, on_loop

linux = pytest.mark.skipif(sys.platform != 'linux', reason='asks /proc')


@linux
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_soak() -> None:
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(TEST), str(BENCH)])}
    command = [sys.executable, '-m', 'load.soak', '25']
    done = subprocess.run(command, env=environment, cwd=TEST, capture_output=True, text=True, timeout=170)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert done.stdout.endswith('\n0 faults\n')


@linux
def test_bystander() -> None:
    with echo_server() as wss, Bystander(port_of(wss), min(os.sched_getaffinity(0))) as bystander:
        on_loop(wss, lambda: time.sleep(0.3))
        figures = bystander.finish()
    assert figures['longest'] >= 250  # it may have asked a little later
    assert figures['echoes'] > 0
    assert not figures['lost']


@linux
def test_bystander_of_a_server_that_ends() -> None:
    with echo_server() as wss:
        bystander = Bystander(port_of(wss), min(os.sched_getaffinity(0)))
    with bystander:
        assert bystander.finish()['lost']
