"""Frames (RFC 6455 section 5.2): how they are built, and how whole ones are read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Optional, Union

from .._native import check_constants, native
from . import masking
from .masking import KEY_SIZE, mask

# First byte of a frame: FIN, RSV1-3, opcode.
FIN = 0x80
RSV = 0x70
RSV1 = 0x40
OPCODE = 0x0F
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# Second byte: MASK, then the length or where to find it.
MASK = 0x80
LENGTH = 0x7F
SHORT_LIMIT = 125
LENGTH_16, LENGTH_64 = 126, 127

#: Bytes in a control frame's payload (section 5.5), and in a reason, which stands there behind a code of 2 bytes.
CONTROL_LIMIT = 125
REASON_LIMIT = CONTROL_LIMIT - 2

_pack_short = struct.Struct('!BB').pack
_pack_16_bit = struct.Struct('!BBH').pack
_pack_64_bit = struct.Struct('!BBQ').pack
_from_bytes = int.from_bytes


def build_header(first: int, length: int, masked: bool) -> bytes:
    """The header of a frame that begins with the byte `first`, without the mask key."""
    mask_bit = MASK if masked else 0
    if length <= SHORT_LIMIT:
        return _pack_short(first, mask_bit | length)
    if length < 65536:
        return _pack_16_bit(first, mask_bit | LENGTH_16, length)
    return _pack_64_bit(first, mask_bit | LENGTH_64, length)


def _frame(first: int, payload: Union[str, bytes], key: Optional[bytes], /) -> bytes:
    """The frame that begins with the byte `first`; masked if there is a key."""
    if isinstance(payload, str):
        payload = payload.encode()
    length = len(payload)
    if key is not None:
        return b''.join((build_header(first, length, True), key, mask(payload, key)))
    if length <= SHORT_LIMIT:
        # As build_header does; the call would cost half as much again.
        return _pack_short(first, length) + payload
    return build_header(first, length, False) + payload


def build_frame(
    opcode: int,
    payload: bytes,
    fin: bool = True,
    mask: bool = False,
    new_key: Callable[[], bytes] = masking.new_mask_key,
) -> bytes:
    """A whole frame; masked with a key of its own if ``mask``."""
    return frame(opcode | FIN if fin else opcode, payload, new_key() if mask else None)


WholeFrame = tuple[int, Union[str, bytes], bool, int]


def _whole_frame(
    data: bytes, pos: int, starts: bytes, masked: Optional[bool], max_payload: int, /
) -> Optional[WholeFrame]:
    """The frame at `pos`, if all of it is there and nothing about it needs a second look: its first byte is one of
    `starts`, its MASK bit is `masked` (None: either), its payload has no more than `max_payload` bytes, and is UTF-8 if
    the first byte says that it is uncompressed text.

    Returns that byte, the payload unmasked (uncompressed text as str), the MASK bit, and where the next frame begins;
    or None.
    """
    body = pos + 2
    if body > len(data):
        return None
    first = data[pos]
    length = data[pos + 1]
    is_masked = length >= MASK
    if first not in starts or (is_masked is not masked and masked is not None):
        return None
    length &= LENGTH
    if length > SHORT_LIMIT:
        width = 2 if length == LENGTH_16 else 8
        length = _from_bytes(data[body : body + width], 'big')  # if some of it is missing, body > end
        body += width
    if is_masked:
        body += KEY_SIZE
    end = body + length
    if end > len(data) or length > max_payload:
        return None
    payload: Union[str, bytes] = data[body:end]
    if is_masked:
        key = data[body - KEY_SIZE : body]
        if length > SHORT_LIMIT:
            payload = mask(payload, key)  # type: ignore[arg-type]  # not yet a str
        else:
            # As mask does; the call would cost a tenth of all that is done for a short message.
            repeated = (key * ((length + 3) >> 2))[:length]
            payload = (_from_bytes(payload, 'big') ^ _from_bytes(repeated, 'big')).to_bytes(length, 'big')  # type: ignore[arg-type]
    if first & (OPCODE | RSV1) == TEXT:
        try:
            payload = payload.decode()  # type: ignore[union-attr]
        except UnicodeDecodeError:
            return None
    return first, payload, is_masked, end


frame: Callable[[int, Union[str, bytes], Optional[bytes]], bytes] = native.frame if native else _frame
whole_frame: Callable[[bytes, int, bytes, Optional[bool], int], Optional[WholeFrame]] = (
    native.whole_frame if native else _whole_frame
)
check_constants(
    globals(), 'TEXT', 'OPCODE', 'RSV1', 'MASK', 'LENGTH', 'SHORT_LIMIT', 'LENGTH_16', 'LENGTH_64', 'KEY_SIZE'
)
