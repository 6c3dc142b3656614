"""WebSocketServer: its clients, and closing, over TLS, too."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
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
    server,
    until,
    url_of,
    wait_for,
)

from ws import WebSocket, WebSocketError, WebSocketServer, delivery

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


def test_a_close_that_nobody_hears_does_not_hold_up_its_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'KEEP_FOR', 2 * TIMEOUT * 1000)
    told = Waiter()
    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.close(told)
    assert told.get() == ()


def test_the_callbacks_are_told_whatever_becomes_of_the_listeners() -> None:
    told = Waiter()
    wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'}, lambda: told('listening'))
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
    with echo_server(handshakeTimeout=2000, **certificate) as wss:
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
