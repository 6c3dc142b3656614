"""Each program of doc/porting-from-node.md, in JavaScript and in Python, does the same with the same peer."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
import trustme
from documents import ROOT, Document, Runner, connect, port_of
from hops import hops, opened, outcome
from proxies import connect_proxy
from support import (
    HANDSHAKE,
    TIMEOUT,
    Log,
    Waiter,
    client,
    end,
    frames,
    open_pair,
    raw_connection,
    raw_pair,
    read_all,
    server,
    url_of,
    wait_for,
)

import ws as package
from ws import HandshakeError, NotOpenError, ProtocolError, WebSocket, WebSocketServer

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


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables under a heading of the second level."""
    text = DOCUMENT.path.read_text(encoding='utf-8').partition(f'\n## {heading}\n')[2].partition('\n## ')[0]
    found = [
        line for line in text.splitlines() if line.startswith('| ') and not line.startswith(('| | ', '| JavaScript |'))
    ]
    return [[cell.strip() for cell in line.strip('|').split(' | ')] for line in found]


def code_in(cell: str) -> str:
    """The first code in a cell, which is all of it but for words around it."""
    return re.findall('`([^`]+)`', cell)[0]


def run_python(code: str, names: dict[str, Any]) -> Any:
    """The value of an expression; a statement has none."""
    try:
        compiled = compile(code, 'a cell', 'eval')
    except SyntaxError:
        exec(compile(ast.parse(code), 'a cell', 'exec'), names)
        return None
    return eval(compiled, names)


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


FROM_8 = {row[0]: row[3] for row in rows('Coming from ws 8')}
_checks_of_8: dict[str, Callable[[str], None]] = {}


def coming(name: str) -> Callable[[Callable[[str], None]], Callable[[str], None]]:
    """Decorates the check of a row: it gets the code of the last column."""

    def decorate(function: Callable[[str], None]) -> Callable[[str], None]:
        _checks_of_8[name] = function
        return function

    return decorate


@coming('texts of errors')
def _(code: str) -> None:
    with server(verifyClient=lambda info: False) as wss:
        wss.on('connection', lambda: None)  # else it would wait for somebody to listen
        error = wait_for(client(wss), 'error')[0]
    assert str(error) == 'unexpected server response (401)'
    assert run_python(code, {'HandshakeError': HandshakeError, 'error': error})


@coming('codes of errors')
def _(code: str) -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws)
        sock.sendall(b'\x85\x80\x00\x00\x00\x00')
        _event, error, close_code = log.get()
    assert (error.code, error.closeCode) == ('WS_ERR_INVALID_OPCODE', close_code)
    assert run_python(code, {'ProtocolError': ProtocolError, 'error': error})


@coming('`ws.url`')
def _(_code: str) -> None:
    with server() as wss:
        address = url_of(wss, '')
        ws = WebSocket(address)
        assert ws.url == address
        end(ws)


@coming('`Origin` of a client')
def _(code: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda _ws, request: connected(request.headers.get('origin')))
        names = {'WebSocket': WebSocket, 'url': url_of(wss)}
        for program, expected in ('WebSocket(url)', f'127.0.0.1:{wss.address().port}'), (code, None):
            ws = run_python(program, names)
            assert connected.get() == (expected,)
            end(ws)


REFUSED = b'HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\n\r\nlater'


@coming('the response in `unexpected-response`')
def _(code: str) -> None:
    printed = Waiter()
    with hops(REFUSED) as peer:
        ws = WebSocket(peer.url())
        run_python(code, {'ws': ws, 'print': printed})
        assert printed.get() == (b'later',)
        end(ws)


@coming('`unexpected-response`, and nobody ends the connection')
def _(code: str) -> None:
    with hops(REFUSED, REFUSED) as peer:
        ws = WebSocket(peer.url(), handshakeTimeout=200)
        ws.on('unexpected-response', lambda: None)
        seen = outcome(ws)
        assert (seen.events, str(seen.error)) == (['error', 'close'], 'Opening handshake has timed out')
        ws = WebSocket(peer.url())
        run_python(code, {'ws': ws})
        assert outcome(ws, 'close').events == ['close']


@coming('a redirect to `/path` on a UNIX socket')
def _(_code: str) -> None:
    with tempfile.TemporaryDirectory() as folder, hops('/path', opened, path=f'{folder}/s') as peer:
        assert outcome(WebSocket(f'ws+unix:{folder}/s', followRedirects=True)).events == ['open', 'close']
        assert peer.targets() == ['/', '/path']


@coming('a redirect to an address with a backslash in its path, or a tab')
def _(_code: str) -> None:
    for location in '/a\\b', '/a\tb':
        with hops(location) as peer:
            assert str(outcome(WebSocket(peer.url(), followRedirects=True)).error).startswith('invalid url')


@coming('`Set-Cookie`')
def _(code: str) -> None:
    printed = Waiter()
    with server() as wss:
        wss.on('headers', lambda lines: lines.append('Set-Cookie: a=b; Path=/'))
        wss.on('connection', lambda: None)
        ws = client(wss)
        run_python(code, {'ws': ws, 'print': printed})
        assert printed.get() == ('b',)
        end(ws)


@coming('`send`, `ping`, `pong` while connecting')
def _(code: str) -> None:
    with server() as wss:
        ws = client(wss)
        told = Waiter()
        ws.ping(told)
        with pytest.raises(NotOpenError, match='not opened'):
            run_python(code, {'ws': ws})
        assert isinstance(told.get()[0], NotOpenError)
        end(ws)


@coming('`pause()`, `resume()` while connecting')
def _(code: str) -> None:
    with server() as wss:
        ws = client(wss)
        run_python(code, {'ws': ws})
        for method in ws.pause, ws.resume:
            with pytest.raises(NotOpenError, match='not opened'):
                method()
        end(ws)


def received(code: str) -> Any:
    with open_pair() as (ws, peer):
        log = Log(peer)
        run_python(code, {'ws': ws})
        return log.get()[1]


@coming('`send()` without data')
def _(code: str) -> None:
    assert received('ws.send()') == ''
    assert received(code) == b''


@coming('`close()` without a code')
def _(_code: str) -> None:
    with open_pair() as (ws, peer):
        log = Log(peer)
        ws.close()
        assert log.get() == ('close', 1000, '')


@coming("messages after one's own `close()`")
def _(_code: str) -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws)
        ws.close()
        next(frames(sock))
        sock.sendall(b'\x81\x81\x00\x00\x00\x00x' + b'\x88\x82\x00\x00\x00\x00\x03\xe8')
        sock.shutdown(socket.SHUT_WR)
        assert log.get() == ('close', 1000, '')


@coming('`event.wasClean`')
def _(code: str) -> None:
    with open_pair() as (ws, peer):
        events = Waiter()
        ws.onclose = lambda event: events(event)
        peer.close(4000)
        (event,) = events.get()
        assert not event.wasClean
        assert run_python(code, {'event': event})


@coming('`event.type` of a message')
def _(_code: str) -> None:
    with open_pair() as (ws, peer):
        events = Waiter()
        ws.onmessage = lambda event: events(event.type)
        peer.send('text')
        peer.send(b'binary')
        assert [events.get()[0], events.get()[0]] == ['Text', 'Binary']


@coming('an unknown `binaryType`')
def _(_code: str) -> None:
    with open_pair() as (ws, _), pytest.raises(ValueError):
        ws.binaryType = 'text'  # type: ignore[assignment]


@coming("a message of `binaryType` `'arraybuffer'` or `'blob'`")
def _(_code: str) -> None:
    for binary_type, kind in ('arraybuffer', bytearray), ('blob', io.BytesIO):
        with open_pair() as (ws, peer):
            ws.binaryType = binary_type  # type: ignore[assignment]
            peer.send(b'x')
            assert type(wait_for(ws, 'message')[0]) is kind


@coming('`finishRequest`')
def _(code: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws, request: connected(request.headers['x-port'], ws._socket.remotePort))
        ws = run_python(code, {'WebSocket': WebSocket, 'url': url_of(wss)})
        told, port = connected.get()
        assert told == str(port)
        end(ws)


@coming('a Blob for `ping` or `pong`')
def _(code: str) -> None:
    with open_pair() as (ws, _):
        file = io.BytesIO(b'hi')
        with pytest.raises(TypeError):
            ws.ping(file)  # type: ignore[arg-type]
        run_python(code, {'ws': ws, 'file': file})
        assert wait_for(ws, 'pong')[0] == b'hi'


def made(code: str) -> Any:
    """What the code makes, on a free port."""
    wss = run_python(code.replace('8080', '0'), {'WebSocketServer': WebSocketServer})
    wss.on('connection', lambda: None)  # else it would wait for somebody to listen
    return wss


def close(wss: WebSocketServer) -> None:
    closed = Waiter()
    wss.close(closed)
    closed.get()


@coming('`host` of a server')
def _(code: str) -> None:
    for program, address in ('WebSocketServer(port=8080)', '0.0.0.0'), (code, '::'):
        wss = made(program)
        assert wss.address().address == address
        close(wss)


@coming('`requestCert` with `rejectUnauthorized: false`')
def _(_code: str) -> None:
    authority, stranger = trustme.CA(), trustme.CA().issue_cert('eve')
    issued = authority.issue_cert('127.0.0.1')
    pair = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
    wrong = {'cert': stranger.cert_chain_pems[0].bytes(), 'key': stranger.private_key_pem.bytes()}
    ca = authority.cert_pem.bytes()
    with server(**pair, ca=ca, requestCert=True, rejectUnauthorized=False) as wss:
        wss.on('connection', lambda: None)
        assert Log(WebSocket(url_of(wss, scheme='wss'), ca=ca, **wrong)).get()[0] == 'error'
        ws = WebSocket(url_of(wss, scheme='wss'), ca=ca)
        wait_for(ws, 'open')
        end(ws)


@coming("`servername: ''`")
def _(_code: str) -> None:
    with pytest.raises(ValueError, match=r'^servername'):
        WebSocket('wss://localhost', servername='')


@coming('`minVersion`, `maxVersion`')
def _(_code: str) -> None:
    with pytest.raises(ValueError, match=r"^minVersion must be 'TLSv1\.2' or 'TLSv1\.3', not 'TLSv1'$"):
        WebSocket('wss://localhost', minVersion='TLSv1')


@coming('`socketPath`')
def _(_code: str) -> None:
    error = wait_for(WebSocket('ws://localhost', socketPath='/no/such/socket'), 'error')[0]
    assert isinstance(error, FileNotFoundError)


@coming('two of `port`, `server` and `noServer`')
def _(_code: str) -> None:
    wss = made('WebSocketServer(port=8080, noServer=True)')
    assert wss.address().port
    close(wss)


@coming('`wss.clients`')
def _(code: str) -> None:
    for tracking, expected in (True, []), (False, None):
        with server(clientTracking=tracking) as wss:
            assert wss.clients == []
            assert run_python(code, {'wss': wss}) == expected


@coming('Hixie-76')
def _(code: str) -> None:
    for program, hixie in ('WebSocketServer(port=8080)', True), (code, False):
        wss = made(program)
        with socket.create_connection(('127.0.0.1', wss.address().port), TIMEOUT) as sock:
            sock.sendall(
                b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: x\r\n'
                b'Sec-WebSocket-Key1: 3e6b263  4 17 80\r\nSec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90\r\n\r\n'
                b'WjN}|M(6'
            )
            assert sock.recv(4096).split()[1] == (b'101' if hixie else b'401')
        close(wss)


@coming('`handleProtocols`')
def _(code: str) -> None:
    wss = made(code)
    ws = WebSocket(f'ws://127.0.0.1:{wss.address().port}', ['a', 'b'])
    wait_for(ws, 'open')
    assert ws.protocol == 'b'
    end(ws)
    close(wss)


@coming('`wsClientError`')
def _(code: str) -> None:
    for path, answers in (None, b'HTTP/1.1 405 No'), ('/a', b'HTTP/1.1 400 Bad Request'):
        with server(path=path) as wss:
            wss.on('connection', lambda: None)
            run_python(code, {'wss': wss})
            with raw_connection(wss) as sock:
                sock.sendall(HANDSHAKE.replace(b'GET', b'PUT') % b'/')
                assert read_all(sock).startswith(answers)


def test_every_row_with_code_has_a_check() -> None:
    assert {name for name, code in FROM_8.items() if '`' in code} <= set(_checks_of_8) <= set(FROM_8)


@pytest.mark.parametrize('name', _checks_of_8)
def test_coming_from_ws_8(name: str) -> None:
    _checks_of_8[name](code_in(FROM_8[name]) if FROM_8[name] else '')
