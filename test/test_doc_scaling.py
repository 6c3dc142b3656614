"""doc/scaling.md: its example does what is said, its links lead somewhere, its table of defaults is the code's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from documents import Checks, Runner, connect
from redises import redis_server
from support import until

SCALING = Checks('doc/scaling.md')


@pytest.mark.parametrize('name', SCALING.names())
def test_example(name: str, tmp_path: Path) -> None:
    SCALING.run(name, tmp_path)


@SCALING.check('A pool for the listeners')
def _(run: Runner) -> None:
    program, port = run.serve()
    clients = [connect(port) for _ in range(20)]
    for _, log in clients:
        log.until('open')
    started = time.monotonic()
    for ws, _ in clients:
        ws.send('hello')
    for _, log in clients:
        assert log.get()[1] == 'hello'
    assert time.monotonic() - started < 20 * 0.1  # they have waited beside each other
    program.stops()


@SCALING.check('Machines')
def _(run: Runner) -> None:
    with redis_server(run.folder) as redis:
        run.replace('redis://localhost:6379', redis.url)
        (here, port), (there, other_port) = run.serve(), run.serve()
        (ann, ann_hears), (_, ben_hears) = connect(port, '/lobby'), connect(other_port, '/lobby')
        ann_hears.until('open')
        ben_hears.until('open')
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:/lobby') == [b'ws:room:/lobby', 2])
        ann.send('hello')
        assert ann_hears.get()[1] == ben_hears.get()[1] == 'hello'
        here.stops()
        there.stops()
