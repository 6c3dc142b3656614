"""Incoming frames (RFC 6455 section 5): bytes in, one callback for each message, ping, pong and close out."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from codecs import utf_8_decode
from functools import partial
from typing import Any, AnyStr, Callable, Optional, Union

from ..errors import ProtocolError
from .error_codes import NO_STATUS, is_valid_error_code
from .frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    LENGTH,
    LENGTH_16,
    MASK,
    OPCODE,
    PING,
    PONG,
    RSV,
    RSV1,
    SHORT_LIMIT,
    TEXT,
    whole_frame,
)
from .masking import mask
from .permessage_deflate import PORTION, Inflater

_CONTROL_NAMES = {CLOSE: 'close', PING: 'ping', PONG: 'pong'}
#: What whole messages begin with: without compression, and where that was agreed on.
_STARTS = bytes((FIN | TEXT, FIN | BINARY))
_STARTS_OR_COMPRESSED = _STARTS + bytes((FIN | TEXT | RSV1, FIN | BINARY | RSV1))

#: Bytes or characters; smaller pieces of a message are put together.
_PIECE_SIZE = 1024
#: Bytes; with larger texts care is taken how much memory they need.
_LARGE_TEXT = 1 << 20

# BaseReceiver._state: 0, or one or more of these.
_RUNNING = 1  # add or resume is at work further up the stack
_PAUSED = 2
_ENDED = 4


class MessageFlags:
    """What goes with a message, ping, pong or close.

    ``binary`` is True for anything but text and close frames, ``masked`` tells the MASK bit of the last frame,
    ``buffer`` is the payload as bytes. Any other name reads as ``None``, as it would be ``undefined`` in JavaScript.
    The object itself is true exactly if ``binary`` is: listeners written for ws 8, which pass a boolean here, work too.
    """

    __slots__ = ('_payload', 'binary', 'masked')

    def __init__(self, masked: bool, payload: Union[str, bytes, None]) -> None:
        self.masked = masked
        self.binary = type(payload) is bytes  # no property: that would cost each echo more than this
        self._payload = payload

    @property
    def buffer(self) -> Optional[bytes]:
        payload = self._payload
        # The text came from strict UTF-8, which has one encoding only, so this is what was received.
        return payload.encode() if isinstance(payload, str) else payload

    def get(self, name: str, default: Any = None) -> Any:
        """As of a dict: what a message came with may be the options it is sent on with."""
        value = getattr(self, name)
        return default if value is None else value

    def __bool__(self) -> bool:
        return self.binary

    def __getattr__(self, name: str) -> None:
        # Python asks for names like __deepcopy__ to learn what an object can do, and must hear no.
        if name.startswith('__'):
            raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return MessageFlags, (self.masked, self._payload)

    def __repr__(self) -> str:
        return f'MessageFlags(binary={self.binary}, masked={self.masked}, buffer={self.buffer!r})'


def _add_piece(pieces: list[AnyStr], piece: AnyStr) -> None:
    """Put tiny pieces together: each object costs dozens of bytes, and a peer may send a million pieces of one byte."""
    if len(pieces[-1]) + len(piece) < _PIECE_SIZE:
        pieces[-1] += piece
    else:
        pieces.append(piece)


class _Bytes:
    """The content of a binary message as it grows."""

    __slots__ = ('_pieces',)

    def __init__(self) -> None:
        self._pieces = [b'']  # joined in the end: what grows instead is copied over and over by some allocators

    def append(self, data: bytes, key: Optional[bytes]) -> None:
        """Add what is masked with `key`, if there is one."""
        _add_piece(self._pieces, data if key is None else mask(data, key))

    def value(self) -> bytes:
        return b''.join(self._pieces)


class _Text:
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
            raise _invalid_utf8() from None
        self._size += used
        if self._wide is None and self._size > _LARGE_TEXT and _is_wide(text):
            self._wide = self._encoded()
        if self._wide is None:
            _add_piece(self._pieces, text)
        else:
            self._wide += memoryview(data)[:used]
        self._tail = data[used:]
        # Two bytes are enough to know a surrogate (RFC 3629 section 4); CPython waits for the third.
        if self._tail[:1] == b'\xed' and self._tail[1:] >= b'\xa0':
            raise _invalid_utf8()

    def value(self) -> str:
        if self._tail:
            raise _invalid_utf8()
        return ''.join(self._pieces) if self._wide is None else self._wide.decode()

    def _encoded(self) -> bytearray:
        encoded = bytearray()
        pieces, self._pieces = self._pieces, []
        for piece in pieces:
            encoded += piece.encode()
        return encoded


def _is_wide(text: str) -> bool:
    """Whether it takes four bytes for each character. Of a short one it may be said in error."""
    return not text.isascii() and sys.getsizeof(text) > 4 * len(text)


class _Message:
    """A message of which not everything has come, and the frame of it that is under way."""

    __slots__ = ('content', 'fin', 'fragments', 'inflater', 'key', 'max_size', 'remaining', 'size')
    fin: bool
    key: Optional[bytes]
    remaining: int  # bytes of the frame that are still to come

    def __init__(self, content: Union[_Text, _Bytes], inflater: Optional[Inflater], max_size: int) -> None:
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


def _invalid_utf8() -> ProtocolError:
    return ProtocolError('invalid utf8 sequence', 1007)


def _ignore(*_: object) -> None:
    """What stands for a callback nobody has set."""


class BaseReceiver(ABC):
    """What the receivers of all protocol versions have in common: bytes in any portions, pauses, an end.

    Set the callbacks as attributes. After ``onclose`` or ``onerror`` nothing else is called. An exception of a callback
    comes out of ``add`` or ``resume``; the next call of either goes on behind the frame it was about.
    """

    __slots__ = (
        '_data', '_later', '_pos', '_state', 'onbinary', 'onclose', 'onerror', 'onexception', 'onmessage', 'onping',
        'onpong', 'ontext',
    )  # fmt: skip

    def __init__(self) -> None:
        self._state = 0
        self._data = b''  # what is being worked on: from _pos on it is still to be done
        self._pos = 0
        self._later: Optional[bytearray] = None  # what was added during a pause or inside a callback
        self._forget_callbacks()

    def _forget_callbacks(self) -> None:
        #: For text and binary messages alike, where the data alone is wanted; ontext and onbinary are not called then.
        self.onmessage: Optional[Callable[[Any], object]] = None
        self.ontext: Callable[[str, MessageFlags], object] = _ignore
        self.onbinary: Callable[[bytes, MessageFlags], object] = _ignore
        self.onping: Callable[[bytes, MessageFlags], object] = _ignore
        self.onpong: Callable[[bytes, MessageFlags], object] = _ignore
        #: ``(code, reason, flags)``; code 1005 if the frame had none.
        self.onclose: Callable[[int, str, MessageFlags], object] = _ignore
        #: ``(error, code)``: the close code to fail the connection with is ``error.code`` too.
        self.onerror: Callable[[ProtocolError, int], object] = _ignore
        #: Called while an exception of onmessage, ontext or onbinary is handled; without it, that is raised.
        self.onexception: Optional[Callable[[], object]] = None

    def add(self, data: bytes) -> None:
        """Take what came in."""
        if self._state:
            if not self._state & _ENDED:
                self._add_later(data)
            return
        if self._data:
            data = self._data[self._pos :] + data
            self._pos = 0
        self._data = data
        self._run()

    def _add_later(self, data: bytes) -> None:
        if self._later is None:
            self._later = bytearray()
        self._later += data

    def pause(self) -> None:
        """Call back for nothing more until ``resume``; also inside a callback. What is added meanwhile is kept."""
        self._state |= _PAUSED

    def resume(self) -> None:
        """Go on after ``pause``. Inside a callback: as soon as that has returned."""
        self._state &= ~_PAUSED
        if not self._state:
            self._run()

    def cleanup(self) -> None:
        """Drop everything, the callbacks too; ignore what is added from now on."""
        self._end()
        self._forget_callbacks()

    def _end(self) -> None:
        self._state |= _ENDED
        self._data = b''
        self._pos = 0
        self._later = None

    def _run(self) -> None:
        """Work through what is there until it is used up, too little for a step, or a callback pauses or ends it."""
        self._state = _RUNNING
        try:
            while self._state == _RUNNING:
                self._burst()
                if self._pos < len(self._data) and self._state == _RUNNING and self._step():
                    continue
                if self._later is None:
                    break
                self._compact()
        finally:
            self._state &= ~_RUNNING
            if self._later is None and self._pos == len(self._data):  # nearly always
                self._data = b''
                self._pos = 0
            else:
                self._compact()

    def _compact(self) -> None:
        """Take in what was added later. Let go of what is done, once it is the greater part: copying stays linear."""
        if self._later is not None:
            self._data = self._data[self._pos :] + self._later
            self._pos = 0
            self._later = None
        elif self._pos * 2 >= len(self._data):
            self._data = self._data[self._pos :]
            self._pos = 0

    def _burst(self) -> None:  # noqa: B027  # no abstract method: not all have one
        """Call back for all that comes next and needs no ``_step``: the fast lane."""

    def _step(self) -> bool:
        """Take one frame, or what is there of it. False if there is too little to do anything."""
        before = self._pos
        try:
            callback = self._advance()
        except ProtocolError as error:
            self._fail(error)
            return False
        progress = self._pos > before
        if callback is not None:
            callback()
        return progress

    def _hand_over(self, payload: Union[str, bytes], masked: bool) -> None:
        """Call back for a message."""
        onmessage = self.onmessage  # once: another thread may attach a listener now
        try:
            if onmessage is not None:
                onmessage(payload)
            elif isinstance(payload, str):
                self.ontext(payload, MessageFlags(masked, payload))
            else:
                self.onbinary(payload, MessageFlags(masked, payload))
        except BaseException:
            if self.onexception is None:
                raise
            self.onexception()

    def _fail(self, error: ProtocolError) -> None:
        self._end()
        self.onerror(error, error.code)

    @abstractmethod
    def _advance(self) -> Optional[Callable[[], object]]:
        """Like ``_step``, but return the callback to be made, if any, and raise ProtocolError."""


class Receiver(BaseReceiver):
    """Takes bytes in any portions and calls back for what they hold, in wire order.

    ``masked`` is what the MASK bit of the frames must be (section 5.1): True on a server, False on a client,
    None to take both. ``max_payload`` (bytes in a message) and ``max_fragments`` (frames in a message, empty ones
    included) are limits; 0 is none.
    """

    __slots__ = ('_masked', '_max_fragments', '_max_payload', '_message', 'inflater')

    def __init__(
        self, masked: Optional[bool] = None, max_payload: int = 104857600, max_fragments: int = 131072
    ) -> None:
        super().__init__()
        self._masked = masked
        # More than there is memory is no limit; zlib must be able to take one more, and C to hold it.
        self._max_payload = min(max_payload or sys.maxsize, sys.maxsize - 1)
        self._max_fragments = max_fragments or sys.maxsize
        self._message: Optional[_Message] = None
        #: To be set when permessage-deflate is agreed upon.
        self.inflater: Optional[Inflater] = None

    def _end(self) -> None:
        super()._end()
        self._message = None
        self.inflater = None  # it holds some 40 KiB

    def _burst(self) -> None:
        """The whole, unfragmented messages that come next: the fast lane.

        Whatever else comes, it stops there; what it lets through would pass every check of ``_step``, which says what
        is wrong with the rest.
        """
        if self._message is not None:
            return
        data, pos, masked, max_payload = self._data, self._pos, self._masked, self._max_payload
        starts = _STARTS if self.inflater is None else _STARTS_OR_COMPRESSED
        while self._state == _RUNNING:
            found = whole_frame(data, pos, starts, masked, max_payload)
            if found is None:
                return
            first, payload, is_masked, end = found
            if first & RSV1:
                if len(payload) > PORTION:
                    return
                try:
                    payload = self._inflated(payload, first & OPCODE)  # type: ignore[arg-type]  # it is bytes
                except ProtocolError as error:
                    self._fail(error)
                    return
            self._pos = pos = end
            # As _hand_over does; the call would cost a tenth of all that is done for a short message.
            onmessage = self.onmessage
            try:
                if onmessage is not None:
                    onmessage(payload)
                elif type(payload) is str:
                    self.ontext(payload, MessageFlags(is_masked, payload))
                else:
                    self.onbinary(payload, MessageFlags(is_masked, payload))  # type: ignore[arg-type]  # it is bytes
            except BaseException:
                if self.onexception is None:
                    raise
                self.onexception()

    def _inflated(self, payload: bytes, opcode: int) -> Union[str, bytes]:
        assert self.inflater is not None
        content = self.inflater.inflate_whole(payload, self._max_payload)
        if opcode == BINARY:
            return content
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise _invalid_utf8() from None

    def _advance(self) -> Optional[Callable[[], object]]:
        message = self._message
        if message is None or not message.remaining:
            header = self._header()
            if header is None:
                return None
            first, length, key, body = header
            if first & OPCODE >= CLOSE:
                return self._control_frame(first & OPCODE, length, key, body)
            if message is None:
                content = _Text() if first & OPCODE == TEXT else _Bytes()
                inflater = self.inflater if first & RSV1 else None
                message = self._message = _Message(content, inflater, self._max_payload)
            message.begin_frame(first >= FIN, key, length)
            self._pos = body
        return self._data_frame(message)

    def _header(self) -> Optional[tuple[int, int, Optional[bytes], int]]:
        """Check the header at ``_pos``, each byte of it as soon as it is there.

        Return its first byte, the length of the payload, the mask key and where the payload begins; None if some of it
        is yet to come.
        """
        data, pos = self._data, self._pos
        first = data[pos]
        self._check_first_byte(first)
        if pos + 2 > len(data):
            return None
        second = data[pos + 1]
        self._check_second_byte(first, second)
        length = second & LENGTH
        body = pos + 2
        if length > SHORT_LIMIT:
            width = 2 if length == LENGTH_16 else 8
            # If some of the length is yet to come, this is the least it can be.
            length = int.from_bytes(data[body : body + width].ljust(width, b'\0'), 'big')
            body += width
        if first & OPCODE < CLOSE:
            self._check_size(first, length)
        if body > len(data):
            return None
        if first & OPCODE < CLOSE and self._message is not None and self._message.fragments == self._max_fragments:
            raise ProtocolError('Too many message fragments', 1008)
        key = None
        if second & MASK:
            key = data[body : body + 4]
            body += 4
            if body > len(data):
                return None
        return first, length, key, body

    def _check_first_byte(self, first: int) -> None:
        opcode = first & OPCODE
        if first & RSV and not (first & RSV == RSV1 and self.inflater is not None and opcode in (TEXT, BINARY)):
            # RFC 7692 section 6.1: RSV1 is for the first frame of a message, if that was agreed on.
            raise ProtocolError('reserved fields must be empty')
        if opcode == CONTINUATION:
            if self._message is None:
                raise ProtocolError('continuation frame cannot follow current opcode')
        elif opcode in (TEXT, BINARY):
            if self._message is not None:
                raise ProtocolError('data frames after the initial data frame must have opcode 0')
        elif opcode not in _CONTROL_NAMES:
            raise ProtocolError(f'no handler for opcode {opcode}')
        elif not first & FIN:
            raise ProtocolError(f'fragmented {_CONTROL_NAMES[opcode]} is not supported')

    def _check_second_byte(self, first: int, second: int) -> None:
        opcode = first & OPCODE
        length = second & LENGTH
        if opcode >= CLOSE and length > SHORT_LIMIT:
            raise ProtocolError('control frames cannot have more than 125 bytes of data')
        if self._masked is not None and self._masked is not (second >= MASK):
            raise ProtocolError('MASK must be set' if self._masked else 'MASK must be clear')
        if opcode == CLOSE and length == 1:
            raise ProtocolError('close packets with data must be at least two bytes long')

    def _check_size(self, first: int, length: int) -> None:
        if length > 0xFFFFFFFF:
            raise ProtocolError('packets with length spanning more than 32 bit is currently not supported', 1008)
        message = self._message
        if first & RSV1 or (message is not None and message.inflater is not None):
            return  # what counts is what comes out, which may even be less: it is looked at as it does
        if (0 if message is None else message.size) + length > self._max_payload:
            raise ProtocolError('Max payload size exceeded', 1009)

    def _data_frame(self, message: _Message) -> Optional[Callable[[], object]]:
        data = self._data[self._pos : self._pos + message.remaining]
        self._pos += len(data)
        message.take(data)
        if message.remaining or not message.fin:
            return None
        self._message = None
        value = message.content.value()
        return partial(self._hand_over, value, message.key is not None)

    def _control_frame(
        self, opcode: int, length: int, key: Optional[bytes], body: int
    ) -> Optional[Callable[[], object]]:
        """One that is not complete is left where it is: it has 125 bytes at most (section 5.5)."""
        payload = self._data[body : body + length]
        if len(payload) < length:
            return None
        self._pos = body + length
        if key is not None:
            payload = mask(payload, key)
        if opcode == CLOSE:
            return self._close_frame(payload, key is not None)
        return partial(self.onping if opcode == PING else self.onpong, payload, MessageFlags(key is not None, payload))

    def _close_frame(self, payload: bytes, masked: bool) -> Callable[[], object]:
        code = int.from_bytes(payload[:2], 'big') if payload else NO_STATUS
        if payload and not is_valid_error_code(code):
            raise ProtocolError('invalid error code')
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            raise _invalid_utf8() from None
        self._end()
        return partial(self.onclose, code, reason, MessageFlags(masked, None))
