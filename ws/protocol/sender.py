"""Outgoing messages and the frames they become (RFC 6455 section 5)."""

from __future__ import annotations

import math
import numbers
import re
from decimal import Decimal
from typing import Callable, Optional, Protocol, Union

from .error_codes import NO_STATUS, is_valid_error_code
from .frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL_LIMIT,
    FIN,
    PING,
    PONG,
    REASON_LIMIT,
    RSV1,
    TEXT,
    build_frame,
    build_header,
    frame,
)
from .masking import new_mask_key
from .permessage_deflate import Deflater

#: Bytes; below that, copying a payload behind its header costs less than a second write.
LARGE = 16384
Callback = Callable[[Optional[Exception]], object]


class Writable(Protocol):
    """What a Sender writes to. ``callback`` is called once: with None when the data is handed on, or an error."""

    def write(self, data: bytes, callback: Optional[Callback] = None) -> object: ...


def payload_of(data: object) -> tuple[bytes, bool]:
    """Return the payload that stands for ``data`` in a message, and whether it is binary.

    Text comes from str, and from numbers in decimal as JavaScript writes them; None is the empty text. Anything with
    the buffer protocol (bytes, bytearray, memoryview, array.array, numpy and ctypes arrays) is binary: its bytes as
    they are at this moment.

    Raises ValueError for a str that has no UTF-8 form (lone surrogates), TypeError for everything else.
    """
    if isinstance(data, str):
        return data.encode(), False
    if type(data) is bytes:
        return data, True
    if data is None:
        return b'', False
    if isinstance(data, numbers.Number) and not isinstance(data, bool):
        return _number_text(data).encode(), False
    return _bytes_of(data), True


def _refusal(data: object) -> TypeError:
    return TypeError(f'{type(data).__name__} cannot be sent: str, bytes-like object, number or None expected')


def _bytes_of(data: object) -> bytes:
    try:
        view = memoryview(data)  # type: ignore[arg-type]  # whether it has the buffer protocol is the question
    except TypeError:
        raise _refusal(data) from None
    # The letters of struct's formats, without the names of fields. No peer must learn addresses; numpy.bool_ is a bool.
    letters = re.sub(':[^:]*:', '', view.format)
    if re.search('[OP&]', letters) or (letters == '?' and view.ndim == 0):
        raise _refusal(data)
    return view.tobytes()


def _number_text(number: numbers.Number) -> str:
    if isinstance(number, numbers.Integral):
        return str(int(number))
    if isinstance(number, (numbers.Real, Decimal)):
        return _float_text(float(number))
    raise _refusal(number)


def _float_text(value: float) -> str:
    """As JavaScript writes it (ECMA-262, Number::toString)."""
    if math.isnan(value):
        return 'NaN'
    if not value:
        return '0'
    sign = '-' if value < 0 else ''
    if math.isinf(value):
        return sign + 'Infinity'
    # Python's repr finds the same digits, the fewest that mean this number; only their layout differs.
    significand, _, exponent = repr(abs(value)).partition('e')
    whole, _, fraction = significand.partition('.')
    digits = (whole + fraction).lstrip('0')
    point = len(digits) - len(fraction) + int(exponent or 0)  # it stands behind so many digits
    digits = digits.rstrip('0')
    if -6 < point <= 0:
        text = '0.' + '0' * -point + digits
    elif not 0 < point <= 21:
        text = '.'.join(filter(None, (digits[0], digits[1:]))) + f'e{point - 1:+d}'
    elif point >= len(digits):
        text = digits.ljust(point, '0')
    else:
        text = digits[:point] + '.' + digits[point:]
    return sign + text


#: The last small message that was sent unmasked: the object, the ``binary`` that went with it, its frame. A broadcast
#: sends the same object to each client, and gets the same frame. The object is held, so no other can come to have its
#: identity, and it is of no subclass, so it can't change its value; the tuple is read and replaced in one step, so any
#: thread may.
_last_frame: tuple[object, Optional[bool], bytes] = (object(), None, b'')


def message_frame(data: Union[str, bytes], binary: Optional[bool]) -> bytes:
    """The frame of a whole message that is neither masked nor compressed; the same one if the same object comes again.

    `data` is no subclass's.
    """
    global _last_frame
    last_data, last_binary, built = _last_frame
    if data is not last_data or binary is not last_binary:
        is_binary = type(data) is bytes if binary is None else binary
        built = frame(FIN | BINARY if is_binary else FIN | TEXT, data, None)
        _last_frame = (data, binary, built)
    return built


def control_payload(data: object) -> bytes:
    """Return what ``data`` is as the payload of a control frame (section 5.5); raises ValueError for more than fits."""
    payload, _ = payload_of(data)
    if len(payload) > CONTROL_LIMIT:
        raise ValueError(f'The data size must not be greater than {CONTROL_LIMIT} bytes')
    return payload


def reason_payload(reason: object) -> bytes:
    """Return what ``reason`` is in a close frame (section 5.5.1). An array of numbers is none, as in ws 8.

    Raises TypeError for what is neither text nor bytes, ValueError for more than fits, UnicodeError for no UTF-8.
    """
    if reason is not None and not isinstance(reason, (str, bytes, bytearray, memoryview)):
        raise TypeError('Second argument must be a string or a Uint8Array')
    payload, _ = payload_of(reason)
    if len(payload) > REASON_LIMIT:
        raise ValueError(f'The message must not be greater than {REASON_LIMIT} bytes')
    payload.decode()
    return payload


class Sender:
    """Writes messages, whole or in fragments, and control frames to ``socket``. Not for two threads at once.

    ``mask`` is what section 5.1 demands: True on a client, False on a server. A callback goes with the last write of
    a frame. With a ``deflater`` messages are compressed, unless ``compress`` is False or they are below its threshold.
    ``new_key()`` returns the 4 bytes that a frame is masked with.
    """

    __slots__ = ('_deflater', '_deflating', '_fragmented', '_new_key', '_socket', 'messages')

    def __init__(
        self, socket: Writable, deflater: Optional[Deflater] = None, new_key: Callable[[], bytes] = new_mask_key
    ) -> None:
        self._socket = socket
        self._deflater = deflater
        self._new_key = new_key
        self._fragmented = False  # a message is under way: its next frame is a continuation (section 5.4)
        #: How many messages have been sent.
        self.messages: int = 0
        self._deflating: Optional[Deflater] = None  # what compresses the latest message, if anything does

    @property
    def plain(self) -> bool:
        """Whether what a message is sent as, if it is not masked, is its :func:`message_frame`."""
        return self._deflater is None and not self._fragmented

    def send(
        self,
        data: object,
        binary: Optional[bool] = None,
        fin: bool = True,
        mask: bool = False,
        callback: Optional[Callback] = None,
        compress: bool = True,
    ) -> None:
        """Send a message, or with ``fin`` False all but the last fragment of one. Errors: see ``payload_of``.

        Whether a message is compressed is decided with its first fragment.
        """
        if (
            fin
            and not (mask or self._fragmented)
            and (self._deflater is None or not compress)
            and (type(data) is str or type(data) is bytes)
            and len(data) < LARGE
        ):
            self.messages += 1
            self._socket.write(message_frame(data, binary), callback)
            return
        payload, is_binary = payload_of(data)
        if fin:
            self.messages += 1
        opcode = BINARY if (is_binary if binary is None else binary) else TEXT
        deflater = self._deflater
        if self._fragmented:
            opcode = CONTINUATION
        elif compress and deflater is not None and len(payload) >= deflater.threshold:
            self._deflating = deflater
            opcode |= RSV1  # RFC 7692 section 6.1: on the first frame only
        else:
            self._deflating = None
        if self._deflating is not None:
            payload = self._deflating.deflate(payload, fin)
        self._fragmented = not fin
        self.frame_and_send(opcode, payload, fin, mask, callback)

    def ping(self, data: object = None, mask: bool = False, callback: Optional[Callback] = None) -> None:
        """Send a ping (section 5.5.2). Raises ValueError for more than 125 bytes."""
        self._send_control(PING, data, mask, callback)

    def pong(self, data: object = None, mask: bool = False, callback: Optional[Callback] = None) -> None:
        """Send a pong (section 5.5.3). Raises ValueError for more than 125 bytes."""
        self._send_control(PONG, data, mask, callback)

    def close(
        self,
        code: Optional[int] = None,
        reason: object = None,
        mask: bool = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send a close frame (section 5.5.1); no ``code`` is 1000, as in Node's ws 0.4.31.

        Raises ValueError for a code that may not be sent; for the reason see ``reason_payload``.
        """
        if code is None:
            code = 1000
        if not is_valid_error_code(code):
            raise ValueError('first argument must be a valid error code number')
        self._send_control(CLOSE, code.to_bytes(2, 'big') + reason_payload(reason), mask, callback)

    def answer_close(self, code: int, reason: str, mask: bool = False) -> None:
        """Answer a close frame with its own code (section 5.5.1), and with an empty one if it had none."""
        if code == NO_STATUS:
            self.frame_and_send(CLOSE, b'', True, mask)
        else:
            self.close(code, reason, mask)

    def _send_control(self, opcode: int, data: object, mask: bool, callback: Optional[Callback]) -> None:
        self.frame_and_send(opcode, control_payload(data), True, mask, callback)

    def frame_and_send(
        self, opcode: int, payload: bytes, fin: bool = True, mask: bool = False, callback: Optional[Callback] = None
    ) -> None:
        """Write one frame; a large payload that isn't masked is not copied but written on its own."""
        if mask or len(payload) < LARGE:
            self._socket.write(build_frame(opcode, payload, fin, mask, self._new_key), callback)
        else:
            self._socket.write(build_header(opcode | FIN if fin else opcode, len(payload), False))
            self._socket.write(payload, callback)
