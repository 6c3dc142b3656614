"""A WebSocket as a stream: everything in Python that takes a file works over it, and no end leaves anybody waiting."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import os
import pickle
import queue
import random
import shutil
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
from ends import End, connection
from fakes import accept, fake_server
from streams import in_thread
from support import TIMEOUT, Log, Waiter, client, frames, on_loop, open_pair, server, until, url_of
from test_lifetime import Scripts, script  # noqa: F401  # a fixture

from ws import (
    HandshakeError,
    ProtocolError,
    WebSocket,
    WebSocketMessageStream,
    WebSocketStream,
    WebSocketTextStream,
    createWebSocketStream,
)
from ws.protocol.frames import build_frame

MIB = 1 << 20


@contextlib.contextmanager
def pair(**options: Any) -> Iterator[tuple[WebSocketStream, WebSocketStream]]:
    """Streams at both ends of a connection: a client's and the server's, both with these options."""
    streams = Waiter()
    with server() as wss:
        wss.on('connection', lambda ws: streams(createWebSocketStream(ws, **options)))
        ws = client(wss)
        yield createWebSocketStream(ws, **options), streams.get()[0]
        ws.terminate()


@contextlib.contextmanager
def stream_and_peer(**options: Any) -> Iterator[tuple[WebSocketStream, WebSocket]]:
    """A client's stream, and the server's end without one."""
    with open_pair() as (ws, peer):
        yield createWebSocketStream(ws, **options), peer


@contextlib.contextmanager
def stream_and_socket(kind: str = 'server', **options: Any) -> Iterator[tuple[WebSocketStream, End]]:
    """A stream, and the plain socket of its peer, who does nothing by itself."""
    with connection(kind) as this:
        yield createWebSocketStream(this.ws, **options), this


def data_frame(payload: bytes) -> bytes:
    """As a client sends it."""
    return build_frame(2, payload, mask=True)


def close_frame(code: Optional[int], reason: bytes = b'') -> bytes:
    return build_frame(8, b'' if code is None else code.to_bytes(2, 'big') + reason, mask=True)


def waits(stream: WebSocketStream) -> bool:
    """Whether some thread waits in a call."""
    return bool(stream._changed._waiters)  # type: ignore[attr-defined]


def raised_by(function: Callable[[], object]) -> Optional[Exception]:
    try:
        function()
    except Exception as error:
        return error
    return None


@contextlib.contextmanager
def waiting(stream: WebSocketStream, function: Callable[..., Any], *args: Any) -> Iterator[Waiter]:
    """Have a thread call that, which has to wait; the value is told what it returned, or raised."""
    outcome = Waiter()

    def run() -> None:
        try:
            outcome(function(*args))
        except Exception as error:
            outcome(error)

    with in_thread(run):
        until(lambda: waits(stream))
        yield outcome


# -- reading ----------------------------------------------------------------------------------------------------------


def test_what_is_read_are_the_bytes_of_messages_whatever_their_boundaries() -> None:
    with stream_and_peer() as (stream, peer):
        for message in 'ab', b'', 'c\xe4d', b'\xff\0', bytearray(b'the end'):
            peer.send(message)
        peer.close()
        until(lambda: stream._ended)
        assert stream.read(0) == b''
        assert stream.read(3) == b'abc'
        assert stream.read(1) == b'\xc3'
        buffer = bytearray(6)
        assert stream.readinto(memoryview(buffer)[1:5]) == 4
        assert bytes(buffer) == b'\0\xa4d\xff\0\0'
        assert stream.readinto(bytearray()) == 0
        assert stream.peek() == b'the end'
        assert stream.peek(1) == b'the end'
        assert stream.read() == b'the end'
        assert stream.read() == stream.read(5) == stream.peek() == b''
        assert stream.readinto(buffer) == 0


def test_read_waits_for_the_first_bytes_and_for_no_more() -> None:
    with stream_and_peer() as (stream, peer), waiting(stream, stream.read, 100) as read:
        seen = Log(stream._ws, 'message')
        peer.send(b'')
        seen.get()
        peer.send('now')
        assert read.get() == (b'now',)


def test_lines() -> None:
    with stream_and_peer() as (stream, peer):
        peer.send(b'one\ntw')
        peer.send(b'o\n' + 100_000 * b'x')
        assert stream.readline() == b'one\n'
        assert next(stream) == b'two\n'
        peer.send(b'\nthe last')
        peer.close()
        assert [len(line) for line in stream] == [100_001, 8]


def test_lines_of_a_large_message_take_linear_time() -> None:
    """Copying the rest for each line takes minutes."""
    with stream_and_peer() as (stream, peer):
        peer.send(b'x' * 99 + b'\n')
        peer.send((b'x' * 99 + b'\n') * 100_000)
        peer.close()
        assert sum(1 for _ in stream) == 100_001


def test_what_came_before_an_error_can_be_read_and_then_the_error() -> None:
    with stream_and_socket() as (stream, this):
        this.sock.sendall(data_frame(b'first') + data_frame(b'second') + this.wrong())
        until(lambda: stream._error)
        with pytest.raises(ProtocolError) as raised:
            stream.read()
        assert stream.read(100) == b'firstsecond'  # read() has left it
        for _ in range(2):
            with pytest.raises(ProtocolError) as again:
                stream.read(1)
            assert again.value is raised.value
            assert len(again.traceback) < 8  # what was raised before does not pile up


def test_messages() -> None:
    with stream_and_peer(readableObjectMode=True) as (stream, peer):
        assert isinstance(stream, WebSocketMessageStream)
        for message in 'text', b'bytes', '', b'':
            peer.send(message)
        peer.send(b'last')
        assert stream.read() == 'text'
        assert [next(stream) for _ in range(3)] == [b'bytes', '', b'']
        peer.close()
        assert list(stream) == [b'last']
        assert stream.read() is None
        for unsupported in (stream.readall, stream.readline, stream.peek, lambda: stream.readinto(bytearray(1))):
            with pytest.raises(io.UnsupportedOperation, match='for message in stream'):
                unsupported()


# -- writing ----------------------------------------------------------------------------------------------------------


def test_each_write_is_a_message() -> None:
    with stream_and_peer() as (stream, peer):
        log = Log(peer, 'message')
        array = memoryview(bytes(range(6))).cast('H')
        for data in (b'bytes', bytearray(b'array'), memoryview(b'view')[::2], array, b''):
            assert stream.write(data) == memoryview(data).nbytes
        assert [log.get()[1] for _ in range(5)] == [b'bytes', b'array', b've', bytes(range(6)), b'']
        for wrong in ('text', 5, None, [b'x']):
            with pytest.raises(TypeError, match='bytes-like'):
                stream.write(wrong)  # type: ignore[arg-type]
        with stream:
            stream.writelines([b'a', b'b'])
        assert [log.get()[1] for _ in range(2)] == [b'a', b'b']


def test_a_buffer_may_be_used_again_when_write_has_returned() -> None:
    with stream_and_peer() as (stream, peer):
        log, buffer = Log(peer, 'message'), bytearray(b'0')
        for number in range(10):
            buffer[:] = b'%d' % number
            stream.write(buffer)
        assert [log.get()[1] for _ in range(10)] == [b'%d' % number for number in range(10)]


def test_text_messages() -> None:
    with stream_and_peer(decodeStrings=False) as (stream, peer):
        log = Log(peer, 'message')
        assert stream.write('\xe4') == 2
        stream.write(b'\xe4')
        assert [log.get()[1] for _ in range(2)] == ['\xe4', b'\xe4']


def test_flush_returns_when_the_system_has_everything() -> None:
    with stream_and_socket(writableHighWaterMark=100 * MIB) as (stream, this):
        stream.write(bytes(20 * MIB))
        assert stream._unsent
        with waiting(stream, stream.flush) as flushed:
            assert len(next(frames(this.sock))[2]) == 20 * MIB
            assert flushed.get() == (None,)
        assert stream._ws.bufferedAmount == 0


# -- what Python does with files --------------------------------------------------------------------------------------


def test_a_pair_of_buffers() -> None:
    with pair() as (ours, theirs):
        near, far = io.BufferedRWPair(ours, ours), io.BufferedRWPair(theirs, theirs)  # type: ignore[arg-type]
        near.write(b'GET')
        near.write(b' it\nrest')
        near.flush()
        assert far.readline() == b'GET it\n'
        assert far.read(4) == b'rest'
        far.write(b'x' * 100_000)
        far.close()
        assert theirs.closed
        assert near.read() == b'x' * 100_000
        near.close()
        assert ours.closed


def test_text_line_by_line() -> None:
    with pair(encoding='utf-8') as (near, far):
        assert isinstance(near, WebSocketTextStream)
        assert near.readable() and near.writable() and not near.closed
        assert near.encoding == 'utf-8'
        print('gr\xfc\xdfe', 1, file=near)
        assert far.readline() == 'gr\xfc\xdfe 1\n'
        print('one\ntwo', file=far)
        assert [next(near), next(near)] == ['one\n', 'two\n']
        near.write('no line\r')
        near.close()
        assert near.closed and near.buffer.closed
        assert list(far) == ['no line\r']
        assert far.read() == far.readline() == ''
        far.close()


def test_what_is_written_does_not_touch_what_is_read() -> None:
    """Not even a character of which half has come."""
    with open_pair() as (ws, peer):
        text, log = createWebSocketStream(ws, encoding='utf-8'), Log(peer, 'message')
        peer.send(b'one\ntwo\nth\xc3')
        assert text.readline() == 'one\n'
        print('x', file=text)
        assert text.readline() == 'two\n'
        with waiting(text.buffer, text.readline) as line:
            print('y', file=text)
            peer.send(b'\xa4e\n')
            assert line.get() == ('th\xe4e\n',)
        assert text.read(0) == ''
        text.write('without an end')
        text.flush()
        assert [log.get()[1] for _ in range(3)] == [b'x\n', b'y\n', b'without an end']
        assert repr(text) == f'<WebSocketTextStream of {text.buffer!r}>'
        text.close()


def test_a_line_of_text_is_a_message() -> None:
    with open_pair() as (ws, peer):
        log = Log(peer, 'message')
        text = createWebSocketStream(ws, encoding='utf-8', decodeStrings=False)
        print('a', 'b', file=text)
        peer.send('answer\n')
        assert log.get()[1] == 'a b\n'
        assert text.readline() == 'answer\n'
        text.close()


def test_pickle() -> None:
    things = [{'a': 1}, bytes(3 * MIB), list(range(50_000)), None, 'x' * MIB]
    with pair() as (near, far):
        buffered = io.BufferedReader(far)
        with in_thread(lambda: [pickle.load(buffered) for _ in things]) as loaded:
            for thing in things:
                pickle.dump(thing, near, protocol=5)
            assert loaded() == things
        pickle.dump('back', far)
        assert pickle.load(io.BufferedReader(near)) == 'back'


class Source(io.RawIOBase):
    """So many bytes, none of them kept; and what would come out of them."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._random = random.Random(size)
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: Optional[int] = -1, /) -> bytes:
        assert size is not None and size > 0
        size = min(size, self._left)
        data = self._random.getrandbits(8 * size or 1).to_bytes(size or 1, 'big')[:size]
        self._left -= size
        self.hash.update(data)
        return data


class Sink(io.RawIOBase):
    """Takes bytes, and what is to be looked at with each of them."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.hash.update(data)
        self._look()
        return len(data)


def test_copies_of_20_mib_both_ways_at_once_with_little_memory() -> None:
    most = {'received': 0, 'unsent': 0, 'under way': 0}
    with pair() as (near, far):

        def look() -> None:
            for stream in near, far:
                most['received'] = max(most['received'], stream._size)
                most['unsent'] = max(most['unsent'], stream._unsent)
                most['under way'] = max(most['under way'], stream._ws.bufferedAmount)

        there, back = Source(20 * MIB), Source(20 * MIB + 1)
        arrived, came_back = Sink(look), Sink(look)

        def copy(source: Source, stream: WebSocketStream) -> None:
            shutil.copyfileobj(source, stream)
            stream.flush()

        with contextlib.ExitStack() as stack:
            read = stack.enter_context(in_thread(copy_so_many, far, arrived, 20 * MIB))
            read_back = stack.enter_context(in_thread(copy_so_many, near, came_back, 20 * MIB + 1))
            stack.enter_context(in_thread(copy, there, near))
            stack.enter_context(in_thread(copy, back, far))
            read()
            read_back()
        near.end()
        assert near.read() == b''
    assert arrived.hash.digest() == there.hash.digest()
    assert came_back.hash.digest() == back.hash.digest()
    # The bound, and the message that is beyond it.
    chunk = shutil.COPY_BUFSIZE  # type: ignore[attr-defined]
    assert most['received'] <= 65536 + chunk
    assert most['unsent'] <= 65536 + chunk
    # In the eyes of other threads, one that is just being sent counts twice.
    assert most['under way'] <= 65536 + 2 * chunk + 100


def copy_so_many(stream: WebSocketStream, sink: Any, size: int) -> None:
    while size:
        data = stream.read(min(size, 65536))
        assert data
        sink.write(data)
        size -= len(data)


def test_a_copy_ends_with_the_connection() -> None:
    with pair() as (near, far):
        source, sink = Source(MIB), Sink(lambda: None)
        with in_thread(shutil.copyfileobj, far, sink):
            shutil.copyfileobj(source, near)
            near.end()
        assert near.read() == b''
        assert sink.hash.digest() == source.hash.digest()


CAT = 'import shutil; shutil.copyfileobj(open(0, "rb", 0), open(1, "wb", 0))'


def test_a_program_behind_a_connection() -> None:
    """What comes goes to its standard input, and its standard output goes back."""
    done = Waiter()

    def serve(ws: WebSocket) -> None:
        threading.Thread(target=bridge, args=[createWebSocketStream(ws)]).start()

    def bridge(stream: WebSocketStream) -> None:
        cat = subprocess.Popen([sys.executable, '-c', CAT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert cat.stdin is not None and cat.stdout is not None
        with stream, cat, in_thread(shutil.copyfileobj, cat.stdout, stream):
            copy_so_many(stream, cat.stdin, 5 * MIB)
            cat.stdin.close()
        done(cat.returncode)

    with server() as wss:
        wss.on('connection', serve)
        stream = createWebSocketStream(client(wss))
        source, sink = Source(5 * MIB), Sink(lambda: None)
        with in_thread(shutil.copyfileobj, source, stream):
            shutil.copyfileobj(stream, sink)
        assert sink.hash.digest() == source.hash.digest()
        assert done.get() == (0,)


# -- back-pressure ----------------------------------------------------------------------------------------------------


def test_a_write_waits_while_the_peer_takes_nothing() -> None:
    with stream_and_socket(writableHighWaterMark=100_000) as (stream, this):
        written: list[int] = []

        def write() -> None:
            while len(written) < 300:
                written.append(stream.write(bytes(50_000)))

        with waiting(stream, write):
            assert stream._ws.bufferedAmount <= 200_000 + 100
            assert len(written) < 300
            # It goes on when the peer does.
            assert sum(len(payload) for _, (_, _, payload) in zip(range(300), frames(this.sock))) == 300 * 50_000
        stream.flush()


def test_the_peer_cannot_send_while_nothing_is_read() -> None:
    with stream_and_socket(readableHighWaterMark=10_000) as (stream, this):
        frame = data_frame(os.urandom(5000))
        this.sock.settimeout(0.5)
        sent = 0
        with pytest.raises(socket.timeout):  # the kernels' buffers are full
            while sent < 200 * MIB:
                sent += this.sock.send(frame[sent % len(frame) :])
        assert stream._size == 15_000
        before = sent
        this.sock.settimeout(TIMEOUT)
        with in_thread(copy_so_many, stream, Sink(lambda: None), 15_000 + 8 * MIB):
            while sent < before + 8 * MIB:
                sent += this.sock.send(frame[sent % len(frame) :])


def test_an_empty_message_counts_where_messages_are_read() -> None:
    with stream_and_socket(readableHighWaterMark=1000, readableObjectMode=True) as (stream, this):
        this.sock.sendall(data_frame(b'') * 100)
        until(stream._ws._is_paused)
        assert len(stream._received) == 16
        this.sock.sendall(close_frame(1000))
        assert list(stream) == [b''] * 100


@pytest.mark.parametrize('name', ['readableHighWaterMark', 'writableHighWaterMark'])
def test_high_water_marks(name: str) -> None:
    both = {name: 5, 'highWaterMark': 7}
    with open_pair() as (ws, _):
        for options, expected in ({}, 65536), ({name: 5}, 5), ({'highWaterMark': 7}, 7), (both, 7):
            stream = createWebSocketStream(ws, options)
            assert getattr(stream, '_read_limit' if name[0] == 'r' else '_write_limit') == expected


def test_one_message_at_a_time() -> None:
    with pair(highWaterMark=0) as (near, far), in_thread(near.writelines, [b'%d ' % number for number in range(200)]):
        assert io.BufferedReader(far).read(690) == b''.join(b'%d ' % number for number in range(200))
        far.close()


def test_a_pause_of_somebody_elses_is_left_alone() -> None:
    with stream_and_socket() as (stream, this):
        this.sock.sendall(data_frame(b'x'))
        assert stream.read(1) == b'x'
        stream._ws.pause()
        this.sock.sendall(data_frame(b'y'))
        stream.timeout = 100
        with pytest.raises(TimeoutError):
            stream.read(1)
        stream._ws.resume()
        assert stream.read(1) == b'y'


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


CALLS = {
    'read': lambda stream: stream.read(1),
    'readall': lambda stream: stream.read(),
    'readline': lambda stream: stream.readline(),
    'write': lambda stream: stream.write(b'x'),
    'flush': lambda stream: stream.flush(),
}


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


def zip_first(this: End, number: int) -> list[Any]:
    return [frame for _, frame in zip(range(number), frames(this.sock))]


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


# -- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('call', CALLS)
def test_on_the_loop_thread_it_does_not_wait_for_itself(call: str) -> None:
    with stream_and_socket() as (stream, _):
        stream.write(bytes(20 * MIB))
        with pytest.raises(RuntimeError, match='wait for itself'):
            on_loop(stream._ws, lambda: CALLS[call](stream))


def test_on_the_loop_thread_what_need_not_wait_works() -> None:
    with stream_and_socket() as (stream, this):
        this.sock.sendall(data_frame(b'data'))
        until(lambda: stream._size)
        assert on_loop(stream._ws, lambda: (stream.read(2), stream.peek(), stream.read(100))) == (b'da', b'ta', b'ta')
        assert on_loop(stream._ws, lambda: (stream.write(b'answer'), stream.flush())) == (6, None)
        assert zip_first(this, 1)[0][2] == b'answer'
        this.sock.sendall(data_frame(b'more') + close_frame(1000))
        until(lambda: stream._ended)
        assert on_loop(stream._ws, stream.read) == b'more'


def test_on_the_loop_thread_it_closes_without_waiting() -> None:
    with stream_and_socket() as (stream, this):
        stream.write(bytes(20 * MIB))
        on_loop(stream._ws, stream.close)
        assert len(zip_first(this, 1)[0][2]) == 20 * MIB
        assert zip_first(this, 1)[0][1:] == (8, b'\x03\xe8')


@pytest.mark.parametrize('executor', [None, 1])
def test_in_a_close_listener_it_is_known_that_nothing_can_be_written(executor: Optional[int]) -> None:
    outcome = Waiter()
    with server() as wss:
        wss.on('connection', lambda peer: peer.close())
        ws = client(wss, executor=executor)
        ws.on('close', lambda: outcome(raised_by(lambda: stream.write(b'x'))))
        stream = createWebSocketStream(ws, timeout=5000)
        assert isinstance(outcome.get()[0], BrokenPipeError)


def test_lines_in_a_listener_may_be_written() -> None:
    with open_pair() as (ws, peer):
        text, log = createWebSocketStream(ws, encoding='utf-8'), Log(peer, 'message')
        on_loop(ws, lambda: [print(number, file=text) for number in range(3)])
        assert [log.get()[1] for _ in range(3)] == [b'0\n', b'1\n', b'2\n']
        text.close()


def test_many_threads_write_and_read_at_once(switching: None) -> None:
    numbers, got = 4, queue.SimpleQueue[bytes]()
    with pair(highWaterMark=100) as (near, far):

        def write(name: int) -> None:
            for number in range(100):
                near.write(b'%d %02d|' % (name, number))

        def read() -> None:
            while data := far.read(5):
                got.put(data)

        with contextlib.ExitStack() as stack:
            for _ in range(numbers):
                stack.enter_context(in_thread(read))
            with contextlib.ExitStack() as writers:
                for name in range(numbers):
                    writers.enter_context(in_thread(write, name))
            near.end()
    total = 0
    while not got.empty():
        total += len(got.get())
    assert total == 5 * 100 * numbers


def test_messages_of_several_writers_are_whole_and_in_order(switching: None) -> None:
    with stream_and_peer(writableHighWaterMark=100) as (stream, peer):
        log = Log(peer, 'message')

        def write(name: int) -> None:
            for number in range(100):
                stream.write(b'%d %d' % (name, number))

        with contextlib.ExitStack() as stack:
            for name in range(4):
                stack.enter_context(in_thread(write, name))
        messages = [log.get()[1] for _ in range(400)]
        for name in range(4):
            mine = [message for message in messages if message.startswith(b'%d' % name)]
            assert mine == [b'%d %d' % (name, number) for number in range(100)]


INTERRUPTED = """
    import sys
    from ws import WebSocket, createWebSocketStream

    stream = createWebSocketStream(WebSocket(sys.argv[1]))
    try:
        stream.read(1)
    except KeyboardInterrupt:
        print('interrupted', flush=True)
    stream.write(b'goes on')
    stream.close()
"""


def test_ctrl_c_interrupts_a_read(script: Scripts) -> None:  # noqa: F811
    with server() as wss:
        log: Waiter = Waiter()
        wss.on('connection', lambda ws: log(Log(ws, 'message', 'close')))
        child = script(INTERRUPTED, url_of(wss))
        [events] = log.get()
        child.interrupt()
        assert child.line() == 'interrupted'
        assert events.get()[1] == b'goes on'
        assert events.get() == ('close', 1000, '')
        assert child.end() == (0, '', '')


LEAVES = """
    import sys
    import threading
    from ws import WebSocket, createWebSocketStream

    def read():
        try:
            stream.read(1)
        except ConnectionError as error:
            print(error, flush=True)

    stream = createWebSocketStream(WebSocket(sys.argv[1]))
    stream.write(b'x')
    threading.Thread(target=read).start()
    sys.exit(3)
"""


def test_the_process_can_end_although_a_thread_waits(script: Scripts) -> None:  # noqa: F811
    over = Waiter()

    def talk(sock: Any, head: bytes) -> None:
        sock.sendall(accept(head))
        over.get()

    with fake_server(talk) as url:
        child = script(LEAVES, url)
        assert child.end() == (3, 'the process ends, and the connection with it\n', '')
        over()


FORKS = """
    import os
    import sys
    from ws import WebSocket, createWebSocketStream

    stream = createWebSocketStream(WebSocket(sys.argv[1]))
    assert stream.read(1) == b'a'

    def attempt(call, *args):
        try:
            call(*args)
        except OSError as error:
            print(type(error).__name__, error, flush=True)

    stream._changed.acquire()  # as another thread might at that moment
    if os.fork() == 0:
        attempt(stream.read, 1)
        attempt(stream.write, b'x')
        attempt(stream.flush)
        stream.close()
        os._exit(0)
    stream._changed.release()
    os.wait()
    print(stream.read(1), flush=True)
    stream.write(b'the parent')
    stream.close()
"""


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_the_child_of_a_fork_has_no_part_in_it(script: Scripts) -> None:  # noqa: F811
    with server() as wss:
        log: Waiter = Waiter()
        wss.on('connection', lambda ws: (ws.send(b'ab'), log(Log(ws, 'message', 'close'))))
        child = script(FORKS, url_of(wss), flags=('-W', 'ignore'))
        status, output, errors = child.end()
        assert (status, errors) == (0, '')
        parents = 'ConnectionError the connection belongs to the parent process'
        assert output.splitlines() == [parents, parents, "b'b'"]
        [events] = log.get()
        assert events.get()[1] == b'the parent'
        assert events.get() == ('close', 1000, '')


# -- beside listeners -------------------------------------------------------------------------------------------------


def test_other_listeners_see_the_messages_too() -> None:
    with open_pair() as (ws, peer):
        before, after = Waiter(), Waiter()
        ws.on('message', lambda data: before(data))
        stream = createWebSocketStream(ws)
        ws.on('message', lambda data: after(data))
        peer.send('x')
        assert stream.read(1) == b'x'
        assert before.get() == after.get() == ('x',)


def test_what_was_kept_for_late_listeners_is_read() -> None:
    def serve(ws: WebSocket) -> None:
        ws.send('early')
        ws.send(bytes(100_000))
        ws.close()

    with server() as wss:
        wss.on('connection', serve)
        ws = client(wss)
        until(lambda: ws._kept is not None and len(ws._kept.waiting) >= 2)
        assert createWebSocketStream(ws).read() == b'early' + bytes(100_000)


def test_a_servers_end_that_is_handed_to_a_thread() -> None:
    streams: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        stream = streams.get(timeout=TIMEOUT)
        with stream:
            for line in stream:
                stream.write(line.upper())

    with server() as wss, in_thread(work):
        wss.on('connection', lambda ws: streams.put(createWebSocketStream(ws)))
        stream = createWebSocketStream(client(wss))
        stream.write(b'one\ntwo\n')
        assert stream.readline() == b'ONE\n'
        assert stream.readline() == b'TWO\n'
        stream.close()


@pytest.mark.parametrize('kind', ['hixie', 'server tls', 'client tls', 'version 8'])
def test_other_kinds_of_connections(kind: str) -> None:
    with stream_and_socket(kind, encoding='utf-8', decodeStrings=False) as (text, this):
        this.sock.sendall(this.text('a line\n'))
        assert text.readline() == 'a line\n'
        print('answer', file=text)
        text.close()


def test_a_connection_whose_listeners_run_on_a_pool() -> None:
    answer = os.urandom(MIB)

    def serve(ws: WebSocket) -> None:
        ws.on('message', lambda: (ws.send(answer[:1000]), ws.send(answer[1000:])))

    with server() as wss:
        wss.on('connection', serve)
        stream = createWebSocketStream(client(wss, executor=2), readableHighWaterMark=100)
        stream.write(b'x')
        assert io.BufferedReader(stream).read(MIB) == answer


@pytest.mark.parametrize('executor', [None, 1, 2])
def test_what_came_while_a_listener_was_at_work_can_be_read(executor: Optional[int]) -> None:
    """The peer may have closed the connection by then: that is told behind its messages."""
    read = Waiter()

    def serve(ws: WebSocket) -> None:
        if executor is not None:
            until(lambda: ws.readyState == ws.CLOSED)
        stream = createWebSocketStream(ws)
        threading.Thread(target=lambda: read(stream.readall())).start()

    with server(executor=executor) as wss:
        wss.on('connection', serve)
        ws = client(wss)
        ws.on('open', lambda: (ws.send('hello'), ws.close()))
        assert read.get() == (b'hello',)


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('options', 'kind', 'text'),
    [
        ({'readableHighWaterMark': -1}, ValueError, 'readableHighWaterMark must not be negative'),
        ({'writableHighWaterMark': 1.5}, TypeError, 'writableHighWaterMark must be an int'),
        ({'highWaterMark': '5'}, TypeError, 'highWaterMark must be an int'),
        ({'timeout': -1}, ValueError, 'timeout must be a number of milliseconds'),
        ({'encoding': 5}, TypeError, 'encoding must be a str'),
        ({'encoding': 'nonsense'}, LookupError, 'nonsense'),
        ({'encoding': 'hex'}, LookupError, 'not a text encoding'),
        ({'encoding': 'latin-1', 'decodeStrings': False}, ValueError, 'text messages are UTF-8, not latin-1'),
        ({'encoding': 'utf-8', 'readableObjectMode': True}, ValueError, 'exclude each other'),
        ({'decodeStrings': 1}, TypeError, 'decodeStrings must be a bool'),
        ({'readableObjectMode': 1}, TypeError, 'readableObjectMode must be a bool'),
        (5, TypeError, 'the options of createWebSocketStream must be a dict'),
    ],
)
def test_wrong_options(options: Any, kind: type[Exception], text: str) -> None:
    with open_pair() as (ws, _):
        with pytest.raises(kind, match=text):
            createWebSocketStream(ws, options)
        assert ws.eventNames() == []


def test_something_else_than_a_websocket() -> None:
    with pytest.raises(TypeError, match='ws must be a WebSocket, not str'):
        createWebSocketStream('ws://localhost')  # type: ignore[call-overload]


def test_an_unknown_option_gets_a_warning_about_that_line() -> None:
    with open_pair() as (ws, _):
        told = "createWebSocketStream has no option 'highWatermark'.*'highWaterMark'"
        with pytest.warns(UserWarning, match=told) as caught:
            createWebSocketStream(ws, {'highWatermark': 5})
        assert caught[0].filename == __file__


def test_the_timeout_is_looked_at_when_it_is_set() -> None:
    with stream_and_peer(timeout=20) as (stream, _):
        assert stream.timeout == 20
        with pytest.raises(TypeError, match='timeout must be a number of milliseconds'):
            stream.timeout = None  # type: ignore[assignment]
        assert stream.timeout == 20


def test_what_no_stream_over_a_network_has() -> None:
    with stream_and_peer() as (stream, _):
        for call in (stream.fileno, stream.tell, stream.truncate, lambda: stream.seek(0)):
            with pytest.raises(io.UnsupportedOperation):
                call()
        assert not stream.seekable()
        assert not stream.isatty()
        assert repr(stream) == f'<WebSocketStream of {stream._ws!r}>'
