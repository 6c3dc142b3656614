"""What becomes of a request: handleProtocols."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Optional

import pytest
from server.upgrade.requests import REQUEST, answer, fail, nobody_connects, verify_thread_is_done, with_header
from support import Waiter, end, raw_connection, read_all, read_head, server, url_of, wait_for

from ws import WebSocket, WebSocketServer
from ws.protocol.http import Request


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
