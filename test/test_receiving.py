"""WebSocket: pauses, and what a peer may do wrong."""

from __future__ import annotations

import contextlib
import socket
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import accept, fake_server
from support import (
    HANDSHAKE,
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
from test_hixie import REQUEST

from ws import NotOpenError, ProtocolError, WebSocket, WebSocketServer, delivery
from ws.protocol.frames import build_frame
from ws.protocol.receiver import INFLATED, STEPS, Receiver

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


def test_what_was_kept_waits_for_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
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

        def connecting() -> WebSocket:
            ws = client(wss)
            for method in (ws.pause, ws.resume):
                with pytest.raises(NotOpenError):
                    method()
            return ws

        end(on_loop(wss, connecting))  # the loop is held up for that long


def test_a_paused_socket_can_be_closed(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    ws.pause()
    assert end(ws, 'close', 1000, 'x') == (1000, 'x')


# -- what a peer may do wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('data', 'text', 'code'),
    [
        (b'\xf1\x00', 'reserved fields must be empty', 1002),
        (b'\x80\x00', 'continuation frame cannot follow current opcode', 1002),
        (b'\x83\x00', 'no handler for opcode 3', 1002),
        (b'\x09\x00', 'fragmented ping is not supported', 1002),
        (b'\x89\x7e', 'control frames cannot have more than 125 bytes of data', 1002),
        (b'\x81\x80', 'Invalid WebSocket frame: MASK must be clear', 1002),
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
        assert error.closeCode == events[2][2] == code
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


# -- who is called for a message ---------------------------------------------------------------------------------------


def test_who_listens_may_change_with_every_message(pair: tuple[WebSocket, WebSocket]) -> None:
    """Each of these is another way from the receiver to the listener."""
    ws, peer = pair
    heard = Waiter()

    def alone(data: Any) -> None:
        heard('alone', data)
        ws.off('message', alone).on('message', with_flags)

    def with_flags(data: Any, flags: Any) -> None:
        heard('with flags', data, flags.binary)
        ws.removeAllListeners('message').once('message', once)

    def once(*args: Any) -> None:
        heard('once', args[0])
        ws.on('message', with_this)

    def with_this(this: Any, data: Any) -> None:
        heard('with this', data, this is ws)
        ws.removeAllListeners()
        ws.onmessage = lambda event: (heard('event', event.data), ws.on('message', last))

    def last(data: Any, flags: Any = None, more: Any = 'nothing') -> None:
        heard('last', data, flags.binary, more)

    ws.on('message', alone)
    for number in range(6):
        peer.send(str(number))
    assert [heard.get() for _ in range(7)] == [
        ('alone', '0'),
        ('with flags', '1', False),
        ('once', '2'),
        ('with this', '3', True),
        ('event', '4'),
        ('event', '5'),
        ('last', '5', False, 'nothing'),
    ]


def test_nobody_is_called_after_a_close_in_the_same_burst(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    heard = Waiter()

    def listener(data: Any) -> None:
        heard(data)
        ws.close()

    ws.on('message', listener)
    closed = Waiter()
    ws.on('close', closed)
    peer._loop.call(lambda: [peer.send(text) for text in ('first', 'second', 'third')])  # one write
    closed.get()
    assert heard.get() == ('first',)
    assert heard.nothing(0)


# -- others have their turn --------------------------------------------------------------------------------------------


def compressed(opcode: int, data: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    frame = bytearray(build_frame(opcode, (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], True, True))
    frame[0] |= 0x40
    return bytes(frame)


COUNT = 4 * len(STEPS)
#: What takes long, between two messages; and the request for the connection that it comes by.
DEFLATE_REQUEST = HANDSHAKE[:-2] % b'/' + b'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n'
FLOODS = {
    'messages': (DEFLATE_REQUEST, build_frame(1, b'', True, True) * COUNT),
    'pings': (DEFLATE_REQUEST, build_frame(9, b'', True, True) * COUNT),
    'fragments': (
        DEFLATE_REQUEST,
        build_frame(1, b'', False, True) + build_frame(0, b'', False, True) * COUNT + build_frame(0, b'', True, True),
    ),
    'bomb': (DEFLATE_REQUEST, compressed(2, bytes(4 * INFLATED))),
    'Hixie texts': (REQUEST, b'\x00\xff' * COUNT),
}


def text(flood: str, data: bytes) -> bytes:
    return b'\0' + data + b'\xff' if flood.startswith('Hixie') else build_frame(1, data, True, True)


@contextlib.contextmanager
def flooded(wss: WebSocketServer, flood: str, end: bytes = b'') -> Iterator[tuple[WebSocket, socket.socket]]:
    """A paused connection; a flood between two messages waits to be read, nearly all of it at once, and then `end`."""
    peers = Waiter()
    wss.on('connection', lambda ws: (ws.pause(), peers(ws)))
    request, data = FLOODS[flood]
    with raw_connection(wss) as sock:
        sock.sendall(request)
        read_head(sock)
        ws = peers.get()[0]
        # After a short read comes a long one.
        sock.sendall(text(flood, b'b' * 5000) + data + text(flood, b'end') + end)
        yield ws, sock


@pytest.mark.parametrize('flood', FLOODS)
def test_others_have_their_turn_in_the_middle_of_a_flood(flood: str) -> None:
    heard = Waiter()
    with server(perMessageDeflate=True) as wss, raw_client(wss) as bystander, flooded(wss, flood) as (ws, _):

        def listener(this: WebSocket, data: Any) -> None:
            if data and this is ws:
                heard(len(data))
                if len(data) == 5000:
                    bystander.sendall(build_frame(1, b'bystander', True, True))
            elif data:
                heard(data)

        for each in wss.clients:
            each.on('message', listener)
        ws.resume()
        order = [heard.get()[0]]
        while order[-1] != len('end'):
            order.append(heard.get()[0])
        assert 'bystander' in order, order


@pytest.mark.parametrize('flood', ['messages', 'bomb', 'Hixie texts'])
def test_the_end_comes_after_what_was_put_off(flood: str) -> None:
    """The peer has finished long ago, in order or not, when the last of it is worked through."""
    close = {'messages': build_frame(8, b'\x03\xe8', True, True), 'bomb': b'', 'Hixie texts': b'\xff\0'}[flood]
    with server(perMessageDeflate=True) as wss, flooded(wss, flood, close) as (ws, sock):
        sock.shutdown(socket.SHUT_WR)
        log = Log(ws)
        ws.resume()
        events = log.until('close')
    assert [len(event[1]) for event in events[:-1]][:1] == [5000]
    assert events[-2][1] == 'end'
    assert len(events) == 3 + (1 if flood == 'bomb' else COUNT)
    assert events[-1][1] == {'messages': 1000, 'bomb': 1006, 'Hixie texts': 1005}[flood]


@pytest.mark.parametrize('how', ['pause', 'late', 'terminate', 'close'])
def test_what_a_listener_does_in_the_middle_of_a_flood(how: str) -> None:
    with server() as wss, flooded(wss, 'messages') as (ws, sock):
        closed, heard = Waiter(), Waiter()
        ws.on('close', closed)
        seen: list[Any] = []

        def listener(data: Any) -> None:
            seen.append(data)
            if len(seen) == len(STEPS) + 5:
                getattr(ws, 'pause' if how == 'late' else how)()
                heard()
            elif data == 'end':
                heard()

        ws.on('message', listener)
        ws.resume()
        heard.get()
        on_loop(ws, lambda: None)
        on_loop(ws, lambda: None)
        assert len(seen) == len(STEPS) + 5
        if how in ('pause', 'late'):
            if how == 'late':  # what comes now goes another way
                ws.off('message', listener)
                ws.on('message', lambda data, flags: listener(data))
            ws.resume()
            heard.get()
            assert len(seen) == COUNT + 2
        else:
            sock.close()
            closed.get()
            assert len(seen) == len(STEPS) + 5


# -- faults of our own -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('method', ['add', 'resume', 'go_on'])
def test_where_our_own_code_fails_the_connection_ends(
    method: str, monkeypatch: pytest.MonkeyPatch, reported: list[BaseException]
) -> None:
    """Also with what came behind the head of the handshake, and with what is left after a pause or a turn."""

    def fail(*args: object) -> None:
        raise ZeroDivisionError

    with server() as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: (ws.on('close', closed), method == 'resume' and (ws.pause(), ws.resume())))
        with raw_connection(wss) as sock:
            monkeypatch.setattr(Receiver, method, fail)
            sock.sendall(HANDSHAKE % b'/' + build_frame(1, b'x', True, True) * 2 * len(STEPS))
            assert closed.get() == (1006, '')
            read_all(sock)
    assert {type(error) for error in reported} == {ZeroDivisionError}
    reported.clear()
