"""What becomes of a request: verifyClient."""

from __future__ import annotations

import functools
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Optional

import pytest
from server.upgrade.requests import (
    REQUEST,
    Later,
    answer,
    fail,
    nobody_connects,
    text_frame,
    verify_thread_is_done,
    with_header,
)
from support import Waiter, client, end, on_loop, raw_connection, read_all, read_head, server, until, url_of, wait_for

from ws import WebSocket, WebSocketServer


def is_accepted(wss: WebSocketServer, request: bytes = REQUEST) -> bool:
    with raw_connection(wss) as sock:
        sock.sendall(request)
        return read_head(sock).startswith(b'HTTP/1.1 101 ')


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
    with server(verifyClient=verify, handshakeTimeout=2000) as wss:
        nobody_connects(wss)
        assert answer(wss).startswith(b'HTTP/1.1 408 ')
        verify.get()(True)
        verify_thread_is_done(wss)
        assert not wss._openings and not wss.clients


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
