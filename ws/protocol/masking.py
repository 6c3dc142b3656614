"""Masking of what clients send (RFC 6455 section 5.3)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Optional

from .._native import native
from ..forks import in_child

KEY_SIZE = 4

# Up to this many bytes one XOR of two big integers is fastest, beyond it four runs of bytes.translate. Measured with
# CPython 3.9 to 3.13; the two are within 15 % of each other from 1 KiB to 4 KiB, so the exact place matters little.
_INTEGER_LIMIT = 2048

_base = int.from_bytes(bytes(range(256)), 'big')
#: For each byte of a key, what every byte becomes when XORed with it.
_TABLES = tuple((_base ^ int.from_bytes(bytes((byte,)) * 256, 'big')).to_bytes(256, 'big') for byte in range(256))

#: Every fourth byte, for each of the four bytes of a key.
_EVERY_FOURTH = tuple(slice(first, None, 4) for first in range(4))


class _Repeaters(dict[int, int]):
    """For a number of 32-bit words, the factor that repeats a 32-bit integer that often."""

    def __missing__(self, words: int) -> int:
        self[words] = factor = int.from_bytes(b'\0\0\0\1' * words, 'big')
        return factor


_REPEATERS = _Repeaters()  # for any thread: two that miss the same one put in the same


def _mask(data: bytes, key: bytes, /) -> bytes:
    """Return ``data`` XORed with the 4 bytes of ``key`` over and over; done twice it is ``data``."""
    size = len(data)
    if size <= _INTEGER_LIMIT:
        repeated = int.from_bytes(key, 'big') * _REPEATERS[(size + 3) >> 2]
        if size & 3:
            repeated >>= (-size & 3) * 8
        return (int.from_bytes(data, 'big') ^ repeated).to_bytes(size, 'big')
    masked = bytearray(size)
    for every_fourth, byte in zip(_EVERY_FOURTH, key):
        masked[every_fourth] = data[every_fourth].translate(_TABLES[byte])
    return bytes(masked)


def _join_masked(pieces: list[bytes], keys: list[Optional[bytes]], /) -> bytes:
    """Join `pieces`, each masked with the key at its place, if there is one. `pieces` is used up."""
    for place, key in enumerate(keys):
        if key is not None:
            pieces[place] = _mask(pieces[place], key)
    return b''.join(pieces)


mask: Callable[[bytes, bytes], bytes] = native.mask if native else _mask
join_masked: Callable[[list[bytes], list[Optional[bytes]]], bytes] = native.join_masked if native else _join_masked

_keys: list[bytes] = []  # for any thread: taking one and adding many are one step each


def new_mask_key() -> bytes:
    """Return 4 bytes that nobody can foretell, new ones for every frame (section 10.3). Any thread may call it."""
    try:
        return _keys.pop()  # one step, so no two threads get the same key
    except IndexError:
        # One system call for 2,048 keys. Two threads that come here at once merely add more of them.
        random = os.urandom(8192)
        keys = [random[start : start + KEY_SIZE] for start in range(0, len(random), KEY_SIZE)]
        key = keys.pop()
        _keys.extend(keys)
        return key


in_child(_keys.clear)  # or it would use the keys that its parent will use
