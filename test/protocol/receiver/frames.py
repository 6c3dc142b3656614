"""Frames, made as plainly as can be, and what a receiver makes of them."""

from __future__ import annotations

from typing import Any, Optional

from protocol.recording import BaseRecorder, Event, Feed, whole

from ws.protocol.permessage_deflate import Inflater
from ws.protocol.receiver import MessageFlags, Receiver

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 0x40
KEY = bytes.fromhex('3483a868')


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


class Recorder(BaseRecorder):
    """Of the flags, ``masked`` is the last of the arguments."""

    def __init__(self, masked: Optional[bool] = None, deflate: bool = False, **limits: int) -> None:
        super().__init__(Receiver(masked, **limits))
        if deflate:
            self.receiver.inflater = Inflater(None, False)

    def _values(self, values: list[Any], flags: MessageFlags) -> list[Any]:
        return [*values, flags.masked]


def events_of(data: bytes, feed: Feed = whole, **options: Any) -> list[Event]:
    return Recorder(**options).fed(data, feed)


RESERVED = ('error', 'reserved fields must be empty', 1002)
INVALID_UTF8 = ('error', 'invalid utf8 sequence', 1007)
TOO_LARGE = ('error', 'Max payload size exceeded', 1009)
TOO_MANY = ('error', 'Too many message fragments', 1008)
BAD_DATA = ('error', 'invalid compressed data', 1007)

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
