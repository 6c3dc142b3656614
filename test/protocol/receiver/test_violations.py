"""What no peer may send, UTF-8 that is none included. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from protocol.receiver.frames import (
    BAD_DATA,
    CLOSE,
    INVALID_UTF8,
    KEY,
    PING,
    RESERVED,
    TEXT,
    TOO_LARGE,
    TOO_MANY,
    events_of,
    frame,
)
from protocol.recording import Event, Feed, byte_by_byte

LONE_CONTINUATION = ('error', 'continuation frame cannot follow current opcode', 1002)
NO_CONTINUATION = ('error', 'data frames after the initial data frame must have opcode 0', 1002)
LONG_CONTROL = ('error', 'control frames cannot have more than 125 bytes of data', 1002)
MASK_MISSING = ('error', 'Invalid WebSocket frame: MASK must be set', 1002)
MASK_WRONG = ('error', 'Invalid WebSocket frame: MASK must be clear', 1002)
HUGE = ('error', 'packets with length spanning more than 32 bit is currently not supported', 1008)
SHORT_CLOSE = ('error', 'close packets with data must be at least two bytes long', 1002)
BAD_CODE = ('error', 'invalid error code', 1002)


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
