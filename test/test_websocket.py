"""WebSocket: construction, attributes, sending, control frames, closing; against our own server and raw sockets."""

from __future__ import annotations

import array
import contextlib
import itertools
import logging
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

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
    read_all,
    read_head,
    server,
    until,
    url_of,
    wait_for,
)

from ws import HandshakeError, NotOpenError, ProtocolError, WebSocket, WebSocketError, WebSocketServer, timers
from ws.protocol.frames import build_frame
from ws.protocol.handshake import accept_key


@contextlib.contextmanager
def fake_server(talk: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that accepts one connection, reads a request head and leaves the rest to `talk`; yields its URL."""
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(TIMEOUT)

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            sock.settimeout(TIMEOUT)
            with sock:
                talk(sock, read_head(sock))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f'ws://127.0.0.1:{listener.getsockname()[1]}/'
    finally:
        listener.close()
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def header(head: bytes, name: str) -> str:
    for line in head.decode().split('\r\n')[1:]:
        key, _, value = line.partition(': ')
        if key.lower() == name.lower():
            return value
    raise KeyError(name)


def accept(head: bytes, *lines: str) -> bytes:
    """The answer that accepts the handshake `head`."""
    key = accept_key(header(head, 'Sec-WebSocket-Key'))
    rows = ['HTTP/1.1 101 x', 'Upgrade: websocket', 'Connection: Upgrade', f'Sec-WebSocket-Accept: {key}', *lines]
    return '\r\n'.join([*rows, '', '']).encode()


@pytest.fixture
def pair() -> Iterator[tuple[WebSocket, WebSocket]]:
    with open_pair() as ends:
        yield ends


# -- construction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('url', ['echo.websocket.org', '', '//host', 'ws:///x', 'ws://'])
def test_an_address_that_is_none_raises(url: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url$'):
        WebSocket(url)


@pytest.mark.parametrize('url', ['ftp://host/', 'ws://host:99999/', 'ws://ho st/', 'ws://[::1/'])
def test_an_address_that_cannot_work_says_why(url: str) -> None:
    with pytest.raises(ValueError, match=r'^invalid url: .'):
        WebSocket(url)


@pytest.mark.parametrize('address', [None, 5, b'ws://host', {'url': 'ws://host'}])
def test_an_address_that_is_no_text_raises(address: Any) -> None:
    with pytest.raises(TypeError, match='address must be a str'):
        WebSocket(address)


@pytest.mark.parametrize(
    ('options', 'error', 'text'),
    [
        ({'protocolVersion': 7}, ValueError, 'unsupported protocol version'),
        ({'protocolVersion': 'hixie-76'}, ValueError, 'unsupported protocol version'),
        ({'headers': {'X-A': 'b\r\nX-Evil: 1'}}, ValueError, 'X-A'),
        ({'headers': {'X A': 'b'}}, ValueError, 'X A'),
        ({'headers': {'X-A': 5}}, TypeError, 'X-A'),
        ({'protocol': 'a b'}, ValueError, 'a b'),
        ({'origin': 'x\ny'}, ValueError, 'Origin'),
        ({'maxPayload': -1}, ValueError, 'maxPayload'),
        ({'maxPayload': '1'}, TypeError, 'maxPayload'),
        ({'maxFragments': 1.5}, TypeError, 'maxFragments'),
        ({'handshakeTimeout': -1}, ValueError, 'handshakeTimeout'),
        ({'closeTimeout': float('nan')}, ValueError, 'closeTimeout'),
        ({'closeTimeout': True}, TypeError, 'closeTimeout'),
    ],
)
def test_wrong_options_raise_and_name_the_option(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        WebSocket('ws://127.0.0.1:1', options)


def test_options_that_are_no_dict_raise() -> None:
    with pytest.raises(TypeError, match='options of WebSocket must be a dict'):
        WebSocket('ws://127.0.0.1:1', None, 'options')  # type: ignore[arg-type]


def test_an_unknown_option_is_ignored_with_a_warning() -> None:
    with echo_server() as wss:
        with pytest.warns(
            UserWarning, match=r"no option 'maxPayloads': ignored; did you mean 'maxPayload'\?"
        ) as caught:
            ws = WebSocket(url_of(wss), {'maxPayloads': 1})
        assert caught[0].filename == __file__
        end(ws)


def test_the_callers_dict_is_left_alone_and_none_means_not_given() -> None:
    with echo_server() as wss:
        options = {'protocolVersion': None, 'headers': None, 'closeTimeout': 7}
        ws = WebSocket(url_of(wss), options)
        assert options == {'protocolVersion': None, 'headers': None, 'closeTimeout': 7}
        assert ws.options.protocolVersion == 13
        assert ws.options['closeTimeout'] == 7
        end(ws)


def test_options_as_dict_and_as_keywords() -> None:
    with echo_server() as wss:
        ws = WebSocket(url_of(wss), {'closeTimeout': 1, 'origin': 'a'}, origin='b')
        assert (ws.options.closeTimeout, ws.options.origin) == (1, 'b')
        end(ws)


# -- the request ------------------------------------------------------------------------------------------------------


def test_what_the_server_sees_of_the_options() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        address = wss.address()
        assert address is not None
        ws = WebSocket(
            f'ws://user:p%40ss@127.0.0.1:{address.port}/path?query=1#fragment',
            ['first', 'second'],
            {'origin': 'http://example.org', 'headers': {'Cookie': 'a=b'}, 'protocol': 'second, third'},
        )
        peer, request = connected.get()
        assert request is peer.upgradeReq
        assert (request.method, request.url, request.httpVersion) == ('GET', '/path?query=1', '1.1')
        assert request.headers['host'] == f'127.0.0.1:{address.port}'
        assert request.headers['Origin'] == 'http://example.org'
        assert request.headers['cookie'] == 'a=b'
        assert request.headers['authorization'] == 'Basic dXNlcjpwQHNz'
        assert request.headers['sec-websocket-protocol'] == 'first, second, third'
        assert request.connection.remoteAddress == '127.0.0.1'
        assert request.connection.remotePort == on_loop(ws, lambda: ws._socket and ws._socket.localPort)
        wait_for(ws, 'open')
        assert ws.protocol == peer.protocol == 'first'
        end(ws)


@pytest.mark.parametrize('version', [8, 13, '8', '13'])
def test_protocol_version(version: Any) -> None:
    with echo_server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, protocolVersion=version, origin='http://o')
        log = Log(ws, 'open', 'message')
        log.until('open')
        peer, request = connected.get()
        assert ws.protocolVersion == version
        assert peer.protocolVersion == int(version)
        assert request.headers['sec-websocket-version'] == str(version)
        assert request.headers['origin' if int(version) == 13 else 'sec-websocket-origin'] == 'http://o'
        ws.send('hi')
        assert log.get()[1] == 'hi'
        end(ws)


def test_origin_and_host_by_default_are_the_address() -> None:
    """Items 91 and 92."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        port = wss.address().port  # type: ignore[union-attr]
        ws = WebSocket(f'ws://localhost:{port}')
        _, request = connected.get()
        assert request.headers['host'] == request.headers['origin'] == f'localhost:{port}'
        end(ws)


# -- what can go wrong with the answer --------------------------------------------------------------------------------


def refuse(status: str) -> Callable[[socket.socket, bytes], None]:
    return lambda sock, head: sock.sendall(f'HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n'.encode())


@pytest.mark.parametrize(
    ('answer', 'text'),
    [
        (refuse('401 Unauthorized'), 'unexpected server response (401)'),
        (refuse('200 OK'), 'unexpected server response (200)'),
        (lambda sock, head: sock.sendall(accept(head).replace(b'Accept: ', b'Accept: x')), 'invalid server key'),
        (lambda sock, head: sock.sendall(accept(head).replace(b'Upgrade: websocket', b'Upgrade: tcp')), 'Upgrade'),
        (
            lambda sock, head: sock.sendall(accept(head, 'Sec-WebSocket-Protocol: a')),
            'server sent a subprotocol even though none requested',
        ),
        (lambda sock, head: sock.sendall(accept(head, 'Sec-WebSocket-Extensions: x')), 'extension'),
        (lambda sock, head: sock.sendall(b'SSH-2.0-OpenSSH_9\r\n'), 'SSH-2.0'),
        (lambda sock, head: sock.sendall(b'HTTP/1.1 101 x\r\nBad Header: y\r\n\r\n'), 'header'),
        (lambda sock, head: sock.sendall(b'HTTP/1.1 101 x\r\n' + b'X: y\r\n' * 5000), 'head'),
        (lambda sock, head: None, 'closed the connection before it answered'),
    ],
)
def test_an_answer_that_is_wrong(answer: Callable[[socket.socket, bytes], None], text: str) -> None:
    """One `error`, one `close` with 1006, no `open`."""
    with fake_server(answer) as url:
        log = Log(WebSocket(url))
        kind, error = log.get()
        assert kind == 'error'
        assert isinstance(error, HandshakeError)
        assert text in str(error)
        assert error.status == (int(text[-4:-1]) if 'unexpected' in text else None)
        assert log.get() == ('close', 1006, '')


@pytest.mark.parametrize(
    ('protocols', 'line', 'text'),
    [
        ('a', None, 'server sent no subprotocol even though requested'),
        (['a', 'b'], 'c', 'server responded with an invalid protocol'),
    ],
)
def test_an_answer_with_a_wrong_subprotocol(protocols: Any, line: Any, text: str) -> None:
    lines = [f'Sec-WebSocket-Protocol: {line}'] if line else []
    with fake_server(lambda sock, head: sock.sendall(accept(head, *lines))) as url:
        log = Log(WebSocket(url, protocols))
        assert str(log.get()[1]) == text
        assert log.get() == ('close', 1006, '')


def test_nobody_listens() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    log = Log(WebSocket(f'ws://127.0.0.1:{port}'))
    error = log.get()[1]
    assert isinstance(error, ConnectionRefusedError)
    assert str(port) in str(error)
    assert log.get() == ('close', 1006, '')


def test_a_name_that_does_not_exist() -> None:
    log = Log(WebSocket('ws://does-not-exist.invalid'))
    error = log.get()[1]
    assert isinstance(error, socket.gaierror)
    assert 'does-not-exist.invalid' in str(error)
    assert log.get() == ('close', 1006, '')


def test_the_handshake_times_out() -> None:
    done = threading.Event()
    with fake_server(lambda sock, head: done.wait(TIMEOUT) and None) as url:
        log = Log(WebSocket(url, handshakeTimeout=100))
        assert str(log.get()[1]) == 'opening handshake has timed out'
        assert log.get() == ('close', 1006, '')
        done.set()


def test_an_answer_byte_by_byte_with_a_frame_behind_it() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        for byte in accept(head) + build_frame(1, b'hello'):
            sock.sendall(bytes([byte]))
        read_all(sock)

    with fake_server(talk) as url:
        ws = WebSocket(url)
        log = Log(ws)
        assert [entry[:2] for entry in (log.get(), log.get())] == [('open',), ('message', 'hello')]
        assert ws.bytesReceived == 7
        end(ws)


# -- attributes -------------------------------------------------------------------------------------------------------


def test_the_states_are_on_class_and_instance() -> None:
    """Items 16 to 23."""
    with echo_server() as wss:
        ws = client(wss)
        for number, name in enumerate(('CONNECTING', 'OPEN', 'CLOSING', 'CLOSED')):
            assert getattr(WebSocket, name) == getattr(ws, name) == number
        end(ws)


def test_ready_state_through_a_life() -> None:
    """Items 12, 13 and 14."""
    with echo_server() as wss:
        states = []
        ws = on_loop(wss, lambda: client(wss))
        states.append(ws.readyState)
        closed = Waiter()
        ws.on('open', lambda: (states.append(ws.readyState), ws.close(), states.append(ws.readyState)))
        ws.on('close', lambda: (states.append(ws.readyState), closed()))
        closed.get()
        assert states == [ws.CONNECTING, ws.OPEN, ws.CLOSING, ws.CLOSED]


def test_attributes_of_both_ends(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    assert ws.url is not None and ws.url.startswith('ws://127.0.0.1:') and peer.url is None
    assert ws.upgradeReq is None and peer.upgradeReq is not None
    assert ws.protocol is None and peer.protocol is None
    assert ws.protocolVersion == peer.protocolVersion == 13  # item 6
    assert ws.supports.binary is True and peer.supports['binary'] is True  # item 89
    assert ws.bufferedAmount == peer.bufferedAmount == 0
    assert ws.bytesReceived == peer.bytesReceived == 0
    ws.any_name = peer.id = 5  # type: ignore[attr-defined]
    assert 'OPEN' in repr(ws) and 'OPEN' in repr(peer)


def test_bytes_received_counts_frames(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 4."""
    ws, peer = pair
    message = Waiter()
    ws.on('message', message)
    peer.send('foobar')
    message.get()
    assert ws.bytesReceived == 8


def test_buffered_amount_grows_when_the_peer_does_not_read(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 9."""
    ws, peer = pair
    ws.pause()

    def flood() -> int:
        for _ in range(10_000):
            peer.send('x' * 50_000)
            if peer.bufferedAmount > 1 << 20:
                break
        return peer.bufferedAmount

    assert on_loop(peer, flood) > 1 << 20
    end(peer)
    assert peer.bufferedAmount == 0


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
            assert str(peer_log.get()[1]) == 'MASK must be set'
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


def test_a_server_may_mask(pair: tuple[WebSocket, WebSocket]) -> None:
    """Its client fails the connection (RFC 6455 section 5.1)."""
    ws, peer = pair
    log = Log(ws, 'error', 'close')
    peer.send('x', {'mask': True})
    kind, error, code = log.get()
    assert (kind, str(error), code) == ('error', 'MASK must be clear', 1002)
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
            until(lambda: peer._socket.stalled)
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


# -- pause and resume -------------------------------------------------------------------------------------------------


def test_pause_and_resume(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 31."""
    ws, peer = pair
    message = Waiter()
    peer.on('message', message)
    peer.pause()
    on_loop(peer, lambda: None)
    ws.send('hi')
    assert message.nothing()
    peer.resume()
    assert message.get()[0] == 'hi'


def test_pause_in_a_listener_is_at_once(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    message = Waiter()
    peer.on('message', lambda this, text: (message(text), this.pause()))
    on_loop(ws, lambda: [ws.send(str(number)) for number in range(3)])  # in one packet
    for number in range(3):
        assert message.get() == (str(number),)
        assert message.nothing(0.05)
        peer.resume()


def test_one_message_at_a_time(pair: tuple[WebSocket, WebSocket]) -> None:
    """A listener that pauses, and resumes when it is done, is sent no more than it can take."""
    ws, peer = pair
    handled = Waiter()
    peer.on('message', lambda this, data: (this.pause(), handled(len(data))))
    on_loop(ws, lambda: [ws.send(b'x' * 10_000) for _ in range(500)])
    for _ in range(20):
        assert handled.get() == (10_000,)
        peer.resume()
    handled.get()
    before = peer.bytesReceived
    assert before < 20 * 65_536  # one read for each time it was resumed, not the five megabytes
    assert handled.nothing(0.1)
    assert peer.bytesReceived == before


def test_pause_in_a_connection_listener() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: (ws.pause(), connected(ws)))
        ws = client(wss)
        wait_for(ws, 'open')
        peer = connected.get()[0]
        on_loop(ws, lambda: [ws.send(b'x' * 10_000) for _ in range(100)])
        messages = Waiter()
        peer.on('message', messages)
        assert messages.nothing(0.1)
        assert peer.bytesReceived == 0
        peer.resume()
        for _ in range(100):
            messages.get()
        end(ws)


def test_what_was_kept_waits_for_resume() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: [ws.send(str(number)) for number in range(3)])
        ws = client(wss)
        ws.on('open', lambda: None)
        until(lambda: ws._kept is not None and len(ws._kept.waiting) == 3)
        ws.pause()
        messages = Waiter()
        ws.on('message', messages)
        assert messages.nothing(0.1)
        ws.resume()
        assert [messages.get()[0] for _ in range(3)] == ['0', '1', '2']
        end(ws)


def test_pausing_what_is_being_closed_changes_nothing(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    closed = Waiter()
    ws.on('close', closed)
    ws.close(1000, 'x')
    with contextlib.suppress(NotOpenError):
        ws.pause()
    assert closed.get() == (1000, 'x')


def test_pause_when_not_open_raises() -> None:
    with echo_server() as wss:
        ws = on_loop(wss, lambda: client(wss))
        for method in (ws.pause, ws.resume):
            with pytest.raises(NotOpenError):
                method()
        end(ws)


def test_a_paused_socket_can_be_closed(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    ws.pause()
    assert end(ws, 'close', 1000, 'x') == (1000, 'x')


# -- close and terminate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('args', 'seen', 'answer'),
    [
        ((), (1000, ''), (1000, '')),
        ((1000,), (1000, ''), (1000, '')),
        ((1000, 'some reason'), (1000, 'some reason'), (1000, 'some reason')),
        ((None, 'r'), (1000, 'r'), (1000, 'r')),
        ((1001, 'Grüße'), (1001, 'Grüße'), (1001, 'Grüße')),
        ((4999, b'x' * 123), (4999, 'x' * 123), (4999, 'x' * 123)),
    ],
)
@pytest.mark.parametrize('side', ['client', 'server'])
def test_close(pair: tuple[WebSocket, WebSocket], args: Any, seen: Any, answer: Any, side: str) -> None:
    """Items 74 to 77: both ends see the code and the reason."""
    this, other = pair if side == 'client' else pair[::-1]
    heard = Waiter()
    other.on('close', heard)
    assert end(this, 'close', *args) == answer
    assert heard.get() == seen


@pytest.mark.parametrize('code', ['error', 1004, 1005, 1006, 999, 0, 2000, 5000, 1000.0, True])
@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_close_with_a_bad_code(pair: tuple[WebSocket, WebSocket], code: Any, where: str) -> None:
    """Items 72 and 73: it raises if nobody listens for errors; state and connection stay as they were."""
    ws, _ = pair

    def close() -> None:
        ws.close(code)

    with pytest.raises(WebSocketError, match='first argument must be a valid error code number'):
        on_loop(ws, close) if where == 'loop' else close()
    errors = Waiter()
    ws.on('error', errors)
    on_loop(ws, close) if where == 'loop' else close()
    assert str(errors.get()[0]) == 'first argument must be a valid error code number'
    assert ws.readyState == ws.OPEN


@pytest.mark.parametrize(
    ('reason', 'text'),
    [('x' * 124, '123 bytes'), ('ü' * 62, '123 bytes'), (b'x' * 124, '123 bytes'), (5, 'string'), (b'\xff', 'UTF-8')],
)
def test_close_with_a_bad_reason(pair: tuple[WebSocket, WebSocket], reason: Any, text: str) -> None:
    ws, _ = pair
    with pytest.raises(WebSocketError, match=text):
        ws.close(1000, reason)
    assert ws.readyState == ws.OPEN


def test_nothing_is_said_after_close(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    log = Log(ws, 'error', 'close')
    release = threading.Event()
    ws._loop.call(lambda: release.wait(TIMEOUT))
    ws.terminate()
    ws.close(9999)  # an error, told too late
    ws.ping()
    release.set()
    assert log.get() == ('close', 1006, '')
    assert log.nothing(0.05)


def test_closing_twice_changes_nothing(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    closed = Waiter()
    ws.on('close', closed)
    ws.close(1000, 'first')
    ws.close(1001, 'second')
    assert closed.get() == (1000, 'first')
    ws.close()
    assert closed.nothing(0.05)


@pytest.mark.parametrize('method', ['close', 'terminate'])
@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_ending_while_connecting(method: str, where: str) -> None:
    """Items 14, 15, 26 and 27: no `open`, no `error`, one `close` with 1006; the listener may come after the call."""
    with echo_server() as wss:

        def connect_and_end() -> Log:
            ws = client(wss)
            getattr(ws, method)()
            return Log(ws)

        log = on_loop(wss, connect_and_end) if where == 'loop' else connect_and_end()
        events = log.until('close')
        if where == 'loop':  # elsewhere it may have opened before the call
            assert events == [('close', 1006, '')]
        assert log.nothing(0.05)


def test_terminate(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    heard = Waiter()
    peer.on('close', heard)

    def terminate() -> int:
        ws.terminate()
        return ws.readyState

    closed = Waiter()
    ws.on('close', closed)
    assert on_loop(ws, terminate) == ws.CLOSING
    assert closed.get() == heard.get() == (1006, '')
    ws.terminate()
    assert ws.readyState == ws.CLOSED


def test_a_peer_that_never_answers_the_close() -> None:
    finished = threading.Event()

    def deaf(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        finished.wait(TIMEOUT)

    with fake_server(deaf) as url:
        ws = WebSocket(url, closeTimeout=100)
        wait_for(ws, 'open')
        assert end(ws, 'close', 1000) == (1006, '')
        finished.set()


@pytest.mark.parametrize('last', [b'\x88\x02\x03\xe8', b''], ids=['close frame', 'end of sending'])
def test_a_peer_that_never_ends_the_connection(last: bytes) -> None:
    """After its close frame, or after it has finished sending without reading what we still have to say."""
    finished = threading.Event()

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + last)
        if not last:
            sock.shutdown(socket.SHUT_WR)
        finished.wait(TIMEOUT)

    with fake_server(talk) as url:
        ws = WebSocket(url, closeTimeout=100)
        ws.on('open', lambda: [ws.send(b'x' * 65536) for _ in range(400)])
        closed = Waiter()
        ws.on('close', closed)
        assert closed.get() == ((1000, '') if last else (1006, ''))
        finished.set()


def test_a_reset_and_a_timeout_at_once_are_one_failure() -> None:
    blocked, reset = threading.Event(), threading.Event()

    def talk(sock: socket.socket, head: bytes) -> None:
        assert blocked.wait(TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        sock.close()
        reset.set()

    def block() -> None:
        blocked.set()
        reset.wait(TIMEOUT)
        threading.Event().wait(0.5)  # past the deadline: reset and timeout are found in the same turn

    with fake_server(talk) as url:
        ws = WebSocket(url, handshakeTimeout=500)
        log = Log(ws)
        until(lambda: ws._opening is not None and ws._opening._stream is not None)
        ws._loop.call(block)
        assert [event[0] for event in log.until('close')] == ['error', 'close']
        assert log.nothing(0.05)


def test_a_late_listener_hears_of_a_reset() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    for listens in (True, False):  # and if nobody does, it is not reported: `close` says enough
        with fake_server(talk) as url:
            ws = WebSocket(url)
            opened = Waiter()
            ws.on('open', opened)
            opened.get()
            ws.send('x')
            until(lambda: ws.readyState == ws.CLOSED)  # noqa: B023  # called before the next round
            log = Log(ws, 'error', 'close') if listens else Log(ws, 'close')
            events = log.until('close')
            assert [type(event[1]) for event in events[:-1]] == ([ConnectionResetError] if listens else [])
            assert events[-1] == ('close', 1006, '')


def test_a_peer_that_vanishes_without_a_close_frame() -> None:
    with fake_server(lambda sock, head: sock.sendall(accept(head))) as url:
        log = Log(WebSocket(url))
        assert log.until('close') == [('open',), ('close', 1006, '')]


def test_a_peer_that_resets_the_connection() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + build_frame(1, b'last words'))
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    with fake_server(talk) as url:
        ws = WebSocket(url)
        log = Log(ws)
        assert [entry[0] for entry in (log.get(), log.get())] == ['open', 'message']
        ws.send('go on')
        events = log.until('close')
        assert events[-1] == ('close', 1006, '')
        assert [type(event[1]) for event in events[:-1]] in ([], [ConnectionResetError])


def test_a_close_frame_without_a_code() -> None:
    """RFC 6455 section 7.1.5: 1005, and never on the wire."""

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + b'\x88\x00')
        answers.put_nowait(read_all(sock))

    answers: queue.Queue[bytes] = queue.Queue()
    with fake_server(talk) as url:
        log = Log(WebSocket(url))
        assert log.until('close') == [('open',), ('close', 1005, '')]
        answer = answers.get(timeout=TIMEOUT)
    assert answer[:2] == b'\x88\x80'  # masked, and as empty


def test_a_close_frame_behind_messages_and_a_fin() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + build_frame(1, b'1') + build_frame(1, b'2') + b'\x88\x05\x0b\xb8bye')
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)

    with fake_server(talk) as url:
        events = Log(WebSocket(url)).until('close')
    assert [event[:3] if event[0] == 'close' else event[:2] for event in events] == [
        ('open',), ('message', '1'), ('message', '2'), ('close', 3000, 'bye'),
    ]  # fmt: skip


def test_what_is_queued_goes_out_before_the_close_frame(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    log = Log(peer, 'message', 'close')

    def send_all() -> None:
        for _ in range(50):
            ws.send(b'x' * 100_000)
        ws.close(1000, 'done')

    on_loop(ws, send_all)
    assert [len(log.get()[1]) for _ in range(50)] == [100_000] * 50
    assert log.get() == ('close', 1000, 'done')


# -- what a peer may do wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('data', 'text', 'code'),
    [
        (b'\xf1\x00', 'reserved fields must be empty', 1002),
        (b'\x80\x00', 'continuation frame cannot follow current opcode', 1002),
        (b'\x83\x00', 'no handler for opcode 3', 1002),
        (b'\x09\x00', 'fragmented ping is not supported', 1002),
        (b'\x89\x7e', 'control frames cannot have more than 125 bytes of data', 1002),
        (b'\x81\x80', 'MASK must be clear', 1002),
        (b'\x88\x01', 'close packets with data must be at least two bytes long', 1002),
        (b'\x88\x02\x03\xec', 'invalid error code', 1002),
        (b'\x81\x01\xff', 'invalid utf8 sequence', 1007),
        (b'\x82\x7f\0\0\0\0\x06\x40\0\1', 'Max payload size exceeded', 1009),
        (b'\x82\x7f\0\0\0\1\0\0\0\0', 'packets with length spanning more than 32 bit', 1008),
    ],
)
def test_a_frame_that_breaks_a_rule(data: bytes, text: str, code: int) -> None:
    """RFC 6455 section 7.1.7: a close frame with the code, one `error`, and the end; other connections go on."""
    seen: list[bytes] = []

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + build_frame(1, b'fine') + data)
        seen.append(read_all(sock))

    with echo_server() as wss, fake_server(talk) as url:
        other = client(wss)
        other_log = Log(other)
        other_log.until('open')
        log = Log(WebSocket(url))
        events = log.until('close')
        assert [event[0] for event in events] == ['open', 'message', 'error', 'close']
        error = events[2][1]
        assert isinstance(error, ProtocolError)
        assert str(error).startswith(text)
        assert error.code == events[2][2] == code
        assert events[3] == ('close', 1006, '')
        other.send('unharmed')
        assert other_log.get()[1] == 'unharmed'
        end(other)
    answer = seen[0]
    key = answer[2:6]
    assert answer[:2] == b'\x88\x82'
    assert int.from_bytes(bytes(a ^ b for a, b in zip(answer[6:8], key)), 'big') == code


def test_max_payload_and_max_fragments(pair: tuple[WebSocket, WebSocket]) -> None:
    with server(maxPayload=10, maxFragments=3, closeTimeout=100) as wss:
        peers = Waiter()
        wss.on('connection', peers)
        for parts, text in (([b'x' * 11], 'Max payload size exceeded'), ([b'x'] * 4, 'Too many message fragments')):
            with raw_client(wss) as sock:
                log = Log(peers.get()[0])
                for number, part in enumerate(parts):
                    sock.sendall(build_frame(2 if number == 0 else 0, part, number == len(parts) - 1, True))
                assert str(log.get()[1]) == text
                assert log.get() == ('close', 1006, '')


def test_nothing_is_heard_after_a_protocol_error() -> None:
    with server(closeTimeout=100) as wss:
        peers = Waiter()
        wss.on('connection', peers)
        with raw_client(wss) as sock:
            log = Log(peers.get()[0])
            sock.sendall(b'\xff' + build_frame(1, b'after', True, True) * 3)
            assert read_all(sock) == b'\x88\x02\x03\xea'
            assert [event[0] for event in log.until('close')] == ['error', 'close']


def test_fragments_of_a_message_with_a_ping_between(pair: tuple[WebSocket, WebSocket]) -> None:
    with server() as wss:
        peers = Waiter()
        wss.on('connection', peers)
        with raw_client(wss) as sock:
            log = Log(peers.get()[0])
            sock.sendall(build_frame(1, b'Hel', False, True) + build_frame(9, b'?', True, True))
            assert log.get()[:2] == ('ping', b'?')
            sock.sendall(build_frame(0, b'lo', True, True))
            assert log.get()[:2] == ('message', 'Hello')


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def authority() -> Any:
    return pytest.importorskip('trustme').CA()


@pytest.fixture(scope='module')
def certificate(authority: Any) -> dict[str, bytes]:
    issued = authority.issue_cert('localhost', '127.0.0.1')
    return {
        'cert': b''.join(blob.bytes() for blob in issued.cert_chain_pems),
        'key': issued.private_key_pem.bytes(),
    }


def test_tls(authority: Any, certificate: dict[str, bytes]) -> None:
    """Items 84, 87 and 88."""
    with echo_server(**certificate) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = WebSocket(url_of(wss, scheme='wss'), {'ca': authority.cert_pem.bytes()})
        log = Log(ws)
        assert log.get() == ('open',)
        assert connected.get()[1].connection.encrypted is True
        ws.send('text over TLS')
        assert log.get()[1] == 'text over TLS'
        data = bytes(range(256)) * (5 << 12)
        ws.send(data)
        assert log.get()[1] == data
        ws.close(3000, 'bye')
        assert log.get() == ('close', 3000, 'bye')


def test_tls_with_pfx(authority: Any) -> None:
    serialization = pytest.importorskip('cryptography.hazmat.primitives.serialization')
    pkcs12 = pytest.importorskip('cryptography.hazmat.primitives.serialization.pkcs12')
    x509 = pytest.importorskip('cryptography.x509')
    issued = authority.issue_cert('localhost', '127.0.0.1')
    pfx = pkcs12.serialize_key_and_certificates(
        None,
        serialization.load_pem_private_key(issued.private_key_pem.bytes(), None),
        x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()),
        None,
        serialization.BestAvailableEncryption(b'secret'),
    )
    with echo_server(pfx=pfx, passphrase='secret') as wss:
        options = {'ca': authority.cert_pem.bytes(), 'pfx': pfx, 'passphrase': 'secret'}
        ws = WebSocket(url_of(wss, scheme='wss'), options)
        log = Log(ws)
        assert log.get() == ('open',)
        ws.send('text over TLS')
        assert log.get()[1] == 'text over TLS'
        end(ws)
    with pytest.raises(ValueError, match=r'^pfx cannot be opened'):
        WebSocket('wss://127.0.0.1:1', pfx=pfx)
    with pytest.raises(ValueError, match=r'^pfx cannot be opened'):
        WebSocketServer(port=0, pfx=pfx, passphrase='wrong')


def test_tls_certificates_are_verified(certificate: dict[str, bytes]) -> None:
    with echo_server(**certificate) as wss:
        log = Log(WebSocket(url_of(wss, scheme='wss')))
        kind, error = log.get()
        assert kind == 'error' and 'CERTIFICATE_VERIFY_FAILED' in str(error)
        assert log.get() == ('close', 1006, '')
        ws = WebSocket(url_of(wss, scheme='wss'), rejectUnauthorized=False)
        wait_for(ws, 'open')
        end(ws)


def test_tls_host_names_are_verified(authority: Any) -> None:
    issued = authority.issue_cert('example.org')
    options = {'cert': issued.cert_chain_pems[0].bytes().decode(), 'key': issued.private_key_pem.bytes().decode()}
    with echo_server(**options) as wss:
        log = Log(WebSocket(url_of(wss, scheme='wss'), ca=[authority.cert_pem.bytes().decode()]))
        kind, error = log.get()
        assert kind == 'error' and '127.0.0.1' in str(error)
        assert log.get() == ('close', 1006, '')


def test_plain_to_tls_and_the_other_way_round(certificate: dict[str, bytes]) -> None:
    """Item 86."""
    with echo_server(**certificate) as wss:
        log = Log(WebSocket(url_of(wss), rejectUnauthorized=False))
        assert log.get()[0] == 'error'
        assert log.get() == ('close', 1006, '')
    with echo_server() as wss:
        log = Log(WebSocket(url_of(wss, scheme='wss'), rejectUnauthorized=False))
        assert log.get()[0] == 'error'
        assert log.get() == ('close', 1006, '')


def test_tls_options_that_make_no_sense_raise(certificate: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match='cert and key'):
        WebSocket('wss://127.0.0.1:1', cert=certificate['cert'])
    with pytest.raises(OSError, match='PEM'):
        WebSocket('wss://127.0.0.1:1', cert='not PEM', key='neither')
    with pytest.raises(OSError, match=r'(?i)cipher'):
        WebSocket('wss://127.0.0.1:1', ciphers='NO-SUCH-CIPHER')


# -- UNIX sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='this platform has no UNIX sockets')
def test_a_unix_socket(tmp_path: Any) -> None:
    path = str(tmp_path / 's')
    heads: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(TIMEOUT)

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(TIMEOUT)
            heads.append(read_head(sock))
            sock.sendall(accept(heads[0]) + build_frame(1, b'hello') + b'\x88\x00')
            read_all(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    log = Log(WebSocket(f'ws+unix:{path}:/chat?x=1'))
    assert [event[:2] for event in log.until('close')] == [('open',), ('message', 'hello'), ('close', 1005)]
    thread.join(TIMEOUT)
    listener.close()
    assert heads[0].startswith(b'GET /chat?x=1 HTTP/1.1\r\n')


def test_a_unix_socket_that_is_not_there(tmp_path: Any) -> None:
    log = Log(WebSocket(f'ws+unix:{tmp_path}/none:/'))
    assert isinstance(log.get()[1], FileNotFoundError)
    assert log.get() == ('close', 1006, '')


def test_the_flags_of_a_message_may_be_the_options_of_its_echo() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data, flags: ws.send(data, flags)))
        ws = client(wss)
        log = Log(ws, 'open', 'message')
        log.until('open')
        for data in 'text', b'binary':
            ws.send(data)
            assert log.get()[1] == data
        end(ws)


def test_the_log_of_a_handshake_knows_only_one_line_end(caplog: pytest.LogCaptureFixture) -> None:
    """Python's splitlines knows more of them, which may stand in a header."""
    with server() as wss, caplog.at_level(logging.DEBUG, 'ws.handshake'):
        ws = client(wss, headers={'X-Name': 'a\x85b'})
        Log(ws).until('open')
        end(ws)
    assert '> X-Name: a\x85b' in caplog.messages
