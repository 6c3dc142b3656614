"""Test W165 of ws 8's suite: a program has the last word on the request of a client."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support import Log, Waiter, client, end, server, url_of, wait_for

from ws import HandshakeError, WebSocket, WebSocketError
from ws.client.request import ClientRequest
from ws.timers import setTimeout


def test_w165_headers_are_changed_when_there_is_a_connection() -> None:
    with server() as wss:
        seen = Waiter()
        wss.on('connection', lambda ws, request: seen(request.headers.get('cookie'), request.headers.get('x-gone')))
        host = f'127.0.0.1:{wss.address().port}'

        def finish(request: Any, ws: Any) -> None:
            assert isinstance(request, ClientRequest) and isinstance(ws, WebSocket)
            assert request.getHeader('host') == host
            assert request.socket.remotePort == wss.address().port
            assert threading.current_thread().name == 'ws'
            assert not request.headersSent
            request.setHeader('Cookie', f'port={request.socket.localPort}')
            request.removeHeader('X-Gone')
            seen(request.end() is request, request.headersSent, request.socket.localPort)
            request.end()  # changes nothing
            with pytest.raises(WebSocketError):
                request.setHeader('X-Late', '1')

        ws = client(wss, finishRequest=finish, headers={'X-Gone': '1'})
        _, sent, port = seen.get()
        assert sent
        assert seen.get() == (f'port={port}', None)
        wait_for(ws, 'open')
        end(ws)


@pytest.mark.parametrize('where', ['a timer', 'another thread'])
def test_it_may_take_its_time(where: str) -> None:
    with server() as wss:
        seen = Waiter()
        wss.on('connection', lambda ws, request: seen(request.headers['x-token']))

        def finish(this: WebSocket, request: ClientRequest) -> None:
            def later() -> None:
                request.setHeader('X-Token', 'looked up')
                request.end()

            if where == 'a timer':
                setTimeout(later, 1)
            else:
                threading.Thread(target=later).start()

        ws = client(wss, finishRequest=finish)
        assert seen.get() == ('looked up',)
        end(ws)


def test_who_never_ends_it_runs_into_the_deadline() -> None:
    with server() as wss:
        requests = Waiter()
        ws = client(wss, finishRequest=requests, handshakeTimeout=100)
        events = Log(ws).until('close')
        assert str(events[0][1]) == 'Opening handshake has timed out'
        assert events[-1] == ('close', 1006, '')
        requests.get()[0].end()  # too late, and harmless


def test_who_raises_gets_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Waiter()
    monkeypatch.setattr(threading, 'excepthook', lambda args: reported(str(args.exc_value)))

    def finish(request: ClientRequest) -> None:
        request.setHeader('no token', 'x')

    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, finishRequest=finish)
        assert Log(ws).until('close')[-1] == ('close', 1006, '')
        assert 'invalid header name' in reported.get()[0]
        assert connected.nothing()


def test_who_gives_up_is_told_so() -> None:
    with server() as wss:
        ws = client(wss, finishRequest=lambda request: request.destroy())
        events = Log(ws).until('close')
        assert isinstance(events[0][1], HandshakeError)


def test_each_request_of_redirects_is_finished_by_itself() -> None:
    with server() as target, server() as first:
        seen = Waiter()
        target.on('connection', lambda ws, request: seen(request.url, request.headers['x-number']))

        def refuse(error: HandshakeError, socket: Any, request: Any) -> None:
            socket.end(f'HTTP/1.1 302 Found\r\nLocation: {url_of(target, "/there")}\r\n\r\n')

        first.on('wsClientError', refuse)
        first.on('connection', lambda: None)
        numbers = iter(range(9))

        def finish(request: ClientRequest) -> None:
            number = next(numbers)
            request.setHeader('X-Number', str(number))
            if number == 0:
                request.setHeader('Sec-WebSocket-Key', 'none')  # is wrong, so that it is answered by the listener
            request.end()

        ws = client(first, finishRequest=finish, followRedirects=True)
        assert seen.get() == ('/there', '1')
        end(ws)
