"""The C accelerator: each function gives what its twin in Python gives, for any input, and refuses nonsense."""

from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import os
import pickle
import pydoc
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ws
from ws.errors import ProtocolError
from ws.net import calls
from ws.protocol import masking, receiver, sender
from ws.protocol.permessage_deflate import DeflateOptions, Deflater, Inflater

native: Any = pytest.importorskip('ws._native.speedups', reason='the C accelerator was not built')
pytestmark = pytest.mark.skipif(not ws.speedups, reason='the C accelerator is switched off')

keys = st.binary(min_size=4, max_size=4)
sizes = st.sampled_from([0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 70000])
payloads = st.one_of(st.binary(max_size=300), sizes.map(os.urandom))
texts = st.one_of(st.text(max_size=100), st.sampled_from(['a' * 126, 'é' * 70, '漢字' * 40000, '😀', '']))


# --- masks and frames -------------------------------------------------------------------------------------------------


@given(payloads, keys)
def test_mask(data: bytes, key: bytes) -> None:
    masked = native.mask(data, key)
    assert masked == masking._mask(data, key)
    assert native.mask(masked, key) == data


@pytest.mark.parametrize('kind', [bytearray, memoryview])
@pytest.mark.parametrize('offset', range(9))
def test_mask_of_any_contiguous_bytes_at_any_address(kind: Any, offset: int) -> None:
    data = os.urandom(100)
    assert native.mask(memoryview(kind(data))[offset:], b'abcd') == masking._mask(data[offset:], b'abcd')


@given(st.integers(0, 255), st.one_of(payloads, texts), st.one_of(st.none(), keys))
def test_frame(first: int, payload: Union[str, bytes], key: Optional[bytes]) -> None:
    assert native.frame(first, payload, key) == sender._frame(first, payload, key)


def test_frame_of_text_that_has_no_utf8_form() -> None:
    for frame in (native.frame, sender._frame):
        with pytest.raises(UnicodeEncodeError):
            frame(0x81, '\ud800', None)


# --- receiving --------------------------------------------------------------------------------------------------------

Pair = tuple[receiver.Receiver, list[Any]]


class Oops(Exception):
    """What a listener raises."""


def add_in_python(taker: receiver.Receiver, data: bytes) -> None:
    receiver.Receiver.add.__wrapped__(taker, data)  # type: ignore[attr-defined]


def make_receiver(masked: Optional[bool], max_payload: int, what: str, when: int) -> Pair:
    """A receiver, and what it calls back; at the callback with that number, something happens."""
    taker, seen = receiver.Receiver(masked, max_payload), []

    def note(name: str, payload: Any, flags: Any) -> None:
        seen.append((name, payload, type(payload), flags.masked, flags._payload, flags.binary))
        if len(seen) == when:
            if what == 'pause':
                taker.pause()
            elif what == 'end':
                taker.cleanup()
            elif what == 'add':
                taker.add(b'\x81\x05later')
            elif what == 'raise':
                raise Oops

    taker.ontext = lambda payload, flags: note('text', payload, flags)
    taker.onbinary = lambda payload, flags: note('binary', payload, flags)
    taker.onping = lambda payload, flags: note('ping', payload, flags)
    taker.onerror = lambda error, code: seen.append((str(error), code))
    return taker, seen


def receive(
    add: Callable[[receiver.Receiver, bytes], None], taker: receiver.Receiver, seen: list[Any], chunks: list[bytes]
) -> list[Any]:
    for chunk in chunks:
        try:
            add(taker, chunk)
        except Oops:
            seen.append('raised')
        # Not what a callback could see: only what is left of it.
        seen.append((taker._data[taker._pos :], taker._state, taker._later))
    taker.resume()
    return [*seen, taker._data[taker._pos :], taker._state]


def assert_same_messages(
    chunks: list[bytes], masked: Optional[bool] = None, max_payload: int = 0, what: str = '', when: int = 0
) -> None:
    ours = receive(receiver.Receiver.add, *make_receiver(masked, max_payload, what, when), chunks)
    assert ours == receive(add_in_python, *make_receiver(masked, max_payload, what, when), chunks)


first_bytes = st.one_of(st.sampled_from([0x81, 0x82]), st.integers(0, 255))
frames = st.builds(
    sender._frame, first_bytes, st.one_of(st.binary(max_size=200), texts, st.just(b'\xff')), st.one_of(st.none(), keys)
)
wanted = st.sampled_from([None, True, False])
happenings = st.sampled_from(['', 'pause', 'end', 'add', 'raise'])


@given(
    st.lists(st.lists(frames, max_size=4), max_size=4),
    st.integers(0, 20),
    wanted,
    st.sampled_from([1, 125, 1 << 40]),
    happenings,
    st.integers(1, 6),
)
def test_receiving(
    parts: list[list[bytes]], missing: int, masked: Optional[bool], max_payload: int, what: str, when: int
) -> None:
    chunks = [b''.join(part) for part in parts]
    if missing and chunks:
        last = chunks.pop()
        chunks += [last[:-missing], last[-missing:]]
    assert_same_messages(chunks, masked, max_payload, what, when)


@given(st.lists(st.binary(max_size=30), max_size=3), wanted, st.integers(1, 200))
def test_receiving_anything(chunks: list[bytes], masked: Optional[bool], max_payload: int) -> None:
    assert_same_messages(chunks, masked, max_payload)


@pytest.mark.parametrize('length', [0, 125, 126, 127, 128, 65535, 65536, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1])
def test_every_way_to_write_a_length(length: int) -> None:
    ways = [b'\xff' + length.to_bytes(8, 'big')]
    if length < 1 << 16:
        ways.append(b'\xfe' + length.to_bytes(2, 'big'))
    if length < 126:
        ways.append(bytes([0x80 | length]))
    for way in ways:
        whole = b'\x82' + way + b'abcd' + b'x' * min(length, 70000)
        for max_payload in (1 << 40, 1000):
            assert_same_messages([whole], None, max_payload)
        for end in range(len(way) + 6):
            assert_same_messages([whole[:end]])


@pytest.mark.parametrize('what', ['', 'pause', 'end', 'add', 'raise'])
@pytest.mark.parametrize('when', range(1, 5))
@pytest.mark.parametrize('rest', [b'', b'\x81', b'\x81\x05He', b'\x89\x00', b'\x81\x01\xff', b'\x81\x01\xff\x81\x01x'])
def test_what_a_callback_may_do(what: str, when: int, rest: bytes) -> None:
    whole = b'\x81\x02Hi\x82\x03you' + sender._frame(0x81, 'é', b'abcd')
    for chunks in ([whole + rest], [whole, rest, whole], [rest, whole], [whole[:4], whole[4:] + rest]):
        assert_same_messages(chunks, None, 0, what, when)


def test_messages_stay_when_the_data_is_gone() -> None:
    taker, seen = make_receiver(None, 0, '', 0)
    data = bytes(bytearray(b'\x82\x03abc\x81\x03def'))
    taker.add(data)
    del data
    assert [(payload, kept) for _, payload, _, _, kept, _ in seen] == [(b'abc', b'abc'), ('def', 'def')]


@pytest.mark.parametrize('data', [bytearray(b'\x82\x01x'), memoryview(b'\x82\x01x')], ids=['bytearray', 'memoryview'])
def test_what_is_no_bytes_goes_the_long_way(data: Any) -> None:
    taker, seen = make_receiver(None, 0, '', 0)
    taker.add(bytes(data))
    taker.add(data)
    assert [each[:2] for each in seen] == [('binary', b'x')] * 2


# --- sending ----------------------------------------------------------------------------------------------------------


class Wire:
    """Stands for a stream."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, Any]] = []

    def write(self, data: bytes, callback: Any = None) -> bool:
        self.written.append((data, callback))
        return True

    def received(self) -> tuple[list[Any], list[Any]]:
        """The messages, without their masks, and the callbacks."""
        taker, seen = make_receiver(None, 0, '', 0)
        taker.inflater = Inflater(15, False)
        taker.add(b''.join(bytes(data) for data, _ in self.written))
        return seen, [callback for _, callback in self.written if callback is not None]


sendable = st.one_of(payloads, texts, st.none(), st.integers(), st.just(bytearray(b'abc')), st.just('\ud800'))


@given(
    st.lists(
        st.tuples(sendable, st.sampled_from([None, True, False, 1]), st.booleans(), st.booleans(), st.booleans()),
        max_size=4,
    ),
    st.booleans(),
)
def test_sending(messages: list[tuple[Any, ...]], deflates: bool) -> None:
    outcomes = []
    for send in (sender.Sender.send, sender.Sender.send.__wrapped__):  # type: ignore[attr-defined]
        wire = Wire()
        happened: list[Any] = []
        our_sender = sender.Sender(wire, Deflater(DeflateOptions(), 15, False) if deflates else None)
        for number, (data, binary, fin, mask, compress) in enumerate(messages):
            try:
                send(our_sender, data, binary, fin, mask, number, compress)
            except UnicodeEncodeError:
                happened.append('refused')
        outcomes.append((wire.received(), [len(data) for data, _ in wire.written], happened))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    'arguments',
    [
        *[(b'x',), (b'x', False), (b'x', None, True, True), ('é', True, True, False, None)],
        *[
            (kind * size, None, True, mask)
            for kind in ('x', b'x')
            for size in (16383, 16384, 70000)
            for mask in (False, True)
        ],
    ],
)
def test_sending_in_frames(arguments: tuple[Any, ...]) -> None:
    outcomes = []
    for send in (sender.Sender.send, sender.Sender.send.__wrapped__):  # type: ignore[attr-defined]
        wire = Wire()
        send(sender.Sender(wire), *arguments)
        outcomes.append((wire.received(), [len(data) for data, _ in wire.written]))
    assert outcomes[0] == outcomes[1]


@given(st.lists(st.tuples(texts, st.sampled_from([None, True, False])), max_size=5))
def test_the_frame_of_a_message(asked: list[tuple[str, Optional[bool]]]) -> None:
    for data, binary in asked:
        assert native.frame_of(data, binary) == sender._frame_of(data, binary)
        assert native.frame_of(data, binary) is native.frame_of(data, binary)


# --- methods with a shortcut ------------------------------------------------------------------------------------------


def test_a_method_with_a_shortcut_looks_like_itself() -> None:
    send = ws.WebSocket.send
    assert send.__name__ == 'send'
    assert send.__doc__ is not None
    assert send.__doc__.startswith('Send a message.')
    assert list(inspect.signature(send).parameters)[:4] == ['self', 'data', 'options', 'callback']
    assert 'Send a message.' in pydoc.render_doc(ws.WebSocket.send)


def test_a_shortcut_is_bound_to_its_object() -> None:
    class Taker(receiver.Receiver):
        __slots__ = ()

        def add(self, data: bytes) -> None:
            super().add(b'\x81' + data)

    taker = Taker()
    seen: list[str] = []
    taker.ontext = lambda text, flags: seen.append(text)
    add = taker.add
    add(b'\x02Hi')
    taker.add(data=b'\x03you')
    assert seen == ['Hi', 'you']


def test_a_method_with_a_shortcut_can_do_what_methods_can() -> None:
    for method in (ws.WebSocket.send, ws.WebSocket._on_message, sender.Sender.send, receiver.Receiver.add):
        assert copy.deepcopy(method) is pickle.loads(pickle.dumps(method)) is method
        assert weakref.ref(method)() is method
        assert repr(method).startswith('<function ')
    taker = receiver.Receiver()
    add = taker.add
    assert add == taker.add
    with pytest.raises(TypeError):
        iter(receiver.Receiver.add, None).__next__()  # without any argument
    with pytest.raises(TypeError):
        receiver.Receiver.add(taker)  # type: ignore[call-arg]


@pytest.mark.parametrize('name', ['Receiver.add', 'Sender.send', 'WebSocket.send', 'WebSocket._on_message'])
@pytest.mark.parametrize('number', range(9))
def test_a_shortcut_leaves_what_it_does_not_know_to_the_method(name: str, number: int) -> None:
    method = native.shortcut(name, lambda *args, **keywords: (args, keywords), native.Flags)
    arguments = (object(),) * number
    assert method(*arguments) == (arguments, {})
    assert method(*arguments, data=5) == (arguments, {'data': 5})


def test_endless_recursion_is_an_error() -> None:
    class Circle:
        def __init__(self) -> None:
            self.sender = sender.Sender(self)
            self.write = self.sender.send

    with pytest.raises(RecursionError):
        Circle().sender.send(b'x')


def test_wrong_shortcuts() -> None:
    with pytest.raises(ValueError, match='no such shortcut'):
        native.shortcut('Receiver.subtract', len, None)
    for arguments in [(), ('Receiver.add', len), ('Receiver.add', len, int), ('Sender.send', 5, None), (5, len, None)]:
        with pytest.raises(TypeError):
            native.shortcut(*arguments)
    with pytest.raises(TypeError):
        native.shortcut('Sender.send', len, None)()
    with pytest.raises(TypeError, match='a mask key has 4 bytes'):
        native.shortcut('Sender.send', len, bytes)(sender.Sender(Wire()), b'x', None, True, True)


@pytest.mark.parametrize(
    'data', ['Hi', b'Hi', 'é' * 20000, b'x' * 20000], ids=['text', 'binary', 'large text', 'large']
)
def test_no_reference_is_kept_or_lost(data: Any) -> None:
    wire = Wire()
    our_sender = sender.Sender(wire)
    taker, seen = make_receiver(None, 0, '', 0)
    broken, seen_too = make_receiver(None, 0, 'raise', 1)

    def all_of_it() -> None:
        for mask in (False, True):
            our_sender.send(data, None, True, mask, all_of_it)
        received = b''.join(written for written, _ in wire.written)
        for chunk in (received, received[:-1], received[-1:]):
            taker.add(chunk)
        with contextlib.suppress(Oops):
            broken.add(received)
        seen.clear()
        seen_too.clear()
        wire.written.clear()
        native.frame_of('another', None)

    involved = [data, all_of_it, None, True, False, taker.ontext, receiver.MessageFlags, str(type(data))]
    all_of_it()
    gc.collect()
    before = [sys.getrefcount(each) for each in involved]
    for _ in range(1000):
        all_of_it()
    gc.collect()
    after = [sys.getrefcount(each) for each in involved]
    # Others, too, hold and drop what everybody shares.
    assert [each for each, one, other in zip(involved, before, after) if abs(one - other) > 500] == []


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(native, 'StreamBase'), reason='not on this system')
def test_a_stream_that_is_not_complete() -> None:
    stream = native.StreamBase()
    for use in (lambda: stream.on_event(1), lambda: stream.write(b'x'), stream.flush):
        with pytest.raises(RuntimeError, match='not complete'):
            use()
    with pytest.raises(TypeError):
        stream.on_event('x')
    with pytest.raises(TypeError):
        stream.write()


# --- messages in many pieces ------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(payloads, st.one_of(st.none(), keys), st.integers(-5, 200000)), max_size=8))
def test_bytes_in_pieces(pieces: list[tuple[bytes, Optional[bytes], int]]) -> None:
    ours, theirs = native.BytesBuilder(), receiver._BytesBuilder()
    for piece in pieces:
        ours.append(*piece)
        theirs.append(*piece)
    assert ours.value() == theirs.value()


def test_a_value_is_nobody_else_s() -> None:
    builder = native.BytesBuilder()
    builder.append(b'x' * 10, None, 1000)
    first = builder.value()
    builder.append(b'y' * 10, None, 1000)
    builder.append(b'z' * 10, None, 1000)
    assert first == b'x' * 10
    assert builder.value() == b'y' * 10 + b'z' * 10
    assert builder.value() == b''


def test_memory_follows_what_has_come() -> None:
    builder = native.BytesBuilder()
    builder.append(b'x', None, 1 << 62)
    assert builder.value() == b'x'


def test_a_million_tiny_pieces_take_linear_time() -> None:
    builder = native.BytesBuilder()
    for size in range(1, 1_000_001):
        builder.append(b'x', None, size)
    assert builder.value() == b'x' * 1_000_000


# --- system calls -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(native, 'recv'), reason='not on this system')
@pytest.mark.parametrize(
    ('handle_of', 'recv', 'send'),
    [(socket.socket.fileno, getattr(native, 'recv', None), getattr(native, 'send', None)),
     (calls._socket_of, calls._recv, calls._send)],
    ids=['C', 'Python'],
)  # fmt: skip
class TestCalls:
    def test_there_and_back(self, handle_of: Any, recv: Any, send: Any) -> None:
        one, other = socket.socketpair()
        with one, other:
            other.setblocking(False)
            assert recv(handle_of(other), 10) is None
            assert send(handle_of(one), memoryview(b'hello world')[:8]) == 8
            assert recv(handle_of(other), 5) == b'hello'
            assert recv(handle_of(other), 5) == b' wo'
            one.shutdown(socket.SHUT_WR)
            assert recv(handle_of(other), 5) == b''

    def test_a_full_socket_takes_nothing(self, handle_of: Any, recv: Any, send: Any) -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            sent = []
            while not sent or sent[-1]:
                sent.append(send(handle_of(one), bytes(1 << 20)))
            assert len(sent) > 1

    def test_errors(self, handle_of: Any, recv: Any, send: Any) -> None:
        one, other = socket.socketpair()
        with one:
            other.close()
            with pytest.raises(BrokenPipeError):
                for _ in range(2):
                    send(handle_of(one), b'x')
        with pytest.raises((OSError, ValueError)):
            recv(handle_of(one), 5)


# --- arguments that make no sense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('function', 'arguments'),
    [
        ('mask', ()),
        ('mask', (b'x', b'abc')),
        ('mask', ('x', b'abcd')),
        ('mask', (b'x', None)),
        ('mask', (memoryview(b'abcdef')[::2], b'abcd')),
        ('frame', (256, b'', None)),
        ('frame', (-1, b'', None)),
        ('frame', ('x', b'', None)),
        ('frame', (0x82, None, None)),
        ('frame', (0x82, b'', b'abc')),
        ('frame', (0x82, b'', 5)),
        ('frame_of', ()),
        ('frame_of', (5,)),
        ('frame_of', (bytearray(b'x'), None)),
        ('recv', (0, 0)),
        ('recv', (0, 'x')),
        ('recv', ('x', 5)),
        ('send', (0, 'x')),
        ('send', (-1, b'x')),
    ],
)
def test_wrong_arguments(function: str, arguments: tuple[Any, ...]) -> None:
    if not hasattr(native, function):
        pytest.skip('not on this system')
    with pytest.raises((TypeError, ValueError, BufferError, OverflowError)):
        getattr(native, function)(*arguments)


@pytest.mark.parametrize('arguments', [(), (b'x', None), (b'x', b'abc', 1), ('x', None, 1), (b'x', None, 'x')])
def test_wrong_pieces_of_bytes(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError)):
        native.BytesBuilder().append(*arguments)


# --- all of it together -----------------------------------------------------------------------------------------------


def test_several_threads_at_one_builder() -> None:
    builder = native.BytesBuilder()

    def add() -> None:
        for _ in range(2000):
            builder.append(b'x' * 10, None, 80000)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builder.value() == b'x' * 80000


@pytest.mark.parametrize(('value', 'expected'), [('1', False), ('0', True), ('', True)])
def test_it_can_be_switched_off(value: str, expected: bool) -> None:
    program = 'import ws; from ws.protocol import masking as m; print(ws.speedups, m.mask is not m._mask)'
    environment = dict(os.environ, WS_NO_SPEEDUPS=value)
    output = subprocess.run(
        [sys.executable, '-c', program], env=environment, capture_output=True, text=True, check=True
    )
    assert output.stdout == f'{expected} {expected}\n'


def test_what_it_tells() -> None:
    assert ws.speedups is (masking.mask is native.mask)


def test_a_message_that_is_not_utf8_is_told_apart_by_the_receiver() -> None:
    errors: list[ProtocolError] = []
    taker = receiver.Receiver(True)
    taker.onerror = lambda error, code: errors.append(error)
    taker.add(sender._frame(0x81, b'fine', b'abcd') + sender._frame(0x81, b'\xff', b'abcd'))
    assert [str(error) for error in errors] == ['invalid utf8 sequence']
