"""ws/_speedups.c: each function gives what its twin in Python gives, for any input, and refuses what makes no sense."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import Any, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ws
from ws.errors import ProtocolError
from ws.net import calls
from ws.protocol import masking, receiver, sender

native: Any = pytest.importorskip('ws._speedups', reason='the C accelerator was not built')

keys = st.binary(min_size=4, max_size=4)
sizes = st.sampled_from([0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 70000])
payloads = st.one_of(st.binary(max_size=300), sizes.map(os.urandom))
texts = st.one_of(st.text(max_size=100), st.sampled_from(['a' * 126, 'é' * 70, '漢字' * 40000, '😀', '']))


class NativeFlags(native.Flags):  # type: ignore[misc]
    __slots__ = ()


class PureFlags:
    masked: bool
    _payload: Union[str, bytes, None]


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


# --- bursts -----------------------------------------------------------------------------------------------------------


def plain(messages: Any) -> list[tuple[Any, ...]]:
    return [(payload, type(payload), flags.masked, flags._payload, stop) for payload, flags, stop in messages]


def assert_same_burst(data: bytes, pos: int, masked: Optional[bool], max_payload: int) -> None:
    expected = receiver._burst(data, pos, masked, max_payload, PureFlags)  # type: ignore[arg-type]
    assert plain(native.burst(data, pos, masked, max_payload, NativeFlags)) == plain(expected)


first_bytes = st.one_of(st.sampled_from([0x81, 0x82]), st.integers(0, 255))
frames = st.builds(
    sender._frame, first_bytes, st.one_of(st.binary(max_size=200), texts, st.just(b'\xff')), st.one_of(st.none(), keys)
)
wanted = st.sampled_from([None, True, False])


@given(st.lists(frames, max_size=5), st.integers(0, 20), wanted, st.sampled_from([0, 125, 1 << 40]))
def test_burst(parts: list[bytes], missing: int, masked: Optional[bool], max_payload: int) -> None:
    data = b''.join(parts)
    data = data[: max(0, len(data) - missing)]
    for pos in (0, len(data) // 2, len(data)):
        assert_same_burst(data, pos, masked, max_payload)


@given(st.binary(max_size=30), wanted, st.integers(0, 200))
def test_burst_of_anything(data: bytes, masked: Optional[bool], max_payload: int) -> None:
    assert_same_burst(data, 0, masked, max_payload)


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
            assert_same_burst(whole, 0, None, max_payload)
        for end in range(len(way) + 6):
            assert_same_burst(whole[:end], 0, None, 1 << 40)


def test_a_burst_has_64_messages_at_most() -> None:
    data = b'\x82\x01x' * 100
    assert len(native.burst(data, 0, None, 10, NativeFlags)) == receiver._MESSAGES_AT_ONCE == 64
    assert_same_burst(data, 0, None, 10)
    assert_same_burst(data, 64 * 3, None, 10)


def test_messages_stay_when_the_data_is_gone() -> None:
    data = bytearray(b'\x82\x03abc\x81\x03def')
    (binary, _, _), (text, flags, _) = native.burst(data, 0, None, 10, NativeFlags)
    data[:] = bytes(len(data))
    assert (binary, text, flags._payload, flags.masked) == (b'abc', 'def', 'def', False)


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
        ('burst', (b'', 0, None, 10)),
        ('burst', (b'', 1, None, 10, NativeFlags)),
        ('burst', (b'', -1, None, 10, NativeFlags)),
        ('burst', (b'', 1 << 70, None, 10, NativeFlags)),
        ('burst', (b'', 0, None, -1, NativeFlags)),
        ('burst', ('', 0, None, 10, NativeFlags)),
        ('burst', (b'', 0, None, 10, int)),
        ('burst', (b'', 0, None, 10, 'x')),
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
    assert ws.speedups is (receiver.burst is native.burst)


def test_a_message_that_is_not_utf8_is_told_apart_by_the_receiver() -> None:
    errors: list[ProtocolError] = []
    taker = receiver.Receiver(True)
    taker.onerror = lambda error, code: errors.append(error)
    taker.add(sender._frame(0x81, b'fine', b'abcd') + sender._frame(0x81, b'\xff', b'abcd'))
    assert [str(error) for error in errors] == ['invalid utf8 sequence']
