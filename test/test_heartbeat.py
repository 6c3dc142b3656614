"""Options pingInterval and pingTimeout: peers that have vanished without a word."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import accept, fake_server
from support import (
    TIMEOUT,
    Log,
    Waiter,
    client,
    echo_server,
    end,
    frames,
    on_loop,
    raw_client,
    raw_connection,
    raw_pair,
    server,
    until,
)
from test_hixie import REQUEST

from ws import WebSocket, WebSocketServer
from ws.heartbeat import Heartbeat

PING, PONG_FRAME, TEXT_FRAME = 9, b'\x8a\x80\0\0\0\0', b'\x81\x81\0\0\0\0x'


@pytest.fixture(params=['text', 'pong'])
def answer(request: pytest.FixtureRequest) -> bytes:
    return {'text': TEXT_FRAME, 'pong': PONG_FRAME}[request.param]


def test_a_silent_client_is_asked_once_and_then_cut_off() -> None:
    with server(pingInterval=50, pingTimeout=100) as wss:
        logs = Waiter()
        wss.on('connection', lambda ws: logs(Log(ws, 'error', 'close')))
        with raw_client(wss) as sock:
            assert list(frames(sock)) == [(True, PING, b'')]
            assert logs.get()[0].get() == ('close', 1006, '')


def test_whatever_is_heard_counts_as_an_answer(answer: bytes) -> None:
    with raw_pair(pingInterval=20, pingTimeout=2000) as (ws, sock):
        for number, frame in enumerate(frames(sock)):
            assert frame == (True, PING, b'')
            if number == 5:
                break
            sock.sendall(answer)
        assert ws.readyState == WebSocket.OPEN


def test_who_is_heard_anyway_is_not_asked() -> None:
    with raw_pair(pingInterval=2000, pingTimeout=100) as (ws, sock):
        received = Waiter()
        ws.on('message', received)
        for _ in range(60):
            sock.sendall(TEXT_FRAME)
            received.get()
            assert not threading.Event().wait(0.05)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


def test_pongs_are_still_emitted() -> None:
    with echo_server(pingInterval=20, pingTimeout=2000) as wss:
        connected, pong = Waiter(), Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        connected.get()[0].on('pong', pong)
        assert pong.get()[0] == pong.get()[0] == b''
        end(ws)


def test_without_a_timeout_nobody_is_cut_off() -> None:
    with raw_pair(pingInterval=20, pingTimeout=0) as (ws, sock):
        pings = frames(sock)
        assert [next(pings) for _ in range(5)] == [(True, PING, b'')] * 5
        assert ws.readyState == WebSocket.OPEN


def test_nobody_is_cut_off_whose_answers_we_do_not_read() -> None:
    with server(pingInterval=20, pingTimeout=500) as wss:
        connected, received = Waiter(), Waiter()
        wss.on('connection', lambda ws: (ws.pause(), connected(ws)))
        with raw_client(wss) as sock:
            ws = connected.get()[0]
            sock.sendall(TEXT_FRAME)
            assert not threading.Event().wait(0.8)
            assert ws.readyState == WebSocket.OPEN
            ws.on('message', received)
            ws.resume()
            assert received.get()[0] == 'x'


def test_who_reads_slowly_is_there() -> None:
    """The ping waits behind what is to be read before; that it goes on being read is the answer."""
    with raw_pair(pingInterval=50, pingTimeout=2500) as (ws, sock):
        closed = Waiter()
        ws.on('close', closed)
        total = 64 << 20
        ws.send(bytes(total))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        began, read = time.monotonic(), 0
        while time.monotonic() - began < 4:
            read += len(sock.recv(65536))
            assert not threading.Event().wait(0.02)
        assert closed.nothing(0) and read < total


def test_a_client_whose_server_has_vanished() -> None:
    asked = Waiter()

    def say_nothing(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        asked(sock.recv(64)[:2])
        while sock.recv(64):
            pass

    with fake_server(say_nothing) as url:
        log = Log(WebSocket(url, pingInterval=50, pingTimeout=100), 'open', 'error', 'close')
        assert log.get() == ('open',)
        assert asked.get() == (b'\x89\x80',)
        assert log.get() == ('close', 1006, '')


def test_hixie_has_no_pings() -> None:
    with server(pingInterval=20, pingTimeout=20) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            ws = connected.get()[0]
            assert not threading.Event().wait(0.3)
            assert ws.readyState == WebSocket.OPEN


@contextlib.contextmanager
def many(wss: WebSocketServer, count: int) -> Iterator[list[socket.socket]]:
    connected = Waiter()
    wss.on('connection', connected)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(raw_client(wss)) for _ in range(count) if connected]


def test_many_connections_cost_one_timer_and_all_are_asked() -> None:
    with server(pingInterval=300, pingTimeout=20_000) as wss, many(wss, 250) as socks:
        until(lambda: len(wss.clients) == len(socks))

        def timers() -> int:
            return sum(timer.callback == wss._heartbeat._look for _, _, timer in wss._loop._timers)  # type: ignore[union-attr]

        assert on_loop(wss, timers) == 1
        for sock in socks:
            assert next(frames(sock)) == (True, PING, b'')
        assert on_loop(wss, timers) == 1


def test_many_clients_cost_one_timer_too() -> None:
    with server() as wss:
        pings = Waiter()
        wss.on('connection', lambda ws: ws.on('ping', lambda: pings(ws)))
        clients = [client(wss, pingInterval=200) for _ in range(20)]
        logs = [Log(ws, 'open') for ws in clients]
        for log in logs:
            log.until('open')
        [heartbeat] = {ws._heartbeat for ws in clients}
        other = client(wss, pingInterval=60_000)
        Log(other, 'open').until('open')

        def timers() -> int:
            return sum(
                getattr(timer.callback, '__func__', None) is Heartbeat._look for _, _, timer in wss._loop._timers
            )

        assert on_loop(wss, timers) == 2
        assert other._heartbeat is not heartbeat
        asked: set[Any] = set()
        while len(asked) < len(clients):  # some may be asked twice before the last one has come
            asked.add(pings.get()[0])
        for ws in [*clients, other]:
            end(ws)
        assert on_loop(wss, timers) == 0


def test_the_vanished_are_cut_off_and_the_others_stay() -> None:
    with server(pingInterval=100, pingTimeout=4000) as wss, many(wss, 60) as socks:
        until(lambda: len(wss.clients) == len(socks))
        answering, silent = socks[::2], socks[1::2]
        ends = threading.Event()

        def answer(sock: socket.socket) -> None:
            for _ in frames(sock):
                if ends.is_set():
                    return
                sock.sendall(PONG_FRAME)

        threads = [threading.Thread(target=answer, args=(sock,)) for sock in answering]
        for thread in threads:
            thread.start()
        until(lambda: len(wss.clients) == len(answering))
        for sock in silent:
            assert list(frames(sock)) == [(True, PING, b'')]
        assert not threading.Event().wait(4.5)
        assert len(wss.clients) == len(answering)
        ends.set()
        for thread in threads:
            thread.join(TIMEOUT)


def test_what_has_ended_is_forgotten() -> None:
    with server(pingInterval=60_000) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, pingInterval=60_000)
        peer = connected.get()[0]
        assert peer in wss._heartbeat._watched  # type: ignore[union-attr]
        end(ws)
        until(lambda: peer.readyState == WebSocket.CLOSED)
        heartbeat = wss._heartbeat
        assert heartbeat is not None
        assert not heartbeat._watched and not heartbeat._asked and heartbeat._timer is None


def test_during_the_closing_handshake_closeTimeout_is_what_counts() -> None:
    with server(pingInterval=20, pingTimeout=20, closeTimeout=20_000) as wss:
        connected, closed = Waiter(), Waiter()
        wss.on('connection', lambda ws: (ws.on('close', closed), ws.close(), connected(ws)))
        with raw_client(wss):
            ws = connected.get()[0]
            assert closed.nothing(0.3)
            ws.terminate()
            closed.get()


@pytest.mark.parametrize('name', ['pingInterval', 'pingTimeout'])
@pytest.mark.parametrize(('value', 'error'), [('x', TypeError), (True, TypeError), (-1, ValueError)])
def test_they_are_milliseconds(name: str, value: Any, error: type[Exception]) -> None:
    for make in (
        lambda: WebSocketServer({name: value}, port=0, host='127.0.0.1'),
        lambda: WebSocket('ws://127.0.0.1:1/', {name: value}),
    ):
        with pytest.raises(error, match=name):
            make()
