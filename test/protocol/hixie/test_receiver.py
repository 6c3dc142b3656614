"""Hixie-76, the server's side: incoming frames. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import sys
import time
from typing import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from protocol.hixie.frames import CLOSED, Recorder, events_of, text_frame, texts
from protocol.recording import Event, Feed, byte_by_byte

from ws.errors import ProtocolError
from ws.protocol.hixie import Receiver
from ws.protocol.receiver import MessageFlags

WRONG_START = ('error', 'payload must start with 0x00 byte', 1002)
TOO_LARGE = ('error', 'Max payload size exceeded', 1009)


def counted_frame(data: bytes, zeros: int = 0) -> bytes:
    """One frame with its length, made as plainly as can be, behind so many leading zeros."""
    length = len(data)
    digits = [length & 0x7F]
    while length >= 0x80:
        length >>= 7
        digits.insert(0, 0x80 | length & 0x7F)
    return b'\x80' + b'\x80' * zeros + bytes(digits) + data


class TestReceiver:
    def test_one_text(self, feed: Feed) -> None:
        """[159]"""
        assert events_of(text_frame('Hello'), feed) == [('text', 'Hello')]

    def test_two_texts(self, feed: Feed) -> None:
        """[160]"""
        assert events_of(text_frame('Hello') + text_frame('schön 漢😀'), feed) == [
            ('text', 'Hello'),
            ('text', 'schön 漢😀'),
        ]

    def test_empty_text(self, feed: Feed) -> None:
        """[161]"""
        assert events_of(b'\x00\xff', feed) == [('text', '')]

    def test_two_texts_in_six_portions(self) -> None:
        """[162]"""
        recorder = Recorder()
        for portion in (b'\x00Hel', b'lo', b' you', b'\xff\x00Good ', b'mor', b'ning\xff'):
            recorder.receiver.add(portion)
        assert recorder.events == [('text', 'Hello you'), ('text', 'Good morning')]

    def test_two_texts_and_junk(self, feed: Feed) -> None:
        """[163]"""
        data = text_frame('Hello') + text_frame('you') + b'\xffHello\xff' + text_frame('again')
        assert events_of(data, feed) == [('text', 'Hello'), ('text', 'you'), WRONG_START]

    def test_close(self, feed: Feed) -> None:
        """[164] In any portions, and whatever follows."""
        assert events_of(b'\xff\x00', feed) == [CLOSED]
        assert events_of(text_frame('bye') + b'\xff\x00' + text_frame('x') + b'\x01', feed) == [('text', 'bye'), CLOSED]

    def test_frames_with_their_length(self) -> None:
        """[165] Leading zeros in a length, and its bytes in different portions."""
        recorder = Recorder()
        for portion in (b'\x80\x05He', b'llo\x80', b'\x80', b'\x05Hel', b'lo'):
            recorder.receiver.add(portion)
        assert recorder.events == [('text', 'Hello')] * 2

    @pytest.mark.parametrize('size', [0, 1, 127, 128, 16383, 16384, 20000])
    def test_sizes(self, feed: Feed, size: int) -> None:
        data = counted_frame(b'x' * size) + text_frame('x' * size) + counted_frame(b'y' * size, zeros=20)
        assert events_of(data, feed) == [('text', 'x' * size), ('text', 'x' * size), ('text', 'y' * size)]

    def test_a_length_of_two_bytes(self) -> None:
        assert events_of(b'\x80\x81\x00' + b'x' * 128) == [('text', 'x' * 128)]

    def test_a_counted_frame_may_hold_any_byte(self, feed: Feed) -> None:
        assert events_of(counted_frame(b'a\xff\x00b\x80'), feed) == [('text', 'a\ufffd\0b\ufffd')]

    def test_what_is_no_utf8_is_replaced(self, feed: Feed) -> None:
        data = b'\x00a\x80b\xc3\xff' + b'\x00\xed\xa0\x80\xff' + text_frame('\ufeffc')
        assert events_of(data, feed) == [('text', 'a\ufffdb\ufffd'), ('text', '\ufffd' * 3), ('text', '\ufeffc')]

    def test_thousands_of_frames_at_once(self) -> None:
        data = text_frame('x') + counted_frame(b'y')
        assert events_of(data * 5000) == [('text', 'x'), ('text', 'y')] * 5000

    @pytest.mark.parametrize('first', [byte for byte in range(256) if byte not in (0x00, 0x80, 0xFF)])
    def test_first_byte_is_wrong(self, feed: Feed, first: int) -> None:
        assert events_of(text_frame('a') + bytes([first]), feed) == [('text', 'a'), WRONG_START]
        assert events_of(bytes([first]) + text_frame('a'), feed) == [WRONG_START]

    @pytest.mark.parametrize('second', [b'\x01', b'\x7f', b'\x80', b'\xff'])
    def test_second_byte_of_a_close_frame_is_wrong(self, feed: Feed, second: bytes) -> None:
        assert events_of(b'\xff', feed) == []
        assert events_of(b'\xff' + second, feed) == [WRONG_START]

    def test_flags(self) -> None:
        recorder = Recorder()
        recorder.receiver.add(text_frame('schön') + counted_frame(b'a\x80') + b'\xff\x00')
        for flags, buffer in zip(recorder.flags, ['schön'.encode(), b'a\xef\xbf\xbd', None]):
            assert flags.binary is False
            assert flags.masked is False
            assert flags.buffer == buffer

    def test_callbacks_nobody_set(self, feed: Feed) -> None:
        feed(Receiver(), text_frame('a') + b'\xff\x00')
        feed(Receiver(), b'\x01')


class TestLimit:
    def test_payload_of_just_the_limit(self, feed: Feed) -> None:
        assert (
            events_of((text_frame('abcde') + counted_frame(b'fghij')) * 2, feed, max_payload=5)
            == [
                ('text', 'abcde'),
                ('text', 'fghij'),
            ]
            * 2
        )

    @pytest.mark.parametrize('data', [b'\x00abcdef', b'\x80\x06', b'\x80\x81', b'\x80\x80\x81'])
    def test_at_the_first_byte_that_shows_it(self, feed: Feed, data: bytes) -> None:
        assert events_of(data[:-1], feed, max_payload=5) == []
        assert events_of(data, feed, max_payload=5) == [TOO_LARGE]
        assert events_of(data + b'\xff\xff\x00', feed, max_payload=5) == [TOO_LARGE]

    def test_by_default(self) -> None:
        assert events_of(b'\x80\xb2\x80\x80\x00') == []  # 100 MiB
        assert events_of(b'\x80\xb2\x80\x80\x01') == [TOO_LARGE]

    def test_none(self) -> None:
        assert events_of(b'\x80' + b'\xff' * 6 + b'\x7f', max_payload=0) == []
        # More than an address has bits.
        assert events_of(b'\x80' + b'\xff' * 20, max_payload=0) == [TOO_LARGE]


SEQUENCE = text_frame('one') + counted_frame(b'two') + text_frame('') + counted_frame(b'', 3) + b'\x00five\xff\xff\x00'
SEQUENCE_EVENTS = [('text', 'one'), ('text', 'two'), ('text', ''), ('text', ''), ('text', 'five'), CLOSED]


class TestPauseAndCleanup:
    """What the base has in common with RFC 6455's receiver is tested there; here, that these frames keep to it."""

    def test_nothing_is_called_back_while_paused(self, feed: Feed) -> None:
        recorder = Recorder()
        recorder.receiver.pause()
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == []
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('size', range(1, len(SEQUENCE)))
    def test_paused_in_every_callback(self, size: int) -> None:
        recorder = Recorder()
        recorder.then = recorder.receiver.pause
        for start in range(0, len(SEQUENCE), size):
            recorder.receiver.add(SEQUENCE[start : start + size])
            assert len(recorder.events) <= 1
        for count in range(1, len(SEQUENCE_EVENTS) + 1):
            assert recorder.events == SEQUENCE_EVENTS[:count]
            recorder.receiver.resume()

    def test_added_inside_a_callback(self) -> None:
        recorder = Recorder()
        rest = [SEQUENCE[start : start + 2] for start in range(6, len(SEQUENCE), 2)]

        def then() -> None:
            while rest:
                recorder.receiver.add(rest.pop(0))

        recorder.then = then
        recorder.receiver.add(SEQUENCE[:6])
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('count', range(1, len(SEQUENCE_EVENTS) + 1))
    def test_a_callback_that_raises(self, count: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == count:
                raise ProtocolError("mine, not the peer's", 1000)

        recorder.then = then
        with pytest.raises(ProtocolError, match='mine'):
            recorder.receiver.add(SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:count]
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('start', range(len(SEQUENCE)))
    def test_cleanup_drops_everything(self, start: int) -> None:
        recorder = Recorder()
        references = sys.getrefcount(recorder)
        recorder.receiver.add(SEQUENCE[:start])
        events = list(recorder.events)
        recorder.receiver.cleanup()
        recorder.receiver.add(SEQUENCE[start:])
        recorder.receiver.resume()
        assert recorder.events == events
        assert sys.getrefcount(recorder) < references


class TestMemory:
    def test_idle(self, traced: Callable[[], int]) -> None:
        receivers = [Receiver() for _ in range(1000)]
        for receiver in receivers:
            receiver.add(SEQUENCE[:-2])
        assert traced() < 1000 * 300

    def test_announced_length_is_not_allocated(self, traced: Callable[[], int]) -> None:
        receiver = Receiver()
        receiver.add(b'\x80\xb2\x80\x80\x00x')
        assert traced() < 20000

    def test_a_length_without_end_is_not_kept(self, traced: Callable[[], int]) -> None:
        recorder = Recorder()
        recorder.receiver.add(b'\x80')
        for _ in range(4):
            recorder.receiver.add(b'\x80' * 50000)
        assert traced() < 20000
        recorder.receiver.add(b'\x01x')
        assert recorder.events == [('text', 'x')]

    @pytest.mark.parametrize('start', [b'\x00', b'\x80\x81\x80\x00'])
    def test_tiny_portions(self, traced: Callable[[], int], start: bytes) -> None:
        receiver = Receiver()
        receiver.add(start)
        for _ in range(16000):
            receiver.add(b'x')
        assert traced() < 40000

    def test_a_message_does_not_hold_what_came_with_it(self, traced: Callable[[], int]) -> None:
        kept: list[tuple[str, MessageFlags]] = []
        receiver = Receiver()
        receiver.ontext = lambda text, flags: kept.append((text, flags))
        receiver.add(text_frame('x' * 100) + b'\x00' + b'x' * 50000)
        receiver.cleanup()
        assert len(kept) == 1
        assert traced() < 20000

    @pytest.mark.parametrize('end', [b'\xff\x00', b'\x01'])
    def test_what_follows_the_end_is_let_go_of(self, traced: Callable[[], int], end: bytes) -> None:
        receiver = Receiver()
        receiver.add(end + bytes(50000))
        receiver.add(bytes(50000))
        assert traced() < 20000


@pytest.mark.parametrize('start', [b'\x00', b'\x80', b'\x80\xb2\x80\x80\x00'], ids=['text', 'length', 'counted'])
def test_time_is_linear(start: bytes) -> None:
    """Eight times as many portions take eight times as long, not sixty-four times."""

    def seconds(count: int) -> float:
        receiver = Receiver()
        receiver.add(start)
        began = time.process_time()
        for _ in range(count):
            receiver.add(b'\x80')
        return time.process_time() - began

    assert seconds(160000) < 30 * min(seconds(20000) for _ in range(3))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """Valid frames, and what they should be called back as."""
    out = bytearray()
    events: list[Event] = []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            text = draw(texts) * draw(st.sampled_from([1, 1, 1, 100]))
            out += text_frame(text)
        else:
            data = draw(st.binary(max_size=300)) * draw(st.sampled_from([1, 1, 1, 100]))
            text = data.decode('utf-8', 'replace')
            out += counted_frame(data, draw(st.sampled_from([0, 0, 1, 5])))
        events.append(('text', text))
    if draw(st.booleans()):
        out += b'\xff\x00'
        events.append(CLOSED)
    return bytes(out), events


def portions_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)])]


cuts = st.lists(st.integers(0, 1 << 30), max_size=20)


@given(conversations(), cuts, st.sets(st.integers(0, 8)))
def test_any_portions_of_valid_frames(
    conversation: tuple[bytes, list[Event]], cuts: list[int], pauses: set[int]
) -> None:
    data, events = conversation
    recorder = Recorder()

    def then() -> None:
        if len(recorder.events) in pauses:
            recorder.receiver.pause()

    recorder.then = then
    for portion in portions_of(data, cuts):
        recorder.receiver.add(portion)
    for _ in pauses:
        recorder.receiver.resume()
    assert recorder.events == events


pieces = st.sampled_from(
    [b'\x00', b'\x80', b'\x81', b'\xff', b'\xff\x00', b'\x05Hello', b'\x00Hello\xff', b'\xc3', b'\x01']
)


@given(st.one_of(st.binary(), st.lists(pieces, max_size=10).map(b''.join)), cuts)
@example(b'\x80' * 1000, [])
def test_any_bytes_give_texts_and_at_most_one_end(data: bytes, cuts: list[int]) -> None:
    recorder = Recorder(max_payload=20)
    for portion in portions_of(data, cuts):
        recorder.receiver.add(portion)
    ends = [event for event in recorder.events if event[0] != 'text']
    assert ends == recorder.events[-1:] or not ends
    assert not ends or ends[0] in (CLOSED, WRONG_START, TOO_LARGE)
    # The portions the bytes come in make no difference, for errors too.
    assert events_of(data, max_payload=20) == recorder.events
    assert events_of(data, byte_by_byte, max_payload=20) == recorder.events
