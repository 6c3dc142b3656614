"""What has come of a message that comes in parts: decoded, unmasked and inflated as it grows (RFC 6455 section 5.4)."""

from __future__ import annotations

import sys
from codecs import utf_8_decode
from typing import Optional, Union

from ..errors import ProtocolError
from .masking import join_masked, mask
from .permessage_deflate import Inflater

#: Bytes or characters. Smaller pieces of a message are put together: each object costs dozens of bytes, and a peer may
#: send a million pieces of one byte.
_PIECE_SIZE = 1024
#: Bytes; with larger texts care is taken how much memory they need.
_LARGE_TEXT = 1 << 20


def invalid_utf8() -> ProtocolError:
    return ProtocolError('invalid utf8 sequence', 1007)


class Bytes:
    """The content of a binary message as it grows. What is large is unmasked and joined in the end, in one go."""

    __slots__ = ('_keys', '_pieces')

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._keys: list[Optional[bytes]] = []  # what each of them is still masked with

    def append(self, data: bytes, key: Optional[bytes]) -> None:
        """Add what is masked with `key`, if there is one."""
        if len(data) < _PIECE_SIZE:
            data, key = (data if key is None else mask(data, key)), None
        pieces, keys = self._pieces, self._keys
        if key is None and keys and keys[-1] is None and len(pieces[-1]) + len(data) < _PIECE_SIZE:
            pieces[-1] += data
        else:
            pieces.append(data)
            keys.append(key)

    def value(self) -> bytes:
        return join_masked(self._pieces, self._keys)


class Text:
    """The content of a text message as it grows: decoded at once, so that the first wrong byte shows (section 8.1).

    One character beyond the BMP makes each of a str take four bytes. While much of it is put together, that would be
    there twice; so it is kept as bytes then, and decoded once more in the end.
    """

    __slots__ = ('_pieces', '_size', '_tail', '_wide')

    def __init__(self) -> None:
        self._pieces = ['']
        self._size = 0  # in bytes
        self._tail = b''  # up to 3 bytes of a character
        self._wide: Optional[bytearray] = None  # in the place of the pieces

    def append(self, data: bytes, key: Optional[bytes]) -> None:
        data = self._tail + (data if key is None else mask(data, key))
        try:
            text, used = utf_8_decode(data, 'strict', False)
        except UnicodeDecodeError:
            raise invalid_utf8() from None
        self._size += used
        if self._size > _LARGE_TEXT and (self._wide is not None or _is_wide(text)):
            self._append_wide(memoryview(data)[:used])
        else:
            pieces = self._pieces
            if len(pieces[-1]) + len(text) < _PIECE_SIZE:
                pieces[-1] += text
            else:
                pieces.append(text)
        self._tail = data[used:]
        # Two bytes are enough to know a surrogate (RFC 3629 section 4); CPython waits for the third.
        if self._tail[:1] == b'\xed' and self._tail[1:] >= b'\xa0':
            raise invalid_utf8()

    def value(self) -> str:
        if self._tail:
            raise invalid_utf8()
        return ''.join(self._pieces) if self._wide is None else self._wide.decode()

    def _append_wide(self, data: memoryview) -> None:
        if self._wide is None:
            self._wide = bytearray()
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                self._wide += piece.encode()
        self._wide += data


def _is_wide(text: str) -> bool:
    """Whether it takes four bytes for each character. Of a short one it may be said in error."""
    return not text.isascii() and sys.getsizeof(text) > 4 * len(text)


class Message:
    """A message of which not everything has come, and the frame of it that is under way."""

    __slots__ = ('content', 'fin', 'fragments', 'inflater', 'key', 'max_size', 'remaining', 'size')
    fin: bool
    key: Optional[bytes]
    remaining: int  # bytes of the frame that are still to come

    def __init__(self, content: Union[Text, Bytes], inflater: Optional[Inflater], max_size: int) -> None:
        self.content = content
        self.inflater = inflater  # if it is compressed
        self.max_size = max_size
        self.size = 0  # bytes announced by the frames so far, or inflated of them
        self.fragments = 0

    def begin_frame(self, fin: bool, key: Optional[bytes], length: int) -> None:
        self.fin = fin
        self.key = key
        self.remaining = length
        if self.inflater is None:
            self.size += length
        self.fragments += 1

    def take(self, data: bytes) -> None:
        """Add what has come of the frame."""
        size = len(data)
        self.remaining -= size
        if self.inflater is None:
            self.content.append(data, self.key)
        else:
            self._inflate(self.inflater, data if self.key is None else mask(data, self.key))
        turn = size & 3
        if turn and self.key is not None:
            self.key = self.key[turn:] + self.key[:turn]

    def _inflate(self, inflater: Inflater, data: bytes) -> None:
        for piece in inflater.inflate(data, self.fin and not self.remaining, self.max_size - self.size):
            self.size += len(piece)
            self.content.append(piece, None)
