"""Tests R001 to R022, R049 and R056 of ws 8's suite: what a receiver finds in frames.

A text is a str here, where it is a Buffer there.
"""

from __future__ import annotations

import os

import pytest
from compatibility.ws8.recording import compressed, received, recording

from ws.protocol.frames import build_frame

# -- messages in one frame --------------------------------------------------------------------------------------------


def test_r001_a_text_without_a_mask() -> None:
    assert received(b'\x81\x05Hello') == [('text', 'Hello')]


def test_r002_a_close_frame_without_a_code() -> None:
    assert received(b'\x88\0') == [('close', 1005, '')]


def test_r003_a_close_frame_in_two_chunks() -> None:
    assert received(b'\x88\x06', b'\x03\xe8DONE') == [('close', 1000, 'DONE')]


def test_r004_a_masked_text() -> None:
    frame = bytes.fromhex('81933483a86801b992524fa1c60959e68a5216e6cb005ba1d5')
    assert received(frame, masked=True) == [('text', '5:::{"name":"echo"}')]


def test_r005_a_masked_text_whose_header_comes_first() -> None:
    frame = build_frame(1, b'A' * 200, mask=True)
    receiver, seen = recording(masked=True)
    receiver.add(frame[:2])
    assert seen == []
    receiver.add(frame[2:])
    assert seen == [('text', 'A' * 200)]


def test_r006_a_masked_text_of_64_kib() -> None:
    assert received(build_frame(1, b'A' * 65536, mask=True), masked=True) == [('text', 'A' * 65536)]


@pytest.mark.parametrize('opcode', [9, 10])
def test_r008_a_ping(opcode: int) -> None:
    name = 'ping' if opcode == 9 else 'pong'
    assert received(build_frame(opcode, b'Hello', mask=True), masked=True) == [(name, b'Hello')]


def test_r009_a_ping_without_data() -> None:
    assert received(b'\x89\0') == [('ping', b'')]


def binary_of(size: int, masked: bool) -> bool:
    """Whether random bytes arrive as they are."""
    data = os.urandom(size)
    return received(build_frame(2, data, mask=masked), masked=masked) == [('binary', data)]


def test_r012_100_masked_bytes() -> None:
    assert binary_of(100, masked=True)


def test_r013_256_masked_bytes() -> None:
    assert binary_of(256, masked=True)


def test_r014_200_kib_with_a_mask() -> None:
    assert binary_of(200 * 1024, masked=True)


def test_r015_200_kib_without_a_mask() -> None:
    assert binary_of(200 * 1024, masked=False)


def test_r018_thousands_of_frames_in_one_chunk() -> None:
    assert received(b'\x81\0' * 20_000) == [('text', '')] * 20_000


# -- fragments --------------------------------------------------------------------------------------------------------

FIRST = build_frame(1, b'A' * 150, fin=False, mask=True)
PING = build_frame(9, b'Hello', mask=True)
LAST = build_frame(0, b'A' * 150, mask=True)


def test_r007_a_text_in_two_fragments() -> None:
    assert received(FIRST, LAST, masked=True) == [('text', 'A' * 300)]


def test_r010_a_ping_between_two_fragments() -> None:
    assert received(FIRST, PING, LAST, masked=True) == [('ping', b'Hello'), ('text', 'A' * 300)]


def test_r011_the_same_with_each_frame_cut_in_half() -> None:
    halves = [half for frame in (FIRST, PING, LAST) for half in (frame[: len(frame) // 2], frame[len(frame) // 2 :])]
    assert received(*halves, masked=True) == [('ping', b'Hello'), ('text', 'A' * 300)]


def test_r049_binary_data_in_many_fragments() -> None:
    pieces = [os.urandom(size) for size in (7321, 137, 285_787, 3)]
    frames = [build_frame(0 if index else 2, piece, fin=index == 3) for index, piece in enumerate(pieces)]
    assert received(*frames) == [('binary', b''.join(pieces))]


# -- compression ------------------------------------------------------------------------------------------------------


def test_r016_a_compressed_text() -> None:
    [frame] = compressed(b'Hello')
    assert received(frame[:2], frame[2:], deflate=True) == [('text', 'Hello')]


def test_r017_a_compressed_text_in_two_fragments() -> None:
    assert received(*compressed(b'foo', b'bar'), deflate=True) == [('text', 'foobar')]


# -- what counts for maxPayload ---------------------------------------------------------------------------------------

TOO_MUCH = ('error', 1009, 'Max payload size exceeded')


def test_r019_each_message_is_counted_anew() -> None:
    """There a private counter is looked at; here it is two messages that are within the limit each."""
    assert received(b'\x81\x0aHelloHello', b'\x81\x0aWorldWorld', max_payload=10) == [
        ('text', 'HelloHello'),
        ('text', 'WorldWorld'),
    ]


def test_r020_the_fragments_of_a_message_are_counted_together() -> None:
    assert received(b'\x01\x05Hello', b'\x80\x05Hello', b'\x81\x0aWorldWorld', max_payload=10) == [
        ('text', 'HelloHello'),
        ('text', 'WorldWorld'),
    ]
    assert received(b'\x01\x05Hello', b'\x80\x06', max_payload=10) == [TOO_MUCH]


def test_r021_a_ping_among_them_does_not_count() -> None:
    ping = b'\x89\x0a0123456789'
    assert received(b'\x02\x05Hello', ping, b'\x80\x05World', max_payload=10) == [
        ('ping', b'0123456789'),
        ('binary', b'HelloWorld'),
    ]
    assert received(b'\x02\x05Hello', ping, b'\x80\x06', max_payload=10) == [('ping', b'0123456789'), TOO_MUCH]


# -- the end ----------------------------------------------------------------------------------------------------------


def test_r022_what_follows_a_close_frame_is_dropped() -> None:
    assert received(b'\xc1\x01\0', b'\x88\0', b'\x81\0', deflate=True) == [('text', ''), ('close', 1005, '')]
    assert received(b'\xc1\x01\0\x88\0\x81\0', deflate=True) == [('text', ''), ('close', 1005, '')]


def test_r056_what_a_listener_raises_is_not_swallowed() -> None:
    """There it ends the process; here it comes out of ``add``. What that does to a connection, W-tests show."""
    receiver, seen = recording()

    def onbinary(data: bytes, flags: object) -> None:
        seen.append(data)
        if len(seen) == 2:
            raise RuntimeError('Oops')

    receiver.onbinary = onbinary
    with pytest.raises(RuntimeError, match=r'^Oops$'):
        receiver.add(b'\x82\0\x82\0')
    assert seen == [b'', b'']
