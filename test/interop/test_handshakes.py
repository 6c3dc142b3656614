"""2,000 opening handshakes, right and broken: as server and client, we take what Node's ws 8 takes, or have a reason.

Each begins as a right one and suffers up to three changes. Which, and in what order, comes from a fixed seed.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import pytest
from interop.peers import HERE, WS_8
from support import TIMEOUT, Waiter, read_all, server

from ws import WebSocket
from ws.protocol.handshake import accept_key

pytestmark = [pytest.mark.interop, pytest.mark.slow]

NUMBER = 1000  # of each kind
KEY = 'dGhlIHNhbXBsZSBub25jZQ=='


class Head(NamedTuple):
    """A request or response to be: its first line, and its header lines by name."""

    first: str
    lines: dict[str, str]
    line_end: str = '\r\n'

    def encode(self) -> bytes:
        return self.line_end.join([self.first, *self.lines.values(), '', '']).encode('latin-1')


#: header -> values that replace it; None takes it away. In a value ``\r\n`` begins a line of its own.
REQUEST_CHANGES: dict[str, list[Optional[str]]] = {
    'Host': [None, '', 'a b', 'x\r\nHost: x'],
    'Upgrade': [None, '', 'WebSocket', 'websocket, h2c', 'h2c', 'websocket\r\nUpgrade: websocket'],
    'Connection': [None, '', 'keep-alive, Upgrade', 'upgrade', 'close', 'keep-alive', 'Upgrade\r\nConnection: close'],
    'Sec-WebSocket-Key': [
        None, '', KEY[:-1], KEY + '=', 'A' + KEY, KEY.replace('d', '*'), f' {KEY}\t',
        f'{KEY}\r\nSec-WebSocket-Key: {KEY}',
    ],
    'Sec-WebSocket-Version': [
        None, '', '8', '7', '14', '013', '13.0', '13, 8', '\t13 ', '13\r\nSec-WebSocket-Version: 13',
    ],
    'Sec-WebSocket-Protocol': [
        '', 'a', 'a, b', 'a,b\t,c', 'a, a', 'a,', ',a', 'a,,b', 'a b', 'a;b', '"a"', 'é',
        'a\r\nSec-WebSocket-Protocol: b',
    ],
    'Origin': ['http://example.com', 'null', '', 'a\r\nOrigin: b'],
    'Content-Length': ['0', '5', 'x', '-1', '5\r\nContent-Length: 5', '5\r\nContent-Length: 6'],
    'Transfer-Encoding': ['chunked'],
    'Expect': ['100-continue'],
    'Cookie': ['a=b', 'a=b\r\nCookie: c=d'],
    'X': [
        '', 'y', 'ü', 'a\x0bb', 'a\x00b', 'a\x7fb', 'a\rb', 'a\nb', 'y\r\n folded', 'y\r\n\tfolded', 'y\r\nno colon',
        'y\r\nSpace : y', 'y\r\n: y', 'y\r\nB(d: y', 'a' * 8000, 'a' * 20000, 'y' + '\r\nZ: z' * 100,
        'y' + '\r\nZ: z' * 200,
    ],
}  # fmt: skip
REQUEST_LINES = [
    'POST / HTTP/1.1', 'get / HTTP/1.1', 'OPTIONS * HTTP/1.1', 'GET / HTTP/1.0', 'GET / HTTP/1.2', 'GET / HTTP/2.0',
    'GET  / HTTP/1.1', 'GET / HTTP/1.1 ', 'GET /', ' GET / HTTP/1.1', 'GET /?a=b HTTP/1.1', 'GET /#a HTTP/1.1',
    'GET http://example.com/a HTTP/1.1', 'GET a HTTP/1.1', 'GET /ü HTTP/1.1', 'GET /\t HTTP/1.1', 'GET / http/1.1',
]  # fmt: skip

RESPONSE_CHANGES: dict[str, list[Optional[str]]] = {
    'Upgrade': [None, '', 'WebSocket', 'websocket, h2c', 'h2c', 'websocket\r\nUpgrade: websocket'],
    'Connection': [None, '', 'keep-alive, Upgrade', 'upgrade', 'close', 'keep-alive'],
    'Sec-WebSocket-Accept': [None, '', 'x', 'twice', 'other case', 'blanks'],
    'Sec-WebSocket-Protocol': ['', 'a', 'b', 'c', 'A', 'a, b', 'a\r\nSec-WebSocket-Protocol: a'],
    'Content-Length': ['0', '5', 'x'],
    'Transfer-Encoding': ['chunked'],
    'X': REQUEST_CHANGES['X'],
}
STATUS_LINES = [
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 OK', 'HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 101 OK',
    'HTTP/1.1 200 OK', 'HTTP/1.1 204 No Content', 'HTTP/1.1 301 Moved', 'HTTP/1.1 401 Unauthorized', 'HTTP/1.1 500 x',
    'HTTP/1.1 101', 'HTTP/1.1 101 ', 'HTTP/1.1 101 ü', 'HTTP/1.1  101 OK', 'HTTP/1.0 101 OK', 'HTTP/2.0 101 OK',
    'http/1.1 101 OK', 'HTTP/1.1 10 OK', 'HTTP/1.1 1011 OK', 'SSH-2.0-x',
]  # fmt: skip

PARAMETERS = [
    'client_no_context_takeover', 'server_no_context_takeover', 'client_max_window_bits', 'client_max_window_bits=12',
    'client_max_window_bits=8', 'server_max_window_bits=15', 'server_max_window_bits=9', 'server_max_window_bits=8',
]  # fmt: skip
WRONG_PARAMETERS = [
    'server_max_window_bits', 'client_no_context_takeover=1', 'server_no_context_takeover=true', 'unknown', 'a=b',
    *(f'client_max_window_bits={bits}' for bits in (7, 16, 0, 'x', '08', '1e1', '0xa', '9.0')),
    *(f'server_max_window_bits={bits}' for bits in (7, 16, 0, 'x', '08', '1e1', '0xa', '9.0')),
    'client_max_window_bits=""', 'client_max_window_bits = 9', 'Server_no_context_takeover',
]  # fmt: skip


def extensions(randomness: random.Random) -> str:
    """The value of a Sec-WebSocket-Extensions header, mostly about permessage-deflate, often wrong."""
    names = ['permessage-deflate'] * 6 + ['foo', 'Permessage-Deflate', 'x-webkit-deflate-frame', 'per message', '']
    parts = []
    for _ in range(randomness.choice([1, 1, 1, 2, 3])):
        parameters = randomness.sample(PARAMETERS, randomness.choice([0, 0, 1, 1, 2, 3]))
        if randomness.random() < 0.25:
            parameters.append(randomness.choice(WRONG_PARAMETERS))
        if randomness.random() < 0.1:
            parameters += parameters[:1]
        parameters = [re.sub('=(.+)', r'="\1"', text) if randomness.random() < 0.1 else text for text in parameters]
        parts.append(randomness.choice(['; ', ';', ' ;\t']).join([randomness.choice(names), *parameters]))
    text = randomness.choice([', ', ',', ' , ']).join(parts)
    if randomness.random() < 0.1:
        place = randomness.randrange(len(text) + 1)
        text = text[:place] + randomness.choice(';,="\\ \t\xfc') + text[place:]
    if randomness.random() < 0.05:
        text = ', '.join(['foo'] * 40)
    return text


class Case(NamedTuple):
    """A head, and the changes it has suffered: ``name: value``."""

    head: Head
    changes: tuple[str, ...]
    protocols: tuple[str, ...] = ()  # that the client asks for


class Verdict(NamedTuple):
    """What somebody makes of a head."""

    accepted: bool
    extensions: str = ''
    protocol: str = ''


def changed(
    head: Head, randomness: random.Random, first_lines: list[str], changes: dict[str, list[Optional[str]]]
) -> Case:
    """`head` after up to three changes."""
    done = []
    for _ in range(randomness.choice([0, 1, 1, 1, 2, 3])):
        kind = randomness.random()
        if kind < 0.4:
            name, value = 'Sec-WebSocket-Extensions', extensions(randomness)
            head.lines[name] = f'{name}: {value}'
        elif kind < 0.5:
            name, value = 'first line', randomness.choice(first_lines)
            head = head._replace(first=value)
        elif kind < 0.52:
            name, value = 'line end', '\n'
            head = head._replace(line_end=value)
        else:
            name = randomness.choice(list(changes))
            value = randomness.choice(changes[name])
            head.lines[name] = f'{name}: {value}'
            if value is None:
                del head.lines[name]
        done.append(f'{name}: {value}')
    return Case(head, tuple(done))


def requests(seed: int) -> Iterator[Case]:
    randomness = random.Random(seed)
    for _ in range(NUMBER):
        lines = {
            'Host': 'Host: 127.0.0.1',
            'Upgrade': 'Upgrade: websocket',
            'Connection': 'Connection: Upgrade',
            'Sec-WebSocket-Key': f'Sec-WebSocket-Key: {KEY}',
            'Sec-WebSocket-Version': 'Sec-WebSocket-Version: 13',
        }
        yield changed(Head('GET / HTTP/1.1', lines), randomness, REQUEST_LINES, REQUEST_CHANGES)


def responses(seed: int) -> Iterator[Case]:
    randomness = random.Random(seed)
    for _ in range(NUMBER):
        lines = {
            'Upgrade': 'Upgrade: websocket',
            'Connection': 'Connection: Upgrade',
            'Sec-WebSocket-Accept': 'Sec-WebSocket-Accept: right',
        }
        protocols = randomness.choice([(), ('a',), ('a', 'b')])
        if protocols:
            lines['Sec-WebSocket-Protocol'] = 'Sec-WebSocket-Protocol: a'
        case = changed(Head('HTTP/1.1 101 Switching Protocols', lines), randomness, STATUS_LINES, RESPONSE_CHANGES)
        yield case._replace(protocols=protocols)


def with_accept(head: Head, key: str) -> bytes:
    right = accept_key(key)
    values = {
        'right': right,
        'twice': f'{right}\r\nSec-WebSocket-Accept: {right}',
        'other case': right.swapcase(),
        'blanks': f'\t {right} ',
    }
    line = head.lines.get('Sec-WebSocket-Accept')
    if line is not None:
        value = line.partition(': ')[2]
        head = head._replace(
            lines={**head.lines, 'Sec-WebSocket-Accept': f'Sec-WebSocket-Accept: {values.get(value, value)}'}
        )
    return head.encode()


class Reason(NamedTuple):
    """Why we differ, and a regular expression that finds what we differ about in a head."""

    we_accept: bool
    why: str
    pattern: str


NOT_DECIMAL = Reason(
    False,
    'RFC 7692 section 7.1.2: decimal without leading zeros. JavaScript makes numbers of these, too',
    r'window_bits="?(08|1e1|0xa|9\.0)',
)
MANY_HEADERS = Reason(False, 'We take 128 headers; Node sets no limit but that of the size', '(?:\nZ: z){128}')
NO_BODY = Reason(
    True,
    'The answer to a handshake has no body, so nothing depends on how the length of one is told',
    r'(?s)Content-Length: \d\n.*Transfer-Encoding|Transfer-Encoding.*Content-Length: \d\n',
)

REQUEST_REASONS = [
    NOT_DECIMAL,
    MANY_HEADERS,
    Reason(False, 'We take 32 extensions; who offers more is up to something', 'Extensions: (foo, ){32}'),
    Reason(False, 'RFC 6455 section 4.2.1: HTTP/1.1 or higher', r'\A.* HTTP/1\.0\n'),
    Reason(False, 'Another protocol: Node means HTTP/1.1 and takes what says HTTP/2.0', r'\A.* HTTP/2\.0\n'),
    Reason(False, 'RFC 9112 section 3: there is a version; Node takes HTTP/0.9', r'\A\S+ \S+\n'),
    Reason(False, 'RFC 9112 section 3: one blank between method and target', r'\AGET  '),
    Reason(False, 'RFC 9112 section 3.2: there is a Host. Node lets upgrades off', r'(?s)\A(?!.*\nHost:)'),
    Reason(False, 'RFC 9112 section 3.2: there is one Host. Node takes the first', r'(?s)\nHost:.*\nHost:'),
    Reason(False, 'Of two origins none can be trusted. Node joins them', r'(?s)\nOrigin:.*\nOrigin:'),
    Reason(False, 'RFC 6455 section 4.3: 13. JavaScript makes numbers of these', r'Version: (013|13\.0)\n'),
    Reason(
        False,
        'A handshake has no body: what a proxy takes for one must not be taken for frames',
        r'\n(Content-Length: [1-9]|Transfer-Encoding: )',
    ),
    Reason(False, 'RFC 9112 section 3.2: a Host that is none. Node does not look', r'\nHost: a b\n'),
]
RESPONSE_REASONS = [
    NOT_DECIMAL,
    MANY_HEADERS,
    Reason(
        False,
        'RFC 7692 section 5: one offer is accepted at most. Node takes the first of several answers',
        'Extensions:.*permessage-deflate.*permessage-deflate',
    ),
    Reason(False, 'Another protocol: Node means HTTP/1.1 and takes what says HTTP/2.0', r'\AHTTP/2\.0 '),
    Reason(True, 'An empty Sec-WebSocket-Protocol is none: ws 0.4.31 sends that', r'(?m)^Sec-WebSocket-Protocol: $'),
    NO_BODY,
]


# -- requests ----------------------------------------------------------------------------------------------------------


def ask(port: int, request: bytes) -> Verdict:
    with socket.create_connection(('127.0.0.1', port), TIMEOUT) as sock:
        sock.sendall(request)
        head = b''
        # Neither of them waits for a body; who waits for more of the head has not accepted.
        sock.settimeout(2)
        while b'\r\n\r\n' not in head:
            try:
                data = sock.recv(65536)
            except (ConnectionError, TimeoutError):
                data = b''
            if not data:
                return Verdict(False)
            head += data
            if head.startswith(b'HTTP/1.1 100 ') and b'\r\n\r\n' in head:
                head = head.partition(b'\r\n\r\n')[2]
    status, *lines = head.partition(b'\r\n\r\n')[0].decode('latin-1').split('\r\n')
    if ' 101 ' not in status:
        return Verdict(False)
    fields = dict(line.lower().split(': ', 1) for line in lines)
    # The order of parameters means nothing.
    parameters = sorted(fields.get('sec-websocket-extensions', '').split('; '))
    return Verdict(True, '; '.join(parameters), fields.get('sec-websocket-protocol', ''))


@contextlib.contextmanager
def node(script: str, *arguments: str) -> Iterator[Any]:
    missing = WS_8.missing()
    if missing is not None:
        pytest.skip(f'{missing} was not found')
    command = ['node', str(HERE / 'node' / script), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding='utf-8') as process:
        try:
            yield process
            process.stdin.close()
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()


@pytest.mark.timeout(300)
def test_requests() -> None:
    cases = list(requests(6455))
    with server(perMessageDeflate=True) as wss, node('handshakes.js', 'server') as process:
        wss.on('connection', lambda ws: None)
        ports = wss.address().port, int(process.stdout.readline())
        verdicts = [(ask(ports[0], case.head.encode()), ask(ports[1], case.head.encode())) for case in cases]
    compare(cases, verdicts, REQUEST_REASONS)


# -- responses ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(cases: list[Case]) -> Iterator[str]:
    """A server that answers a request for /N with the head of case N, and ends."""

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(ConnectionError):
                request = b''
                while not request.endswith(b'\r\n\r\n'):
                    data = sock.recv(65536)
                    if not data:
                        break
                    request += data
                number, key = re.findall(rb'GET /(\d+) |Sec-WebSocket-Key: (\S+)', request)
                sock.sendall(with_accept(cases[int(number[0])].head, key[1].decode()))
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)

    with socket.create_server(('127.0.0.1', 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f'ws://127.0.0.1:{listener.getsockname()[1]}'
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def connect(url: str, protocols: tuple[str, ...]) -> Verdict:
    ws = WebSocket(url, list(protocols))
    ended = Waiter()
    ws.on('open', lambda: ended(True, ws.extensions, ws.protocol or ''))
    ws.on('error', lambda error: ended(False))
    closed = Waiter()
    ws.on('close', closed)
    verdict = Verdict(*ended.get())
    ws.terminate()
    closed.get()
    return verdict


@pytest.mark.timeout(300)
def test_responses() -> None:
    cases = list(responses(7692))
    with answering(cases) as url, node('handshakes.js', 'client') as process:
        verdicts = []
        for number, case in enumerate(cases):
            process.stdin.write(json.dumps([f'{url}/{number}', case.protocols]) + '\n')
            process.stdin.flush()
            accepted, *rest = json.loads(process.stdout.readline())
            theirs = Verdict(accepted, *rest) if accepted else Verdict(False)
            verdicts.append((connect(f'{url}/{number}', case.protocols), theirs))
    compare(cases, verdicts, RESPONSE_REASONS)


def compare(cases: list[Case], verdicts: list[tuple[Verdict, Verdict]], reasons: list[Reason]) -> None:
    """Each difference has one of the `reasons`, and each of these has a case that shows it."""
    unexplained = []
    shown = set()
    for case, (ours, theirs) in zip(cases, verdicts):
        if ours == theirs:
            continue
        text = case.head.encode().decode('latin-1').replace('\r\n', '\n')
        found = [reason for reason in reasons if reason.we_accept is ours.accepted and re.search(reason.pattern, text)]
        if found and ours.accepted is not theirs.accepted:
            shown.update(found)
        else:
            unexplained.append((case.changes, ours, theirs))
    assert unexplained == []
    assert shown == set(reasons)
    accepted = sum(ours.accepted for ours, _ in verdicts)
    assert 200 < accepted < 800, f'{accepted} of {len(cases)} accepted: that is too one-sided to tell much'
