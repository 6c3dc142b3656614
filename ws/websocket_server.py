"""WebSocketServer: listens, shakes hands, and keeps track of its clients."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional, Union

from .delivery import WAIT_BEHIND, Emitter, report
from .errors import HandshakeError, WebSocketError
from .net.listen import BACKLOG, Listener, bind
from .net.loop import Timer
from .net.resolver import Answer, look_up_literal, resolve
from .net.stream import Stream
from .net.tls import TLSStream, server_context
from .opening import ServerOpening
from .options import Options, count, merge, milliseconds
from .protocol.handshake import check_request, split_path
from .protocol.http import Request, build_head
from .websocket import LIMITS, SERVER_SIDE_OPTIONS, WebSocket, close_reason

#: Server options and their defaults; see the class.
SERVER_OPTIONS: dict[str, Any] = {
    'host': '0.0.0.0',
    'port': None,
    'path': None,
    'clientTracking': True,
    'backlog': BACKLOG,
    'handshakeTimeout': 10_000,
    **LIMITS,
    'allowUnmasked': False,
    'cert': None,
    'pfx': None,
    'key': None,
    'passphrase': None,
    'ciphers': None,
}

_GOING_AWAY = 1001  # RFC 6455 section 7.4.1

_log = logging.getLogger('ws')


class Clients(list[WebSocket]):
    """The open connections, oldest first. Iterating goes over a copy: any thread may, while clients come and go."""

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self[:])


class WebSocketServer(Emitter):
    """A WebSocket server on a TCP port.

    ``WebSocketServer(options, [callback])``; `callback` is called once it listens. Options, as a dict or as keywords:

    - ``port`` (int): 0 lets the system choose. ``host`` (str, '0.0.0.0'): the address or name to listen on.
    - ``path`` (str): take connections to this path only, others get status 400.
    - ``clientTracking`` (bool, True): keep ``clients``.
    - ``backlog`` (int, 511): connections the system holds until they are accepted.
    - ``maxPayload`` (bytes, 100 MiB; 0: none): of one incoming message. ``maxFragments`` (131072; 0: none): its frames.
    - ``handshakeTimeout`` (milliseconds, 10000; 0: none): for a client's opening handshake, TLS included.
    - ``closeTimeout`` (milliseconds, 30000; 0: none): how long a client may take to end after ``close``.
    - ``allowUnmasked`` (bool, False): take unmasked frames, which RFC 6455 section 5.1 forbids.
    - ``key``, ``cert`` (str or bytes, PEM: contents, not file names), ``passphrase``, ``ciphers`` (str): serve TLS.
      ``pfx`` (bytes): a PKCS#12 file's contents in place of ``cert`` and ``key``; needs the package cryptography.

    Raises TypeError and ValueError for wrong arguments, :class:`ssl.SSLError` for TLS material that can't be used.

    Events, all on the loop thread: ``listening()``; ``headers(lines, request)`` before the answer to a handshake is
    sent, `lines` may be changed; ``connection<url>(ws, request)``, then ``connection(ws, request)``; ``error(error)``
    if it can't listen; ``close()``.
    """

    def __init__(
        self,
        options: Optional[Mapping[str, Any]] = None,
        callback: Optional[Callable[..., Any]] = None,
        **keywords: Any,
    ) -> None:
        super().__init__()
        #: All options, with their defaults.
        self.options = merge('WebSocketServer', SERVER_OPTIONS, options, keywords)
        if self.options.port is None:
            raise TypeError('`port` or a `server` must be provided')
        self._handshake_timeout = milliseconds(self.options, 'handshakeTimeout')
        self._client_options = self._make_client_options()
        #: The path that is served, or None for all.
        self.path: Optional[str] = self.options.path
        #: The open connections, unless ``clientTracking`` is off.
        self.clients = Clients()
        self._connections: set[WebSocket] = set()
        self._openings: set[ServerOpening] = set()
        self._context = self._tls_context()
        self._listener: Optional[Listener] = None
        self._address: Optional[Options] = None
        self._accept_timer: Optional[Timer] = None
        self._closing = False
        self._closed = False
        self._on_listening = self._callback(callback) if callback is not None else None
        self._on_closed: list[Callable[..., None]] = []

    def _make_client_options(self) -> dict[str, Any]:
        milliseconds(self.options, 'closeTimeout')
        count(self.options, 'maxPayload')
        count(self.options, 'maxFragments')
        return {name: self.options[name] for name in SERVER_SIDE_OPTIONS if name in self.options}

    def _tls_context(self) -> Optional[ssl.SSLContext]:
        options = self.options
        if options.cert is None and options.key is None and options.pfx is None:
            return None
        return server_context(options.cert, options.key, options.passphrase, options.ciphers, options.pfx)

    # -- listening ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        host, port = _host_and_port(self.options)
        endpoints = look_up_literal(host, port, socket.AI_PASSIVE)
        if endpoints is None:
            self._hold()
            resolve(self._loop, host, port, self._bind, socket.AI_PASSIVE)
            return
        # Now, and not on the loop: address() has an answer as soon as the constructor returns, as in Node.
        sock, problem = self._try_to_bind(Answer(endpoints, None))
        self._hold()
        self._loop.call(self._bound, sock, problem)

    def _bind(self, answer: Answer) -> None:
        self._bound(*self._try_to_bind(answer))

    def _try_to_bind(self, answer: Answer) -> tuple[Optional[socket.socket], Optional[OSError]]:
        try:
            if answer.error is not None:
                raise answer.error
            sock = bind(answer.endpoints, self.options.backlog)
        except OSError as error:
            return None, error
        self._address = _describe(sock)
        return sock, None

    def _bound(self, sock: Optional[socket.socket], problem: Optional[OSError]) -> None:
        if self._closing:  # by a subclass's constructor, or while the host was looked up
            if sock is not None:
                sock.close()
            if self._closed:
                self._loop.release(self)
        elif sock is None:
            self._closed = True
            self._deliver('error', problem)
            self._end_of_events()
        else:
            self._listener = Listener(self._loop, sock, self._accept)
            _log.debug('%r: listening', self)
            self._deliver('listening')
            # `wss = WebSocketServer(options, lambda: wss.address())`: the name must be there when it is asked for.
            self._loop.call_later(WAIT_BEHIND if self._kept is not None else 0, self._tell_listening)
            self._accept_when_heard()

    def _tell_listening(self) -> None:
        callback, self._on_listening = self._on_listening, None
        if callback is not None:
            callback()

    def _accept_when_heard(self) -> None:
        """Accept nobody before somebody can hear of it: a ``connection`` listener, or the second they have is over.

        Those attached in the same breath, for ``headers`` say, get a few milliseconds, too.
        """
        if self._listener is None or self._closing:
            return
        if self._accept_timer is not None:
            self._accept_timer.cancel()
        if self._kept is None or self._kept.is_over():
            self._listener.start()
        elif self.listenerCount('connection'):
            self._accept_timer = self._loop.call_later(WAIT_BEHIND, self._listener.start)
        else:
            self._accept_timer = self._loop.call_later(WAIT_BEHIND, self._accept_when_heard)

    def _attached(self, event: str) -> None:
        super()._attached(event)
        if event == 'connection' and self._kept is not None:
            self._loop.call(self._accept_when_heard)

    def address(self) -> Optional[Options]:
        """Where the server listens: ``address``, ``family`` ('IPv4' or 'IPv6') and ``port``; None if it doesn't."""
        return None if self._closing or self._closed else self._address

    def __repr__(self) -> str:
        where = self._address
        return f'<WebSocketServer {where.address}:{where.port}>' if where is not None else '<WebSocketServer>'

    # -- opening handshakes ------------------------------------------------------------------------------------------

    def _accept(self, sock: socket.socket) -> None:
        try:
            stream = self._make_stream(sock)
        except (OSError, ValueError):  # the client is gone already
            sock.close()
            return
        opening = ServerOpening(self._loop, stream, self._handshake_timeout, self._on_request, self._openings.discard)
        self._openings.add(opening)
        opening.start()

    def _make_stream(self, sock: socket.socket) -> Stream:
        if self._context is None:
            return Stream(self._loop, sock)
        return TLSStream(self._loop, self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False))

    def _on_request(self, opening: ServerOpening, request: Request) -> None:
        request.connection = opening.stream
        try:
            self._check_path(request)
            handshake = check_request(request)
            protocol = handshake.protocols[0] if handshake.protocols else None
            lines = handshake.response_lines(protocol)
        except HandshakeError as error:
            opening.refuse(error)
            return
        healthy = self._dispatch('headers', (lines, request))
        if opening.stream.closed:  # a listener closed the server, or the connection
            return
        try:
            head = build_head(lines[0], lines[1:])
        except (IndexError, TypeError, ValueError) as error:  # a listener spoiled the lines
            report(error)
            healthy = False
        if not healthy:
            opening.refuse(HandshakeError('Internal Server Error', 500))
            return
        rest = opening.take()
        opening.stream.write(head)
        self._connect(request, opening.stream, rest, protocolVersion=handshake.version, protocol=protocol)

    def _check_path(self, request: Request) -> None:
        if self.path is not None and split_path(request.url) != self.path:
            raise HandshakeError('Bad Request', 400)

    def _connect(self, request: Request, stream: Stream, rest: bytes, **options: Any) -> None:
        ws = WebSocket([request, stream, rest], {**self._client_options, **options})
        ws._on_closed = self._forget
        self._connections.add(ws)
        if self.options.clientTracking:
            self.clients.append(ws)
        _log.debug('%r: connection %r', self, ws)
        # Never kept for a listener: nobody is accepted before there is one, or could have been.
        self._dispatch('connection' + request.url, (ws, request))
        self._dispatch('connection', (ws, request))

    def _forget(self, ws: WebSocket) -> None:
        self._connections.discard(ws)
        with contextlib.suppress(ValueError):  # no clientTracking, or the user has removed it
            self.clients.remove(ws)
        if self._closing and not self._connections:
            self._loop.defer(self._finish)

    def _listener_failed(self, args: tuple[Any, ...]) -> None:
        """RFC 6455 section 7.4.1, code 1011: for the connection it was told about, if there is one."""
        if args and isinstance(args[0], WebSocket):
            args[0]._listener_failed(args)

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(
        self,
        code: Union[int, Callable[..., Any], None] = None,
        data: Union[str, bytes, Callable[..., Any], None] = None,
        callback: Optional[Callable[..., Any]] = None,
    ) -> None:
        """Stop listening and close every connection with `code` (1001 if None) and the reason `data`; those that do not
        answer are ended after ``closeTimeout``. Then ``close`` is emitted, and ``callback()`` called.

        Called again, it waits for the same end; after that, `callback` gets an error. Raises as
        :meth:`WebSocket.close` does without an ``error`` listener.
        """
        if callable(code):
            code, callback = None, code
        elif callable(data):
            data, callback = None, data
        if callback is not None:
            callback = self._callback(callback)
        close_reason(code, data)  # type: ignore[arg-type]  # callables were sorted out above
        if self._loop.in_thread():
            self._close(code, data, callback)
        else:
            self._loop.call(self._close, code, data, callback)

    def _close(self, code: Any, data: Any, callback: Optional[Callable[..., Any]]) -> None:
        if self._closed:
            if callback is not None:
                self._loop.defer(callback, WebSocketError('The server is not running'))
            return
        if callback is not None:
            self._on_closed.append(callback)
        if self._closing:
            return
        if self._listener is not None:
            self._tell_listening()
        self._closing = True
        _log.debug('%r: closing', self)
        if self._accept_timer is not None:
            self._accept_timer.cancel()
        if self._listener is not None:
            self._listener.close()
        for opening in list(self._openings):
            opening.cancel()
        for ws in list(self._connections):
            ws.close(_GOING_AWAY if code is None else code, data)
        if not self._connections:
            self._loop.defer(self._finish)

    def _finish(self) -> None:
        if not self._closed:
            self._closed = True
            self._deliver('close')
            for callback in self._on_closed:
                callback()
            self._end_of_events()

    # -- what the loop asks for --------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The process is about to exit."""
        if self._kept is not None:
            self._kept.drop()
        if self._closed:
            self._loop.release(self)
        else:
            self._close(None, None, None)

    def abandon(self) -> None:
        """This is the child after a fork: listening socket and connections are the parent's."""
        super().abandon()
        self._closing = self._closed = True
        self.clients.clear()
        self._connections.clear()
        if self._listener is not None:
            self._listener.abandon()


def _host_and_port(options: Options) -> tuple[str, int]:
    host, port = options.host, options.port
    if not isinstance(host, str):
        raise TypeError(f'host must be a str, not {type(host).__name__}')
    if isinstance(port, bool) or not isinstance(port, (int, str)):
        raise TypeError(f'port must be an int, not {type(port).__name__}')
    try:
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise ValueError(f'port must be from 0 to 65535, not {port}')
    return host, number


def _describe(sock: socket.socket) -> Options:
    name = sock.getsockname()
    family = 'IPv6' if sock.family == socket.AF_INET6 else 'IPv4'
    return Options(address=name[0], family=family, port=name[1])
