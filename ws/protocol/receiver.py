"""Incoming frames (RFC 6455 section 5): bytes in, one callback for each message, ping, pong and close out."""

from __future__ import annotations

import itertools
import sys
from abc import ABC, abstractmethod
from functools import partial
from typing import Any, Callable, Optional, Protocol, Union

from ..errors import ProtocolError
from .content import Bytes, Fragments, Message, Text
from .error_codes import NO_STATUS, is_valid_error_code
from .faults import invalid_utf8, too_large
from .frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL_LIMIT,
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
    WholeFrame,
    whole_frame,
)
from .masking import mask
from .permessage_deflate import PORTION, Inflater

_CONTROL_NAMES = {CLOSE: 'close', PING: 'ping', PONG: 'pong'}
#: What whole messages begin with, without compression and with it.
_STARTS = bytes((FIN | TEXT, FIN | BINARY))
_COMPRESSED_STARTS = bytes((FIN | TEXT | RSV1, FIN | BINARY | RSV1))
#: What pings and pongs begin with.
_PING_STARTS = bytes((FIN | PING, FIN | PONG))

# What is done at a time, where others are waiting: each of the two takes a few milliseconds.
#: Steps: one for a frame, or for what there is of one.
STEPS = range(1024)
#: Bytes that come out of compressed messages.
INFLATED = 1 << 19

# BaseReceiver._state: 0, or one or more of these.
_RUNNING = 1  # add, resume or go_on is at work further up the stack
_PAUSED = 2
_ENDED = 4
_PUT_OFF = 8


class MessageFlags:
    """What goes with a message, ping, pong or close.

    ``binary`` is True for anything but text and close frames, ``masked`` is the MASK bit of the last frame, ``buffer``
    is the payload as bytes. Any other name reads as ``None``, as it would be ``undefined`` in JavaScript. The object
    itself is true exactly if ``binary`` is: listeners written for ws 8, which pass a boolean here, work too.
    """

    __slots__ = ('_payload', 'binary', 'masked')

    # No properties: each would cost an echo more than to set all three. Made by flags_of.
    masked: bool
    binary: bool
    _payload: Union[str, bytes, list[bytes], None]

    @property
    def buffer(self) -> Optional[bytes]:
        payload = self._payload
        if isinstance(payload, list):
            return b''.join(payload)
        # The text came from strict UTF-8, which has one encoding only, so this is what was received.
        return payload.encode() if isinstance(payload, str) else payload

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict has it: what came with a message may be the options to pass it on with."""
        value = getattr(self, name)
        return default if value is None else value

    def __bool__(self) -> bool:
        return self.binary

    def __getattr__(self, name: str) -> None:
        # Python asks for names like __deepcopy__ to learn what an object can do, and must hear no.
        if name.startswith('__'):
            raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return flags_of, (self.masked, self._payload if isinstance(self._payload, str) else self.buffer)

    def __repr__(self) -> str:
        return f'MessageFlags(binary={self.binary}, masked={self.masked}, buffer={self.buffer!r})'


def flags_of(masked: bool, payload: Union[str, bytes, None]) -> MessageFlags:
    flags = MessageFlags()
    flags.masked = masked
    flags.binary = type(payload) is bytes
    flags._payload = payload
    return flags


def _invalid_opcode(message: str) -> ProtocolError:
    return ProtocolError(message, code='WS_ERR_INVALID_OPCODE')


def _invalid_control_length(message: str) -> ProtocolError:
    return ProtocolError(message, code='WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH')


def _ignore(*_: object) -> None:
    """Stands for a callback that nobody has set."""


#: As a whole frame has it: a message. It is a list if it is the content of several frames: see ``fragments``.
Complete = tuple[int, Union[str, bytes, list[bytes]], bool, int]
#: What a step finds: a message, or what is to be called for another frame; or nothing that is complete.
Found = Union[Complete, Callable[[], object], None]


class Others(Protocol):
    """Others that get their turn while a receiver has something left to do."""

    def put_off(self, go_on: Callable[[], object]) -> None:
        """Call `go_on` when they have had their turn."""


class BaseReceiver(ABC):
    """What the receivers of all protocol versions have in common: bytes in any portions, pauses, an end.

    Set the callbacks as attributes. After ``onclose`` or ``onerror`` nothing else is called. An exception of a callback
    comes out of ``add``, ``resume`` or ``go_on``; the next call of one of them goes on behind the frame it was about.
    """

    __slots__ = (
        '_data', '_later', '_masked', '_max_payload', '_others', '_pos', '_starts', '_state', 'fragments', 'messages',
        'onbinary', 'onclose', 'onerror', 'onexception', 'onmessage', 'onping', 'onpong', 'ontext',
    )  # fmt: skip

    def __init__(self, starts: bytes, masked: Optional[bool], max_payload: int) -> None:
        self._starts = starts  # what the next message begins with if it may be taken whole
        self._masked = masked
        # More than there is memory is no limit; C must be able to hold it, and zlib to take one more.
        self._max_payload = min(max_payload or sys.maxsize, sys.maxsize - 1)
        self._state = 0
        self._data = b''  # what is being worked on: from _pos on it is still to be done
        self._pos = 0
        #: How many messages have been called back for, in the turns before this one.
        self.messages: int = 0
        self._later: Optional[bytearray] = None  # what was added during a pause or inside a callback
        #: Whether binary messages of several frames are handed over as a list with the bytes of each.
        self.fragments: bool = False
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
        #: ``(error, code)``: the close code to fail the connection with is ``error.closeCode`` too.
        self.onerror: Callable[[ProtocolError, int], object] = _ignore
        #: Called while an exception of onmessage, ontext or onbinary is handled; without it, that is raised.
        self.onexception: Optional[Callable[[], object]] = None
        self._others: Optional[Others] = None

    def divide_work(self, others: Others) -> None:
        """From now on, do a limited amount of work at a time: `others` have to wait meanwhile. If something is left,
        tell them to call :meth:`go_on` later, and call nobody until then."""
        self._others = others

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

    def go_on(self) -> None:
        """Work on what is left, or some of it: see :meth:`divide_work`."""
        self._state &= ~_PUT_OFF
        if not self._state:
            self._run()

    def _put_off(self) -> None:
        """Enough has been done at a time."""
        if self._others is not None:
            self._state |= _PUT_OFF
            self._others.put_off(self.go_on)

    def cleanup(self) -> None:
        """Drop everything, callbacks included; ignore what is added from now on."""
        self._end()
        self._forget_callbacks()

    def _end(self) -> None:
        self._state |= _ENDED
        self._data = b''
        self._pos = 0
        self._later = None

    def _run(self) -> None:
        """Work through what is there until it is used up, too little for a step, or a callback pauses or ends it; or
        until enough has been done at a time."""
        self._state = _RUNNING
        step = others = 0
        try:
            for step in itertools.count() if self._others is None else STEPS:  # noqa: B007  # it is used in the end
                if self._state != _RUNNING:
                    break
                before = self._pos
                if before < len(self._data):
                    found: Optional[Complete] = whole_frame(
                        self._data, before, self._starts, self._masked, self._max_payload
                    )
                    if found is None:
                        found = self._step()
                    if found is not None:
                        _, payload, masked, self._pos = found
                        onmessage = self.onmessage  # once: another thread may attach a listener now
                        try:
                            if onmessage is not None:
                                onmessage(payload)
                            else:
                                flags = MessageFlags()  # as flags_of does, in half the time
                                flags.masked = masked
                                flags._payload = payload
                                if type(payload) is str:
                                    flags.binary = False
                                    self.ontext(payload, flags)
                                else:
                                    flags.binary = True
                                    self.onbinary(payload, flags)  # type: ignore[arg-type]  # it is bytes
                        except BaseException:
                            if self.onexception is None:
                                raise
                            self.onexception()
                        continue
                    if self._pos > before:
                        others += 1
                        continue
                if self._later is None:
                    break
                others += 1
                self._compact()
            else:
                others -= 1  # the last step is done, too
                self._put_off()
        finally:
            self.messages += step - others  # so it costs none of them anything
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

    def _step(self) -> Optional[Complete]:
        """Take one frame, or what is there of it; call back for a control frame, return the message it completes."""
        try:
            found = self._advance()
        except ProtocolError as error:
            self._fail(error)
            return None
        if callable(found):
            found()
            return None
        return found

    def _fail(self, error: ProtocolError) -> None:
        self._end()
        self.onerror(error, error.closeCode)

    @abstractmethod
    def _advance(self) -> Found:
        """Like ``_step``, but return the callback to be made, too, and raise ProtocolError."""


class Receiver(BaseReceiver):
    """Takes bytes in any portions and calls back for what they hold, in wire order.

    ``masked`` is what the MASK bit of the frames must be (section 5.1): True on a server, False on a client,
    None to take both. ``max_payload`` (bytes in a message) and ``max_fragments`` (frames in a message, empty ones
    included) are limits; 0 is none.
    """

    __slots__ = ('_inflated', '_max_fragments', '_message', '_taken', 'inflater')

    def __init__(
        self, masked: Optional[bool] = None, max_payload: int = 104857600, max_fragments: int = 131072
    ) -> None:
        super().__init__(_STARTS, masked, max_payload)
        self._max_fragments = max_fragments or sys.maxsize
        self._message: Optional[Message] = None
        self._taken = 0  # bytes at _pos that are being inflated
        self._inflated = 0  # bytes that came out since work was put off
        #: To be set when permessage-deflate is agreed upon.
        self.inflater: Optional[Inflater] = None

    def _end(self) -> None:
        super()._end()
        self._message = None
        self.inflater = None  # it holds some 40 KiB

    def _whole_compressed_message(self, inflater: Inflater) -> Optional[WholeFrame]:
        found = whole_frame(self._data, self._pos, _COMPRESSED_STARTS, self._masked, self._max_payload)
        if found is None or len(found[1]) > PORTION:
            return None
        first, payload, masked, end = found
        inflater.begin(payload, True)  # type: ignore[arg-type]  # bytes, as it is compressed
        content = inflater.inflate(self._max_payload)
        self._count_inflated(len(content))
        if inflater.under_way:
            message = self._begin_message(first)
            message.begin_frame(True, b'' if masked else None, 0)
            message.add_inflated(content)
            self._pos, self._taken = end - len(payload), len(payload)
            return None
        if first & OPCODE != TEXT:
            return first, content, masked, end
        try:
            return first, content.decode(), masked, end
        except UnicodeDecodeError:
            raise invalid_utf8() from None

    def _begin_message(self, first: int) -> Message:
        content = Text() if first & OPCODE == TEXT else Fragments() if self.fragments else Bytes()
        self._starts = b''
        self._message = Message(content, self.inflater if first & RSV1 else None, self._max_payload)
        return self._message

    def _count_inflated(self, size: int) -> None:
        self._inflated += size
        if self._inflated >= INFLATED:
            self._inflated = 0
            self._put_off()

    def _ping_or_pong(self) -> Optional[Callable[[], object]]:
        """One that is whole, and nothing about it needs a second look."""
        found = whole_frame(self._data, self._pos, _PING_STARTS, self._masked, CONTROL_LIMIT)
        if found is None or self._data[self._pos + 1] & LENGTH > SHORT_LIMIT:
            return None
        first, payload, masked, self._pos = found
        return partial(self.onping if first == FIN | PING else self.onpong, payload, flags_of(masked, payload))  # type: ignore[arg-type]

    def _advance(self) -> Found:
        if self._taken:
            assert self._message is not None
            return self._data_frame(self._message)
        if (self._message is None or not self._message.remaining) and self._data[self._pos] in _PING_STARTS:
            control = self._ping_or_pong()
            if control is not None:
                return control
        if self._message is None and self.inflater is not None:
            found = self._whole_compressed_message(self.inflater)
            if found is not None or self._taken:
                return found
        message = self._message
        if message is None or not message.remaining:
            header = self._header()
            if header is None:
                return None
            first, length, key, body = header
            if first & OPCODE >= CLOSE:
                return self._control_frame(first & OPCODE, length, key, body)
            if message is None:
                message = self._begin_message(first)
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
            raise ProtocolError('Too many message fragments', 1008, 'WS_ERR_TOO_MANY_BUFFERED_PARTS')
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
            name = 'WS_ERR_UNEXPECTED_RSV_2_3' if first & (RSV - RSV1) else 'WS_ERR_UNEXPECTED_RSV_1'
            raise ProtocolError('reserved fields must be empty', code=name)
        if opcode == CONTINUATION:
            if self._message is None:
                raise _invalid_opcode('continuation frame cannot follow current opcode')
        elif opcode in (TEXT, BINARY):
            if self._message is not None:
                raise _invalid_opcode('data frames after the initial data frame must have opcode 0')
        elif opcode not in _CONTROL_NAMES:
            raise _invalid_opcode(f'no handler for opcode {opcode}')
        elif not first & FIN:
            raise ProtocolError(f'fragmented {_CONTROL_NAMES[opcode]} is not supported', code='WS_ERR_EXPECTED_FIN')

    def _check_second_byte(self, first: int, second: int) -> None:
        opcode = first & OPCODE
        length = second & LENGTH
        if opcode >= CLOSE and length > SHORT_LIMIT:
            raise _invalid_control_length('control frames cannot have more than 125 bytes of data')
        if self._masked is not None and self._masked is not (second >= MASK):
            must, name = ('set', 'WS_ERR_EXPECTED_MASK') if self._masked else ('clear', 'WS_ERR_UNEXPECTED_MASK')
            raise ProtocolError(f'Invalid WebSocket frame: MASK must be {must}', code=name)
        if opcode == CLOSE and length == 1:
            raise _invalid_control_length('close packets with data must be at least two bytes long')

    def _check_size(self, first: int, length: int) -> None:
        if length > 0xFFFFFFFF:
            raise ProtocolError(
                'packets with length spanning more than 32 bit is currently not supported',
                1008,
                'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
            )
        message = self._message
        if first & RSV1 or (message is not None and message.inflater is not None):
            return  # what counts is what comes out, which may even be less: it is looked at as it does
        if (0 if message is None else message.size) + length > self._max_payload:
            raise too_large()

    def _data_frame(self, message: Message) -> Optional[Complete]:
        if not self._taken:
            size = message.remaining if message.inflater is None else min(message.remaining, PORTION)
            data = self._data[self._pos : self._pos + size]
            self._taken = len(data)
            message.take(data)
        while message.is_inflating:
            if self._state & _PUT_OFF:
                return None
            self._count_inflated(message.inflate())
        self._pos += self._taken
        self._taken = 0
        if message.remaining or not message.fin:
            return None
        self._message = None
        self._starts = _STARTS
        payload = message.content.value()
        if isinstance(payload, list) and not self.fragments:  # it was another when the message began
            payload = b''.join(payload)
        return FIN, payload, message.key is not None, self._pos

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
        assert opcode == CLOSE  # whole pings and pongs were taken before
        return self._close_frame(payload, key is not None)

    def _close_frame(self, payload: bytes, masked: bool) -> Callable[[], object]:
        code = int.from_bytes(payload[:2], 'big') if payload else NO_STATUS
        if payload and not is_valid_error_code(code):
            raise ProtocolError('invalid error code', code='WS_ERR_INVALID_CLOSE_CODE')
        try:
            reason = payload[2:].decode()
        except UnicodeDecodeError:
            raise invalid_utf8() from None
        self._end()
        return partial(self.onclose, code, reason, flags_of(masked, None))
