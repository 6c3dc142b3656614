"""Messages in pieces: open files, stream(), what waits behind them, and every way in which they can end."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import resource
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from files import Chunks, small_buffers, supply
from support import Log, Waiter, client, end, frames, on_loop, raw_pair, server, until, wait_for

from ws import NotOpenError, WebSocket
from ws.streams import CHUNK_SIZE

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


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
        until(lambda: ws._stream.stalled)
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
    """It is ours, and closed; unless this raises, and then it is the caller's still."""
    with server() as wss:
        ws = on_loop(wss, lambda: client(wss))
        for connecting in (True, False):
            told, file = Waiter(), Chunks(b'x')
            ws.send(file, told)
            assert isinstance(told.get()[0], NotOpenError)
            file.closings.get()
            file = Chunks(b'x')
            if connecting:
                with pytest.raises(NotOpenError):
                    ws.send(file)
                assert file.closings.nothing(0.05)
                end(ws)
            else:
                ws.send(file)
                file.closings.get()
            assert file.reads == 0


def test_a_pipe_with_nothing_in_it_holds_nobody_up() -> None:
    """Not even many of them: neither other messages nor other files."""
    with server() as wss:
        connected, received = Waiter(), Waiter()
        wss.on('connection', lambda ws: (connected(ws), ws.on('message', lambda data: received(data))))
        opened = Waiter()
        clients = [client(wss).on('open', opened) for _ in range(40)]
        for _ in clients:
            opened.get()
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
    kernel = small_buffers(ws, sock)
    told = Waiter()
    ws.send(file, told)
    received = 0
    portion = file.size // portions
    while received < file.size:
        if received % portion < 65536:
            until(lambda: ws._stream.stalled or file.position == file.size)
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
def test_a_large_file_takes_no_memory(tmp_path: Path) -> None:
    with open(tmp_path / 'sparse', 'wb') as file:
        file.truncate(256 << 20)
    with raw_pair() as (ws, sock):
        _take_slowly(ws, sock, Counting(16 << 20), 4)  # whatever grows once has grown
        before = _peak_memory()
        told = Waiter()
        ws.send(open(tmp_path / 'sparse', 'rb'), told)  # noqa: SIM115
        received = 0
        buffer = bytearray(1 << 20)
        while received < 256 << 20:
            received += sock.recv_into(buffer)
        assert told.get() == (None,)
        assert _peak_memory() - before < 8 << 20


def _peak_memory() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
