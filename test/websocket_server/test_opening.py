"""WebSocketServer: opening handshakes, and requests that are none."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import threading
from typing import Any

import pytest
from support import (
    HANDSHAKE,
    TIMEOUT,
    Log,
    Waiter,
    client,
    echo_server,
    end,
    on_loop,
    raw_client,
    raw_connection,
    read_all,
    read_head,
    server,
    until,
    wait_for,
)

from ws import WebSocket, WebSocketServer, delivery
from ws.timers import setTimeout

# -- opening handshakes -----------------------------------------------------------------------------------------------


def test_connection_events() -> None:
    """Item 100: `connection<url>` comes first; both get the socket and the request."""
    with server() as wss:
        log = Log(wss, 'connection/endpoint?x=1', 'connection')
        ws = client(wss, '/endpoint?x=1')
        first, second = log.get(), log.get()
        assert (first[0], second[0]) == ('connection/endpoint?x=1', 'connection')
        assert first[1] is second[1] and isinstance(first[1], WebSocket)
        assert first[2] is second[2] is first[1].upgradeReq
        end(ws)


def test_a_listener_for_one_path_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not wait for another: here for longer than the test does."""
    monkeypatch.setattr(delivery, 'KEEP_FOR', 60_000)
    with server() as wss:
        log = Log(wss, 'connection/endpoint')
        socket = client(wss, '/endpoint')
        assert log.get()[0] == 'connection/endpoint'
        end(socket)


def test_path() -> None:
    """Only the path counts, not the query; others are answered, not left hanging."""
    with echo_server(path='/chat') as wss:
        assert wss.path == '/chat'
        ws = client(wss, '/chat?room=1')
        wait_for(ws, 'open')
        end(ws)
        for path in ('/', '/chat/', '/chatter', '/CHAT'):
            log = Log(client(wss, path))
            assert str(log.get()[1]) == 'unexpected server response (400)'
            assert log.get() == ('close', 1006, '')


def test_the_headers_event_may_change_the_answer() -> None:
    with server() as wss:
        wss.on('headers', lambda lines, request: lines.append(f'X-Path: {request.url}'))
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE % b'/p')
            head = read_head(sock).decode().split('\r\n')
    assert head[0] == 'HTTP/1.1 101 Switching Protocols'
    assert 'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=' in head  # RFC 6455 section 1.3
    assert 'X-Path: /p' in head


@pytest.mark.parametrize('how', ['close', 'destroy'])
def test_a_headers_listener_may_end_it_all(how: str) -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda: pytest.fail('connected'))
    closed = Waiter()
    if how == 'close':
        wss.on('headers', lambda: wss.close(closed))
    else:
        wss.on('headers', lambda lines, request: request.connection.destroy())
    with raw_connection(wss) as sock:
        sock.sendall(HANDSHAKE % b'/')
        assert b' 101 ' not in read_all(sock)
    if how == 'destroy':
        wss.close(closed)
    assert closed.get() == ()
    assert wss.clients == []


@pytest.mark.parametrize(
    'line', ['X-Evil: a\r\nX-Injected: b', 'X: \0', 5, '', ' folded', '\tX: 1', 'X', 'HTTP/1.1 200 OK']
)
def test_a_headers_listener_can_inject_nothing(line: Any, reported: list[BaseException]) -> None:
    with server() as wss:
        wss.on('headers', lambda lines: lines.append(line))
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE % b'/')
            assert read_head(sock).startswith(b'HTTP/1.1 500 ')
    assert isinstance(reported.pop(), (TypeError, ValueError))


@pytest.mark.parametrize('line', ['', 'X: 1', 'HTTP/1.1 200 OK', 5, None])
def test_a_headers_listener_makes_no_other_response_of_it(line: Any, reported: list[BaseException]) -> None:
    with server() as wss:
        if line is None:
            wss.on('headers', lambda lines: lines.clear())
        else:
            wss.on('headers', lambda lines: lines.__setitem__(0, line))
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE % b'/')
            assert read_all(sock).startswith(b'HTTP/1.1 500 ')
    assert isinstance(reported.pop(), (AttributeError, IndexError, ValueError))


BODIES = [b'Content-Length: 11', b'Transfer-Encoding: chunked', b'Content-Length: 11\r\nTransfer-Encoding: chunked']


@pytest.mark.parametrize('version', [b'13', b'8'])
@pytest.mark.parametrize('body', BODIES)
def test_a_body_is_not_read_as_frames(body: bytes, version: bytes) -> None:
    with server() as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            request = (HANDSHAKE % b'/').replace(b'Version: 13', b'Version: ' + version)
            sock.sendall(request[:-2] + body + b'\r\n\r\n' + b'\x81\x85\0\0\0\0Hello')
            assert read_all(sock).startswith(b'HTTP/1.1 400 ')


@pytest.mark.parametrize(
    ('request_', 'status'),
    [
        (b'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', b'426'),
        ((HANDSHAKE % b'/').replace(b'GET', b'HEAD'), b'405'),
        (b'HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', b'400'),
    ],
)
def test_the_answer_to_head_has_no_body(request_: bytes, status: bytes) -> None:
    with server() as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        for method in (b'HEAD', b'POST'):
            with raw_connection(wss) as sock:
                sock.sendall(request_.replace(b'HEAD', method))
                head, _, body = read_all(sock).partition(b'\r\n\r\n')
            assert head.startswith(b'HTTP/1.1 %b ' % status)
            assert len(body) == (0 if method == b'HEAD' else int(head.partition(b'Content-Length: ')[2].split()[0]))
            if status == b'426':
                assert b'\r\nConnection: close, Upgrade\r\n' in head and b'\r\nConnection: close\r\n' not in head


@pytest.mark.parametrize(
    ('frame', 'text'),
    [
        (b'\x81\x02hi', 'MASK must be set (1002)'),
        (b'\x81\x81\0\0\0\0\xff', 'invalid utf8 sequence (1007)'),
        (b'\x81\xfe\x07\xff', 'Max payload size exceeded (1009)'),
    ],
)
def test_what_a_peer_does_wrong_is_a_line_in_the_log(
    frame: bytes, text: str, caplog: pytest.LogCaptureFixture, reported: list[BaseException]
) -> None:
    """With its address. It is no exception of the program's; that of a listener still is."""
    with server(maxPayload=1000) as wss, caplog.at_level(logging.WARNING, 'ws'):
        closed = Waiter()
        wss.on('connection', lambda ws: ws.on('close', closed))
        with raw_client(wss) as sock:
            address = '{}:{}'.format(*sock.getsockname())
            sock.sendall(frame)
            closed.get()
        [line] = [record.getMessage() for record in caplog.records]
        assert line.startswith(f'<WebSocket from {address} CLOSING>: ') and line.endswith(text)
        assert [(record.name, record.levelname) for record in caplog.records] == [('ws', 'WARNING')]
        assert not reported
        caplog.clear()
        heard = Waiter()
        wss.on('connection', lambda ws: ws.on('error', heard))
        with raw_client(wss) as sock:
            sock.sendall(frame)
            assert heard.get()[1] == int(text[-5:-1])
        assert not caplog.records
        wss.on('connection', lambda ws: ws.on('message', lambda: 1 // 0))
        with raw_client(wss) as sock:
            sock.sendall(b'\x81\x80\0\0\0\0')
            closed.get()
            closed.get()
    assert isinstance(reported.pop(), ZeroDivisionError)


def test_an_empty_line_before_the_request() -> None:
    """RFC 9112 section 2.2."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        with raw_connection(wss) as sock:
            sock.sendall(b'\r\n' + HANDSHAKE % b'/')
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')


@pytest.mark.loop
def test_the_greeting_is_in_the_packet_of_the_101() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE % b'/')
            assert sock.recv(65536).endswith(b'\r\n\r\n\x81\x05hello')


def test_a_frame_in_the_packet_of_the_request() -> None:
    """Item 123, with a masked frame."""
    with server() as wss:
        messages = Waiter()
        wss.on('connection', lambda ws: ws.on('message', messages))
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE % b'/' + b'\x81\x85\0\0\0\0Hello')
            assert messages.get()[0] == 'Hello'


def test_unmasked_frames_if_they_are_allowed() -> None:
    """Item 123, to the letter."""
    with server(allowUnmasked=True) as wss:
        messages = Waiter()
        wss.on('connection', lambda ws: ws.on('message', messages))
        with raw_client(wss) as sock:
            sock.sendall(b'\x81\x05Hello' + b'\x81\x85\0\0\0\0masks')
            assert [messages.get()[0] for _ in range(2)] == ['Hello', 'masks']


def test_a_request_byte_by_byte() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_connection(wss) as sock:
            for byte in HANDSHAKE % b'/slow':
                sock.sendall(bytes([byte]))
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            assert connected.get()[1].url == '/slow'


def handshake_without(name: bytes) -> bytes:
    return re.sub(rb'%b: [^\r]*\r\n' % name, b'', HANDSHAKE % b'/')


def handshake_with(name: bytes, value: bytes) -> bytes:
    return re.sub(rb'%b: [^\r]*' % name, b'%b: %b' % (name, value), HANDSHAKE % b'/')


@pytest.mark.parametrize(
    ('request_head', 'status', 'text'),
    [
        (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 426, b'Upgrade: websocket'),
        ((HANDSHAKE % b'/').replace(b'GET', b'POST'), 405, b'Allow: GET'),
        ((HANDSHAKE % b'/').replace(b'HTTP/1.1', b'HTTP/1.0'), 400, b''),
        ((HANDSHAKE % b'/').replace(b'HTTP/1.1', b'HTTP/2.0'), 505, b''),
        (handshake_without(b'Sec-WebSocket-Key'), 400, b'Sec-WebSocket-Key'),  # item 112
        (handshake_with(b'Sec-WebSocket-Key', b'junk'), 400, b'Sec-WebSocket-Key'),
        (handshake_without(b'Sec-WebSocket-Version'), 400, b'Sec-WebSocket-Version: 13, 8'),  # item 113
        (handshake_with(b'Sec-WebSocket-Version', b'12'), 400, b'Sec-WebSocket-Version: 13, 8'),  # item 114
        (handshake_with(b'Upgrade', b'h2c'), 400, b'Upgrade'),
        (handshake_with(b'Connection', b'close'), 400, b'Connection'),
        (b'\0\1\2\3', 400, b'invalid byte'),
        (b'\x16\x03\x01\x02\x00\x01\x00', 400, b'invalid byte'),
        (b'GET\r\n\r\n', 400, b'request line'),
        (b'GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n', 400, b'header line'),
        (b'GET /' + b'x' * 10_000 + b' HTTP/1.1\r\n\r\n', 414, b''),
        (b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 129 + b'\r\n', 431, b''),
        (b'GET / HTTP/1.1\r\nX: ' + b'y' * 20_000, 431, b''),
    ],
)
def test_a_request_that_is_refused(request_head: bytes, status: int, text: bytes) -> None:
    """A clear status, the connection ended, nobody connected, others unharmed."""
    with echo_server() as wss:
        connected = Waiter()
        other = client(wss)
        other_log = Log(other)
        other_log.until('open')
        other.send('served')
        assert other_log.get()[1] == 'served'
        wss.on('connection', connected)
        with raw_connection(wss) as sock:
            sock.sendall(request_head)
            answer = read_all(sock)
        assert answer.startswith(b'HTTP/1.1 %d ' % status)
        assert re.search(rb'\r\nConnection: close(, Upgrade)?\r\n', answer)
        assert text in answer
        other.send('unharmed')
        assert other_log.get()[1] == 'unharmed'
        assert connected.nothing(0.02)
        end(other)


def test_a_browser_that_opens_the_port_gets_an_answer() -> None:
    with server() as wss:
        wss.on('connection', lambda: None)
        connection = http.client.HTTPConnection('127.0.0.1', wss.address().port, timeout=TIMEOUT)  # type: ignore[union-attr]
        connection.request('GET', '/')
        response = connection.getresponse()
        assert (response.status, response.read()) == (426, b'Upgrade Required')
        connection.close()


def test_a_client_that_says_nothing_is_dropped() -> None:
    with server(handshakeTimeout=100) as wss:
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            assert read_all(sock).startswith(b'HTTP/1.1 408 ')
        with raw_connection(wss) as sock:
            sock.sendall(b'GET / HT')
            assert read_all(sock).startswith(b'HTTP/1.1 408 ')


@pytest.mark.loop
def test_requests_that_came_during_a_stall_are_in_time() -> None:
    """A listener that holds up the loop for longer than that does not make the clients late."""
    with server(handshakeTimeout=3000) as wss, contextlib.ExitStack() as stack:
        connected = Waiter()
        wss.on('connection', connected)
        socks = [stack.enter_context(raw_connection(wss)) for _ in range(100)]
        until(lambda: len(wss._openings) == len(socks))
        released, held = threading.Event(), threading.Event()
        wss._loop.call(lambda: (held.set(), released.wait(TIMEOUT)))
        assert held.wait(TIMEOUT)
        for sock in socks:
            sock.sendall(HANDSHAKE % b'/')
        assert not threading.Event().wait(3.2)  # all of them are overdue now, by the clock
        released.set()
        for sock in socks:
            assert sock.recv(64).startswith(b'HTTP/1.1 101 ')
        for _ in socks:
            connected.get()


@pytest.mark.loop
def test_a_heartbeat_after_a_stall_ends_nobody_who_has_answered() -> None:
    with server() as wss, contextlib.ExitStack() as stack:
        answered: set[WebSocket] = set()
        connected, looked = Waiter(), Waiter()
        wss.on('connection', lambda ws: (ws.on('pong', lambda: answered.add(ws)), connected()))
        socks = [stack.enter_context(raw_client(wss)) for _ in range(100)]
        for _ in socks:
            connected.get()
        released, held = threading.Event(), threading.Event()

        def stall() -> None:
            setTimeout(lambda: looked(len(answered)), 50)
            held.set()
            released.wait(TIMEOUT)

        wss._loop.call(stall)
        assert held.wait(TIMEOUT)
        for sock in socks:
            sock.sendall(b'\x8a\x80\0\0\0\0')  # a pong
        assert not threading.Event().wait(0.2)
        released.set()
        assert looked.get() == (len(socks),)


def test_a_client_that_does_not_end_after_a_refusal_is_dropped() -> None:
    with server(handshakeTimeout=2000) as wss:
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\n\r\n')
            assert read_all(sock).startswith(b'HTTP/1.1 426 ')
            until(lambda: not wss._openings)


def test_subprotocols() -> None:
    """Item 124: the first that is offered."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, protocol='prot1, prot2')
        wait_for(ws, 'open')
        assert ws.protocol == connected.get()[0].protocol == 'prot1'
        end(ws)
        with raw_connection(wss) as sock:
            sock.sendall(handshake_with(b'Upgrade', b'websocket\r\nSec-WebSocket-Protocol: a b'))
            assert read_head(sock).startswith(b'HTTP/1.1 400 ')


# -- a request that is none, habits of ported programs ----------------------------------------------------------------


def test_a_page_is_asked_of_a_server_with_a_path() -> None:
    with server(path='/chat') as wss:
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
            assert read_all(sock).startswith(b'HTTP/1.1 426 ')


def test_the_heartbeat_recipe_of_ws_8() -> None:
    """With one listener for all, broadcasts, and attributes of the program's own."""
    with server() as wss:
        seen = Waiter()

        def heartbeat(this: Any) -> None:
            this.isAlive = True
            seen('alive', this.id)

        def connection(ws: Any) -> None:
            ws.isAlive = False
            ws.id = len(wss.clients)
            ws.on('pong', heartbeat)

        def broadcast(data: str) -> None:
            for ws in wss.clients:
                ws.send(data)

        def look() -> None:
            for ws in wss.clients:
                if not ws.isAlive:
                    ws.ping()

        wss.broadcast = broadcast  # type: ignore[attr-defined]
        wss.on('connection', connection)
        logs = []
        for _ in range(2):
            ws = client(wss)
            logs.append(Log(ws, 'open', 'message'))
            logs[-1].until('open')
        on_loop(wss, look)
        assert {seen.get(), seen.get()} == {('alive', 1), ('alive', 2)}
        assert all(ws.isAlive for ws in wss.clients)  # type: ignore[attr-defined]
        wss.broadcast('to all')  # type: ignore[attr-defined]
        assert [log.get()[1] for log in logs] == ['to all'] * 2
