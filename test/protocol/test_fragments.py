"""What ``binaryType`` 'fragments' asks of a receiver: the content of each frame on its own."""

from __future__ import annotations

import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ws.protocol.permessage_deflate import Inflater
from ws.protocol.receiver import Receiver


def frame(first: int, payload: bytes) -> bytes:
    return bytes([first, len(payload)]) + payload


def received(data: bytes, portion: int = 1 << 20, fragments: bool = True, inflater: Any = None) -> Any:
    """What a receiver makes of one message."""
    messages: list[Any] = []
    receiver = Receiver()
    receiver.fragments, receiver.inflater = fragments, inflater
    receiver.onbinary = lambda data, flags: messages.append((data, flags.buffer)) if flags.binary else None
    for start in range(0, len(data), portion):
        receiver.add(data[start : start + portion])
    [message] = messages
    return message


@given(st.lists(st.binary(max_size=100), min_size=2, max_size=6), st.integers(1, 50))
def test_frames_are_kept_apart(payloads: list[bytes], portion: int) -> None:
    first, *others, last = payloads
    data = b''.join([frame(0x02, first), *(frame(0x00, payload) for payload in others), frame(0x80, last)])
    assert received(data, portion) == ([payload for payload in payloads if payload], b''.join(payloads))


def test_they_are_inflated() -> None:
    deflate = zlib.compressobj(wbits=-15)
    payload = (deflate.compress(b'hello') + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    data = frame(0x42, payload[:3]) + frame(0x80, payload[3:])
    pieces, whole = received(data, inflater=Inflater(None, False))
    assert b''.join(pieces) == whole == b'hello'


def test_one_that_began_before_it_was_wanted_otherwise() -> None:
    messages: list[Any] = []
    receiver = Receiver()
    receiver.fragments = True
    receiver.onbinary = lambda data, flags: messages.append(data)
    receiver.add(frame(0x02, b'ab'))
    receiver.fragments = False
    receiver.add(frame(0x80, b'cd'))
    assert messages == [b'abcd']
