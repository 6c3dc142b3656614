"""WebSocket: pings, their answers, and pongs that nobody asked for."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest
from support import TIMEOUT, Log, Waiter, client, echo_server, end, frames, on_loop, raw_client, server, until, wait_for

from ws import NotOpenError, WebSocket, timers
from ws.protocol.frames import build_frame


@pytest.mark.parametrize('kind', ['ping', 'pong'])
@pytest.mark.parametrize(
    ('data', 'expected'), [(None, b''), ('hi', b'hi'), (b'\0\xff', b'\0\xff'), ('x' * 125, b'x' * 125), (7, b'7')]
)
def test_ping_and_pong_reach_the_peer(pair: tuple[WebSocket, WebSocket], kind: str, data: Any, expected: bytes) -> None:
    """Items 24, 25, 34 to 36, 39 to 41."""
    for this, other in (pair, pair[::-1]):
        heard = Waiter()
        other.on(kind, heard)
        getattr(this, kind)(data) if data is not None else getattr(this, kind)()
        received, flags = heard.get()
        assert received == expected
        assert flags.binary is True
        assert flags.masked is (this is pair[0])


@pytest.mark.loop
def test_pings_are_answered(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    log = Log(ws, 'pong', 'message')
    peer.on('ping', lambda: peer.send('from the listener'))
    for data in ('a', 'b', 'c'):
        ws.ping(data)
    ws_log = [log.get()[1] for _ in range(6)]
    # The answer goes out before the event.
    assert ws_log == [b'a', 'from the listener', b'b', 'from the listener', b'c', 'from the listener']


@pytest.mark.parametrize('kind', ['ping', 'pong'])
def test_ping_and_pong_when_not_open(kind: str) -> None:
    """Items 32, 33, 37 and 38."""
    with echo_server() as wss:

        def connecting() -> WebSocket:
            ws = client(wss)
            with pytest.raises(NotOpenError, match=r'^not opened$'):
                getattr(ws, kind)()
            assert getattr(ws, kind)('', {}, True) is None
            return ws

        end(on_loop(wss, connecting))  # the loop is held up for that long


@pytest.mark.parametrize('kind', ['ping', 'pong'])
def test_control_frames_are_short(pair: tuple[WebSocket, WebSocket], kind: str) -> None:
    with pytest.raises(ValueError, match='125'):
        getattr(pair[0], kind)('x' * 126)
    with pytest.raises(TypeError, match='list'):
        getattr(pair[0], kind)([1])


@pytest.mark.parametrize('kind', ['ping', 'pong'])
@pytest.mark.parametrize('where', ['loop', 'other thread'])
def test_callbacks_of_ping_and_pong(kind: str, where: str) -> None:
    """In the place of any argument, as in ws 8: ``ping(data, mask, callback)``."""
    heard, told = Waiter(), Waiter()
    with server(allowUnmasked=True) as wss:
        wss.on('connection', lambda peer: peer.on(kind, lambda data, flags: heard(data, flags.masked)))
        ws = client(wss)
        wait_for(ws, 'open')
        send = getattr(ws, kind)

        def run() -> None:
            send(told)
            send('a', told)
            send('b', False, told)
            send('c', {'mask': True}, True, told)
            send('d', None, False, callback=told)

        on_loop(ws, run) if where == 'loop' else run()
        expected = [(b'', True), (b'a', True), (b'b', False), (b'c', True), (b'd', True)]
        assert [heard.get() for _ in expected] == expected
        assert [told.get() for _ in expected] == [(None,)] * 5
        end(ws)
        for silent in (False, True):
            send('x', {}, silent, told)
            assert isinstance(told.get()[0], NotOpenError)
        with pytest.raises(TypeError, match='a callback must be callable, not int'):
            send('x', {}, False, 5)
        assert told.nothing(0.02)


def test_a_ping_that_is_overtaken_by_the_end(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    told, blocked, release = Waiter(), threading.Event(), threading.Event()
    ws._loop.call(lambda: (blocked.set(), release.wait(TIMEOUT), ws.terminate()))
    assert blocked.wait(TIMEOUT)
    ws.ping(told)
    ws.pong('x', {}, True)
    release.set()
    assert isinstance(told.get()[0], NotOpenError)
    assert told.nothing(0.02)


def test_the_heartbeat_of_ws_8s_readme() -> None:
    """As it stands there: one listener for all, ``this``, own attributes, ``ping(noop)``, an interval."""

    def heartbeat(this: Any) -> None:
        this.isAlive = True

    with server() as wss:
        connected, died, alive = Waiter(), Waiter(), Waiter()

        @wss.on('connection')
        def connection(ws: Any) -> None:
            ws.isAlive = True
            ws.on('pong', heartbeat)
            ws.on('pong', lambda: alive(ws))
            connected(ws)

        def each(ws: Any) -> None:
            if ws.isAlive is False:
                died(ws)
                ws.terminate()
                return
            ws.isAlive = False
            ws.ping(lambda: None)

        interval = timers.setInterval(lambda: [each(ws) for ws in wss.clients], 100)
        with raw_client(wss):  # never answers
            silent = connected.get()[0]
            ws = client(wss)
            answering = connected.get()[0]
            assert died.get() == (silent,)
            assert alive.get() == alive.get() == (answering,)
            assert answering.readyState == WebSocket.OPEN
            timers.clearInterval(interval)
            end(ws)


def test_a_peer_that_pings_and_reads_nothing_fills_no_memory() -> None:
    """RFC 6455 section 5.5.3: only the latest ping needs an answer."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_client(wss) as sock:
            peer = connected.get()[0]
            # Fill what the kernel takes, so that pongs have to wait.
            on_loop(peer, lambda: [peer.send(b'x' * 65536) for _ in range(400)])
            until(lambda: peer._stream.stalled)
            queued = peer.bufferedAmount
            pings = Waiter()
            peer.on('ping', pings)
            for number in range(2000):
                sock.sendall(build_frame(9, b'%0125d' % number, True, True))
            for _ in range(2000):
                pings.get()
            assert peer.bufferedAmount < queued + 1000
            pongs = [payload for _, opcode, payload in itertools.islice(frames(sock), 402) if opcode == 10]
            assert pongs == [b'%0125d' % 0, b'%0125d' % 1999]
