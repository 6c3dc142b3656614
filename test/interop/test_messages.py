"""Messages arrive as they were sent, whoever sent them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from interop.peers import AIOHTTP, KINDS, Ends

pytestmark = pytest.mark.interop

Connect = Callable[..., AbstractContextManager[Ends]]

#: Around the borders between the three forms of a frame's length (RFC 6455 section 5.2), and large ones.
SIZES = [[0, 1, 125, 126, 127, 65535, 65536], [1 << 20], [16 << 20]]

#: One to four bytes per character in UTF-8, the borders between these, NUL, and what decoders like to take away.
TEXT = '\ufeffGrüße, 世界 🎉 \x00\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0010ffff\r\n'

can_fragment = pytest.mark.parametrize('peer', [kind for kind in KINDS if kind is not AIOHTTP], indirect=True, ids=str)


def _bytes(size: int) -> bytes:
    """Bytes in which a part that is lost, doubled or in another place shows."""
    block = hashlib.shake_128(b'ws').digest(65521)  # a prime: no power of two hides a shift
    return (block * (size // len(block) + 1))[:size]


def test_text_and_binary(connect: Connect) -> None:
    with connect() as (ours, theirs):
        for message in [TEXT, 'plain', TEXT.encode(), b'\x00\xff']:
            ours.ws.send(message)
            assert theirs.next() == ('message', message)
            theirs.send(message)
            assert ours.next() == ('message', message)


@pytest.mark.parametrize('sizes', SIZES, ids=['small', '1 MiB', '16 MiB'])
def test_sizes(connect: Connect, sizes: list[int]) -> None:
    everything = _bytes(sizes[-1])
    text = everything.hex()
    messages = [message for size in sizes for message in (everything[:size], text[:size])]
    with connect('echo') as (ours, _):
        for message in messages:
            ours.ws.send(message)
        for message in messages:
            event, echoed = ours.next()
            assert (event, type(echoed), len(echoed)) == ('message', type(message), len(message))
            same = echoed == message  # apart: pytest would print both
            assert same, f'other content, of size {len(message)}'


def test_many_in_flight_keep_their_order(connect: Connect) -> None:
    messages: list[Any] = [f'{number} ' + 'ü' * (number * 7 % 300) for number in range(2000)]
    messages[::3] = [message.encode() for message in messages[::3]]
    with connect('echo') as (ours, _):
        for message in messages:
            ours.ws.send(message)
        assert [ours.next() for _ in messages] == [('message', message) for message in messages]


# aiohttp can't send fragments.
@can_fragment
@pytest.mark.parametrize('pieces', [['ö', 'ne ', '', TEXT], [b'\x00', b'\xff' * 70000, b'']], ids=['text', 'binary'])
@pytest.mark.parametrize('pings', [False, True], ids=['alone', 'with pings between'])
def test_fragments_make_one_message(connect: Connect, pieces: list[Any], pings: bool) -> None:
    with connect() as (ours, theirs):
        theirs.send_fragments(pieces, pings)
        for number in range(1, len(pieces) if pings else 0):
            assert ours.next() == ('ping', b'%d' % number)  # control frames need not wait: RFC 6455 section 5.4
        assert ours.next() == ('message', type(pieces[0])().join(pieces))


@pytest.mark.parametrize('text', [True, False], ids=['text', 'binary'])
def test_files_and_streams_make_one_message_each(connect: Connect, text: bool) -> None:
    """And a large message of the peer's own, in however many frames it sends it, comes back whole."""
    content: Any = TEXT * 50000 if text else _bytes(600_000)
    third = len(content) // 3
    pieces = [content[:third], content[third : 2 * third], content[2 * third :]]

    def supply(error: Any, send: Any) -> None:
        if error is None:
            piece = pieces.pop(0)
            send(piece, not pieces)

    with connect('echo') as (ours, _):
        ours.ws.send(io.StringIO(content) if text else io.BytesIO(content))
        ours.ws.ping('between')
        ours.ws.stream(supply)
        ours.ws.send('behind')
        received = []
        while len(received) < 3:
            event, data = ours.next()
            if event == 'message':
                received.append(data)
            else:
                assert (event, data) == ('pong', b'between')
        same = received == [content, content, 'behind']
        assert same, f'other content, of sizes {[len(data) for data in received]}'
