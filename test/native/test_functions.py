"""The accelerator: each function does what its twin in Python does, and refuses what it is not made for."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import Any, Optional, Union

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import ws
from ws import _native
from ws.protocol import frames, masking

native: Any = pytest.importorskip('ws._native.speedups', reason='the C accelerator was not built')
pytestmark = pytest.mark.skipif(not ws.speedups, reason='the C accelerator is switched off')

keys = st.binary(min_size=4, max_size=4)
sizes = st.sampled_from([0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 70000])
payloads = st.one_of(st.binary(max_size=300), sizes.map(os.urandom))
texts = st.one_of(st.text(max_size=100), st.sampled_from(['a' * 126, 'é' * 70, '漢字' * 40000, '😀', '']))

STARTS = b'\x81\x82'
STARTS_OR_COMPRESSED = b'\x81\x82\xc1\xc2'


# -- the same as the twin ----------------------------------------------------------------------------------------------


@given(payloads, keys)
def test_mask(data: bytes, key: bytes) -> None:
    masked = native.mask(data, key)
    assert masked == masking._mask(data, key)
    assert native.mask(masked, key) == data


@given(st.lists(st.tuples(payloads, st.one_of(st.none(), keys)), max_size=6))
def test_join_masked(masked: list[tuple[bytes, Optional[bytes]]]) -> None:
    pieces, with_keys = [piece for piece, _ in masked], [key for _, key in masked]
    joined = native.join_masked(pieces, with_keys)
    assert joined == masking._join_masked(pieces, with_keys)
    assert joined == b''.join(piece if key is None else masking._mask(piece, key) for piece, key in masked)


@given(st.integers(0, 255), st.one_of(payloads, texts), st.one_of(st.none(), keys))
def test_frame(first: int, payload: Union[str, bytes], key: Optional[bytes]) -> None:
    assert native.frame(first, payload, key) == frames._frame(first, payload, key)


def test_frame_of_text_that_has_no_utf8_form() -> None:
    for frame in (native.frame, frames._frame):
        with pytest.raises(UnicodeEncodeError):
            frame(0x81, '\ud800', None)


def assert_same_frame(
    data: bytes, pos: int, starts: bytes, masked: Optional[bool], max_payload: int
) -> Optional[frames.WholeFrame]:
    ours = native.whole_frame(data, pos, starts, masked, max_payload)
    theirs = frames._whole_frame(data, pos, starts, masked, max_payload)
    assert ours == theirs
    if ours is not None:
        assert [type(each) for each in ours] == [type(each) for each in theirs or ()]
    found: Optional[frames.WholeFrame] = ours
    return found


first_bytes = st.one_of(st.sampled_from([0x81, 0x82, 0xC1, 0xC2]), st.integers(0, 255))
built = st.builds(
    frames._frame, first_bytes, st.one_of(st.binary(max_size=200), texts, st.just(b'\xff')), st.one_of(st.none(), keys)
)


@given(
    st.binary(max_size=10),
    st.one_of(built, st.binary(max_size=30)),
    st.binary(max_size=10),
    st.integers(0, 20),
    st.sampled_from([STARTS, STARTS_OR_COMPRESSED, b'', bytes(range(256))]),
    st.sampled_from([None, True, False]),
    st.sampled_from([0, 1, 125, 126, sys.maxsize]),
)
@example(b'', b'\x81\x85abcd' + bytes(5), b'', 0, STARTS, True, 125)
def test_whole_frame(
    before: bytes, frame: bytes, behind: bytes, missing: int, starts: bytes, masked: Optional[bool], limit: int
) -> None:
    data = before + frame + behind
    for pos in (0, len(before), len(data), len(data) + 1):
        assert_same_frame(data, pos, starts, masked, limit)
        assert_same_frame(data[: len(data) - missing], pos, starts, masked, limit)


def test_a_burst_is_read_frame_by_frame() -> None:
    data = frames._frame(0x81, 'é', b'abcd') + frames._frame(0x82, b'x' * 200, None) + b'\x89\x00'
    assert assert_same_frame(data, 0, STARTS, None, 1000) == (0x81, 'é', True, 8)
    assert assert_same_frame(data, 8, STARTS, None, 1000) == (0x82, b'x' * 200, False, 212)
    assert assert_same_frame(data, 212, STARTS, None, 1000) is None


@pytest.mark.parametrize('length', [0, 125, 126, 127, 128, 65535, 65536, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1])
def test_every_way_to_write_a_length(length: int) -> None:
    ways = [b'\xff' + length.to_bytes(8, 'big')]
    if length < 1 << 16:
        ways.append(b'\xfe' + length.to_bytes(2, 'big'))
    if length < 126:
        ways.append(bytes([0x80 | length]))
    for way in ways:
        whole = b'\x82' + way + b'abcd' + b'x' * min(length, 70000)
        found = assert_same_frame(whole, 0, STARTS, True, sys.maxsize)
        assert (found is not None) is (length <= 70000)
        assert_same_frame(whole, 0, STARTS, True, 1000)
        for end in range(len(way) + 6):
            assert assert_same_frame(whole[:end], 0, STARTS, None, sys.maxsize) is None or length == 0


def test_messages_stay_when_the_data_is_gone() -> None:
    data = bytes(bytearray(b'\x82\x03abc'))
    found = native.whole_frame(data, 0, STARTS, None, 10)
    del data
    gc.collect()
    assert found == (0x82, b'abc', False, 5)


# -- arguments that make no sense, and objects that do more than they seem to --------------------------------------


class Blob(bytes):
    """Has a buffer of its own making, from Python 3.12 on."""

    def __buffer__(self, flags: int) -> memoryview:
        raise AssertionError


class Text(str):
    def encode(self, *_: object) -> bytes:
        raise AssertionError


class Number(int):
    def __index__(self) -> int:
        raise AssertionError


@pytest.mark.parametrize(
    ('function', 'arguments'),
    [
        ('mask', ()),
        ('mask', (b'x', b'abc')),
        ('mask', (b'x', b'abcde')),
        ('mask', ('x', b'abcd')),
        ('mask', (b'x', None)),
        ('mask', (bytearray(b'x'), b'abcd')),
        ('mask', (memoryview(b'abcdef')[::2], b'abcd')),
        ('mask', (Blob(b'x'), b'abcd')),
        ('mask', (b'x', Blob(b'abcd'))),
        ('join_masked', ([],)),
        ('join_masked', ([b'x'], [])),
        ('join_masked', ((b'x',), (None,))),
        ('join_masked', (['x'], [None])),
        ('join_masked', ([b'x', bytearray(b'y')], [None, None])),
        ('join_masked', ([b'x', Blob(b'y')], [b'abcd', b'abcd'])),
        ('join_masked', ([b'x'], [b'abc'])),
        ('join_masked', ([b'x'], [5])),
        ('frame', (0x81, b'x')),
        ('frame', (256, b'', None)),
        ('frame', (-1, b'', None)),
        ('frame', (1 << 100, b'', None)),
        ('frame', (Number(5), b'', None)),
        ('frame', ('x', b'', None)),
        ('frame', (1, 5, None)),
        ('frame', (1, bytearray(b'x'), None)),
        ('frame', (1, Blob(b'x'), None)),
        ('frame', (1, Text('x'), None)),
        ('frame', (1, b'', b'abc')),
        ('frame', (1, b'', 'abcd')),
        ('whole_frame', (b'', 0, STARTS, None)),
        ('whole_frame', (bytearray(b'\x81\x00'), 0, STARTS, None, 10)),
        ('whole_frame', (Blob(b'\x81\x00'), 0, STARTS, None, 10)),
        ('whole_frame', (b'\x81\x00', -1, STARTS, None, 10)),
        ('whole_frame', (b'\x81\x00', 1 << 100, STARTS, None, 10)),
        ('whole_frame', (b'\x81\x00', Number(0), STARTS, None, 10)),
        ('whole_frame', (b'\x81\x00', 0, '\x81', None, 10)),
        ('whole_frame', (b'\x81\x00', 0, STARTS, None, -1)),
        ('whole_frame', (b'\x81\x00', 0, STARTS, None, 1 << 64)),
        ('whole_frame', (b'\x81\x00', 0, STARTS, 1, 10)),
        ('recv', (5,)),
        ('recv', ('x', 5)),
        ('recv', (Number(5), 5)),
        ('recv', (-1, 5)),
        ('recv', (1 << 100, 5)),
        ('recv', (5, 0)),
        ('recv', (5, -1)),
        ('recv', (5, 'x')),
        ('send', (5,)),
        ('send', (None, b'x')),
        ('send', (5, 'x')),
        ('send', (5, Blob(b'x'))),
        ('send', (5, bytearray(b'x'))),
        ('send_several', (5, [b'x'])),
        ('send_several', (5, (b'x',), 0)),
        ('send_several', (5, [b'x'], -1)),
        ('send_several', (5, [b'x', 'y'], 0)),
        ('send_several', (5, [b'x', Blob(b'y')], 0)),
    ],
)
def test_wrong_arguments(function: str, arguments: tuple[Any, ...]) -> None:
    if not hasattr(native, function):
        pytest.skip('not on this system')
    with pytest.raises((TypeError, ValueError, OverflowError)):
        getattr(native, function)(*arguments)


def test_a_released_memoryview_is_refused() -> None:
    view = memoryview(b'x')
    view.release()
    for function, data in ((native.send, (view,)), (native.send_several, ([view], 0))):
        with pytest.raises(ValueError):
            function(0, *data)


@pytest.mark.parametrize('data', ['Hi', b'Hi', 'é' * 20000, b'x' * 20000], ids=['text', 'bytes', 'much', 'many'])
def test_no_reference_is_kept_or_lost(data: Any) -> None:
    key, starts, broken = b'abcd', bytes(bytearray(STARTS)), frames._frame(0x81, b'\xff', b'abcd')

    def all_of_it() -> None:
        for each in (key, None):
            frame = native.frame(0x81, data, each)
            native.whole_frame(frame, 0, starts, None, 1 << 20)
            native.whole_frame(frame[:-1], 0, starts, None, 1 << 20)
        native.whole_frame(broken, 0, starts, None, 100)
        for wrong in ((0x81, data, b'abc'), (0x81, None, key), (data, data, key)):
            with pytest.raises((TypeError, ValueError)):
                native.frame(*wrong)
        native.mask(broken, key)
        native.join_masked([broken, starts, broken], [key, None, key])
        with pytest.raises(TypeError):
            native.join_masked([broken, data], [key, 5])

    involved = [data, key, starts, broken, None, True, False]
    all_of_it()
    before = [sys.getrefcount(each) for each in involved]
    for _ in range(1000):
        all_of_it()
    after = [sys.getrefcount(each) for each in involved]
    # Others, too, hold and drop what everybody shares.
    assert [each for each, one, other in zip(involved, before, after) if abs(one - other) > 500] == []


def test_several_threads_at_once() -> None:
    wrong: list[bytes] = []
    data = b'x' * 1000

    def work(key: bytes) -> None:
        for _ in range(2000):
            frame = native.frame(0x82, data, key)
            if native.whole_frame(frame, 0, STARTS, True, 1000) != (0x82, data, True, 1008):
                wrong.append(frame)

    threads = [threading.Thread(target=work, args=(os.urandom(4),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- whether it is there -----------------------------------------------------------------------------------------------


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


def test_one_that_was_built_from_other_sources_is_refused() -> None:
    _native.check_constants({'TEXT': 1, 'OTHER': 2}, 'TEXT')
    with pytest.raises(ImportError, match='TEXT is not 2'):
        _native.check_constants({'TEXT': 2}, 'TEXT')
    with pytest.raises(ImportError, match='OTHER is not 2'):
        _native.check_constants({'OTHER': 2}, 'OTHER')
