"""ws 8's tests of createWebSocketStream, C001 to C020: what its duplex streams promise, of ours, which block.

Where Node has events, a thread has a call that returns or raises: ``data`` and ``end`` are what `read` gives, ``error``
is what it raises, ``finish`` that `end` returns.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import queue
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
from ends import connection
from fakes import fake_server
from streams import in_thread
from support import TIMEOUT, Waiter, client, open_pair, server, until

from ws import HandshakeError, ProtocolError, WebSocket, WebSocketStream, createWebSocketStream
from ws.protocol.frames import build_frame

BROKEN = build_frame(5, b'')  # there is no such opcode


@contextlib.contextmanager
def connected(serve: Optional[Callable[[WebSocket], Any]] = None, **options: Any) -> Iterator[WebSocket]:
    """A client on its way to a server that hands its end of the connection to `serve`."""
    with server(**options) as wss:
        if serve is not None:
            wss.on('connection', serve)
        ws = client(wss)
        yield ws
        ws.terminate()


def compressed(payload: bytes) -> bytes:
    """A frame that says so: with RSV1."""
    return bytes([build_frame(2, b'')[0] | 0x40, len(payload)]) + payload


def send_raw(data: bytes) -> Callable[[WebSocket], object]:
    """Behind the back of the server's end."""
    return lambda ws: ws._socket.write(data)


def raised_by(function: Callable[[], object]) -> Optional[BaseException]:
    try:
        function()
    except Exception as error:
        return error
    return None


def test_c001_it_is_on_the_class() -> None:
    assert WebSocket.createWebSocketStream is createWebSocketStream


def test_c002_it_returns_a_stream() -> None:
    with open_pair() as (ws, _):
        stream = createWebSocketStream(ws)
        assert isinstance(stream, WebSocketStream)
        assert isinstance(stream, io.RawIOBase)
        assert stream.readable()
        assert stream.writable()


def test_c003_its_options_have_their_effect() -> None:
    with connected(lambda ws: (ws.send(b'hi'), ws.close())) as ws:
        text = createWebSocketStream(ws, {'allowHalfOpen': False, 'encoding': 'utf8'})
        assert text.read() == 'hi'
        text.close()
        assert ws.readyState == ws.CLOSED


def test_c004_what_is_written_while_connecting_is_sent() -> None:
    received = Waiter()

    def serve(ws: WebSocket) -> None:
        ws.on('message', lambda data, flags: received(data, flags.binary))
        ws.on('close', received)
        ws.on('message', lambda: ws.close())

    chunk = os.urandom(1024)
    with connected(serve) as ws:
        stream = createWebSocketStream(ws)
        stream.write(chunk)
        assert received.get() == (chunk, True)
        assert received.get() == (1000, '')  # what our close() says without a code


def test_c005_a_write_while_closing_is_an_error() -> None:
    with connection('client') as this:  # its peer sends a close frame, and does not go
        stream = createWebSocketStream(this.ws)
        this.sock.sendall(build_frame(8, b'\x03\xe8'))
        until(lambda: this.ws.readyState == WebSocket.CLOSING)
        with pytest.raises(BrokenPipeError, match=r'^WebSocket is not open: readyState 2 \(CLOSING\)$'):
            stream.write(b'hi')


def test_c006_a_write_once_closed_is_an_error() -> None:
    with connected(lambda ws: ws.close()) as ws:
        stream = createWebSocketStream(ws)
        until(lambda: stream._ended)
        with pytest.raises(BrokenPipeError, match=r'^WebSocket is not open: readyState 3 \(CLOSED\)$'):
            stream.write(b'hi')


def test_c007_it_may_end_while_connecting() -> None:
    closed = Waiter()
    with server() as wss:
        ws = client(wss)
        stream = createWebSocketStream(ws)
        assert ws.readyState == WebSocket.CONNECTING
        wss.on('connection', lambda peer: peer.on('close', closed))  # nobody was let in without
        stream.end()
        assert stream.read() == b''
        assert closed.get() == (1000, '')
        ws.terminate()


def test_c008_the_end_of_what_never_opened_is_its_error() -> None:
    ends: queue.SimpleQueue[None] = queue.SimpleQueue()

    def refuse(sock: Any, head: bytes) -> None:
        ends.get(timeout=TIMEOUT)
        lines = 'HTTP/1.1 101 x', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Accept: foo'
        sock.sendall('\r\n'.join([*lines, '', '']).encode())
        sock.recv(1)

    with fake_server(refuse) as url:
        ws = WebSocket(url)
        stream = createWebSocketStream(ws)
        ended = Waiter()
        with in_thread(lambda: ended(raised_by(stream.end))):
            ends.put(None)
        [error] = ended.get()
        assert isinstance(error, HandshakeError)
        assert raised_by(stream.read) is error
        assert str(error) == 'invalid server key'
        assert ws._socket is None


def test_c009_it_raises_the_errors_of_the_connection() -> None:
    closed = Waiter()

    def serve(ws: WebSocket) -> None:
        ws.on('close', closed)
        send_raw(BROKEN)(ws)

    with connected(serve) as ws:
        stream = createWebSocketStream(ws)
        with pytest.raises(ProtocolError, match='opcode 5') as raised:
            stream.read()
        assert raised.value.closeCode == 1002
        assert closed.get() == (1002, '')


def test_c010_an_error_is_not_lost_because_the_stream_is_destroyed() -> None:
    with connected(send_raw(compressed(b'\x22\xfa\xec\x78')), perMessageDeflate=True) as ws:
        stream = createWebSocketStream(ws)
        until(lambda: stream._error)
        stream.destroy()
        with pytest.raises(ProtocolError):
            stream.read()


def test_c011_an_error_that_nobody_asks_for_is_reported(reported: list[BaseException]) -> None:
    with connected(send_raw(BROKEN)) as ws:
        createWebSocketStream(ws)
        until(lambda: ws.readyState == ws.CLOSED)
    until(lambda: gc.collect() or reported)
    [error] = reported
    assert isinstance(error, ProtocolError)
    assert 'opcode 5' in str(error)
    reported.clear()


def test_c012_it_may_end_before_it_is_read_to_the_end() -> None:
    with connected(lambda ws: (ws.send('foo'), ws.close())) as ws:
        stream = createWebSocketStream(ws)
        until(lambda: stream._ended)
        stream.end()
        assert not stream.closed
        assert stream.readable()
        assert stream.read() == b'foo'


def test_c013_it_may_be_read_to_the_end_before_it_ends() -> None:
    with connected(lambda ws: ws.close()) as ws:
        stream = createWebSocketStream(ws)
        assert stream.read() == b''
        assert not stream.closed
        assert stream.writable()
        stream.end()
        stream.close()


def test_c014_a_write_waits_while_much_is_under_way() -> None:
    """And goes on when it no longer is."""
    streams = Waiter()
    with connected(lambda ws: streams(createWebSocketStream(ws))):
        [stream] = streams.get()
        chunk, most = os.urandom(1024), 0
        for _ in range(5000):
            stream.write(chunk)
            most = max(most, stream._ws.bufferedAmount)
        assert 60_000 < most < 70_000  # the bound, one message, and the headers of frames
        stream.end()
        assert stream.read() == b''


def burst(first: bytes) -> bytes:
    """What comes in one piece: a message, and a compressed one of a byte behind it."""
    compressor = zlib.compressobj(wbits=-15)
    second = compressor.compress(b'\0') + compressor.flush(zlib.Z_SYNC_FLUSH)
    return build_frame(2, first) + compressed(second[:-4])


def test_c015_what_is_too_much_waits_until_some_is_read() -> None:
    """Here while there is more at hand, which has not been looked at."""
    first = os.urandom(65537)
    with connected(send_raw(burst(first)), perMessageDeflate=True) as ws:
        stream = createWebSocketStream(ws)
        until(ws._is_paused)
        assert stream._size == len(first)
        assert stream.read(len(first)) == first
        until(lambda: not stream._paused)
        assert stream.read(1) == b'\0'
        stream.end()
        assert stream.read() == b''


def test_c016_reading_goes_on_when_all_at_hand_has_been_taken() -> None:
    first = os.urandom(65536)
    with connected(send_raw(burst(first)), perMessageDeflate=True) as ws:
        stream = createWebSocketStream(ws)
        until(ws._is_paused)
        assert stream._size == len(first) + 1
        stream.end()
        assert stream.read() == first + b'\0'


def test_c017_it_can_be_destroyed_with_an_error() -> None:
    error = ValueError('Oops')
    with connected() as ws:
        closed = Waiter()
        ws.on('close', closed)
        stream = createWebSocketStream(ws)
        until(lambda: ws.readyState == ws.OPEN)
        stream.destroy(error)
        assert raised_by(stream.read) is error
        assert closed.get() == (1006, '')


def test_c018_it_can_be_destroyed_without_one() -> None:
    with connected() as ws:
        closed = Waiter()
        ws.on('close', closed)
        stream = createWebSocketStream(ws)
        until(lambda: ws.readyState == ws.OPEN)
        stream.destroy()
        assert stream.closed
        assert closed.get() == (1006, '')


def test_c019_in_object_mode_text_is_str() -> None:
    with connected(lambda ws: (ws.send('foo'), ws.close())) as ws:
        stream = createWebSocketStream(ws, {'readableObjectMode': True})
        assert list(stream) == ['foo']
        stream.end()


def test_c020_it_goes_on_reading_while_closing() -> None:
    data = os.urandom(65537)
    with connected(lambda ws: ws.send(data)) as ws:
        stream = createWebSocketStream(ws)
        until(ws._is_paused)
        stream.end()
        until(lambda: ws.readyState == WebSocket.CLOSING)
        assert stream.read() == data
        assert ws.readyState == WebSocket.CLOSED
