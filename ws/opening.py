"""The opening handshake over real streams, both sides, each under one deadline for all of its steps."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional
from weakref import WeakSet

from .errors import HandshakeError
from .net.connect import Connector
from .net.loop import Loop, Timer
from .net.stream import Stream
from .net.tls import TLSStream
from .net.tls_socket import TLSSocketStream
from .net.workers import Workers
from .options import Options
from .protocol.handshake import ClientHandshake
from .protocol.http import Request, RequestParser, Response, ResponseParser, build_refusal
from .protocol.permessage_deflate import PerMessageDeflate
from .protocol.url import Address

#: Opening handshakes of clients, line by line, at DEBUG.
_log = logging.getLogger('ws.handshake')
# Logs are kept, and read by others.
_SECRET = ('authorization', 'cookie', 'set-cookie')

# Agents may block. So many of them can be at work in a process.
_agents = Workers('ws-agent', 256)
# The sockets they have returned. Only for the loop thread.
_claimed: WeakSet[socket.socket] = WeakSet()

#: How many bytes a client may send ahead while its request is considered.
_REST_LIMIT = 65536


class ClientOpening:
    """From an address to an open WebSocket stream. Exactly one of the two callbacks is called, unless cancelled.

    ``on_open(stream, protocol, deflate, rest)``: what was agreed upon, and what came after the response's head.
    ``on_failure(error)``: the stream, if there was one, is closed.
    """

    def __init__(
        self,
        loop: Loop,
        address: Address,
        handshake: ClientHandshake,
        context: Optional[ssl.SSLContext],
        agent: Any,
        on_open: Callable[[Stream, Optional[str], Optional[PerMessageDeflate], bytes], object],
        on_failure: Callable[[BaseException], object],
    ) -> None:
        self._loop = loop
        self._address = address
        self._handshake = handshake
        self._context = context
        self._agent = agent
        self._on_open = on_open
        self._on_failure = on_failure
        self._parser = ResponseParser()
        self._timer: Optional[Timer] = None
        self._connector: Optional[Connector] = None
        self._stream: Optional[Stream] = None

    def start(self, timeout: float) -> None:
        """Begin; after `timeout` milliseconds (0: none) it has failed."""
        if timeout:
            self._timer = self._loop.call_later(timeout, self._on_timeout)
        if self._agent is not None:
            _agents.add(self._ask_agent)
            return
        self._connector = Connector(self._loop, self._on_connected)
        if self._address.socket_path is not None:
            self._connector.connect_unix(self._address.socket_path)
        else:
            self._connector.connect(self._address.host, self._address.port)

    def cancel(self) -> None:
        """Stop, and call nobody."""
        self._clean_up()
        if self._connector is not None:
            self._connector.cancel()
        if self._stream is not None:
            self._stream.destroy()

    def abandon(self) -> None:
        """This is the child after a fork; the connector's sockets are the loop's to close."""
        if self._stream is not None:
            self._stream.abandon()

    def _clean_up(self) -> None:
        # Whatever is on its way here already, a timer's call or a stream's, finds nobody to tell.
        self._on_open = self._on_failure = _nobody
        if self._timer is not None:
            self._timer.cancel()

    def _fail(self, error: BaseException) -> None:
        on_failure = self._on_failure
        self.cancel()
        on_failure(error)

    def _on_timeout(self) -> None:
        self._fail(HandshakeError('opening handshake has timed out'))

    def _ask_agent(self) -> None:
        """On a thread that may block."""
        sock, error = None, None
        try:
            sock = connect_by_agent(self._agent, self._address, self._handshake)
        except BaseException as problem:  # whatever it is: somebody waits for the result
            error = problem.with_traceback(None)  # its frames refer to us, which would be a circle
        self._loop.call(self._on_agent, error, sock)

    def _on_agent(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
        if sock is not None:
            error = _claim(sock)
        if error is not None:
            sock = None
        elif sock is not None and not isinstance(sock, ssl.SSLSocket):
            # Its own: if the agent closed it, some other connection might get the same descriptor.
            sock = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        if self._on_open is not _nobody:
            self._on_connected(error, sock)
        elif sock is not None:  # cancelled
            sock.close()

    def _on_connected(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
        if sock is None:
            self._fail(error or OSError('not connected'))
        elif isinstance(sock, ssl.SSLSocket):  # an agent's
            self._use(TLSSocketStream(self._loop, sock))
            self._send_request()
        elif self._context is None:
            self._use(Stream(self._loop, sock))
            self._send_request()
        else:
            self._start_tls(self._context, sock)

    def _use(self, stream: Stream) -> None:
        self._stream = stream
        stream.on_close = self._on_close

    def _start_tls(self, context: ssl.SSLContext, sock: socket.socket) -> None:
        try:
            stream = TLSStream(self._loop, sock, context, server_hostname=self._address.host)
        except (OSError, ValueError) as error:
            sock.close()
            self._fail(error)
            return
        self._use(stream)
        stream.handshake(self._send_request)

    def _send_request(self) -> None:
        assert self._stream is not None
        self._stream.on_data = self._on_data
        self._stream.on_end = self._on_end
        _log_request(self._handshake.request)
        self._stream.write(self._handshake.request)
        self._stream.resume()

    def _on_data(self, data: bytes) -> None:
        try:
            response = self._parser.feed(data)
            if response is not None:
                _log_response(response)
                self._finish(response)
        except HandshakeError as error:
            self._fail(error)

    def _finish(self, response: Response) -> None:
        assert self._stream is not None
        protocol = self._handshake.check(response)
        on_open = self._on_open
        self._clean_up()
        on_open(self._stream, protocol, self._handshake.deflate, self._parser.rest)

    def _on_end(self) -> None:
        self._fail(HandshakeError('the server closed the connection before it answered'))

    def _on_close(self, error: Optional[Exception]) -> None:
        self._fail(error or HandshakeError('the server closed the connection before it answered'))


def _log_request(head: bytes) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        start_line, *lines = head.decode('latin-1').split('\r\n')[:-2]
        _log_head('>', start_line, [line.split(': ', 1) for line in lines])


def _log_response(response: Response) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        start_line = f'HTTP/{response.httpVersion} {response.statusCode} {response.statusMessage}'
        _log_head('<', start_line, zip(response.rawHeaders[::2], response.rawHeaders[1::2]))


def _log_head(direction: str, start_line: str, headers: Iterable[Sequence[str]]) -> None:
    _log.debug('%s %s', direction, start_line)
    for name, value in headers:
        _log.debug('%s %s: %s', direction, name, '...' if name.lower() in _SECRET else value)


def check_agent(agent: Any) -> None:
    """Raises TypeError for what is no agent."""
    if agent is not None and not callable(getattr(agent, 'addRequest', agent)):
        raise TypeError(f'agent must be callable, or have a method addRequest, not {type(agent).__name__}')


def connect_by_agent(agent: Any, address: Address, handshake: ClientHandshake) -> socket.socket:
    """The connected socket that `agent` yields. Raises what that does, and TypeError for what is no socket."""
    request = RequestParser().feed(handshake.request)
    options = Options(
        host=address.host, port=address.port, secure=address.secure, socketPath=address.socket_path, path=address.target
    )
    sock = getattr(agent, 'addRequest', agent)(request, options)
    if not isinstance(sock, socket.socket):
        raise TypeError(f'agent must return a connected socket, not {type(sock).__name__}')
    return sock


def _claim(sock: socket.socket) -> Optional[OSError]:
    """What is wrong with an agent's socket. It is closed then, unless it is another connection's."""
    if sock in _claimed:
        return OSError('agent must return another socket for each connection')
    try:
        sock.getpeername()
    except OSError as error:
        sock.close()
        return OSError(f'agent must return a connected socket: {error}')
    _claimed.add(sock)
    return None


class ServerOpening:
    """From a connection to a request. ``on_request(opening, request)`` is called at most once.

    Who is called takes the stream (:meth:`take`) or refuses (:meth:`refuse`), at once or later. ``on_done(opening)``
    follows in any case, once the connection is somebody else's or closed.
    """

    __slots__ = ('_decided', '_loop', '_on_done', '_on_more', '_on_request', '_parser', '_rest', '_timer', 'stream')

    def __init__(
        self,
        loop: Loop,
        stream: Stream,
        timeout: float,
        on_request: Callable[[ServerOpening, Request], object],
        on_done: Callable[[ServerOpening], object],
    ) -> None:
        self._loop = loop
        self._on_request = on_request
        self._on_done = on_done
        self._on_more: Optional[Callable[[], object]] = None
        self._parser = RequestParser()
        self._rest = bytearray()  # what has come after the request
        self._timer = loop.call_later(timeout, self._on_timeout) if timeout else None
        self._decided = False
        self.stream = stream
        stream.on_close = self._on_close

    @property
    def over(self) -> bool:
        """Whether it is decided: taken, refused, ended by the client, or cut off."""
        return self._decided or self.stream.closed

    def start(self) -> None:
        """Read the request."""
        if isinstance(self.stream, TLSStream):
            self.stream.handshake(self._read)
        else:
            self._read()

    def start_with(self, request: Request, head: bytes) -> None:
        """Somebody else has read the request, and `head` behind it."""
        self.stream.on_end = self._on_end
        self._on_parsed(request, head)
        if not self.over and len(self._rest) < _REST_LIMIT:
            self.stream.resume()

    def wait_for(self, size: int, callback: Callable[[], object]) -> None:
        """Call ``callback()`` when `size` bytes have come after the request."""

        def on_more() -> None:
            if len(self._rest) >= size and not self.over:
                self._on_more = None
                callback()

        self._on_more = on_more
        on_more()

    def take(self) -> bytes:
        """Give the stream away, paused; returns what has been read beyond the request."""
        self._decided = True
        self._on_more = None
        if self._timer is not None:
            self._timer.cancel()
        self.stream.pause()  # what comes now must not come before what is here
        self.stream.on_close = _nobody
        self._on_done(self)
        return bytes(self._rest)

    def refuse(self, error: HandshakeError, name: Optional[str] = None) -> None:
        """Answer with an HTTP error, `name` its reason phrase, and end; the deadline stays in force until the peer has
        ended, too. Raises as :func:`build_refusal` does."""
        response = build_refusal(error.status or 400, str(error), error.headers, name)
        self._decided = True
        self._on_more = None
        self.stream.on_data = _nobody
        self.stream.resume()  # it may be paused, and would not see the peer's end
        self.stream.write(response)
        self.stream.end()

    def cancel(self) -> None:
        """The server is closing."""
        self._cut_off(HandshakeError('The server is closing', 503))

    def _read(self) -> None:
        self.stream.on_data = self._on_data
        self.stream.on_end = self._on_end
        self.stream.resume()

    def _on_data(self, data: bytes) -> None:
        try:
            request = self._parser.feed(data)
        except HandshakeError as error:
            self.refuse(error)
            return
        if request is not None:
            self._on_parsed(request, self._parser.rest)

    def _on_parsed(self, request: Request, rest: bytes) -> None:
        self._rest += rest
        # Reading goes on, so that a client that leaves is noticed.
        self.stream.on_data = self._on_rest
        self._on_request(self, request)
        self._pause_if_much()

    def _on_rest(self, data: bytes) -> None:
        self._rest += data
        if self._on_more is not None:
            self._on_more()
        self._pause_if_much()

    def _pause_if_much(self) -> None:
        if len(self._rest) >= _REST_LIMIT and not self.over:
            self.stream.pause()

    def _on_timeout(self) -> None:
        self._cut_off(HandshakeError('Request Timeout', 408))

    def _cut_off(self, reason: HandshakeError) -> None:
        """Answer as far as that takes no time, and close."""
        if not (isinstance(self.stream, TLSStream) and self.stream.handshaking):
            self.refuse(reason)  # nothing happens if a refusal is under way already
            self.stream.flush()
        self.stream.destroy()

    def _on_end(self) -> None:
        self._decided = True
        self.stream.end()

    def _on_close(self, error: Optional[Exception]) -> None:
        self._decided = True
        self._on_more = None
        if self._timer is not None:
            self._timer.cancel()
        self._on_done(self)


def _nobody(*arguments: object) -> None:
    pass
