"""What a connection sends, and in which order; and what the arguments of its methods mean."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Optional, Protocol, Union

from .errors import NotOpenError, WebSocketError
from .events import fitted
from .net.loop import Loop, report_exception
from .net.stream import HIGH_WATER_MARK, Stream
from .options import of_call
from .protocol import hixie
from .protocol.error_codes import is_valid_error_code
from .protocol.masking import KEY_SIZE, new_mask_key
from .protocol.receiver import MessageFlags
from .protocol.sender import Sender, payload_of, reason_payload
from .streams import Pieces, Streams, Waiting

Callback = Callable[..., Any]


class Owner(Protocol):
    """Is told what happens to outgoing messages, on the loop thread."""

    def _complain(self, error: Exception) -> None:
        """A message that nobody waits for can't be sent."""

    def _on_broken(self) -> None:
        """A message in pieces has begun, and can't be completed."""

    def _on_overrun(self) -> None:
        """More is waiting than may wait."""

    def _on_drain(self) -> None:
        """Who was told not to send for now may do so."""


class Outgoing:
    """What goes out over one connection that is open: messages, whole and in pieces, pings and pongs, a close frame.

    :meth:`hand_in`, :meth:`is_little`, :meth:`count_waiting` and :attr:`buffered` are for any thread; everything else
    belongs to the loop thread, which others may only ask :attr:`over`, :attr:`direct` and :attr:`streams`.
    """

    __slots__ = (
        '_by_hand', '_drain_later', '_late_pong', '_limit', '_lock', '_loop', '_masks', '_owner', '_pong_queued',
        '_stream', '_waiting', 'direct', 'over', 'sender', 'sent_directly', 'streams',
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        lock: Any,
        stream: Stream,
        sender: Union[Sender, hixie.Sender],
        masks: bool,
        limit: int,
        owner: Owner,
    ) -> None:
        self._loop = loop
        self._lock = lock  # for the count
        self._stream = stream
        self.sender: Union[Sender, hixie.Sender] = sender
        self._masks = masks
        self._limit = limit  # bytes that may wait; 0 is none
        self._owner = owner
        #: Whether the connection is no longer open: no data is sent then (RFC 6455 section 5.5.1).
        self.over: bool = False
        #: While a message in pieces is being sent.
        self.streams: Optional[Streams] = None
        #: Where messages go at once, unmasked and uncompressed; None as long as the next one does not.
        self.direct: Optional[Stream] = None
        #: How many messages have gone there.
        self.sent_directly: int = 0
        self._by_hand = False  # fragments have been sent by hand, so `direct` may change with each call
        self._decide()
        self._waiting = 0  # bytes handed in that can't be written at once
        self._pong_queued = False
        self._late_pong: Optional[bytes] = None
        self._drain_later = False  # when no message in pieces is being sent any longer
        stream.on_drain = self._on_drain

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken yet."""
        waiting = self._waiting  # first: what the loop thread moves from here to there meanwhile must not be missed
        return waiting + self._stream.queued

    @property
    def messages(self) -> int:
        """How many messages have been sent."""
        return self.sent_directly + self.sender.messages

    def count_waiting(self, size: int) -> None:
        """So many bytes more, or fewer, wait for the loop thread or behind a message in pieces."""
        with self._lock:
            self._waiting += size

    def _decide(self) -> None:
        """What the next message meets is another state than before."""
        usual = self.sender.plain and not (self._masks or self.over or self.streams)
        # The stream says when it is full, and then it is looked at the limit; with a lower one, each time.
        self.direct = self._stream if usual and not 0 < self._limit < HIGH_WATER_MARK else None

    # -- how much waits ----------------------------------------------------------------------------------------------

    def may_go_on(self) -> bool:
        """Whether little enough is waiting for more to be sent: what :meth:`WebSocket.send` returns. If it is more than
        may wait, the connection ends. On the loop thread."""
        if self._limit and not self.over and self.is_behind(self._limit):
            self._owner._on_overrun()
            return False
        return not self._stream.is_full if self.streams is None else self.is_little()

    def is_behind(self, limit: int) -> bool:
        """Whether the peer leaves more than `limit` bytes waiting. On the loop thread."""
        if self._under_way <= limit:
            return False
        self._stream.flush_early()  # the kernel may well take it
        return self._under_way > limit

    @property
    def _under_way(self) -> int:
        """Bytes that wait for the peer: what other threads have handed in may only wait for the loop."""
        return self._stream.queued if self.streams is None else self.buffered

    def is_little(self) -> bool:
        """Whether little is waiting; else ``drain`` follows. For any thread."""
        if self.over:
            return False
        if self.buffered <= HIGH_WATER_MARK:
            return True
        self._run(self._want_drain)
        return False

    def _run(self, method: Callable[[], object]) -> None:
        if self._loop.in_thread():
            method()
        else:
            self._loop.call(method)

    def _want_drain(self) -> None:
        if self.streams is None:
            self._stream.want_drain()
        else:
            self._drain_later = True

    def _on_drain(self) -> None:
        if self.streams is None:
            self._owner._on_drain()
        else:  # one of its pieces was much, or others wait behind it
            self._drain_later = True

    # -- messages ----------------------------------------------------------------------------------------------------

    def send(
        self, data: Any, binary: Optional[bool], fin: bool, masked: bool, callback: Optional[Callback], compress: bool
    ) -> bool:
        """Send a message at once, or a fragment; returns what :meth:`may_go_on` does."""
        self.sender.send(data, binary, fin, masked, callback, compress)
        if self._by_hand or not fin:
            self._by_hand = True
            self._decide()
        return self.may_go_on()

    def hand_in(
        self, data: Any, binary: Optional[bool], fin: bool, masked: bool, callback: Optional[Callback], compress: bool
    ) -> bool:
        """Send a message when it is its turn; returns whether little enough is waiting for more to be sent."""
        payload, is_binary = payload_of(data)  # now: the caller may change its buffer as soon as we return
        self.count_waiting(len(payload))
        arguments = (payload, is_binary if binary is None else binary, fin, masked, callback, compress)
        if self._loop.in_thread():
            self._send_in_turn(*arguments)
        else:
            self._loop.call(self._send_in_turn, *arguments)
        return self.is_little()

    def _send_in_turn(
        self, payload: bytes, binary: bool, fin: bool, masked: bool, callback: Optional[Callback], compress: bool
    ) -> None:
        if self.streams is None:
            self._send(payload, binary, fin, masked, callback, compress)
        else:
            send = functools.partial(self._send, payload, binary, fin, masked, callback, compress)
            self.streams.wait(Waiting(send, functools.partial(self._drop, payload, callback)))
            self.may_go_on()

    def _send(
        self, payload: bytes, binary: bool, fin: bool, masked: bool, callback: Optional[Callback], compress: bool
    ) -> None:
        if self.over:
            self._drop(payload, callback)
            return
        try:
            self.send(payload, binary, fin, masked, callback, compress)
        except ValueError as error:  # a byte that Hixie-76 can't send
            self._loop.defer(self._owner._complain if callback is None else callback, error)
        self.count_waiting(-len(payload))

    def _drop(self, payload: bytes, callback: Optional[Callback]) -> None:
        self.count_waiting(-len(payload))
        if callback is not None:
            self._loop.defer(callback, NotOpenError())

    def count_piece(self, size: int) -> None:
        """As :meth:`count_waiting`; less than 0 on the loop thread, when the piece has been sent."""
        self.count_waiting(size)
        if size < 0:
            self.may_go_on()

    def send_in_pieces(self, pieces: Pieces) -> None:
        if self.over:
            pieces.cancel()
            return
        self._by_hand = self._by_hand or not pieces.fin
        if self.streams is None:
            self.streams = Streams(self.sender, self._on_streams_idle, self._owner._on_broken)
            self._decide()
        self.streams.add(pieces)

    def _on_streams_idle(self) -> None:
        self.streams = None
        self._decide()
        if self._drain_later:
            self._drain_later = False
            self._want_drain()

    # -- control frames ----------------------------------------------------------------------------------------------

    def send_control(self, kind: str, payload: bytes, masked: bool, callback: Optional[Callback]) -> None:
        """Send a 'ping' or a 'pong'."""
        if not self.over:
            getattr(self.sender, kind)(payload, masked, callback)
            if self._limit:
                self.may_go_on()
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


#: What may stand in their options; what else does gets a warning.
_SEND = frozenset(('binary', 'mask', 'compress', 'fin'))
_STREAM = _SEND - {'fin'}
_CONTROL = frozenset(('mask', 'binary'))  # the second has no effect; 0.4.31 documents it


def message_options(
    method: str, options: Any, binary: Optional[bool], mask: Optional[bool], compress: bool, fin: bool = True
) -> tuple[Optional[bool], Optional[bool], bool, bool]:
    """`binary`, `mask`, `compress` and `fin`, unless the `options` of `method`, send() or stream(), have others."""
    if type(options) is MessageFlags:  # those of a message may be the options of its echo
        return options.binary, mask, compress, fin
    get = of_call(method, _SEND if method == 'send()' else _STREAM, options).get
    compressed, final = get('compress'), get('fin')
    return (
        get('binary', binary),
        get('mask', mask),
        compress if compressed is None else bool(compressed),
        fin if final is None else bool(final),
    )


def mask_option(method: str, options: Any, depth: int = 0) -> Optional[bool]:
    """The `options` of `method`, ping() or pong(), are a dict, or as in ws 8 the mask itself. `depth` as that of
    ``of_call``."""
    if isinstance(options, bool):
        return options
    if isinstance(options, MessageFlags):
        return None
    mask: Optional[bool] = of_call(method, _CONTROL, options, depth).get('mask')
    return mask


def control_arguments(
    kind: str, data: Any, options: Any, silent: Any, callback: Optional[Callback]
) -> tuple[Any, Optional[bool], Any, Optional[Callback]]:
    """What `data`, mask, `silent` and callback of ping() or pong() are, whose callback may stand in any place. For
    who was called by these."""
    if callable(data):
        data, callback = None, data
    elif callable(options):
        options, callback = None, options
    elif callable(silent):
        silent, callback = False, silent
    return data, mask_option(f'{kind}()', options, depth=2), silent, callback


def key_maker(generate: Optional[Callback], owner: object) -> Callable[[], bytes]:
    """What returns the next mask key: it is what the option ``generateMask`` of `owner` fills in, if that is given.

    Where that fails, a frame has to go out all the same: with a key as it would have without the option.
    """
    if generate is None:
        return new_mask_key
    fill = fitted(generate, owner)

    def new_key() -> bytes:
        key = bytearray(KEY_SIZE)
        try:
            fill(key)
            if len(key) != KEY_SIZE:
                raise ValueError(f'generateMask must leave {KEY_SIZE} bytes, not {len(key)}')
        except BaseException:
            report_exception()
            return new_mask_key()
        return bytes(key)

    return new_key


def close_reason(code: Optional[int], data: Union[str, bytes, None]) -> bytes:
    """The reason as bytes; raises WebSocketError for a code or reason that no close frame may carry."""
    if code is not None and not is_valid_error_code(code):
        raise WebSocketError('first argument must be a valid error code number')
    try:
        return reason_payload(data)
    except UnicodeError:
        raise WebSocketError('the reason must be UTF-8') from None
    except (TypeError, ValueError) as error:
        raise WebSocketError(str(error)) from None
