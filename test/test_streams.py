"""Messages in pieces: open files, stream(), what waits behind them, and every way in which they can end."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streams import receive, reset
from support import (
    TIMEOUT,
    Log,
    Waiter,
    client,
    end,
    frames,
    on_loop,
    open_pair,
    raw_client,
    raw_connection,
    raw_pair,
    read_all,
    read_head,
    server,
    until,
    wait_for,
)

import ws as ws_package
from ws import NotOpenError, WebSocket, WebSocketError
from ws.protocol.frames import build_frame
from ws.streams import CHUNK_SIZE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@pytest.fixture
def pair() -> Iterator[tuple[WebSocket, WebSocket]]:
    with open_pair() as ends:
        yield ends


class Chunks:
    """A file that yields what it is given, raises the exceptions among it, and calls the functions."""

    def __init__(self, *chunks: Any) -> None:
        self._chunks = iter(chunks)
        self.reads = 0
        self.closings = Waiter()

    def read(self, size: int) -> Any:
        self.reads += 1
        chunk = next(self._chunks, b'')
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk() if callable(chunk) else chunk

    def close(self) -> None:
        self.closings()


class Blocked(Chunks):
    """A file with nothing in it, behind `chunks`, until `release` is set; `begun` tells that somebody waits for it."""

    def __init__(self, *chunks: Any) -> None:
        self.begun, self.release = Waiter(), threading.Event()
        super().__init__(*chunks, self._wait)

    def _wait(self) -> bytes:
        self.begun()
        assert self.release.wait(TIMEOUT)
        return b'late'


class Endless(Blocked):
    """A file that has no end, and is never waited for."""

    def read(self, size: int) -> bytes:
        self.reads += 1
        return bytes(size)


def supply(*pieces: Any, told: Optional[Callable[..., object]] = None) -> Callable[..., None]:
    """What stream() calls: one piece for each call, the last of them final. Errors go to `told`."""
    remaining = list(pieces)

    def callback(error: Optional[Exception], send: Any) -> None:
        if error is None:
            piece = remaining.pop(0)
            send(piece, not remaining)
        elif told is not None:
            told(error)

    return callback


def close_frame(*arguments: Any) -> bytes:
    code, reason = arguments
    return build_frame(CLOSE, code.to_bytes(2, 'big') + reason, True, True)


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_one_message_of_many_frames() -> None:
    """RFC 6455 section 5.4: the last frame is empty, as nobody knows before that it is the last."""
    with raw_pair() as (ws, sock):
        incoming = frames(sock)
        ws.send(Chunks(b'one', b'two', b''))
        ws.send(Chunks('one', 'zwö', ''))
        expected = [(False, BINARY, b'one'), (False, CONTINUATION, b'two'), (True, CONTINUATION, b'')]
        assert [next(incoming) for _ in range(3)] == expected
        expected = [(False, TEXT, b'one'), (False, CONTINUATION, 'zwö'.encode()), (True, CONTINUATION, b'')]
        assert [next(incoming) for _ in range(3)] == expected


def _opened(kind: str, folder: Path) -> tuple[Any, Any]:
    """An open file, and the message that becomes of it."""
    content = os.urandom(2 * CHUNK_SIZE + 12345)
    text = 'Grüße, 世界 🎉\n' * CHUNK_SIZE
    (folder / 'binary').write_bytes(content)
    (folder / 'text').write_text(text, encoding='utf-8')
    if kind == 'binary file':
        return open(folder / 'binary', 'rb'), content
    if kind == 'unbuffered file':
        return open(folder / 'binary', 'rb', buffering=0), content
    if kind == 'text file':
        return open(folder / 'text', encoding='utf-8'), text
    if kind == 'BytesIO':
        return io.BytesIO(content), content
    if kind == 'StringIO':
        return io.StringIO(text), text
    if kind == 'mmap':
        with open(folder / 'binary', 'rb') as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), content
    if kind == 'urlopen':
        return urllib.request.urlopen((folder / 'binary').as_uri()), content
    return subprocess.Popen(['cat', str(folder / 'binary')], stdout=subprocess.PIPE).stdout, content


KINDS = ['binary file', 'unbuffered file', 'text file', 'BytesIO', 'StringIO', 'mmap', 'urlopen', 'pipe']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.filterwarnings('ignore:subprocess:ResourceWarning')
def test_files_of_all_kinds_arrive_whole_and_are_closed(
    pair: tuple[WebSocket, WebSocket], kind: str, tmp_path: Path
) -> None:
    """Items 56 and 57."""
    for this, other in (pair, pair[::-1]):
        received, told = Waiter(), Waiter()
        other.once('message', received)
        file, content = _opened(kind, tmp_path)
        this.send(file, told)
        message, flags = received.get()
        assert flags.binary is isinstance(content, bytes)
        same = message == content  # apart: pytest would print both
        assert same
        assert told.get() == (None,)
        until(lambda file=file: file.closed)


def test_a_file_is_sent_from_where_it_stands(pair: tuple[WebSocket, WebSocket]) -> None:
    received = Waiter()
    pair[1].on('message', received)
    file = io.BytesIO(b'not this, but this')
    file.seek(10)
    pair[0].send(file)
    assert received.get()[0] == b'but this'


@pytest.mark.parametrize(
    ('file', 'message'), [(io.BytesIO, b''), (io.StringIO, ''), (lambda: Chunks(b''), b''), (lambda: Chunks(''), '')]
)
def test_an_empty_file_is_an_empty_message(
    pair: tuple[WebSocket, WebSocket], file: Callable[[], Any], message: Any
) -> None:
    received, told = Waiter(), Waiter()
    pair[1].on('message', received)
    pair[0].send(file(), told)
    assert received.get()[0] == message
    assert told.get() == (None,)


@pytest.mark.parametrize('how', ['dict', 'keywords'])
def test_binary_and_mask_override_what_the_file_and_the_side_say(how: str) -> None:
    with raw_pair(allowUnmasked=True) as (ws, sock):

        def send(file: Any, **options: Any) -> None:
            ws.send(file, options) if how == 'dict' else ws.send(file, **options)

        incoming = frames(sock)
        send(io.BytesIO('ö'.encode()), binary=False)
        assert next(incoming) == (False, TEXT, 'ö'.encode())
        assert next(incoming) == (True, CONTINUATION, b'')
        send(io.StringIO('ö'), binary=True, mask=False)
        assert next(incoming) == (False, BINARY, 'ö'.encode())
        assert next(incoming) == (True, CONTINUATION, b'')
        send(io.StringIO('ö'), mask=True)
        with sock.makefile('rb') as file:
            assert file.read(2) == bytes([TEXT, 0x80 | 2])  # what follows is the mask


def test_a_client_that_does_not_mask_its_file() -> None:
    with server(allowUnmasked=True) as wss:
        received = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda data, flags: received(data, flags.masked)))
        ws = client(wss)
        wait_for(ws, 'open')
        ws.send(io.StringIO('a'), {'mask': False})
        ws.stream({'mask': False}, supply('b', 'c'))
        ws.send(io.StringIO('d'))
        assert [received.get() for _ in range(3)] == [('a', False), ('bc', False), ('d', True)]
        end(ws)


def test_a_file_is_closed_once_it_is_read_however_slow_the_peer() -> None:
    with raw_pair() as (ws, _):
        on_loop(ws, lambda: [ws.send(bytes(1 << 16)) for _ in range(400)])  # more than the kernel takes
        until(lambda: ws._socket.stalled)
        file = Chunks(b'')
        ws.send(file)
        file.closings.get()
        assert ws.bufferedAmount > 0


def test_callbacks_come_in_the_order_of_the_messages(pair: tuple[WebSocket, WebSocket]) -> None:
    called = Waiter()

    def send() -> None:
        pair[0].send(io.BytesIO(b'1'), lambda error: called(1, error))
        pair[0].send('2', lambda error: called(2, error))
        pair[0].send(io.BytesIO(b'3'), lambda error: called(3, error))
        pair[0].send(io.BytesIO(b'4'), lambda error: called(4, error))
        pair[0].send('5', lambda error: called(5, error))

    send()
    assert [called.get() for _ in range(5)] == [(number, None) for number in range(1, 6)]
    on_loop(pair[0], send)
    assert [called.get() for _ in range(5)] == [(number, None) for number in range(1, 6)]


def test_a_file_over_tls() -> None:
    ca = trustme.CA()
    certificate = ca.issue_cert('localhost')
    options = {
        'cert': certificate.cert_chain_pems[0].bytes(),
        'key': certificate.private_key_pem.bytes(),
    }
    with server(**options) as wss:
        received = Waiter()
        wss.on('connection', lambda ws: ws.on('message', received))
        ws = WebSocket(f'wss://localhost:{wss.address().port}', ca=ca.cert_pem.bytes())
        wait_for(ws, 'open')
        content = os.urandom(3 << 20)
        ws.send(io.BytesIO(content))
        same = received.get()[0] == content
        assert same
        end(ws)


# -- files that can't be sent -----------------------------------------------------------------------------------------


class WithoutRead:
    @property
    def read(self) -> Any:
        if threading.current_thread().name == 'ws-reader':
            raise OSError('gone')
        return lambda size: b''


async def read_later() -> bytes:
    return b''


def _closed() -> Any:
    file = io.BytesIO(b'x')
    file.close()
    return file


BAD_FILES: list[Any] = [
    (lambda: Chunks(OSError('a bad sector')), OSError, 'a bad sector'),
    (lambda: Chunks(SystemExit('a reader that wants to end it all')), SystemExit, 'end it all'),
    (lambda: Chunks(None), TypeError, 'must return str or bytes, not NoneType'),
    (lambda: Chunks(5), TypeError, 'must return str or bytes, not int'),
    (lambda: Chunks([b'x']), TypeError, 'must return str or bytes, not list'),
    (lambda: Chunks('\ud800'), UnicodeEncodeError, 'surrogates'),
    (_closed, ValueError, 'closed file'),
    (lambda: io.BytesIO, TypeError, 'read'),
    (WithoutRead, OSError, 'gone'),
]


@pytest.mark.parametrize(('make', 'kind', 'text'), BAD_FILES)
def test_a_file_that_fails_at_first_harms_nobody(
    pair: tuple[WebSocket, WebSocket], make: Any, kind: type[Exception], text: str
) -> None:
    ws, peer = pair
    received, told = Waiter(), Waiter()
    peer.on('message', lambda data: received(data))
    file = make()
    ws.send(file, told)
    ws.send('behind')
    (error,) = told.get()
    assert isinstance(error, kind)
    assert text in str(error)
    assert received.get() == ('behind',)
    errors = Waiter()
    ws.on('error', errors)
    ws.send(make())
    ws.send('behind')
    (error,) = errors.get()
    assert isinstance(error, kind)
    assert received.get() == ('behind',)
    assert ws.readyState == WebSocket.OPEN
    assert told.nothing(0.05)
    if isinstance(file, Chunks):
        file.closings.get()
        assert file.closings.nothing(0.05)


@pytest.mark.parametrize('with_callback', [True, False])
@pytest.mark.parametrize(
    ('last', 'kind'), [(OSError('a bad sector'), OSError), (None, TypeError), ('\udfff', UnicodeEncodeError)]
)
def test_a_file_that_fails_in_the_middle_ends_the_connection(
    pair: tuple[WebSocket, WebSocket], with_callback: bool, last: Any, kind: type[Exception]
) -> None:
    """The peer must not take what it got for the whole."""
    ws, peer = pair
    log, peer_log = Log(ws, 'error', 'close'), Log(peer, 'message', 'error', 'close')
    told, behind = Waiter(), Waiter()
    file = Chunks('first', last)
    ws.send(file, told if with_callback else None)
    ws.send('behind', behind)
    assert isinstance(behind.get()[0], NotOpenError)
    assert peer_log.get() == ('close', 1011, '')
    if with_callback:
        assert isinstance(told.get()[0], kind)
    else:
        assert isinstance(log.get()[1], kind)
    assert log.get() == ('close', 1011, '')
    file.closings.get()
    assert told.nothing(0.05)
    assert behind.nothing(0)
    assert file.closings.nothing(0)


def test_a_file_whose_close_raises_is_sent_all_the_same(pair: tuple[WebSocket, WebSocket]) -> None:
    class Stubborn:  # no io.BytesIO: what is collected closes itself, and would be reported
        def __init__(self, data: bytes) -> None:
            self._reads = [data, b'']

        def read(self, size: int) -> bytes:
            return self._reads.pop(0)

        def close(self) -> None:
            raise SystemExit

    received, told = Waiter(), Waiter()
    pair[1].on('message', lambda data: received(data))
    for number in range(40):  # more than there are readers
        pair[0].send(Stubborn(b'%d' % number), told)
        assert received.get() == (b'%d' % number,)
        assert told.get() == (None,)


def test_a_file_sent_when_not_open() -> None:
    """With a callback it is ours, and closed; without one it raises, and is the caller's still."""
    with server() as wss:
        ws = on_loop(wss, lambda: client(wss))
        for _ in range(2):
            told, file = Waiter(), Chunks(b'x')
            ws.send(file, told)
            assert isinstance(told.get()[0], NotOpenError)
            file.closings.get()
            with pytest.raises(NotOpenError):
                ws.send(file)
            assert file.closings.nothing(0.05)
            assert file.reads == 0
            end(ws) if ws.readyState != WebSocket.CLOSED else None


def test_a_pipe_with_nothing_in_it_holds_nobody_up() -> None:
    """Not even many of them: neither other messages nor other files."""
    with server() as wss:
        connected, received = Waiter(), Waiter()
        wss.on('connection', lambda ws: (connected(ws), ws.on('message', lambda data: received(data))))
        clients = [client(wss) for _ in range(40)]
        for ws in clients:
            wait_for(ws, 'open')
        with contextlib.ExitStack() as stack:
            for ws in clients[1:]:
                readable, writable = os.pipe()
                stack.callback(os.close, writable)
                ws.send(open(readable, 'rb'))  # noqa: SIM115
                ws.send('behind')
            clients[0].send('a message')
            assert received.get() == ('a message',)
            clients[0].send(io.BytesIO(b'a file'))
            assert received.get() == (b'a file',)
            pongs = Waiter()
            clients[1].on('pong', pongs)
            clients[1].ping('x')
            assert pongs.get()[0] == b'x'
            assert received.nothing(0.05)
        assert sorted(str(received.get()[0]) for _ in range(78)) == ["b''"] * 39 + ['behind'] * 39
        for ws in clients:
            end(ws)


# -- back-pressure ----------------------------------------------------------------------------------------------------


def _small_buffers(ws: WebSocket, sock: socket.socket) -> int:
    """Make the kernel hold little; returns how much it may hold, generously."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    ws._socket._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # type: ignore[union-attr]
    return 1 << 20


class Counting(Chunks):
    """A file of so many zeros, which counts what has been read of it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.position = 0

    def read(self, size: int) -> bytes:
        size = min(size, self.size - self.position)
        self.position += size
        return bytes(size)


def _take_slowly(ws: WebSocket, sock: socket.socket, file: Counting, portions: int) -> None:
    """Read all of a file at the peer's end, and check now and then how far it has been read at ours."""
    kernel = _small_buffers(ws, sock)
    told = Waiter()
    ws.send(file, told)
    received = 0
    portion = file.size // portions
    while received < file.size:
        if received % portion < 65536:
            until(lambda: ws._socket.stalled or file.position == file.size)
            assert file.position <= received + kernel + 3 * CHUNK_SIZE
            assert ws.bufferedAmount <= 2 * CHUNK_SIZE
        received += len(sock.recv(65536))
    assert told.get() == (None,)
    assert ws.bufferedAmount == 0
    file.closings.get()


def test_a_large_file_is_read_as_fast_as_the_peer_reads() -> None:
    with raw_pair() as (ws, sock):
        _take_slowly(ws, sock, Counting(64 << 20), 16)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    with open(tmp_path / 'sparse', 'wb') as file:
        file.truncate(1 << 30)
    with raw_pair() as (ws, sock):
        _take_slowly(ws, sock, Counting(16 << 20), 4)  # whatever grows once has grown
        before = _peak_memory()
        told = Waiter()
        ws.send(open(tmp_path / 'sparse', 'rb'), told)  # noqa: SIM115
        received = 0
        buffer = bytearray(1 << 20)
        while received < 1 << 30:
            received += sock.recv_into(buffer)
        assert told.get() == (None,)
        assert _peak_memory() - before < 8 << 20


def _peak_memory() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


# -- stream() ---------------------------------------------------------------------------------------------------------


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
        kernel = _small_buffers(ws, sock)
        pieces = Waiter()
        sent = []

        def callback(error: Any, send: Any) -> None:
            if error is None:
                sent.append(send(bytes(65536), len(sent) == 1000))
                pieces()

        ws.stream(callback)
        until(lambda: ws._socket.stalled)
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
        file = _begin('a file in the middle' if kind == 'file' else 'a stream in the middle', ws, Waiter())
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
def test_options_that_are_no_dict_raise(pair: tuple[WebSocket, WebSocket], options: Any) -> None:
    with pytest.raises(TypeError, match=f'options must be a dict, not {type(options).__name__}'):
        pair[0].stream(options, print)
    with pytest.raises(TypeError, match=f'options must be a dict, not {type(options).__name__}'):
        pair[0].send('x', options)


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


def _begin(kind: str, ws: WebSocket, told: Callable[..., object]) -> Blocked:
    """Something in pieces is under way, and not at its end. For a file, what is sent; it waits for `release`."""
    file = Blocked(b'first') if kind == 'a file in the middle' else Blocked()
    if kind == 'a file that the peer does not take':
        file = Endless()
        ws.send(file, told)
        until(lambda: ws._socket.stalled)  # type: ignore[union-attr]
    elif 'file' in kind:
        ws.send(file, told)
        file.begun.get()
    else:
        sends = Waiter()
        ws.stream(lambda error, send: sends(send) if error is None else told(error))
        (send,) = sends.get()
        if kind == 'a stream in the middle':
            send(b'first')
            sends.get()
    return file


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
            file = _begin(kind, ws, lambda error: happened('current', type(error)))
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
            assert ws.bufferedAmount == 0
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


def test_the_process_ends_in_the_middle_of_a_file() -> None:
    """The connection that is left at the last line is unref()'d: it gets its 1001, and the pipe holds nothing up."""
    program = """if True:
        import os, sys, threading
        sys.path.insert(0, sys.argv[2])
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
        root = str(Path(ws_package.__file__).parent.parent)
        url = f'ws://127.0.0.1:{wss.address().port}'
        result = subprocess.run(
            [sys.executable, '-c', program, url, root], capture_output=True, text=True, timeout=TIMEOUT
        )
        assert (result.returncode, result.stderr) == (0, '')
        assert result.stdout.splitlines() == ['told: not opened', 'behind: not opened', 'close: 1001']
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
