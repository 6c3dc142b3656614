"""How a server listens, shakes hands, keeps track of its clients, and ends, on the loop thread. What a user calls is in
websocket_server.py."""

from __future__ import annotations

import functools
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Optional, Union

from .connection import HandedOver
from .delivery import Emitter
from .errors import HandshakeError, WebSocketError
from .heartbeat import Heartbeat
from .net.lag import Lag
from .net.lifetime import get_loop
from .net.listen import Listener
from .net.loop import report_exception
from .net.resolver import Answer, look_up_literal, resolve
from .net.stream import Stream
from .net.tls import TLSStream
from .net.tls_socket import TLSSocketStream, close_socket
from .options import SERVER_SIDE_OPTIONS, Options, count, deflate_options, flag, milliseconds, text
from .pool import Order, pool_of
from .protocol.http import Request
from .protocol.permessage_deflate import PerMessageDeflate
from .server.admission import SAME_BREATH, Admission
from .server.clients import Clients, Connections
from .server.http_server import attach, detach
from .server.listening import Place, Port, address_of, file_of, is_shared, open_socket, place_of
from .server.opening import ServerOpening, refuse_at_once
from .server.secure import tls_context
from .server.upgrade import Rules, Upgrade
from .typing import Address, NoListener
from .websocket import WebSocket

_GOING_AWAY = 1001  # RFC 6455 section 7.4.1
_UPGRADE_REQUIRED = 426  # the answer to requests for something else, which are no mistake
_log = logging.getLogger('ws')


class Serving(Emitter):
    """A server, as the loop knows it.

    Its methods belong to the loop thread, except those that say otherwise, and those by which it begins: they run where
    it is made.
    """

    def __init__(self, options: Options, callback: Optional[NoListener]) -> None:
        super().__init__()
        #: All options, with their defaults.
        self.options: Options = options
        self._place = place_of(self.options)
        self._given_only = self._place is None and self.options.server is None
        if self._given_only and not self.options.noServer:
            raise TypeError('`port` or a `server` must be provided')
        self._handshake_timeout = milliseconds(self.options, 'handshakeTimeout')
        self._pool = pool_of(self.options)
        self._order = self._new_order()
        self._check_options()
        self._client_options = self._make_client_options()
        self._rules = Rules(self.options, deflate_options(self.options, depth=2), self)
        #: The path that is served, or None for all.
        self.path: Optional[str] = self.options.path
        #: The open connections, unless ``clientTracking`` is off.
        self.clients: Clients = Clients()
        self._connections = self._no_connections()
        self._openings: set[ServerOpening] = set()
        self._lag: Optional[Lag] = None  # once somebody has asked
        self._heartbeat = self._make_heartbeat()
        self._context = tls_context(self.options)
        if self._context is not None and self._place is None:
            raise ValueError('TLS needs a port, path or socket of its own, not `server` or `noServer`')
        #: The HTTP server whose port is shared, while it is.
        self._http_server: Any = None
        self._keeps_process = self._place is not None  # else that is up to the HTTP server
        self._listener: Optional[Listener] = None
        self._address: Union[Address, str, None] = None
        self._admission = Admission(self, self._start_accepting)
        self._closing = False
        self._closed = False
        self._on_listening = self._callback(callback) if callback is not None else None
        self._on_closed: list[Callable[..., None]] = []

    def _check_options(self) -> None:
        """Those that nobody else checks."""
        text(self.options, 'host')
        for name in ('noServer', 'disableHixie', 'clientTracking', 'allowUnmasked', 'autoPong'):
            flag(self.options, name)
        _check_class(self.options.WebSocket)
        for name in ('backlog', 'maxPayload', 'maxFragments', 'maxBufferedAmount'):
            count(self.options, name)
        milliseconds(self.options, 'closeTimeout')

    def _make_client_options(self) -> Options:
        return Options({name: self.options[name] for name in SERVER_SIDE_OPTIONS})

    def _no_connections(self) -> Connections:
        return Connections(self.clients if self.options.clientTracking else None, self._finish_if_empty)

    def _make_heartbeat(self) -> Optional[Heartbeat]:
        """On any thread."""
        interval, timeout = milliseconds(self.options, 'pingInterval'), milliseconds(self.options, 'pingTimeout')
        return Heartbeat(self._loop, interval, timeout) if interval else None

    # -- listening ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._place is not None:
            self._begin_at(self._place)
            return
        if self.options.server is not None:
            attach(self.options.server, self.path, self._on_upgrade)
            self._http_server = self.options.server
            self._address = address_of(self._http_server.socket)
        self._hold()
        self._loop.call(self._begin_without_port, self._http_server is not None)

    def _begin_at(self, place: Place) -> None:
        found = Answer([], None)
        if isinstance(place, Port):
            endpoints = look_up_literal(place.host, place.number, socket.AI_PASSIVE)
            if endpoints is None:
                self._hold()
                resolve(self._loop, place.host, place.number, self._on_looked_up, socket.AI_PASSIVE)
                return
            found = Answer(endpoints, None)
        # Now, and not on the loop: address() has an answer as soon as the constructor returns, as in Node.
        problem = self._try_to_listen(place, found)
        self._hold()
        self._loop.call(self._begin_to_listen, problem)

    def _begin_without_port(self, listens: bool) -> None:
        if self._closing:  # by a subclass's constructor
            self._leave_http_server()
            if self._closed:
                self._loop.release(self)
        elif listens:
            self._on_listen()
        else:
            self._on_listening = None  # it never will
            self._begin_to_accept()

    def _on_looked_up(self, answer: Answer) -> None:
        assert self._place is not None
        self._begin_to_listen(self._try_to_listen(self._place, answer))

    def _try_to_listen(self, place: Place, found: Answer) -> Optional[OSError]:
        try:
            if found.error is not None:
                raise found.error
            sock = open_socket(place, found.endpoints, self.options.backlog)
        except OSError as error:
            return error
        self._address = address_of(sock)
        self._listener = Listener(self._loop, sock, self._accept, file_of(place), shared=is_shared(place))
        return None

    def _begin_to_listen(self, problem: Optional[OSError]) -> None:
        if self._closing:  # by a subclass's constructor, or while the host was looked up
            if self._listener is not None:
                self._listener.close()
            if self._closed:
                self._loop.release(self)
        elif problem is not None:
            self._closed = True
            self._deliver('error', problem)
            self._end_of_events()
        else:
            self._on_listen()

    def _on_listen(self) -> None:
        _log.debug('%r: listening', self)
        self._deliver('listening')
        # `wss = WebSocketServer(options, lambda: wss.address())`: the name must be there when it is asked for.
        self._loop.call_later(SAME_BREATH if self._kept is not None else 0, self._tell_listening)
        self._begin_to_accept()

    def _tell_listening(self) -> None:
        callback, self._on_listening = self._on_listening, None
        if callback is not None:
            callback()

    def _begin_to_accept(self) -> None:
        if not (self._closing or self._admission.has_begun):
            self._admission.begin_when_heard()

    def _start_accepting(self) -> None:
        if self._listener is not None:
            self._listener.start()

    # -- opening handshakes ------------------------------------------------------------------------------------------

    def _accept(self, sock: socket.socket) -> None:
        try:
            stream = self._make_stream(sock)
        except (OSError, ValueError):  # the client is gone already
            sock.close()
            return
        self._open(stream, self._on_request).start()

    def _make_stream(self, sock: socket.socket) -> Stream:
        if self._context is None:
            return Stream(self._loop, sock)
        return TLSStream(self._loop, sock, self._context, server_side=True)

    def _open(self, stream: Stream, on_request: Callable[[ServerOpening, Request], object]) -> ServerOpening:
        opening = ServerOpening(
            self._loop, stream, self._handshake_timeout, self._connections.counts, on_request, self._openings.discard
        )
        self._openings.add(opening)
        return opening

    def _on_upgrade(self, request: Request, sock: socket.socket, head: bytes) -> None:
        """On a thread of the HTTP server."""
        self._take(request, sock, head, None)

    def _take(
        self,
        request: Union[Request, HandshakeError],
        sock: socket.socket,
        head: bytes,
        callback: Optional[Callable[..., None]],
    ) -> None:
        """On any thread."""
        if self._closing:
            refuse_at_once(sock)
            return
        self._join_loop()
        self._run(self._adopt, request, sock, head, callback)

    def _join_loop(self) -> None:
        """The loop is another one if this process was forked since. On any thread."""
        loop = get_loop()
        with self._lock:  # threads of an HTTP server may come here at once
            if self._loop is not loop:
                self._loop = loop
                self._heartbeat = self._make_heartbeat()
                self._order = self._new_order()
                self._hold()

    def _adopt(
        self,
        request: Union[Request, HandshakeError],
        sock: socket.socket,
        head: bytes,
        callback: Optional[Callable[..., None]],
    ) -> None:
        if self._closing:
            refuse_at_once(sock)
            return
        try:
            stream = TLSSocketStream(self._loop, sock) if isinstance(sock, ssl.SSLSocket) else Stream(self._loop, sock)
        except (OSError, ValueError):  # the client is gone already
            close_socket(sock)
            return
        opening = self._open(stream, functools.partial(self._on_request, callback=callback))
        if isinstance(request, HandshakeError):
            opening.refuse(request)
        else:
            opening.start_with(request, head)

    def _on_request(
        self, opening: ServerOpening, request: Request, callback: Optional[Callable[..., None]] = None
    ) -> None:
        request.connection = opening.stream
        tell = self._tell_of_connection if callback is None else callback
        order = self._new_order()
        upgrade = Upgrade(
            self._loop,
            self._rules,
            opening,
            request,
            self,
            order,
            functools.partial(self._connect, request, opening.stream, order, tell),
        )
        if callback is None:
            self._admission.when_begun(upgrade.start)
        else:
            upgrade.start()

    def shouldHandle(self, request: Request) -> bool:
        """Whether `request`, which asks for a WebSocket, is for this server: by default, whether it is for the option
        ``path``. You may override it; it runs on the loop thread. If it returns false, the client gets status 400."""
        return self.path is None or request.path == self.path

    def _hears_client_error(self, error: HandshakeError) -> bool:
        return error.status != _UPGRADE_REQUIRED and self.listenerCount('wsClientError') > 0

    def _tell_of_client_error(self, error: HandshakeError, opening: ServerOpening, request: Request) -> bool:
        return self._call_listeners('wsClientError', (error, opening.stream.face, request))

    def _tell_of_headers(self, lines: list[str], request: Request) -> bool:
        return self._call_listeners('headers', (lines, request))

    def _connect(
        self,
        request: Request,
        stream: Stream,
        order: Optional[Order],
        tell: Callable[[WebSocket, Request], object],
        head: bytes,
        rest: bytes,
        version: Any,
        protocol: Optional[str],
        deflate: Optional[PerMessageDeflate],
    ) -> None:
        stream.write(head)
        shared = self._client_options
        given = HandedOver(request, stream, rest, shared, version, protocol, deflate)
        make = self.options.WebSocket or WebSocket
        try:
            # With the options in the third place, where the constructors of subclasses take them from, as in ws 8.
            ws: WebSocket = make(given, None, shared)
        except BaseException:  # a subclass's constructor: nobody has the object, whatever there is of it
            report_exception()
            stream.destroy()
            return
        if order is not None:
            ws._use_order(order)
        if self._heartbeat is not None:
            ws._join(self._heartbeat)
        self._connections.add(ws)
        _log.debug('%r: connection %r, path %s', self, ws, request.path)
        if order is None:
            tell(ws, request)
        else:
            order.add(tell, ws, request)

    def _tell_of_connection(self, ws: WebSocket, request: Request) -> None:
        """On the pool, if there is one."""
        # Never kept for a listener: nobody is accepted before there is one, or could have been.
        self._call_listeners('connection' + request.url, (ws, request))
        self._call_listeners('connection', (ws, request))

    def _new_order(self) -> Optional[Order]:
        """On any thread."""
        return None if self._pool is None else Order(self._pool, self._loop)

    def _finish_if_empty(self) -> None:
        if self._closing and self._connections.are_gone:
            self._loop.defer(self._finish)

    def _listener_failed(self, args: tuple[Any, ...]) -> None:
        """RFC 6455 section 7.4.1, code 1011: for the connection it was told about, if there is one."""
        if args and isinstance(args[0], WebSocket):
            args[0]._listener_failed(args)

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """See :class:`WebSocketServer`. On any thread."""
        raise NotImplementedError

    def _leave_http_server(self) -> None:
        """On any thread."""
        with self._lock:
            httpd, self._http_server = self._http_server, None
        if httpd is not None:  # once: by the next time, the path may be somebody else's
            detach(httpd, self.path)

    def _close(self, code: Any, data: Any, callback: Optional[Callable[..., Any]]) -> None:
        if self._closed:
            if callback is not None:
                self._loop.defer(callback, WebSocketError('The server is not running'))
            return
        if callback is not None:
            self._on_closed.append(callback)
        if self._closing:
            return
        if self._admission.is_wanted:  # it has begun to listen
            self._tell_listening()
        self._closing = True
        self._admission.end()
        _log.debug('%r: closing', self)
        if self._listener is not None:
            self._listener.close()
        for opening in list(self._openings):
            opening.cancel()
        for ws in self._connections:
            ws.close(_GOING_AWAY if code is None else code, data)
        self._finish_if_empty()

    def _when_closed(self, tell: Callable[..., None]) -> None:
        """Have ``tell()`` called when this has ended, or now. On the loop thread."""
        if self._closed:
            tell()
        else:
            self._on_closed.append(tell)

    def _finish(self) -> None:
        if not self._closed:
            self._closed = True
            if self._lag is not None:
                self._lag.stop()
            self._deliver('close')
            self._end_of_events(self._on_closed)

    # -- what the loop asks for --------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The process is about to exit."""
        if self._kept is not None:
            self._kept.keep_no_longer()
        if self._closed:
            self._release()
        else:
            self.close()

    def fail(self, error: BaseException) -> None:
        """The loop has lost its sockets."""
        if self._closed:
            self._release()
        else:
            for ws in self._connections:
                ws.fail(error)
            self._deliver('error', error)
            self._loop.defer(self.close)  # behind what tells of that

    def abandon(self) -> None:
        """This is the child after a fork: listening socket and connections are the parent's. A server without a socket
        to listen on, which takes what it is given, does so here as well."""
        super().abandon()
        self._closing = self._closed = self._closed or self._closing or not self._given_only
        self._admission.abandon()
        self.clients.clear()
        self._connections = self._no_connections()
        for opening in self._openings:  # the loop does not know of those that read nothing
            opening.stream.abandon()
        self._openings.clear()
        self._lag = None
        if self._listener is not None:
            self._listener.abandon()


def _check_class(cls: object) -> None:
    if cls is not None and not (isinstance(cls, type) and issubclass(cls, WebSocket)):
        given = cls.__name__ if isinstance(cls, type) else type(cls).__name__
        raise TypeError(f'WebSocket must be the class of that name or a subclass of it, not {given}')
