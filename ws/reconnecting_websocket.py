"""ReconnectingWebSocket: one WebSocket after another, for programs that want a lasting connection. What users call,
from any thread; what the loop calls is in reconnecting/lasting.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union, overload

from .connection import CLOSED, CLOSING, CONNECTING, OPEN
from .event_target import EventTarget
from .net.face import Socket
from .net.stream import HIGH_WATER_MARK
from .options import RECONNECTING_OPTIONS, Options, merge
from .protocol.http import Response
from .protocol.receiver import MessageFlags
from .protocol.sender import control_payload
from .receiving import check_binary_type
from .reconnecting.attempts import Attempt
from .reconnecting.backlog import Message, MessageInPieces
from .reconnecting.lasting import Lasting
from .sending import close_reason, control_arguments, message_options
from .typing import (
    BinaryType,
    Callback,
    ControlOptions,
    Data,
    Payload,
    ProtocolSource,
    ReconnectingKeywords,
    ReconnectingOptions,
    SendOptions,
    StreamCallback,
    StreamOptions,
    Unpack,
    URLSource,
)
from .websocket import WebSocket

if TYPE_CHECKING:
    from ._attaching import AttachToWebSocket, OnWebSocket

R = TypeVar('R', bound='ReconnectingWebSocket')

_NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1


class ReconnectingWebSocket(Lasting, EventTarget):
    """A client that connects again whenever its connection has ended, like the npm package reconnecting-websocket.

    ``ReconnectingWebSocket(url, [protocols], [options])``: `url` and `protocols` are what :class:`WebSocket` takes, or
    functions without arguments that return it. Functions are called before each attempt, on a thread of their own, and
    may block. Options, as a dict or as keywords, beside those of :class:`WebSocket`, which each connection gets, except
    ``executor``:

    - ``minReconnectionDelay`` (milliseconds, 1000): the least time between the end of a connection and the next
      attempt. ``jitter`` (number, 4): a random part of this many times that is added. ``reconnectionDelayGrowFactor``
      (number, 1.3): the factor by which the delay grows with each attempt, up to ``maxReconnectionDelay``
      (milliseconds, 10000).
    - ``minUptime`` (milliseconds, 5000): after a connection that lasted this long, attempts are counted from 0 again.
    - ``maxRetries`` (int, infinite): attempts after the first one, or after a connection that lasted.
    - ``connectionTimeout`` (milliseconds, 4000; 0: none): for one attempt, from asking for the URL to the server's
      answer.
    - ``maxEnqueuedMessages`` (int, infinite): messages kept while there is no connection.
    - ``startClosed`` (bool, False): don't connect before :meth:`reconnect` is called.
    - ``terminalCodes`` (an iterable of int, or a function ``(code, reason)`` that returns whether it is so; none):
      close codes after which it does not connect again.

    Raises what :class:`WebSocket` raises, for options that could never work; and TypeError for coroutine functions.

    Events are those of a WebSocket, except that ``open`` and ``close`` come again and again. Each attempt ends with one
    ``close``, which may come after an ``error``; ``readyState`` is CLOSED in the last one, and CONNECTING if another
    attempt follows. As long as one does, an ``error`` of the network or the server is logged, and not reported if
    nobody listens; all others are reported like those of a WebSocket.

    A message is sent at most once: what was given to a connection is not sent again over the next one.

    Every method may be called from any thread; off the loop thread it returns at once, and that thread does the work.
    """

    if TYPE_CHECKING:
        # What they are given depends on the event.
        @property
        def on(self: R) -> OnWebSocket[R]: ...  # type: ignore[override]
        @property
        def once(self: R) -> OnWebSocket[R]: ...  # type: ignore[override]
        @property
        def addListener(self: R) -> AttachToWebSocket[R]: ...  # type: ignore[override]
        @property
        def prependListener(self: R) -> AttachToWebSocket[R]: ...  # type: ignore[override]
        @property
        def prependOnceListener(self: R) -> AttachToWebSocket[R]: ...  # type: ignore[override]

    _emits = WebSocket._emits

    CONNECTING = CONNECTING
    OPEN = OPEN
    CLOSING = CLOSING
    CLOSED = CLOSED

    @overload
    def __init__(
        self,
        url: URLSource,
        protocols: ProtocolSource = None,
        options: Optional[ReconnectingOptions] = None,
        **keywords: Unpack[ReconnectingKeywords],
    ) -> None: ...
    @overload
    def __init__(
        self, url: URLSource, options: ReconnectingOptions, /, **keywords: Unpack[ReconnectingKeywords]
    ) -> None: ...
    def __init__(
        self,
        url: URLSource,
        protocols: Union[ProtocolSource, Mapping[str, Any]] = None,
        options: Optional[Mapping[str, Any]] = None,
        **keywords: Any,
    ) -> None:
        if isinstance(protocols, Mapping):
            protocols, options = None, protocols
        super().__init__(url, protocols, merge('ReconnectingWebSocket', RECONNECTING_OPTIONS, options, keywords))

    # -- attributes --------------------------------------------------------------------------------------------------

    @property
    def shouldReconnect(self) -> bool:
        """Whether it connects again: True from the start, or from :meth:`reconnect`, until :meth:`close`, a terminal
        code, or the last of ``maxRetries``."""
        return self._wanted

    @property
    def protocol(self) -> Optional[str]:
        """The sub-protocol in use, or None."""
        connection = self._connection
        return None if connection is None else connection.protocol

    @property
    def _socket(self) -> Optional[Socket]:
        """As that of a WebSocket, of this connection."""
        attempt = self._attempt
        return attempt._socket if isinstance(attempt, Attempt) else None

    @property
    def upgradeRes(self) -> Optional[Response]:
        """The response that opened this connection, from its event ``upgrade`` on."""
        attempt = self._attempt
        return attempt.upgradeRes if isinstance(attempt, Attempt) else None

    @property
    def binaryType(self) -> BinaryType:
        """As :attr:`WebSocket.binaryType`, for this connection and all that follow."""
        return self._binary_type

    @binaryType.setter
    def binaryType(self, value: BinaryType) -> None:
        check_binary_type(value)
        self._binary_type = value
        attempt = self._attempt
        if isinstance(attempt, Attempt):
            attempt.binaryType = value

    @property
    def protocolVersion(self) -> Any:
        """13 or 8, as the option says."""
        return self.options.protocolVersion

    @property
    def extensions(self) -> str:
        """The extensions in use: 'permessage-deflate', or ''."""
        connection = self._connection
        return '' if connection is None else connection.extensions

    @property
    def supports(self) -> Options:
        """What this connection can do: ``supports.binary``."""
        return Options(binary=True)

    @property
    def bytesReceived(self) -> int:
        """Bytes received over this connection since its opening handshake, frame headers included."""
        connection = self._connection
        return 0 if connection is None else connection.bytesReceived

    @property
    def bufferedAmount(self) -> int:
        """Bytes given to :meth:`send` that wait for a connection, or for the kernel to take them."""
        connection = self._connection
        return self._waiting + (0 if connection is None else connection.bufferedAmount)

    @property
    def isPaused(self) -> bool:
        """Whether :meth:`pause` has been called, but not :meth:`resume` since."""
        return self._paused

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(
        self,
        data: Data = None,
        options: Union[SendOptions, MessageFlags, Callback, None] = None,
        callback: Optional[Callback] = None,
        *,
        binary: Optional[bool] = None,
        mask: Optional[bool] = None,
        compress: bool = True,
        fin: bool = True,
    ) -> bool:
        """Send a message, now or when there is a connection; arguments as for :meth:`WebSocket.send`. Returns whether
        it was sent and little is waiting; otherwise ``drain`` is emitted when nothing is waiting any longer.

        At most ``maxEnqueuedMessages`` wait for a connection. They are sent in order before ``open`` is emitted.
        ``callback(error)`` runs once; the error is a :class:`WebSocketError` if there were too many, or
        :class:`NotOpenError` if no connection came before :meth:`close` or another end, or if one was lost before the
        kernel had the data. Raises TypeError and ValueError as :meth:`WebSocket.send` does, but never for the state.
        """
        if callable(options):
            callback, options = options, None
        if options is not None:
            binary, mask, compress, fin = message_options('send()', options, binary, mask, compress, fin)
        if callback is not None:
            callback = self._callback(callback)
        return self._send_soon(Message(data, callback, binary, mask, compress, bool(fin)))

    def stream(
        self,
        options: Union[StreamOptions, MessageFlags, StreamCallback, None] = None,
        callback: Optional[StreamCallback] = None,
        *,
        binary: Optional[bool] = None,
        mask: Optional[bool] = None,
        compress: bool = True,
    ) -> None:
        """Send a message in pieces; arguments as for :meth:`WebSocket.stream`. It waits for a connection, as those of
        :meth:`send` do; a message that has begun ends with its connection.

        Raises TypeError without a callback.
        """
        if callable(options):
            callback, options = options, None
        if callback is None:
            raise TypeError('callback must be provided')
        if options is not None:
            binary, mask, compress, _ = message_options('stream()', options, binary, mask, compress)
        self._send_soon(MessageInPieces(self._callback(callback), binary, mask, compress))

    def _send_soon(self, message: Message) -> bool:
        if self._loop.in_thread():
            return self._send(message)
        message.keep()
        self._count(message.size)
        self._loop.call(self._send_handed_in, message)
        if self._connection is not None and self.bufferedAmount <= HIGH_WATER_MARK:
            return True
        self._loop.call(self._owe_drain)
        return False

    def ping(
        self,
        data: Union[Payload, Callback] = None,
        options: Union[ControlOptions, bool, Callback, None] = None,
        dontFailWhenClosed: Union[bool, Callback] = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send a ping, if the connection is open; arguments as for :meth:`WebSocket.ping`. It never waits: without a
        connection, ``callback(error)`` gets a :class:`NotOpenError`, and nothing else happens. Raises TypeError and
        ValueError for `data`."""
        self._send_control('ping', data, options, dontFailWhenClosed, callback)

    def pong(
        self,
        data: Union[Payload, Callback] = None,
        options: Union[ControlOptions, bool, Callback, None] = None,
        dontFailWhenClosed: Union[bool, Callback] = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send an unsolicited pong, as :meth:`ping` does a ping."""
        self._send_control('pong', data, options, dontFailWhenClosed, callback)

    def _send_control(self, kind: str, data: Any, options: Any, silent: Any, callback: Optional[Callback]) -> None:
        data, mask, _, callback = control_arguments(kind, data, options, silent, callback)
        told = None if callback is None else self._callback(callback)
        self._run(self._send_control_now, kind, control_payload(data), mask, told)

    # -- pausing -----------------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading, on this connection and all that follow: no ``message`` until :meth:`resume`."""
        self._run(self._pause, True)

    def resume(self) -> None:
        """Go on reading."""
        self._run(self._pause, False)

    # -- ending, and beginning anew ----------------------------------------------------------------------------------

    def close(
        self, code: Optional[int] = None, data: Union[str, bytes, None] = None, options: Optional[object] = None
    ) -> None:
        """Close the connection, with this code and reason, and make no other one. ``close`` follows, for the last time.

        Arguments as for :meth:`WebSocket.close`; raises :class:`WebSocketError` for wrong ones, and then does nothing
        else. What was sent before goes out first if the connection is open; otherwise it is dropped. Between two
        attempts, ``close`` comes with 1006. Nothing happens if ``readyState`` is CLOSED.
        """
        self._run(self._stop, 'close', _NORMAL_CLOSURE if code is None else code, close_reason(code, data))

    def terminate(self) -> None:
        """Close the connection at once, without a closing handshake, and make no other one."""
        self._run(self._stop, 'terminate')

    def reconnect(self, code: Optional[int] = None, reason: Union[str, bytes, None] = None) -> None:
        """Connect at once, also after :meth:`close`, and count attempts from 0 again.

        For the listeners, the present attempt or connection, if any, ends now, with a ``close`` of `code` (1000 if
        None) and `reason`. Its closing handshake goes on without them, for up to ``closeTimeout``. Raises
        :class:`WebSocketError` for a code or reason that no close frame may carry.
        """
        text = close_reason(code, reason).decode()
        self._summoned = True
        self._hold()  # the process must not end before the loop has come to it
        self._run(self._reconnect, _NORMAL_CLOSURE if code is None else code, text)
