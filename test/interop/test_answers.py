"""500 answers and chains of redirects, right and broken: our client makes of them what Node's ws 8 does, or there is a
reason.

Each case is played twice by the same server, for us and for Node. What is compared: whether the connection opens, what
the error is about, the whole refusal with its body, each request with its headers, and the URL at the end. The cases
come from a fixed seed; the suite runs 500 of them, and ``WS_ANSWERS=5000`` so many.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import pytest
import trustme
from interop.test_handshakes import node
from loop_timers import held_up
from support import TIMEOUT, Waiter, read_all, read_head

from ws import HandshakeError, WebSocket
from ws.protocol.handshake import accept_key

pytestmark = [pytest.mark.interop, pytest.mark.slow]

NUMBER = int(os.environ.get('WS_ANSWERS', '500'))


class Case(NamedTuple):
    """What a client is to do, and what the server says to one request after the other."""

    url: str
    answers: list[bytes]
    protocols: list[str]
    options: dict[str, Any]
    #: What its listeners do: redirect: which headers they remove and set; unexpected: whether there is one.
    listener: dict[str, Any]


# -- the server -------------------------------------------------------------------------------------------------------


class Stage:
    """Two ports, each on 127.0.0.1 and ::1, with and without TLS, that answer as the case says that is being played."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listeners: list[socket.socket] = []
        self.ports: list[int] = [self._listen(), self._listen()]
        self._answers: list[bytes] = []
        self._requests: list[bytes] = []
        self._threads = [threading.Thread(target=self._serve, args=[listener]) for listener in self._listeners]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> int:
        """One port number for both families: a `localhost` may be either."""
        for _ in range(100):
            listener = socket.create_server(('127.0.0.1', 0))
            port: int = listener.getsockname()[1]
            try:
                other = socket.create_server(('::1', port), family=socket.AF_INET6)
            except OSError:
                listener.close()
            else:
                self._listeners += [listener, other]
                return port
        raise AssertionError('no port is free in both families')

    def play(self, answers: list[bytes]) -> None:
        self._answers, self._requests = list(answers), []

    def requests(self) -> list[Any]:
        """The requests of the case, without what is another one each time."""
        return [_comparable(request) for request in self._requests]

    def end(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(TIMEOUT)
            with contextlib.suppress(OSError, AssertionError), self._secured(sock) as stream:
                head = read_head(stream)
                self._requests.append(head)
                stream.sendall(_with_key(self._answers.pop(0) if self._answers else b'', head))
                stream.shutdown(socket.SHUT_WR)
                read_all(stream)

    def _secured(self, sock: socket.socket) -> Any:
        if sock.recv(1, socket.MSG_PEEK) != b'\x16':
            return sock
        try:
            return self._context.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            raise


def _with_key(answer: bytes, head: bytes) -> bytes:
    key = re.search(rb'Sec-WebSocket-Key: (\S+)', head, re.IGNORECASE)
    return answer.replace(b'ACCEPT', accept_key(key[1].decode()).encode()) if key else answer


def _comparable(head: bytes) -> Any:
    first, *lines = head.decode('latin-1').split('\r\n')[:-2]
    headers = {name.lower(): value for name, value in (line.split(': ', 1) for line in lines)}
    del headers['sec-websocket-key']
    if 'sec-websocket-protocol' in headers:
        headers['sec-websocket-protocol'] = headers['sec-websocket-protocol'].replace(', ', ',')
    return [first, headers]


# -- answers ----------------------------------------------------------------------------------------------------------

STATUSES = (
    '200 OK', '201 Created', '204 No Content', '300 Multiple Choices', '301 Moved', '304 Not Modified', '400 Bad',
    '401 Unauthorized', '403 ', '404', "418 I'm a teapot", '426 Upgrade Required', '429 Too Many', '500 x', '503 Gone',
    '599 ?', '799 \xe9',
)  # fmt: skip
FIELDS = (
    ('Retry-After', ('120', 'Fri, 27 Nov 2026 12:00:00 GMT')), ('Content-Type', ('text/plain', 'text/html; charset=x')),
    ('WWW-Authenticate', ('Basic realm="a, b"', 'Bearer')), ('X-Reason', ('', '\xe9', 'a b', '  blanks\t')),
    ('Server', ('x/1',)), ('Connection', ('close', 'keep-alive')), ('x-ID', ('1', '2')),
)  # fmt: skip
OPEN = b'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n'
INTERIM = (b'', b'', b'', b'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n', b'HTTP/1.1 100 Continue\r\n\r\n')
#: What is no right answer to a handshake, each with a head of its own.
WRONG = (
    b'', b'\r\n\r\n', b'nonsense\r\n\r\n', b'HTTP/1.1\r\n\r\n', b'HTTP/1.1 40\r\n\r\n', b'HTTP/1.1 abc x\r\n\r\n',
    b'HTTP/1.1 401 x\r\nno colon\r\n\r\n', b'HTTP/1.1 401 x\r\nName : x\r\n\r\n', b'HTTP/1.1 401 x\r\nName: \0\r\n\r\n',
    b'HTTP/1.1 401 x\r\nContent-Length: x\r\n\r\n', b'HTTP/1.1 401 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    b'HTTP/1.1 401 x\r\nName: x', b'HTTP/3.1 401 x\r\n\r\n', b'\x16\x03\x01\x02\x00\x01', b'SSH-2.0-x\r\n',
    b'HTTP/1.1 401 x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n',
    b'HTTP/1.1 401 x\nName: x\n\n', b'HTTP/1.1 101 x\r\n\r\n', b'HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n',
    b'HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n',
    b'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    OPEN.replace(b'ACCEPT', b'CxYS6+NgJSBG74mdgLvGscRvpns=') + b'\r\n', OPEN.replace(b'websocket', b'h2c') + b'\r\n',
    OPEN + b'Sec-WebSocket-Protocol: nobody\r\n\r\n', OPEN + b'Sec-WebSocket-Extensions: foo\r\n\r\n',
    OPEN + b'Sec-WebSocket-Extensions: ,\r\n\r\n', OPEN + b'Sec-WebSocket-Extensions: permessage-deflate; x=1\r\n\r\n',
)  # fmt: skip


def cased(name: str, chance: random.Random) -> str:
    return chance.choice([name, name.lower(), name.upper(), name.swapcase()])


def fields(chance: random.Random) -> bytes:
    chosen = [chance.choice(FIELDS) for _ in range(chance.randrange(4))]
    return b''.join(
        f'{cased(name, chance)}:{chance.choice(" ,,  ").replace(",", "")}{chance.choice(values)}\r\n'.encode('latin-1')
        for name, values in chosen
    )


def chunks(body: bytes, chance: random.Random) -> bytes:
    data = b''
    while body:
        size = chance.randint(1, len(body))
        data += b'%x%s\r\n%s\r\n' % (size, chance.choice([b'', b';a=b', b';a="b"']), body[:size])
        body = body[size:]
    return data + b'0\r\n' + chance.choice([b'', b'', b'Trailer: x\r\n']) + b'\r\n'


def body(chance: random.Random) -> bytes:
    """The end of the head, and a body."""
    content = bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 5, 3000])))
    kind = chance.randrange(6)
    if kind == 0:
        return b'Content-Length: %d\r\n\r\n' % len(content) + content
    if kind == 1:
        return cased('Transfer-Encoding', chance).encode() + b': chunked\r\n\r\n' + chunks(content, chance)
    if kind == 2:
        return b'\r\n' + content
    if kind == 3:  # it ends too early
        return b'Content-Length: %d\r\n\r\n' % (len(content) + 5) + content
    if kind == 4:
        return b'Transfer-Encoding: chunked\r\n\r\n' + chunks(content, chance)[:-5]
    return b'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n'


def refusal(chance: random.Random) -> bytes:
    status = chance.choice(STATUSES)
    version = chance.choice(['1.1', '1.1', '1.1', '1.0'])
    end = b'\r\n' if status[:3] in ('204', '304') or version == '1.0' else body(chance)
    return chance.choice(INTERIM) + f'HTTP/{version} {status}\r\n'.encode('latin-1') + fields(chance) + end


def acceptance(protocols: list[str], chance: random.Random) -> bytes:
    lines = fields(chance).replace(b'close', b'x')
    if protocols:
        lines += f'Sec-WebSocket-Protocol: {chance.choice(protocols)}\r\n'.encode()
    if chance.randrange(3) == 0:
        lines += b'Sec-WebSocket-Extensions: permessage-deflate\r\n'
    head = OPEN.replace(b'Upgrade: websocket', cased('Upgrade', chance).encode() + b': websocket')
    return chance.choice(INTERIM) + head + re.sub(rb'(?i)connection:.*\r\n', b'', lines) + b'\r\n'


def final(protocols: list[str], chance: random.Random) -> bytes:
    kind = chance.randrange(5)
    if kind == 0:
        return chance.choice(WRONG)
    return refusal(chance) if kind < 3 else acceptance(protocols, chance)


# -- redirects --------------------------------------------------------------------------------------------------------

RELATIVE = (
    '/x', 'x', './x', '../x', '../../../x', '?q', 'x?q=1&r', '/a/./b/../c', '/%2e%2E/x', '//HOST:PORT/x', '/a b',
    '/\xe9', '.', '..', '/a;b=c', "/a!$&'()*+,;=:@b", '/%41%zz', '/x?a/../b', '//LOCAL:PORT',
)  # fmt: skip
NOWHERE = (
    'ws://', 'ws://:80/', 'ws://a b/', 'ws://127.0.0.1:99999/', 'ws://127.0.0.1:x/', 'ws://[::1', 'ws://[1]/',
    'bad-scheme://localhost', 'mailto:a@b', 'ftp://HOST:PORT/', 'ws://%/', 'ws+unix:', '/x#y', '#y',
)  # fmt: skip
#: These mean something to browsers, and to ws 8; see the reasons.
ODD = (
    '\\x', '/\\HOST:PORT/x', '/a\\b', '/a\tb', 'ws:x', 'wss:/HOST:PORT/', '///HOST:PORT/x',
    '/x?a\\b', '/x|y', '/x^y', 'ws://HOST:PORT/x#',
)  # fmt: skip
HOSTS = ('127.0.0.1', 'localhost', '[::1]')


def place(ports: list[int], chance: random.Random) -> str:
    """A URL of the stage."""
    scheme = chance.choice(['ws', 'ws', 'wss', 'http', 'https', 'WS'])
    user = chance.choice(['', '', '', 'ann:secret@', 'bob:@', 'eve@'])
    path = chance.choice(['', '/', '/a/b/c', '/a/b?q=1', '?q'])
    return f'{scheme}://{user}{chance.choice(HOSTS)}:{chance.choice(ports)}{path}'


def location(ports: list[int], first: str, chance: random.Random) -> str:
    kind = chance.randrange(20)
    if kind < 8:
        text = chance.choice(RELATIVE)
    elif kind < 13:
        text = place(ports, chance)
    elif kind < 17:  # the same host, or nearly
        text = re.sub('^[a-z]+', chance.choice(['ws', 'wss']), first.lower()) + '/same'
        text = text if '?' not in text else first
    elif kind < 18:
        text = chance.choice(ODD)
    else:
        text = chance.choice(NOWHERE)
    text = text.replace('HOST', chance.choice(HOSTS)).replace('LOCAL', 'localhost')
    return text.replace('PORT', str(chance.choice(ports)))


def redirect(where: Optional[str], chance: random.Random) -> bytes:
    status = chance.choice(['300', '301 Moved', '302 Found', '303 x', '304', '305 x', '307 x', '308 x', '399 x'])
    named = f'{cased("Location", chance)}: {where}\r\n' if where is not None else ''
    return f'HTTP/1.1 {status}\r\n{named}'.encode('latin-1') + fields(chance) + b'\r\n'


def headers(chance: random.Random) -> dict[str, str]:
    all_of_them = (
        ('Authorization', 'Basic mine'), ('Cookie', 'a=b; c=d'), ('Host', 'fake.example'), ('X-Own', 'x'),
        ('Proxy-Authorization', 'x'), ('Origin', 'http://fake.example'),
    )  # fmt: skip
    return {cased(name, chance): value for name, value in all_of_them if chance.randrange(3) == 0}


def chain(ports: list[int], chance: random.Random) -> Case:
    first = place(ports, chance)
    protocols = chance.choice([[], [], ['a', 'b']])
    answers = [redirect(location(ports, first, chance), chance) for _ in range(chance.randrange(1, 5))]
    answers.append(chance.choice([final(protocols, chance), acceptance(protocols, chance), redirect(None, chance)]))
    options: dict[str, Any] = {'headers': headers(chance), 'followRedirects': chance.randrange(12) > 0}
    if chance.randrange(3) == 0:
        options['maxRedirects'] = chance.randrange(4)
    if chance.randrange(4) == 0:
        options['perMessageDeflate'] = False
    listener: dict[str, Any] = {'unexpected': chance.randrange(3) == 0}
    if chance.randrange(3) == 0:
        remove = chance.choice([[], [], ['cookie'], ['Authorization', 'COOKIE']])
        listener['redirect'] = {'remove': remove, 'set': chance.choice([[], [], [['X-Hop', 'yes'], ['host', 'other']]])}
    return Case(first, answers, protocols, options, listener)


def answer(ports: list[int], chance: random.Random) -> Case:
    protocols = chance.choice([[], ['a'], ['a', 'b']])
    url = f'{chance.choice(["ws", "ws", "wss"])}://127.0.0.1:{ports[0]}/'
    return Case(url, [final(protocols, chance)], protocols, {}, {'unexpected': chance.randrange(2) == 0})


def cases(ports: list[int], seed: int) -> Iterator[Case]:
    chance = random.Random(seed)
    for number in range(NUMBER):
        yield (chain if number % 2 else answer)(ports, chance)


# -- what becomes of it -----------------------------------------------------------------------------------------------

#: What an error is about -> its text, here or there.
ABOUT = {
    'a status': r'unexpected server response',
    'redirects': 'maximum redirects exceeded',
    'the url': r"invalid url|the url's protocol|the url contains|the url's pathname",
    'upgrade': 'invalid (upgrade|connection) header',
    'the key': 'invalid server key|invalid sec-websocket-accept header',
    'a protocol nobody asked for': r'server sent a subprotocol (but none was requested|even though none requested)',
    'no protocol': 'server sent no subprotocol',
    'another protocol': 'server sent an invalid subprotocol|server responded with an invalid protocol',
    'extensions': 'invalid sec-websocket-extensions header|server indicated an ext|server sent a sec-websocket-ext',
    'time': 'opening handshake has timed out',
    'the answer': (
        'invalid server response|the server closed the connection|parse error|socket hang up|econnreset|reset by peer|'
        'bytes remaining|eof occurred|unexpected eof'
    ),
}


def about(text: str) -> str:
    """What an error is about; with the status, if it is a status."""
    [found] = [name for name, pattern in ABOUT.items() if re.match(pattern, text, re.IGNORECASE)] or [text]
    status = re.search(r'\b\d{3}\b', text)
    return f'{found} {status[0]}' if found == 'a status' and status else found


def ours(case: Case) -> dict[str, Any]:
    redirects: list[str] = []
    ended, closed = Waiter(), Waiter()
    given = {'Origin': [], **{name: [value] for name, value in case.options.get('headers', {}).items()}}
    if any(name.lower() == 'origin' and name != 'Origin' for name in given):
        del given['Origin']

    def redirect(url: str, request: Any) -> None:
        redirects.append(url)
        for name in case.listener['redirect']['remove']:
            request.removeHeader(name)
        for name, value in case.listener['redirect']['set']:
            request.setHeader(name, value)

    def unexpected(request: Any, response: Any) -> None:
        ended({
            'end': 'refused',
            'status': response.statusCode,
            'message': response.statusMessage,
            'version': response.httpVersion,
            'headers': dict(response.headers),
            'raw': response.rawHeaders,
            'body': response.body.decode('latin-1'),
            'complete': response.complete,
        })  # fmt: skip

    with held_up():
        ws = WebSocket(
            case.url,
            case.protocols,
            {'handshakeTimeout': 5000, 'rejectUnauthorized': False, **case.options, 'headers': given},
        )
        ws.on('open', lambda: ended({'end': 'open', 'protocol': ws.protocol or '', 'extensions': ws.extensions}))
        ws.on('error', lambda error: ended({'end': 'error', 'text': _told(error)}))
        ws.on('close', closed)
        if 'redirect' in case.listener:
            ws.on('redirect', redirect)
        if case.listener['unexpected']:
            ws.on('unexpected-response', unexpected)
    [outcome] = ended.get()
    outcome.update(url=ws.url, redirects=redirects)
    ws.terminate()
    closed.get()
    return outcome


def _told(error: BaseException) -> str:
    if isinstance(error, HandshakeError) and str(error).startswith('unexpected server response'):
        assert error.response is not None and error.status == error.response.statusCode
    return str(error)


def comparable(outcome: dict[str, Any], case: Case) -> dict[str, Any]:
    outcome = dict(outcome)
    if outcome['end'] == 'error':
        outcome['about'] = about(outcome.pop('text'))
        if outcome['about'] == 'the url':  # ws 8 has some in its url already
            del outcome['url']
            outcome['redirects'] = len(outcome['redirects'])
    if outcome['end'] == 'refused' and not outcome['complete']:
        del outcome['body']  # how much of it was read is chance
    if outcome.get('url') in (case.url, _as_browsers_write(case.url)):
        outcome['url'] = case.url  # ours is as given until it is redirected
    return outcome


def _as_browsers_write(url: str) -> str:
    scheme, _, rest = url.partition('://')
    authority, path = re.findall('([^/?]*)(.*)', rest)[0]
    scheme = {'http': 'ws', 'https': 'wss'}.get(scheme.lower(), scheme.lower())
    authority = authority.replace(':@', '@')
    return f'{scheme}://{authority}{path if path.startswith("/") else "/" + path}'


class Reason(NamedTuple):
    """Why we differ on purpose; what finds that in the answers; and what our outcome is then."""

    why: str
    pattern: str
    ours: str


#: Where a redirect leads is an error, and not what browsers make of it.
REFUSED = 'the url'
REASONS = [
    Reason('A backslash is a slash to browsers: a path may name another host', r'location: [^?]*\\', REFUSED),
    Reason('Browsers leave tabs out. RFC 3986 knows none', r'location: .*\t', REFUSED),
    Reason('Browsers correct the number of slashes', r'location: (wss?:/?[^/]|///)', REFUSED),
    Reason('RFC 6455 section 3: no fragment. We take an empty one for one, too', 'location: .*#', REFUSED),
    Reason('RFC 3986 lets none of these stand in an address: they are sent as %5C, %5E and %7C', r'[\\^|]', ''),
    Reason(
        'RFC 9112 section 6.3: this is wrong, but the status is clear', 'coding: .*\ncontent-length', 'a status 401'
    ),
    Reason('A body that breaks the rules is cut, but the status is clear', r'\n3\nabc\nx\n', 'a status'),
    Reason('To Node, a 101 without both of these headers is a refusal', r'\AHTTP/1.1 101 x\n(.+\n)?\n\Z', 'upgrade'),
]
#: How they write it -> how we do.
REWRITTEN = {'\\\\': '%5C', '^': '%5E', '|': '%7C'}


def reasons(here: Any, there: Any, answers: list[bytes]) -> list[Reason]:
    """What explains the difference between these outcomes, with the requests up to them."""
    texts = [answer.decode('latin-1').replace('\r\n', '\n') for answer in answers]
    outcome = here[0]
    ours = outcome.get('about') or f'a status {outcome.get("status")}'
    return [
        reason
        for reason in REASONS
        if (ours.startswith(reason.ours) if reason.ours else _rewritten(here) == _rewritten(there))
        if any(re.search(reason.pattern, text, re.IGNORECASE) for text in texts)
    ]


def _rewritten(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    for theirs, ours in REWRITTEN.items():
        text = text.replace(theirs, ours)
    return text


@pytest.fixture(scope='module')
def stage() -> Iterator[Stage]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert('localhost', '127.0.0.1').configure_cert(context)
    stage = Stage(context)
    yield stage
    stage.end()


@pytest.mark.timeout(900)
def test_answers(stage: Stage) -> None:
    unexplained, shown, opened = [], set(), 0
    with node('answers.js') as process:
        for case in cases(stage.ports, 6265):
            stage.play(case.answers)
            here = comparable(ours(case), case)
            here_requests = stage.requests()
            stage.play(case.answers)
            process.stdin.write(json.dumps({**case._asdict(), 'answers': None}) + '\n')
            process.stdin.flush()
            there = comparable(json.loads(process.stdout.readline()), case)
            there_requests = stage.requests()
            opened += here['end'] == 'open'
            both = (here, here_requests), (there, there_requests)
            if both[0] != both[1]:
                found = reasons(*both, case.answers[: max(len(here_requests), len(there_requests))])
                shown.update(found)
                if not found:
                    unexplained.append((case, *both))
    assert unexplained == []
    if NUMBER >= 500:
        assert shown == set(REASONS)
    assert NUMBER / 5 < opened < NUMBER * 4 / 5, f'{opened} of {NUMBER} opened: that is too one-sided to tell much'
