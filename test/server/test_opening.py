"""What becomes of requests that are no good: event wsClientError, shouldHandle."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trustme
from support import (
    HANDSHAKE,
    TIMEOUT,
    Waiter,
    client,
    end,
    no_server,
    raw_client,
    raw_connection,
    read_all,
    server,
    until,
)

from ws import HandshakeError, WebSocketServer
from ws.net.face import Socket
from ws.protocol.http import Request, RequestParser

WRONG_KEY = HANDSHAKE.replace(b'dGhl', b'') % b'/chat?room=1'


@pytest.mark.parametrize(
    ('request_', 'text', 'status'),
    [
        (HANDSHAKE.replace(b'GET', b'PUT') % b'/', 'Invalid HTTP method', 405),
        (HANDSHAKE.replace(b'websocket', b'h2c') % b'/', 'Invalid Upgrade header', 400),
        (WRONG_KEY, 'Missing or invalid Sec-WebSocket-Key header', 400),
        (
            HANDSHAKE.replace(b'Version: 13', b'Version: 12') % b'/',
            'Missing or invalid Sec-WebSocket-Version header',
            400,
        ),
        (
            HANDSHAKE.replace(b'Key:', b'Protocol: a,a\r\nSec-WebSocket-Key:') % b'/',
            'Invalid Sec-WebSocket-Protocol header',
            400,
        ),
        (
            HANDSHAKE.replace(b'Key:', b'Extensions: permessage-deflate; a\r\nSec-WebSocket-Key:') % b'/',
            'Invalid or unacceptable Sec-WebSocket-Extensions header',
            400,
        ),
    ],
)
def test_the_program_answers_what_ws_8_lets_it_answer(request_: bytes, text: str, status: int) -> None:
    with server(perMessageDeflate=True) as wss:
        told = Waiter()

        def answer(error: HandshakeError, socket: Socket, request: Request) -> None:
            told(error, socket, request)
            socket.end(f'HTTP/1.1 418 {error}\r\nConnection: close\r\n\r\n')

        wss.on('connection', lambda: pytest.fail('connected'))
        wss.on('wsClientError', answer)
        with raw_connection(wss) as sock:
            sock.sendall(request_)
            assert read_all(sock) == f'HTTP/1.1 418 {text}\r\nConnection: close\r\n\r\n'.encode()
        error, socket, request = told.get()
        assert (type(error), str(error), error.status) == (HandshakeError, text, status)
        assert request.socket is socket and request.url == request_.split()[1].decode()
        assert wss.metrics().refused == {status: 1}


@pytest.mark.parametrize(
    ('request_', 'options', 'status'),
    [
        (HANDSHAKE % b'/other', {'path': '/chat'}, 400),
        (HANDSHAKE % b'/', {'verifyClient': lambda info: False}, 401),
        (HANDSHAKE % b'/', {'handleProtocols': lambda protocols: False}, 404),
        (b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', {}, 426),
        (b'what is this\r\n\r\n', {}, 400),
    ],
)
def test_all_else_is_answered_as_ever(request_: bytes, options: dict[str, Any], status: int) -> None:
    with server(**options) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        wss.on('wsClientError', lambda: pytest.fail('told'))
        with raw_connection(wss) as sock:
            sock.sendall(request_)
            assert read_all(sock).startswith(f'HTTP/1.1 {status} '.encode())
        assert wss.metrics().refused == {status: 1}


def test_who_does_not_answer_has_until_handshakeTimeout() -> None:
    with server(handshakeTimeout=2000) as wss:
        wss.on('connection', print)
        wss.on('wsClientError', lambda: None)
        with raw_connection(wss) as sock:
            sock.sendall(WRONG_KEY)
            assert read_all(sock).startswith(b'HTTP/1.1 408 ')
        assert wss.metrics().refused == {400: 1}  # once


def test_nothing_is_added_to_what_the_program_has_begun() -> None:
    with server(handshakeTimeout=2000) as wss:
        wss.on('connection', print)
        wss.on('wsClientError', lambda error, socket: socket.write('HTTP/1.1 '))
        with raw_connection(wss) as sock:
            sock.sendall(WRONG_KEY)
            assert read_all(sock) == b'HTTP/1.1 '


def test_it_may_answer_later_and_on_another_thread() -> None:
    with server() as wss:
        told = Waiter()
        wss.on('connection', print)
        wss.on('wsClientError', told)
        with raw_connection(wss) as sock:
            sock.sendall(WRONG_KEY)
            told.get()[1].end('later')
            assert read_all(sock) == b'later'


def test_a_listener_that_raises_is_answered_for(reported: list[BaseException]) -> None:
    with server() as wss:
        wss.on('connection', print)
        wss.on('wsClientError', lambda: 1 // 0)
        with raw_connection(wss) as sock:
            sock.sendall(WRONG_KEY)
            assert read_all(sock).startswith(b'HTTP/1.1 500 ')
    assert isinstance(reported.pop(), ZeroDivisionError)


def test_of_what_somebody_else_has_read() -> None:
    with no_server() as wss, server() as site:
        told = Waiter()
        wss.on('wsClientError', lambda error, socket: (told(str(error)), socket.end('mine')))
        connected = Waiter()
        site.on('connection', connected)
        with raw_client(site) as sock:
            taken = connected.get()[0]._stream._sock.dup()
            wss.handleUpgrade(RequestParser().feed(WRONG_KEY), taken, b'')
            assert told.get() == ('Missing or invalid Sec-WebSocket-Key header',)
            assert sock.recv(4) == b'mine'


def test_what_has_failed_already_is_not_refused_as_well() -> None:
    """The server closes in the same turn of the loop in which a TLS handshake fails."""
    issued = trustme.CA().issue_cert('127.0.0.1')
    key, cert = issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()
    with server(key=key, cert=cert) as wss:
        wss.on('connection', print)
        with raw_connection(wss) as sock:
            until(lambda: wss.metrics().handshakes == 1)
            started, ends, closed = threading.Event(), threading.Event(), Waiter()
            wss._loop.call(lambda: (started.set(), ends.wait(TIMEOUT)))
            assert started.wait(TIMEOUT)
            sock.sendall(b'no TLS at all')
            wss.close(closed)
            ends.set()
            closed.get()
        until(lambda: wss.metrics().abandoned == 1)
        assert wss.metrics().refused == {}


# -- shouldHandle -----------------------------------------------------------------------------------------------------


class Rooms(WebSocketServer):
    def shouldHandle(self, request: Request) -> bool:
        return request.path.startswith('/rooms/')


def test_a_subclass_decides_which_requests_are_for_it() -> None:
    wss = Rooms(port=0, host='127.0.0.1')
    connected = Waiter()
    wss.on('connection', lambda ws, request: connected(request.path))
    ws = client(wss, '/rooms/1')
    assert connected.get() == ('/rooms/1',)
    end(ws)
    with raw_connection(wss) as sock:
        sock.sendall(HANDSHAKE % b'/elsewhere')
        assert read_all(sock).startswith(b'HTTP/1.1 400 Bad Request')
    closed = Waiter()
    wss.close(closed)
    closed.get()


def test_it_is_the_path_by_default() -> None:
    with no_server(path='/chat') as wss, no_server() as anywhere:
        request = RequestParser().feed(HANDSHAKE % b'/chat?room=1')
        other = RequestParser().feed(HANDSHAKE % b'/chat/1')
        assert request is not None and other is not None
        assert wss.shouldHandle(request) and not wss.shouldHandle(other)
        assert anywhere.shouldHandle(other)


def test_one_that_raises(reported: list[BaseException]) -> None:
    with server() as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        wss.shouldHandle = lambda request: 1 // 0  # type: ignore[method-assign]
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE % b'/')
            assert read_all(sock).startswith(b'HTTP/1.1 500 ')
    assert isinstance(reported.pop(), ZeroDivisionError)
