"""What becomes of a request: verifyClient, handleProtocols, data that comes ahead, handleUpgrade."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from sites import LOCAL, Pages, serving
from support import (
    HANDSHAKE,
    TIMEOUT,
    Log,
    Waiter,
    client,
    end,
    no_server,
    on_loop,
    raw_connection,
    read_all,
    read_head,
    server,
    until,
    url_of,
    wait_for,
    wait_for_end,
)

from ws import WebSocket, WebSocketServer
from ws.net.stream import READ_SIZE
from ws.protocol.http import Request, RequestParser

REQUEST = HANDSHAKE % b'/'


def with_header(line: bytes) -> bytes:
    return REQUEST.replace(b'\r\n\r\n', b'\r\n' + line + b'\r\n\r\n')


def text_frame(text: bytes) -> bytes:
    """A masked one; the mask changes nothing."""
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b'\xfe' + struct.pack('!H', len(text))
    return b'\x81' + length + b'\0\0\0\0' + text


def answer(wss: WebSocketServer, request: bytes = REQUEST) -> bytes:
    """All that the server says to a client that then only waits."""
    with raw_connection(wss) as sock:
        sock.sendall(request)
        return read_all(sock)


def is_accepted(wss: WebSocketServer, request: bytes = REQUEST) -> bool:
    with raw_connection(wss) as sock:
        sock.sendall(request)
        return read_head(sock).startswith(b'HTTP/1.1 101 ')


def nobody_connects(wss: WebSocketServer) -> None:
    wss.on('connection', lambda: pytest.fail('connected'))


@pytest.fixture(scope='module')
def certificate() -> dict[str, bytes]:
    issued = trustme.CA().issue_cert('localhost', '127.0.0.1')
    return {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}


class Later:
    """A verifyClient that leaves the answer to the test."""

    def __init__(self) -> None:
        self.asked = Waiter()

    def __call__(self, info: Any, callback: Callable[..., None]) -> None:
        self.asked(callback)

    def get(self) -> Callable[..., None]:
        """The callback of the next client."""
        callback: Callable[..., None] = self.asked.get()[0]
        return callback


# -- verifyClient -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('version', 'lines', 'origin'),
    [
        (b'13', b'Origin: http://a', 'http://a'),
        (b'13', b'Sec-WebSocket-Origin: http://a', None),
        (b'8', b'Sec-WebSocket-Origin: http://a', 'http://a'),
        (b'8', b'Origin: http://a', None),
        (b'13', b'X: y', None),
    ],
)
def test_verify_client_is_told_of_the_request(version: bytes, lines: bytes, origin: Optional[str]) -> None:
    """Items 115, 117, 118 and 120."""
    told = Waiter()
    with server(verifyClient=lambda info: told(info)) as wss:
        nobody_connects(wss)
        assert answer(wss, with_header(lines).replace(b'Version: 13', b'Version: ' + version)).startswith(
            b'HTTP/1.1 401 Unauthorized\r\n'
        )
        info = told.get()[0]
        assert (info.origin, info.secure, info['req'].url) == (origin, False, '/')
        assert info.req.connection is info.req.socket


def test_verify_client_knows_the_peer_and_whether_it_is_encrypted(certificate: dict[str, bytes]) -> None:
    told = Waiter()

    def verify(info: Any) -> bool:
        told(info.secure, info.req.connection.remoteAddress, info.req.method, info.req.httpVersion)
        return True

    with server(verifyClient=verify, **certificate) as wss:
        wss.on('connection', lambda: None)
        ws = WebSocket(url_of(wss, scheme='wss'), rejectUnauthorized=False)
        wait_for(ws, 'open')
        assert told.get() == (True, '127.0.0.1', 'GET', '1.1')
        end(ws)


class Verifier:
    def by_return(self, info: Any) -> bool:
        return True

    def by_callback(self, info: Any, callback: Callable[..., None]) -> None:
        callback(True)


@pytest.mark.parametrize(
    'verify',
    [
        lambda: True,
        lambda info: 1,
        lambda info, callback=None: callback is None,
        lambda info, callback: callback(True),
        lambda this, info: isinstance(this, WebSocketServer) and info.req is not None,
        lambda this, info, callback: callback(isinstance(this, WebSocketServer)),
        lambda *args: len(args) == 1,
        Verifier().by_return,
        Verifier().by_callback,
        functools.partial(lambda ok, info, callback: callback(ok), True),
    ],
)
def test_verify_client_in_both_forms(verify: Any) -> None:
    """Items 116, 121 and 122: two parameters, not counting `this` and those with defaults, make it asynchronous."""
    with server(verifyClient=verify) as wss:
        wss.on('connection', lambda: None)
        assert is_accepted(wss)


@pytest.mark.parametrize('nothing', [False, None, 0, ''])
def test_what_is_not_true_refuses(nothing: Any) -> None:
    for verify in (lambda info: nothing, lambda info, callback: callback(nothing), lambda info, callback: callback()):
        with server(verifyClient=verify) as wss:
            nobody_connects(wss)
            assert answer(wss).startswith(b'HTTP/1.1 401 Unauthorized\r\n')


@pytest.mark.parametrize(
    ('args', 'start', 'rest'),
    [
        ((), b'HTTP/1.1 401 Unauthorized\r\n', b'\r\n\r\nUnauthorized'),
        ((403,), b'HTTP/1.1 403 Forbidden\r\n', b'\r\n\r\nForbidden'),
        ((None, 'Who are you?'), b'HTTP/1.1 401 Who are you?\r\n', b'\r\n\r\nWho are you?'),
        ((0, ''), b'HTTP/1.1 401 Unauthorized\r\n', b'\r\n\r\nUnauthorized'),
        ((429, 'Slow down', {'Retry-After': 5}), b'HTTP/1.1 429 Slow down\r\n', b'\r\nRetry-After: 5\r\n'),
        ((599,), b'HTTP/1.1 599 \r\n', b''),
        ((401, None, {'Content-Type': 'text/html'}), b'HTTP/1.1 401 ', b'\r\nContent-Type: text/html\r\n'),
        ((302, 'Moved', {'Location': '/there', 'X': 'caf\xe9'}), b'HTTP/1.1 302 Moved\r\n', b'\r\nX: caf\xe9\r\n'),
    ],
)
def test_a_refusal_as_verify_client_wants_it(args: Any, start: bytes, rest: bytes) -> None:
    with server(verifyClient=lambda info, callback: callback(False, *args)) as wss:
        nobody_connects(wss)
        seen = answer(wss)
        assert seen.startswith(start)
        assert rest in seen
        assert seen.count(b'\r\nContent-Type: ') == seen.count(b'\r\nConnection: close\r\n') == 1


class Strange(dict[str, str]):
    def items(self) -> Any:
        raise KeyError('no items')


@pytest.mark.parametrize(
    'args',
    [
        (200.5,),
        ('401',),
        (True,),
        (101,),
        (99,),
        (600,),
        (-1,),
        (10**20,),
        (float('nan'),),
        ([],),
        (401, 'a\r\nX-Injected: b'),
        (401, 'a\nb'),
        (401, 'a\0b'),
        (401, 'snow \u2603'),
        (401, 5),
        (401, b'bytes'),
        (401, 'x', {'X': 'a\r\nX-Injected: b'}),
        (401, 'x', {'X\r\nX-Injected': 'b'}),
        (401, 'x', {'X: y\r\nZ': 'b'}),
        (401, 'x', {'X: Y': 'z'}),
        (401, 'x', {'': 'z'}),
        (401, 'x', {5: 'z'}),
        (401, 'x', {'X': None}),
        (401, 'x', {'X': b'bytes'}),
        (401, 'x', Strange()),
        (401, 'x', ['X: y']),
        (401, 'x', 'X: y'),
        (401, 'x', 5),
    ],
)
@pytest.mark.parametrize('late', [False, True])
def test_a_refusal_that_cannot_be_written(args: Any, late: bool, reported: list[BaseException]) -> None:
    """Status 500, reported once, nothing injected."""
    verify = Later()
    with server(verifyClient=verify if late else lambda info, callback: callback(False, *args)) as wss:
        nobody_connects(wss)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            if late:
                verify.get()(False, *args)
            seen = read_all(sock)
        assert seen.startswith(b'HTTP/1.1 500 Internal Server Error\r\n')
        assert b'njected' not in seen
        assert isinstance(reported.pop(), (TypeError, ValueError, KeyError))
        assert not reported


def fail(*args: Any) -> None:
    raise LookupError('of verifyClient')


@pytest.mark.parametrize('verify', [lambda info: fail(), lambda info, callback: fail()])
def test_a_verify_client_that_raises(verify: Any, reported: list[BaseException]) -> None:
    """Whoever might have been refused is."""
    with server(verifyClient=verify) as wss:
        nobody_connects(wss)
        seen = answer(wss)
        assert seen.startswith(b'HTTP/1.1 500 Internal Server Error\r\n')
        assert b'of verifyClient' not in seen
        assert isinstance(reported.pop(), LookupError)


@pytest.mark.loop
@pytest.mark.parametrize('ok', [True, False])
def test_a_verify_client_that_raises_after_its_answer(ok: bool, reported: list[BaseException]) -> None:
    """The answer stands."""
    with server(verifyClient=lambda info, callback: (callback(ok), fail())) as wss:
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            assert read_head(sock).startswith(b'HTTP/1.1 101 ' if ok else b'HTTP/1.1 401 ')
            assert isinstance(reported.pop(), LookupError)


@pytest.mark.parametrize('answers', [(True, False), (False, True), (True, True), (False, False)])
@pytest.mark.parametrize('late', [False, True])
def test_the_first_answer_counts(answers: tuple[bool, bool], late: bool) -> None:
    verify = Later()
    with server(verifyClient=verify if late else lambda info, cb: (cb(answers[0]), cb(answers[1]))) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            if late:
                callback = verify.get()
                for ok in answers:
                    callback(ok)
            assert read_head(sock).startswith(b'HTTP/1.1 101 ' if answers[0] else b'HTTP/1.1 401 ')
            if answers[0]:
                connected.get()
                sock.sendall(text_frame(b'x'))
            assert connected.nothing(0.02)


@pytest.mark.loop
def test_an_answer_from_another_thread() -> None:
    verify = Later()
    with server(verifyClient=verify) as wss:
        connected = Waiter()
        wss.on('connection', lambda: connected(threading.current_thread().name))
        ws = client(wss)
        callback = verify.get()
        thread = threading.Thread(target=callback, args=[True])
        thread.start()
        assert connected.get() == ('ws',)
        wait_for(ws, 'open')
        thread.join()
        end(ws)


def test_a_verify_client_that_never_answers() -> None:
    verify = Later()
    with server(verifyClient=verify, handshakeTimeout=100) as wss:
        nobody_connects(wss)
        assert answer(wss).startswith(b'HTTP/1.1 408 ')
        verify.get()(True)
        verify_thread_is_done(wss)
        assert not wss._openings and not wss.clients


def verify_thread_is_done(wss: WebSocketServer) -> None:
    """What was handed to the loop before has been done."""
    on_loop(wss, lambda: None)


@pytest.mark.parametrize('how', ['closes', 'half-closes', 'resets'])
@pytest.mark.parametrize('answer_from', ['loop', 'thread'])
def test_an_answer_after_the_client_has_left(how: str, answer_from: str) -> None:
    verify = Later()
    with server(verifyClient=verify) as wss:
        nobody_connects(wss)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            callback = verify.get()
            if how == 'half-closes':
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == b''
            elif how == 'resets':
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        until(lambda: not wss._openings)
        if answer_from == 'loop':
            on_loop(wss, lambda: callback(True))
        else:
            callback(True)
        verify_thread_is_done(wss)
        assert wss.clients == []


def test_an_answer_after_the_server_has_closed() -> None:
    verify = Later()
    wss = WebSocketServer(port=0, host='127.0.0.1', verifyClient=verify)
    nobody_connects(wss)
    with raw_connection(wss) as sock:
        sock.sendall(REQUEST)
        callback = verify.get()
        closed = Waiter()
        wss.close(closed)
        assert closed.get() == ()
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')
        callback(True)
        verify_thread_is_done(wss)
    assert wss.clients == []


@pytest.mark.parametrize('option', ['verifyClient', 'handleProtocols'])
def test_functions_that_close_the_server(option: str) -> None:
    closed = Waiter()
    wss = WebSocketServer(port=0, host='127.0.0.1', **{option: lambda _: wss.close(closed) or 'x'})  # type: ignore[func-returns-value]
    nobody_connects(wss)
    wss.on('headers', lambda: pytest.fail('the answer is not even made'))
    with raw_connection(wss) as sock:
        sock.sendall(REQUEST)
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')
    assert closed.get() == ()


def test_a_verify_client_that_cuts_the_client_off() -> None:
    with server(verifyClient=lambda info: info.req.connection.destroy() or True) as wss:
        nobody_connects(wss)
        assert answer(wss) == b''
        assert not wss.clients


def test_one_that_waits_holds_up_nobody() -> None:
    verify = Later()
    with server(verifyClient=verify) as wss:
        wss.on('connection', lambda: None)
        clients = [client(wss) for _ in range(3)]
        callbacks = [verify.get() for _ in clients]
        opened = Waiter()
        for number, ws in enumerate(clients):
            ws.on('open', lambda number=number: opened(number))
        callbacks[1](True)
        opened.get()
        callbacks[2](True)
        opened.get()
        assert opened.nothing(0.02)
        callbacks[0](True)
        opened.get()
        for ws in clients:
            end(ws)


@pytest.mark.parametrize('option', ['verifyClient', 'handleProtocols'])
def test_what_is_no_function(option: str) -> None:
    with pytest.raises(TypeError, match=f'{option} must be callable, not str'):
        WebSocketServer({'port': 0, option: 'x'})

    async def answers_a_promise(first: Any) -> bool:
        return False

    with pytest.raises(TypeError, match=f'{option} must not be a coroutine function'):
        WebSocketServer({'port': 0, option: answers_a_promise})


# -- handleProtocols --------------------------------------------------------------------------------------------------


class ByMethod:
    def choose(self, protocols: list[str], request: Request) -> str:
        return by_request(protocols, request)

    __call__ = choose


def by_request(protocols: list[str], request: Request) -> str:
    return protocols[request.url == '/second']


def by_optional_request(protocols: list[str], request: Optional[Request] = None) -> str:
    assert request is not None
    return by_request(protocols, request)


def with_this(this: WebSocketServer, protocols: list[str], request: Request) -> str:
    assert isinstance(this, WebSocketServer)
    return by_request(protocols, request)


@pytest.mark.parametrize(
    'handle',
    [
        by_request,
        by_optional_request,
        with_this,
        lambda protocols, request: by_request(protocols, request),
        ByMethod().choose,
        ByMethod(),
        functools.wraps(by_request)(lambda *args: by_request(*args)),
        functools.partial(by_request),
    ],
)
def test_a_second_parameter_named_request_gets_the_request(handle: Any) -> None:
    """The form of ws 8."""
    with server(handleProtocols=handle) as wss:
        for path, protocol in (('/first', 'a'), ('/second', 'b')):
            ws = WebSocket(url_of(wss, path), ['a', 'b'])
            wait_for(ws, 'open')
            assert ws.protocol == protocol
            end(ws)


def test_with_the_request_it_can_only_return_the_protocol() -> None:
    """None is no protocol then, and not the 501 of a callback that was not called."""
    asked = Waiter()

    def handle(protocols: list[str], request: Request) -> None:
        asked(protocols, request)

    with server(handleProtocols=handle) as wss:
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            sock.sendall(with_header(b'Sec-WebSocket-Protocol: a, b'))
            head = read_head(sock)
        assert head.startswith(b'HTTP/1.1 101 ') and b'Sec-WebSocket-Protocol' not in head
        protocols, request = asked.get()
        assert protocols == ['a', 'b'] and isinstance(request, Request)
    with server(handleProtocols=lambda protocols, request: False) as wss:
        wss.on('connection', lambda: None)
        assert answer(wss).startswith(b'HTTP/1.1 404 ')


def twice(protocols: Any, callback: Callable[..., None]) -> None:
    callback(True, 'a')
    callback(False)


@pytest.mark.parametrize(
    ('handle', 'offered', 'chosen'),
    [
        (lambda protocols, callback: callback(True, protocols[-1]), 'a, b,c', 'c'),
        (lambda protocols: protocols[1], 'a, b', 'b'),
        (lambda protocols, callback: protocols[1], 'a, b', 'b'),  # ws 8: its second one is the request
        (lambda protocols, callback=None: protocols[1], 'a, b', 'b'),
        (lambda this, protocols: protocols[1] if isinstance(this, WebSocketServer) else False, 'a, b', 'b'),
        (lambda this, protocols, callback: callback(isinstance(this, WebSocketServer), 'b'), 'a, b', 'b'),
        (lambda protocols, callback: callback(True), 'a', None),
        (lambda protocols, callback: callback(True, ''), 'a', None),
        (lambda protocols, callback: callback(True, None), 'a', None),
        (lambda protocols: None, 'a', None),
        (lambda protocols: '', 'a', None),
        (lambda protocols: repr(protocols) == "['']" and '', None, None),
        (twice, 'a', 'a'),
    ],
)
def test_handle_protocols(handle: Any, offered: Optional[str], chosen: Optional[str]) -> None:
    """Items 125 to 127 and 129."""
    with server(handleProtocols=handle) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        request = REQUEST if offered is None else with_header(f'Sec-WebSocket-Protocol: {offered}'.encode())
        with raw_connection(wss) as sock:
            sock.sendall(request)
            head = read_head(sock)
        assert connected.get()[0].protocol == chosen
        lines = [line for line in head.decode().split('\r\n') if line.startswith('Sec-WebSocket-Protocol')]
        assert lines == ([f'Sec-WebSocket-Protocol: {chosen}'] if chosen else [])


@pytest.mark.parametrize(
    ('handle', 'status'),
    [
        (lambda protocols, callback: callback(False), b'404 '),  # item 126
        (lambda protocols, callback: callback(False, 'a'), b'404 '),
        (lambda protocols, callback: callback(), b'404 '),
        (lambda protocols: False, b'404 '),
        (lambda protocols, callback: None, b'501 '),  # item 128
    ],
)
def test_handle_protocols_refuses(handle: Any, status: bytes) -> None:
    with server(handleProtocols=handle) as wss:
        nobody_connects(wss)
        assert answer(wss, with_header(b'Sec-WebSocket-Protocol: a')).startswith(b'HTTP/1.1 ' + status)


@pytest.mark.parametrize(
    'handle',
    [
        fail,
        lambda protocols: 'a b',
        lambda protocols: 'a\r\nX-Injected: b',
        lambda protocols: True,
        lambda protocols: 5,
        lambda protocols: ['a'],
        lambda protocols, callback: callback(True, 'caf\xe9'),
        lambda protocols, callback: callback(True, ['a']),
    ],
)
def test_a_handle_protocols_that_fails(handle: Any, reported: list[BaseException]) -> None:
    with server(handleProtocols=handle) as wss:
        nobody_connects(wss)
        seen = answer(wss, with_header(b'Sec-WebSocket-Protocol: a'))
        assert seen.startswith(b'HTTP/1.1 500 ')
        assert b'njected' not in seen
        assert isinstance(reported.pop(), (TypeError, ValueError, LookupError))
        assert not reported


def test_a_callback_of_handle_protocols_that_comes_late_does_nothing() -> None:
    late = Waiter()
    with server(handleProtocols=lambda protocols, callback: late(callback)) as wss:
        nobody_connects(wss)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            callback = late.get()[0]
            callback(True, 'a')
            assert read_all(sock).startswith(b'HTTP/1.1 501 Not Implemented\r\n')
        callback(True, 'a')
        verify_thread_is_done(wss)
        assert not wss.clients


# -- what the client sends ahead --------------------------------------------------------------------------------------


def talk_of(total: int) -> tuple[bytes, list[str]]:
    texts = [f'{number} '.ljust(1000, 'x') for number in range(total)]
    return b''.join(text_frame(text.encode()) for text in texts), texts


def connects(wss: WebSocketServer, certificate: dict[str, bytes]) -> Any:
    if not certificate:
        return raw_connection(wss)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    @contextlib.contextmanager
    def connection() -> Iterator[ssl.SSLSocket]:
        with raw_connection(wss) as plain, context.wrap_socket(plain) as sock:
            yield sock

    return connection()


@pytest.mark.parametrize('secure', [False, True])
@pytest.mark.parametrize('total', [1, 50, 400])
def test_what_is_sent_ahead_is_not_lost(total: int, secure: bool, certificate: dict[str, bytes]) -> None:
    """In order, also beyond the limit at which reading is paused, and what TLS has decrypted by then."""
    verify = Later()
    options = certificate if secure else {}
    with server(verifyClient=verify, **options) as wss:
        messages = Waiter()
        wss.on('connection', lambda ws: ws.on('message', messages))
        frames, texts = talk_of(total)
        with connects(wss, options) as sock:
            sender = threading.Thread(target=sock.sendall, args=[REQUEST + frames + text_frame(b'last')])
            sender.start()
            callback = verify.get()
            opening = next(iter(wss._openings))
            if total > 65:
                until(lambda: len(opening._rest) >= 65536)
                verify_thread_is_done(wss)
                assert len(opening._rest) < 65536 + READ_SIZE and not opening.stream._reading
            callback(True)
            assert [messages.get()[0] for _ in range(total + 1)] == [*texts, 'last']
            sender.join()


@pytest.mark.loop
@pytest.mark.parametrize('secure', [False, True])
@pytest.mark.parametrize('more', [b'two', b''])
def test_what_was_sent_ahead_comes_before_what_comes_after(
    more: bytes, secure: bool, certificate: dict[str, bytes]
) -> None:
    """Wherever in a turn of the loop the answer is given, and however soon the client ends."""
    verify = Later()
    options = certificate if secure else {}
    with server(verifyClient=verify, **options) as wss:
        log = Waiter()
        wss.on('connection', lambda ws: (ws.on('message', log), ws.on('close', lambda: log('closed'))))
        answered, sent = threading.Event(), threading.Event()
        with connects(wss, options) as sock:
            sock.sendall(REQUEST + text_frame(b'one'))
            callback = verify.get()
            opening = next(iter(wss._openings))
            until(lambda: opening._rest)
            # What the server defers in there is done in the next turn, which begins with what the client does now.
            steps = [lambda: callback(True), answered.set, lambda: sent.wait(TIMEOUT)]
            on_loop(wss, lambda: [wss._loop.defer(step) for step in steps])
            assert answered.wait(TIMEOUT)
            if more:
                sock.sendall(text_frame(more))
            else:
                socket.socket.shutdown(sock, socket.SHUT_WR)
            sent.set()
            texts = ['one', 'two'] if more else ['one', 'closed']
            assert [log.get()[0] for _ in texts] == texts
        if more:
            assert log.get() == ('closed',)


# -- handleUpgrade ----------------------------------------------------------------------------------------------------


def parsed(path: str = '/', line: bytes = b'X: y') -> Request:
    request = RequestParser().feed(with_header(line).replace(b' / ', f' {path} '.encode()))
    assert request is not None
    return request


ENVIRON = {
    'REQUEST_METHOD': 'GET',
    'PATH_INFO': '/',
    'SERVER_PROTOCOL': 'HTTP/1.1',
    'HTTP_HOST': 'localhost',
    'HTTP_UPGRADE': 'websocket',
    'HTTP_CONNECTION': 'Upgrade',
    'HTTP_SEC_WEBSOCKET_VERSION': '13',
    'HTTP_SEC_WEBSOCKET_KEY': 'dGhlIHNhbXBsZSBub25jZQ==',
}


@contextlib.contextmanager
def pair(kind: str, certificate: dict[str, bytes], folder: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket, and the other end: 'plain', 'unix' or 'tls'."""
    if kind == 'unix':
        here, there = socket.socketpair()
        here.settimeout(TIMEOUT)
        with here, there:
            yield here, there
        return
    with socket.create_server(('127.0.0.1', 0)) as listener:
        here = socket.create_connection(listener.getsockname(), timeout=TIMEOUT)
        there = listener.accept()[0]
    with here, there:
        if kind == 'plain':
            yield here, there
            return
        (folder / 'pem').write_bytes(certificate['key'] + certificate['cert'])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / 'pem')
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        accepted: list[ssl.SSLSocket] = []
        thread = threading.Thread(target=lambda: accepted.append(context.wrap_socket(there, server_side=True)))
        thread.start()
        with trusting.wrap_socket(here) as wrapped:
            thread.join()
            # The other end is nobody's to close but the server's: whether it does is what is tested.
            yield wrapped, accepted[0]


each_kind = pytest.mark.parametrize('kind', ['plain', 'unix', 'tls'])


@pytest.mark.loop
@each_kind
@pytest.mark.parametrize('thread', ['loop', 'other'])
def test_handle_upgrade(kind: str, thread: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    """Item 111. From any thread; what was read beyond the request comes first, and at the end the socket is closed."""
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        nobody_connects(wss)
        connected, messages = Waiter(), Waiter()

        def on_connected(ws: WebSocket, request: Request) -> None:
            ws.on('message', lambda message, flags: (messages(message), ws.send(message)))
            connected(ws, request, threading.current_thread().name)

        here.sendall(text_frame(b'two'))
        upgrade = functools.partial(wss.handleUpgrade, parsed('/chat'), there, text_frame(b'one'), on_connected)
        if thread == 'loop':
            on_loop(wss, upgrade)
        else:
            upgrade()
        ws, request, name = connected.get()
        assert name == 'ws' and request is ws.upgradeReq and request.connection is ws._socket
        assert (request.url, wss.clients) == ('/chat', [ws])
        assert read_head(here).startswith(b'HTTP/1.1 101 ')
        assert [messages.get()[0], messages.get()[0]] == ['one', 'two']
        assert ws.bytesReceived == 18
        end(ws)
        assert read_all(here) == b'\x81\x03one\x81\x03two'
        assert there.fileno() == -1
        assert wss.clients == []


@each_kind
def test_a_socket_is_taken_once(kind: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        connected = Waiter()
        wss.handleUpgrade(parsed(), there, b'', connected)
        with pytest.raises(ValueError, match='was called more than once with the same socket'):
            wss.handleUpgrade(parsed(), there, b'', connected)
        ws = connected.get()[0]
        assert read_head(here).startswith(b'HTTP/1.1 101 ')
        ws.send('still there')
        assert here.recv(100) == b'\x81\x0bstill there'
        end(ws)
        assert connected.nothing(0)


@each_kind
@pytest.mark.parametrize(
    ('request_', 'head', 'callback', 'error', 'text'),
    [
        (None, b'', print, TypeError, 'WSGI environ'),
        (parsed(), 'text', print, TypeError, 'head'),
        (parsed(), 5, print, TypeError, 'head'),
        (parsed(), b'', 5, TypeError, 'callback'),
        (parsed(), b'', 'x', TypeError, 'callback'),
    ],
)
def test_wrong_arguments_leave_the_socket_alone(
    request_: Any, head: Any, callback: Any, error: Any, text: str, kind: str, certificate: Any, tmp_path: Path
) -> None:
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        with pytest.raises(error, match=text):
            wss.handleUpgrade(request_, there, head, callback)
        there.sendall(b'unharmed')
        assert here.recv(100) == b'unharmed'
        there.close()
        assert here.recv(100) == b''


@pytest.mark.parametrize('junk', [None, 'x', 5, object()])
def test_what_is_no_socket(junk: Any) -> None:
    with no_server() as wss, pytest.raises(TypeError, match='must be a socket, not'):
        wss.handleUpgrade(parsed(), junk, b'', print)


def test_a_closed_socket() -> None:
    sock = socket.socket()
    sock.close()
    with no_server() as wss, pytest.raises(ValueError, match='closed'):
        wss.handleUpgrade(parsed(), sock, b'', print)


@each_kind
@pytest.mark.parametrize('how', ['end', 'reset'])
def test_a_client_that_is_gone(kind: str, how: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    """As in ws 8, nobody is told of it."""
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        nobody_connects(wss)
        if how == 'reset' and kind != 'unix':
            here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        here.close()
        wss.handleUpgrade(parsed(), there, None, lambda ws: pytest.fail('connected'))
        assert there.fileno() == -1
        on_loop(wss, lambda: None)


def test_a_client_that_has_sent_something_and_gone(tmp_path: Path) -> None:
    """What it sent counts."""
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        here.sendall(text_frame(b'last words'))
        here.close()
        log = Waiter()
        wss.handleUpgrade(parsed(), there, None, lambda ws: (ws.on('message', log), ws.on('close', log)))
        assert log.get()[0] == 'last words'
        assert log.get() == (1006, '')


@each_kind
def test_a_request_that_is_malformed_is_answered(kind: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        nobody_connects(wss)
        environ = {**ENVIRON, 'HTTP_X': 'a\r\nEvil: b'}
        wss.handleUpgrade(environ, there, b'', lambda ws: pytest.fail('connected'))
        answer = read_all(here)
        assert answer.startswith(b'HTTP/1.1 400 Bad Request\r\n')
        assert answer.endswith(b'invalid character in request')
        here.close()
        until(lambda: not wss._openings)


@each_kind
@pytest.mark.parametrize('state', ['closing', 'closed', 'on the way'])
def test_handle_upgrade_on_a_closed_server(
    kind: str, state: str, certificate: dict[str, bytes], tmp_path: Path
) -> None:
    wss = WebSocketServer(noServer=True)
    closed = Waiter()
    with pair(kind, certificate, tmp_path) as (here, there):
        upgrade = functools.partial(wss.handleUpgrade, parsed(), there, b'', lambda ws: pytest.fail('connected'))
        if state == 'on the way':
            on_loop(
                wss,
                lambda: (threading.Thread(target=upgrade).start(), until(lambda: wss._loop._inbox), wss.close(closed)),
            )
        else:
            wss.close(closed)
            if state == 'closed':
                closed.get()
            upgrade()
        assert read_all(here).startswith(b'HTTP/1.1 503 Service Unavailable\r\n')
        until(lambda: there.fileno() == -1)
    if state != 'closed':
        closed.get()


def test_a_client_that_reads_nothing_does_not_hold_up_a_closed_server(tmp_path: Path) -> None:
    wss = WebSocketServer(noServer=True)
    wait_for_end(wss)
    with pair('plain', {}, tmp_path) as (_here, there):
        there.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                there.send(bytes(65536))
        wss.handleUpgrade(parsed(), there, b'', print)


def test_handle_upgrade_refuses_as_the_server_does(tmp_path: Path) -> None:
    verify = Later()
    for options, request, status in (
        ({'path': '/chat'}, parsed('/other'), b'400 '),
        ({}, RequestParser().feed(REQUEST.replace(b'websocket', b'h2c')), b'400 '),
        ({'verifyClient': lambda: False}, parsed(), b'401 '),
        ({'verifyClient': verify, 'handshakeTimeout': 50}, parsed(), b'408 '),
        ({'handleProtocols': lambda: False}, parsed(), b'404 '),
    ):
        with no_server(**options) as wss, pair('plain', {}, tmp_path) as (here, there):
            wss.handleUpgrade(request, there, b'', lambda: pytest.fail('connected'))
            assert read_all(here).startswith(b'HTTP/1.1 ' + status)
            here.close()
            until(lambda wss=wss: not wss._openings)


def test_a_callback_that_raises_closes_its_connection(tmp_path: Path, reported: list[BaseException]) -> None:
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        wss.handleUpgrade(parsed(), there, b'', fail)
        read_head(here)
        assert here.recv(100) == b'\x88\x02\x03\xf3'
        assert isinstance(reported.pop(), LookupError)


def test_the_headers_event_of_handle_upgrade(tmp_path: Path) -> None:
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        wss.on('headers', lambda this, lines, request: lines.append(f'X: {request.url} {this is wss}'))
        wss.handleUpgrade(parsed('/p'), there, b'', lambda: None)
        assert b'\r\nX: /p True\r\n' in read_head(here)


def test_the_environ_of_a_server_we_do_not_know(tmp_path: Path) -> None:
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        connected = Waiter()
        wss.handleUpgrade({**ENVIRON, 'QUERY_STRING': 'a=1', 'HTTP_ORIGIN': 'o'}, there, b'', connected)
        assert read_head(here).startswith(b'HTTP/1.1 101 ')
        request = connected.get()[1]
        assert (request.url, request.headers['Origin'], request.connection.encrypted) == ('/?a=1', 'o', False)


def test_a_handler_that_hands_over_by_itself() -> None:
    """Also one that keeps connections alive, without a word in its log."""
    connected = Waiter()
    with no_server() as wss:

        class Handler(Pages):
            def do_GET(self) -> None:
                if self.headers['Upgrade'] is None:
                    super().do_GET()
                else:
                    wss.handleUpgrade(self, self.connection, b'', connected)

        with serving(HTTPServer(LOCAL, Handler)) as site:
            with site.connection() as sock:
                sock.sendall(HANDSHAKE % b'/chat')
                ws, request = connected.get()
                assert request.url == '/chat'
                assert read_head(sock).startswith(b'HTTP/1.1 101 ')
                assert site.has_page('/page')
                ws.send('hello')
                assert sock.recv(100) == b'\x81\x05hello'
            assert site.errors.nothing(0)


@contextlib.contextmanager
def handing_over(hand_over: Callable[[Any], object]) -> Iterator[Any]:
    """A site whose handler keeps connections alive, and calls `hand_over` with itself for a WebSocket."""

    class Handler(Pages):
        def do_GET(self) -> None:
            if self.headers['Upgrade'] is None:
                super().do_GET()
            else:
                hand_over(self)

    with serving(HTTPServer(LOCAL, Handler)) as site:
        yield site
        assert site.errors.nothing(0)


@pytest.mark.parametrize('form', ['with its socket', 'without'])
def test_what_a_handler_has_read_ahead_is_not_lost(form: str) -> None:
    connected, messages = Waiter(), Waiter()

    def on_connected(ws: WebSocket) -> None:
        ws.on('message', messages)
        connected(ws)

    def hand_over(handler: Any) -> None:
        if form == 'without':
            wss.handleUpgrade(handler, on_connected)
        else:
            wss.handleUpgrade(handler, handler.connection, b'', on_connected)

    with no_server() as wss, handing_over(hand_over) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/' + text_frame(b'one') + text_frame(b'two') + text_frame(b'three')[:4])
        connected.get()
        assert site.has_page('/page')  # the handler has let go of it
        sock.sendall(text_frame(b'three')[4:])
        assert [messages.get()[0] for _ in range(3)] == ['one', 'two', 'three']


def test_what_was_read_already_comes_before_what_a_handler_has_read_ahead() -> None:
    messages = Waiter()

    def hand_over(handler: Any) -> None:
        head = handler.rfile.read(len(text_frame(b'one')))
        wss.handleUpgrade(handler, None, head, lambda ws: ws.on('message', messages))

    with no_server() as wss, handing_over(hand_over) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/' + text_frame(b'one') + text_frame(b'two'))
        assert [messages.get()[0] for _ in range(2)] == ['one', 'two']


def test_a_malformed_request_of_a_handler_is_answered() -> None:
    done = Waiter()
    with no_server() as wss, handing_over(lambda handler: done(wss.handleUpgrade(handler))) as site:
        nobody_connects(wss)
        with site.connection() as sock:
            sock.sendall(with_header(b'no header line'))
            assert read_all(sock).startswith(b'HTTP/1.1 400 Bad Request\r\n')
        assert done.get() == (None,)


def test_without_a_callback_it_is_the_connection_event() -> None:
    """As for every connection, late listeners lose nothing."""
    with no_server() as wss, handing_over(wss.handleUpgrade) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/chat' + text_frame(b'early'))
        until(lambda: wss._admission.waiting)
        connected, messages = Waiter(), Waiter()
        wss.on('connection/chat', lambda ws: connected('first', ws))
        wss.on('connection', lambda ws, request: (connected('then', ws, request.url), ws.on('message', messages)))
        first, then = connected.get(), connected.get()
        assert (first[0], then[0], then[2]) == ('first', 'then', '/chat')
        assert first[1] is then[1]
        assert messages.get()[0] == 'early'


def test_a_request_needs_its_socket() -> None:
    with no_server() as wss, pytest.raises(TypeError, match='socket must be a socket, not NoneType'):
        wss.handleUpgrade(parsed())


def test_close_of_a_server_without_a_port(tmp_path: Path) -> None:
    wss = WebSocketServer(noServer=True, path='/')
    log = Log(wss, 'listening', 'close')
    with pair('plain', {}, tmp_path) as (here, there):
        connected = Waiter()
        wss.handleUpgrade(parsed(), there, b'', connected)
        connected.get()
        read_head(here)
        wss.close(3000, 'done')
        assert here.recv(100) == b'\x88\x06\x0b\xb8done'
        here.sendall(b'\x88\x86\0\0\0\0\x0b\xb8done')
        assert here.recv(100) == b''
    assert log.get() == ('close',)
