"""What becomes of a connection, on the loop thread: it opens, messages come in, it ends. What a user calls is in
websocket.py."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Optional, Union

from .client.opening import ClientOpening
from .delivery import Emitter, report
from .errors import HandshakeError, NotOpenError, ProtocolError, WebSocketError
from .heartbeat import Heartbeat, shared_heartbeat
from .metrics import Traffic
from .net.stream import Stream
from .net.timers import Timer
from .options import Options, count, flag, milliseconds
from .pool import Order
from .protocol import hixie
from .protocol.http import Request, Response
from .protocol.permessage_deflate import PerMessageDeflate
from .protocol.receiver import BaseReceiver, MessageFlags, Receiver
from .protocol.sender import Sender
from .receiving import Incoming, made_of
from .sending import Outgoing, key_maker
from .typing import BinaryType

CONNECTING, OPEN, CLOSING, CLOSED = range(4)
STATES = ('CONNECTING', 'OPEN', 'CLOSING', 'CLOSED')

NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1
_GOING_AWAY = 1001
_ABNORMAL_CLOSURE = 1006
_INTERNAL_ERROR = 1011

_log = logging.getLogger('ws')


class HandedOver(NamedTuple):
    """What a server makes its end of a connection from."""

    request: Request
    stream: Stream
    #: What was read beyond the request.
    head: bytes
    #: The options that all of a server's connections have in common.
    shared: Optional[Options] = None
    #: What was agreed upon.
    version: Any = 13
    protocol: Optional[str] = None
    deflate: Optional[PerMessageDeflate] = None


class Connection(Emitter):
    """One connection, as a client or as a server's end of it.

    Its methods belong to the loop thread, except those that say otherwise.
    """

    #: The request that opened this connection, on a server's end; None on a client, which its type doesn't insist on.
    upgradeReq: Union[Request, Any] = None
    #: The response that opened this connection, on a client, from its event ``upgrade`` on; None on a server's end.
    upgradeRes: Union[Response, Any] = None
    #: Whether messages are wanted that come in after close(), up to the peer's close frame. A stream may set it.
    _reads_to_end = False

    def __init__(self, settings: Options, is_server: bool, version: Any) -> None:
        super().__init__()
        self._settings = settings  # never changed: a server's connections share them
        self._is_server = is_server
        self._close_timeout = milliseconds(settings, 'closeTimeout')
        #: CONNECTING, OPEN, CLOSING or CLOSED.
        self.readyState: int = CONNECTING
        #: The sub-protocol in use, or None.
        self.protocol: Optional[str] = None
        #: 13 or 8; on a server's end 'hixie-76', too.
        self.protocolVersion: Any = version
        self._deflate: Optional[PerMessageDeflate] = None  # if it is in force
        #: The network stream, once there is one.
        self._stream: Optional[Stream] = None
        self._incoming = Incoming(self._make_receiver())
        self._binary_type: BinaryType = 'nodebuffer'  # as it was set; the loop thread may not know of it yet
        self._opening: Optional[ClientOpening] = None
        self._close_timer: Optional[Timer] = None
        self._close_frame: Optional[tuple[int, str]] = None  # the peer's
        self._may_fail = True  # until there was the one `error` of the connection, or an end that is none
        self._head_bytes = self._head_bytes_sent = 0
        self._began = time.monotonic()
        self._heartbeat: Optional[Heartbeat] = None  # while it is open, if there is to be one
        self._outgoing: Optional[Outgoing] = None  # once it is open
        self._sent_too_late = 0  # bytes
        # Told when this connection has ended, before the listeners are.
        self._on_closed: tuple[Callable[[Any], object], ...] = ()

    @functools.cached_property
    def options(self) -> Options:
        """All options, with their defaults; on a server's end those of connections, and what was agreed upon."""
        if not self._is_server:
            return self._settings
        agreed = {'protocolVersion': self.protocolVersion, 'protocol': self.protocol}
        return Options(self._settings, **agreed, perMessageDeflate=self._deflate)

    # -- opening -------------------------------------------------------------------------------------------------------

    def _make_receiver(self) -> BaseReceiver:
        settings = self._settings
        max_payload = count(settings, 'maxPayload')
        receiver: BaseReceiver
        if self._is_hixie:
            receiver = hixie.Receiver(max_payload)
        else:
            masked: Optional[bool] = self._is_server  # RFC 6455 section 5.1
            if self._is_server and settings.allowUnmasked:
                masked = None
            receiver = Receiver(masked, max_payload, count(settings, 'maxFragments'))
        receiver.ontext = receiver.onbinary = self._on_message
        receiver.onexception = self._raised
        receiver.onping = self._on_ping if flag(settings, 'autoPong') else self._on_unanswered_ping
        receiver.onpong = self._on_pong
        receiver.onclose = self._on_close_frame
        receiver.onerror = self._on_protocol_error
        return receiver

    def _adopt(self, given: HandedOver) -> None:
        self.upgradeReq = given.request
        self.protocol = given.protocol
        self._head_bytes = given.stream.bytes_read - len(given.head)
        self._hold()
        self._use(given.stream, given.deflate)
        self._enter(OPEN)
        # Not before those who are told of this connection have attached their listeners.
        self._loop.defer(self._incoming.start, given.head)

    def _begin(self) -> None:
        if not self._is_server:
            self._hold()
            self._loop.call(self._start_opening)

    def _start_opening(self) -> None:
        if self._opening is not None:
            self._opening.start(self._settings.handshakeTimeout)
        elif self.readyState == CLOSED:  # a subclass's constructor has ended it
            self._end_of_events()

    def _on_handshake(
        self, stream: Stream, protocol: Optional[str], deflate: Optional[PerMessageDeflate], rest: bytes
    ) -> None:
        self._opening = None
        self._head_bytes = stream.bytes_read - len(rest)
        self._use(stream, deflate)
        self.protocol = protocol
        self._enter(OPEN)
        if self._settings.pingInterval:
            self._join(shared_heartbeat(self._loop, self._settings.pingInterval, self._settings.pingTimeout))
        _log.debug('%r: open', self)
        self._deliver('open')
        self._incoming.start(rest)

    def _on_handshake_failure(self, error: BaseException) -> None:
        self._opening = None
        self._enter(CLOSING)
        self._deliver('error', error)
        self._finish()

    def _use(self, stream: Stream, deflate: Optional[PerMessageDeflate]) -> None:
        self._stream = stream
        self._deflate = deflate
        sender: Union[Sender, hixie.Sender]
        receiver = self._incoming.receiver
        if isinstance(receiver, Receiver):
            new_key = key_maker(self._settings.get('generateMask'), self)
            sender = Sender(stream, deflate and deflate.deflater, new_key)
            receiver.inflater = deflate and deflate.inflater
        else:
            sender = hixie.Sender(stream)
        limit = self._settings.maxBufferedAmount
        self._outgoing = Outgoing(self._loop, self._lock, stream, sender, not self._is_server, limit, self)
        self._head_bytes_sent = stream.bytes_written
        self._began = time.monotonic()
        self._incoming.use(stream)
        stream.on_end = self._on_end
        stream.on_close = self._on_stream_closed

    def _use_order(self, order: Order) -> None:
        """Have listeners and callbacks called in `order`, on its pool."""
        with self._lock:
            self._order = order
            self._route_messages()  # a subclass's constructor may have attached one
        order.on_much = self._hold_reading
        order.on_refused = self._close_as_failed

    # -- what is received, and when ------------------------------------------------------------------------------------

    def _changed(self, event: Optional[str]) -> None:
        if event is None or event == 'message':
            self._route_messages()

    def _route_messages(self) -> None:
        """Have the receiver call the only listener itself, as long as there is just one. Called under the lock."""
        if self.readyState != CLOSED:
            listener = self._only_listener('message') if self.readyState == OPEN else None
            self._incoming.route(listener, self._on_message, self._on_message_to_be_made)

    def _enter(self, state: int) -> None:
        with self._lock:
            self.readyState = state
            self._route_messages()

    def _hand_over_as(self, binary_type: str) -> None:
        with self._lock:
            self._incoming.binary_type = binary_type
            self._route_messages()

    def _on_message(self, data: Union[str, bytes], flags: MessageFlags) -> None:
        if self.readyState == OPEN or self._reads_to_end:  # else what comes in after close() is nobody's business
            self._deliver('message', data, flags)

    def _on_message_to_be_made(self, data: Union[bytes, list[bytes]], flags: MessageFlags) -> None:
        """A binary one, and ``binaryType`` is not the usual one."""
        may_wait = self._kept is not None or self._order is not None
        made = data if may_wait else self._incoming.made_of(data)
        self._on_message(made, flags)  # type: ignore[arg-type]  # only the listeners care

    def _as_of_now(self, event: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """While messages wait, for listeners or for a pool, ``binaryType`` may be set."""
        if event == 'message' and not isinstance(args[0], str):
            return (made_of(self._binary_type, args[0]), *args[1:])
        return args

    def _on_ping(self, data: bytes, flags: MessageFlags) -> None:
        if self.readyState == OPEN:
            assert self._outgoing is not None
            self._outgoing.answer_ping(data)
            self._deliver('ping', data, flags)

    def _on_unanswered_ping(self, data: bytes, flags: MessageFlags) -> None:
        """Without ``autoPong``."""
        if self.readyState == OPEN:
            self._deliver('ping', data, flags)

    def _on_pong(self, data: bytes, flags: MessageFlags) -> None:
        if self.readyState == OPEN:
            self._deliver('pong', data, flags)

    def _pause_reading(self, paused: bool) -> None:
        if self.readyState == OPEN or self._reads_to_end or not paused:
            # Else it was closed on the way here, and must be read to its end.
            self._incoming.pause(paused)
            if self._kept is not None:  # not in the middle of a listener
                self._loop.defer(self._kept.hand_over)

    def _pause_with(self, order: Order) -> None:
        """As `order` says now: two threads may have called pause() and resume() at once."""
        self._pause_reading(order.paused)

    def _is_paused(self) -> bool:
        return self._incoming.paused and self.readyState == OPEN

    def _hold_reading(self, hold: bool) -> None:
        kept, order = self._kept, self._order
        self._incoming.hold(hold or (kept is not None and kept.is_full) or (order is not None and order.is_full))

    # -- what can't be sent --------------------------------------------------------------------------------------------

    def _complain(self, error: Exception) -> None:
        if self.readyState in (CONNECTING, OPEN):  # else `close` says enough
            self._deliver('error', error)

    def _complain_of_file(self, error: Optional[BaseException]) -> None:
        """A file that was sent without a callback could not be read. If the connection ended first, `close` says so."""
        if error is not None and not isinstance(error, NotOpenError) and self.readyState != CLOSED:
            if self.readyState != OPEN:  # it could not be completed, so the connection ends
                self._may_fail = False
            self._deliver('error', error)

    def _on_broken(self) -> None:
        """A message that has begun can't be completed."""
        if self.readyState == OPEN:
            self._close(_INTERNAL_ERROR, b'')

    def _on_overrun(self) -> None:
        """The peer reads more slowly than we send: more is waiting than ``maxBufferedAmount``."""
        error = WebSocketError('maxBufferedAmount exceeded')
        _log.warning('%s: %s', repr(self), error)
        self._leave_open()
        self._incoming.receiver.cleanup()
        assert self._stream is not None
        self._stream.destroy(error)

    def _on_drain(self) -> None:
        if self.readyState == OPEN:
            self._deliver('drain')

    # -- closing -------------------------------------------------------------------------------------------------------

    def _want_no_more(self) -> None:
        """Nobody wants the messages any more that have been read, and wait for listeners."""
        if self._order is not None and not self._reads_to_end:
            self._order.silence()

    def _close(self, code: int, reason: bytes) -> None:
        if self.readyState == CONNECTING:
            self._terminate()
        elif self.readyState == OPEN:
            self._want_no_more()
            self._leave_open()
            _log.debug('%r: closing with %d', self, code)
            assert self._outgoing is not None
            self._outgoing.close(code, reason)
            if not self._reads_to_end:  # otherwise the stream must go on
                # If it was paused, the peer's answer would never be seen.
                self._incoming.pause(False)
            self._expect_end()

    def _close_as_failed(self) -> None:
        if self.readyState == OPEN:
            self._close(_INTERNAL_ERROR, b'')

    def _end_without_close_frame(self, error: Optional[Exception]) -> None:
        """No close frame could carry what :meth:`close` was given; `error` says so, if somebody listens."""
        if self.readyState in (CLOSING, CLOSED):  # it ended on the way here, and close() changes nothing
            return
        self._may_fail = False
        if self.readyState == CONNECTING:
            self._terminate()
        else:
            self._leave_open()
            self._incoming.pause(False)
            self._end_sending()
        if error is not None:
            self._deliver('error', error)

    def _on_protocol_error(self, error: ProtocolError, code: int) -> None:
        """Fail the connection (RFC 6455 section 7.1.7)."""
        assert self._stream is not None and self._outgoing is not None
        was_open = self.readyState == OPEN
        self._leave_open()
        if was_open:
            self._outgoing.close(code, b'')
        self._end_sending()
        if was_open:
            self._deliver('error', error, code)
        elif self._may_fail:
            self._deliver_if_heard(error, code)
        self._may_fail = False

    def _on_close_frame(self, code: int, reason: str, flags: MessageFlags) -> None:
        assert self._stream is not None and self._outgoing is not None
        self._close_frame = (code, reason)
        self._may_fail = False
        if self.readyState == OPEN:
            self._leave_open()
            self._outgoing.answer_close(code, reason)
        self._end_sending()

    def _leave_open(self) -> None:
        """From here on, no data is sent (RFC 6455 section 5.5.1)."""
        if self.readyState in (CLOSING, CLOSED):
            return
        self._enter(CLOSING)
        if self._outgoing is not None:
            self._outgoing.end()
        if self._heartbeat is not None:
            self._heartbeat.forget(self)
            self._heartbeat = None

    def _end_sending(self) -> None:
        """Nothing is to be sent but what is queued."""
        assert self._stream is not None
        self._stream.end()
        self._expect_end()

    def _expect_end(self) -> None:
        """The peer gets ``closeTimeout`` to do its part."""
        if self._close_timer is None and self._close_timeout:
            self._close_timer = self._loop.call_later(self._close_timeout, self._on_close_timeout)

    def _on_close_timeout(self) -> None:
        _log.info('%r: not ended within %s ms (closeTimeout)', self, self._close_timeout)
        self._terminate()

    def _terminate(self) -> None:
        if self._incoming.paused:  # `close` must not wait for resume()
            self._want_no_more()
        self._leave_open()
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
            self._loop.defer(self._give_up)
        elif self._stream is not None:
            self._may_fail = False
            self._incoming.receiver.cleanup()
            self._stream.flush_early()
            self._stream.destroy()

    def _give_up(self) -> None:
        """It was closed while it was CONNECTING: as in browsers, an attempt that fails."""
        if self._may_fail:
            self._may_fail = False
            self._deliver_if_heard(HandshakeError('WebSocket was closed before the connection was established'))
        self._finish()

    def _on_end(self) -> None:
        """The peer has finished sending, with or without a close frame: nobody waits until it has read everything."""
        assert self._stream is not None
        self._leave_open()
        self._may_fail = False
        self._end_sending()
        self._stream.flush_early()
        self._loop.defer(self._finish)
        self._loop.settle()

    def _on_stream_closed(self, error: Optional[Exception]) -> None:
        self._leave_open()
        if error is not None and self._may_fail:
            self._may_fail = False
            self._deliver_if_heard(error)
        self._loop.defer(self._finish)  # behind the callbacks of what could not be sent
        self._loop.settle()

    def _finish(self) -> None:
        if self.readyState != CLOSED:
            self._end()
        if self._stream is None or self._stream.closed:  # else it is still sending
            if self._close_timer is not None:
                self._close_timer.cancel()
            self._end_of_events()

    def _end(self) -> None:
        """The one end of every connection."""
        self._enter(CLOSED)
        self._incoming.receiver.cleanup()
        if self._deflate is not None:
            self._deflate.deflater.cleanup()
        code, message = self._how_it_ended
        self._log_end(code, message)
        for tell in self._on_closed:
            tell(self)
        self._deliver('close', code, message)

    def _when_closed(self, tell: tuple[Callable[[Any], object], ...]) -> bool:
        """Have each of `tell` called with this, on the loop thread, when it has ended; False if it has. From any
        thread. (The same tuple for many connections costs none of them anything.)"""
        with self._lock:
            if self.readyState == CLOSED:
                return False
            self._on_closed += tell
            return True

    @property
    def _how_it_ended(self) -> tuple[int, str]:
        return self._close_frame or (_ABNORMAL_CLOSURE, '')

    def _past_end(self) -> Optional[int]:
        """The code of ``close``, if that has been emitted. On the loop thread."""
        is_past = self.readyState == CLOSED and (self._kept is None or not self._kept.waiting)
        return self._how_it_ended[0] if is_past else None

    # -- silent peers --------------------------------------------------------------------------------------------------

    def _join(self, heartbeat: Heartbeat) -> None:
        """Be looked after by `heartbeat` while this is open."""
        if not self._is_hixie:  # Hixie-76 has no pings
            self._heartbeat = heartbeat
            heartbeat.watch(self)

    def _progress(self) -> Optional[tuple[int, int]]:
        return self._stream.progress if self._stream is not None else None

    def _on_vanished(self) -> None:
        _log.info('%r: silent after a ping for %s ms (pingTimeout)', self, self._settings.pingTimeout)
        self._terminate()

    def _probe(self) -> None:
        assert self._outgoing is not None
        self._outgoing.send_control('ping', b'', not self._is_server, None)

    # -- for the operator ----------------------------------------------------------------------------------------------

    @property
    def bytesReceived(self) -> int:
        """Bytes received since the opening handshake, frame headers included."""
        return self._stream.bytes_read - self._head_bytes if self._stream is not None else 0

    @property
    def _is_hixie(self) -> bool:
        return self._is_server and bool(self.protocolVersion == hixie.VERSION)

    def _log_end(self, code: int, message: str) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            traffic = self._count()
            _log.debug(
                '%r: close %d %r, after %.3f s, %d bytes received, %d sent',
                self,
                code,
                message,
                time.monotonic() - self._began,
                traffic.bytes_received,
                traffic.bytes_sent,
            )

    def _count(self) -> Traffic:
        if self._stream is None or self._outgoing is None:
            return Traffic(0, 0, 0, 0, 0)
        return Traffic(
            self._incoming.receiver.messages,
            self._outgoing.messages,
            self.bytesReceived,
            max(0, self._stream.bytes_sent - self._head_bytes_sent),
            self._outgoing.buffered,
        )

    def _report_unheard(self, error: BaseException) -> None:
        if self._is_server and isinstance(error, ProtocolError):
            # No fault of this program's: whoever can connect could fill its reports, and would have no name in them.
            _log.warning('%s: %s (%d)', repr(self), error, error.closeCode)  # now it has its address
        elif self._is_server:  # what a peer does must not decide what status a server ends with
            report(error)
        else:
            super()._report_unheard(error)

    # -- what the loop asks for ----------------------------------------------------------------------------------------

    def _listener_failed(self, args: tuple[Any, ...]) -> None:
        self._want_no_more()
        self._run(self._close_as_failed)

    def shutdown(self) -> None:
        """The process is about to exit."""
        if self._kept is not None:
            self._kept.keep_no_longer()
        if self.readyState == CLOSED:
            self._release()
        else:
            if self.readyState == CONNECTING:
                self._may_fail = False  # nobody has given it up
            self._close(_GOING_AWAY, b'')

    def fail(self, error: BaseException) -> None:
        """The loop has lost its sockets."""
        if self._opening is not None:
            self._opening.fail(error)
        elif self.readyState == CLOSED:
            self._release()
        elif self._stream is not None:
            self._stream.destroy(error if isinstance(error, Exception) else None)

    def abandon(self) -> None:
        """This is the child after a fork: the connection is the parent's."""
        super().abandon()
        self.readyState = CLOSED
        if self._outgoing is not None:
            self._outgoing.abandon()
        if self._opening is not None:
            self._opening.abandon()
        if self._stream is not None:
            self._stream.abandon()
