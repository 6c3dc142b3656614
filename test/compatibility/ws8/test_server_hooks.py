"""Tests S006, S030, S031, S046 and S057 of ws 8's suite: what a program has its server do in other ways."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support import (
    HANDSHAKE,
    Log,
    Waiter,
    client,
    end,
    no_server,
    raw_client,
    raw_connection,
    read_all,
    server,
    wait_for,
)

from ws import HandshakeError, WebSocket, WebSocketServer
from ws.protocol.http import Request, RequestParser


def request(target: str) -> Request:
    parsed = RequestParser().feed(HANDSHAKE % target.encode())
    assert parsed is not None
    return parsed


# -- a class of one's own ---------------------------------------------------------------------------------------------


class Counting(WebSocket):
    """One that has an attribute and a method of its own, and listens to itself."""

    def __init__(self, address: Any, protocols: Any = None, options: Any = None) -> None:
        super().__init__(address, protocols, options)
        self.count = 0
        self.on('message', self.heard)

    @property
    def foo(self) -> str:
        return 'foo'

    def heard(self, message: str) -> None:
        self.count += 1
        self.send(f'{message} {self.count}')


def test_s006_connections_are_objects_of_the_class_that_is_given() -> None:
    with server(WebSocket=Counting) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        heard = Log(ws, 'message')
        wait_for(ws, 'open')
        ws.send('x')
        assert heard.get()[1] == 'x 1'
        peer = connected.get()[0]
        assert type(peer) is Counting
        assert peer.foo == 'foo'
        assert peer.upgradeReq.url == '/'
        assert wss.clients == [peer]
        assert peer.options.closeTimeout == 2000
        end(ws)


def test_a_class_that_raises_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no object to close with a code: the client has no answer, and the server none of its connections."""
    reported = Waiter()
    monkeypatch.setattr(threading, 'excepthook', lambda args: reported(str(args.exc_value)))

    class Broken(WebSocket):
        def __init__(self, *args: Any) -> None:
            if args[0][0].url == '/early':
                raise RuntimeError('before')
            super().__init__(*args)
            if args[0][0].url == '/late':
                raise RuntimeError('after')

    with server(WebSocket=Broken) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        for path, text in (('/early', 'before'), ('/late', 'after')):
            with raw_connection(wss) as sock:
                sock.sendall(HANDSHAKE % path.encode())
                assert read_all(sock) == b''
            assert reported.get() == (text,)
            assert wss.clients == []
        with raw_client(wss):
            assert type(connected.get()[0]) is Broken
        assert wss.metrics().connectionsTotal == 1


# -- shouldHandle -----------------------------------------------------------------------------------------------------


def test_s030_a_request_for_the_path_is_for_this_server() -> None:
    with no_server(path='/foo') as wss:
        assert wss.shouldHandle(request('/foo')) is True
        assert wss.shouldHandle(request('/foo?bar=baz')) is True


def test_s031_a_request_for_another_path_is_not() -> None:
    with no_server(path='/foo') as wss:
        assert wss.shouldHandle(request('/bar')) is False


# -- wsClientError ----------------------------------------------------------------------------------------------------


def test_s046_who_listens_answers_what_is_wrong() -> None:
    with server() as wss:
        seen = Waiter()

        def refuse(error: HandshakeError, socket: Any, request: Request) -> None:
            seen(error, request)
            socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')

        wss.on('wsClientError', refuse)
        wss.on('connection', lambda: seen('a connection'))
        with raw_connection(wss) as sock:
            sock.sendall((HANDSHAKE % b'/').replace(b'GET', b'POST'))
            assert read_all(sock) == b'HTTP/1.1 400 Bad Request\r\n\r\n'
        error, request = seen.get()
        assert isinstance(error, HandshakeError) and str(error) == 'Invalid HTTP method'
        assert isinstance(request, Request) and request.method == 'POST'
        assert seen.nothing()


# -- handleProtocols --------------------------------------------------------------------------------------------------


def agreed(handle: Any, *protocols: str) -> Any:
    """What a client of such a server has as its protocol, or the error that it gets."""
    with server(handleProtocols=handle) as wss:
        wss.on('connection', lambda: None)
        ws = WebSocket(f'ws://127.0.0.1:{wss.address().port}/chat', list(protocols))
        seen = Log(ws, 'open', 'error').get()
        end(ws)
        return ws.protocol if seen[0] == 'open' else str(seen[1])


def test_s057_the_server_selects_a_protocol_and_has_the_request() -> None:
    def choose(protocols: Any, request: Any) -> str:
        assert isinstance(request, Request) and request.url == '/chat'
        return list(protocols).pop()

    assert agreed(choose, 'foo', 'bar') == 'bar'


def test_the_request_is_the_third_argument_of_who_takes_a_callback() -> None:
    def choose(protocols: Any, callback: Any, request: Any) -> None:
        callback(request.url == '/chat', protocols[-1])

    assert agreed(choose, 'foo', 'bar') == 'bar'
    assert agreed(lambda protocols, callback, of: callback(of.url == '/other'), 'foo') == (
        'unexpected server response (404)'
    )
    assert agreed(lambda protocols, callback, of: None, 'foo') == 'unexpected server response (501)'


def test_who_takes_two_arguments_has_a_callback_as_second() -> None:
    """As in 0.4.31, whatever its name is, but for `request`."""

    def choose(protocols: Any, cb: Any) -> None:
        cb(True, protocols[0])

    assert agreed(choose, 'foo', 'bar') == 'foo'


def test_a_server_made_by_a_subclass_may_have_another_class_of_its_own() -> None:
    class Server(WebSocketServer):
        def __init__(self, **options: Any) -> None:
            super().__init__({'WebSocket': Counting}, **options)

    wss = Server(port=0, host='127.0.0.1')
    connected = Waiter()
    wss.on('connection', connected)
    ws = client(wss)
    assert type(connected.get()[0]) is Counting
    end(ws)
    closed = Waiter()
    wss.close(closed)
    closed.get()
