"""Messages in pieces, and the end of the connection in the middle of one."""

from __future__ import annotations

import contextlib
import io
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from files import Blocked, Chunks, begin, supply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripts import Scripts
from streams import receive, reset
from support import (
    TIMEOUT,
    Log,
    Waiter,
    end,
    on_loop,
    raw_client,
    raw_connection,
    read_all,
    read_head,
    server,
    until,
    url_of,
)

from ws import NotOpenError, WebSocket
from ws.protocol.frames import build_frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def close_frame(*arguments: Any) -> bytes:
    code, reason = arguments
    return build_frame(CLOSE, code.to_bytes(2, 'big') + reason, True, True)


# -- the end comes in the middle --------------------------------------------------------------------------------------


def _peer_closes(ws: Any, sock: socket.socket, wss: Any) -> None:
    sock.sendall(close_frame(1000, b'enough'))


def _peer_breaks_a_rule(ws: Any, sock: socket.socket, wss: Any) -> None:
    sock.sendall(b'\xff\xff')


ENDINGS: dict[str, Callable[[Any, socket.socket, Any], object]] = {
    'the peer closes': _peer_closes,
    'the peer vanishes': lambda ws, sock, wss: sock.shutdown(socket.SHUT_WR),
    'the peer resets': lambda ws, sock, wss: reset(sock),
    'the peer breaks a rule': _peer_breaks_a_rule,
    'close()': lambda ws, sock, wss: ws.close(1000, 'foobar'),
    'terminate()': lambda ws, sock, wss: ws.terminate(),
    'the server closes': lambda ws, sock, wss: wss.close(),
    'shutdown at exit': lambda ws, sock, wss: on_loop(ws, ws.shutdown),
}


KINDS_OF_PIECES = [
    'a file that is read',
    'a file in the middle',
    'a file that the peer does not take',
    'a stream that has not begun',
    'a stream in the middle',
]


@pytest.mark.parametrize('how', ENDINGS)
@pytest.mark.parametrize('kind', KINDS_OF_PIECES)
def test_whatever_ends_it_everyone_is_told_once(kind: str, how: str) -> None:
    """Items 62, 70 and 71."""
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_client(wss) as sock:
            ws = connected.get()[0]
            happened = Waiter()
            file = begin(kind, ws, lambda error: happened('current', type(error)))
            waiting = Chunks(b'waiting')
            ws.send('queued', lambda error: happened('send', type(error)))
            ws.stream(lambda error, send: happened('stream', type(error)))
            ws.send(waiting, lambda error: happened('file', type(error)))
            ws.send('without a callback')
            ws.send(Chunks(b'without a callback'))
            ws.on('close', lambda code: happened('close', code))
            ws.on('error', lambda: None)
            on_loop(ws, lambda: None)  # it is all queued
            ENDINGS[how](ws, sock, wss)
            if sock.fileno() >= 0:
                reader = threading.Thread(target=read_all, args=[sock])
                reader.start()
            expected = [('current', NotOpenError), ('send', NotOpenError), ('stream', NotOpenError)]
            assert [happened.get() for _ in range(4)] == [*expected, ('file', NotOpenError)]
            if how in ('close()', 'the server closes', 'shutdown at exit'):
                sock.sendall(close_frame(1000, b''))
            if how != 'the peer vanishes' and sock.fileno() >= 0:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_WR)
            assert happened.get()[0] == 'close'
            assert ws.readyState == WebSocket.CLOSED
            until(lambda: ws.bufferedAmount == 0)  # what is queued goes out behind `close`, if the peer has finished
            waiting.closings.get()
            assert waiting.reads == 0
            file.release.set()
            if 'file' in kind:
                file.closings.get()
            assert happened.nothing(0.05)
            assert file.closings.nothing(0)
            assert waiting.closings.nothing(0)
            if sock.fileno() >= 0:
                reader.join(TIMEOUT)


def test_close_in_the_middle_reaches_the_peer_with_code_and_reason(pair: tuple[WebSocket, WebSocket]) -> None:
    """Items 62 and 70."""
    ws, peer = pair
    log, peer_log = Log(ws, 'close'), Log(peer, 'close', 'message', 'error')
    calls = Waiter()

    def callback(error: Any, send: Any) -> None:
        calls(error)
        if error is None:
            send('piece')
            if calls._things.qsize() == 2:
                ws.close(1000, 'foobar')

    ws.stream(callback)
    assert peer_log.get() == ('close', 1000, 'foobar')
    assert log.get() == ('close', 1000, 'foobar')
    assert [calls.get(), calls.get()] == [(None,), (None,)]
    assert isinstance(calls.get()[0], NotOpenError)
    assert calls.nothing(0.02)


def test_a_piece_after_the_end_is_nothing(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    calls = Waiter()
    ws.stream(lambda error, send: calls(error, send))
    send = calls.get()[1]
    end(ws)
    assert isinstance(calls.get()[0], NotOpenError)
    send('x')
    send('y', True)
    on_loop(peer, lambda: None)
    assert calls.nothing(0.05)


def test_the_process_ends_in_the_middle_of_a_file(script: Scripts) -> None:
    """The connection that is left at the last line is unref()'d: it gets its 1001, and the pipe holds nothing up."""
    program = """if True:
        import os, sys, threading
        from ws import WebSocket
        ws = WebSocket(sys.argv[1])
        ws.unref()
        opened = threading.Event()
        ws.on('open', opened.set)
        opened.wait()
        readable, writable = os.pipe()
        ws.send(open(readable, 'rb'), lambda error: print('told: %s' % error))
        ws.send('behind', lambda error: print('behind: %s' % error))
        ws.on('close', lambda code: print('close: %s' % code))
    """
    with server() as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: ws.on('close', closed))
        status, output, errors = script(program, url_of(wss)).end()
        assert (status, errors) == (0, '')
        assert output.splitlines() == ['told: not opened', 'behind: not opened', 'close: 1001']
        assert closed.get() == (1001, '')


# -- bufferedAmount ---------------------------------------------------------------------------------------------------


def test_buffered_amount_counts_what_waits(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    received = Waiter()
    peer.on('message', lambda data: received(data))
    blocked, told = Blocked(), Waiter()
    ws.send(blocked)
    blocked.begun.get()
    ws.send('x' * 1000)
    assert on_loop(ws, lambda: ws.bufferedAmount) == 1000
    on_loop(ws, lambda: ws.send(b'y' * 500, told))
    assert ws.bufferedAmount == 1500
    blocked.release.set()
    assert told.get() == (None,)
    assert on_loop(ws, lambda: ws.bufferedAmount) == 0
    assert [len(received.get()[0]) for _ in range(3)] == [4, 1000, 500]


def test_buffered_amount_counts_pieces_on_their_way(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    sends = Waiter()
    ws.stream(lambda error, send: sends(send))
    (send,) = sends.get()
    blocked, release = threading.Event(), threading.Event()
    ws._loop.call(lambda: (blocked.set(), release.wait(TIMEOUT)))
    assert blocked.wait(TIMEOUT)
    send('x' * 1000)
    assert ws.bufferedAmount == 1000
    release.set()
    sends.get()
    assert ws.bufferedAmount == 0
    send('', True)


# -- order ------------------------------------------------------------------------------------------------------------


def test_each_thread_keeps_its_order(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    received = Waiter()
    peer.on('message', lambda data: received(data if isinstance(data, str) else data.decode()))

    def talk(name: str) -> None:
        for number in range(60):
            text = f'{name} {number}'
            if number % 3 == 0:
                ws.send(text)
            elif number % 3 == 1:
                ws.stream(supply(text[:2], text[2:]))
            else:
                ws.send(io.BytesIO(text.encode()))

    threads = [threading.Thread(target=talk, args=[name]) for name in ('a', 'b', 'c')]
    for thread in threads:
        thread.start()
    on_loop(ws, lambda: talk('d'))
    messages = [received.get()[0] for _ in range(240)]
    for name in 'abcd':
        assert [text for text in messages if text[0] == name] == [f'{name} {number}' for number in range(60)]
    for thread in threads:
        thread.join()


_texts = st.lists(st.text(max_size=20), max_size=4)
_bytes = st.lists(st.binary(max_size=20), max_size=4)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just('send'), st.one_of(st.text(max_size=20), st.binary(max_size=20))),
        st.tuples(st.sampled_from(['file', 'stream']), st.one_of(_texts.filter(bool), _bytes.filter(bool))),
        st.tuples(st.sampled_from(['ping', 'a while']), st.just('')),
    ),
    max_size=12,
)


def _take_step(ws: WebSocket, kind: str, content: Any) -> None:
    if kind == 'send':
        ws.send(content)
    elif kind == 'file':
        ws.send(Chunks(*filter(None, content), content[0][:0]))
    elif kind == 'stream':
        ws.stream(supply(*content))
    elif kind == 'ping':
        ws.ping(b'x')
    else:
        time.sleep(0.001)


def test_whatever_is_sent_arrives_in_order_and_whole(pair: tuple[WebSocket, WebSocket]) -> None:
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()
    pair[0].on('message', lambda data: received.put(data))
    pair[1].on('message', lambda data: received.put(data))

    @settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
    @given(_steps, st.booleans(), st.booleans())
    def check(steps: list[tuple[str, Any]], from_server: bool, in_thread: bool) -> None:
        ws = pair[from_server]

        def send() -> None:
            for step in steps:
                _take_step(ws, *step)

        on_loop(ws, send) if in_thread else send()
        for kind, content in steps:
            if kind in ('file', 'stream'):
                assert received.get(timeout=TIMEOUT) == content[0][:0].join(content)
            elif kind == 'send':
                assert received.get(timeout=TIMEOUT) == content
        assert received.empty()

    check()


# -- Hixie-76 ---------------------------------------------------------------------------------------------------------

HIXIE_HANDSHAKE = (
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Key1: 3e6b263  4 17 80\r\nSec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90\r\n\r\nWjN}|M(6'
)


@contextlib.contextmanager
def hixie_pair() -> Iterator[tuple[WebSocket, socket.socket]]:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_connection(wss) as sock:
            sock.sendall(HIXIE_HANDSHAKE)
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            receive(sock, 16)  # the answer to the nonce
            yield connected.get()[0], sock


def test_hixie_messages_in_pieces() -> None:
    """Item 172."""
    with hixie_pair() as (ws, sock):
        ws.stream(supply('foo', '', 'bar'))
        ws.send('one')
        ws.send(io.StringIO('two'))
        ws.send(io.BytesIO(b'three'))
        ws.send(io.BytesIO())
        expected = b'\0foobar\xff\0one\xff\0two\xff\0three\xff\x80\0'
        assert receive(sock, len(expected)) == expected
        calls = Waiter()
        ws.stream(lambda error, send: calls(error, send))
        calls.get()[1]('half')
        calls.get()
        ws.close()
        assert receive(sock, 8) == b'\0half\xff\xff\0'
        assert isinstance(calls.get()[0], NotOpenError)


def test_a_byte_that_hixie_cannot_send_harms_only_its_own_message() -> None:
    """What is found too late to raise is told to the callback, or else to `error`."""
    with hixie_pair() as (ws, sock):
        errors, told, stream_told = Waiter(), Waiter(), Waiter()
        ws.on('error', errors)
        blocked = Blocked()
        ws.send(blocked, told)
        blocked.begun.get()
        ws.send(b'\xff', {'binary': False})
        ws.send(b'\xff', {'binary': False}, stream_told)
        ws.stream({'binary': False}, supply(b'\xff', told=stream_told))
        ws.send(io.BytesIO(b'\xff'), stream_told)
        ws.send('behind')
        blocked.release.set()
        assert told.get() == (None,)
        assert '0xff' in str(errors.get()[0])
        for _ in range(3):
            assert '0xff' in str(stream_told.get()[0])
        assert receive(sock, 14) == b'\0late\xff\0behind\xff'
        until(lambda: not ws.bufferedAmount)
        assert ws.readyState == WebSocket.OPEN


def test_hixie_pings_call_back_and_never_from_within() -> None:
    with hixie_pair() as (ws, _):
        told = Waiter()

        def ping() -> None:
            ws.ping('x', lambda error: told('callback', error))
            ws.pong(lambda error: told('callback', error))
            told('returned')

        on_loop(ws, ping)
        assert [told.get() for _ in range(3)] == [('returned',), ('callback', None), ('callback', None)]
