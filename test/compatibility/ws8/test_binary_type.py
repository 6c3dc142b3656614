"""Tests W015, W016, W148, W149 and R050 to R052 of ws 8's suite: what binary messages are handed over as."""

from __future__ import annotations

import functools
import io
import os
import random
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Union

import pytest
from compatibility.peers import silence
from support import Log, Waiter, client, end, on_loop, open_pair, raw_pair, server, until, wait_for

from ws import WebSocket
from ws.protocol.frames import build_frame
from ws.protocol.receiver import Receiver

TYPES: dict[str, type] = {'nodebuffer': bytes, 'arraybuffer': bytearray, 'blob': io.BytesIO, 'fragments': list}


def content(data: Any) -> Any:
    return data.read() if isinstance(data, io.BytesIO) else b''.join(data) if isinstance(data, list) else bytes(data)


@contextmanager
def receiving(binary_type: str, **options: Any) -> Iterator[tuple[Waiter, WebSocket]]:
    """What a client with that ``binaryType`` hears, and who sends it."""
    with server(**options) as wss:
        connected, heard = Waiter(), Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        ws.binaryType = binary_type
        ws.on('message', lambda data, flags: heard(data, flags))
        wait_for(ws, 'open')
        yield heard, connected.get()[0]
        ws.terminate()


def send_fragments(ws: WebSocket, fragments: list[bytes]) -> None:
    for number, fragment in enumerate(fragments):
        ws.send(fragment, {'fin': number == len(fragments) - 1})


# -- the attribute ----------------------------------------------------------------------------------------------------


def test_w015_it_is_nodebuffer_at_first() -> None:
    with silence() as url:
        ws = WebSocket(url)
        assert ws.binaryType == 'nodebuffer'
        end(ws)
    with open_pair() as (_, peer):
        assert peer.binaryType == 'nodebuffer'


def test_w016_it_can_be_changed_and_nothing_else_is_taken() -> None:
    """ws 8 ignores other values; here they raise where they are given."""
    with silence() as url:
        ws = WebSocket(url)
        for right, wrong in (('arraybuffer', 'foo'), ('fragments', ''), ('nodebuffer', None), ('blob', ['blob'])):
            ws.binaryType = right  # type: ignore[assignment]
            assert ws.binaryType == right
            with pytest.raises(ValueError, match=r'^binaryType must be one of nodebuffer, arraybuffer, blob'):
                ws.binaryType = wrong  # type: ignore[assignment]
            assert ws.binaryType == right
        end(ws)


# -- messages ---------------------------------------------------------------------------------------------------------


def test_w148_text_is_text() -> None:
    for binary_type in TYPES:
        with open_pair() as (ws, peer):
            heard = Waiter()
            ws.binaryType = binary_type  # type: ignore[assignment]
            ws.onmessage = heard
            peer.send('foo')
            [event] = heard.get()
            assert (event.data, event.type) == ('foo', 'Text')


def test_w149_it_may_be_changed_from_message_to_message() -> None:
    with open_pair() as (ws, peer):
        peer.on('message', lambda message: peer.send(message))
        heard = Waiter()
        ws.on('message', lambda data, flags: heard(data, flags))
        for binary_type, kind in [*TYPES.items(), *reversed(TYPES.items())]:
            sent = binary_type.encode()
            ws.binaryType = binary_type  # type: ignore[assignment]
            ws.send(sent)
            data, flags = heard.get()
            assert type(data) is kind
            assert content(data) == sent == flags.buffer
            assert flags.binary and bool(flags)
        ws.binaryType = 'fragments'
        ws.send(b'x')
        assert heard.get()[0] == [b'x']
        ws.send(b'')
        assert heard.get()[0] == []


def test_r050_arraybuffer() -> None:
    fragments = [os.urandom(size) for size in (19221, 954, 623987)]
    with receiving('arraybuffer') as (heard, sender):
        send_fragments(sender, fragments)
        data, flags = heard.get()
        assert type(data) is bytearray
        assert data == b''.join(fragments)
        assert flags.binary
        data[:2] = b'mine'  # it is the listener's own, and can be written to
        assert flags.buffer == b''.join(fragments)


@pytest.mark.parametrize('compress', [False, True])
def test_r051_fragments(compress: bool) -> None:
    fragments = [os.urandom(size) for size in (17, 419872, 83, 9928, 1)]
    with receiving('fragments', perMessageDeflate=compress) as (heard, sender):
        send_fragments(sender, fragments)
        data, flags = heard.get()
        assert data == fragments
        assert flags.binary and flags.buffer == b''.join(fragments)
        sender.send(b'whole')
        assert heard.get()[0] == [b'whole']


def test_r052_blob() -> None:
    fragments = [os.urandom(size) for size in (75688, 2688, 46753)]
    with receiving('blob') as (heard, sender):
        send_fragments(sender, fragments)
        data, flags = heard.get()
        assert type(data) is io.BytesIO
        assert data.read(10) == fragments[0][:10]
        assert data.getvalue() == b''.join(fragments) == flags.buffer
        assert flags.binary


# -- fragments, however they come -------------------------------------------------------------------------------------


def frames_of(fragments: list[bytes]) -> bytes:
    last = len(fragments) - 1
    return b''.join(build_frame(0 if n else 2, data, n == last, True) for n, data in enumerate(fragments))


@pytest.mark.parametrize('seed', range(5))
def test_fragments_in_any_portions(seed: int) -> None:
    """Empty ones are left out, as in ws 8; pings in between belong to none."""
    chance = random.Random(seed)
    sizes = (0, 1, 200, 5000)
    messages = [[chance.randbytes(chance.choice(sizes)) for _ in range(chance.randint(1, 9))] for _ in 'abc']
    data = b''.join(frames_of(fragments) + build_frame(9, b'', True, True) for fragments in messages)
    with raw_pair() as (ws, sock):
        on_loop(ws, lambda: setattr(ws, 'binaryType', 'fragments'))
        heard = Waiter()
        ws.on('message', lambda fragments: heard(fragments))
        while data:
            size = chance.choice((1, 2, 100, 3000))
            sock.sendall(data[:size])
            data = data[size:]
        for fragments in messages:
            assert heard.get() == (list(filter(None, fragments)),)


def test_a_change_in_the_middle_of_a_message() -> None:
    with raw_pair() as (ws, sock):
        heard = Waiter()
        ws.on('message', lambda data: heard(data))
        first, last = build_frame(2, b'ab', False, True), build_frame(0, b'cd', True, True)
        for before, after, expected in (
            ('fragments', 'nodebuffer', b'abcd'),
            ('fragments', 'arraybuffer', bytearray(b'abcd')),
            ('nodebuffer', 'fragments', [b'abcd']),  # it has not been kept in pieces
        ):
            on_loop(ws, functools.partial(setattr, ws, 'binaryType', before))
            pings = Log(ws, 'ping')
            sock.sendall(first + build_frame(9, b'', True, True))
            pings.get()
            on_loop(ws, functools.partial(setattr, ws, 'binaryType', after))
            sock.sendall(last)
            assert heard.get() == (expected,)


def test_each_fragment_takes_little_memory() -> None:
    """A million frames are no million objects of hundreds of bytes: only the one under way is a large one."""
    count = 20_000
    data = build_frame(2, b'xx', False) + build_frame(0, b'xx', False) * (count - 1)
    receiver = Receiver(max_fragments=0)
    receiver.fragments = True
    messages: list[Any] = []
    receiver.onbinary = lambda fragments, flags: messages.append(fragments)
    tracemalloc.start()
    try:
        receiver.add(data)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / count < 80  # of which 43 are the bytes object and its place
    receiver.add(build_frame(0, b''))
    assert messages == [[b'xx'] * count]


# -- listeners of all kinds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize('binary_type', TYPES)
def test_every_way_to_listen(binary_type: str) -> None:
    kind = TYPES[binary_type]
    with open_pair() as (ws, peer):
        ws.binaryType = binary_type  # type: ignore[assignment]
        seen = Waiter()

        def both(data: Any, flags: Any) -> None:
            seen('both', type(data))

        def once(data: Any) -> None:
            seen('once', type(data))

        def of_socket(this: WebSocket, data: Any) -> None:
            seen(this is ws, type(data))

        def anything(*args: Any) -> None:
            seen(len(args), type(args[0]))

        ws.on('message', both)
        peer.send(b'x')
        assert seen.get() == ('both', kind)
        ws.removeListener('message', both)
        ws.once('message', once).on('message', of_socket).on('message', anything)
        ws.addEventListener('message', lambda event: seen(event.type, type(event.data)))
        peer.send(b'x')
        assert [seen.get() for _ in range(4)] == [('once', kind), (True, kind), (2, kind), ('Binary', kind)]


def test_what_was_kept_is_handed_over_as_is_wanted_by_then() -> None:
    """Another thread may be late with both, the listener and ``binaryType``: in Node nothing would have come."""
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send(b'one'), ws.send('two'), ws.send(b'three'), ws.ping()))
        ws = client(wss)
        came = threading.Event()
        ws.on('ping', came.set)
        heard = Waiter()
        arrived: list[Union[str, bytes]] = []
        assert came.wait(20)
        ws.binaryType = 'arraybuffer'
        ws.on('message', lambda data: heard(data))
        arrived += [heard.get()[0] for _ in range(3)]
        assert arrived == [bytearray(b'one'), 'two', bytearray(b'three')]
        assert [type(data) for data in arrived] == [bytearray, str, bytearray]
        end(ws)


@pytest.mark.parametrize(('binary_type', 'made'), TYPES.items())
def test_on_a_pool_it_counts_for_messages_that_wait_there(binary_type: Any, made: type) -> None:
    """They have come while the listener of `connection` was at work."""
    heard = Waiter()

    def connection(ws: WebSocket) -> None:
        until(lambda: ws.readyState == ws.CLOSED)
        ws.binaryType = binary_type
        ws.on('message', lambda data: heard(type(data)))

    with server(executor=1) as wss:
        wss.on('connection', connection)
        ws = client(wss)
        ws.on('open', lambda: (ws.send(b'one'), ws.send('two'), ws.send(b''), ws.close()))
        assert [heard.get()[0] for _ in range(3)] == [made, str, made]


def test_a_blob_is_sent_as_it_came() -> None:
    with open_pair() as (ws, peer):
        peer.binaryType = 'blob'
        peer.on('message', lambda data: peer.send(data))
        heard = Waiter()
        ws.on('message', lambda data: heard(data))
        ws.send(b'there and back')
        assert heard.get() == (b'there and back',)


def test_a_subclass_may_choose_in_its_constructor() -> None:
    class Client(WebSocket):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.binaryType = 'fragments'

    with server(WebSocket=Client) as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data: ws.send(str(data))))
        ws = client(wss)
        answer = Log(ws, 'message')
        wait_for(ws, 'open')
        send_fragments(ws, [b'a', b'b'])
        assert answer.get()[1] == "[b'a', b'b']"
        end(ws)
