"""Incoming frames (RFC 6455 section 5). Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import copy
import gc
import itertools
import os
import pickle
import sys
import tracemalloc
import zlib
from typing import Any, Callable, NamedTuple, Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws.errors import ProtocolError
from ws.protocol.permessage_deflate import Inflater
from ws.protocol.receiver import MessageFlags, Receiver, flags_of

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 0x40
KEY = bytes.fromhex('3483a868')

Event = tuple[Any, ...]
Feed = Callable[[Receiver, bytes], None]


def frame(
    opcode: int, payload: bytes = b'', fin: bool = True, key: Optional[bytes] = None, width: Optional[int] = None
) -> bytes:
    """One frame, made as plainly as can be; ``width`` bytes of extended length, by default as few as will do."""
    size = len(payload)
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    mask_bit = 0 if key is None else 0x80
    length = {0: size, 2: 126, 8: 127}[width]
    header = bytes([opcode | (0x80 if fin else 0), mask_bit | length]) + (size.to_bytes(width, 'big') if width else b'')
    if key is None:
        return header + payload
    return header + key + bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))


def whole(receiver: Receiver, data: bytes) -> None:
    receiver.add(data)


def byte_by_byte(receiver: Receiver, data: bytes) -> None:
    for index in range(len(data)):
        receiver.add(data[index : index + 1])


def in_halves(receiver: Receiver, data: bytes) -> None:
    receiver.add(data[: len(data) // 2])
    receiver.add(data[len(data) // 2 :])


@pytest.fixture(params=[whole, byte_by_byte, in_halves], ids=lambda feed: feed.__name__)
def feed(request: pytest.FixtureRequest) -> Feed:
    chosen: Feed = request.param
    return chosen


class Recorder:
    """A Receiver and what it called back: tuples of the callback's name, its arguments and, for flags, ``masked``."""

    def __init__(self, masked: Optional[bool] = None, deflate: bool = False, **limits: int) -> None:
        self.receiver = Receiver(masked, **limits)
        if deflate:
            self.receiver.inflater = Inflater(None, False)
        self.events: list[Event] = []
        self.flags: list[MessageFlags] = []
        self.then: Callable[[], None] = lambda: None  # run inside each callback
        self.receiver.ontext = lambda text, flags: self._record('text', text, flags)
        self.receiver.onbinary = lambda data, flags: self._record('binary', data, flags)
        self.receiver.onping = lambda data, flags: self._record('ping', data, flags)
        self.receiver.onpong = lambda data, flags: self._record('pong', data, flags)
        self.receiver.onclose = lambda code, reason, flags: self._record('close', code, reason, flags)
        self.receiver.onerror = self._record_error

    def _record(self, name: str, *arguments: Any) -> None:
        *values, flags = arguments
        self.flags.append(flags)
        self.events.append((name, *values, flags.masked))
        self.then()

    def _record_error(self, error: ProtocolError, code: int) -> None:
        assert type(error) is ProtocolError
        assert error.closeCode == code
        self.events.append(('error', str(error), code))
        self.then()


def events_of(data: bytes, feed: Feed = whole, **options: Any) -> list[Event]:
    recorder = Recorder(**options)
    feed(recorder.receiver, data)
    return recorder.events


class TestMessages:
    def test_unmasked_text(self, feed: Feed) -> None:
        """[145]"""
        assert events_of(bytes.fromhex('810548656c6c6f'), feed) == [('text', 'Hello', False)]

    def test_close_without_payload(self, feed: Feed) -> None:
        """[146] with the code of section 7.1.5 for "none"."""
        assert events_of(bytes.fromhex('8800'), feed) == [('close', 1005, '', False)]

    def test_masked_text(self, feed: Feed) -> None:
        """[147]"""
        data = bytes.fromhex('8193 3483a868 01b992524fa1c60959e68a5216e6cb005ba1d5')
        assert events_of(data, feed, masked=True) == [('text', '5:::{"name":"echo"}', True)]

    @pytest.mark.parametrize('size', [301, 65537])
    def test_masked_text_with_extended_length(self, feed: Feed, size: int) -> None:
        """[148] [149]"""
        text = ('A' * 299 + 'Ä漢😀' * size)[:size]
        assert events_of(frame(TEXT, text.encode(), key=KEY), feed, masked=True) == [('text', text, True)]

    def test_two_masked_fragments(self, feed: Feed) -> None:
        """[150]"""
        text = 'A' * 301
        data = frame(TEXT, text[:150].encode(), fin=False, key=KEY) + frame(CONTINUATION, text[150:].encode(), key=KEY)
        assert events_of(data, feed, masked=True) == [('text', text, True)]

    def test_masked_ping(self, feed: Feed) -> None:
        """[151]"""
        assert events_of(frame(PING, b'Hello', key=KEY), feed, masked=True) == [('ping', b'Hello', True)]

    @pytest.mark.parametrize('opcode, name', [(PING, 'ping'), (PONG, 'pong')])
    def test_ping_and_pong_without_payload(self, feed: Feed, opcode: int, name: str) -> None:
        """[152]"""
        assert events_of(frame(opcode), feed) == [(name, b'', False)]

    def test_ping_between_fragments(self, feed: Feed) -> None:
        """[153] whole; [154] in halves and byte by byte."""
        text = 'A' * 301
        data = [
            frame(TEXT, text[:150].encode(), fin=False, key=KEY),
            frame(PING, b'Hello', key=KEY),
            frame(CONTINUATION, text[150:].encode(), key=KEY),
        ]
        recorder = Recorder(masked=True)
        for one in data:
            feed(recorder.receiver, one)
        assert recorder.events == [('ping', b'Hello', True), ('text', text, True)]

    @pytest.mark.parametrize('size', [100, 256, 200 * 1024])
    def test_masked_binary(self, feed: Feed, size: int) -> None:
        """[155] [156] [157]"""
        data = os.urandom(size)
        assert events_of(frame(BINARY, data, key=KEY), feed, masked=True) == [('binary', data, True)]

    def test_unmasked_binary(self, feed: Feed) -> None:
        """[158]"""
        data = os.urandom(200 * 1024)
        assert events_of(frame(BINARY, data), feed, masked=False) == [('binary', data, False)]

    @pytest.mark.parametrize('key', [None, KEY])
    @pytest.mark.parametrize('size', [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 65535, 65536])
    def test_sizes(self, feed: Feed, size: int, key: Optional[bytes]) -> None:
        masked = key is not None
        assert events_of(frame(BINARY, b'\xfe' * size, key=key), feed) == [('binary', b'\xfe' * size, masked)]
        assert events_of(frame(TEXT, b'x' * size, key=key), feed) == [('text', 'x' * size, masked)]

    @pytest.mark.parametrize('width', [2, 8])
    def test_length_in_more_bytes_than_needed_is_taken(self, feed: Feed, width: int) -> None:
        assert events_of(frame(TEXT, b'Hello', width=width), feed) == [('text', 'Hello', False)]

    def test_empty_fragments(self, feed: Feed) -> None:
        data = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION) + frame(BINARY)
        assert events_of(data, feed) == [('text', '', False), ('binary', b'', False)]

    def test_character_across_fragments(self, feed: Feed) -> None:
        parts = [bytes([byte]) for byte in 'é漢😀'.encode()]
        data = frame(TEXT, parts[0], fin=False)
        data += b''.join(frame(CONTINUATION, part, fin=False) for part in parts[1:]) + frame(CONTINUATION)
        assert events_of(data, feed) == [('text', 'é漢😀', False)]

    def test_text_keeps_line_ends_and_byte_order_mark(self, feed: Feed) -> None:
        text = '\ufeffa\r\nb\rc\nd\0'
        assert events_of(frame(TEXT, text.encode()), feed) == [('text', text, False)]

    def test_masked_tells_of_the_last_frame(self, feed: Feed) -> None:
        first, last = frame(TEXT, b'a', fin=False, key=KEY), frame(CONTINUATION, b'b')
        assert events_of(first + last, feed) == [('text', 'ab', False)]
        first, last = frame(TEXT, b'a', fin=False), frame(CONTINUATION, b'b', key=KEY)
        assert events_of(first + last, feed) == [('text', 'ab', True)]

    def test_thousands_of_frames_at_once(self) -> None:
        data = frame(PING) + frame(TEXT, b'x', fin=False) + frame(CONTINUATION, b'y') + frame(BINARY, b'z')
        events = events_of(data * 5000)
        assert events == [('ping', b'', False), ('text', 'xy', False), ('binary', b'z', False)] * 5000

    def test_close_with_code_and_reason(self, feed: Feed) -> None:
        data = frame(CLOSE, (4000).to_bytes(2, 'big') + 'schön'.encode(), key=KEY)
        assert events_of(data, feed) == [('close', 4000, 'schön', True)]
        assert events_of(frame(CLOSE, b'\x03\xe8'), feed) == [('close', 1000, '', False)]

    def test_nothing_after_close(self, feed: Feed) -> None:
        assert events_of(frame(CLOSE) + frame(PING) + b'\xff', feed) == [('close', 1005, '', False)]

    def test_callbacks_nobody_set(self, feed: Feed) -> None:
        receiver = Receiver()
        feed(receiver, frame(TEXT) + frame(BINARY) + frame(PING) + frame(PONG) + frame(TEXT, b'x', fin=False))
        feed(receiver, frame(CONTINUATION) + frame(CLOSE))
        feed(Receiver(), b'\xff')


class TestFlags:
    def flags_of(self, data: bytes) -> MessageFlags:
        recorder = Recorder()
        recorder.receiver.add(data)
        [flags] = recorder.flags
        return flags

    @pytest.mark.parametrize('key', [None, KEY])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY, PING, PONG])
    def test_message_ping_pong(self, opcode: int, key: Optional[bytes]) -> None:
        flags = self.flags_of(frame(opcode, 'schön'.encode(), key=key))
        assert flags.binary is (opcode != TEXT)
        assert bool(flags) is (opcode != TEXT)
        assert flags.masked is (key is not None)
        assert flags.buffer == 'schön'.encode()

    def test_fragmented_message(self) -> None:
        assert not self.flags_of(frame(TEXT, b'x', fin=False) + frame(CONTINUATION)).binary
        assert self.flags_of(frame(BINARY, b'x', fin=False) + frame(CONTINUATION)).binary

    def test_close(self) -> None:
        flags = self.flags_of(frame(CLOSE, b'\x03\xe8bye'))
        assert not flags.binary
        assert not flags
        assert flags.masked is False
        assert flags.buffer is None

    def test_binary_is_not_kept_twice(self) -> None:
        messages = []
        receiver = Receiver()
        receiver.onbinary = lambda data, flags: messages.append((data, flags.buffer))
        receiver.add(frame(BINARY, b'abc') + frame(BINARY, b'ab', fin=False) + frame(CONTINUATION, b'c'))
        for data, buffer in messages:
            assert data == b'abc'
            assert buffer is data

    def test_any_other_name_is_none(self) -> None:
        flags: Any = self.flags_of(frame(TEXT, b'x'))
        assert flags.compressed is None
        assert not flags_of(False, None)

    def test_as_the_options_of_an_answer(self) -> None:
        flags = self.flags_of(frame(TEXT, b'x', key=KEY))
        assert flags.get('binary', True) is False
        assert flags.get('masked') is True
        assert flags.get('compress', True) is True
        assert flags.get('compress') is None

    def test_protocols_of_python_see_no_none(self) -> None:
        flags = self.flags_of(frame(BINARY, b'x', key=KEY))
        for twin in (copy.copy(flags), copy.deepcopy(flags), pickle.loads(pickle.dumps(flags))):
            assert (twin.binary, twin.masked, twin.buffer) == (True, True, b'x')
        assert not hasattr(flags, '__array_interface__')

    def test_repr(self) -> None:
        flags = self.flags_of(frame(TEXT, b'x', key=KEY))
        assert repr(flags) == "MessageFlags(binary=False, masked=True, buffer=b'x')"


RESERVED = ('error', 'reserved fields must be empty', 1002)
LONE_CONTINUATION = ('error', 'continuation frame cannot follow current opcode', 1002)
NO_CONTINUATION = ('error', 'data frames after the initial data frame must have opcode 0', 1002)
LONG_CONTROL = ('error', 'control frames cannot have more than 125 bytes of data', 1002)
MASK_MISSING = ('error', 'Invalid WebSocket frame: MASK must be set', 1002)
MASK_WRONG = ('error', 'Invalid WebSocket frame: MASK must be clear', 1002)
HUGE = ('error', 'packets with length spanning more than 32 bit is currently not supported', 1008)
SHORT_CLOSE = ('error', 'close packets with data must be at least two bytes long', 1002)
BAD_CODE = ('error', 'invalid error code', 1002)
INVALID_UTF8 = ('error', 'invalid utf8 sequence', 1007)
TOO_LARGE = ('error', 'Max payload size exceeded', 1009)
TOO_MANY = ('error', 'Too many message fragments', 1008)
BAD_DATA = ('error', 'invalid compressed data', 1007)


def no_handler(opcode: int) -> Event:
    return ('error', f'no handler for opcode {opcode}', 1002)


def fragmented(name: str) -> Event:
    return ('error', f'fragmented {name} is not supported', 1002)


# Something is wrong with the very last byte of each, and with nothing before it.
VIOLATIONS: list[tuple[str, dict[str, Any], Event]] = [
    # 1
    *((f'{first:02x}', {}, RESERVED) for first in (0xC1, 0xA1, 0x91, 0xF2, 0x41, 0xC8, 0x99, 0xC0)),
    ('01 01 61 40', {}, RESERVED),
    # 2
    ('80', {}, LONE_CONTINUATION),
    ('00', {}, LONE_CONTINUATION),
    ('81 01 61 80', {}, LONE_CONTINUATION),
    ('01 01 61 80 00 80', {}, LONE_CONTINUATION),
    ('89 00 00', {}, LONE_CONTINUATION),
    # 3
    *(
        (f'{opened} 01 61 {first}', {}, NO_CONTINUATION)
        for opened in ('01', '02')
        for first in ('81', '82', '01', '02')
    ),
    ('01 00 89 00 81', {}, NO_CONTINUATION),
    # 4
    *((f'{0x80 | opcode:02x}', {}, no_handler(opcode)) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ('03', {}, no_handler(3)),
    ('0b', {}, no_handler(11)),
    ('01 00 83', {}, no_handler(3)),
    # 5
    ('08', {}, fragmented('close')),
    ('09', {}, fragmented('ping')),
    ('0a', {}, fragmented('pong')),
    # 6
    *((f'{first} {second}', {}, LONG_CONTROL) for first in ('88', '89', '8a') for second in ('7e', '7f', 'fe', 'ff')),
    ('89 7e', {'masked': True}, LONG_CONTROL),
    # by role
    ('81 05', {'masked': True}, MASK_MISSING),
    ('89 00', {'masked': True}, MASK_MISSING),
    ('88 01', {'masked': True}, MASK_MISSING),
    ('82 7f', {'masked': True, 'max_payload': 1}, MASK_MISSING),
    ('01 80 00 00 00 00 80 01', {'masked': True}, MASK_MISSING),
    ('81 85', {'masked': False}, MASK_WRONG),
    ('8a 80', {'masked': False}, MASK_WRONG),
    # 7
    ('82 7f 80', {}, HUGE),
    ('82 7f 01', {'max_payload': 1}, HUGE),
    ('82 7f 00 00 00 01', {'max_payload': 0}, HUGE),
    # 8
    ('88 01', {}, SHORT_CLOSE),
    ('88 81', {}, SHORT_CLOSE),
    # 9
    *(
        (f'88 02 {code:04x}', {}, BAD_CODE)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    ),
    ('88 03 03ec 61', {}, BAD_CODE),
    # 10
    ('88 04 03e8 c3 28', {}, INVALID_UTF8),
    ('88 03 03e8 c3', {}, INVALID_UTF8),
    ('88 05 03e8 ed a0 80', {}, INVALID_UTF8),
    # 11: in a frame, in a fragment, at the end of the message
    ('81 05 61 c3 28', {}, INVALID_UTF8),
    ('81 7e 01 00 61 ff', {}, INVALID_UTF8),
    ('01 05 61 c3 28', {}, INVALID_UTF8),
    ('01 02 61 c3 00 05 61', {}, INVALID_UTF8),
    ('01 00 89 00 00 01 80', {}, INVALID_UTF8),
    ('81 01 c3', {}, INVALID_UTF8),
    ('01 02 61 c3 80 00', {}, INVALID_UTF8),
    ('01 02 f4 8f 80 01 bf', {}, INVALID_UTF8),
    ('81 85 00 00 00 00 61 c3 28', {'masked': True}, INVALID_UTF8),
    # maxPayload
    ('82 65', {'max_payload': 100}, TOO_LARGE),
    ('82 7e 00 65', {'max_payload': 100}, TOO_LARGE),
    ('82 7e 01', {'max_payload': 100}, TOO_LARGE),
    ('82 7f 00 00 00 00 00 00 00 65', {'max_payload': 100}, TOO_LARGE),
    ('82 7f 00 00 00 00 01', {'max_payload': 100}, TOO_LARGE),
    ('82 fe 00 65', {'max_payload': 100, 'masked': True}, TOO_LARGE),
    ('02 03 616263 80 03', {'max_payload': 5}, TOO_LARGE),
    ('02 03 616263 89 03 616263 00 02 6465 80 01', {'max_payload': 5}, TOO_LARGE),
    ('81 05 6162636465 81 06', {'max_payload': 5}, TOO_LARGE),
    ('82 7f 00 00 00 00 06 40 00 01', {}, TOO_LARGE),  # 100 MiB and a byte
    # maxFragments
    ('01 01 61 00 01 62 00 01', {'max_fragments': 2}, TOO_MANY),
    ('01 00 00 00 80 00', {'max_fragments': 2}, TOO_MANY),
    ('01 00 89 00 00 00 89 00 00 7e 00 00', {'max_fragments': 2}, TOO_MANY),
    ('02 00 80 00', {'max_fragments': 1}, TOO_MANY),
    ('02 00 80 05', {'max_fragments': 1, 'max_payload': 3}, TOO_LARGE),
    # permessage-deflate: RSV1 of the first frame of a message only, and never another bit
    *(
        (f'{first:02x}', {'deflate': True}, RESERVED)
        for first in (0x40, 0xC0, 0xC8, 0xC9, 0xCA, 0xC3, 0xE1, 0xD2, 0xA1)
    ),
    ('41 00 40', {'deflate': True}, RESERVED),
    ('41 00 c0', {'deflate': True}, RESERVED),
    ('c1 07 f248cdc9c90700 c0', {'deflate': True}, RESERVED),
    ('41 00 c1', {'deflate': True}, NO_CONTINUATION),
    ('41 00 81', {'deflate': True}, NO_CONTINUATION),
    ('c1 07 f248cdc9c90700 80', {'deflate': True}, LONE_CONTINUATION),
    # what can't be inflated, as early as zlib sees it
    ('c1 01 07', {'deflate': True}, BAD_DATA),
    ('c2 06 00 0000 ffff 07', {'deflate': True}, BAD_DATA),
    ('41 05 00 0000 ffff 00 01 07', {'deflate': True}, BAD_DATA),
    # UTF-8, found as it is inflated: c3 28, in one block, in two blocks, in two frames; an unfinished c3
    ('c1 07 00 0200 fdff c3 28', {'deflate': True}, INVALID_UTF8),
    ('c1 0c 00 0100 feff c3 00 0100 feff 28', {'deflate': True}, INVALID_UTF8),
    ('41 06 00 0100 feff c3 80 06 00 0100 feff 28', {'deflate': True}, INVALID_UTF8),
    ('c1 07 00 0100 feff c3 00', {'deflate': True}, INVALID_UTF8),
    # maxPayload, of what is inflated: in the frame, in the next frame, together with what was not compressed before
    ('c2 08 00 0300 fcff 616263', {'deflate': True, 'max_payload': 2}, TOO_LARGE),
    ('42 08 00 0300 fcff 616263 80 07 00 0200 fdff 6162', {'deflate': True, 'max_payload': 4}, TOO_LARGE),
    ('82 02 6162 82 03', {'deflate': True, 'max_payload': 2}, TOO_LARGE),
    ('c2 7f 01', {'deflate': True, 'max_payload': 2}, HUGE),
    ('41 00 00 00 80 00', {'deflate': True, 'max_fragments': 2}, TOO_MANY),
]


def before(data: bytes, options: dict[str, Any]) -> list[Event]:
    """What a Receiver calls back for the data without its last byte; and it must not be an error."""
    events = events_of(data[:-1], **options)
    assert not [event for event in events if event[0] == 'error']
    return events


@pytest.mark.parametrize('violation, options, error', VIOLATIONS, ids=lambda value: str(value))
class TestViolations:
    """Section 7.2 of the original's facts and the limits of ws 8: the text, the code, and no byte later than can be."""

    def test_at_once(self, violation: str, options: dict[str, Any], error: Event) -> None:
        data = bytes.fromhex(violation)
        assert events_of(data, **options) == [*before(data, options), error]

    def test_byte_by_byte(self, violation: str, options: dict[str, Any], error: Event) -> None:
        data = bytes.fromhex(violation)
        assert events_of(data, byte_by_byte, **options) == [*before(data, options), error]

    def test_nothing_after_it(self, violation: str, options: dict[str, Any], error: Event) -> None:
        data = bytes.fromhex(violation)
        rest = b'\0' * 300 + frame(PING) + b'\xff'
        assert events_of(data + rest, **options)[-1] == error
        assert events_of(data + rest, byte_by_byte, **options) == [*before(data, options), error]


HELLO = bytes.fromhex('f248cdc9c90700')


class TestCompressed:
    """permessage-deflate (RFC 7692 section 7.2.2)."""

    def test_messages(self, feed: Feed) -> None:
        again = bytes.fromhex('f200110000')
        data = (
            frame(TEXT | RSV1, HELLO, key=KEY) + frame(BINARY | RSV1, again, key=KEY) + frame(TEXT, HELLO[-1:], key=KEY)
        )
        assert events_of(data, feed, masked=True, deflate=True) == [
            ('text', 'Hello', True),
            ('binary', b'Hello', True),
            ('text', '\0', True),
        ]

    def test_flags(self) -> None:
        recorder = Recorder(deflate=True)
        recorder.receiver.add(frame(TEXT | RSV1, HELLO) + frame(BINARY | RSV1, HELLO))
        assert [(flags.binary, flags.buffer) for flags in recorder.flags] == [(False, b'Hello'), (True, b'Hello')]

    def test_fragments(self, feed: Feed) -> None:
        """Between them control frames; some are empty."""
        for first in range(len(HELLO) + 1):
            for second in range(first, len(HELLO) + 1):
                data = frame(TEXT | RSV1, HELLO[:first], fin=False) + frame(PING)
                data += frame(CONTINUATION, HELLO[first:second], fin=False) + frame(CONTINUATION, HELLO[second:])
                data += frame(TEXT, b'Hello', fin=False) + frame(CONTINUATION)
                expected = [('ping', b'', False), ('text', 'Hello', False), ('text', 'Hello', False)]
                assert events_of(data, feed, deflate=True) == expected

    def test_empty(self, feed: Feed) -> None:
        data = frame(TEXT | RSV1, b'\0') + frame(BINARY | RSV1, b'\0')
        assert events_of(data * 2, feed, deflate=True) == [('text', '', False), ('binary', b'', False)] * 2

    def test_text_is_decoded_across_pieces(self, feed: Feed) -> None:
        text = 'é漢😀' * 40_000
        deflate = zlib.compressobj(level=0, wbits=-15)
        payload = deflate.compress(text.encode()) + deflate.flush(zlib.Z_SYNC_FLUSH)
        assert events_of(frame(TEXT | RSV1, payload[:-4]), feed, deflate=True) == [('text', text, False)]

    def test_only_what_is_inflated_counts(self, feed: Feed) -> None:
        stored = b'\0\5\0\xfa\xffHello\0'
        data = (
            frame(BINARY | RSV1, stored) + frame(BINARY | RSV1, stored[:4], fin=False) + frame(CONTINUATION, stored[4:])
        )
        data += frame(BINARY, b'Hello')
        assert events_of(data * 2, feed, deflate=True, max_payload=5) == [('binary', b'Hello', False)] * 6

    @pytest.mark.parametrize('limit', [0, sys.maxsize - 1, sys.maxsize, sys.maxsize + 1, 1 << 100])
    def test_without_limit(self, feed: Feed, limit: int) -> None:
        data = frame(TEXT | RSV1, HELLO) + frame(TEXT, b'Hello')
        assert events_of(data, feed, deflate=True, max_payload=limit) == [('text', 'Hello', False)] * 2

    def test_a_message_that_ends_with_a_final_block(self, feed: Feed) -> None:
        """With the empty block behind it that RFC 7692 section 7.2.3.4 asks for, and without: the next one is whole."""
        final = bytes.fromhex('f348cdc9c90700')
        for payload in (final + b'\0', final):
            data = frame(TEXT | RSV1, payload) + frame(TEXT | RSV1, HELLO)
            assert events_of(data * 2, feed, deflate=True) == [('text', 'Hello', False)] * 4

    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_bomb(self, traced: Callable[[], int], opcode: int) -> None:
        deflate = zlib.compressobj(9, wbits=-15)
        payload = b''.join([*(deflate.compress(bytes(1 << 20)) for _ in range(64)), deflate.flush(zlib.Z_SYNC_FLUSH)])
        recorder = Recorder(deflate=True, max_payload=1 << 20)
        tracemalloc.reset_peak()
        recorder.receiver.add(frame(opcode | RSV1, payload))
        assert recorder.events == [TOO_LARGE]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        del payload, deflate, recorder
        assert traced() < 20000

    @pytest.mark.parametrize('end', [frame(CLOSE), b'\xff', None])
    def test_the_window_is_let_go_of_at_the_end(self, traced: Callable[[], int], end: Optional[bytes]) -> None:
        receiver = Receiver()
        receiver.inflater = Inflater(None, False)
        receiver.add(frame(TEXT | RSV1, HELLO))
        assert traced() > 30000
        if end is None:
            receiver.cleanup()
        else:
            receiver.add(end)
        assert traced() < 20000


class TestLimits:
    def test_payload_of_just_the_limit(self, feed: Feed) -> None:
        data = frame(BINARY, b'abcde') + frame(BINARY, b'abc', fin=False) + frame(CONTINUATION, b'de')
        assert events_of(data * 2, feed, max_payload=5) == [('binary', b'abcde', False)] * 4

    def test_control_frames_have_their_own_limit(self, feed: Feed) -> None:
        data = b'x' * 123
        frames = frame(PING, b'xx' + data) + frame(PONG, b'xx' + data, key=KEY) + frame(CLOSE, b'\x03\xe8' + data)
        assert events_of(frame(TEXT, fin=False) + frames, feed, max_payload=5, max_fragments=1) == [
            ('ping', b'xx' + data, False),
            ('pong', b'xx' + data, True),
            ('close', 1000, data.decode(), False),
        ]

    def test_payload_without_limit(self) -> None:
        assert events_of(bytes.fromhex('82 7f 00000000 ffffffff'), max_payload=0) == []

    def test_fragments_of_just_the_limit(self, feed: Feed) -> None:
        data = frame(TEXT, b'a', fin=False) + frame(PING) + frame(CONTINUATION, fin=False) + frame(CONTINUATION, b'b')
        assert events_of(data * 2, feed, max_fragments=3) == [('ping', b'', False), ('text', 'ab', False)] * 2

    def test_fragments_by_default(self) -> None:
        data = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 131071
        assert events_of(data) == []
        assert events_of(data + frame(CONTINUATION)) == [TOO_MANY]

    def test_fragments_without_limit(self) -> None:
        data = frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) * 131072 + frame(CONTINUATION, b'x')
        assert events_of(data, max_fragments=0) == [('binary', b'x', False)]


def could_become_utf8(start: bytes) -> bool:
    """Whether some bytes behind ``start`` make it valid UTF-8, found by trying."""
    for size in range(4):
        for rest in itertools.product(b'\x80\x90\xa0\xbf', repeat=size):
            try:
                (start + bytes(rest)).decode()
            except UnicodeDecodeError:
                continue
            return True
    return False


# Each sequence of one to four bytes that is of interest.
LEADS = bytes([0x61, 0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF])
LEADS += bytes([0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFC, 0xFE, 0xFF])
SECONDS = bytes([0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF])
OTHERS = bytes([0x7F, 0x80, 0xBF, 0xC0])
UTF8_SEQUENCES = [
    bytes(sequence)
    for columns in ((LEADS,), (LEADS, SECONDS), (LEADS, SECONDS, OTHERS), (LEADS, SECONDS, OTHERS, OTHERS))
    for sequence in itertools.product(*columns)
]


class TestUTF8:
    """RFC 3629, as early as the bytes allow."""

    def test_in_a_fragment(self) -> None:
        for sequence in UTF8_SEQUENCES:
            expected = [] if could_become_utf8(sequence) else [INVALID_UTF8]
            assert events_of(frame(TEXT, b'a' + sequence, fin=False)) == expected, sequence

    def test_in_part_of_a_frame(self) -> None:
        for sequence in UTF8_SEQUENCES:
            expected = [] if could_become_utf8(sequence) else [INVALID_UTF8]
            part = frame(TEXT, sequence + b'aaaaa', key=KEY)[:-5]
            assert events_of(part) == expected, sequence
            assert events_of(part, byte_by_byte) == expected, sequence

    def test_whole(self, feed: Feed) -> None:
        for sequence in UTF8_SEQUENCES:
            try:
                expected: Event = ('text', sequence.decode(), False)
            except UnicodeDecodeError:
                expected = INVALID_UTF8
            assert events_of(frame(TEXT, sequence), feed) == [expected], sequence

    def test_reason(self) -> None:
        for sequence in UTF8_SEQUENCES:
            try:
                expected: Event = ('close', 1000, sequence.decode(), False)
            except UnicodeDecodeError:
                expected = INVALID_UTF8
            assert events_of(frame(CLOSE, b'\x03\xe8' + sequence)) == [expected], sequence


SEQUENCE = b''.join(
    [
        frame(TEXT, b'one', key=KEY),
        frame(BINARY, b'two', key=KEY),
        frame(PING, b'three', key=KEY),
        frame(TEXT, b'fo', fin=False, key=KEY),
        frame(PONG, key=KEY),
        frame(CONTINUATION, b'ur', key=KEY),
        frame(TEXT, b'five' * 100, key=KEY),
        frame(CLOSE, b'\x03\xe8six', key=KEY),
    ]
)
SEQUENCE_EVENTS = [
    ('text', 'one', True),
    ('binary', b'two', True),
    ('ping', b'three', True),
    ('pong', b'', True),
    ('text', 'four', True),
    ('text', 'five' * 100, True),
    ('close', 1000, 'six', True),
]


class TestPause:
    def test_nothing_is_called_back_while_paused(self, feed: Feed) -> None:
        recorder = Recorder()
        recorder.receiver.pause()
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == []
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('size', range(1, len(SEQUENCE), 7))
    def test_paused_in_every_callback(self, size: int) -> None:
        """What comes in meanwhile waits behind what is there."""
        recorder = Recorder()
        recorder.then = recorder.receiver.pause
        for start in range(0, len(SEQUENCE), size):
            seen = len(recorder.events)
            recorder.receiver.add(SEQUENCE[start : start + size])
            assert len(recorder.events) <= seen + 1
        while len(recorder.events) < len(SEQUENCE_EVENTS):
            seen = len(recorder.events)
            recorder.receiver.resume()
            assert len(recorder.events) == seen + 1
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('paused', range(1, len(SEQUENCE_EVENTS)))
    def test_paused_in_one_callback(self, feed: Feed, paused: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == paused:
                recorder.receiver.pause()

        recorder.then = then
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:paused]
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    def test_paused_and_resumed_inside_a_callback(self, feed: Feed) -> None:
        recorder = Recorder()
        depth = 0

        def then() -> None:
            nonlocal depth
            assert depth == 0, 'a callback inside a callback'
            depth += 1
            recorder.receiver.pause()
            recorder.receiver.resume()
            recorder.receiver.resume()
            depth -= 1

        recorder.then = then
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS

    def test_added_inside_a_callback(self) -> None:
        recorder = Recorder()
        depth = 0
        rest = [SEQUENCE[start : start + 5] for start in range(50, len(SEQUENCE), 5)]

        def then() -> None:
            nonlocal depth
            assert depth == 0, 'a callback inside a callback'
            depth += 1
            for _ in range(40):
                if rest:
                    recorder.receiver.add(rest.pop(0))
            depth -= 1

        recorder.then = then
        recorder.receiver.add(SEQUENCE[:50])
        assert recorder.events == SEQUENCE_EVENTS

    def test_added_and_paused_inside_a_callback(self) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == 1:
                recorder.receiver.add(frame(TEXT, b'c'))
                recorder.receiver.pause()

        recorder.then = then
        recorder.receiver.add(frame(TEXT, b'a') + frame(TEXT, b'b'))
        recorder.receiver.add(frame(TEXT, b'd'))
        assert recorder.events == [('text', 'a', False)]
        recorder.receiver.resume()
        assert [event[1] for event in recorder.events] == ['a', 'b', 'c', 'd']

    def test_pause_and_resume_after_the_end(self) -> None:
        recorder = Recorder()
        recorder.receiver.add(frame(CLOSE))
        recorder.receiver.pause()
        recorder.receiver.add(frame(PING))
        recorder.receiver.resume()
        recorder.receiver.add(frame(PING))
        assert recorder.events == [('close', 1005, '', False)]

    def test_one_message_at_a_time_takes_linear_time(self) -> None:
        """What is left is not copied for each message."""
        recorder = Recorder()
        recorder.receiver.pause()
        recorder.receiver.add(frame(TEXT) * 100000)
        recorder.then = recorder.receiver.pause
        copied = 0
        previous = None
        for _ in range(100000):
            recorder.receiver.resume()
            if recorder.receiver._data is not previous:
                previous = recorder.receiver._data
                copied += len(previous)
        assert len(recorder.events) == 100000
        assert copied < 3 * 200000


class TestCleanup:
    @pytest.mark.parametrize('start', range(len(SEQUENCE)))
    def test_drops_everything(self, start: int) -> None:
        recorder = Recorder()
        recorder.receiver.add(SEQUENCE[:start])
        events = list(recorder.events)
        recorder.receiver.cleanup()
        recorder.receiver.add(SEQUENCE[start:])
        recorder.receiver.resume()
        assert recorder.events == events

    @pytest.mark.parametrize('count', range(1, len(SEQUENCE_EVENTS) + 1))
    def test_inside_a_callback(self, feed: Feed, count: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == count:
                recorder.receiver.add(frame(PING))
                recorder.receiver.cleanup()
                recorder.receiver.add(frame(PING))

        recorder.then = then
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:count]

    def test_while_paused(self) -> None:
        recorder = Recorder()
        recorder.receiver.pause()
        recorder.receiver.add(SEQUENCE)
        recorder.receiver.cleanup()
        recorder.receiver.resume()
        assert recorder.events == []

    def test_lets_go_of_the_callbacks(self) -> None:
        recorder = Recorder()
        references = sys.getrefcount(recorder)
        recorder.receiver.cleanup()
        assert sys.getrefcount(recorder) < references


class TestCallbackThatRaises:
    @pytest.mark.parametrize('count', range(1, len(SEQUENCE_EVENTS) + 1))
    def test_comes_out_and_the_next_call_goes_on(self, count: int) -> None:
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

    def test_what_it_added_comes_before_what_is_added_afterwards(self) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == 1:
                recorder.receiver.add(frame(TEXT, b'c'))
                raise ZeroDivisionError

        recorder.then = then
        with pytest.raises(ZeroDivisionError):
            recorder.receiver.add(frame(TEXT, b'a') + frame(TEXT, b'b'))
        recorder.receiver.add(frame(TEXT, b'd'))
        assert [event[1] for event in recorder.events] == ['a', 'b', 'c', 'd']

    def test_from_onerror(self) -> None:
        recorder = Recorder()

        def then() -> None:
            raise ZeroDivisionError

        recorder.then = then
        with pytest.raises(ZeroDivisionError):
            recorder.receiver.add(b'\xff')
        recorder.receiver.add(frame(PING))
        assert recorder.events == [RESERVED]


class TestMemory:
    def test_idle(self, traced: Callable[[], int]) -> None:
        receivers = [Receiver(True) for _ in range(1000)]
        assert traced() < 1000 * 250
        for receiver in receivers:
            receiver.add(frame(TEXT, b'Hello', key=KEY) + frame(PING, key=KEY))
        assert traced() < 1000 * 250

    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_announced_length_is_not_allocated(self, traced: Callable[[], int], opcode: int) -> None:
        receiver = Receiver()
        receiver.add(frame(opcode, b'', width=8)[:2] + (104857600).to_bytes(8, 'big') + b'x')
        assert traced() < 20000

    @pytest.mark.parametrize('unit', ['a', 'é', '漢', '😀'])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_tiny_fragments(self, traced: Callable[[], int], opcode: int, unit: str) -> None:
        receiver = Receiver()
        payload = unit.encode()
        receiver.add(frame(opcode, payload, fin=False))
        for _ in range(5000):
            receiver.add(frame(CONTINUATION, payload, fin=False))
            receiver.add(frame(CONTINUATION, b'', fin=False))
            receiver.add(frame(PING))
        assert traced() < 5000 * len(payload) * 2 + 50000

    @pytest.mark.parametrize('unit', ['a', 'é', '漢', '😀'])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_tiny_portions(self, traced: Callable[[], int], opcode: int, unit: str) -> None:
        receiver = Receiver()
        portions = [bytes([byte]) for byte in unit.encode()]
        receiver.add(frame(opcode, width=8)[:2] + (100000).to_bytes(8, 'big'))
        for _ in range(5000):
            for portion in portions:
                receiver.add(portion)
        assert traced() < 5000 * len(portions) * 2 + 50000

    @pytest.mark.parametrize('compressed', [False, True])
    def test_text_that_is_wide(self, traced: Callable[[], int], compressed: bool) -> None:
        """One character beyond the BMP makes all others of a str take four bytes, too: they aren't held twice."""
        if sys.gettrace() is not None:
            pytest.skip('CPython grows a str in place only where nobody traces it')
        text = ('a' * 16380 + '😀') * 512
        payload = text.encode()
        if compressed:
            deflate = zlib.compressobj(wbits=-15, strategy=zlib.Z_HUFFMAN_ONLY)
            payload = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        data = frame(TEXT | RSV1 if compressed else TEXT, payload)
        whole_size = sys.getsizeof(text)
        recorder = Recorder(deflate=compressed)
        sizes = [131072] * 20 if compressed else [131072, 20000, 1, 2, 131071] * 100
        del payload
        tracemalloc.reset_peak()
        before = traced()
        for size in sizes:
            recorder.receiver.add(data[:size])
            data = data[size:]
        peak = tracemalloc.get_traced_memory()[1] - before
        assert recorder.events == [('text', text, False)]
        assert peak < 1.6 * whole_size

    @pytest.mark.parametrize('unit', ['a', 'é', '漢', '😀', 'aé漢😀'])
    def test_text_that_becomes_wide(self, unit: str) -> None:
        """Whatever is held in whatever way, and wherever it is cut, it comes out as it was."""
        text = unit * 300_000 + '😀' + unit * 300_001
        data = frame(TEXT, text.encode(), key=KEY)
        for size in (131072, 99_999):
            recorder = Recorder()
            for start in range(0, len(data), size):
                recorder.receiver.add(data[start : start + size])
            assert recorder.events == [('text', text, True)]

    def test_wide_text_that_is_no_utf8(self) -> None:
        start = ('a' * 1000 + '😀').encode() * 1100
        for end in (b'\xff', b'\xed\xa0', b'\xf0\x9f'):
            receiver = Recorder()
            data = frame(TEXT, start + end)
            for position in range(0, len(data), 65536):
                receiver.receiver.add(data[position : position + 65536])
            assert receiver.events == [('error', 'invalid utf8 sequence', 1007)]

    @pytest.mark.parametrize('key', [None, KEY])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_a_message_does_not_hold_what_came_with_it(
        self, traced: Callable[[], int], opcode: int, key: Optional[bytes]
    ) -> None:
        kept: list[tuple[Any, MessageFlags]] = []
        receiver = Receiver()
        if opcode == TEXT:
            receiver.ontext = lambda data, flags: kept.append((data, flags))
        else:
            receiver.onbinary = lambda data, flags: kept.append((data, flags))
        receiver.add(frame(opcode, b'x' * 100, key=key) + frame(opcode, b'x' * 65536, key=key)[:65536])
        receiver.cleanup()
        assert len(kept) == 1
        assert traced() < 20000

    def test_the_start_of_a_frame_does_not_hold_what_came_with_it(self, traced: Callable[[], int]) -> None:
        receiver = Receiver()
        receiver.add(frame(BINARY, bytes(60000)) + frame(PING, b'abc')[:-1])
        assert traced() < 20000

    @pytest.mark.parametrize(
        'data',
        [frame(TEXT, b'x' * 50000), frame(TEXT, b'x' * 50000)[:-1], frame(BINARY, bytes(50000))[:-1]],
        ids=['message', 'part of a text', 'part of a binary'],
    )
    @pytest.mark.parametrize('pause', [True, False])
    def test_cleanup_lets_go_of_everything(self, traced: Callable[[], int], pause: bool, data: bytes) -> None:
        receiver = Receiver()
        if pause:
            receiver.pause()
        receiver.add(data)
        receiver.cleanup()
        assert traced() < 20000

    @pytest.mark.parametrize('end', [frame(CLOSE), b'\xff'])
    def test_what_follows_the_end_is_let_go_of(self, traced: Callable[[], int], end: bytes) -> None:
        receiver = Receiver()
        receiver.add(end + bytes(50000))
        receiver.add(bytes(50000))
        assert traced() < 20000


roles = st.sampled_from([True, False, None])
texts = st.text(st.characters(exclude_categories=['Cs']), max_size=300)
payloads = st.one_of(st.binary(max_size=300), st.binary(min_size=120, max_size=130))
sizes = st.sampled_from([1, 1, 1, 1, 20, 400])  # what a payload is repeated by


class Conversation(NamedTuple):
    """Valid frames for a role, and what they should be called back as."""

    role: Optional[bool]
    no_context_takeover: Optional[bool]  # or None without permessage-deflate
    frames: bytes
    events: list[Event]

    def recorder(self) -> Recorder:
        recorder = Recorder(self.role)
        if self.no_context_takeover is not None:
            recorder.receiver.inflater = Inflater(None, self.no_context_takeover)
        return recorder


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    role = draw(roles)
    no_context_takeover = draw(st.sampled_from([None, None, True, False]))
    deflate = zlib.compressobj(wbits=-15)
    out = bytearray()
    events: list[Event] = []

    def put(opcode: int, payload: bytes, fin: bool = True) -> bool:
        masked = draw(st.booleans()) if role is None else role
        out.extend(frame(opcode, payload, fin, draw(st.binary(min_size=4, max_size=4)) if masked else None))
        return masked

    def control() -> None:
        opcode, name = draw(st.sampled_from([(PING, 'ping'), (PONG, 'pong')]))
        payload = draw(st.binary(max_size=125))
        events.append((name, payload, put(opcode, payload)))

    def compressed(payload: bytes) -> bytes:
        nonlocal deflate
        if no_context_takeover:
            deflate = zlib.compressobj(wbits=-15)
        return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4] or b'\0'

    for _ in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 3)) == 0:
            control()
            continue
        is_text = draw(st.booleans())
        text = draw(texts) * draw(sizes)
        payload = text.encode() if is_text else draw(payloads) * draw(sizes)
        value = text if is_text else payload
        first = TEXT if is_text else BINARY
        if no_context_takeover is not None and draw(st.booleans()):
            first |= RSV1
            payload = compressed(payload)
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=draw(st.sampled_from([0, 0, 5])))))
        parts = [payload[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(payload)])]
        for index, part in enumerate(parts):
            if index and draw(st.integers(0, 3)) == 0:
                control()
            masked = put(CONTINUATION if index else first, part, fin=index == len(parts) - 1)
        events.append(('text' if is_text else 'binary', value, masked))
    if draw(st.booleans()):
        reason = draw(st.text(st.characters(exclude_categories=['Cs']), max_size=30))
        code = draw(st.sampled_from([1000, 1003, 1007, 1014, 3000, 4999]))
        events.append(('close', code, reason, put(CLOSE, code.to_bytes(2, 'big') + reason.encode())))
    return Conversation(role, no_context_takeover, bytes(out), events)


def portions_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)])]


cuts = st.lists(st.integers(0, 1 << 30), max_size=20)


@given(conversations(), cuts)
def test_any_portions_of_valid_frames(conversation: Conversation, cuts: list[int]) -> None:
    recorder = conversation.recorder()
    for portion in portions_of(conversation.frames, cuts):
        recorder.receiver.add(portion)
    assert recorder.events == conversation.events


@given(conversations(), cuts, st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_pauses_anywhere(conversation: Conversation, cuts: list[int], pauses: set[int], resumes: set[int]) -> None:
    recorder = conversation.recorder()
    paused_at = None

    def then() -> None:
        nonlocal paused_at
        assert paused_at is None, 'called back while paused'
        if len(recorder.events) in pauses:
            recorder.receiver.pause()
            paused_at = len(recorder.events)

    recorder.then = then
    for index, portion in enumerate(portions_of(conversation.frames, cuts)):
        recorder.receiver.add(portion)
        if index in resumes:
            paused_at = None
            recorder.receiver.resume()
    while paused_at is not None:
        paused_at = None
        recorder.receiver.resume()
    assert recorder.events == conversation.events


@st.composite
def flushed(draw: st.DrawFn) -> bytes:
    """A compressed payload: blocks that are final and that are not, in the middle and at the end, and what is none."""
    payload = b''
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 20]))):
        data = draw(payloads) * draw(sizes)
        stream = zlib.compressobj(draw(st.sampled_from([0, 6])), wbits=-15)
        payload += stream.compress(data) + stream.flush(draw(st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])))
    ends = [b'', b'\0', b'\0\0\xff\xff', b'\0\xff\xff\0', b'\3\0']
    return payload[: -4 if payload.endswith(b'\0\0\xff\xff') else None] + draw(st.sampled_from(ends))


@given(st.lists(st.tuples(flushed(), cuts), max_size=5), st.booleans(), st.sampled_from([0, 50]), cuts)
def test_compressed_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[bytes, list[int]]], no_context: bool, limit: int, cuts: list[int]
) -> None:
    """Valid or not, in one frame or many, by TCP in one piece or many."""

    def events(fragmented: bool, cuts: list[int]) -> list[Event]:
        recorder = Recorder(max_payload=limit)
        recorder.receiver.inflater = Inflater(None, no_context)
        data = b''
        for payload, places in messages:
            parts = portions_of(payload, places if fragmented else [])
            for index, part in enumerate(parts):
                opcode = CONTINUATION if index else BINARY | RSV1
                data += frame(opcode, part, fin=index == len(parts) - 1)
        for portion in portions_of(data, cuts):
            recorder.receiver.add(portion)
        return alike(recorder.events)

    expected = events(False, [])
    assert events(False, cuts) == events(True, cuts) == events(True, []) == expected


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Bytes that look like frames often enough to get somewhere."""
    pieces = []
    for _ in range(draw(st.integers(0, 8))):
        payload = draw(st.one_of(st.binary(max_size=10), texts.map(str.encode)))
        key = draw(st.one_of(st.none(), st.just(KEY)))
        opcode = draw(st.sampled_from([0, 1, 1, 2, 2, 8, 9, 10, TEXT | RSV1, BINARY | RSV1]))
        piece = bytearray(frame(opcode, payload, draw(st.booleans()), key))
        if draw(st.integers(0, 5)) == 0:
            piece[draw(st.integers(0, len(piece) - 1))] = draw(st.integers(0, 255))
        pieces.append(bytes(piece))
    return b''.join([*pieces, draw(st.binary(max_size=10))])


@given(noise(), roles, st.booleans(), cuts)
@example(frame(TEXT, b'\xed\xa0'), None, False, [])
def test_any_bytes_give_callbacks_and_at_most_one_error(
    data: bytes, role: Optional[bool], deflate: bool, cuts: list[int]
) -> None:
    options: dict[str, Any] = {'masked': role, 'deflate': deflate, 'max_payload': 200, 'max_fragments': 3}
    recorder = Recorder(**options)
    for portion in portions_of(data, cuts):
        recorder.receiver.add(portion)
    ends = [event for event in recorder.events if event[0] in ('error', 'close')]
    assert ends == recorder.events[-1:] or not ends
    # The portions the bytes come in make no difference, for errors too.
    same = alike if deflate else list
    for feed in (whole, byte_by_byte):
        assert same(events_of(data, feed, **options)) == same(recorder.events)


def alike(events: list[Event]) -> list[Event]:
    """If several things are wrong with one portion of compressed data, zlib tells which one comes out."""
    return [BAD_DATA if event in (INVALID_UTF8, TOO_LARGE) else event for event in events]


class TestTheDataAlone:
    """``onmessage``, for whoever wants no flags; and ``onexception``."""

    def test_text_and_binary_whole_and_in_fragments(self, feed: Feed) -> None:
        receiver = Receiver()
        seen: list[Any] = []
        receiver.onmessage = seen.append
        receiver.ontext = receiver.onbinary = lambda data, flags: seen.append('not this')
        fragments = frame(TEXT, b'in ', fin=False) + frame(CONTINUATION, b'two')
        feed(receiver, frame(TEXT, b'whole', key=KEY) + fragments + frame(BINARY, b'bytes'))
        assert seen == ['whole', 'in two', b'bytes']

    def test_it_may_be_another_for_each_message(self) -> None:
        receiver = Receiver()
        seen: list[Any] = []

        def first(data: Any) -> None:
            seen.append(('first', data))
            receiver.onmessage = None

        receiver.onmessage = first
        receiver.ontext = lambda data, flags: seen.append(('second', data, flags.binary))
        receiver.add(frame(TEXT, b'a') + frame(TEXT, b'b'))
        assert seen == [('first', 'a'), ('second', 'b', False)]

    @pytest.mark.parametrize('name', ['onmessage', 'ontext'])
    def test_an_exception_is_handled_and_the_rest_follows(self, feed: Feed, name: str) -> None:
        receiver = Receiver()
        told: list[Any] = []

        def fail(data: Any, *flags: Any) -> None:
            told.append(data)
            raise KeyError(data)

        setattr(receiver, name, fail)
        receiver.onexception = lambda: told.append(type(sys.exc_info()[1]))
        feed(receiver, frame(TEXT, b'a') + frame(TEXT, b'b', fin=False) + frame(CONTINUATION, b'c'))
        assert told == ['a', KeyError, 'bc', KeyError]


def test_flags_that_hold_flags_and_so_on_are_let_go() -> None:
    flags: Any = None
    for _ in range(300_000):
        flags = flags_of(False, flags)
    del flags
    gc.collect()


class _Changing(Receiver):
    """Another thread attaches a listener whenever it is asked who gets the message."""

    asked = 0

    @property  # type: ignore[override]
    def onmessage(self) -> Any:
        self.asked += 1
        return self.received.append if self.asked % 2 else None

    @onmessage.setter
    def onmessage(self, value: object) -> None:
        self.received: list[object] = []


@pytest.mark.parametrize('data', [b'\x81\x02hi', b'\x01\x01h\x80\x01i'], ids=['whole', 'in fragments'])
def test_who_gets_a_message_is_asked_once(data: bytes) -> None:
    receiver = _Changing(False)
    receiver.onerror = lambda *error: pytest.fail(str(error))
    receiver.add(data)
    assert receiver.received == ['hi']
