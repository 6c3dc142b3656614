"""doc/ws.md names everything there is, with the defaults of the code, and its examples do what they say."""

from __future__ import annotations

import hashlib
import inspect
import io
import itertools
import pickle
import re
import ssl
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from documents import Checks, Runner, connect, port_of
from hops import hops, opened
from proxies import connect_proxy, proxy_variables
from support import Log, Waiter, server

import ws as package
from ws import (
    HandshakeError,
    ReconnectingWebSocket,
    WebSocket,
    WebSocketServer,
    createWebSocketStream,
    timers,
)
from ws.client.request import ClientRequest
from ws.options import CLIENT_OPTIONS, DUPLEX_OPTIONS, PROXY_OPTIONS, RECONNECTING_OPTIONS, SERVER_OPTIONS
from ws.protocol.handshake import ClientHandshake
from ws.protocol.http import Headers, Request, Response
from ws.protocol.url import parse_url

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
        ('### createWebSocketStream(ws, [options])', DUPLEX_OPTIONS),
        (
            '### ReconnectingWebSocket(url, [protocols], [options])',
            {name: default for name, default in RECONNECTING_OPTIONS.items() if name not in CLIENT_OPTIONS},
        ),
        ('### ProxyAgent(url, [options])', PROXY_OPTIONS),
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
        ('reconnecting', ReconnectingWebSocket, {'options', 'url'}),
    ],
)
def test_every_method_and_attribute_has_its_heading(prefix: str, cls: type, set_by_the_constructor: set[str]) -> None:
    names = (public(cls) | set_by_the_constructor) - {'shutdown', 'fail', 'abandon'}  # the loop's business
    names -= {'CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'}  # under readyState
    names -= {'Server', 'Sender', 'Receiver', 'ErrorCodes', 'createServer', 'connect', 'createConnection'}  # functions
    names -= {'createWebSocketStream'}
    missing = {name for name in names if not re.search(rf'\b(?:{prefix}\.|, ){name}\b', headings())}
    assert not missing


def test_every_method_of_a_stream_is_there() -> None:
    text = section('## Class: WebSocketStream')
    names = {name for name in vars(package.WebSocketStream) if not name.startswith('_')}
    assert [name for name in names if not re.search(rf'`(stream\.)?{name}\b|\b{name}[(,]', text)] == []


def test_every_public_name_is_there() -> None:
    assert [name for name in package.__all__ if not re.search(rf'\b{name}\b', TEXT)] == []


def test_every_timer_function_is_there() -> None:
    assert [name for name in timers.__all__ if not re.search(rf'\b{name}\b', section('## Timers'))] == []


def test_every_attribute_of_a_request_is_there() -> None:
    names = {name for name in dir(Request) if not name.startswith('_')}
    names |= set(inspect.signature(Request).parameters)
    assert [name for name in names if f'`{name}`' not in section('## The request')] == []


@pytest.mark.parametrize(('kind', 'heading'), [(ClientRequest, "## A client's request"), (Response, '## The response')])
def test_every_attribute_of_a_client_s_is_there(kind: type, heading: str) -> None:
    made = ClientRequest(ClientHandshake(address=parse_url('ws://host')), print, print)
    response = Response(200, '', '1.1', Headers(), [])
    names = {name for name in dir(made if kind is ClientRequest else response) if not name.startswith('_')}
    assert [name for name in names if not re.search(rf'`{name}\b', section(heading))] == []


def test_every_name_for_annotations_is_there() -> None:
    assert [name for name in package.typing.__all__ if f'`{name}`' not in section('## Types')] == []


# -- examples ---------------------------------------------------------------------------------------------------------


@REFERENCE.check('Class: ReconnectingWebSocket')
def _(run: Runner) -> None:
    program, connections = run.call()
    for message, code in (('not yet', 4000), ('enough', 1000)):
        ws, _request, log = connections.get()
        assert log.get()[1] == 'here I am'
        ws.send(message)
        assert program.line() == f'received: {message}'
        if code == 4000:
            ws.close(4000)
            assert program.line() == 'closed with 4000'
    program.ends('closed with 1000')


@REFERENCE.check('ReconnectingWebSocket(url, [protocols], [options])')
def _(run: Runner) -> None:
    program, connections = run.call()
    connections.get()[0].close(4001)
    program.ends('closed with 4001 for good')
    with server(verifyClient=lambda info: False) as wss:
        program = run.start(port_of(wss))
        program.ends('error: unexpected server response (401)', 'closed with 1006 for good')


class Tokens(BaseHTTPRequestHandler):
    """Another one for each request."""

    numbers = itertools.count(1)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'%d' % next(self.numbers))

    def log_message(self, format: str, *args: object) -> None:
        pass


@REFERENCE.check('A URL that is asked for')
def _(run: Runner) -> None:
    with ThreadingHTTPServer(('127.0.0.1', 0), Tokens) as httpd:
        wss = WebSocketServer(server=httpd)
        wss.on('connection', lambda ws: ws.send(ws.upgradeReq.url))
        thread = threading.Thread(target=httpd.serve_forever, args=[0.01])
        thread.start()
        program = run.start(httpd.server_port)
        for number in (1, 2):
            assert program.line() == f'received: /?token={number}'
            for ws in wss.clients:
                ws.close()
        program.stops()
        wss.close()
        httpd.shutdown()
        thread.join()


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


def certified(run: Runner, authority: trustme.CA, name: str, file: str) -> None:
    """A certificate and its key in one file of the block's folder."""
    authority.issue_cert(name, common_name='ann').private_key_and_cert_chain_pem.write_to_path(run.folder / file)


@REFERENCE.check('Client certificates')
def _(run: Runner) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(run.folder / 'ca.pem')
    for file in ('cert.pem', 'client.pem'):
        certified(run, authority, '127.0.0.1', file)
    (run.folder / 'key.pem').write_bytes((run.folder / 'cert.pem').read_bytes())
    program, port = run.serve()
    pem = run.folder / 'client.pem'
    log = Log(WebSocket(f'wss://127.0.0.1:{port}', ca=authority.cert_pem.bytes(), cert=pem, key=pem))
    assert log.until('message')[-1][1] == 'hello, ann'
    log = Log(WebSocket(f'wss://127.0.0.1:{port}', ca=authority.cert_pem.bytes()))
    assert log.get()[0] == 'error'
    program.stops()


@REFERENCE.check('SNICallback')
def _(run: Runner) -> None:
    authority = trustme.CA()
    for file, name in ('cert.pem', '127.0.0.1'), ('one.example.pem', 'one.example'), ('two.example.pem', 'two.example'):
        certified(run, authority, name, file)
    (run.folder / 'key.pem').write_bytes((run.folder / 'cert.pem').read_bytes())
    program, port = run.serve()
    for host in ('one.example', 'two.example', '127.0.0.1'):
        ws = WebSocket(f'wss://{host}:{port}', ca=authority.cert_pem.bytes(), lookup=lambda name: '127.0.0.1')
        assert Log(ws).until('message')[-1][1] == 'hello'
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


@REFERENCE.check('finishRequest')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, request, log = connections.get()
    assert request.headers['x-from-port'] == str(ws._socket.remotePort)
    assert log.get()[1] == 'hello'
    ws.close()
    program.ends()


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


@REFERENCE.check('Class: ProxyAgent')
def _(run: Runner) -> None:
    assert through_a_proxy(run) == ('example.org:80', 'Basic bWU6c2VjcmV0')


@REFERENCE.check('agent.addRequest(request, options)')
def _(run: Runner) -> None:
    assert through_a_proxy(run) == ('a.example:80', '')


def through_a_proxy(run: Runner) -> tuple[str, str]:
    """What a client asks its proxy for."""
    with server() as wss, connect_proxy(to=port_of(wss)) as proxy:
        connections = Waiter()
        wss.on('connection', lambda ws: connections(ws, Log(ws, 'message')))
        program = run.start(int(proxy.address.partition(':')[2]))
        ws, log = connections.get()
        assert log.get()[1] == 'hello'
        ws.close()
        program.ends()
        return proxy.requests[0]


@REFERENCE.check('ProxyAgent.from_environment([options])')
def _(run: Runner) -> None:
    with proxy_variables(no_proxy='127.0.0.1', http_proxy='http://127.0.0.1:1'):
        program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == 'hello'
    ws.close()
    program.ends()


@REFERENCE.check('lookup')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, request, log = connections.get()
    assert request.headers['host'].startswith('chat:')
    assert log.get()[1] == 'found'
    ws.close()
    program.ends()


@REFERENCE.check('checkServerIdentity')
def _(run: Runner) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert('other.example')
    authority.cert_pem.write_to_path(run.folder / 'ca.pem')
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    with server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        received = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda message: (received(message), ws.close())))
        (run.folder / 'fingerprint.txt').write_text(hashlib.sha256(der).digest().hex(':').upper())
        program = run.start(port_of(wss))
        assert received.get() == ('it is you',)
        program.ends()
        (run.folder / 'fingerprint.txt').write_text('00')
        program = run.start(port_of(wss))
        assert program.wait() == 1
        assert 'ValueError: localhost has another certificate' in program.errors().replace('127.0.0.1', 'localhost')


@REFERENCE.check('Redirects')
def _(run: Runner) -> None:
    with hops('/new', opened) as peer:
        run.start(peer.port).ends(f'connected to {peer.url("/new")}')


@REFERENCE.check("Event: 'redirect'")
def _(run: Runner) -> None:
    with hops('/private', '/public', opened) as peer:
        run.start(peer.port).ends()
        assert [peer.sent(number, 'X-Token') for number in range(3)] == ['secret', 'secret', None]
    with hops('ws://127.0.0.2:PORT/') as peer:
        run.start(peer.port).ends('socket hang up')


BUSY = b'HTTP/1.1 429 Too Many\r\nRetry-After: %s\r\nContent-Length: 5\r\n\r\nlater'


@REFERENCE.check("Event: 'unexpected-response'")
def _(run: Runner) -> None:
    with hops(BUSY % b'120') as peer:
        run.start(peer.port).ends('again in 120 seconds: later', 'closed with 1006')


@REFERENCE.check('Errors')
def _(run: Runner) -> None:
    with hops(BUSY % b'0.1', opened) as peer:
        run.start(peer.port).ends('unexpected server response (429): later')
        assert len(peer.heads) == 2


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


@REFERENCE.check('createWebSocketStream(ws, [options])')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == b'what is there?\n'
    ws.send('one\ntw')
    ws.send('o\n')
    ws.close(1000)
    program.ends('received: one', 'received: two')


@REFERENCE.check('createWebSocketStream(ws, [options]) (2)')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    ws.send('1\n2')
    ws.send('0\n')
    ws.send('.\n')
    assert log.get()[1].strip() == b'21'
    assert log.get() == ('close', 1000, '')
    program.stops()


@REFERENCE.check('createWebSocketStream(ws, [options]) (3)')
def _(run: Runner) -> None:
    with server() as wss:
        streams = Waiter()
        wss.on('connection', lambda ws: streams(createWebSocketStream(ws)))
        program = run.start(port_of(wss))
        [stream] = streams.get()
        file = io.BufferedReader(stream)
        request = pickle.load(file)
        pickle.dump(sum(request['numbers']), stream)
        assert file.read() == b''
        program.ends(f'the answer: {sum(range(100000))}')


@REFERENCE.check('Messages instead of bytes')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == 'first question'
    ws.send('yes')
    assert log.get()[1] == 'second question'
    ws.send(b'no')
    assert log.get() == ('close', 1000, '')
    program.ends('the first answer: yes', "the second answer: b'no'")


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
