"""Tests R023 to R047 of ws 8's suite: frames that are refused.

All are a :class:`ProtocolError` with the name and the close code that they have there; the texts are those of 0.4.31,
where that has one.
"""

from __future__ import annotations

import os
from typing import Any

from compatibility.ws8.recording import compressed, recording

from ws.protocol.frames import build_frame

RESERVED = 'reserved fields must be empty'
NOT_FIRST = 'data frames after the initial data frame must have opcode 0'
NOT_UTF8 = 'invalid utf8 sequence'
TOO_LARGE = 'Max payload size exceeded'
TOO_MANY = 'Too many message fragments'


def fails(name: str, code: int, text: str, *chunks: bytes, deflate: bool = False, **limits: Any) -> bool:
    """Whether an error with this name, close code and text is all that comes of these bytes."""
    receiver, seen = recording(deflate, **limits)
    receiver.onerror = lambda error, code: seen.append((error.code, code, str(error)))
    for chunk in chunks:
        receiver.add(chunk)
    return seen == [(f'WS_ERR_{name}', code, text)]


# -- the first byte ---------------------------------------------------------------------------------------------------


def test_r023_rsv1_without_compression() -> None:
    assert fails('UNEXPECTED_RSV_1', 1002, RESERVED, b'\xc2\x80\0\0\0\0')


def test_r024_rsv1_in_a_continuation() -> None:
    assert fails('UNEXPECTED_RSV_1', 1002, RESERVED, b'\x40\0', deflate=True)
    first, _ = compressed(b'foo', b'bar')
    assert fails('UNEXPECTED_RSV_1', 1002, RESERVED, first, b'\x40\0', deflate=True)


def test_r025_rsv2() -> None:
    assert fails('UNEXPECTED_RSV_2_3', 1002, RESERVED, b'\xa2\0')


def test_r026_rsv3() -> None:
    assert fails('UNEXPECTED_RSV_2_3', 1002, RESERVED, b'\x92\0')


def test_r027_a_continuation_of_nothing() -> None:
    assert fails('INVALID_OPCODE', 1002, 'continuation frame cannot follow current opcode', b'\0\0')


def test_r028_a_text_among_fragments() -> None:
    assert fails('INVALID_OPCODE', 1002, NOT_FIRST, b'\x01\0', b'\x01\0')


def test_r029_binary_data_among_fragments() -> None:
    assert fails('INVALID_OPCODE', 1002, NOT_FIRST, b'\x01\0', b'\x02\0')


def test_r030_a_ping_without_fin() -> None:
    assert fails('EXPECTED_FIN', 1002, 'fragmented ping is not supported', b'\x09\0')


def test_r031_a_ping_with_rsv1() -> None:
    assert fails('UNEXPECTED_RSV_1', 1002, RESERVED, b'\xc9\0', deflate=True)


def test_r032_a_control_frame_without_fin() -> None:
    """There the ping once more; here all three."""
    for opcode, name in (8, 'close'), (9, 'ping'), (10, 'pong'):
        assert fails('EXPECTED_FIN', 1002, f'fragmented {name} is not supported', bytes((opcode, 0)))


# -- mask and length --------------------------------------------------------------------------------------------------


def test_r033_no_mask_for_a_server() -> None:
    assert fails('EXPECTED_MASK', 1002, 'Invalid WebSocket frame: MASK must be set', b'\x81\x02hi', masked=True)


def test_r034_a_mask_for_a_client() -> None:
    frame = b'\x81\x82\x56\x3a\xac\x80\x3e\x53'
    assert fails('UNEXPECTED_MASK', 1002, 'Invalid WebSocket frame: MASK must be clear', frame, masked=False)


def test_r035_a_ping_of_more_than_125_bytes() -> None:
    assert fails(
        'INVALID_CONTROL_PAYLOAD_LENGTH', 1002, 'control frames cannot have more than 125 bytes of data', b'\x89\x7e'
    )


def test_r036_a_length_of_53_bits() -> None:
    """Differs: 1009 there. From the 33rd bit on it is the 1008 of 0.4.31 here."""
    text = 'packets with length spanning more than 32 bit is currently not supported'
    assert fails('UNSUPPORTED_DATA_PAYLOAD_LENGTH', 1008, text, b'\x82\x7f', b'\0\x20\0\0\0\0\0\0')
    assert fails('UNSUPPORTED_DATA_PAYLOAD_LENGTH', 1008, text, b'\x82\x7f', b'\0\0\0\x01\0\0\0\0')
    assert fails('UNSUPPORTED_MESSAGE_LENGTH', 1009, TOO_LARGE, b'\x82\x7f', b'\0\0\0\0\xff\xff\xff\xff')


# -- text -------------------------------------------------------------------------------------------------------------

CUT_OFF = b'\xce\xba\xe1\xbd'


def test_r037_a_text_that_is_not_utf8() -> None:
    assert fails('INVALID_UTF8', 1007, NOT_UTF8, b'\x81\x04' + CUT_OFF)


def test_r038_a_compressed_text_that_is_not_utf8() -> None:
    assert fails('INVALID_UTF8', 1007, NOT_UTF8, *compressed(CUT_OFF), deflate=True)


# -- close frames -----------------------------------------------------------------------------------------------------


def test_r039_a_close_frame_of_one_byte() -> None:
    assert fails(
        'INVALID_CONTROL_PAYLOAD_LENGTH', 1002, 'close packets with data must be at least two bytes long', b'\x88\x01'
    )


def test_r040_a_wrong_close_code() -> None:
    assert fails('INVALID_CLOSE_CODE', 1002, 'invalid error code', b'\x88\x02\0\0')


def test_r041_a_reason_that_is_not_utf8() -> None:
    assert fails('INVALID_UTF8', 1007, NOT_UTF8, b'\x88\x06\x03\xef' + CUT_OFF)


# -- limits -----------------------------------------------------------------------------------------------------------


def test_r042_a_frame_above_max_payload() -> None:
    """Known from its header alone."""
    frame = build_frame(2, os.urandom(200 * 1024), mask=True)
    assert fails('UNSUPPORTED_MESSAGE_LENGTH', 1009, TOO_LARGE, frame, masked=True, max_payload=20 * 1024)
    assert fails('UNSUPPORTED_MESSAGE_LENGTH', 1009, TOO_LARGE, frame[:10], masked=True, max_payload=20 * 1024)


def test_r043_a_compressed_message_above_max_payload() -> None:
    [frame] = compressed(b'A' * 50)
    assert len(frame) < 25
    assert fails('UNSUPPORTED_MESSAGE_LENGTH', 1009, TOO_LARGE, frame, masked=False, max_payload=25, deflate=True)


def test_r044_compressed_fragments_above_max_payload() -> None:
    frames = compressed(b'A' * 15, b'A' * 15)
    assert fails('UNSUPPORTED_MESSAGE_LENGTH', 1009, TOO_LARGE, *frames, masked=False, max_payload=25, deflate=True)


def test_r045_too_many_fragments() -> None:
    assert fails('TOO_MANY_BUFFERED_PARTS', 1008, TOO_MANY, b'\x02\x01a\0\x01b\0\x01c', max_fragments=2)


def test_r046_too_many_empty_fragments() -> None:
    assert fails('TOO_MANY_BUFFERED_PARTS', 1008, TOO_MANY, b'\x02\0', b'\0\0', b'\0\0', max_fragments=2)


def test_r047_too_many_compressed_fragments() -> None:
    assert fails('TOO_MANY_BUFFERED_PARTS', 1008, TOO_MANY, *compressed(b'foo', b'bar'), max_fragments=1, deflate=True)
