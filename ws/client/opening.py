"""A client's opening handshake over a real stream, under one deadline for all of its steps."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, Union

from ..errors import HandshakeError
from ..net.loop import Loop, Timer
from ..net.stream import Stream
from ..options import Options, milliseconds, text
from ..protocol.handshake import VERSIONS, ClientHandshake
from ..protocol.http import Response, ResponseParser
from ..protocol.permessage_deflate import DeflateOptions, PerMessageDeflate
from ..protocol.url import Address, parse_url
from .agent import check_agent
from .connecting import Connecting, tls_context

#: Opening handshakes of clients, line by line, at DEBUG.
_log = logging.getLogger('ws.handshake')
# Logs are kept, and read by others.
_SECRET = ('authorization', 'cookie', 'set-cookie')


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
        self._handshake = handshake
        self._on_open = on_open
        self._on_failure = on_failure
        self._parser = ResponseParser()
        self._timer: Optional[Timer] = None
        self._connecting = Connecting(loop, address, context, agent, handshake.request, self._on_stream, self.fail)
        self._stream: Optional[Stream] = None

    def start(self, timeout: float) -> None:
        """Begin; after `timeout` milliseconds (0: none) it has failed."""
        if timeout:
            self._timer = self._loop.call_later(timeout, self._on_timeout)
        self._connecting.start()

    def cancel(self) -> None:
        """Stop, and call nobody."""
        self._clean_up()
        self._connecting.cancel()
        if self._stream is not None:
            self._stream.destroy()

    def abandon(self) -> None:
        """This is the child after a fork."""
        self._connecting.abandon()
        if self._stream is not None:
            self._stream.abandon()

    def _clean_up(self) -> None:
        # Whatever is on its way here already, a timer's call or a stream's, finds nobody to tell.
        self._on_open = self._on_failure = _nobody
        if self._timer is not None:
            self._timer.cancel()

    def fail(self, error: BaseException) -> None:
        """Stop, and tell."""
        on_failure = self._on_failure
        self.cancel()
        on_failure(error)

    def _on_timeout(self) -> None:
        self.fail(HandshakeError('Opening handshake has timed out'))

    def _on_stream(self, stream: Stream) -> None:
        self._stream = stream
        stream.on_close = self._on_close
        stream.on_data = self._on_data
        stream.on_end = self._on_end
        _log_request(self._handshake.request)
        stream.write(self._handshake.request)
        stream.resume()

    def _on_data(self, data: bytes) -> None:
        try:
            response = self._parser.feed(data)
            if response is not None:
                _log_response(response)
                self._finish(response)
        except HandshakeError as error:
            self.fail(error)

    def _finish(self, response: Response) -> None:
        assert self._stream is not None
        protocol = self._handshake.check(response)
        on_open = self._on_open
        self._clean_up()
        on_open(self._stream, protocol, self._handshake.deflate, self._parser.rest)

    def _on_end(self) -> None:
        self.fail(HandshakeError('the server closed the connection before it answered'))

    def _on_close(self, error: Optional[Exception]) -> None:
        self.fail(error or HandshakeError('the server closed the connection before it answered'))


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


def _nobody(*arguments: object) -> None:
    pass


def prepare(
    loop: Loop,
    url: str,
    protocols: Union[str, Iterable[str], None],
    options: Options,
    deflate: Optional[DeflateOptions],
    on_open: Callable[[Stream, Optional[str], Optional[PerMessageDeflate], bytes], object],
    on_failure: Callable[[BaseException], object],
) -> ClientOpening:
    """The opening of a client with these arguments, to be started. Raises as the class WebSocket does."""
    address = parse_url(url)
    milliseconds(options, 'handshakeTimeout')
    check_agent(options.agent)
    handshake = ClientHandshake(
        address=address,
        version=_version(options.protocolVersion),
        protocols=_protocol_list(options.protocols if protocols is None else protocols, text(options, 'protocol')),
        origin=text(options, 'origin'),
        host=text(options, 'host'),
        headers=options.headers,
        deflate=deflate,
    )
    return ClientOpening(loop, address, handshake, tls_context(address, options), options.agent, on_open, on_failure)


def _version(value: object) -> int:
    for version in VERSIONS:
        if value == version or value == str(version):
            return version
    raise ValueError('unsupported protocol version')


def _protocol_list(protocols: Union[str, Iterable[str], None], more: Optional[str]) -> list[str]:
    if isinstance(protocols, str):
        protocols = [protocols]
    elif isinstance(protocols, (bytes, bytearray, memoryview, Mapping)) or not isinstance(protocols or (), Iterable):
        raise TypeError(f'protocols must be a str or a list of str, not {type(protocols).__name__}')
    listed = list(protocols or ())
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f'protocols must be a str or a list of str, not one with {type(name).__name__}')
    if more:
        listed += [name for name in (part.strip() for part in more.split(',')) if name not in listed]
    return listed
