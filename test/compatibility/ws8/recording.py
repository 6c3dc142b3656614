"""What a receiver calls back for, written down."""

from __future__ import annotations

from typing import Any

from ws import Receiver
from ws.protocol.permessage_deflate import DeflateOptions, Deflater, Inflater


def recording(deflate: bool = False, **limits: Any) -> tuple[Receiver, list[Any]]:
    """A receiver, with compression if `deflate`, and the list that fills with what it finds."""
    receiver = Receiver(**limits)
    if deflate:
        receiver.inflater = Inflater(None, False)
    seen: list[Any] = []
    receiver.ontext = lambda text, flags: seen.append(('text', text))
    receiver.onbinary = lambda data, flags: seen.append(('binary', data))
    receiver.onping = lambda data, flags: seen.append(('ping', data))
    receiver.onpong = lambda data, flags: seen.append(('pong', data))
    receiver.onclose = lambda code, reason, flags: seen.append(('close', code, reason))
    receiver.onerror = lambda error, code: seen.append(('error', code, str(error)))
    return receiver, seen


def received(*chunks: bytes, deflate: bool = False, **limits: Any) -> list[Any]:
    """What these bytes are, handed in one chunk after the other."""
    receiver, seen = recording(deflate, **limits)
    for chunk in chunks:
        receiver.add(chunk)
    return seen


def compressed(*fragments: bytes, opcode: int = 1) -> list[bytes]:
    """The frames of a compressed message in so many fragments, unmasked; each of them is short."""
    deflater = Deflater(DeflateOptions(), None, False)
    frames = []
    for index, fragment in enumerate(fragments):
        fin = index == len(fragments) - 1
        payload = deflater.deflate(fragment, fin)
        first = (0x80 if fin else 0) | (0x40 | opcode if index == 0 else 0)
        frames.append(bytes((first, len(payload))) + payload)
    return frames
