"""Items 175 to 178 of the original's suite: what is UTF-8.

There it is a helper of its own; here it is what a Receiver does with text.
"""

from __future__ import annotations

from typing import Any

from ws import Receiver


def is_valid_utf8(data: bytes) -> bool:
    """Whether the bytes are taken as the text that they stand for."""
    calls: list[Any] = []
    receiver = Receiver()
    receiver.ontext = lambda text, flags: calls.append(text)
    receiver.onerror = lambda error, code: calls.append((str(error), code))
    receiver.add(b'\x81\x7e' + len(data).to_bytes(2, 'big') + data)
    assert calls in ([data.decode('utf-8', 'replace')], [('invalid utf8 sequence', 1007)])
    return isinstance(calls[0], str)


def test_175_ascii() -> None:
    text = 'Lorem ipsum dolor sit amet, consectetur adipisicing elit, sed do eiusmod tempor incididunt ut labore. '
    assert is_valid_utf8((text * 20).encode())


def test_176_a_surrogate() -> None:
    assert not is_valid_utf8(bytes.fromhex('cebae1bdb9cf83cebcceb5eda080656469746564'))


def test_177_four_bytes() -> None:
    assert is_valid_utf8(b'\xf0\x90\x80\x80')
    assert is_valid_utf8('\xf0\x90\x80\x80'.encode())


def test_178_a_sequence_that_is_cut_off() -> None:
    assert not is_valid_utf8(b'\xce\xba\xe1\xbd')
