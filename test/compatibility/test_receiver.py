"""Items 145 to 158 of the original's suite: incoming frames."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ws import Receiver
from ws.protocol.masking import mask

KEY = bytes.fromhex('3483a868')


def length_bytes(size: int, masked: bool) -> bytes:
    bit = 0x80 if masked else 0
    if size < 126:
        return bytes([bit | size])
    if size < 65536:
        return bytes([bit | 126]) + size.to_bytes(2, 'big')
    return bytes([bit | 127]) + size.to_bytes(8, 'big')


def masked_frame(first: int, payload: bytes) -> bytes:
    return bytes([first]) + length_bytes(len(payload), True) + KEY + mask(payload, KEY)


@pytest.fixture
def calls() -> list[Any]:
    return []


@pytest.fixture
def receiver(calls: list[Any]) -> Receiver:
    receiver = Receiver()
    receiver.ontext = lambda data, flags: calls.append(('text', data))
    receiver.onbinary = lambda data, flags: calls.append(('binary', data))
    receiver.onping = lambda data, flags: calls.append(('ping', data))
    receiver.onclose = lambda code, reason, flags: calls.append(('close', code, reason))
    return receiver


def test_145_unmasked_text(receiver: Receiver, calls: list[Any]) -> None:
    receiver.add(b'\x81\x05Hello')
    assert calls == [('text', 'Hello')]


def test_146_close(receiver: Receiver, calls: list[Any]) -> None:
    """Decision `close` event's code: 1005, as the frame has none (0.4.31: 1000)."""
    receiver.add(b'\x88\x00')
    assert calls == [('close', 1005, '')]


def test_147_masked_text(receiver: Receiver, calls: list[Any]) -> None:
    receiver.add(bytes.fromhex('8193 3483a868 01b992524fa1c60959e68a5216e6cb005ba1d5'))
    assert calls == [('text', '5:::{"name":"echo"}')]


def numbers(size: int) -> str:
    """'A' and as many digits."""
    return 'A' + ''.join(str(number % 5) for number in range(size))


def test_148_masked_text_with_a_length_of_16_bits(receiver: Receiver, calls: list[Any]) -> None:
    receiver.add(masked_frame(0x81, numbers(300).encode()))
    assert calls == [('text', numbers(300))]


def test_149_masked_text_with_a_length_of_64_bits(receiver: Receiver, calls: list[Any]) -> None:
    receiver.add(masked_frame(0x81, numbers(65536).encode()))
    assert calls == [('text', numbers(65536))]


FRAGMENTS = [masked_frame(0x01, numbers(300)[:150].encode()), masked_frame(0x80, numbers(300)[150:].encode())]
PING = masked_frame(0x89, b'Hello')


def test_150_masked_text_in_two_fragments(receiver: Receiver, calls: list[Any]) -> None:
    for frame in FRAGMENTS:
        receiver.add(frame)
    assert calls == [('text', numbers(300))]


def test_151_masked_ping(receiver: Receiver, calls: list[Any]) -> None:
    receiver.add(PING)
    assert calls == [('ping', b'Hello')]


def test_152_ping_without_payload(receiver: Receiver, calls: list[Any]) -> None:
    """An empty payload is b'', as in ws 8 (0.4.31: null)."""
    receiver.add(b'\x89\x00')
    assert calls == [('ping', b'')]


def test_153_ping_between_fragments(receiver: Receiver, calls: list[Any]) -> None:
    for frame in FRAGMENTS[0], PING, FRAGMENTS[1]:
        receiver.add(frame)
    assert calls == [('ping', b'Hello'), ('text', numbers(300))]


def test_154_ping_between_fragments_in_small_chunks(receiver: Receiver, calls: list[Any]) -> None:
    for frame in FRAGMENTS[0], PING, FRAGMENTS[1]:
        middle = len(frame) // 2
        receiver.add(frame[:middle])
        receiver.add(frame[middle:])
    assert calls == [('ping', b'Hello'), ('text', numbers(300))]


def test_155_100_bytes(receiver: Receiver, calls: list[Any]) -> None:
    data = os.urandom(100)
    receiver.add(masked_frame(0x82, data))
    assert calls == [('binary', data)]


def test_156_256_bytes(receiver: Receiver, calls: list[Any]) -> None:
    data = os.urandom(256)
    receiver.add(masked_frame(0x82, data))
    assert calls == [('binary', data)]


def test_157_200_kib(receiver: Receiver, calls: list[Any]) -> None:
    data = os.urandom(200 * 1024)
    receiver.add(masked_frame(0x82, data))
    assert calls == [('binary', data)]


def test_158_200_kib_unmasked(receiver: Receiver, calls: list[Any]) -> None:
    data = os.urandom(200 * 1024)
    receiver.add(b'\x82' + length_bytes(len(data), False) + data)
    assert calls == [('binary', data)]
