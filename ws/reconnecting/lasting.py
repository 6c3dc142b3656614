"""What becomes of a ReconnectingWebSocket, on the loop thread: one attempt after another, and what waits for one that
succeeds. What users call is in reconnecting_websocket.py."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

from ..client.request import ClientRequest
from ..connection import CLOSED, CLOSING, CONNECTING, OPEN, STATES
from ..delivery import Emitter
from ..errors import NotOpenError, WebSocketError
from ..events import check_callable, fitted
from ..net.lifetime import get_loop
from ..net.timers import Timer
from ..options import CLIENT_OPTIONS, Options, deflate_options, flag, milliseconds
from ..pool import pool_of
from ..protocol.url import URLObject, url_text, without_credentials
from ..receiving import made_of
from ..typing import BinaryType, ProtocolSource, URLSource
from ..websocket import WebSocket
from .attempts import Asking, Attempt
from .backlog import Backlog, Message
from .rules import limit, number, reconnection_delay, shorter, terminal

_GOING_AWAY = 1001  # RFC 6455 section 7.4.1
_ABNORMAL_CLOSURE = 1006

_log = logging.getLogger('ws')


class Lasting(Emitter):
    """A connection that lasts: whenever one has ended, another attempt is made.

    Its methods belong to the loop thread, except those that say otherwise, and the public ones.
    """

    def __init__(self, url: URLSource, protocols: ProtocolSource, options: Options) -> None:
        super().__init__()
        #: All options, with their defaults.
        self.options: Options = options
        self._deflate = deflate_options(options, depth=2)  # here: its warnings name who called this
        self._url_source = url
        self._protocol_source = options.protocols if protocols is None else protocols
        #: The URL of the latest attempt; None until a function has returned one.
        self.url: Optional[str] = None if callable(url) else url_text(url)
        self._max_retries = limit(options, 'maxRetries')
        self._is_terminal = terminal(options.terminalCodes)
        self._check_options()
        self._wanted = not flag(options, 'startClosed')
        self._summoned = False  # reconnect() has been called on another thread, and is on its way
        self._retries = -1  # the number of the latest attempt; of the first one it is 0
        self._attempt: Union[Asking, Attempt, None] = None
        self._timer: Optional[Timer] = None  # while it waits between two attempts
        self._telling_close = False  # its listeners are being called
        self._opened: Optional[float] = None  # when the connection was opened, while there is one
        self._binary_type: BinaryType = 'nodebuffer'
        self._paused = False
        self._held = False  # too much is kept for listeners that aren't there yet
        self._backlog = Backlog(limit(options, 'maxEnqueuedMessages'))
        self._waiting = 0  # bytes in it, and on their way to the loop thread
        self._drain_owed = False
        self._begun_over: Optional[Attempt] = None  # where the fragments so far of a message were sent

    def _check_options(self) -> None:
        """Raise now what every attempt would fail with."""
        for name in ('minReconnectionDelay', 'maxReconnectionDelay', 'minUptime', 'connectionTimeout'):
            milliseconds(self.options, name)
        if pool_of(self.options) is not None:
            raise ValueError('executor: the listeners of a ReconnectingWebSocket run on the loop thread')
        number(self.options, 'jitter', 0)
        number(self.options, 'reconnectionDelayGrowFactor', 1)
        for source, name in ((self._url_source, 'url'), (self._protocol_source, 'protocols')):
            if callable(source):
                check_callable(source, name)
        if self.options.finishRequest is not None:
            check_callable(self.options.finishRequest, 'finishRequest')
        protocols = None if callable(self._protocol_source) else self._protocol_source
        # It is complete, and never begins: the metaclass is what has objects do so.
        url = 'ws://localhost/' if self.url is None else self.url
        type.__call__(WebSocket, url, self._connection_options(protocols))

    def _connection_options(self, protocols: Any) -> dict[str, Any]:
        options = {name: self.options[name] for name in CLIENT_OPTIONS}
        if options['finishRequest'] is not None:
            options['finishRequest'] = self._finish_request
        return {**options, 'protocols': protocols, 'perMessageDeflate': self._deflate or False}

    def _finish_request(self, request: ClientRequest) -> None:
        """The user's ``finishRequest`` knows this object, but none of its connections."""
        fitted(self.options.finishRequest, self)(request, self)

    def _begin(self) -> None:
        if not self.options.startClosed:
            self._hold()
            self._run(self._go_on)

    def __repr__(self) -> str:
        return f'<ReconnectingWebSocket {without_credentials(self.url or "")} {STATES[self.readyState]}>'

    @property
    def readyState(self) -> int:
        """OPEN; CONNECTING, also between two attempts; CLOSING; CLOSED if no other attempt follows, until
        :meth:`reconnect` is called."""
        attempt = self._attempt
        if attempt is not None:
            return min(attempt.readyState, CLOSING)  # that it is CLOSED is about to be told
        return CONNECTING if self._wanted else CLOSED

    @property
    def retryCount(self) -> int:
        """The number of the latest attempt or, while waiting, of the next one. It is 0 for the first attempt, and again
        when a connection has lasted ``minUptime``."""
        opened = self._opened
        if opened is not None and time.monotonic() - opened >= self.options.minUptime / 1000:
            return 0
        return max(self._retries, 0)

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send_handed_in(self, message: Message) -> None:
        self._count(-message.size)
        self._send(message)

    def _count(self, size: int) -> None:
        """On any thread."""
        with self._lock:
            self._waiting += size

    def _send(self, message: Message) -> bool:
        connection = self._connection
        if connection is not None and not self._backlog:
            return self._pass_on(message, connection)
        self._drain_owed = True
        if not (self._wanted or self._retries < 0):
            message.drop(self._loop, NotOpenError())
        elif self._backlog.add(message, limited=connection is None):
            self._count(message.size)
        else:
            message.drop(self._loop, WebSocketError('maxEnqueuedMessages exceeded'))
        return False

    def _pass_on(self, message: Message, connection: Attempt) -> bool:
        begun_over = self._begun_over
        self._begun_over = None if message.fin else begun_over or connection
        if begun_over is not None and begun_over is not connection:
            # The fragments before this one went over a connection that has ended.
            message.drop(self._loop, NotOpenError())
            return True
        little = message.send(connection)
        self._drain_owed |= not little
        return little

    def _flush(self, patiently: bool = True) -> None:
        """Send what waits; if `patiently`, no more at a time than the connection can take."""
        connection = self._connection
        little = True
        while self._backlog and connection is not None and (little or not patiently):
            message = self._backlog.take()
            self._count(-message.size)
            little = self._pass_on(message, connection)
            connection = self._connection

    def _drop_backlog(self) -> None:
        while self._backlog:
            message = self._backlog.take()
            self._count(-message.size)
            message.drop(self._loop, NotOpenError())

    def _owe_drain(self) -> None:
        self._drain_owed = True
        self._pay_drain()

    def _pay_drain(self) -> None:
        connection = self._connection
        if self._drain_owed and connection is not None and not self._backlog and connection.is_little():
            self._drain_owed = False
            self._deliver('drain')

    def _send_control_now(
        self, kind: str, payload: bytes, mask: Optional[bool], callback: Optional[Callable[..., object]]
    ) -> None:
        connection = self._connection
        if connection is not None:
            getattr(connection, kind)(payload, mask, True, callback)
        elif callback is not None:
            self._loop.defer(callback, NotOpenError())

    # -- pausing -----------------------------------------------------------------------------------------------------

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        connection = self._connection
        if connection is not None:
            connection._pause_reading(paused)
        if self._kept is not None:  # not in the middle of a listener
            self._loop.defer(self._kept.hand_over)

    def _is_paused(self) -> bool:
        kept = self._kept
        return self._paused and kept is not None and any(one.event == 'message' for one in kept.waiting)

    def _hold_reading(self, hold: bool) -> None:
        self._held = hold
        if isinstance(self._attempt, Attempt):
            self._attempt._hold_reading(hold)

    # -- ending, and beginning anew ----------------------------------------------------------------------------------

    def _stop(self, how: str, *args: Any) -> None:
        """`how` is the method of the attempt that ends it, and `args` its arguments."""
        if self.readyState == CLOSED:
            return
        self._wanted = False
        self._retries = max(self._retries, 0)
        if how == 'close':
            self._flush(patiently=False)
        self._drop_backlog()
        self._stop_waiting()
        if self._attempt is not None:
            getattr(self._attempt, how)(*args)
        elif self._telling_close:  # that is the last one
            self._loop.defer(self._end_of_events)
        else:
            self._loop.defer(self._conclude, _ABNORMAL_CLOSURE, '')

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _reconnect(self, code: int, reason: str) -> None:
        if self._kept is not None and self._retries >= 0 and self.readyState == CLOSED:
            self._kept.keep_no_longer()  # they would take that end for the end of all events
        self._summoned = False
        self._wanted = True
        self._hold()
        self._stop_waiting()
        attempt, self._attempt, self._opened = self._attempt, None, None
        if attempt is not None:
            attempt.leave(code, reason)
            self._deliver('close', code, reason)
        if self._timer is None and self._attempt is None:  # no listener has called this
            self._retries = -1
            self._go_on()

    def _go_on(self) -> None:
        """There is no connection. Make one after a while, unless somebody has decided otherwise."""
        if self._timer is not None or self._attempt is not None:
            return
        if self._wanted:
            self._retries += 1
            delay = reconnection_delay(self.options, self._retries, random.random())
            _log.debug('%r: attempt %d in %.0f ms', self, self._retries, delay)
            self._timer = self._loop.call_later(delay, self._try)
        else:
            self._end_of_events()

    def _try(self) -> None:
        self._timer = None
        asking = self._attempt = Asking(self, self.options.connectionTimeout)
        asking.start(self._url_source, self._protocol_source)

    def _on_answer(self, url: Union[str, URLObject], protocols: Any, timeout: float) -> None:
        """Connect to `url`, within `timeout` milliseconds (0: no limit). Raises what WebSocket does."""
        options = self._connection_options(protocols)
        options['handshakeTimeout'] = shorter(timeout, options['handshakeTimeout'])
        self.url = url_text(url)
        connection = Attempt(self, self.url, options)
        connection._hold_reading(self._held)
        self._attempt = connection
        connection.binaryType = self._binary_type  # behind that: another thread may be setting it

    def _on_event(self, connection: Attempt, event: str, args: tuple[Any, ...]) -> None:
        if event == 'open':
            self._on_open(connection)
        elif event == 'drain':
            self._flush()
            self._pay_drain()
        elif event == 'error':
            self._on_error(*args)
        elif event == 'close':
            self._on_end(connection, *args)
        else:
            self._deliver(event, *args)

    def _on_redirect(self, url: str, request: ClientRequest, then: Callable[[bool], object]) -> None:
        self.url = url
        self._ask('redirect', (url, request), then)

    def _as_of_now(self, event: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if event == 'message' and not isinstance(args[0], str):
            return (made_of(self._binary_type, args[0]), *args[1:])
        return args

    def _on_open(self, connection: Attempt) -> None:
        self._opened = time.monotonic()
        if self._paused:
            connection._pause_reading(True)
        self._flush()
        self._deliver('open')
        self._loop.defer(self._pay_drain)

    def _on_error(self, error: BaseException, *more: Any) -> None:
        """If another attempt follows, that is the answer to an error of the network or the server, whether anybody
        listens or not."""
        if isinstance(error, (OSError, WebSocketError)) and self._may_try_again():
            _log.warning('%s: %s', repr(self), error)
            self._deliver_if_heard(error, *more)
        else:
            self._deliver('error', error, *more)

    def _on_end(self, attempt: Union[Asking, Attempt], code: int, reason: str) -> None:
        if attempt is not self._attempt:  # a listener of its error has called reconnect()
            return
        self._retries = self.retryCount
        self._attempt = self._opened = None
        self._wanted = self._may_try_again() and not self._is_terminal(code, reason)
        if self._wanted:
            self._deliver('close', code, reason)
            self._go_on()
        else:
            self._drop_backlog()
            self._loop.defer(self._conclude, code, reason)  # behind the callbacks of what could not be sent

    def _may_try_again(self) -> bool:
        return self._wanted and self.retryCount < self._max_retries

    def _conclude(self, code: int, reason: str) -> None:
        self._deliver('close', code, reason)
        self._end_of_events()

    def _end_of_events(self, callbacks: Sequence[Callable[[], object]] = ()) -> None:
        if not (self._wanted or self._summoned):
            super()._end_of_events(callbacks)

    # -- what listeners there are ------------------------------------------------------------------------------------

    @property
    def _connection(self) -> Optional[Attempt]:
        """The connection, while it is open. On any thread."""
        attempt = self._attempt
        return attempt if isinstance(attempt, Attempt) and attempt.readyState == OPEN else None

    def _call_listeners(self, event: str, args: tuple[Any, ...], reported: bool = True) -> bool:
        if event != 'close':
            return super()._call_listeners(event, args, reported)
        self._telling_close = True
        try:
            return super()._call_listeners(event, args, reported)
        finally:
            self._telling_close = False

    def _changed(self, event: Optional[str]) -> None:
        attempt = self._attempt
        if isinstance(attempt, Attempt):
            attempt.listeners_changed(event)

    def _listener_failed(self, args: tuple[Any, ...]) -> None:
        connection = self._connection
        if connection is not None:
            connection._listener_failed(args)

    # -- what the loop asks for --------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The process is about to exit."""
        if self._kept is not None:
            self._kept.keep_no_longer()
        if self.readyState == CLOSED:
            self._release()
        else:
            self._stop('close', _GOING_AWAY, b'')

    def fail(self, error: BaseException) -> None:
        """The loop has lost its sockets: the connection ends by itself."""

    def abandon(self) -> None:
        """This is the child after a fork: all that is open is the parent's. :meth:`reconnect` works."""
        super().abandon()
        self._loop = get_loop()
        self._wanted = self._summoned = False
        self._attempt = self._timer = self._opened = self._begun_over = None
        self._backlog.forget()
        self._waiting = 0
        self._held = False
