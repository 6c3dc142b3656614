"""Each program of doc/porting-from-node.md, in JavaScript and in Python, does the same with the same peer."""

from __future__ import annotations

import shutil
import urllib.request
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT, Document, Runner, connect
from support import Log, Waiter

from ws import WebSocket

DOCUMENT = Document('doc/porting-from-node.md')
BLOCKS = {(block.name, block.language): block for block in DOCUMENT.blocks}
NAMES = list(dict.fromkeys(block.name for block in DOCUMENT.blocks))
NODE_MODULES = ROOT / 'test' / 'interop' / 'node' / 'node_modules'

#: From this one on, the document speaks of ws 8.
FIRST_OF_WS_8 = 'Broadcasting to all others'

Check = Callable[[Runner], None]
_checks: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    def decorate(function: Check) -> Check:
        assert name not in _checks
        _checks[name] = function
        return function

    return decorate


def test_every_program_stands_there_in_both_languages_and_has_a_check() -> None:
    assert set(BLOCKS) == {(name, language) for name in _checks for language in ('js', 'python')}


@pytest.mark.parametrize('name', NAMES)
def test_in_python(name: str, tmp_path: Path) -> None:
    with Runner(BLOCKS[name, 'python'].code, tmp_path) as run:
        _checks[name](run)


@pytest.mark.interop
@pytest.mark.parametrize('name', NAMES)
def test_in_javascript(name: str, tmp_path: Path) -> None:
    if shutil.which('node') is None or not (NODE_MODULES / 'ws').is_dir():
        pytest.skip('no node, or no npm packages (make node-peers installs them)')
    modules = tmp_path / 'node_modules'
    modules.mkdir()
    is_for_8 = NAMES.index(name) >= NAMES.index(FIRST_OF_WS_8)
    (modules / 'ws').symlink_to(NODE_MODULES / ('ws' if is_for_8 else 'ws-0.4.31'))
    with Runner(BLOCKS[name, 'js'].code, tmp_path, 'block.js') as run:
        _checks[name](run)


@check('Sending and receiving text')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, request, log = connections.get()
    assert request.url == '/path'
    assert log.get()[1] == 'something'
    ws.send('anything')
    assert program.line() == 'received: anything, binary: false'
    ws.close(1000)
    program.ends()


@check('Sending binary data')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    _event, data, flags = log.get()
    assert data == array('f', [0, 0.5, 1, 1.5, 2]).tobytes()
    assert flags.binary
    assert flags.masked
    ws.close(1000)
    program.ends()


@check('A server')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    assert log.until('message')[-1][1] == 'something'
    ws.send('Grüße')
    assert program.line() == 'received: Grüße'
    program.stops()


@check('Broadcasting')
def _(run: Runner) -> None:
    program, port = run.serve()
    clients = [connect(port) for _ in range(3)]
    for _ws, log in clients:
        log.until('open')
    round_trip(clients[0][0])  # all of them are on the list
    clients[1][0].send('to all')
    for _ws, log in clients:
        assert log.until('message')[-1][1] == 'to all'
    program.stops()


def round_trip(ws: WebSocket) -> None:
    """When it is over, the server has heard of everybody who is open by now."""
    pong = Waiter()
    ws.once('pong', pong)
    ws.ping()
    pong.get()


@check('When sending fails')
def _(run: Runner) -> None:
    program, connections = run.call()
    _ws, _request, log = connections.get()
    assert log.get()[1] == 'something'
    program.ends('sent: yes', 'error: not opened')


@check('An echo client')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, request, log = connections.get()
    assert request.headers['sec-websocket-version'] == '8'
    assert request.headers['sec-websocket-origin'] == 'http://example.org'
    ws.send(log.get()[1])
    program.ends('connected', 'round trip below a minute: true', 'disconnected')


@check('Sending files and streams')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    _event, data, flags = log.until('message')[-1]
    assert b'WebSocketServer' in data
    assert flags.binary
    assert log.get()[1] == 'in three pieces'
    assert program.line() == 'the file is sent'
    program.stops()


@check('Broadcasting to all others')
def _(run: Runner) -> None:
    program, port = run.serve()
    (first, first_log), (_second, second_log) = connect(port), connect(port)
    first_log.until('open')
    second_log.until('open')
    round_trip(first)
    first.send('to the others')
    first.send(b'\0')
    assert [message_and_kind(second_log) for _ in range(2)] == [('to the others', False), (b'\0', True)]
    first_log.until('pong')
    assert first_log.nothing(0.1)
    program.stops()


def message_and_kind(log: Log) -> tuple[Any, bool]:
    _event, data, flags = log.get()
    return data, flags.binary


@check('Finding broken connections')
def _(run: Runner) -> None:
    program, port = run.serve()
    _good, good_log = connect(port)
    bad, bad_log = connect(port)
    bad_log.until('open')
    bad.pause()  # answers no ping, and does not see the end either
    assert [good_log.until('ping')[-1][0] for _ in range(4)] == ['ping'] * 4
    bad.resume()
    assert bad_log.until('close')[-1][1] == 1006
    program.stops()


@check('Several servers on one HTTP server')
def _(run: Runner) -> None:
    _program, port = run.serve()
    for path in 'foo', 'bar':
        _ws, log = connect(port, f'/{path}')
        assert log.until('message')[-1][1] == f'this is {path}'
    _ws, log = connect(port, '/else')
    assert log.get()[0] == 'error'
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/') as page:
        assert page.read() == b'a page'


@check('Authenticating clients at the upgrade')
def _(run: Runner) -> None:
    _program, port = run.serve()
    _ws, log = connect(port, headers={'Authorization': 'secret'})
    assert log.until('message')[-1][1] == 'hello ann'
    _ws, log = connect(port)
    assert str(log.get()[1]) == 'unexpected server response (401)'


@check('The address of a client')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, headers={'X-Forwarded-For': '192.0.2.1, 192.0.2.2'})
    assert log.until('message')[-1][1] == '127.0.0.1'
    assert log.get()[1] == '192.0.2.1'
    program.stops()


@check('Sessions: Express and Flask')
def _(run: Runner) -> None:
    _program, port = run.serve()
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/login?name=ann') as page:
        assert page.read() == b'welcome'
        cookie = page.headers['Set-Cookie'].partition(';')[0]
    _ws, log = connect(port, headers={'Cookie': cookie})
    assert log.until('message')[-1][1] == 'hello ann'
    _ws, log = connect(port)
    assert str(log.get()[1]) == 'unexpected server response (401)'
