"""What waits to be sent: what `send` returns, the event `drain`, the option maxBufferedAmount."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from support import Log, Waiter, client, on_loop, raw_pair, read_all, server

from ws import WebSocket, WebSocketError
from ws.net.stream import HIGH_WATER_MARK
from ws.sending import Outgoing

MUCH = bytes(HIGH_WATER_MARK * 2)
#: More than any kernel takes for a peer that reads nothing.
TOO_MUCH = bytes(32 << 20)


@pytest.fixture(params=['server', 'client', 'deflate'])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[WebSocket, WebSocket]]:
    """An end that sends, and the other, which does not read yet."""
    kind = request.param
    with server(perMessageDeflate=kind == 'deflate') as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: (ws.pause() if kind == 'client' else None, connected(ws)))
        ws = client(wss)
        log = Log(ws)
        peer = connected.get()[0]
        log.until('open')
        if kind == 'client':
            yield ws, peer
        else:
            ws.pause()
            yield peer, ws
        ws.terminate()


def off_loop(ws: WebSocket, function: Any) -> Any:
    return function()


@pytest.fixture(params=[on_loop, off_loop])
def thread(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_send_returns_whether_little_is_waiting_and_drain_follows(
    ends: tuple[WebSocket, WebSocket], thread: Any
) -> None:
    ws, peer = ends
    log, sizes = Log(ws, 'drain', 'close'), Waiter()
    peer.on('message', lambda data: sizes(len(data)))
    assert thread(ws, lambda: ws.send('little')) is True
    assert thread(ws, lambda: ws.send(os.urandom(len(TOO_MUCH)))) is False
    assert thread(ws, lambda: ws.send(b'more')) is False
    assert log.nothing()
    peer.resume()
    assert log.get() == ('drain',)
    assert ws.bufferedAmount == 0
    assert [sizes.get()[0] for _ in range(3)] == [6, len(TOO_MUCH), 4]
    assert thread(ws, lambda: ws.send('little')) is True
    assert log.nothing()  # once is enough


def test_much_from_another_thread_that_the_kernel_takes_at_once_is_followed_by_drain_too() -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws, 'drain')
        busy, release = Waiter(), Waiter()
        ws._loop.call(lambda: (busy(), release.get()))  # with nothing that is under way
        busy.get()
        room = [ws.send(bytes(HIGH_WATER_MARK // 4)) for _ in range(6)]
        release()
        assert room == [True] * 4 + [False] * 2
        assert log.get() == ('drain',)
        assert ws.bufferedAmount == 0
        ws.terminate()
        read_all(sock)


@pytest.mark.parametrize('end', ['terminate', 'close'])
def test_when_it_is_too_late_send_returns_false_and_no_drain_follows(end: str) -> None:
    with raw_pair(closeTimeout=50) as (ws, _):
        log = Log(ws, 'drain', 'close')
        ws.send(TOO_MUCH)
        getattr(ws, end)()
        assert [event[0] for event in log.until('close')] == ['close']
        assert ws.send('x') is False
        assert log.nothing(0.05)


def test_what_waits_behind_a_file_counts_and_drain_comes_when_it_is_through() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        Log(ws).until('open')
        peer = connected.get()[0]
        ws.pause()
        log, sizes = Log(peer, 'drain'), Waiter()
        ws.on('message', lambda data: sizes(len(data)))
        peer.send(io.BytesIO(TOO_MUCH))
        assert peer.send(MUCH) is False
        assert peer.send(b'x') is False
        assert log.nothing()
        ws.resume()
        assert log.get() == ('drain',)
        assert [sizes.get()[0] for _ in range(3)] == [len(TOO_MUCH), len(MUCH), 1]
        ws.terminate()


# -- maxBufferedAmount ------------------------------------------------------------------------------------------------

LIMITS = [1000, 1 << 20]


def overrun(ws: WebSocket, how: str, callback: Any) -> None:
    """Send without end, until it is over."""
    if how == 'stream':

        def supply(error: Any, send: Any = None) -> None:
            if error is not None:
                callback(error)
            else:
                for _ in range(64):
                    send(MUCH)

        ws.stream(supply)
    elif how == 'ping':
        while ws.readyState == ws.OPEN:
            ws.ping(bytes(125), {}, True, callback)
    elif how == 'behind a file':
        ws.send(io.BytesIO(TOO_MUCH))
        while ws.send(MUCH, callback):
            pass
        ws.send(TOO_MUCH, callback)
    else:
        small = bytes(1000) if how == 'small' else MUCH
        while ws.readyState == ws.OPEN:
            ws.send(small, callback)


@pytest.mark.parametrize('limit', LIMITS)
@pytest.mark.parametrize('how', ['small', 'large', 'stream', 'ping', 'behind a file'])
def test_beyond_the_limit_the_connection_ends_and_callbacks_know_why(
    thread: Any, how: str, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, 'ws')
    with raw_pair(maxBufferedAmount=limit) as (ws, _):
        log = Log(ws, 'error', 'close')
        done = Waiter()
        thread(ws, lambda: overrun(ws, how, done))
        events = log.until('close')
        assert [event[0] for event in events] == ['error', 'close']
        assert type(events[0][1]) is WebSocketError
        assert str(events[0][1]) == 'maxBufferedAmount exceeded'
        assert events[1] == ('close', 1006, '')
        if how != 'stream':
            error = None
            while error is None:  # of those before, the kernel has taken some
                [error] = done.get()
            assert str(error) in ('maxBufferedAmount exceeded', 'not opened')
    [record] = caplog.records
    assert record.getMessage().endswith(' OPEN>: maxBufferedAmount exceeded')
    assert '127.0.0.1' in record.getMessage()


def test_without_an_error_listener_there_is_only_close() -> None:
    with raw_pair(maxBufferedAmount=1 << 20) as (ws, _):
        log = Log(ws, 'close')
        ws.send(TOO_MUCH)
        assert log.get() == ('close', 1006, '')


def test_the_callback_of_what_is_too_much_gets_the_error() -> None:
    with raw_pair(maxBufferedAmount=1 << 20) as (ws, _):
        done = Waiter()
        assert on_loop(ws, lambda: ws.send(TOO_MUCH, done)) is False
        assert str(done.get()[0]) == 'maxBufferedAmount exceeded'
        assert ws.readyState in (ws.CLOSING, ws.CLOSED)


@pytest.mark.parametrize('limit', LIMITS)
def test_who_reads_is_not_cut_off(limit: int, thread: Any) -> None:
    """What the kernel takes does not count, nor what the loop thread has not come to."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda data: connected(len(data))))
        ws = client(wss, maxBufferedAmount=limit)
        log = Log(ws)
        log.until('open')
        for _ in range(20):
            thread(ws, lambda: [ws.send(bytes(500)) for _ in range(100)])
            for _ in range(100):
                assert connected.get() == (500,)
        assert ws.readyState == ws.OPEN
        ws.terminate()


def test_a_client_that_never_reads_takes_no_more_than_that() -> None:
    """It asks for echoes without end."""
    with raw_pair(maxBufferedAmount=1 << 20) as (ws, sock):
        log = Log(ws, 'close')
        waiting: list[int] = []
        ws.on('message', lambda data: (ws.send(data), waiting.append(ws.bufferedAmount)))
        frame = b'\x82\xff' + (65536).to_bytes(8, 'big') + bytes(4 + 65536)
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(frame)
        assert log.get() == ('close', 1006, '')
        assert max(waiting) <= (1 << 20) + 65536 + 10


def test_what_the_loop_thread_comes_to_at_that_moment_is_counted() -> None:
    """By another thread, between its look at what waits for the loop and that at what waits for the system."""

    class Stream:
        @property
        def queued(self) -> int:
            outgoing._waiting -= 5  # it is queued behind this look
            return 0

    outgoing: Any = object.__new__(Outgoing)
    outgoing._waiting, outgoing._stream = 5, Stream()
    assert outgoing.buffered == 5
