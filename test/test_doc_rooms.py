"""doc/rooms.md: its examples do what it says, and it names everything there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from documents import Checks, Runner, connect
from meeting import said
from redises import redis_server
from support import end, until

from ws.rooms import Audience, Bus, BusListener, Rooms
from ws.rooms.rooms import ROOMS_OPTIONS

ROOMS = Checks('doc/rooms.md')
TEXT = ROOMS.document.path.read_text(encoding='utf-8')


@pytest.mark.parametrize('name', ROOMS.names())
def test_example(name: str, tmp_path: Path) -> None:
    ROOMS.run(name, tmp_path)


@ROOMS.check('A room')
def _(run: Runner) -> None:
    program, port = run.serve()
    ann, ann_hears = connect(port, '/lobby')
    assert ann_hears.until('message')[-1][1] == '1 in lobby'
    ben, ben_hears = connect(port, '/lobby')
    assert ben_hears.until('message')[-1][1] == said(ann_hears) == '2 in lobby'
    eve, eve_hears = connect(port, '/bar')
    assert eve_hears.until('message')[-1][1] == '1 in bar'
    ann.send('hello')
    assert said(ben_hears) == 'hello'
    end(eve)
    end(ben)
    _, again = connect(port, '/lobby')
    assert again.until('message')[-1][1] == said(ann_hears) == '2 in lobby'
    program.stops()


@ROOMS.check('Who is present')
def _(run: Runner) -> None:
    program, port = run.serve()
    _, ann_hears = connect(port, '/Ann')
    assert ann_hears.until('message')[-1][1] == 'present: Ann'
    ben, ben_hears = connect(port, '/Ben')
    assert ben_hears.until('message')[-1][1] == said(ann_hears) == 'present: Ann, Ben'
    end(ben)
    assert said(ann_hears) == 'present: Ann'
    program.stops()


@ROOMS.check('Several machines')
def _(run: Runner) -> None:
    with redis_server(run.folder) as redis:
        run.replace('redis://localhost:6379', redis.url)
        (here, port), (there, other_port) = run.serve(), run.serve()
        (ann, ann_hears), (ben, ben_hears) = connect(port, '/Ann'), connect(other_port, '/Ben')
        ann_hears.until('open')
        ben_hears.until('open')
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:lobby') == [b'ws:room:lobby', 2])
        ann.send('from here')
        assert said(ann_hears) == said(ben_hears) == 'from here'
        ben.send('from there')
        assert said(ann_hears) == said(ben_hears) == 'from there'
        here.stops()
        there.stops()


@ROOMS.check('When Redis is down or slow')
def _(run: Runner) -> None:
    with redis_server(run.folder) as redis:
        run.replace('redis://localhost:6379', redis.url)
        program, _port = run.serve()
        assert program.line() == 'connected'
        redis.kill()
        assert program.line() == 'not connected: ConnectionError'
        redis.start()
        assert program.line() == 'connected'
        program.stops()


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith('_') and name in vars(kind)}


def test_it_names_every_method() -> None:
    for kind in (Audience, Bus, BusListener):
        for name in public(kind):
            assert f'{name}(' in TEXT, name
    # What the network asks of it, and the loop, is nobody else's business.
    inner = {'infos_here', 'rooms_here', 'deliver_here', 'tell_change', 'tell_up', 'tell_down'}
    inner |= {'shutdown', 'fail', 'abandon'}
    for name in public(Rooms) - inner:
        assert f'| `{name}(' in TEXT, name
    for name in Rooms._emits:
        assert f'`{name}(' in TEXT, name


def test_its_figures_are_those_of_the_code() -> None:
    for name, default in ROOMS_OPTIONS.items():
        assert f'| `{name}` | {"none" if default is None else default} |' in TEXT
    assert f'**{ROOMS_OPTIONS["presenceTimeout"] // 1000} seconds**' in TEXT
    assert f'**more than {ROOMS_OPTIONS["maxBufferedAmount"] // 1024**2} MiB**' in TEXT
    module = pytest.importorskip('ws.rooms.redis', reason='the package redis is not there')
    parameters = inspect.signature(module.RedisBus).parameters
    assert f"`RedisBus(url, prefix='{parameters['prefix'].default}', timeout={parameters['timeout'].default})`" in TEXT
    assert f'**{parameters["timeout"].default // 1000} seconds**' in TEXT
    assert f'**{module.MOST // 1024**2} MiB**' in TEXT
    assert f'after {module._FIRST_DELAY} to {module._LONGEST_DELAY:.0f} seconds' in TEXT


def test_the_example_is_as_small_as_it_says() -> None:
    said_to_be = re.search(r'a bus of (\d+) lines over a broker of (\d+)', TEXT)
    assert said_to_be is not None
    hub = ROOMS.document.path.parents[1] / 'examples' / 'hub'
    for name, most in zip(('hub_bus.py', 'hub.py'), map(int, said_to_be.groups())):
        lines = [line for line in (hub / name).read_text(encoding='utf-8').splitlines() if line.strip()]
        assert len(lines) <= most, (name, len(lines))
