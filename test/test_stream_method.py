"""WebSocket.stream: messages that a callback supplies."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

import pytest
from files import Blocked, begin, small_buffers, supply
from support import Log, Waiter, client, end, frames, on_loop, raw_pair, server, until

from ws import NotOpenError, WebSocket, WebSocketError
from ws.protocol.frames import build_frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def test_pieces_make_one_message(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 63."""
    for this, other in (pair, pair[::-1]):
        received = Waiter()
        other.once('message', received)
        content = os.urandom(10240)
        this.stream({'binary': True}, supply(*(content[at : at + 800] for at in range(0, len(content), 800))))
        message, flags = received.get()
        assert message == content
        assert flags.binary


@pytest.mark.parametrize(
    ('pieces', 'options', 'opcode', 'payloads'),
    [
        (['a'], {}, TEXT, [b'a']),
        ([b'a', b'b'], {}, BINARY, [b'a', b'b']),
        (['a', b'b', 5, None, bytearray(b'c')], {}, TEXT, [b'a', b'b', b'5', b'', b'c']),
        ([b'a', 'b'], {'binary': False}, TEXT, [b'a', b'b']),
        (['a', 'b'], {'binary': True}, BINARY, [b'a', b'b']),
        ([None], {}, TEXT, [b'']),
    ],
)
def test_what_pieces_may_be(pieces: Any, options: Any, opcode: int, payloads: list[bytes]) -> None:
    with raw_pair() as (ws, sock):
        ws.stream(options, supply(*pieces))
        incoming = frames(sock)
        for number, payload in enumerate(payloads):
            final = number == len(payloads) - 1
            assert next(incoming) == (final, CONTINUATION if number else opcode, payload)


def test_options_of_stream_as_keywords() -> None:
    with raw_pair() as (ws, sock):
        ws.stream(callback=supply('a'), binary=True, mask=True)
        assert sock.recv(2) == bytes([0x80 | BINARY, 0x80 | 1])


def test_the_next_piece_is_asked_for_when_the_kernel_has_taken_the_last_one() -> None:
    with raw_pair() as (ws, sock):
        kernel = small_buffers(ws, sock)
        pieces = Waiter()
        sent = []

        def callback(error: Any, send: Any) -> None:
            if error is None:
                sent.append(send(bytes(65536), len(sent) == 1000))
                pieces()

        ws.stream(callback)
        until(lambda: ws._stream.stalled)
        assert len(sent) <= kernel // 65536 + 1
        assert ws.bufferedAmount < 2 * 65536
        incoming = frames(sock)
        while not next(incoming)[0]:
            pass
        assert on_loop(ws, lambda: len(sent)) == 1001  # the last piece may be here before send() has returned


def test_several_pieces_in_one_call_are_followed_by_one() -> None:
    """Node asks once for each of them, so that a callback that always sends two is called more and more often."""
    with raw_pair() as (ws, sock):
        calls = []

        def callback(error: Any, send: Any) -> None:
            calls.append((error, ws.bufferedAmount))
            if len(calls) < 8:
                send('a')
                send('b')
                send('c')
            else:
                send('end', True)

        ws.stream(callback)
        incoming = frames(sock)
        received = [next(incoming) for _ in range(22)]
        assert received[-1] == (True, CONTINUATION, b'end')
        assert on_loop(ws, lambda: calls) == [(None, 0)] * 8


def test_nothing_follows_the_final_piece(pair: tuple[WebSocket, WebSocket]) -> None:
    received, raised = Waiter(), Waiter()
    pair[1].on('message', lambda data: received(data))
    calls = Waiter()

    def callback(error: Any, send: Any) -> None:
        calls(error)
        send('whole', 1)  # whatever is true
        try:
            send('more')
        except WebSocketError as problem:
            raised(str(problem))

    pair[0].stream(callback)
    pair[0].send('behind')
    assert raised.get() == ('the message is complete: its final piece has been sent',)
    assert [received.get(), received.get()] == [('whole',), ('behind',)]
    assert calls.get() == (None,)
    end(pair[0])
    assert calls.nothing(0.05)


def test_pieces_that_come_later_and_from_other_threads(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    received, sends = Waiter(), Waiter()
    peer.on('message', lambda data: received(data))
    ws.stream(lambda error, send: sends(error, send))
    error, send = sends.get()
    assert error is None
    ws.send('behind')
    threads = [threading.Thread(target=send, args=[piece]) for piece in ('a', 'a', 'a')]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sends.get()
    assert received.nothing(0.05)
    send('b', True)
    ws.send('last')
    assert [received.get() for _ in range(3)] == [('aaab',), ('behind',), ('last',)]
    with pytest.raises(WebSocketError):
        send('c')


def test_a_piece_that_cannot_be_sent_raises_where_it_is_given(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    received, sends = Waiter(), Waiter()
    peer.on('message', lambda data: received(data))
    ws.stream(lambda error, send: sends(error, send))
    _, send = sends.get()
    for bad, kind in ((io.BytesIO(b'x'), TypeError), ([1], TypeError), (True, TypeError), ('\ud800', ValueError)):
        with pytest.raises(kind):
            send(bad, True)
    send('good', True)
    assert received.get() == ('good',)


def test_streams_and_messages_wait_for_their_turn(pair: tuple[WebSocket, WebSocket]) -> None:
    """Items 58, 59, 66 and 67."""
    ws, peer = pair
    received = Waiter()
    peer.on('message', lambda data: received(data))
    blocked = Blocked()

    def send() -> None:
        ws.stream(supply('foo', 'bar'))
        ws.send('one')
        ws.send(io.StringIO('two'))
        ws.stream(supply('th', 're', 'e'))
        ws.send(b'four')
        ws.send(io.BytesIO(b'five'))
        ws.send(io.BytesIO(b'six'))
        ws.send('seven')

    expected = ['foobar', 'one', 'two', 'three', b'four', b'five', b'six', 'seven']
    ws.send(blocked)
    blocked.begun.get()
    send()
    on_loop(ws, send)
    assert received.nothing(0.05)
    blocked.release.set()
    assert [received.get()[0] for _ in range(17)] == [b'late', *expected, *expected]


def test_a_stream_within_the_callback_of_another(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    received = Waiter()
    peer.on('message', lambda data: received(data))

    def outer(error: Any, send: Any) -> None:
        assert error is None
        ws.stream(supply('inner'))
        ws.send('behind inner')
        send('outer', True)
        ws.send(io.StringIO('last'))

    ws.stream(outer)
    assert [received.get()[0] for _ in range(4)] == ['outer', 'inner', 'behind inner', 'last']


@pytest.mark.parametrize('kind', ['file', 'stream'])
def test_pings_and_pongs_do_not_wait(kind: str) -> None:
    """Items 60, 61, 68 and 69."""
    with raw_pair() as (ws, sock):
        incoming = frames(sock)
        file = begin('a file in the middle' if kind == 'file' else 'a stream in the middle', ws, Waiter())
        assert next(incoming) == (False, BINARY, b'first')
        told = Waiter()
        ws.ping('x', told)
        assert next(incoming) == (True, PING, b'x')
        ws.pong('y', told)
        assert next(incoming) == (True, PONG, b'y')
        assert [told.get(), told.get()] == [(None,), (None,)]
        sock.sendall(build_frame(PING, b'z', True, True))
        assert next(incoming) == (True, PONG, b'z')
        file.release.set()
        ws.terminate()


def test_a_stream_without_a_callback_raises(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 65."""
    for arguments in ((), (None,), ({},), ({}, None)):
        with pytest.raises(TypeError, match=r'^callback must be provided$'):
            pair[0].stream(*arguments)
    with pytest.raises(TypeError, match='a callback must be callable, not int'):
        pair[0].stream({}, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize('options', ['binary', 5, [('binary', True)]])
def test_options_that_are_no_dict_are_ignored(pair: tuple[WebSocket, WebSocket], options: Any) -> None:
    """With a warning, as those of send."""
    ws, peer = pair
    message = Waiter()
    peer.on('message', lambda data: message(data))
    with pytest.warns(UserWarning) as warned:
        ws.stream(options, lambda error, send: error or send('x', True))
    [warning] = warned
    assert str(warning.message) == f'the options of stream() must be a dict, not {type(options).__name__}: ignored'
    assert warning.filename == __file__
    assert message.get() == ('x',)


def test_a_stream_when_not_open() -> None:
    """Item 64."""
    with server() as wss:
        ws = on_loop(wss, lambda: client(wss))
        for _ in range(2):
            told = Waiter()
            ws.stream(told)
            assert isinstance(told.get()[0], NotOpenError)
            end(ws) if ws.readyState != WebSocket.CLOSED else None
            assert told.nothing(0.02)


def test_a_callback_that_raises_ends_its_own_connection(
    pair: tuple[WebSocket, WebSocket], reported: list[BaseException]
) -> None:
    ws, peer = pair
    log, peer_log, told = Log(ws, 'close'), Log(peer, 'close', 'message'), Waiter()

    def callback(error: Any, send: Any) -> None:
        told(error)
        if error is None:
            send('piece')
            raise LookupError('nothing found')

    ws.stream(callback)
    assert told.get() == (None,)
    assert isinstance(told.get()[0], NotOpenError)
    assert peer_log.get() == ('close', 1011, '')
    assert log.get() == ('close', 1011, '')
    assert told.nothing(0.05)
    assert isinstance(reported.pop(), LookupError)
