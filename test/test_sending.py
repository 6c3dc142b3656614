"""WebSocket: what is sent by send, and the options of send, ping and pong."""

from __future__ import annotations

import array
import io
import struct
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any, Union

import ends
import pytest
from streams import receive
from support import TIMEOUT, Log, Waiter, client, echo_server, end, on_loop, server, until, wait_for

from ws import NotOpenError, WebSocket
from ws.protocol.frames import build_frame

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
        told = Waiter()

        def connecting() -> WebSocket:
            ws = client(wss)
            with pytest.raises(NotOpenError, match=r'^not opened$'):
                ws.send('hi')
            ws.send('hi', told)
            return ws

        ws = on_loop(wss, connecting)  # which is held up for that long
        assert str(told.get()[0]) == 'not opened'
        end(ws)
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


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('options', [5, True, 'utf8', [('binary', True)], Odd()])
@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_what_is_neither_options_nor_a_callback_is_ignored(
    pair: tuple[WebSocket, WebSocket], options: Any, where: str
) -> None:
    """As in Node; here with a warning, which points at the call."""
    ws, peer = pair
    message, told = Waiter(), Waiter()
    peer.on('message', message)
    with pytest.warns(UserWarning) as warned:
        if where == 'loop':
            on_loop(ws, lambda: ws.send('x', options))
        else:
            ws.send('x', options)
    assert message.get()[0] == 'x'
    [warning] = warned
    assert str(warning.message) == f'the options of send() must be a dict, not {type(options).__name__}: ignored'
    assert warning.filename == __file__
    with pytest.warns(UserWarning, match='must be a dict'):
        ws.send('y', options, told)
    assert told.get() == (None,)
    assert message.get()[0] == 'y'


@pytest.mark.parametrize('kind', ['ping', 'pong'])
@pytest.mark.parametrize('options', ['x', 5, 1, b'', [True]])
def test_what_is_no_mask_of_ping_and_pong_is_ignored(
    pair: tuple[WebSocket, WebSocket], kind: str, options: Any
) -> None:
    """Only a bool is ws 8's; a server must not mask what nobody wanted masked."""
    for this, other in (pair, pair[::-1]):
        heard = Waiter()
        other.on(kind, lambda data, flags, heard=heard: heard(data, flags.masked))
        with pytest.warns(UserWarning) as warned:
            getattr(this, kind)('9', options)
        assert heard.get() == (b'9', this is pair[0])
        [warning] = warned
        assert str(warning.message) == f'the options of {kind}() must be a dict, not {type(options).__name__}: ignored'
        assert warning.filename == __file__


def test_the_flags_of_a_ping_are_no_mask(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    heard = Waiter()
    ws.on('pong', lambda data, flags: heard(data, flags.masked))
    peer.on('ping', lambda data, flags: peer.pong(b'again: ' + data, flags))
    ws.ping('x')
    assert [heard.get(), heard.get()] == [(b'x', False), (b'again: x', False)]


def send_x(error: Any, send: Any) -> None:
    if error is None:
        send('x', True)


@pytest.mark.parametrize(
    ('call', 'method', 'name', 'hint'),
    [
        (lambda ws: ws.send('x', {'compres': False}), 'send', 'compres', "; did you mean 'compress'?"),
        (lambda ws: ws.send('x', {'binary': False, 'frob': 1}), 'send', 'frob', ''),
        (lambda ws: ws.send('x', {'maks': True}, lambda: None), 'send', 'maks', "; did you mean 'mask'?"),
        (lambda ws: ws.ping('x', {'msk': True}), 'ping', 'msk', "; did you mean 'mask'?"),
        (lambda ws: ws.pong('x', {'compress': True}), 'pong', 'compress', ''),
        (lambda ws: ws.stream({'binry': 1}, send_x), 'stream', 'binry', "; did you mean 'binary'?"),
        (lambda ws: ws.stream({'fin': False}, send_x), 'stream', 'fin', ''),
    ],
)  # fmt: skip
def test_unknown_options_get_a_warning(
    pair: tuple[WebSocket, WebSocket], call: Any, method: str, name: str, hint: str
) -> None:
    """As those of constructors."""
    ws, peer = pair
    heard = Waiter()
    for event in ('message', 'ping', 'pong'):
        peer.on(event, heard)
    with pytest.warns(UserWarning) as warned:
        call(ws)
    [warning] = warned
    assert str(warning.message) == f'{method}() has no option {name!r}: ignored{hint}'
    assert warning.filename == __file__
    assert heard.get()[0] in ('x', b'x')


@pytest.mark.parametrize(
    'options', [{}, {'binary': None}, {'mask': None, 'compress': None, 'fin': None}, {'compress': True, 'mask': True}]
)
def test_known_options_get_none(pair: tuple[WebSocket, WebSocket], options: dict[str, Any]) -> None:
    ws, peer = pair
    heard = Waiter()
    peer.on('message', heard)
    ws.send('x', options)  # a warning is an error here
    assert heard.get()[0] == 'x'
    ws.ping('x', {'mask': True, 'binary': True})  # as 0.4.31 documents it


# -- fragments by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
@pytest.mark.parametrize('kind', ends.KINDS)
def test_fragments_by_hand(kind: str, where: str) -> None:
    """As in ws 8: with ``fin`` false, the next call goes on with the message; the first says what it is."""
    with ends.connection(kind) as this:
        ws = this.ws

        def send() -> None:
            ws.send('one ', {'fin': False, 'mask': False})
            ws.ping('between', False)
            ws.send(b'two ', fin=False, mask=False)
            ws.send('three', {'binary': True, 'mask': False})
            ws.send('whole', {'mask': False})

        on_loop(ws, send) if where == 'loop' else send()
        if kind == 'hixie':
            expected = b'\0one two three\xff\0whole\xff'
        else:
            expected = b''.join([
                build_frame(1, b'one ', False), build_frame(9, b'between'), build_frame(0, b'two ', False),
                build_frame(0, b'three'), build_frame(1, b'whole'),
            ])  # fmt: skip
        assert receive(this.sock, len(expected)) == expected


@pytest.mark.parametrize('compress', [True, False])
def test_fragments_by_hand_are_one_message(compress: bool) -> None:
    with server(perMessageDeflate={'threshold': 0}) as wss:
        connected, message = Waiter(), Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        wait_for(ws, 'open')
        connected.get()[0].on('message', message)
        told = Waiter()
        ws.send(b'ab', {'fin': False, 'compress': compress}, told)
        ws.send('', {'fin': False})
        ws.send('cd', told)
        assert message.get()[0] == b'abcd'
        assert [told.get(), told.get()] == [(None,)] * 2
        end(ws)


def test_fragments_and_files_and_streams(pair: tuple[WebSocket, WebSocket]) -> None:
    """All of them go on with what was begun, each in its turn."""
    ws, peer = pair
    message = Waiter()
    peer.on('message', lambda data: message(data))
    ws.send('a', {'fin': False})
    ws.send(io.StringIO('b'), {'fin': False})
    ws.send('c', {'fin': False})
    ws.stream(lambda error, send: error or send('d', True))
    ws.send('e')
    assert [message.get(), message.get()] == [('abcd',), ('e',)]


# -- bufferedAmount ---------------------------------------------------------------------------------------------------


@pytest.mark.loop
@pytest.mark.parametrize('kind', ends.KINDS)
def test_buffered_amount_is_what_the_system_does_not_take(kind: str) -> None:
    """On the loop thread it is 0 right after a send, as in Node, whatever is called from there."""
    with ends.connection(kind) as this:
        ws = this.ws
        order: list[object] = []

        def send_and_look() -> None:
            for _ in range(10):
                ws.send('x', lambda: order.append('callback'))
                order.append(ws.bufferedAmount)
            ws.ping()
            order.append(ws.bufferedAmount)

        on_loop(ws, send_and_look)
        on_loop(ws, lambda: None)
        assert order == [0] * 11 + ['callback'] * 10  # which are not called from within

        def fill() -> None:
            while not ws.bufferedAmount:
                ws.send('x' * 100_000)

        on_loop(ws, fill)
        assert ws.bufferedAmount > 0


@pytest.mark.loop
@pytest.mark.parametrize('tls', [False, True])
def test_buffered_amount_in_listeners(tls: bool) -> None:
    with server(**(ends.tls_options() if tls else {})) as wss:
        amounts = Waiter()

        @wss.on('connection')
        def connection(ws: Any) -> None:
            amounts('at first', ws.bufferedAmount)  # the answer to the handshake, too, is gone
            ws.send('welcome')
            amounts('welcome', ws.bufferedAmount)
            ws.on('message', lambda message: (ws.send(message), amounts('message', ws.bufferedAmount)))

        with ends.our_client(wss) as ws:
            ws.on('open', lambda: (ws.send('x'), amounts('open', ws.bufferedAmount)))
            seen = dict(amounts.get() for _ in range(4))
        assert seen == {'at first': 0, 'welcome': 0, 'open': 0, 'message': 0}


def test_buffered_amount_of_a_connection_that_breaks(pair: tuple[WebSocket, WebSocket]) -> None:
    """What the look at it notices is told later, not from within."""
    with ends.connection('server') as this:
        order: list[str] = []
        ended = Waiter()
        this.ws.on('error', lambda: order.append('error'))
        this.ws.on('close', lambda: (order.append('close'), ended()))

        def look() -> None:
            this.reset()
            until(lambda: this.ws.send('x') or this.ws.bufferedAmount or this.ws._stream._ended)
            order.append('looked')

        on_loop(this.ws, look)
        ended.get()
        assert order == ['looked', 'error', 'close']
