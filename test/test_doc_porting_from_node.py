"""Each program of doc/porting-from-node.md, in JavaScript and in Python, does the same with the same peer."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
import trustme
from documents import ROOT, Runner, connect, port_of
from porting_tables import DOCUMENT, code_in, rows, run_python
from proxies import connect_proxy
from support import TIMEOUT, Log, Waiter, client, server

import ws as package
from ws import WebSocket

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


def link_ws(folder: Path, version: str) -> None:
    """Scripts in `folder` get that one by ``require('ws')``."""
    if shutil.which('node') is None or not (NODE_MODULES / 'ws').is_dir():
        pytest.skip('no node, or no npm packages (make node-peers installs them)')
    modules = folder / 'node_modules'
    modules.mkdir()
    (modules / 'ws').symlink_to(NODE_MODULES / version)


@pytest.mark.interop
@pytest.mark.parametrize('name', NAMES)
def test_in_javascript(name: str, tmp_path: Path) -> None:
    is_for_8 = NAMES.index(name) >= NAMES.index(FIRST_OF_WS_8)
    link_ws(tmp_path, 'ws' if is_for_8 else 'ws-0.4.31')
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


@check('Streams')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    content = log.get()[1]
    assert b'createWebSocketStream(ws)' in content
    ws.send('got it\n')
    ws.close(1000)
    program.ends('got it')


@check('Functions')
def _(run: Runner) -> None:
    program, port = run.serve()
    (first, first_log), (second, second_log) = connect(port), connect(port)
    first_log.until('open')
    second_log.until('open')
    for ws, log, expected in (first, first_log, '1 of 1'), (second, second_log, '1 of 2'), (first, first_log, '2 of 3'):
        ws.send('x')
        assert log.until('message')[-1][1] == expected
    program.stops()


@check('Errors, and the end')
def _(run: Runner) -> None:
    with server(host='0.0.0.0') as wss:
        run.start(wss.address().port).ends('somebody else has the port', status=1)


@check('An HTTP server, and the lines after it')
def _(run: Runner) -> None:
    program, port = run.serve()
    assert program.line() == 'listening'
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'hello'
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/') as page:
        assert page.read() == b'a page'


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
    """A loaded machine may need longer for an answer."""
    run.replace(', 300)', ', 1500)')
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


@check('Through a proxy')
def _(run: Runner) -> None:
    with server() as wss, connect_proxy(to=port_of(wss)) as proxy:
        connections = Waiter()
        wss.on('connection', lambda ws: connections(ws, Log(ws, 'message')))
        program = run.start(int(proxy.address.partition(':')[2]))
        ws, log = connections.get()
        assert log.get()[1] == 'hello'
        ws.send('hello yourself')
        assert program.line() == 'received: hello yourself'
        ws.close()
        program.ends()
        assert proxy.requests == [('example.org:80', 'Basic bWU6c2VjcmV0')]


def test_the_agents_of_npm() -> None:
    names = {'ws': package, 'pem': trustme.CA().cert_pem.bytes()}
    for row in rows('Through a proxy')[1:]:
        assert isinstance(run_python(f'dict({code_in(row[2])})', names)['agent'], package.ProxyAgent)


# -- tables -----------------------------------------------------------------------------------------------------------


class Idiom(NamedTuple):
    """What a row of the tables of idioms comes to: its value, or the class of it; or what `after` is then."""

    expected: Any
    after: str = ''

    def is_met_by(self, value: Any) -> bool:
        if isinstance(self.expected, type):
            return isinstance(value, self.expected)
        if isinstance(value, str) and not isinstance(self.expected, str):
            value = json.loads(value)  # which blanks it has, is no matter
        return bool(value == self.expected)


IDIOMS = {
    'JSON.stringify(o)': Idiom('{"name":"Zoë","tags":[1,null]}'),
    'JSON.stringify({a: 1, b: undefined})': Idiom({'a': 1}),
    'JSON.parse(text)': Idiom({'a': [1, None]}),
    'o.colour': Idiom(None),
    'ws.isAlive': Idiom(None),
    "typeof message === 'string'": Idiom(True),
    "buffer.toString('utf8')": Idiom('Zoë'),
    'Buffer.byteLength(message)': Idiom(4),
    'Date.now()': Idiom(int),
    "parseInt('7px', 10)": Idiom(7),
    'delete users[id]': Idiom({'ben': 2}, 'users'),
    'Object.keys(users).length': Idiom(2),
    'for (var id in users) { delete users[id]; }': Idiom({}, 'users'),
    "request.headers['user-agent']": Idiom(None),
    'url.parse(request.url, true).query.room': Idiom('1'),
    'url.parse(request.url).pathname': Idiom('/chat'),
    'ws.upgradeReq.connection.remoteAddress': Idiom('127.0.0.1'),
    'ws._socket.remotePort': Idiom(int),
    'ws._socket.bytesRead': Idiom(int),
    'wss.clients.length': Idiom(1),
    'wss.clients.indexOf(ws)': Idiom(0),
    'wss.clients.indexOf(ws) != -1': Idiom(True),
    "wss.clients.filter(function(c) { return c.name == 'Ann'; }).length": Idiom(1),
    'wss.clients.map(function(c) { return c.name; })': Idiom(['Ann']),
    "wss.clients.forEach(function(c) { c.send('x'); })": Idiom(None),
}
IDIOM_ROWS = {code_in(row[0]): code_in(row[1]) for row in rows('Idioms')}


def test_every_idiom_is_tested() -> None:
    assert list(IDIOMS) == list(IDIOM_ROWS)


@pytest.mark.parametrize('idiom', IDIOMS)
def test_idioms_in_python(idiom: str) -> None:
    names = {
        **{'json': json, 're': re, 'time': time, 'parse_qsl': parse_qsl},
        **{'o': {'name': 'Zoë', 'tags': [1, None]}, 'd': {'a': 1, 'b': None}, 'text': '{"a": [1, null]}'},
        **{'message': 'Zoë', 'buffer': 'Zoë'.encode(), 'users': {'ann': 1, 'ben': 2}, 'id': 'ann'},
    }
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        log = Log(client(wss, '/chat?room=1'))
        ws, request = connected.get()
        ws.name = 'Ann'
        names.update(ws=ws, wss=wss, request=request)
        value = run_python(IDIOM_ROWS[idiom], names)
        if IDIOMS[idiom].after:
            value = names[IDIOMS[idiom].after]
        assert IDIOMS[idiom].is_met_by(value)
        if 'send' in idiom:
            assert log.until('message')[-1][1] == 'x'


RUN_IDIOMS = """
var WebSocket = require('ws'), http = require('http'), url = require('url');
var server = http.createServer();
var wss = new WebSocket.Server({server: server});
wss.on('connection', function(ws) {
  var request = ws.upgradeReq;
  ws.name = 'Ann';
  console.log(JSON.stringify(CODES.map(function(code) {
    var o = {name: 'Zoë', tags: [1, null]}, text = '{"a": [1, null]}', message = 'Zoë', buffer = Buffer.from('Zoë');
    var users = {ann: 1, ben: 2}, id = 'ann';
    var value = eval(code[0]);
    if (code[1]) value = eval(code[1]);
    return value === undefined ? null : value;
  })));
  process.exit();
});
server.listen(0, '127.0.0.1', function() {
  new WebSocket('ws://127.0.0.1:' + server.address().port + '/chat?room=1').on('error', function() {});
});
"""


@pytest.mark.interop
def test_idioms_in_javascript(tmp_path: Path) -> None:
    link_ws(tmp_path, 'ws-0.4.31')
    codes = [[idiom, after] for idiom, (_, after) in IDIOMS.items()]
    (tmp_path / 'idioms.js').write_text(RUN_IDIOMS.replace('CODES', json.dumps(codes)), encoding='utf-8')
    command = ['node', '--no-deprecation', 'idioms.js']
    completed = subprocess.run(
        command, cwd=tmp_path, capture_output=True, encoding='utf-8', timeout=TIMEOUT, check=True
    )
    values = dict(zip(IDIOMS, json.loads(completed.stdout)))
    assert [idiom for idiom, value in values.items() if not IDIOMS[idiom].is_met_by(value)] == []
