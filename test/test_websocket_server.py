"""WebSocketServer: options, listening, opening handshakes, clients, closing."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import socket
import socketserver
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import trustme
from sites import SERVERS, Site
from support import (
    HANDSHAKE,
    PYTHONPATH,
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
    url_of,
    wait_for,
)

from ws import WebSocket, WebSocketError, WebSocketServer, delivery
from ws.server.listening import address_of
from ws.timers import setTimeout

# -- construction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('options', [None, {}, {'host': '127.0.0.1'}, {'port': None}])
def test_without_a_port_it_raises(options: Any) -> None:
    """Items 93 and 94."""
    with pytest.raises(TypeError, match='`port` or a `server` must be provided'):
        WebSocketServer(options)


@pytest.mark.parametrize(
    ('options', 'error', 'text'),
    [
        ({'port': '-1'}, ValueError, 'port'),
        ({'port': ' '}, ValueError, 'port'),
        ({'port': 65536}, ValueError, 'port'),
        ({'port': -1}, ValueError, 'port'),
        ({'port': 1.5}, TypeError, 'port'),
        ({'port': 0, 'host': 5}, TypeError, 'host'),
        ({'port': 0, 'maxPayload': 'x'}, TypeError, 'maxPayload'),
        ({'port': 0, 'maxFragments': -5}, ValueError, 'maxFragments'),
        ({'port': 0, 'handshakeTimeout': 'x'}, TypeError, 'handshakeTimeout'),
        ({'port': 0, 'closeTimeout': -1}, ValueError, 'closeTimeout'),
        ({'port': 0, 'key': 'x'}, ValueError, 'cert and key'),
        ({'port': 0, 'key': 'x', 'cert': 'y'}, ssl.SSLError, 'PEM'),
    ],
)
def test_wrong_options_raise_and_name_the_option(options: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        WebSocketServer(options)


def test_an_unknown_option_is_ignored_with_a_warning() -> None:
    with pytest.warns(
        UserWarning, match=r"WebSocketServer has no option 'prot': ignored; did you mean 'port'\?"
    ) as caught:
        wss = WebSocketServer({'port': 0, 'prot': 1}, host='127.0.0.1')
    assert caught[0].filename == __file__
    wait_for_end(wss)


def wait_for_end(wss: WebSocketServer) -> None:
    closed = Waiter()
    wss.close(closed)
    closed.get()


def test_listening_and_its_callback() -> None:
    """Items 97 and 110."""
    told = Waiter()
    wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'}, lambda: told(wss.options.port, wss.options['host']))
    listening = Waiter()
    wss.on('listening', listening)
    assert told.get() == (0, '127.0.0.1')
    assert listening.get() == ()
    wait_for_end(wss)


def test_address() -> None:
    with server() as wss:
        address = wss.address()
        assert address is not None
        assert address == {'address': '127.0.0.1', 'family': 'IPv4', 'port': address.port}
        assert address.port > 0
        with socket.create_connection(('127.0.0.1', address.port)):
            pass
    assert wss.address() is None


def test_the_default_host_is_every_ipv4_address() -> None:
    with server(host=None) as wss:
        address = wss.address()
        assert address is not None and address.address == '0.0.0.0'


def test_a_host_by_name_is_looked_up() -> None:
    with server(host='localhost') as wss:
        wait_for(wss, 'listening')
        address = wss.address()
        assert address is not None and address.address in ('127.0.0.1', '::1')


def _has_ipv6() -> bool:
    try:
        socket.create_server(('::1', 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason='no IPv6 loopback on this machine')
@pytest.mark.parametrize('host', ['::1', '::'])
def test_ipv6(host: str) -> None:
    with echo_server(host=host) as wss:
        address = wss.address()
        assert address is not None and address.family == 'IPv6'
        ws = WebSocket(f'ws://[::1]:{address.port}/')
        log = Log(ws, 'open', 'message', 'error')
        log.until('open')
        ws.send('six')
        assert log.get()[1] == 'six'
        end(ws)
        if host == '::':  # both families, as in Node
            four = WebSocket(f'ws://127.0.0.1:{address.port}/')
            wait_for(four, 'open')
            end(four)


def test_a_port_that_is_taken_is_an_error_event() -> None:
    """Item 96."""
    with server() as wss:
        port = wss.address().port  # type: ignore[union-attr]
        second = WebSocketServer(port=port, host='127.0.0.1')
        error = wait_for(second, 'error')[0]
        assert isinstance(error, OSError)
        assert str(port) in str(error)
        told = Waiter()
        second.close(told)
        assert str(told.get()[0]) == 'The server is not running'


def test_an_error_nobody_listens_to_is_reported(reported: list[BaseException]) -> None:
    WebSocketServer(port=0, host='does-not-exist.invalid')
    until(lambda: reported)
    assert isinstance(reported.pop(), socket.gaierror)


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
    with server(handshakeTimeout=200) as wss, contextlib.ExitStack() as stack:
        connected = Waiter()
        wss.on('connection', connected)
        socks = [stack.enter_context(raw_connection(wss)) for _ in range(100)]
        until(lambda: len(wss._openings) == len(socks))
        released, held = threading.Event(), threading.Event()
        wss._loop.call(lambda: (held.set(), released.wait(TIMEOUT)))
        assert held.wait(TIMEOUT)
        for sock in socks:
            sock.sendall(HANDSHAKE % b'/')
        assert not threading.Event().wait(0.4)  # all of them are overdue now, by the clock
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
    with server(handshakeTimeout=100) as wss:
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


# -- clients ----------------------------------------------------------------------------------------------------------


def test_clients() -> None:
    """Items 106, 108 and 109."""
    with server() as wss:
        assert wss.clients == []
        counts = Waiter()

        def on_connection(ws: WebSocket) -> None:
            counts(len(wss.clients), ws in wss.clients)
            ws.on('close', lambda: counts(len(wss.clients), ws in wss.clients))

        wss.on('connection', on_connection)
        for how in ('close', 'terminate'):
            ws = client(wss)
            assert counts.get() == (1, True)
            wait_for(ws, 'open')
            end(ws, how)
            assert counts.get() == (0, False)


def test_client_tracking_off() -> None:
    """Item 107; close() still ends them."""
    with server(clientTracking=False) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        log = Log(client(wss))
        connected.get()
        assert wss.clients == []
        log.until('open')
        wss.close()
        assert log.get() == ('close', 1001, '')


def test_clients_may_go_while_they_are_told_so() -> None:
    """Iterating goes over a copy, on the loop thread and elsewhere."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        closed = Waiter()
        for _ in range(20):
            client(wss).on('close', closed)
        for _ in range(20):
            connected.get()
        seen = 0
        for ws in wss.clients:
            seen += 1
            ws.terminate()
            if seen <= 5:
                closed.get()
        assert seen == 20
        for _ in range(15):
            closed.get()


def test_a_user_may_take_a_client_off_the_list() -> None:
    with server() as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: (wss.clients.remove(ws), ws.on('close', closed)))
        ws = client(wss)
        wait_for(ws, 'open')
        end(ws)
        assert closed.get()[0] == 1006


# -- closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('args', 'seen'), [((), (1001, '')), ((1000,), (1000, '')), ((3000, 'reason'), (3000, 'reason'))]
)
def test_close(args: Any, seen: Any) -> None:
    """The clients are told, then the server is closed, and nobody can connect any more."""
    wss = WebSocketServer(port=0, host='127.0.0.1')
    address = url_of(wss)
    connected = Waiter()
    wss.on('connection', connected)
    logs = [Log(client(wss)) for _ in range(3)]
    for log in logs:
        connected.get()
        log.until('open')
    server_log = Log(wss, 'close')
    closed = Waiter()
    wss.close(*args, closed)
    assert closed.get() == ()
    assert server_log.get() == ('close',)
    for log in logs:
        assert log.get() == ('close', *seen)
    assert wss.address() is None and wss.clients == []
    log = Log(WebSocket(address))
    assert isinstance(log.get()[1], ConnectionRefusedError)
    log.get()


def test_close_twice() -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1')
    first, second, third = Waiter(), Waiter(), Waiter()
    on_loop(wss, lambda: (wss.close(first), wss.close(second)))
    assert first.get() == second.get() == ()
    wss.close(third)
    error = third.get()[0]
    assert isinstance(error, WebSocketError) and str(error) == 'The server is not running'
    wss.close()


@pytest.mark.parametrize('heard_late', [False, True])
def test_close_is_emitted_before_its_callback_is_called(heard_late: bool) -> None:
    """Also while `listening`, which nobody asked for, is kept."""
    log = Waiter()
    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('error', lambda: None)
    if heard_late:
        until(lambda: wss._kept is not None and bool(wss._kept.waiting))
    wss.on('close', lambda: log('event'))
    wss.close(lambda: log('callback'))
    assert [log.get() for _ in range(2)] == [('event',), ('callback',)]


def test_a_close_that_nobody_hears_does_not_hold_up_its_callback() -> None:
    told = Waiter()
    wss = WebSocketServer(port=0, host='127.0.0.1')
    started = time.monotonic()
    wss.close(told)
    assert told.get() == ()
    assert time.monotonic() - started < 0.9


def test_the_callbacks_are_told_whatever_becomes_of_the_listeners() -> None:
    wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'}, lambda: told('listening'))
    told = Waiter()
    wait_for(wss, 'listening')
    on_loop(wss, lambda: (wss.close(lambda: told('closed')), wss.removeAllListeners()))
    assert told.get() == ('listening',)
    assert told.get() == ('closed',)


def test_closing_while_the_host_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release, plain = threading.Event(), socket.getaddrinfo

    def slow(*args: Any, flags: int = 0, **keywords: Any) -> Any:
        if not flags & socket.AI_NUMERICHOST:
            release.wait(TIMEOUT)
        return plain(*args, flags=flags, **keywords)

    monkeypatch.setattr(socket, 'getaddrinfo', slow)
    wss = WebSocketServer(port=0, host='does-not-exist.invalid')
    log = Log(wss, 'error', 'close')
    wss.close()
    assert log.get() == ('close',)
    release.set()
    assert log.nothing(0.05)


def test_close_with_wrong_arguments() -> None:
    with server() as wss:
        with pytest.raises(WebSocketError, match='UTF-8'):
            wss.close(1000, b'\xff')
        with pytest.raises(WebSocketError, match='valid error code'):
            wss.close(5)
        with pytest.raises(WebSocketError, match='123'):
            wss.close(1000, 'x' * 124)
        assert wss.address() is not None


def test_close_in_a_connection_listener() -> None:
    """Item 103."""
    wss = WebSocketServer(port=0, host='127.0.0.1')
    log = Waiter()
    wss.on('connection', lambda ws: (ws.on('close', lambda *args: log('server side', *args)), wss.close()))
    ws = client(wss)
    ws.on('open', lambda: None)
    ws.on('close', lambda *args: log('client side', *args))
    assert {log.get(), log.get()} == {('server side', 1001, ''), ('client side', 1001, '')}
    until(lambda: wss._closed)


def test_close_right_after_construction() -> None:
    for host in ('127.0.0.1', 'localhost'):
        closed = Waiter()
        WebSocketServer(port=0, host=host).close(closed)
        assert closed.get() == ()


@contextlib.contextmanager
def held_up(wss: WebSocketServer) -> Iterator[None]:
    """The loop thread does nothing meanwhile."""
    release, reached = threading.Event(), threading.Event()
    wss._loop.call(lambda: (reached.set(), release.wait(TIMEOUT)))
    assert reached.wait(TIMEOUT)
    try:
        yield
    finally:
        release.set()


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere the port is free when the loop has closed the socket')
@pytest.mark.parametrize('place', ['port', 'socketPath'])
def test_once_close_has_returned_the_next_server_can_listen_there(place: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {'port': 0, 'host': '127.0.0.1'} if place == 'port' else {place: str(tmp_path / 'socket')}
    closed, log = Waiter(), Waiter()
    first = WebSocketServer(options)
    if place == 'port':
        options['port'] = first.address().port
    wait_for(first, 'listening')
    with held_up(first):
        first.close(closed)
        second = WebSocketServer(options)
        second.on('error', lambda error: log('error', error))
        second.on('listening', lambda: log('listening'))
        second.on('connection', lambda ws: ws.send('from the second'))
    assert closed.get() == ()
    assert log.get() == ('listening',)
    url = url_of(second) if place == 'port' else f'ws+unix:{options["socketPath"]}'
    ws = WebSocket(url)
    assert wait_for(ws, 'message')[0] == 'from the second'
    end(ws)
    second.close(closed)
    assert closed.get() == ()
    assert place == 'port' or not Path(options['socketPath']).exists()


def test_a_server_closed_at_once_and_often() -> None:
    """By several threads, while people connect."""
    for _ in range(30):
        wss = WebSocketServer(port=0, host='127.0.0.1')
        wss.on('connection', lambda ws: None)
        clients = [WebSocket(url_of(wss)) for _ in range(3)]
        ended = [Log(ws, 'error', 'close') for ws in clients]
        closed = Waiter()
        wss.on('close', closed)
        threads = [threading.Thread(target=wss.close) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert closed.get() == ()
        for thread in threads:
            thread.join()
        for log in ended:
            log.until('close')


def test_what_others_have_of_the_socket_goes_on() -> None:
    """One that was handed in: a parent, say, has it, too."""
    with socket.create_server(('127.0.0.1', 0)) as sock:
        closed = Waiter()
        wss = WebSocketServer(fd=os.dup(sock.fileno()))
        wss.close(closed)
        assert closed.get() == ()
        with socket.create_connection(sock.getsockname(), TIMEOUT):
            sock.accept()[0].close()


def test_close_while_handshakes_are_under_way() -> None:
    with contextlib.ExitStack() as stack:
        wss = WebSocketServer(port=0, host='127.0.0.1')
        wss.on('connection', lambda: None)
        socks = [stack.enter_context(raw_connection(wss)) for _ in range(3)]
        for sock in socks[1:]:
            sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n')
        until(lambda: len(wss._openings) == 3)
        closed = Waiter()
        wss.close(closed)
        assert closed.get() == ()
        for sock in socks:
            assert read_all(sock).startswith(b'HTTP/1.1 503 ')


def test_clients_that_never_answer_are_dropped_after_the_close_timeout() -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1', closeTimeout=100)
    connected = Waiter()
    wss.on('connection', connected)
    with raw_client(wss) as sock:
        log = Log(connected.get()[0])
        closed = Waiter()
        wss.close(closed)
        assert closed.get() == ()
        assert log.get() == ('close', 1006, '')
        assert read_all(sock) == b'\x88\x02\x03\xe9'


def test_the_same_port_again_after_closing() -> None:
    """SO_REUSEADDR: connections in TIME_WAIT don't keep a restarted server from its port."""
    port = 0
    for _ in range(3):
        with server(port=port) as wss:
            port = wss.address().port  # type: ignore[union-attr]
            wss.on('connection', lambda ws: ws.close())
            assert wait_for(client(wss), 'close') == (1000, '')


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def certificate() -> dict[str, bytes]:
    issued = trustme.CA().issue_cert('localhost', '127.0.0.1')
    return {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}


def test_a_tls_client_that_stalls_harms_nobody(certificate: dict[str, bytes]) -> None:
    with echo_server(handshakeTimeout=300, **certificate) as wss:
        with raw_connection(wss) as silent, raw_connection(wss) as half:
            half.sendall(b'\x16\x03\x01\x02\x00\x01\x00')
            ws = WebSocket(url_of(wss, scheme='wss'), rejectUnauthorized=False)
            wait_for(ws, 'open')
            end(ws)
            assert read_all(silent) == b''
            assert read_all(half) == b''
        with raw_connection(wss) as plain:
            plain.sendall(HANDSHAKE % b'/')
            assert b'HTTP' not in read_all(plain)


def test_closing_while_a_tls_handshake_is_under_way(certificate: dict[str, bytes]) -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1', **certificate)
    wss.on('connection', lambda: None)
    with raw_connection(wss) as sock:
        until(lambda: wss._openings)
        closed = Waiter()
        wss.close(closed)
        assert closed.get() == ()
        assert read_all(sock) == b''


# -- on the port of an HTTP server ------------------------------------------------------------------------------------


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    site = Site(SERVERS[request.param](tmp_path, context), authority)
    site.start()
    yield site
    site.stop()
    assert site.errors.nothing(0), 'the HTTP server met an exception'


each_server = pytest.mark.parametrize('site', list(SERVERS), indirect=True)
http_server = pytest.mark.parametrize('site', ['ThreadingHTTPServer'], indirect=True)


@contextlib.contextmanager
def on(site: Site, **options: Any) -> Iterator[WebSocketServer]:
    wss = WebSocketServer({'server': site.httpd, 'closeTimeout': 2000, **options})
    yield wss
    wait_for_end(wss)


def talk(sock: socket.socket, path: bytes, greeting: bytes) -> None:
    sock.sendall(HANDSHAKE % path)
    assert read_head(sock).startswith(b'HTTP/1.1 101 ')
    assert sock.recv(100) == bytes([0x81, len(greeting)]) + greeting


@each_server
def test_pages_and_two_servers_on_one_port(site: Site) -> None:
    """Items 98, 99, 101, 104 and 105."""
    with on(site, path='/a') as a, on(site, path='/b') as b:
        a.on('connection', lambda ws, request: ws.send(f'a {request.query}'))
        b.on('connection', lambda ws, request: ws.send(f'b {request.query}'))
        assert len(site.httpd._webSocketPaths) == 2
        with contextlib.ExitStack() as stack:  # one after the other: servers without threads talk to one at a time
            one = stack.enter_context(site.connection())
            talk(one, b'/a?x=1', b'a x=1')
            two = stack.enter_context(site.connection())
            talk(two, b'/b?y', b'b y')
            assert site.has_page('/page')
            with site.connection() as three:
                three.sendall(HANDSHAKE % b'/c')
                assert read_all(three).startswith(b'HTTP/1.1 400 ')
            assert (len(a.clients), len(b.clients)) == (1, 1)
            a.close()
            assert one.recv(100) == b'\x88\x02\x03\xe9'
            one.sendall(b'\x88\x82\0\0\0\0\x03\xe9')
            assert read_all(one) == b''
            b.clients[0].send('still here')
            assert two.recv(100) == b'\x81\x0astill here'
            assert site.has_page('/a')
    assert not hasattr(site.httpd, '_webSocketPaths')
    assert site.has_page('/b')


@each_server
def test_what_programs_read_of_a_request(site: Site) -> None:
    told = Waiter()

    def verify(info: Any) -> bool:
        told(info.origin, info.secure)
        return True

    with on(site, verifyClient=verify) as wss:
        assert wss.address() == address_of(site.httpd.socket)

        @wss.on('connection')
        def connection(ws: Any, request: Any) -> None:
            ws.id = 7
            request = ws.upgradeReq
            told(request.url, request.headers['origin'], request.headers['Origin'], request.method, request.httpVersion)
            told(request.connection.remoteAddress, request.connection is ws._socket, ws.id)

        with site.connection() as sock:
            sock.sendall((HANDSHAKE % b'/p?q').replace(b'\r\n\r\n', b'\r\nOrigin: http://o\r\n\r\n'))
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            assert told.get() == ('http://o', site.tls)
            assert told.get() == ('/p?q', 'http://o', 'http://o', 'GET', '1.1')
            address = site.address[0] if isinstance(site.address, tuple) else ''
            assert told.get() == (address, True, 7)


@http_server
def test_address_and_listening(site: Site) -> None:
    told = Waiter()
    wss = WebSocketServer({'server': site.httpd}, lambda: told('callback', wss.address()))
    log = Log(wss, 'listening', 'close')
    assert log.get() == ('listening',)
    name, address = told.get()
    assert name == 'callback' and (address.address, address.port) == site.address
    wait_for_end(wss)
    assert wss.address() is None
    assert log.get() == ('close',)


@http_server
def test_the_callback_is_told_before_the_server_closes(site: Site) -> None:
    told = Waiter()
    wss = WebSocketServer({'server': site.httpd}, lambda: told('listening'))
    wss.close(lambda: told('closed'))
    assert [told.get(), told.get()] == [('listening',), ('closed',)]


@http_server
def test_the_port_of_the_options_comes_first(site: Site) -> None:
    with server(server=site.httpd) as wss:
        assert wss.address().port != site.address[1]  # type: ignore[union-attr]
        assert not hasattr(site.httpd, '_webSocketPaths')


@http_server
def test_a_path_that_is_taken(site: Site) -> None:
    """Item 102. Free again as soon as close() returns; closing once more takes nothing from its next owner."""
    with on(site, path='/a') as first:
        with pytest.raises(WebSocketError, match='two instances of WebSocketServer cannot listen'):
            WebSocketServer(server=site.httpd, path='/a')
        first.close()
        with on(site, path='/a') as second:
            second.on('connection', lambda ws: ws.send('second'))
            first.close()
            with site.connection() as sock:
                talk(sock, b'/a', b'second')


@http_server
def test_a_server_that_closes_in_its_constructor(site: Site) -> None:
    class Closed(WebSocketServer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.close()

    with on(site) as wss:
        with pytest.raises(WebSocketError):
            Closed(server=site.httpd)
        wait_for(Closed(server=site.httpd, path='/a'), 'close')
        until(lambda: list(site.httpd._webSocketPaths) == [None])
        wss.on('connection', lambda ws: ws.send('there'))
        with site.connection() as sock:
            talk(sock, b'/', b'there')
    until(lambda: not wss._loop._handles)


@pytest.mark.parametrize('junk', ['x', 5, object(), socketserver.TCPServer])
def test_what_is_no_http_server(junk: Any) -> None:
    with pytest.raises(TypeError, match='server must be an HTTP server'):
        WebSocketServer(server=junk)


@pytest.mark.parametrize('path', [5, b'/a', ['/a']])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(TypeError, match='path must be a str, not'):
        WebSocketServer(noServer=True, path=path)


@http_server
def test_requests_wait_for_a_listener(site: Site) -> None:
    """The HTTP server is at work already when the WebSocketServer is made."""
    wss = WebSocketServer(server=site.httpd)
    with site.connection() as early, site.connection() as gone:
        gone.sendall(HANDSHAKE % b'/')
        until(lambda: len(wss._admission.waiting) == 1)
        gone.close()
        early.sendall(HANDSHAKE % b'/' + b'\x81\x85\0\0\0\0early')
        until(lambda: len(wss._admission.waiting) == 2)
        connected, messages = Waiter(), Waiter()
        wss.on('connection', lambda ws: (connected(ws), ws.on('message', messages)))
        connected.get()
        assert messages.get()[0] == 'early'
        assert read_head(early).startswith(b'HTTP/1.1 101 ')
        assert connected.nothing(0.02)
        assert wss._admission.waiting == []
    wait_for_end(wss)


@http_server
def test_requests_that_wait_when_the_server_closes(site: Site) -> None:
    wss = WebSocketServer(server=site.httpd)
    with site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/')
        until(lambda: wss._admission.waiting)
        wait_for_end(wss)
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')
    assert not wss._openings and not wss._admission.waiting


@http_server
def test_a_request_nobody_hears_of_is_accepted_after_a_second(site: Site) -> None:
    with on(site) as wss, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/')
        assert read_head(sock).startswith(b'HTTP/1.1 101 ')
        assert len(wss.clients) == 1


@http_server
def test_a_request_on_its_way_while_the_server_closes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It got past the HTTP server before the path was given back."""
    wss = WebSocketServer(server=site.httpd)
    arrived, go_on = threading.Event(), threading.Event()
    on_upgrade = site.httpd._webSocketPaths[None]
    site.httpd._webSocketPaths[None] = lambda *args: (arrived.set(), go_on.wait(TIMEOUT), on_upgrade(*args))
    with site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/')
        assert arrived.wait(TIMEOUT)
        wait_for_end(wss)
        go_on.set()
        assert read_all(sock).startswith(b'HTTP/1.1 503 ')


@pytest.mark.parametrize('site', ['Flask'], indirect=True)
def test_the_session_of_a_flask_app(site: Site) -> None:
    app = site.httpd.app

    @app.route('/login')
    def login() -> str:
        flask.session['user'] = 'ann'
        return 'welcome'

    def user_of(request: Any) -> Any:
        with app.request_context(request.environ):
            return flask.session.get('user')

    page = site.page('/login').decode()
    cookie = next(line for line in page.split('\r\n') if line.startswith('Set-Cookie: ')).split()[1]
    with on(site, verifyClient=lambda info: user_of(info.req) is not None) as wss:
        wss.on('connection', lambda ws, request: ws.send(user_of(request)))
        with site.connection() as known, site.connection() as unknown:
            unknown.sendall(HANDSHAKE % b'/')
            assert read_all(unknown).startswith(b'HTTP/1.1 401 ')
            known.sendall((HANDSHAKE % b'/').replace(b'\r\n\r\n', f'\r\nCookie: {cookie}\r\n\r\n'.encode()))
            read_head(known)
            assert known.recv(100) == b'\x81\x03ann'


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


# -- many -------------------------------------------------------------------------------------------------------------


IDLE = """
import os, resource, sys, threading
from ws import WebSocketServer

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)

def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()

wss = WebSocketServer(port=0, host='127.0.0.1', backlog=4096)
total = int(sys.argv[2])
before = []

def on_connection(ws):
    ws.on('message', lambda message: ws.send(message))
    if len(wss.clients) == 100:
        before.append(resident())
    if len(wss.clients) == total + 100:
        print(resident() - before[0], threading.active_count(), flush=True)

wss.on('connection', on_connection)
print(wss.address().port, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc')
def test_five_thousand_idle_connections() -> None:
    """One thread more than without, and less than 8 KiB of resident memory each."""
    import resource

    total = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * total + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f'{needed} descriptors are needed, {hard} allowed')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    child = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(IDLE), str(needed), str(total)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )
    socks: list[socket.socket] = []
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        for _ in range(total + 100):
            socks.append(socket.create_connection(('127.0.0.1', port), timeout=TIMEOUT))
            socks[-1].sendall(HANDSHAKE % b'/')
        memory, threads = (int(word) for word in child.stdout.readline().split())
        assert threads == 2  # the main thread and the loop's
        assert memory / total < 8192, f'{memory / total:.0f} bytes each'
    finally:
        for sock in socks:
            sock.close()
        child.kill()
        child.communicate()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_three_hundred_at_once() -> None:
    """Many more than one turn of the loop accepts."""
    with echo_server() as wss:
        answers = Waiter()
        opened = threading.Semaphore(0)

        def connect() -> list[WebSocket]:
            made = []
            for number in range(300):
                ws = client(wss)
                ws.on('open', lambda this, number=number: (opened.release(), this.send(str(number))))
                ws.on('message', lambda this, text: (answers(text), this.close()))
                made.append(ws)
            return made

        on_loop(wss, connect)
        assert {answers.get()[0] for _ in range(300)} == {str(number) for number in range(300)}
