"""WebSocketServer: listens, shakes hands, and keeps track of its clients. What users call, from any thread; what the
loop calls is in serving.py."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

from .errors import HandshakeError, WebSocketError
from .events import check_listener
from .net.lag import Lag
from .net.tls_socket import close_socket
from .net.unix import printable
from .options import SERVER_OPTIONS, Options, merge
from .protocol.http import Request
from .sending import close_reason
from .server.http_server import request_from
from .server.secure import check_names
from .server.views import has_gone, response_for, source_of, take
from .serving import Serving
from .typing import Address, Callback, ConnectionListener, Metrics, NoListener, ServerOptions, Unpack
from .websocket import WebSocket  # noqa: F401  # who looks up the annotations finds the name here

if TYPE_CHECKING:
    from ._attaching import AttachToServer, OnServer

S = TypeVar('S', bound='WebSocketServer')


class WebSocketServer(Serving):
    """A WebSocket server: on a port or UNIX socket of its own, on the port of an HTTP server, or without one.

    ``WebSocketServer(options, [callback])``; `callback` is called once it listens. Options, as a dict or as keywords,
    of which one of ``port``, ``socketPath``, ``socket``, ``fd``, ``server`` and ``noServer`` is needed:

    - ``port`` (int): 0 lets the system choose. ``host`` (str, '0.0.0.0'): the address or name to listen on. As in Node,
      a str that is no number is a ``socketPath``. ``reusePort`` (bool, False): other processes may listen on the port,
      too, if they also set this; each connection goes to one of them (``SO_REUSEPORT``).
    - ``socketPath`` (str or path-like): the file of a UNIX socket to listen on, made with the permissions that the
      umask leaves, and removed at the end. A socket there that nobody listens on any more is replaced. In Linux, a name
      that begins with NUL is an abstract one, without a file.
    - ``socket`` (socket.socket) or ``fd`` (int, its descriptor): a socket that listens already, TCP or UNIX. It belongs
      to this server from then on: a socket object is detached, and the socket is closed with the server. The file of a
      UNIX socket stays.
    - ``server``: an HTTP server of Python's ``socketserver`` family, to share its port: ``http.server.HTTPServer`` and
      ``ThreadingHTTPServer``, or what ``wsgiref`` and Werkzeug make. Running and closing it remains up to the caller.
    - ``noServer`` (bool, False): take only what is given to :meth:`handleUpgrade`.
    - ``path`` (str that begins with a slash): take connections to this path only; others get status 400. Several of
      these servers may share an HTTP server, each with a path of its own.
    - ``verifyClient`` (callable): ``verifyClient(info)`` returns whether to accept; ``info.origin`` (str or None),
      ``info.secure`` (bool), ``info.req``. If it takes two arguments, ``verifyClient(info, callback)`` must call
      ``callback(ok, code, name, headers)``, now or later, from any thread: `code` (int, 401), `name` (str) and
      `headers` (dict) are for a refusal.
    - ``handleProtocols`` (callable): ``handleProtocols(protocols, callback)`` returns the sub-protocol to use, or calls
      ``callback(ok, protocol)`` before it returns; False refuses. `protocols` is ``['']`` if none are offered. A third
      parameter gets the request, and so does a second one named `request`. By default, the first one offered is used.
    - ``disableHixie`` (bool, False): don't speak Hixie-76.
    - ``clientTracking`` (bool, True): keep the list ``clients``.
    - ``WebSocket`` (class): the class of connections, a subclass of :class:`WebSocket`. Its constructor passes on all
      its arguments.
    - ``backlog`` (int, 511): connections the system holds until they are accepted.
    - ``maxPayload`` (bytes, 100 MiB; 0: none): the size of one incoming message. ``maxFragments`` (131072; 0: none):
      the number of its frames.
    - ``pingInterval`` (milliseconds, 0; 0: never): a peer that is silent for this long gets a ping. ``pingTimeout``
      (milliseconds, 20000; 0: no limit): if it then stays silent for this long, the connection ends with 1006. Anything
      from the peer breaks the silence, and so does progress with what is being sent to it.
    - ``maxBufferedAmount`` (bytes, 0; 0: none): how much of what was sent on a connection may wait for the kernel to
      take it. Beyond that, the connection ends with 1006, and the callbacks of what was not sent get an error.
    - ``executor`` (a ``concurrent.futures.Executor`` with threads, or an int, None): listeners, callbacks and the
      functions above run there, or on this many threads of our own: those of each connection one at a time and in
      order, those of different connections at the same time. None: on the loop thread.
    - ``handshakeTimeout`` (milliseconds, 10000; 0: none): for a client's opening handshake, TLS and ``verifyClient``
      included.
    - ``closeTimeout`` (milliseconds, 30000; 0: none): how long a client may take to end after ``close``.
    - ``autoPong`` (bool, True): answer pings.
    - ``perMessageDeflate`` (bool or dict, False): compress messages with clients that offer it (RFC 7692). The dict is
      as for :class:`WebSocket`. Offers that are malformed, or can't be accepted, get status 400.
    - ``allowUnmasked`` (bool, False): take unmasked frames, which RFC 6455 section 5.1 forbids.
    - ``key``, ``cert`` (str, bytes or path): serve TLS, in PEM: contents, not file names; a path (``pathlib.Path``) is
      read. ``passphrase`` (str or bytes), ``ciphers`` (str). ``pfx`` (bytes or path): PKCS#12 in place of ``cert`` and
      ``key``; needs the package cryptography. ``minVersion``, ``maxVersion`` ('TLSv1.2' or 'TLSv1.3').
    - ``requestCert`` (bool, False): ask clients for a certificate, signed by one of ``ca`` (as ``cert``, or a list). A
      client that shows none is refused, unless ``rejectUnauthorized`` (bool, True) is False.
    - ``SNICallback`` (callable): ``SNICallback(servername)`` returns the ``ssl.SSLContext`` with the certificate for
      that name; None: that of the server. ``SNICallback(servername, callback)`` must call ``callback(error, context)``
      before it returns. An error ends the handshake.
    - ``context`` (ssl.SSLContext): in place of all these.

    Raises TypeError and ValueError for wrong arguments, :class:`ssl.SSLError` and :class:`OSError` for TLS material
    that can't be used, :class:`WebSocketError` if another server has the same ``path`` on the same HTTP server.

    Events, on the loop thread or as ``executor`` says: ``listening()``; ``headers(lines, request)`` before the answer
    to a handshake is sent: `lines` may be changed; ``connection<url>(ws, request)``, then ``connection(ws, request)``;
    ``error(error)`` if it can't listen; ``close()``; ``wsClientError(error, socket, request)``: a request is wrong; a
    listener has to answer it, and to end `socket`.
    """

    _emits = frozenset(('listening', 'headers', 'connection', 'wsClientError', 'error', 'close'))
    if TYPE_CHECKING:
        # What they are given depends on the event.
        @property
        def on(self: S) -> OnServer[S]: ...  # type: ignore[override]
        @property
        def once(self: S) -> OnServer[S]: ...  # type: ignore[override]
        @property
        def addListener(self: S) -> AttachToServer[S]: ...  # type: ignore[override]
        @property
        def prependListener(self: S) -> AttachToServer[S]: ...  # type: ignore[override]
        @property
        def prependOnceListener(self: S) -> AttachToServer[S]: ...  # type: ignore[override]

    def __init__(
        self,
        options: Optional[ServerOptions] = None,
        callback: Optional[NoListener] = None,
        **keywords: Unpack[ServerOptions],
    ) -> None:
        check_names(options if isinstance(options, Mapping) else {}, keywords)
        super().__init__(merge('WebSocketServer', SERVER_OPTIONS, options, keywords), callback)

    def _question(self, event: str) -> None:
        name = event.partition('/')[0] if isinstance(event, str) else event  # of connection<url>
        if name not in self._emits:
            super()._question(name)

    def address(self) -> Union[Address, Any]:
        """Where the server listens: ``address``, ``family`` ('IPv4' or 'IPv6') and ``port``; the path if that is a UNIX
        socket; None if it doesn't listen. The annotation allows for neither, as callers know which they have.

        Raises :class:`WebSocketError` with ``noServer``, as it never listens."""
        if self._given_only:
            raise WebSocketError('The server is operating in "noServer" mode')
        return None if self._closing or self._closed else self._address

    def __repr__(self) -> str:
        where = self._address
        if isinstance(where, Options):
            return f'<WebSocketServer {where.address}:{where.port}>'
        return f'<WebSocketServer {printable(where)}>' if where is not None else '<WebSocketServer>'

    def handleUpgrade(
        self,
        request: Any,
        socket: Union[socket.socket, ConnectionListener, None] = None,
        head: Optional[bytes] = None,
        callback: Optional[ConnectionListener] = None,
    ) -> Any:
        """Turn a request that somebody else has read into a WebSocket: ``callback(ws, request)`` gets it or, without a
        callback, the event ``connection``. Refusals are answered, too.

        `request`: a WSGI environ, the request of Flask, Django or another framework that has one, a
        ``BaseHTTPRequestHandler``, or a :class:`Request`. `socket`: its connection; by default, that of the handler or
        of the WSGI host, to which it then looks as if the client had left. Any other plain socket is detached from the
        object given; any other TLS socket must not be used elsewhere. `head`: bytes that were read beyond the request;
        what is still in a buffer of the handler or host is found.

        Returns what a view has to return to its host, whatever becomes of the request.

        Raises TypeError and ValueError for wrong arguments, and :class:`WebSocketError` if the host keeps its
        connections; then the connection is still the caller's.
        """
        if callable(socket):
            socket, callback = None, socket
        tell = None if callback is None else self._caller_of(callback)
        source = source_of(request)
        parsed, given = _parsed(source), _bytes_of(head)
        taken, ahead = take(source, socket)
        if isinstance(source, BaseHTTPRequestHandler):
            source.close_connection = True  # for its part: there is no next request to wait for
        data = given + ahead
        if not data and has_gone(taken):  # as in ws 8, nobody is told
            close_socket(taken)
        else:
            self._take(parsed, taken, data, tell)
        return response_for(request)

    # -- what it counts ----------------------------------------------------------------------------------------------

    def metrics(self) -> Metrics:
        """What is going on, and what has happened: connections, refusals by their status, bytes; and how late the loop
        is, which is measured from the first call on, until there has been none for five minutes."""
        counted = self._connections.metrics()
        counted['handshakes'] = len(self._openings)
        if not self._closed:
            counted['loopLag'] = self._ask_for_lag()
        return counted

    def _ask_for_lag(self) -> Optional[float]:
        with self._lock:
            if self._lag is None or self._lag.loop is not self._loop:  # another one after a fork
                self._lag = Lag(self._loop)
            return self._lag.ask()

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(
        self,
        code: Union[int, Callback, None] = None,
        data: Union[str, bytes, Callback, None] = None,
        callback: Optional[Callback] = None,
    ) -> None:
        """Stop listening and close every connection with `code` (1001 if None) and the reason `data`; those that do not
        answer within ``closeTimeout`` are cut off. Then ``close`` is emitted, and ``callback()`` called.

        Called again, it waits for the same end; after that end, `callback` gets an error. Raises what
        :meth:`WebSocket.close` raises without an ``error`` listener.
        """
        if callable(code):
            code, callback = None, code
        elif callable(data):
            data, callback = None, data
        if callback is not None:
            callback = self._callback(callback)
        close_reason(code, data)  # type: ignore[arg-type]  # callables were sorted out above
        self._leave_http_server()
        if self._listener is not None:
            self._listener.refuse()
        if not self._closed:
            self._join_loop()
        self._run(self._close, code, data, callback)


def _parsed(source: object) -> Union[Request, HandshakeError]:
    try:
        return request_from(source)
    except HandshakeError as error:
        return error


def _bytes_of(head: Any) -> bytes:
    if head is not None and not isinstance(head, (bytes, bytearray, memoryview)):
        raise TypeError(f'head must be bytes, not {type(head).__name__}')
    return bytes(head or b'')


def createServer(
    options: Optional[ServerOptions] = None,
    connectionListener: Optional[ConnectionListener] = None,
    **keywords: Unpack[ServerOptions],
) -> WebSocketServer:
    """A :class:`WebSocketServer` with `options`, whose ``connection`` event `connectionListener` listens to."""
    check_listener(connectionListener)
    server = WebSocketServer(options, **keywords)
    if connectionListener is not None:
        server.on('connection', connectionListener)
    return server
