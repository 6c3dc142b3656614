"""Tests N001 to N021 of ws 8's suite, but for N013 and N017: what a sender writes.

Frames go out whole here, where a header and a payload do there. The public Sender compresses nothing; what does is that
of connections.
"""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from compatibility.ws8.recording import received

import ws
from ws.protocol.frames import FIN, RSV1, TEXT, frame
from ws.protocol.permessage_deflate import DeflateOptions, Deflater
from ws.protocol.sender import Sender


class Sink:
    """A socket that keeps what is written to it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, data: bytes, callback: Any = None) -> None:
        self.frames.append(bytes(data))
        if callback is not None:
            callback(None)

    def received(self) -> list[Any]:
        """What the peer finds in it."""
        return received(*self.frames, deflate=True)

    def is_compressed(self) -> list[bool]:
        """Of each frame, its bit RSV1."""
        return [bool(data[0] & RSV1) for data in self.frames]


def plain() -> tuple[Any, Sink]:
    """A Sender, and where it writes."""
    sink = Sink()
    return ws.Sender(sink), sink


def compressing(threshold: int = 1024, no_context_takeover: bool = False) -> tuple[Sender, Sink]:
    """A connection's sender, and where it writes."""
    sink = Sink()
    return Sender(sink, Deflater(DeflateOptions(threshold=threshold), None, no_context_takeover)), sink


# -- frames -----------------------------------------------------------------------------------------------------------


def test_n001_masking_leaves_the_data_alone() -> None:
    sender, sink = plain()
    data = bytearray((1, 2, 3, 4, 5))
    sender.frameAndSend(2, data, True, True)
    assert data == bytearray((1, 2, 3, 4, 5))
    assert sink.received() == [('binary', bytes(data))]


def test_n002_rsv1() -> None:
    assert frame(FIN | RSV1 | TEXT, b'', None) == b'\xc1\0'


def test_n003_a_text_is_counted_in_bytes() -> None:
    sender, sink = plain()
    sender.frameAndSend(1, '€')
    assert sink.frames == [b'\x81\x03\xe2\x82\xac']


# -- compression ------------------------------------------------------------------------------------------------------


def test_n004_whatever_is_sent_is_compressed() -> None:
    sender, sink = compressing()
    for data in memoryview(b'hi'), array('B', b'hi'), 'hi':
        sender.send(data)
    assert sink.is_compressed() == [True, True, True]
    assert sink.received() == [('binary', b'hi'), ('binary', b'hi'), ('text', 'hi')]


def test_n005_not_below_the_threshold_without_context() -> None:
    sender, sink = compressing(no_context_takeover=True)
    sender.send('hi')
    assert sink.frames == [b'\x81\x02hi']


def in_two_fragments(first: Any, last: Any, threshold: int) -> Sink:
    sender, sink = compressing(threshold, no_context_takeover=True)
    sender.send(first, fin=False)
    sender.send(last)
    assert [data[0] & ~RSV1 for data in sink.frames] == [2 if isinstance(first, bytes) else 1, 0x80]
    return sink


def test_n006_the_first_fragment_decides_to_compress() -> None:
    """The bit is set in the first frame alone."""
    sink = in_two_fragments('123', '12', threshold=3)
    assert sink.is_compressed() == [True, False]
    assert [len(data) for data in sink.frames] == [2 + 9, 2 + 4]
    assert sink.received() == [('text', '12312')]


def test_n007_the_first_fragment_decides_not_to_compress() -> None:
    assert in_two_fragments('12', '123', threshold=3).frames == [b'\x01\x0212', b'\x80\x03123']


def test_n008_an_empty_first_fragment() -> None:
    sink = in_two_fragments(b'', 'data', threshold=0)
    assert sink.is_compressed() == [True, False]
    assert [len(data) for data in sink.frames] == [2 + 5, 2 + 6]
    assert sink.received() == [('binary', b'data')]


def test_n009_an_empty_last_fragment() -> None:
    sink = in_two_fragments('data', b'', threshold=0)
    assert sink.is_compressed() == [True, False]
    assert [len(data) for data in sink.frames] == [2 + 10, 2 + 1]
    assert sink.received() == [('text', 'data')]


# -- pings and pongs --------------------------------------------------------------------------------------------------


def after_a_message(method: str) -> bytes:
    """The frame of a ping or pong behind a compressed message."""
    sender, sink = compressing()
    sender.send('foo')
    getattr(sender, method)('hi')
    assert sink.is_compressed() == [True, False]
    return sink.frames[1]


def alone(method: str, data: Any) -> bytes:
    sender, sink = plain()
    getattr(sender, method)(data)
    [written] = sink.frames
    return written


def test_n010_a_ping_with_text() -> None:
    assert after_a_message('ping') == b'\x89\x02hi'


def test_n011_a_ping_with_an_array() -> None:
    assert alone('ping', array('B', b'hi')) == b'\x89\x02hi'


def test_n012_a_ping_with_a_buffer() -> None:
    assert alone('ping', memoryview(b'hi')) == b'\x89\x02hi'


def test_n014_a_pong_with_text() -> None:
    assert after_a_message('pong') == b'\x8a\x02hi'


def test_n015_a_pong_with_an_array() -> None:
    assert alone('pong', array('B', b'hi')) == b'\x8a\x02hi'


def test_n016_a_pong_with_a_buffer() -> None:
    assert alone('pong', memoryview(b'hi')) == b'\x8a\x02hi'


# -- close ------------------------------------------------------------------------------------------------------------


def test_n018_a_wrong_code() -> None:
    """The text is that of 0.4.31, the same but for its first letter."""
    sender, sink = plain()
    for code in 'error', 1004:
        with pytest.raises(ValueError, match=r'^first argument must be a valid error code number$'):
            sender.close(code)
    assert sink.frames == []


def test_n019_a_reason_that_is_no_text() -> None:
    sender, sink = plain()
    with pytest.raises(TypeError, match=r'^Second argument must be a string or a Uint8Array$'):
        sender.close(1000, array('f', [0.0] * 20))
    assert sink.frames == []


def test_n020_a_reason_of_more_than_123_bytes() -> None:
    sender, sink = plain()
    with pytest.raises(ValueError, match=r'^The message must not be greater than 123 bytes$'):
        sender.close(1000, 'a' * 124)
    assert sink.frames == []


def test_n021_close_goes_behind_what_was_sent() -> None:
    sender, sink = compressing()
    for text in 'foo', 'bar', 'baz':
        sender.send(text)
    written: list[int] = []
    sender.close(1000, callback=lambda error: written.append(len(sink.frames)))
    assert written == [4]
    assert sink.received() == [('text', 'foo'), ('text', 'bar'), ('text', 'baz'), ('close', 1000, '')]
