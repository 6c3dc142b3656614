"""Items 159 to 165 of the original's suite: incoming frames of Hixie-76."""

from __future__ import annotations

from typing import Any

from ws.protocol.hixie import Receiver


def received(*chunks: bytes) -> list[Any]:
    """What the receiver calls back for these chunks."""
    calls: list[Any] = []
    receiver = Receiver()
    receiver.ontext = lambda data, flags: calls.append(data)
    receiver.onclose = lambda code, reason, flags: calls.append('closed')
    receiver.onerror = lambda error, code: calls.append((str(error), code))
    for chunk in chunks:
        receiver.add(chunk)
    return calls


def test_159_text() -> None:
    assert received(b'\0Hello\xff') == ['Hello']


def test_160_two_texts_in_one_chunk() -> None:
    assert received(b'\0Hello\xff\0Hello\xff') == ['Hello', 'Hello']


def test_161_an_empty_text() -> None:
    assert received(b'\0\xff') == ['']


def test_162_texts_in_many_chunks() -> None:
    assert received(b'\0H', b'el', b'lo\xff', b'\0Hel', b'lo', b'\xff') == ['Hello', 'Hello']


def test_163_junk_after_texts() -> None:
    """The second argument is the close code 1002 (0.4.31: ``true``)."""
    chunks = [b'\0H', b'el', b'lo\xff', b'\0Hel', b'lo', b'\xff', b'\xffHello']
    assert received(*chunks) == ['Hello', 'Hello', ('payload must start with 0x00 byte', 1002)]


def test_164_close() -> None:
    assert received(b'\xff\0') == ['closed']


def test_165_data_with_a_length() -> None:
    """The second begins with a redundant byte of its length."""
    assert received(b'\x80\x05Hel', b'lo', b'\x80\x80', b'\x05H', b'ello') == ['Hello', 'Hello']
