"""Everything in Python that takes a file works over a WebSocket."""

from __future__ import annotations

import contextlib
import hashlib
import io
import pickle
import random
import shutil
import subprocess
import sys
import threading
from typing import Optional

from streams import in_thread
from support import Log, Waiter, client, open_pair, server
from websocket_stream.pairs import MIB, Sink, copy_so_many, pair, waiting

from ws import WebSocket, WebSocketStream, WebSocketTextStream, createWebSocketStream


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
