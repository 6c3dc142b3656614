"""doc/ws.md names everything there is, with the defaults of the code, and its examples do what they say."""

from __future__ import annotations

import inspect
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import trustme
from documents import Checks, Runner, connect
from support import Log

import ws as package
from ws import HandshakeError, WebSocket, WebSocketServer, timers
from ws.options import CLIENT_OPTIONS
from ws.protocol.http import Request
from ws.websocket_server import SERVER_OPTIONS

REFERENCE = Checks('doc/ws.md')
TEXT = REFERENCE.document.path.read_text(encoding='utf-8')


@pytest.mark.parametrize('name', REFERENCE.names())
def test_example(name: str, tmp_path: Path) -> None:
    REFERENCE.run(name, tmp_path)


# -- completeness -----------------------------------------------------------------------------------------------------


def section(heading: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    level = heading.partition(' ')[0]
    after = TEXT.partition(f'\n{heading}\n')[2]
    assert after, heading
    return re.split(rf'\n#{{1,{len(level)}}} ', after)[0]


def documented_options(heading: str) -> dict[str, str]:
    rows = re.findall(r'^\| (`\w+`(?:, `\w+`)*) \| [^|]+ \| `([^`]*)` \|', section(heading), re.MULTILINE)
    return {name: default for names, default in rows for name in re.findall(r'\w+', names)}


@pytest.mark.parametrize(
    ('heading', 'options'),
    [
        ('### WebSocketServer(options, [callback])', SERVER_OPTIONS),
        ('### WebSocket(address, [protocols], [options])', CLIENT_OPTIONS),
    ],
)
def test_every_option_has_its_row_and_default(heading: str, options: dict[str, Any]) -> None:
    assert documented_options(heading) == {name: repr(default) for name, default in options.items()}


def public(cls: type) -> set[str]:
    """What a class has beyond an emitter."""
    emitter = set(dir(package.EventEmitter))
    return {name for name in dir(cls) if not name.startswith('_')} - emitter


def headings() -> str:
    return '\n'.join(REFERENCE.document.headings)


@pytest.mark.parametrize(
    ('prefix', 'cls', 'set_by_the_constructor'),
    [
        ('server', WebSocketServer, {'clients', 'options', 'path'}),
        ('websocket', WebSocket, {'readyState', 'protocol', 'protocolVersion', 'supports', 'options', 'url'}),
    ],
)
def test_every_method_and_attribute_has_its_heading(prefix: str, cls: type, set_by_the_constructor: set[str]) -> None:
    names = (public(cls) | set_by_the_constructor) - {'shutdown', 'fail', 'abandon'}  # the loop's business
    names -= {'CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'}  # under readyState
    names -= {'Server', 'Sender', 'Receiver', 'ErrorCodes', 'createServer', 'connect', 'createConnection'}  # functions
    missing = {name for name in names if not re.search(rf'\b(?:{prefix}\.|, ){name}\b', headings())}
    assert not missing


def test_every_public_name_is_there() -> None:
    assert [name for name in package.__all__ if not re.search(rf'\b{name}\b', TEXT)] == []


def test_every_timer_function_is_there() -> None:
    assert [name for name in timers.__all__ if not re.search(rf'\b{name}\b', section('## Timers'))] == []


def test_every_attribute_of_a_request_is_there() -> None:
    names = {name for name in dir(Request) if not name.startswith('_')}
    names |= set(inspect.signature(Request).parameters)
    assert [name for name in names if f'`{name}`' not in section('## The request')] == []


def test_every_name_for_annotations_is_there() -> None:
    assert [name for name in package.typing.__all__ if f'`{name}`' not in section('## Types')] == []


# -- examples ---------------------------------------------------------------------------------------------------------


@REFERENCE.check("Event: 'drain'")
def _(run: Runner) -> None:
    _, port = run.serve()
    _ws, log = connect(port)
    events = log.until('close')
    assert [event[1] for event in events if event[0] == 'message'] == [str(number) for number in range(100000)]
    assert events[-1][1:] == (1000, '')


@REFERENCE.check('WebSocketServer(options, [callback])')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, '/chat')
    assert log.until('message')[-1][1] == 'this is /chat'
    _ws, log = connect(port, '/elsewhere')
    assert isinstance(log.until('error')[-1][1], HandshakeError)
    assert program.line() == f'listening on {port}'
    program.stops()


@REFERENCE.check('Where it listens')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'hello'
    program.stops()


@REFERENCE.check('TLS material')
def _(run: Runner) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    issued.cert_chain_pems[0].write_to_path(run.folder / 'cert.pem')
    issued.private_key_pem.write_to_path(run.folder / 'key.pem')
    program, port = run.serve()
    ws = WebSocket(f'wss://127.0.0.1:{port}', ca=authority.cert_pem.bytes())
    log = Log(ws)
    log.until('open')
    assert log.get()[1] == 'nobody else can read this'
    program.stops()


@REFERENCE.check('In a view')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port, '/chat')
    log.until('open')
    ws.send('hi')
    assert log.get()[1] == 'hi on /chat'
    program.signal(2)
    assert program.wait() is not None
    assert 'Traceback' not in program.errors()


@REFERENCE.check('Sharing the port of an HTTP server')
def _(run: Runner) -> None:
    program, port = run.serve()
    for path, answer in ('/echo', 'hi'), ('/shout', 'HI'):
        ws, log = connect(port, path)
        log.until('open')
        ws.send('hi')
        assert log.get()[1] == answer
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/block.py') as response:
        assert b'httpd' in response.read()
    program.signal(2)
    assert program.wait() != 0
    assert 'KeyboardInterrupt' in program.errors()


@REFERENCE.check('verifyClient')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, headers={'Authorization': 'Bearer good'})
    assert log.until('message')[-1][1] == 'welcome'
    _ws, log = connect(port)
    assert str(log.until('error')[-1][1]) == 'unexpected server response (403)'
    program.stops()


@REFERENCE.check('handleProtocols')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, protocol='v1.chat, v2.chat')
    assert log.until('message')[-1][1] == 'you speak v2.chat'
    _ws, log = connect(port, protocol='v1.chat')
    assert str(log.until('error')[-1][1]) == 'unexpected server response (404)'
    program.stops()


@REFERENCE.check('A class of your own')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    for number in (1, 2):
        ws.send('x')
        assert log.get()[1] == f'you have {number}'
    program.stops()


@REFERENCE.check('websocket.binaryType')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    ws.send(b'a', {'fin': False})
    ws.send(b'b')
    assert log.get()[1] == '2 fragments'
    program.stops()


@REFERENCE.check('generateMask')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == 'readable on the wire'
    ws.close()
    program.ends()


@REFERENCE.check("Event: 'wsClientError'")
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, '/chat', headers={'Sec-WebSocket-Key': 'x'})
    assert str(log.get()[1]) == 'unexpected server response (400)'
    assert program.line() == 'Missing or invalid Sec-WebSocket-Key header for /chat'
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'welcome'
    program.stops()


@REFERENCE.check('server.handleUpgrade(request, [socket], [head], [callback])')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, '/socket')
    assert log.until('message')[-1][1] == 'hello'
    program.signal(2)
    assert program.wait() != 0
    assert 'KeyboardInterrupt' in program.errors()


@REFERENCE.check('agent')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == 'from a source address of my own'
    ws.close()
    program.ends()


@REFERENCE.check('websocket.send(data, [options], [callback])')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert 'ws.send(open(program' in log.until('message')[-1][1]
    assert log.get() == ('close', 1000, '')
    program.stops()


@REFERENCE.check('websocket.stream([options], callback)')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'in three pieces'
    assert log.get()[1] == 'behind it'
    program.stops()


@REFERENCE.check('Timers')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert [log.get()[1] for _ in range(3)] == ['tick'] * 3
    ws.close()
    program.ends()


@REFERENCE.check('Types')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    ws.send('a')
    ws.send(b'b')
    assert log.get()[1] == '1: a'
    assert log.get()[1] == b"2: b'b'"
    program.stops()


@REFERENCE.check('wait()')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'goodbye'
    assert log.get() == ('close', 1001, '')
    program.ends(status=5)


@REFERENCE.check('ErrorCodes')
def _(run: Runner) -> None:
    run.start(0).ends('received: hello', '1001 is going away')
