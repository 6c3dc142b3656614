"""WebSocket: what is sent, by send, ping and pong."""

from __future__ import annotations

import array
import itertools
import struct
import threading
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Union

import pytest
from support import (
    TIMEOUT,
    Log,
    Waiter,
    client,
    echo_server,
    end,
    frames,
    on_loop,
    open_pair,
    raw_client,
    server,
    until,
    wait_for,
)

from ws import NotOpenError, WebSocket, timers
from ws.protocol.frames import build_frame


@pytest.fixture
def pair() -> Iterator[tuple[WebSocket, WebSocket]]:
    with open_pair() as ends:
        yield ends


# -- send -------------------------------------------------------------------------------------------------------------


class Odd:
    pass


numbers = [
    (5, '5'),
    (0, '0'),
    (-1.5, '-1.5'),
    (1.0, '1'),
    (1e21, '1e+21'),
    (float('nan'), 'NaN'),
    (float('-inf'), '-Infinity'),
    (Fraction(1, 4), '0.25'),
    (Decimal('0.5'), '0.5'),
]


@pytest.mark.parametrize(
    ('data', 'expected'),
    [
        ('', ''),
        ('text', 'text'),
        ('Grüße, 漢字, 😀', 'Grüße, 漢字, 😀'),
        (None, ''),
        (b'', b''),
        (b'bytes', b'bytes'),
        (bytearray(b'array'), b'array'),
        (memoryview(b'0123456789')[2:8:2], b'246'),
        (array.array('f', [1.0, 2.5]), struct.pack('2f', 1.0, 2.5)),
        (array.array('f', range(10))[2:4], struct.pack('2f', 2, 3)),
        *numbers,
    ],
)
@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_what_may_be_sent(pair: tuple[WebSocket, WebSocket], data: Any, expected: Any, where: str) -> None:
    """Items 43 to 47, 50, 52 and 54."""
    ws, peer = pair
    message = Waiter()
    peer.on('message', message)
    if where == 'loop':
        on_loop(ws, lambda: ws.send(data))
    else:
        ws.send(data)
    received, flags = message.get()
    assert received == expected
    assert type(received) is type(expected)
    assert flags.binary is isinstance(expected, bytes)
    assert bool(flags) is flags.binary  # code for ws 8 asks `(data, isBinary)`
    assert flags.masked is True
    assert flags.buffer == (expected if isinstance(expected, bytes) else expected.encode())
    assert flags.compress is None  # whatever is absent is falsy


def test_numpy_arrays(pair: tuple[WebSocket, WebSocket]) -> None:
    numpy = pytest.importorskip('numpy')
    ws, peer = pair
    message = Waiter()
    peer.on('message', message)
    data = numpy.arange(20, dtype='f4')
    for view in (data, data[5:10], data[::3]):
        ws.send(view)
        assert message.get()[0] == view.tobytes()
    ws.send(numpy.int16(7))
    assert message.get()[0] == '7'


def test_send_without_arguments(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 50."""
    ws, peer = pair
    message = Waiter()
    peer.on('message', message)
    ws.send()
    assert message.get()[0] == ''


@pytest.mark.parametrize(
    ('data', 'options', 'expected'),
    [
        (b'bytes', {'binary': False}, 'bytes'),
        ('text', {'binary': True}, b'text'),
        ('text', {'mask': False}, None),
        ('text', {'mask': True}, 'text'),
        ('text', {}, 'text'),
    ],
)
def test_options_of_send(data: Any, options: dict[str, Any], expected: Any) -> None:
    """Items 45, 53 and 55. ``mask`` is honoured literally: a server of ours takes no unmasked frame."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        wait_for(ws, 'open')
        peer_log = Log(connected.get()[0])
        before = dict(options)
        ws.send(data, options)
        assert options == before
        if expected is None:
            assert str(peer_log.get()[1]) == 'Invalid WebSocket frame: MASK must be set'
        else:
            assert peer_log.get()[1] == expected
        ws.terminate()
        peer_log.until('close')


def test_options_of_send_as_keywords(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    message = Waiter()
    peer.on('message', message)
    ws.send('text', binary=True)
    assert message.get()[0] == b'text'


@pytest.mark.parametrize(
    ('options', 'expected'), [({'compress': False}, b'text'), ({'binary': False}, 'text'), ({'binary': None}, 'text')]
)
def test_options_of_send_and_keywords(
    pair: tuple[WebSocket, WebSocket], options: dict[str, Any], expected: Union[str, bytes]
) -> None:
    """What the options do not name stays as the keywords say."""
    ws, peer = pair
    message = Waiter()
    peer.on('message', message)
    ws.send('text', options, binary=True)
    assert message.get()[0] == expected


def test_a_server_may_mask(pair: tuple[WebSocket, WebSocket]) -> None:
    """Its client fails the connection (RFC 6455 section 5.1)."""
    ws, peer = pair
    log = Log(ws, 'error', 'close')
    peer.send('x', {'mask': True})
    kind, error, code = log.get()
    assert (kind, str(error), code) == ('error', 'Invalid WebSocket frame: MASK must be clear', 1002)
    assert log.get() == ('close', 1006, '')


@pytest.mark.parametrize('data', [True, [1, 2], {'a': 1}, Odd(), len, 1j])
def test_what_may_not_be_sent(pair: tuple[WebSocket, WebSocket], data: Any) -> None:
    ws, _ = pair
    with pytest.raises(TypeError, match=type(data).__name__):
        ws.send(data)
    with pytest.raises(TypeError, match=type(data).__name__):
        on_loop(ws, lambda: ws.send(data))
    assert ws.readyState == ws.OPEN


def test_a_lone_surrogate_is_no_text(pair: tuple[WebSocket, WebSocket]) -> None:
    with pytest.raises(ValueError, match='surrogate'):
        pair[0].send('\ud800')


def test_callback_as_second_or_third_argument(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 51: called with None once the kernel has the data."""
    ws, _ = pair
    sent = Waiter()
    ws.send('a', sent)
    ws.send('b', {'binary': True}, sent)
    ws.send('c', None, sent)
    ws.send('d', callback=sent)
    assert [sent.get() for _ in range(4)] == [(None,)] * 4
    no_argument = threading.Event()
    ws.send('e', no_argument.set)  # takes none, gets none
    assert no_argument.wait(TIMEOUT)


def test_a_callback_that_is_none_raises(pair: tuple[WebSocket, WebSocket]) -> None:
    with pytest.raises(TypeError, match='callback'):
        pair[0].send('x', {}, 'callback')  # type: ignore[arg-type]


def test_send_when_not_open() -> None:
    """Items 48 and 49."""
    with echo_server() as wss:
        ws = on_loop(wss, lambda: client(wss))
        told = Waiter()
        for state in ('connecting', 'closed'):
            if state == 'closed':
                end(ws)
            with pytest.raises(NotOpenError, match=r'^not opened$'):
                ws.send('hi')
            ws.send('hi', told)
            assert str(told.get()[0]) == 'not opened'


def test_sizes_at_the_edges(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    message = Waiter()
    ws.on('message', message)
    peer.on('message', lambda data: peer.send(data))
    for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 5 << 20):
        data = bytes(range(256)) * (size // 256 + 1)
        ws.send(data[:size])
        assert message.get()[0] == data[:size]


def test_one_message_to_many_is_the_same_for_all() -> None:
    """A broadcast's frame is built once; it must not leak into other messages."""
    with server() as wss:
        peers = Waiter()
        wss.on('connection', peers)
        clients = [client(wss) for _ in range(5)]
        logs = [Log(ws, 'message') for ws in clients]
        for _ in clients:
            peers.get()
        for text in ('one', b'one', 'two', 'one'):
            for peer in wss.clients:
                peer.send(text)
        for peer in wss.clients:
            peer.send('one', {'binary': True})
        for log in logs:
            assert [log.get()[1] for _ in range(5)] == ['one', b'one', 'two', 'one', b'one']
        for ws in clients:
            end(ws)


# -- ping and pong ----------------------------------------------------------------------------------------------------


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
        ws = on_loop(wss, lambda: client(wss))
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            getattr(ws, kind)()
        assert getattr(ws, kind)('', {}, True) is None
        end(ws)
        with pytest.raises(NotOpenError):
            getattr(ws, kind)('x')


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
