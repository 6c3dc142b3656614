"""From an address to a stream: the name's look-up, a TCP or UNIX socket or an agent's, and TLS."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Optional

from ..errors import HandshakeError
from ..net import green
from ..net.connect import Connector, Preferences
from ..net.lookup import FAMILIES, ask_by
from ..net.loop import Loop
from ..net.resolver import look_up_literal
from ..net.stream import Stream
from ..net.tls import TLSStream
from ..net.tls_socket import TLSSocketStream
from ..net.workers import Workers
from ..options import Options, count, text
from ..protocol.url import Address, basic_authorization, parse_url
from .agent import Agent, agent_of
from .secure import Security

# Agents may block. So many of them can be at work in a process.
_agents = Workers('ws-agent', 256)


class Route:
    """How a client gets to where it is sent: what its options say of that. Raises TypeError and ValueError that name
    the option that is wrong, and what :func:`~..net.tls_context.client_context` does."""

    def __init__(self, address: Address, options: Options) -> None:
        self.agent: Optional[Agent] = agent_of(options)
        self.preferences: Preferences = _preferences(options)
        for name in _PREFERENCES:
            if self.agent is not None and options[name]:
                raise ValueError(f'{name} cannot go with {self.agent.name}, which makes the connection')
        self.security: Security = Security(options)
        #: The first place, and the UNIX socket that was given for it.
        self._host_header = address.host_header
        self._socket_path = _socket_path(address, options)
        self.check(address)

    def check(self, address: Address) -> None:
        """Raises what is wrong with the options for TLS, if there is to be TLS."""
        if address.secure:
            self.security.name(address)
            self.security.context()

    def address(self, address: Address) -> Address:
        """`address`, with the option ``socketPath``, if that is for its host."""
        if self._socket_path is None or address.host_header != self._host_header:
            return address
        return address._replace(socket_path=self._socket_path)


def address_of(url: str, options: Options) -> Address:
    """Where a client connects to. Raises ValueError for an invalid URL, TypeError for an ``auth`` that is not a str."""
    address = parse_url(url)
    auth = text(options, 'auth')
    if auth and address.authorization is None:
        return address._replace(authorization=basic_authorization(auth.encode()))
    return address


#: What an agent has to see to by itself.
_PREFERENCES = ('lookup', 'family', 'localAddress', 'localPort')


def _preferences(options: Options) -> Preferences:
    number, port = count(options, 'family'), count(options, 'localPort')
    if number not in FAMILIES:
        raise ValueError(f'family must be 0, 4 or 6, not {number}')
    if port > 65535:
        raise ValueError(f'localPort must be from 0 to 65535, not {port}')
    family = FAMILIES[number]
    local = _local_addresses(text(options, 'localAddress'), port)
    if len(local) == 1:  # others could not be reached from there
        [own] = local
        if family not in (0, own):
            raise ValueError(f'localAddress is not of family {number}: {options.localAddress}')
        family = own
    return Preferences(family, None if options.lookup is None else ask_by(options.lookup), local)


def _local_addresses(host: Optional[str], port: int) -> dict[int, Any]:
    if host is None:
        return {socket.AF_INET: ('0.0.0.0', port), socket.AF_INET6: ('::', port)} if port else {}
    endpoints = look_up_literal(host, port) if host else None
    if not endpoints:
        raise ValueError(f'localAddress must be an IP address, not {host!r}')
    return {endpoint.family: endpoint.address for endpoint in endpoints}


def _socket_path(address: Address, options: Options) -> Optional[str]:
    given = options.socketPath
    if given is None:
        return None
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(f'socketPath must be a str, not {type(given).__name__}')
    if address.socket_path is not None:
        raise ValueError('socketPath cannot go with a ws+unix: address, which has its own')
    path = os.fsdecode(given)
    if not path or '\0' in path[1:]:
        raise ValueError(f'socketPath must be the path of a UNIX socket, not {path!r}')
    return path


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
        route: Route,
        request: bytes,  # what will be sent; for the agent
        on_stream: Callable[[Stream], object],
        on_failure: Callable[[BaseException], object],
    ) -> None:
        self._loop = loop
        self._address = route.address(address)
        self._route = route
        self._request = request
        self._on_stream = on_stream
        self._on_failure = on_failure
        self._deadline: Optional[float] = None
        self._connector: Optional[Connector] = None
        self._stream: Optional[Stream] = None  # whose TLS handshake is under way, or not yet found good

    def start(self, timeout: float) -> None:
        """`timeout`: the milliseconds there are for it, 0 for no limit. The caller sees to it, the agent is told."""
        self._deadline = time.monotonic() + timeout / 1000 if timeout else None
        if self._route.agent is not None:
            _agents.add(self._ask_agent)
        else:
            self._connect()

    def _connect(self) -> None:
        self._connector = Connector(self._loop, self._on_connected, self._route.preferences)
        if self._address.socket_path is not None:
            self._connector.connect_unix(self._address.socket_path)
        else:
            self._connector.connect(self._address.host, self._address.port)

    def cancel(self) -> None:
        """Stop, and call nobody."""
        self._on_stream = self._on_failure = _nobody
        if self._connector is not None:
            self._connector.cancel()
        if self._route.agent is not None:
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
        assert self._route.agent is not None
        sock, error = None, None
        try:
            sock = self._route.agent.connect(self._address, self._request, self._left())
        except BaseException as problem:  # whatever it is: somebody waits for the result
            green.pass_on(problem)
            error = problem.with_traceback(None)  # its frames refer to us, which would be a circle
        self._loop.call(self._on_agent, error, sock)

    def _left(self) -> float:
        """Milliseconds; 0: no limit."""
        return 0 if self._deadline is None else max(1, (self._deadline - time.monotonic()) * 1000)

    def _on_agent(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
        assert self._route.agent is not None
        if sock is not None:
            error = self._route.agent.claim(sock)
        if error is not None:
            sock = None
        elif sock is not None and not isinstance(sock, ssl.SSLSocket):
            # Its own: if the agent closed it, some other connection might get the same descriptor.
            sock = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        if self._on_stream is _nobody:  # cancelled
            if sock is not None:
                sock.close()
        elif error is None and sock is None:
            self._connect()
        else:
            self._on_connected(error, sock)

    def _on_connected(self, error: Optional[BaseException], sock: Optional[socket.socket]) -> None:
        if sock is None:
            self._fail(error or OSError('not connected'))
        elif isinstance(sock, ssl.SSLSocket):  # an agent's
            self._stream = TLSSocketStream(self._loop, sock)
            self._on_secure()
        elif self._address.secure:
            self._start_tls(sock)
        else:
            self._succeed(Stream(self._loop, sock))

    def _start_tls(self, sock: socket.socket) -> None:
        security = self._route.security
        try:
            name = security.name(self._address)
            stream = TLSStream(self._loop, sock, security.context(), server_hostname=name)
        except (OSError, ValueError) as error:  # an invalid name, for example
            sock.close()
            self._fail(error.with_traceback(None))  # its frames refer to us, which would be a circle
            return
        self._stream = stream
        stream.on_close = self._on_tls_failure
        stream.handshake(self._on_secure)

    def _on_secure(self) -> None:
        stream = self._stream
        assert stream is not None
        objection = self._route.security.objection(self._address, stream)  # or the function that it calls cancels all
        if objection is not None:
            self._fail(objection)
        else:
            self._stream = None
            self._succeed(stream)

    def _on_tls_failure(self, error: Optional[Exception]) -> None:
        self._fail(error or HandshakeError('the server closed the connection before it answered'))


def _nobody(*arguments: object) -> None:
    pass
