"""What has come of a message that comes in parts: decoded, unmasked and inflated as it grows (RFC 6455 section 5.4)."""

from __future__ import annotations

from codecs import utf_8_decode
from io import BytesIO
from typing import Optional, Union

from .faults import invalid_utf8
from .masking import join_masked, mask
from .permessage_deflate import Inflater

#: Bytes or characters. Smaller pieces of a message are put together: each object costs dozens of bytes, and a peer may
#: send a million pieces of one byte.
_PIECE_SIZE = 1024
#: Bytes. What is larger is put together while it comes, so much at a time: in the end, that would take too long.
_LARGE = 1 << 20
_STEP = 1 << 18
#: Of a text, at least the part of what there is that this says. See :meth:`Text._grow`.
_PART = 64


class Bytes:
    """The content of a binary message as it grows. It is unmasked and joined in the end, in one go, if that is not too
    much for it."""

    __slots__ = ('_keys', '_large', '_pieces', '_room')

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._keys: list[Optional[bytes]] = []  # what each of them is still masked with
        self._room = _LARGE  # how many bytes may come before they are put together
        self._large: Optional[BytesIO] = None  # what stands before them; with CPython, it is not copied in the end

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
        self._room -= len(data)
        if self._room < 0:
            self._grow()

    def _grow(self) -> None:
        if self._large is None:
            self._large = BytesIO()
        self._large.write(join_masked(self._pieces, self._keys))
        self._pieces, self._keys, self._room = [], [], _STEP

    def value(self) -> bytes:
        if self._large is None:
            return join_masked(self._pieces, self._keys)
        self._grow()
        return self._large.getvalue()


class Fragments:
    """The content of a binary message as it grows, that of each frame on its own; there is nothing of empty ones."""

    __slots__ = ('_complete', '_current')

    def __init__(self) -> None:
        self._complete: list[bytes] = []
        self._current = Bytes()

    def begin_frame(self) -> None:
        """What follows is the next frame's."""
        data = self._current.value()
        if data:
            self._complete.append(data)
            self._current = Bytes()

    def append(self, data: bytes, key: Optional[bytes]) -> None:
        """As of :class:`Bytes`."""
        self._current.append(data, key)

    def value(self) -> list[bytes]:
        self.begin_frame()
        return self._complete


class Text:
    """The content of a text message as it grows: decoded at once, so that the first wrong byte shows (section 8.1).

    One character beyond the BMP makes each of a str take four bytes: much of it must never be there twice.
    """

    __slots__ = ('_errors', '_large', '_pieces', '_room', '_tail')

    def __init__(self, errors: str = 'strict') -> None:
        self._errors = errors  # 'replace': of what is no UTF-8, by replacement characters
        self._pieces = ['']
        self._room = _LARGE
        self._tail = b''  # up to 3 bytes of a character
        self._large = ''  # what stands before the pieces

    def append(self, data: bytes, key: Optional[bytes]) -> None:
        data = self._tail + (data if key is None else mask(data, key))
        try:
            text, used = utf_8_decode(data, self._errors, False)
        except UnicodeDecodeError:
            raise invalid_utf8() from None
        pieces = self._pieces
        if len(pieces[-1]) + len(text) < _PIECE_SIZE:
            pieces[-1] += text
        else:
            pieces.append(text)
        self._room -= used
        if self._room < 0:
            self._grow()
        self._tail = data[used:]
        # Two bytes are enough to know a surrogate (RFC 3629 section 4); CPython waits for the third.
        if self._tail[:1] == b'\xed' and self._tail[1:] >= b'\xa0' and self._errors == 'strict':
            raise invalid_utf8()

    def value(self) -> str:
        if self._tail:
            if self._errors == 'strict':
                raise invalid_utf8()
            self._pieces.append(self._tail.decode('utf-8', self._errors))
        self._grow()
        return self._large

    def _grow(self) -> None:
        """A str that only one local variable refers to is not copied by CPython when it grows, which is no promise, and
        not so in a debugger. As it grows by a part of what it is, the time would be linear even then."""
        large, self._large = self._large, ''
        large += ''.join(self._pieces)
        self._large = large
        self._pieces, self._room = [''], max(_STEP, len(large) // _PART)


class Message:
    """A message of which not everything has come, and the frame of it that is under way."""

    __slots__ = ('content', 'fin', 'fragments', 'inflater', 'key', 'max_size', 'remaining', 'size')
    fin: bool
    key: Optional[bytes]
    remaining: int  # bytes of the frame that are still to come

    def __init__(self, content: Union[Text, Bytes, Fragments], inflater: Optional[Inflater], max_size: int) -> None:
        self.content: Union[Text, Bytes, Fragments] = content
        self.inflater: Optional[Inflater] = inflater  # if it is compressed
        self.max_size: int = max_size
        self.size: int = 0  # bytes announced by the frames so far, or inflated of them
        self.fragments: int = 0

    def begin_frame(self, fin: bool, key: Optional[bytes], length: int) -> None:
        self.fin = fin
        self.key = key
        self.remaining = length
        if self.inflater is None:
            self.size += length
        self.fragments += 1
        if isinstance(self.content, Fragments):
            self.content.begin_frame()

    def take(self, data: bytes) -> None:
        """Add what has come of the frame. If it is compressed, :meth:`inflate` does so, piece by piece."""
        size = len(data)
        self.remaining -= size
        if self.inflater is None:
            self.content.append(data, self.key)
        else:
            self.inflater.begin(data if self.key is None else mask(data, self.key), self.fin and not self.remaining)
        turn = size & 3
        if turn and self.key is not None:
            self.key = self.key[turn:] + self.key[:turn]

    @property
    def is_inflating(self) -> bool:
        """Whether there may be more of what has been taken."""
        return self.inflater is not None and self.inflater.under_way

    def inflate(self) -> int:
        """Add the next piece; return its size."""
        assert self.inflater is not None
        piece = self.inflater.inflate(self.max_size - self.size)
        self.add_inflated(piece)
        return len(piece)

    def add_inflated(self, piece: bytes) -> None:
        self.size += len(piece)
        self.content.append(piece, None)
