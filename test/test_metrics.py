"""wss.metrics()."""

from __future__ import annotations

import io
import os
import socket
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
    raw_pair,
    read_all,
    server,
    until,
)

from ws import WebSocketServer


def test_a_server_that_nobody_has_met() -> None:
    with server() as wss:
        metrics = wss.metrics()
        assert metrics == {
            'connections': 0,
            'connectionsTotal': 0,
            'handshakes': 0,
            'refused': {},
            'abandoned': 0,
            'messagesReceived': 0,
            'messagesSent': 0,
            'bytesReceived': 0,
            'bytesSent': 0,
            'bufferedBytes': 0,
            'loopLag': None,
        }
        assert metrics.connections == 0  # as an attribute, too


@pytest.mark.parametrize('deflate', [False, True])
def test_connections_and_bytes(deflate: bool) -> None:
    """Those of frames alone, and the same when the connection has ended."""
    with echo_server(perMessageDeflate=deflate) as wss:
        clients = [client(wss, perMessageDeflate=deflate) for _ in range(3)]
        logs = [Log(ws, 'open', 'message') for ws in clients]
        for ws, log in zip(clients, logs):
            log.until('open')
            ws.send('x' * 2000)
            log.until('message')
        received, sent = (3 * 2008, 3 * 2004) if not deflate else (sum(sent_by(ws) for ws in clients), None)
        metrics = wss.metrics()
        assert (metrics.connections, metrics.connectionsTotal) == (3, 3)
        assert (metrics.messagesReceived, metrics.messagesSent) == (3, 3)
        assert metrics.bytesReceived == received
        assert metrics.bytesSent == (sum(ws.bytesReceived for ws in clients) if sent is None else sent)
        for ws in clients:
            end(ws)
        until(lambda: not wss.clients)
        after = wss.metrics()
        assert (after.connections, after.connectionsTotal) == (0, 3)
        assert (after.bytesReceived, after.bytesSent) == (metrics.bytesReceived, metrics.bytesSent)
        assert (after.messagesReceived, after.messagesSent) == (3, 3)


def sent_by(ws: Any) -> int:
    return int(ws._count().bytes_sent)


def test_what_comes_with_the_handshake_counts() -> None:
    with echo_server() as wss, raw_connection(wss) as sock:
        sock.sendall(HANDSHAKE % b'/' + b'\x81\x81\0\0\0\0x')
        until(lambda: wss.metrics().bytesReceived == 7)


PIECE = b'\x81\x81\0\0\0\0x'


@pytest.mark.parametrize(
    ('data', 'messages'),
    [
        (PIECE * 3, 3),
        (PIECE * 5000, 5000),  # more than is done at a time
        (PIECE + b'\x89\x80\0\0\0\0' + PIECE + b'\x8a\x80\0\0\0\0', 2),  # pings and pongs are none
        (b'\x01\x81\0\0\0\0x\0\x80\0\0\0\0\x80\x81\0\0\0\0x' + PIECE, 2),  # fragments
        (b'\x81\xff' + (100_000).to_bytes(8, 'big') + b'\0\0\0\0' + b'x' * 100_000 + PIECE, 2),
    ],
)
def test_messages_are_whole_ones(data: bytes, messages: int) -> None:
    with raw_pair() as (ws, sock):
        wss = ws._on_closed[0].__self__  # type: ignore[union-attr]
        received = Waiter()
        ws.on('message', received)
        for number, cut in enumerate((len(data), 1 + len(data) // 7), 1):
            for start in range(0, len(data), cut):
                sock.sendall(data[start : start + cut])
            for _ in range(messages):
                received.get()
            on_loop(ws, lambda: None)
            assert wss.metrics().messagesReceived == number * messages


def test_messages_sent_in_every_way() -> None:
    with raw_pair() as (ws, _sock):
        wss = ws._on_closed[0].__self__  # type: ignore[union-attr]
        done = Waiter()
        ws.send('from another thread', done)
        on_loop(ws, lambda: ws.send('directly', done))
        on_loop(ws, lambda: ws.send(bytes(100_000), done))
        ws.send('a ', {'fin': False})
        ws.send('b', {'fin': True}, done)
        ws.send(io.BytesIO(bytes(200_000)), done)
        ws.ping()
        for _ in range(5):
            assert done.get() == (None,)
        assert wss.metrics().messagesSent == 5


def test_what_a_slow_client_has_yet_to_read() -> None:
    with raw_pair() as (ws, _sock):
        wss = ws._on_closed[0].__self__  # type: ignore[union-attr]
        size = 32 << 20
        on_loop(ws, lambda: ws.send(bytes(size)))
        until(lambda: wss.metrics().bytesSent > 0)
        metrics = on_loop(ws, wss.metrics)
        assert metrics.bufferedBytes > 0
        assert metrics.bufferedBytes + metrics.bytesSent == size + 10
        before = wss.metrics().bytesSent
        end(ws)
        after = wss.metrics()
        assert after.bufferedBytes == 0
        assert before <= after.bytesSent < size  # what was not sent does not count


def test_handshakes_under_way_refused_and_abandoned() -> None:
    with server(verifyClient=lambda info, callback: info.req.url == '/no' and callback(False, 403)) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock, raw_connection(wss) as other:
            sock.sendall(HANDSHAKE % b'/wait')
            other.sendall(b'GET')
            until(lambda: wss.metrics().handshakes == 2)
        until(lambda: wss.metrics().handshakes == 0)
        assert wss.metrics().abandoned == 2
        for request in HANDSHAKE % b'/no', HANDSHAKE % b'/no', b'x\r\n\r\n':
            with raw_connection(wss) as sock:
                sock.sendall(request)
                read_all(sock)
        metrics = wss.metrics()
        assert (metrics.refused, metrics.abandoned, metrics.connectionsTotal) == ({403: 2, 400: 1}, 2, 0)


def test_those_that_the_end_of_the_server_finds() -> None:
    with server() as wss:
        wss.on('connection', print)
        with raw_connection(wss) as sock:
            sock.sendall(b'GET')
            until(lambda: wss.metrics().handshakes == 1)
            closed = Waiter()
            wss.close(closed)
            assert read_all(sock).startswith(b'HTTP/1.1 503 ')
            closed.get()
        assert wss.metrics().refused == {503: 1}


def test_the_lag_of_the_loop() -> None:
    with server() as wss:
        assert wss.metrics().loopLag is None
        until(lambda: wss.metrics().loopLag is not None)
        started, ends = threading.Event(), threading.Event()
        wss._loop.call(lambda: (started.set(), ends.wait(TIMEOUT)))
        assert started.wait(TIMEOUT)
        until(lambda: wss.metrics().loopLag > 300)  # type: ignore[operator]
        ends.set()
    assert wss.metrics().loopLag is None  # it has ended


def test_it_only_ever_grows_whoever_asks() -> None:
    """Connections come and go, while several threads ask: nothing is counted twice, or missing."""
    with echo_server() as wss:
        done, falls = threading.Event(), []

        def ask() -> None:
            before = wss.metrics()
            while not done.is_set():
                now = wss.metrics()
                falls.extend(
                    name for name in now if name.endswith(('Total', 'Received', 'Sent')) and now[name] < before[name]
                )
                before = now

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            with raw_client(wss) as sock:
                sock.sendall(b'\x81\x81\0\0\0\0x')
                assert sock.recv(3) == b'\x81\x01x'
        until(lambda: not wss.clients)
        done.set()
        for thread in threads:
            thread.join(TIMEOUT)
        assert not falls
        metrics = wss.metrics()
        assert (metrics.connectionsTotal, metrics.bytesReceived, metrics.bytesSent) == (200, 1400, 600)
        assert (metrics.messagesReceived, metrics.messagesSent) == (200, 200)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_a_child_counts_on_its_own() -> None:
    with server() as wss:
        wss.on('connection', print)
        with raw_client(wss):
            until(lambda: wss.metrics().connections == 1)
            ours, theirs = socket.socketpair()
            child = os.fork()
            if not child:
                metrics = wss.metrics()
                theirs.sendall(b'%d %d' % (metrics.connections, metrics.connectionsTotal))
                os._exit(0)
            ours.settimeout(TIMEOUT)
            assert ours.recv(16) == b'0 0'
            os.waitpid(child, 0)
            for sock in ours, theirs:
                sock.close()
    assert isinstance(wss, WebSocketServer)
