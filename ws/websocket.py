"""WebSocket: one connection, as a client or as a server's end of it. What users call, from any thread; what the loop
calls is in connection.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar, Optional, TypeVar, Union, overload

from . import sender
from .client.opening import prepare
from .connection import CLOSED, CLOSING, CONNECTING, NORMAL_CLOSURE, OPEN, STATES, Connection, HandedOver
from .errors import NotOpenError, WebSocketError
from .event_target import EventTarget
from .events import check_callable, check_listener
from .net.face import Socket
from .options import CLIENT_OPTIONS, SERVER_SIDE_OPTIONS, Options, count, deflate_options, merge, milliseconds
from .pool import Order, pool_of
from .protocol import receiver
from .protocol.error_codes import ErrorCodeTable
from .protocol.permessage_deflate import EXTENSION, DeflateOptions
from .protocol.receiver import MessageFlags
from .protocol.sender import LARGE, control_payload, message_frame, payload_of
from .protocol.url import URLObject, url_text, without_credentials
from .receiving import check_binary_type
from .sending import close_reason, control_arguments, is_file, message_options
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


class WebSocket(Connection, EventTarget):
    """A WebSocket connection (RFC 6455).

    ``WebSocket(address, [protocols], [options])`` connects to `address`, a ``ws:``, ``wss:`` or ``ws+unix:`` URL, a str
    or an object that stands for one. `protocols` is one sub-protocol or a list of them; it may also be an option.
    Options, as a dict or as keywords:

    - ``protocolVersion`` (int, 13): 13, or 8 for the drafts before RFC 6455.
    - ``protocols`` (str or list of str): the same as the argument, which counts if both are given. ``protocol`` (str):
      further sub-protocols, separated by commas.
    - ``origin`` (str): the ``Origin`` header. ``host`` (str): the ``Host`` header.
    - ``headers`` (dict, or list of pairs): further header lines of the request; values are str, numbers, or lists.
    - ``agent``: connects in our place; a :class:`ProxyAgent` does so through a proxy. ``agent(request, options)``, or
      ``agent.addRequest`` with these arguments, returns a connected socket, a new one each time; it is called on a
      thread of its own, and may block. ``options`` has ``host``, ``port``, ``secure``, ``path``, ``socketPath`` and
      ``timeout`` (milliseconds left; 0: no limit); TLS is added for ``wss:``, unless the socket has it already.
      ``createConnection``: the same, called as ``createConnection(options)``.
    - ``auth`` (str, 'user:password'): Basic authentication; the address may have it, too.
    - ``socketPath`` (str or path-like): the UNIX socket to connect to, in place of host and port.
    - ``lookup``: ``lookup(host, options)`` returns the IP addresses of a name, or one; with three parameters,
      ``lookup(host, options, callback)`` calls ``callback(error, addresses)``. It may block. ``family`` (4, 6, or 0):
      connect to IPv4 or IPv6 addresses only. ``localAddress`` (str), ``localPort`` (int): connect from there.
    - ``finishRequest`` (callable): ``finishRequest(request, ws)`` is called when there is a connection, on the loop
      thread; it may change the headers of the request, and sends it by ``request.end()``, at once or later.
    - ``handshakeTimeout`` (milliseconds, 30000; 0: none): for look-up, connection, TLS and the server's answer; it
      starts again with each redirect. ``followRedirects`` (bool, False): go where the server says. ``maxRedirects``
      (int, 10): how often, at most.
    - ``closeTimeout`` (milliseconds, 30000; 0: none): how long the peer may take to end after :meth:`close`.
    - ``autoPong`` (bool, True): answer pings. ``generateMask`` (callable): ``generateMask(mask)`` fills in the 4 bytes,
      a bytearray, with which the next frame is masked; by default they are random.
    - ``maxPayload`` (bytes, 100 MiB; 0: none): the size of one incoming message. ``maxFragments`` (131072; 0: none):
      the number of its frames.
    - ``pingInterval`` (milliseconds, 0; 0: never): a peer that is silent for this long gets a ping. ``pingTimeout``
      (milliseconds, 20000; 0: no limit): if it then stays silent for this long, the connection ends with 1006. Anything
      from the peer breaks the silence, and so does progress with what is being sent to it.
    - ``executor`` (a ``concurrent.futures.Executor`` with threads, or an int, None): listeners and callbacks run there,
      or on this many threads of our own, one at a time and in order; None: on the loop thread.
    - ``maxBufferedAmount`` (bytes, 0; 0: none): how much of what was sent may wait for the kernel to take it. Beyond
      that, the connection ends with 1006, and the callbacks of what was not sent get an error.
    - ``perMessageDeflate`` (bool or dict, True): offer to compress messages (RFC 7692). As a dict:
      ``serverNoContextTakeover``, ``clientNoContextTakeover`` (bool): that side compresses each message on its own;
      ``threshold`` (bytes, 1024): smaller messages are not compressed; ``serverMaxWindowBits``, ``clientMaxWindowBits``
      (8 to 15; False: not negotiated): the size of that side's window, as a power of 2; ``zlibDeflateOptions`` (dict):
      ``level`` (-1 to 9), ``memLevel`` (1 to 9), ``strategy`` (0 to 4), ``dictionary`` (bytes); ``zlibInflateOptions``
      (dict): ``dictionary``. See doc/compression.md.
    - ``ca`` (str, bytes, path or a list), ``cert``, ``key`` (str, bytes or path): TLS, in PEM: contents, not file
      names; a path (``pathlib.Path``) is read. ``passphrase`` (str or bytes), ``ciphers`` (str). ``pfx`` (bytes or
      path): PKCS#12 in place of ``cert`` and ``key``; needs the package cryptography. ``minVersion``, ``maxVersion``
      ('TLSv1.2' or 'TLSv1.3'). ``rejectUnauthorized`` (bool, True): verify the server's certificate. ``servername``
      (str): the name to verify, and to tell the server, in place of the host; '' tells none. ``checkServerIdentity``:
      ``checkServerIdentity(name, certificate)`` verifies the name in place of the usual check, and returns an exception
      or None. ``context`` (ssl.SSLContext): used as it is, in place of all these but the last two.

    Raises TypeError and ValueError for wrong arguments (``invalid url``, ``unsupported protocol version``),
    :class:`ssl.SSLError` and :class:`OSError` for TLS material that can't be used. Whatever fails later is an ``error``
    event.

    Events, on the loop thread or as ``executor`` says: ``open()``; ``message(data, flags)``, `data` a str or bytes,
    ``flags.binary``, ``flags.masked`` and ``flags.buffer``; ``ping(data, flags)``; ``pong(data, flags)``; ``drain()``,
    see :meth:`send`; ``error(error, code)``, `code` being that of a close frame; last and exactly once, with or without
    an ``error`` before it, ``close(code, message)``. On a client, before ``open``: ``redirect(url, request)``, whose
    listener may change the headers of the request that follows, and decides which of them go there;
    ``upgrade(response)``; ``unexpected-response(request, response)``, whose listener takes the place of ``error``, and
    has to end the connection, by :meth:`terminate` for example.

    Every method may be called from any thread; off the loop thread it returns at once, and that thread does the work.
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

    #: On a client, the URL as given, or the one that it was redirected to.
    url: Optional[str] = None

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
    def __init__(self, address: HandedOver, protocols: None, options: Mapping[str, Any], /) -> None: ...
    def __init__(
        self,
        address: Union[str, URLObject, HandedOver],
        protocols: Union[str, Sequence[str], Mapping[str, Any], None] = None,
        options: Optional[Mapping[str, Any]] = None,
        **keywords: Any,
    ) -> None:
        if isinstance(protocols, Mapping):
            protocols, options = None, protocols
        if isinstance(address, HandedOver):
            shared = options if options is address.shared and not keywords else None
            super().__init__(
                shared or merge('WebSocket', SERVER_SIDE_OPTIONS, options, keywords), True, address.version
            )
            self._adopt(address)
        else:
            settings = merge('WebSocket', CLIENT_OPTIONS, options, keywords)
            super().__init__(settings, False, settings.protocolVersion)
            self._prepare(address, protocols, deflate_options(settings))  # here: its warnings name who called this

    def _prepare(
        self,
        address: Union[str, URLObject],
        protocols: Union[str, Sequence[str], None],
        deflate: Optional[DeflateOptions],
    ) -> None:
        """Of a client."""
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
            deflate,
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

    def __repr__(self) -> str:
        peer = without_credentials(self.url or '')
        if self.upgradeReq is not None and self._stream is not None:
            peer = f'from {self._stream.peer}'
        return f'<WebSocket {peer} {STATES[self.readyState]}>'

    @property
    def _socket(self) -> Optional[Socket]:
        """Node's ``net.Socket``, and the same as ``upgradeReq.connection``. Made when somebody asks for it."""
        return self._stream.face if self._stream is not None else None

    # -- attributes --------------------------------------------------------------------------------------------------

    @property
    def extensions(self) -> str:
        """The extensions in use: 'permessage-deflate', or ''."""
        return EXTENSION if self._deflate is not None else ''

    @property
    def bufferedAmount(self) -> int:
        """Bytes given to :meth:`send` that the kernel has not taken yet, frame headers included; and those that were
        given to it too late, and will never be sent."""
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
        emitted when nothing is waiting any longer. To send a lot, wait for that.

        `data`: a str is sent as text; bytes, bytearray, memoryview, array.array, a numpy array and anything else with
        the buffer protocol as binary data; a number as its decimal text; None as the empty text. An open file, or
        anything else with ``read(size)``, is sent from its current position to its end as one message of many frames,
        and closed; it is read on another thread, no faster than the peer reads. What is sent meanwhile follows after
        it. If the connection is no longer open, the file is closed without being read.

        Options, as a dict or as keywords: ``binary`` (bool) whether it is binary data, which overrides what the type
        says; ``mask`` (bool) whether the frame is masked (clients do, RFC 6455 section 5.3); ``compress`` (bool, True)
        whether it is compressed, if that was agreed upon; ``fin`` (bool, True) whether this ends the message; if not,
        the next call sends its next fragment. Unknown names, and arguments that are not options, are ignored with a
        warning. ``callback(error)`` runs once, with None when the data has been handed to the kernel. What reading a
        file raises goes there, or without a callback to ``error``; if a part of the file has been sent, the connection
        closes with 1011.

        Raises TypeError for data of another type, and :class:`NotOpenError` while the connection is CONNECTING if there
        is no callback to tell. Once the connection has been open, its state never raises: when it is too late, nothing
        is sent, the callback gets the error, and ``bufferedAmount`` counts the data.
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
        """Sending too early is a mistake in the program. Sending too late is not: whoever has found `readyState` OPEN
        may send, whatever the loop thread has heard of the connection meanwhile."""
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
        taken what was sent; ``callback(error)``, once and last, if the connection is not open, or no longer open.

        ``send(data, final)`` sends a piece; a true `final` completes the message. `data` is anything that :meth:`send`
        takes, except a file. ``send`` may be called later, and from any thread; other messages have to wait until it is
        called with a true `final`. Options: ``binary`` (bool; if None the first piece decides), ``mask`` (bool),
        ``compress`` (bool, True).

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
        ``callback(error)`` runs once, like that of :meth:`send`; it may be given in place of any argument.
        """
        self._send_control('ping', data, options, dontFailWhenClosed, callback)

    def pong(
        self,
        data: Union[Payload, Callback] = None,
        options: Union[ControlOptions, bool, Callback, None] = None,
        dontFailWhenClosed: Union[bool, Callback] = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send an unsolicited pong (RFC 6455 section 5.5.3); arguments as for :meth:`ping`.

        Pings are answered without it, unless ``autoPong`` is off.
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

        Setting it to anything else raises ValueError, and changes nothing.
        """
        return self._binary_type

    @binaryType.setter
    def binaryType(self, value: BinaryType) -> None:
        check_binary_type(value)
        self._binary_type = value
        self._run(self._hand_over_as, value)

    @property
    def isPaused(self) -> bool:
        """Whether this is open, and :meth:`pause` has been carried out, but not :meth:`resume` since."""
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
        if self._order is None:
            self._run(self._pause_reading, paused)
        else:  # what has been read already waits there
            self._order.pause(paused)
            self._run(self._pause_with, self._order)

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(
        self, code: Optional[int] = None, data: Union[str, bytes, None] = None, options: Optional[object] = None
    ) -> None:
        """Start, or answer, the closing handshake (RFC 6455 section 7.1.2); ``close`` follows when it is complete, or
        after ``closeTimeout``.

        `code`: 1000 if None; otherwise one that may be sent (RFC 6455 section 7.4). `data`: the reason, at most 123
        bytes. Other arguments are an ``error`` event, or are raised here if that has no listener; as in Node, the
        connection ends all the same, without a close frame. `options` has no effect: ported programs may pass
        ``{'mask': True}``, which has none in Node either. While connecting, the attempt is given up: ``error`` is
        emitted if that has a listener, then ``close`` with 1006. Nothing happens if the connection is closing or
        closed.
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
        self._run(self._close, NORMAL_CLOSURE if code is None else code, reason)

    def terminate(self) -> None:
        """Close the connection at once, without a closing handshake; ``close`` follows with code 1006. While
        connecting, this is the same as :meth:`close`."""
        self._want_no_more()
        if self.readyState != CLOSED:
            self._run(self._terminate)


def connect(address: Union[str, URLObject], openListener: Optional[NoListener] = None) -> WebSocket:
    """A :class:`WebSocket` that connects to `address`, with `openListener` attached to its event ``open``."""
    check_listener(openListener)
    client = WebSocket(address)
    if openListener is not None:
        client.on('open', openListener)
    return client
