"""A WebSocket as a stream: reading, writing, and who waits for whom."""

from __future__ import annotations

import io
import os
import socket

import pytest
from streams import in_thread
from support import TIMEOUT, Log, frames, open_pair, until
from websocket_stream.pairs import (
    MIB,
    Sink,
    close_frame,
    copy_so_many,
    data_frame,
    pair,
    stream_and_peer,
    stream_and_socket,
    waiting,
)

from ws import ProtocolError, WebSocketMessageStream, createWebSocketStream

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
        depths = []
        for _ in range(2):
            with pytest.raises(ProtocolError) as again:
                stream.read(1)
            assert again.value is raised.value
            depths.append(len(again.traceback))
        assert depths[0] == depths[1] <= len(raised.traceback)  # what was raised before does not pile up


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
        until(lambda: stream._ws.isPaused)
        this.sock.sendall(data_frame(b'y'))
        stream.timeout = 100
        with pytest.raises(TimeoutError):
            stream.read(1)
        stream.timeout = TIMEOUT * 1000
        stream._ws.resume()
        assert stream.read(1) == b'y'
