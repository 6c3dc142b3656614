"""No end of a connection, and no timeout, leaves anybody waiting for its stream."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any, Optional

import pytest
from ends import connection
from fakes import accept, fake_server
from streams import in_thread
from support import TIMEOUT, Log, Waiter, client, frames, open_pair, server, until
from websocket_stream.pairs import (
    CALLS,
    MIB,
    close_frame,
    data_frame,
    stream_and_peer,
    stream_and_socket,
    waiting,
    zip_first,
)

from ws import HandshakeError, ProtocolError, WebSocket, WebSocketStream, createWebSocketStream
from ws.protocol.frames import build_frame

# -- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('code', [1000, None])
def test_a_peer_that_has_finished_is_the_end(code: Optional[int]) -> None:
    with stream_and_socket() as (stream, this), waiting(stream, stream.read) as read:
        this.sock.sendall(data_frame(b'all') + close_frame(code))
        assert read.get() == (b'all',)


@pytest.mark.parametrize('code', [1001, 1011, 4000])
def test_any_other_code_is_an_error(code: int) -> None:
    """There may have been more."""
    with stream_and_socket() as (stream, this), waiting(stream, stream.read) as read:
        this.sock.sendall(data_frame(b'some') + close_frame(code, b'the reason'))
        [error] = read.get()
        assert type(error) is ConnectionError
        assert str(error) == f'the connection ended with {code}: the reason'
        assert stream.read(100) == b'some'


def test_an_end_without_a_close_frame() -> None:
    with stream_and_socket() as (stream, this), waiting(stream, stream.read, 1) as read:
        this.finish()
        [error] = read.get()
        assert isinstance(error, ConnectionError)
        assert str(error) == 'the connection ended with 1006'


def test_a_reset() -> None:
    with stream_and_socket() as (stream, this), waiting(stream, stream.read, 1) as read:
        this.reset()
        assert isinstance(read.get()[0], ConnectionResetError)


def test_no_connection() -> None:
    ws = WebSocket('ws://127.0.0.1:1')
    stream = createWebSocketStream(ws)
    for call in (lambda: stream.write(b'x'), stream.end, stream.read, lambda: stream.write(b'x'), stream.end):
        with pytest.raises(ConnectionRefusedError):
            call()
    stream.close()


def test_no_connection_is_told_before_anything_else_is() -> None:
    """The error may be kept for late listeners when the state is CLOSED already."""
    for _ in range(20):
        ws = WebSocket('ws://127.0.0.1:1')
        until(lambda ws=ws: ws.readyState == ws.CLOSED)
        stream = createWebSocketStream(ws)
        with pytest.raises(ConnectionRefusedError):
            stream.write(b'x')


def test_a_refused_handshake() -> None:
    with server(verifyClient=lambda info: False) as wss:
        stream = createWebSocketStream(client(wss))
        with pytest.raises(HandshakeError, match=r'\(401\)'):
            stream.read()


def test_a_connection_that_has_ended_before() -> None:
    for how, outcome in ('close', None), ('terminate', ConnectionError):
        with open_pair() as (ws, _):
            closed = Waiter()
            ws.on('close', closed)
            getattr(ws, how)()
            closed.get()
            until(lambda ws=ws: ws._kept is None or not ws._kept.waiting)
            stream = createWebSocketStream(ws)
            if outcome is None:
                assert stream.read() == b''
            else:
                with pytest.raises(outcome, match='1006'):
                    stream.read()
            with pytest.raises(ConnectionError):
                stream.write(b'x')


@pytest.fixture(params=CALLS)
def stuck(request: pytest.FixtureRequest) -> Iterator[tuple[WebSocketStream, Waiter]]:
    """A stream, and what becomes of a call that waits."""
    with stream_and_socket() as (stream, _):
        stream.write(bytes(20 * MIB))
        with waiting(stream, CALLS[request.param], stream) as outcome:
            yield stream, outcome


def test_closing_wakes_whoever_waits(stuck: tuple[WebSocketStream, Waiter]) -> None:
    stream, outcome = stuck

    def close() -> None:
        with pytest.raises(BrokenPipeError, match='before everything was sent'):
            stream.close()

    with in_thread(close):
        [error] = outcome.get()
        assert isinstance(error, ValueError)
        assert 'closed' in str(error)
        stream._ws.terminate()


def test_destroying_wakes_whoever_waits(stuck: tuple[WebSocketStream, Waiter]) -> None:
    stream, outcome = stuck
    stream.destroy(EOFError('enough'))
    [error] = outcome.get()
    assert (type(error), str(error)) == (EOFError, 'enough')
    stream.close()


def test_terminating_wakes_whoever_waits(stuck: tuple[WebSocketStream, Waiter]) -> None:
    stream, outcome = stuck
    stream._ws.terminate()
    assert isinstance(outcome.get()[0], ConnectionError)


def test_closing_while_it_connects() -> None:
    with server() as wss:
        ws, closed = client(wss), Waiter()
        ws.on('close', closed)
        stream = createWebSocketStream(ws)
        stream.close()
        stream.close()
        assert stream.closed
        assert closed.get() == (1006, '')


CLOSED = {
    **CALLS,
    'readinto': lambda stream: stream.readinto(bytearray(1)),
    'peek': lambda stream: stream.peek(),
    'next': lambda stream: next(stream),
    'readable': lambda stream: stream.readable(),
    'writable': lambda stream: stream.writable(),
    'end': lambda stream: stream.end(),
    'enter': lambda stream: stream.__enter__(),
}


@pytest.mark.parametrize('call', CLOSED)
def test_a_closed_stream(call: str) -> None:
    with stream_and_peer() as (stream, peer):
        peer.send('never read')
        with stream:
            pass
        assert stream.closed
        with pytest.raises(ValueError, match='closed'):
            CLOSED[call](stream)
        stream.close()
        stream.destroy()


def test_close_sends_what_was_written_and_then_1000() -> None:
    with stream_and_socket(writableHighWaterMark=100 * MIB) as (stream, this):
        stream.write(bytes(20 * MIB))
        with in_thread(stream.close):
            received = frames(this.sock)
            assert len(next(received)[2]) == 20 * MIB
            assert next(received)[1:] == (8, b'\x03\xe8')


def test_close_does_not_wait_for_ever() -> None:
    with connection('server', closeTimeout=100) as this:
        stream = createWebSocketStream(this.ws, writableHighWaterMark=100 * MIB)
        stream.write(bytes(20 * MIB))
        with pytest.raises(BrokenPipeError, match=r'^the connection ended before everything was sent$'):
            stream.close()


def test_close_lets_go_of_what_was_too_much_to_read() -> None:
    with stream_and_peer(readableHighWaterMark=10) as (stream, peer):
        closed = Waiter()
        peer.on('close', closed)
        for _ in range(10):
            peer.send(bytes(100_000))
        until(stream._ws._is_paused)
        stream.close()
        assert closed.get() == (1000, '')
        assert not stream._received


def test_close_lets_go_of_it_after_end_too() -> None:
    with stream_and_socket(readableHighWaterMark=10) as (stream, this):
        stream.end()
        zip_first(this, 1)
        this.sock.sendall(data_frame(bytes(1000)) * 10 + close_frame(1000))
        until(lambda: stream._paused)
        closed = Waiter()
        stream._ws.on('close', closed)
        stream.close()
        assert closed.get() == (1000, '')


def test_close_tells_an_error_that_nobody_has_heard_of() -> None:
    with stream_and_socket() as (stream, this):
        this.sock.sendall(this.wrong())
        until(lambda: stream._error)
        with pytest.raises(ProtocolError):
            stream.close()
        assert stream.closed


def test_what_is_under_way_when_it_ends_is_read() -> None:
    """The peer's answer to all that was written comes after our close frame."""
    with stream_and_socket() as (stream, this):
        stream.write(b'question')
        stream.end()
        assert [payload for _, _, payload in zip_first(this, 2)] == [b'question', b'\x03\xe8']
        this.sock.sendall(data_frame(b'ans') + data_frame(b'wer') + close_frame(1000))
        assert stream.read() == b'answer'
        with pytest.raises(BrokenPipeError, match=r'^write after end$'):
            stream.write(b'more')


def test_much_that_is_under_way_when_it_ends_waits_to_be_read() -> None:
    with stream_and_socket(readableHighWaterMark=10) as (stream, this):
        stream.end()
        zip_first(this, 1)
        for _ in range(10):
            this.sock.sendall(data_frame(bytes(1000)))
        this.sock.sendall(close_frame(1000))
        until(lambda: stream._paused)
        assert stream._size == 1000
        assert stream.read() == bytes(10_000)


def test_ending_wakes_a_writer() -> None:
    with stream_and_socket() as (stream, _):
        stream.write(bytes(20 * MIB))
        with waiting(stream, stream.write, b'x') as write:
            stream.end()
            [error] = write.get()
            assert (type(error), str(error)) == (BrokenPipeError, 'write after end')


def test_its_listeners_go_with_the_connection() -> None:
    with stream_and_peer() as (stream, peer):
        ws = stream._ws
        peer.close()
        assert stream.read() == b''
        until(lambda: not ws.eventNames())
        assert stream._tell not in ws._loop.on_end
        gone = weakref.ref(stream)
        del stream
        gc.collect()
        assert gone() is None


def test_an_error_that_somebody_listens_to_is_not_reported() -> None:
    with connection('client') as this:
        log = Log(this.ws, 'error', 'close')
        createWebSocketStream(this.ws)
        this.sock.sendall(build_frame(3, b''))
        this.finish()
        log.until('close')
    gc.collect()


# -- timeouts ---------------------------------------------------------------------------------------------------------


def test_nobody_waits_longer_than_the_timeout_and_nothing_is_lost() -> None:
    with stream_and_socket(timeout=50) as (stream, this):
        this.sock.sendall(data_frame(b'some'))
        until(lambda: stream._size == 4)
        for _ in range(2):
            with pytest.raises(TimeoutError, match=r'^timed out$'):
                stream.read()
        assert stream.read(100) == b'some'
        stream.write(bytes(20 * MIB))
        with pytest.raises(TimeoutError):
            stream.write(b'not sent')
        with pytest.raises(TimeoutError):
            stream.flush()
        stream.timeout = 0
        with in_thread(stream.write, b'sent'):
            assert len(zip_first(this, 1)[0][2]) == 20 * MIB
        assert zip_first(this, 1)[0][2] == b'sent'


def test_a_timeout_while_it_connects() -> None:
    ready = Waiter()

    def talk(sock: Any, head: bytes) -> None:
        ready.get()
        sock.sendall(accept(head))
        sock.recv(100)

    with fake_server(talk) as url:
        ws = WebSocket(url)
        stream = createWebSocketStream(ws, timeout=50)
        for call in (lambda: stream.write(b'x'), stream.end, lambda: stream.read(1)):
            with pytest.raises(TimeoutError):
                call()
        ready()
        stream.timeout = 1000 * TIMEOUT
        stream.write(b'x')
        ws.terminate()
