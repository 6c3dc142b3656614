"""From an address to a stream: the name's look-up, a TCP or UNIX socket or an agent's, and TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, Optional

from ..errors import HandshakeError
from ..net import green
from ..net.connect import Connector
from ..net.loop import Loop
from ..net.stream import Stream
from ..net.tls import TLSStream
from ..net.tls_context import check_types, client_context
from ..net.tls_socket import TLSSocketStream
from ..net.workers import Workers
from ..options import Options, flag
from ..protocol.url import Address
from .agent import claim, connect_by_agent

# Agents may block. So many of them can be at work in a process.
_agents = Workers('ws-agent', 256)


class Connecting:
    """One stream to a server being made. Exactly one of the two callbacks is called, on the loop thread, unless it is
    cancelled.

    ``on_stream(stream)``: ready to be written to, and the caller's from then on. ``on_failure(error)``: nothing is
    left open.
    """

    def __init__(
        self,
        loop: Loop,
        address: Address,
        context: Optional[ssl.SSLContext],
        agent: Any,
        request: bytes,  # what will be sent; for the agent
        on_stream: Callable[[Stream], object],
        on_failure: Callable[[BaseException], object],
    ) -> None:
        self._loop = loop
        self._address = address
        self._context = context
        self._agent = agent
        self._request = request
        self._on_stream = on_stream
        self._on_failure = on_failure
        self._connector: Optional[Connector] = None
        self._stream: Optional[TLSStream] = None  # whose TLS handshake is under way

    def start(self) -> None:
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
        self._on_stream = self._on_failure = _nobody
        if self._connector is not None:
            self._connector.cancel()
        if self._agent is not None:
            _agents.give_up(self._ask_agent)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.destroy()

    def abandon(self) -> None:
        """This is the child after a fork; the connector's sockets are the loop's to close."""
        if self._stream is not None:
            self._stream.abandon()

    def _fail(self, error: BaseException) -> None:
        on_failure = self._on_failure
        self.cancel()
        on_failure(error)

    def _succeed(self, stream: Stream) -> None:
        on_stream = self._on_stream
        self._on_stream = self._on_failure = _nobody  # they refer to us
        on_stream(stream)

    def _ask_agent(self) -> None:
        """On a thread that may block."""
        sock, error = None, None
        try:
            sock = connect_by_agent(self._agent, self._address, self._request)
        except BaseException as problem:  # whatever it is: somebody waits for the result
            green.pass_on(problem)
            error = problem.with_traceback(None)  # its frames refer to us, which would be a circle
        self._loop.call(self._on_agent, error, sock)

    def _on_agent(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
        if sock is not None:
            error = claim(sock)
        if error is not None:
            sock = None
        elif sock is not None and not isinstance(sock, ssl.SSLSocket):
            # Its own: if the agent closed it, some other connection might get the same descriptor.
            sock = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        if self._on_stream is not _nobody:
            self._on_connected(error, sock)
        elif sock is not None:  # cancelled
            sock.close()

    def _on_connected(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
        if sock is None:
            self._fail(error or OSError('not connected'))
        elif isinstance(sock, ssl.SSLSocket):  # an agent's
            self._succeed(TLSSocketStream(self._loop, sock))
        elif self._context is None:
            self._succeed(Stream(self._loop, sock))
        else:
            self._start_tls(self._context, sock)

    def _start_tls(self, context: ssl.SSLContext, sock: socket.socket) -> None:
        try:
            # The dot at the end of a name is for look-ups; no certificate has it (RFC 6066 section 3).
            stream = TLSStream(self._loop, sock, context, server_hostname=self._address.host.removesuffix('.'))
        except (OSError, ValueError) as error:
            sock.close()
            self._fail(error)
            return
        self._stream = stream
        stream.on_close = self._on_tls_failure
        stream.handshake(self._on_secure)

    def _on_secure(self) -> None:
        stream, self._stream = self._stream, None
        assert stream is not None
        self._succeed(stream)

    def _on_tls_failure(self, error: Optional[Exception]) -> None:
        self._fail(error or HandshakeError('the server closed the connection before it answered'))


def _nobody(*arguments: object) -> None:
    pass


def tls_context(address: Address, options: Options) -> Optional[ssl.SSLContext]:
    """What the options say of TLS; None if there will be none. Raises as :func:`~..net.tls_context.client_context`."""
    verify = flag(options, 'rejectUnauthorized')
    material = options.ca, options.cert, options.key, options.passphrase, options.ciphers
    if not address.secure:
        check_types(*material, options.pfx)
        return None
    return client_context(*material, verify, options.pfx)
