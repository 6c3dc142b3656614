"""WebSocket: one connection, as a client or as a server's end of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar, Union, overload

from . import sender
from .client.opening import ClientOpening, prepare
from .delivery import Emitter, report
from .errors import HandshakeError, NotOpenError, ProtocolError, WebSocketError
from .event_target import EventTarget
from .events import check_callable, check_listener
from .heartbeat import Heartbeat, shared_heartbeat
from .metrics import Traffic
from .net.face import Socket
from .net.loop import Timer
from .net.stream import Stream
from .options import CLIENT_OPTIONS, SERVER_SIDE_OPTIONS, Options, count, deflate_options, flag, merge, milliseconds
from .pool import Order, pool_of
from .protocol import hixie, receiver
from .protocol.error_codes import ErrorCodeTable
from .protocol.http import Request, Response
from .protocol.permessage_deflate import EXTENSION, PerMessageDeflate
from .protocol.receiver import BaseReceiver, MessageFlags, Receiver
from .protocol.sender import LARGE, Sender, control_payload, message_frame, payload_of
from .protocol.url import URLObject, url_text, without_credentials
from .receiving import Incoming, check_binary_type, made_of
from .sending import Outgoing, close_reason, control_arguments, is_file, key_maker, message_options
from .streams import File, Supplied
from .typing import (
    BinaryType,
    Callback,
    ClientKeywords,
    ClientOptions,
    ConnectionListener,
    ControlOptions,
    Data,
    NoListener,
    Payload,
    SendOptions,
    ServerOptions,
    StreamCallback,
    StreamOptions,
    Unpack,
)

if TYPE_CHECKING:
    from . import websocket_server
    from ._attaching import AttachToWebSocket, OnWebSocket
    from .typing import TypeAlias

W = TypeVar('W', bound='WebSocket')

CONNECTING, OPEN, CLOSING, CLOSED = range(4)
STATES = ('CONNECTING', 'OPEN', 'CLOSING', 'CLOSED')

_NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1
_GOING_AWAY = 1001
_ABNORMAL_CLOSURE = 1006
_INTERNAL_ERROR = 1011

_log = logging.getLogger('ws')


class WebSocket(Emitter, EventTarget):
    """A WebSocket connection (RFC 6455).

    ``WebSocket(address, [protocols], [options])`` connects to `address`, a ``ws:``, ``wss:`` or ``ws+unix:`` URL, a str
    or an object that stands for one. `protocols` is one sub-protocol or a list of them; it may also be an option.
    Options, as a dict or as keywords:

    - ``protocolVersion`` (int, 13): 13, or 8 for the drafts before RFC 6455.
    - ``protocols`` (str or list of str): as the argument, which counts if both are given. ``protocol`` (str):
      sub-protocols, separated by commas, behind those.
    - ``origin`` (str): the ``Origin`` header. ``host`` (str): the ``Host`` header.
    - ``headers`` (dict, or list of pairs): further header lines of the request; values are str, numbers, or lists.
    - ``agent``: connects instead of us; a :class:`ProxyAgent` does so through a proxy. ``agent(request, options)``, or
      ``agent.addRequest`` with these arguments, returns a connected socket, another one each time; it is called on a
      thread of its own, and may block. ``options`` has ``host``, ``port``, ``secure``, ``path``, ``socketPath`` and
      ``timeout`` (milliseconds left; 0: no limit); TLS is added for ``wss:``, unless it is there.
      ``createConnection``: the same as ``createConnection(options)``.
    - ``auth`` (str, 'user:password'): Basic authentication, as the address may have it, too.
    - ``socketPath`` (str or path-like): the UNIX socket to connect to, in place of host and port.
    - ``lookup``: ``lookup(host, options)`` returns the IP addresses of a name, or one; with three parameters,
      ``lookup(host, options, callback)`` calls ``callback(error, addresses)``. It may block. ``family`` (4, 6, or 0):
      connect to IPv4 or IPv6 addresses only. ``localAddress`` (str), ``localPort`` (int): connect from there.
    - ``finishRequest`` (callable): ``finishRequest(request, ws)`` is called when there is a connection, on the loop
      thread; it may change the headers of the request, and has it sent by ``request.end()``, then or later.
    - ``handshakeTimeout`` (milliseconds, 30000; 0: none): for look-up, connection, TLS and the server's answer; of each
      redirect anew. ``followRedirects`` (bool, False): go where the server says. ``maxRedirects`` (int, 10): how often.
    - ``closeTimeout`` (milliseconds, 30000; 0: none): how long the peer may take to end after :meth:`close`.
    - ``autoPong`` (bool, True): answer pings. ``generateMask`` (callable): ``generateMask(mask)`` fills in the 4 bytes,
      a bytearray, with which the next frame is masked; by default they are random ones.
    - ``maxPayload`` (bytes, 100 MiB; 0: none): of one incoming message. ``maxFragments`` (131072; 0: none): its frames.
    - ``pingInterval`` (milliseconds, 0; 0: never): who is silent for so long gets a ping. ``pingTimeout``
      (milliseconds, 20000; 0: no limit): who then is silent for so long is gone, and the connection ends with 1006.
      Whatever comes from the peer counts, and that it takes what is on its way to it.
    - ``executor`` (a ``concurrent.futures.Executor`` with threads, or an int, None): listeners and callbacks run there,
      or on so many threads of our own, one at a time and in order; None: on the loop thread.
    - ``maxBufferedAmount`` (bytes, 0; 0: none): of what was sent and the kernel does not take. Beyond it, the
      connection ends with 1006, and the callbacks of what was not sent get the error.
    - ``perMessageDeflate`` (bool or dict, True): offer to compress messages (RFC 7692). As a dict:
      ``serverNoContextTakeover``, ``clientNoContextTakeover`` (bool): that side compresses each message on its own;
      ``threshold`` (bytes, 1024): and leaves smaller ones as they are; ``serverMaxWindowBits``, ``clientMaxWindowBits``
      (8 to 15; False: not negotiated): that side refers back this many bits far; ``zlibDeflateOptions`` (dict):
      ``level`` (-1 to 9), ``memLevel`` (1 to 9), ``strategy`` (0 to 4), ``dictionary`` (bytes); ``zlibInflateOptions``
      (dict): ``dictionary``. See doc/compression.md.
    - ``ca`` (str, bytes, path or a list), ``cert``, ``key`` (str, bytes or path): TLS, in PEM: contents, not file
      names; a path (``pathlib.Path``) is read. ``passphrase`` (str or bytes), ``ciphers`` (str). ``pfx`` (bytes or
      path): PKCS#12 in place of ``cert`` and ``key``; needs the package cryptography. ``minVersion``, ``maxVersion``
      ('TLSv1.2' or 'TLSv1.3'). ``rejectUnauthorized`` (bool, True): verify the server's certificate. ``servername``
      (str): the name to verify, and to tell the server, in place of the host; '' tells none. ``checkServerIdentity``:
      ``checkServerIdentity(name, certificate)`` verifies the name in place of the usual check, and returns an exception
      or None. ``context`` (ssl.SSLContext): as it is, in place of all but the last two.

    Raises TypeError and ValueError for wrong arguments (``invalid url``, ``unsupported protocol version``),
    :class:`ssl.SSLError` and :class:`OSError` for TLS material that can't be used. What fails later is an ``error``
    event.

    Events, on the loop thread or as ``executor`` says: ``open()``; ``message(data, flags)``, `data` a str or bytes,
    ``flags.binary``, ``flags.masked`` and ``flags.buffer``; ``ping(data, flags)``; ``pong(data, flags)``; ``drain()``,
    see :meth:`send`; ``error(error, code)``, `code` that of a close frame; after it or without it, once and last,
    ``close(code, message)``. On a client, before ``open``: ``redirect(url, request)``, whose listener may change the
    headers of the request that follows, and decides which of them go there; ``upgrade(response)``;
    ``unexpected-response(request, response)``, whose listener takes the place of ``error``, and ends it: by
    :meth:`terminate`, say.

    Every method may be called from any thread; off the loop thread it returns at once and is carried out there.
    """

    # What Node's module exports: there it is this class. Set in __init__.py.
    Receiver: ClassVar[type[receiver.Receiver]]
    Sender: ClassVar[type[sender.Sender]]
    ErrorCodes: ClassVar[ErrorCodeTable]
    createWebSocketStream: ClassVar[Callable[..., Any]]  # the module's has its types
    if TYPE_CHECKING:
        Server: TypeAlias = websocket_server.WebSocketServer

        @staticmethod
        def createServer(
            options: Optional[ServerOptions] = None,
            connectionListener: Optional[ConnectionListener] = None,
            **keywords: Unpack[ServerOptions],
        ) -> websocket_server.WebSocketServer: ...

        @staticmethod
        def connect(address: Union[str, URLObject], openListener: Optional[NoListener] = None) -> WebSocket: ...

        @staticmethod
        def createConnection(
            address: Union[str, URLObject], openListener: Optional[NoListener] = None
        ) -> WebSocket: ...

        # What they are given depends on the event.
        @property
        def on(self: W) -> OnWebSocket[W]: ...  # type: ignore[override]
        @property
        def once(self: W) -> OnWebSocket[W]: ...  # type: ignore[override]
        @property
        def addListener(self: W) -> AttachToWebSocket[W]: ...  # type: ignore[override]
        @property
        def prependListener(self: W) -> AttachToWebSocket[W]: ...  # type: ignore[override]
        @property
        def prependOnceListener(self: W) -> AttachToWebSocket[W]: ...  # type: ignore[override]

    _emits = frozenset((
        'open', 'message', 'ping', 'pong', 'drain', 'error', 'close', 'redirect', 'unexpected-response', 'upgrade',
    ))  # fmt: skip

    CONNECTING = CONNECTING
    OPEN = OPEN
    CLOSING = CLOSING
    CLOSED = CLOSED

    #: The request that opened this connection, on a server's end; None on a client, which its type doesn't insist on.
    upgradeReq: Union[Request, Any] = None
    #: The response that opened this connection, on a client, from its event ``upgrade`` on; None on a server's end.
    upgradeRes: Union[Response, Any] = None
    #: On a client the URL as given, or the one it was redirected to.
    url: Optional[str] = None
    #: Whether messages are wanted that come in after close(), up to the peer's close frame. A stream may set it.
    _reads_to_end = False

    @overload
    def __init__(
        self,
        address: Union[str, URLObject],
        protocols: Union[str, Sequence[str], None] = None,
        options: Optional[ClientOptions] = None,
        **keywords: Unpack[ClientKeywords],
    ) -> None: ...
    @overload
    def __init__(
        self, address: Union[str, URLObject], options: ClientOptions, /, **keywords: Unpack[ClientKeywords]
    ) -> None: ...
    @overload
    def __init__(self, address: tuple[Request, Stream, bytes], options: Mapping[str, Any], /) -> None: ...
    def __init__(
        self,
        address: Union[str, URLObject, Sequence[Any]],
        protocols: Union[str, Sequence[str], Mapping[str, Any], None] = None,
        options: Optional[Mapping[str, Any]] = None,
        **keywords: Any,
    ) -> None:
        if isinstance(protocols, Mapping):
            protocols, options = None, protocols
        super().__init__()
        server_side = _is_handed_over(address)
        self.options: Options = merge(
            'WebSocket', SERVER_SIDE_OPTIONS if server_side else CLIENT_OPTIONS, options, keywords
        )
        self._close_timeout = milliseconds(self.options, 'closeTimeout')
        self._is_server = server_side
        #: CONNECTING, OPEN, CLOSING or CLOSED.
        self.readyState: int = CONNECTING
        #: The sub-protocol in use, or None.
        self.protocol: Optional[str] = None
        #: 13 or 8; on a server's end 'hixie-76', too.
        self.protocolVersion: Any = self.options.protocolVersion
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
        self._on_closed: tuple[Callable[[WebSocket], object], ...] = ()
        if server_side:
            self._adopt(*address)  # type: ignore[misc]  # it was looked at
        else:
            self._check_options()
            pool = pool_of(self.options)
            if pool is not None:
                self._use_order(Order(pool, self._loop))
            self.url = url_text(address)
            self._opening = prepare(
                self._loop,
                self,
                self.url,
                protocols,
                self.options,
                deflate_options(self.options),
                self._on_handshake,
                self._on_handshake_failure,
            )

    def _check_options(self) -> None:
        """Those that nobody else checks, of a client."""
        milliseconds(self.options, 'pingInterval')
        milliseconds(self.options, 'pingTimeout')
        count(self.options, 'maxBufferedAmount')
        if self.options.generateMask is not None:
            check_callable(self.options.generateMask, 'generateMask')

    def _make_receiver(self) -> BaseReceiver:
        max_payload = count(self.options, 'maxPayload')
        receiver: BaseReceiver
        if self._is_hixie:
            receiver = hixie.Receiver(max_payload)
        else:
            masked: Optional[bool] = self._is_server  # RFC 6455 section 5.1
            if self._is_server and self.options.allowUnmasked:
                masked = None
            receiver = Receiver(masked, max_payload, count(self.options, 'maxFragments'))
        receiver.ontext = receiver.onbinary = self._on_message
        receiver.onexception = self._raised
        receiver.onping = self._on_ping if flag(self.options, 'autoPong') else self._on_unanswered_ping
        receiver.onpong = self._on_pong
        receiver.onclose = self._on_close_frame
        receiver.onerror = self._on_protocol_error
        return receiver

    # -- opening: a server's end -------------------------------------------------------------------------------------

    def _adopt(self, request: Request, stream: Stream, head: bytes = b'') -> None:
        self.upgradeReq = request
        self.protocol = self.options.protocol
        self._head_bytes = stream.bytes_read - len(head)
        self._hold()
        self._use(stream, self.options.perMessageDeflate)
        self._enter(OPEN)
        # Not before those who are told of this connection have attached their listeners.
        self._loop.defer(self._incoming.start, head)

    # -- opening: a client -------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._is_server:
            self._hold()
            self._loop.call(self._start_opening)

    def _start_opening(self) -> None:
        if self._opening is not None:
            self._opening.start(self.options.handshakeTimeout)
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
        if self.options.pingInterval:
            self._join(shared_heartbeat(self._loop, self.options.pingInterval, self.options.pingTimeout))
        _log.debug('%r: open', self)
        self._deliver('open')
        self._incoming.start(rest)

    def _on_handshake_failure(self, error: BaseException) -> None:
        self._opening = None
        self._enter(CLOSING)
        self._deliver('error', error)
        self._finish()

    # -- both --------------------------------------------------------------------------------------------------------

    @property
    def _is_hixie(self) -> bool:
        return self._is_server and bool(self.options.protocolVersion == hixie.VERSION)

    def _use(self, stream: Stream, deflate: Optional[PerMessageDeflate]) -> None:
        self._stream = stream
        self._deflate = deflate
        sender: Union[Sender, hixie.Sender]
        receiver = self._incoming.receiver
        if isinstance(receiver, Receiver):
            new_key = key_maker(self.options.get('generateMask'), self)
            sender = Sender(stream, deflate and deflate.deflater, new_key)
            receiver.inflater = deflate and deflate.inflater
        else:
            sender = hixie.Sender(stream)
        limit = self.options.maxBufferedAmount
        self._outgoing = Outgoing(self._loop, self._lock, stream, sender, not self._is_server, limit, self)
        self._head_bytes_sent = stream.bytes_written
        self._began = time.monotonic()
        self._incoming.use(stream)
        stream.on_end = self._on_end
        stream.on_close = self._on_stream_closed

    def __repr__(self) -> str:
        peer = without_credentials(self.url or '')
        if self.upgradeReq is not None and self._stream is not None:
            peer = f'from {self._stream.peer}'
        return f'<WebSocket {peer} {STATES[self.readyState]}>'

    @property
    def _socket(self) -> Optional[Socket]:
        """Node's ``net.Socket``, and the same as ``upgradeReq.connection``. Made when somebody asks for it."""
        return self._stream.face if self._stream is not None else None

    def _use_order(self, order: Order) -> None:
        """Have listeners and callbacks called in `order`, on its pool."""
        with self._lock:
            self._order = order
            self._route_messages()  # a subclass's constructor may have attached one
        order.on_much = self._hold_reading
        order.on_refused = self._close_as_failed

    # -- attributes --------------------------------------------------------------------------------------------------

    @property
    def bytesReceived(self) -> int:
        """Bytes received since the opening handshake, frame headers included."""
        return self._stream.bytes_read - self._head_bytes if self._stream is not None else 0

    @property
    def extensions(self) -> str:
        """The extensions in use: 'permessage-deflate', or ''."""
        return EXTENSION if self._deflate is not None else ''

    @property
    def bufferedAmount(self) -> int:
        """Bytes given to :meth:`send` that the kernel has not taken yet, frame headers included; and those that were
        given to it too late, and will never go."""
        if self._outgoing is None or self._stream is None:
            return self._sent_too_late
        if self._loop.in_thread():  # else what was sent in this turn would count, which the kernel may well take
            self._stream.flush_early()
        return self._outgoing.buffered + self._sent_too_late

    @property
    def supports(self) -> Options:
        """What this connection can do: ``supports.binary``."""
        return Options(binary=not self._is_hixie)

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
        """Send a message. Returns whether little is waiting to be sent, 128 KiB at most; if it is more, ``drain`` is
        emitted when nothing is, and who wants to send much waits for that.

        `data`: a str is sent as text; bytes, bytearray, memoryview, array.array, a numpy array and whatever else has
        the buffer protocol as binary; a number as its decimal text; None as an empty text. An open file, or what else
        has ``read(size)``, is sent from where it stands to its end as one message of many frames, and closed; it is
        read on another thread, no faster than the peer reads. What is sent meanwhile follows behind it. It is closed
        without being read if the connection is no longer open.

        Options, as a dict or as keywords: ``binary`` (bool) whether it is binary data, which overrides what the type
        says; ``mask`` (bool) whether the frame is masked (clients do, RFC 6455 section 5.3); ``compress`` (bool, True)
        whether it is compressed, if that was agreed upon; ``fin`` (bool, True) whether this ends the message, of which
        else the next call sends the next fragment. What is unknown, or no options at all, is ignored with a warning.
        ``callback(error)`` runs once, with None when the data was handed to the kernel. What reading a file raises goes
        there, or without a callback to ``error``; if a part of it has been sent, the connection closes with 1011.

        Raises TypeError for data of another type, and :class:`NotOpenError` while the connection is CONNECTING if there
        is no callback to tell. Once it has been open this never raises for its state: when it is too late, nothing is
        sent, the callback gets the error, and ``bufferedAmount`` counts the data.
        """
        if options is not None:
            if type(options) is dict and len(options) == 1 and 'binary' in options:  # nearly always
                binary = options['binary']  # type: ignore[assignment]  # flags are as good as a bool
            elif callable(options):
                callback = options
            else:
                binary, mask, compress, fin = message_options('send()', options, binary, mask, compress, fin)
        if callback is not None:
            callback = self._callback(callback)
        outgoing = self._outgoing
        if outgoing is None or outgoing.over:
            self._send_too_early_or_late(data, callback)
            return False
        if (
            outgoing.direct is not None
            and (type(data) is bytes or type(data) is str)
            and not mask
            and fin
            and len(data) < LARGE
            and get_ident() == self._loop.ident
        ):
            outgoing.sent_directly += 1
            return outgoing.direct.write(message_frame(data, binary), callback) or outgoing.may_go_on()
        masked = not self._is_server if mask is None else bool(mask)
        if is_file(data):
            tell = self._complain_of_file if callback is None else callback
            self._run(outgoing.send_in_pieces, File(self._loop, data, binary, masked, compress, tell, fin))
            return outgoing.is_little()
        if outgoing.streams is None and self._loop.in_thread():
            return outgoing.send(data, binary, fin, masked, callback, compress)
        return outgoing.hand_in(data, binary, fin, masked, callback, compress)

    def _send_too_early_or_late(self, data: Any, callback: Optional[Callback]) -> None:
        if callback is None:
            self._check_begun()
        if is_file(data):
            self._loop.call(File(self._loop, data, None, False, False, callback or self._complain_of_file).cancel)
        else:
            self._refuse(payload_of(data)[0], callback)

    def _is_too_early(self) -> bool:
        """Whether it has never been open, and may still become so. It may have done so this moment, on its thread."""
        return self._outgoing is None and self.readyState in (CONNECTING, OPEN)

    def _check_begun(self) -> None:
        """Sending too early is a mistake of the program's. Too late is none: who has found `readyState` OPEN may send,
        whatever the loop thread has heard of the connection meanwhile."""
        if self._is_too_early():
            raise NotOpenError()

    def _refuse(self, payload: bytes, callback: Optional[Callback]) -> None:
        if not self._is_too_early():
            with self._lock:
                self._sent_too_late += len(payload)
        if callback is not None:
            self._loop.call(callback, NotOpenError())

    def stream(
        self,
        options: Union[StreamOptions, MessageFlags, StreamCallback, None] = None,
        callback: Optional[StreamCallback] = None,
        *,
        binary: Optional[bool] = None,
        mask: Optional[bool] = None,
        compress: bool = True,
    ) -> None:
        """Send a message in pieces: ``callback(None, send)`` is called for the first one, and whenever the kernel has
        taken what was sent; ``callback(error)``, once and last, if the connection is not open, or no longer so.

        ``send(data, final)`` sends a piece; the message is complete with a true `final`. `data` is what :meth:`send`
        takes, but no file. It may be called later, and from any thread: until it was called with `final`, what else is
        sent has to wait. Options: ``binary`` (bool; if None the first piece decides), ``mask`` (bool), ``compress``
        (bool, True).

        Raises TypeError without a callback.
        """
        if callable(options):
            callback, options = options, None
        if callback is None:
            raise TypeError('callback must be provided')
        callback = self._callback(callback)
        if options is not None:
            binary, mask, compress, _ = message_options('stream()', options, binary, mask, compress)
        outgoing = self._outgoing
        if outgoing is None or outgoing.over:
            self._loop.call(callback, NotOpenError())
            return
        masked = not self._is_server if mask is None else bool(mask)
        self._run(
            outgoing.send_in_pieces, Supplied(self._loop, callback, binary, masked, compress, outgoing.count_piece)
        )

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

    def _complain_of_file(self, error: Optional[BaseException]) -> None:
        """A file that was sent without a callback could not be read. That the connection ended first, `close` tells."""
        if error is not None and not isinstance(error, NotOpenError) and self.readyState != CLOSED:
            if self.readyState != OPEN:  # it could not be completed, so the connection ends
                self._may_fail = False
            self._deliver('error', error)

    def ping(
        self,
        data: Union[Payload, Callback] = None,
        options: Union[ControlOptions, bool, Callback, None] = None,
        dontFailWhenClosed: Union[bool, Callback] = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send a ping (RFC 6455 section 5.5.2), `data` as in :meth:`send`, at most 125 bytes of it.

        Options: ``mask`` (bool), or that bool itself. Raises :class:`NotOpenError` as :meth:`send` does, while the
        connection is CONNECTING, unless `dontFailWhenClosed` is true; TypeError and ValueError for `data`.
        ``callback(error)`` runs once, as that of :meth:`send`; it may stand in the place of any argument.
        """
        self._send_control('ping', data, options, dontFailWhenClosed, callback)

    def pong(
        self,
        data: Union[Payload, Callback] = None,
        options: Union[ControlOptions, bool, Callback, None] = None,
        dontFailWhenClosed: Union[bool, Callback] = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send a pong nobody asked for (RFC 6455 section 5.5.3); arguments as for :meth:`ping`.

        Pings are answered without this.
        """
        self._send_control('pong', data, options, dontFailWhenClosed, callback)

    def _send_control(self, kind: str, data: Any, options: Any, silent: Any, callback: Optional[Callback]) -> None:
        data, mask, silent, callback = control_arguments(kind, data, options, silent, callback)
        if callback is not None:
            callback = self._callback(callback)
        outgoing = self._outgoing
        if outgoing is None or outgoing.over:
            if callback is None and not silent:
                self._check_begun()
            self._refuse(control_payload(data), callback)
            return
        payload = control_payload(data)
        masked = not self._is_server if mask is None else bool(mask)
        self._run(outgoing.send_control, kind, payload, masked, callback)

    # -- what is received, and when ----------------------------------------------------------------------------------

    @property
    def binaryType(self) -> BinaryType:
        """What binary messages are handed over as: 'nodebuffer', which is bytes; 'arraybuffer', a bytearray; 'blob', an
        :class:`io.BytesIO`; 'fragments', a list with the bytes of each frame that isn't empty.

        Set to anything else, it raises ValueError, and stays as it is.
        """
        return self._binary_type

    @binaryType.setter
    def binaryType(self, value: BinaryType) -> None:
        check_binary_type(value)
        self._binary_type = value
        self._run(self._hand_over_as, value)

    def _hand_over_as(self, binary_type: str) -> None:
        with self._lock:
            self._incoming.binary_type = binary_type
            self._route_messages()

    @property
    def isPaused(self) -> bool:
        """Whether this is open, and :meth:`pause` has been carried out; :meth:`resume` has not been since."""
        return self._is_paused()

    def pause(self) -> None:
        """Stop reading: no events but ``close`` until :meth:`resume`. Raises :class:`NotOpenError` while the connection
        is CONNECTING; when it is no longer open, nothing happens."""
        self._set_paused(True)

    def resume(self) -> None:
        """Go on reading. Raises as :meth:`pause` does."""
        self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        self._check_begun()
        if self._order is not None:  # what has been read already waits there
            self._order.pause(paused)
        self._run(self._pause_reading, paused)

    def _pause_reading(self, paused: bool) -> None:
        if self.readyState == OPEN or self._reads_to_end or not paused:
            # Else it was closed on the way here, and must be read to its end.
            self._incoming.pause(paused)
            if self._kept is not None:  # not in the middle of a listener
                self._loop.defer(self._kept.hand_over)

    def _is_paused(self) -> bool:
        return self._incoming.paused and self.readyState == OPEN

    def _hold_reading(self, hold: bool) -> None:
        kept, order = self._kept, self._order
        self._incoming.hold(hold or (kept is not None and kept.is_full) or (order is not None and order.is_full))

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _changed(self, event: Optional[str]) -> None:
        if event is None or event == 'message':
            self._route_messages()

    def _enter(self, state: int) -> None:
        with self._lock:
            self.readyState = state
            self._route_messages()

    def _route_messages(self) -> None:
        """Have the receiver call the only listener itself, as long as there is one. Called under the lock."""
        if self.readyState != CLOSED:
            listener = self._only_listener('message') if self.readyState == OPEN else None
            self._incoming.route(listener, self._on_message, self._on_message_to_be_made)

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

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(
        self, code: Optional[int] = None, data: Union[str, bytes, None] = None, options: Optional[object] = None
    ) -> None:
        """Start, or answer, the closing handshake (RFC 6455 section 7.1.2); ``close`` follows when it is complete, or
        after ``closeTimeout``.

        `code`: 1000 if None; else one that may be sent (RFC 6455 section 7.4). `data`: the reason, at most 123 bytes.
        Other arguments give an ``error`` event, which raises here if nobody listens; and as in Node the connection ends
        all the same, without a close frame. `options` has no effect; in Node, too, ported programs may pass
        ``{'mask': True}``. While connecting, the attempt is given up: ``error``, if that has a listener, then ``close``
        with 1006. Nothing happens if the connection is closing or closed.
        """
        self._want_no_more()
        if self.readyState in (CLOSING, CLOSED):
            return
        try:
            reason = close_reason(code, data)
        except WebSocketError as error:
            heard = self.listenerCount('error') > 0
            self._run(self._end_without_close_frame, error if heard else None)
            if not heard:
                raise
            return
        self._run(self._close, _NORMAL_CLOSURE if code is None else code, reason)

    def _end_without_close_frame(self, error: Optional[Exception]) -> None:
        """None could say what :meth:`close` was given, which is `error` if somebody listens."""
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

    def _complain(self, error: Exception) -> None:
        if self.readyState in (CONNECTING, OPEN):  # else `close` says enough
            self._deliver('error', error)

    def terminate(self) -> None:
        """Close the connection at once, without a closing handshake; ``close`` follows with code 1006. While
        connecting, this is :meth:`close`."""
        self._want_no_more()
        if self.readyState != CLOSED:
            self._run(self._terminate)

    def _want_no_more(self) -> None:
        """Messages that have been read, and wait for listeners, are nobody's business any more."""
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
            if not self._reads_to_end:  # else who does must go on
                # If it was paused, the peer's answer would never be seen.
                self._incoming.pause(False)
            self._expect_end()

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

    def _on_close_frame(self, code: int, reason: str, flags: MessageFlags) -> None:
        assert self._stream is not None and self._outgoing is not None
        self._close_frame = (code, reason)
        self._may_fail = False
        if self.readyState == OPEN:
            self._leave_open()
            self._outgoing.answer_close(code, reason)
        self._end_sending()

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

    def _when_closed(self, tell: Callable[[WebSocket], object]) -> bool:
        """Have ``tell(self)`` called on the loop thread when this has ended; False if it has. From any thread."""
        with self._lock:
            if self.readyState == CLOSED:
                return False
            self._on_closed += (tell,)
            return True

    @property
    def _how_it_ended(self) -> tuple[int, str]:
        return self._close_frame or (_ABNORMAL_CLOSURE, '')

    def _past_end(self) -> Optional[int]:
        """The code of ``close``, if that has been emitted. On the loop thread."""
        is_past = self.readyState == CLOSED and (self._kept is None or not self._kept.waiting)
        return self._how_it_ended[0] if is_past else None

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

    # -- silent peers ------------------------------------------------------------------------------------------------

    def _join(self, heartbeat: Heartbeat) -> None:
        """Be looked after by `heartbeat` while this is open."""
        if not self._is_hixie:  # Hixie-76 has no pings
            self._heartbeat = heartbeat
            heartbeat.watch(self)

    def _progress(self) -> Optional[tuple[int, int]]:
        return self._stream.progress if self._stream is not None else None

    def _on_vanished(self) -> None:
        _log.info('%r: silent after a ping for %s ms (pingTimeout)', self, self.options.pingTimeout)
        self._terminate()

    def _probe(self) -> None:
        assert self._outgoing is not None
        self._outgoing.send_control('ping', b'', not self._is_server, None)

    # -- what the loop asks for --------------------------------------------------------------------------------------

    def _report_unheard(self, error: BaseException) -> None:
        if self._is_server and isinstance(error, ProtocolError):
            # No fault of this program's: whoever can connect could fill its reports, and would have no name in them.
            _log.warning('%s: %s (%d)', repr(self), error, error.closeCode)  # now it has its address
        elif self._is_server:  # what a peer does must not decide what status a server ends with
            report(error)
        else:
            super()._report_unheard(error)

    def _listener_failed(self, args: tuple[Any, ...]) -> None:
        self._want_no_more()
        self._run(self._close_as_failed)

    def _close_as_failed(self) -> None:
        if self.readyState == OPEN:
            self._close(_INTERNAL_ERROR, b'')

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


def _is_handed_over(address: object) -> bool:
    """Whether that is what a server has: a request, its stream, and what was read beyond the request."""
    return isinstance(address, (list, tuple)) and bool(address) and isinstance(address[0], Request)


def connect(address: Union[str, URLObject], openListener: Optional[NoListener] = None) -> WebSocket:
    """A :class:`WebSocket` connected to `address`, whose ``open`` event `openListener` listens to."""
    check_listener(openListener)
    client = WebSocket(address)
    if openListener is not None:
        client.on('open', openListener)
    return client
