"""Our streams, and those of Node's ws 8."""

from __future__ import annotations

import hashlib
import io
import pickle
import random
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from interop.peers import WS_8, Ends
from streams import in_thread

from ws import createWebSocketStream

pytestmark = [pytest.mark.interop, pytest.mark.parametrize('peer', [WS_8], ids=str, indirect=True)]

SIZE = 20 << 20


Connect = Callable[..., AbstractContextManager[Ends]]


def test_20_mib_through_a_pipe_of_theirs(connect: Connect) -> None:
    """Either side reads no faster than the other one writes: the peer writes back what it reads, and holds little."""
    data = random.Random(1).getrandbits(8 * SIZE).to_bytes(SIZE, 'big')
    with connect('pipe') as (ours, theirs):
        stream = createWebSocketStream(ours.ws)
        received = hashlib.sha256()
        with in_thread(shutil.copyfileobj, io.BytesIO(data), stream):
            left = SIZE
            while left:
                part = stream.read(left)
                received.update(part)
                left -= len(part)
        assert received.digest() == hashlib.sha256(data).digest()
        stream.end()
        assert stream.read() == b''
        assert theirs.next() == ('close', 1000, '')


def test_pickles_and_lines_through_a_pipe_of_theirs(connect: Connect) -> None:
    with connect('pipe') as (ours, _theirs):
        stream = createWebSocketStream(ours.ws)
        file = io.BufferedRWPair(stream, stream)
        for thing in {'a': [1, 2]}, 'x' * 300_000, bytes(300_000):
            with in_thread(lambda thing=thing: (pickle.dump(thing, file), file.flush())):
                assert pickle.load(file) == thing
        file.write(b'one\ntwo\n')
        file.flush()
        assert [file.readline(), file.readline()] == [b'one\n', b'two\n']
        file.close()


def test_nothing_is_lost_when_our_side_ends(connect: Connect) -> None:
    """Node answers a close frame at once, behind what it has written by then."""
    with connect('pipe') as (ours, _theirs):
        stream = createWebSocketStream(ours.ws)
        stream.write(b'there and back')
        assert stream.read(100) == b'there and back'
        stream.end()
        assert stream.read() == b''
