"""What a connection sends, and in which order; and what the arguments of its methods mean."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Optional, Protocol, Union

from .errors import NotOpenError, WebSocketError
from .net.loop import Loop
from .net.stream import Stream
from .protocol import hixie
from .protocol.error_codes import is_valid_error_code
from .protocol.frames import REASON_LIMIT
from .protocol.receiver import MessageFlags
from .protocol.sender import Sender, payload_of
from .streams import Pieces, Streams, Waiting

Callback = Callable[..., Any]


class Owner(Protocol):
    """Who is told what happens to outgoing messages, on the loop thread."""

    def _complain(self, error: Exception) -> None:
        """A message that nobody waits for can't be sent."""

    def _on_broken(self) -> None:
        """A message in pieces has begun, and can't be completed."""


class Outgoing:
    """What goes out over one connection that is open: messages, whole and in pieces, pings and pongs, a close frame.

    :meth:`hand_in`, :meth:`count_waiting` and :attr:`buffered` are for any thread; everything else belongs to the loop
    thread.
    """

    __slots__ = (
        '_late_pong', '_lock', '_loop', '_masks', '_owner', '_pong_queued', '_stream', '_waiting', 'direct', 'over',
        'sender', 'streams',
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        lock: Any,
        stream: Stream,
        sender: Union[Sender, hixie.Sender],
        masks: bool,
        owner: Owner,
    ) -> None:
        self._loop = loop
        self._lock = lock  # for the count
        self._stream = stream
        self.sender = sender
        self._masks = masks
        self._owner = owner
        #: Whether the connection is no longer open: no data is sent then (RFC 6455 section 5.5.1).
        self.over = False
        #: While a message in pieces is being sent.
        self.streams: Optional[Streams] = None
        #: Where messages go at once, unmasked and uncompressed; None as long as the next one does not.
        self.direct: Optional[Stream] = None
        self._decide()
        self._waiting = 0  # bytes handed in that can't be written at once
        self._pong_queued = False
        self._late_pong: Optional[bytes] = None

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._stream.queued + self._waiting

    def count_waiting(self, size: int) -> None:
        """So many bytes more, or fewer, wait for the loop thread or behind a message in pieces."""
        with self._lock:
            self._waiting += size

    def _decide(self) -> None:
        """What the next message meets is another state than before."""
        usual = self.sender.plain and not (self._masks or self.over or self.streams)
        self.direct = self._stream if usual else None

    # -- messages ----------------------------------------------------------------------------------------------------

    def hand_in(
        self, data: Any, binary: Optional[bool], masked: bool, callback: Optional[Callback], compress: bool
    ) -> None:
        """Send a message when it is its turn."""
        payload, is_binary = payload_of(data)  # now: the caller may change its buffer as soon as we return
        self.count_waiting(len(payload))
        arguments = (payload, is_binary if binary is None else binary, masked, callback, compress)
        if self._loop.in_thread():
            self._send_in_turn(*arguments)
        else:
            self._loop.call(self._send_in_turn, *arguments)

    def _send_in_turn(
        self, payload: bytes, binary: bool, masked: bool, callback: Optional[Callback], compress: bool
    ) -> None:
        if self.streams is None:
            self._send(payload, binary, masked, callback, compress)
        else:
            send = functools.partial(self._send, payload, binary, masked, callback, compress)
            self.streams.wait(Waiting(send, functools.partial(self._drop, payload, callback)))

    def _send(self, payload: bytes, binary: bool, masked: bool, callback: Optional[Callback], compress: bool) -> None:
        if self.over:
            self._drop(payload, callback)
            return
        try:
            self.sender.send(payload, binary, True, masked, callback, compress)
        except ValueError as error:  # a byte that Hixie-76 can't send
            self._loop.defer(self._owner._complain if callback is None else callback, error)
        self.count_waiting(-len(payload))

    def _drop(self, payload: bytes, callback: Optional[Callback]) -> None:
        self.count_waiting(-len(payload))
        if callback is not None:
            self._loop.defer(callback, NotOpenError())

    def send_in_pieces(self, pieces: Pieces) -> None:
        if self.over:
            pieces.cancel()
            return
        if self.streams is None:
            self.streams = Streams(self.sender, self._on_streams_idle, self._owner._on_broken)
            self._decide()
        self.streams.add(pieces)

    def _on_streams_idle(self) -> None:
        self.streams = None
        self._decide()

    # -- control frames ----------------------------------------------------------------------------------------------

    def send_control(self, kind: str, payload: bytes, masked: bool, callback: Optional[Callback]) -> None:
        """Send a 'ping' or a 'pong'."""
        if not self.over:
            getattr(self.sender, kind)(payload, masked, callback)
        elif callback is not None:
            callback(NotOpenError())

    def answer_ping(self, data: bytes) -> None:
        """RFC 6455 section 5.5.3, which allows to answer only the latest ping: else a peer that sends pings and reads
        nothing would fill our memory with pongs."""
        if self._pong_queued:
            self._late_pong = data
        elif self._stream.stalled:
            self._pong_queued = True
            self.sender.pong(data, self._masks, self._on_pong_sent)
        else:
            self.sender.pong(data, self._masks)

    def _on_pong_sent(self, error: Optional[Exception]) -> None:
        self._pong_queued = False
        data, self._late_pong = self._late_pong, None
        if data is not None and not self.over:
            self.answer_ping(data)

    # -- the end -----------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The connection is no longer open: what is still waiting is not sent."""
        streams = self.streams
        self.abandon()
        if streams is not None:
            streams.cancel()

    def abandon(self) -> None:
        """Send no more, and tell nobody."""
        self.over = True
        self.streams = None
        self._decide()

    def close(self, code: int, reason: bytes) -> None:
        """Send a close frame."""
        self.sender.close(code, reason, self._masks)

    def answer_close(self, code: int, reason: str) -> None:
        self.sender.answer_close(code, reason, self._masks)


# -- arguments ---------------------------------------------------------------------------------------------------------


def is_file(data: Any) -> bool:
    """Whether `data` is to be read, and what that yields to be sent."""
    return type(data) is not str and type(data) is not bytes and callable(getattr(data, 'read', None))


def message_options(
    options: Any, binary: Optional[bool], mask: Optional[bool], compress: bool
) -> tuple[Optional[bool], Optional[bool], bool]:
    """`binary`, `mask` and `compress`, unless `options` has others."""
    # The flags of a message may be the options of its echo.
    if type(options) is not dict and not isinstance(options, (Mapping, MessageFlags)):
        raise TypeError(f'options must be a dict, not {type(options).__name__}')
    return options.get('binary', binary), options.get('mask', mask), options.get('compress', compress)


def mask_option(options: Any) -> Optional[bool]:
    """`options` of ping() and pong() is a dict, or as in ws 8 the mask itself."""
    mask: Optional[bool] = options.get('mask') if isinstance(options, Mapping) else options
    return mask


def close_reason(code: Optional[int], data: Union[str, bytes, None]) -> bytes:
    """The reason as bytes; raises WebSocketError for a code or reason that no close frame may carry."""
    if code is not None and not is_valid_error_code(code):
        raise WebSocketError('first argument must be a valid error code number')
    if data is not None and not isinstance(data, (str, bytes, bytearray, memoryview)):
        raise WebSocketError('Second argument must be a string or a Uint8Array')
    reason = payload_of(data)[0]
    try:
        reason.decode()
    except UnicodeDecodeError:
        raise WebSocketError('the reason must be UTF-8') from None
    if len(reason) > REASON_LIMIT:
        raise WebSocketError(f'The message must not be greater than {REASON_LIMIT} bytes')
    return reason
