"""One request and its answer, over a stream of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Optional

from ..errors import HandshakeError
from ..net.face import Socket
from ..net.loop import Loop
from ..net.stream import Stream
from ..protocol.body import BodyReader
from ..protocol.http import Response, ResponseParser
from ..protocol.url import Address, without_credentials
from .connecting import Connecting, Route

#: Opening handshakes of clients, line by line, at DEBUG.
_log = logging.getLogger('ws.handshake')
# Logs are kept, and read by others.
_SECRET = ('authorization', 'cookie', 'set-cookie')


class Exchange:
    """Exactly one of the two callbacks is called, unless this is cancelled.

    ``on_ready(stream)``, if that is given: it is time to :meth:`send` a request, which else is `request`.
    ``on_response(response)``: the head is there; then the stream is taken over, or the body read, or this cancelled.
    ``on_failure(error)``: nothing is left open.
    """

    def __init__(
        self,
        loop: Loop,
        address: Address,
        route: Route,
        request: bytes,
        on_ready: Optional[Callable[[Stream], object]],
        on_response: Callable[[Response], object],
        on_failure: Callable[[BaseException], object],
    ) -> None:
        self._request = request
        self._on_ready = on_ready
        self._on_response = on_response
        self._on_failure = on_failure
        self._connecting = Connecting(loop, address, route, request, self._on_stream, self._fail)
        self._stream: Optional[Stream] = None
        self._parser = ResponseParser()
        self._response: Optional[Response] = None
        self._body: Optional[BodyReader] = None  # while it is being read
        self._on_body: Callable[[], object] = _nobody

    def start(self, timeout: float) -> None:
        """`timeout`: the milliseconds there are for connecting, 0 for no limit; whoever waits sees to it."""
        self._connecting.start(timeout)

    def cancel(self) -> None:
        """Stop, and call nobody."""
        self._forget()
        self._connecting.cancel()
        if self._stream is not None:
            self._stream.destroy()

    def abandon(self) -> None:
        """This is the child after a fork."""
        self._connecting.abandon()
        if self._stream is not None:
            self._stream.abandon()

    @property
    def answered(self) -> bool:
        """Whether the head of the answer is there."""
        return self._response is not None

    @property
    def face(self) -> Optional[Socket]:
        """What the program sees of the stream, once there is one."""
        return None if self._stream is None else self._stream.face

    def pause(self) -> None:
        """Read nothing more; whoever takes the stream over goes on."""
        assert self._stream is not None
        self._stream.pause()

    def take_over(self) -> tuple[Stream, bytes]:
        """The stream, which is the caller's from here on, and what has come behind the head."""
        assert self._stream is not None
        self._forget()
        return self._stream, self._parser.rest

    def _forget(self) -> None:
        # Whatever is on its way here already finds nobody to tell.
        self._on_response = self._on_failure = self._on_body = _nobody
        self._on_ready = None
        self._body = None

    def _fail(self, error: BaseException) -> None:
        on_failure = self._on_failure
        self.cancel()
        on_failure(error)

    def _on_stream(self, stream: Stream) -> None:
        self._stream = stream
        stream.on_close = self._on_close
        stream.on_data = self._on_data
        stream.on_end = self._on_end
        stream.resume()
        if self._on_ready is None:
            self.send(self._request)
        else:
            self._on_ready(stream)

    def send(self, head: bytes) -> None:
        """Send the request."""
        if self._stream is not None:
            _log_request(head)
            self._stream.write(head)

    def _on_data(self, data: bytes) -> None:
        if self._body is not None:
            self._add_to_body(self._body, data)
            return
        try:
            response = self._response = self._parser.feed(data)
        except HandshakeError as error:
            self._fail(error)
            return
        if response is not None:
            _log_response(response)
            self._on_response(response)

    def _on_end(self) -> None:
        if self._body is not None:
            self._body.end()
            self.end_body()
        else:
            self._fail(HandshakeError('the server closed the connection before it answered'))

    def _on_close(self, error: Optional[Exception]) -> None:
        if self._body is not None:
            self.end_body()
        else:
            self._fail(error or HandshakeError('the server closed the connection before it answered'))

    def read_body(self, on_body: Callable[[], object]) -> None:
        """Read the body into the response, as far as it is wanted; then the connection is closed, and ``on_body()``
        called."""
        assert self._response is not None
        self._body = BodyReader(self._response)
        self._on_body = on_body
        self._add_to_body(self._body, self._parser.rest)

    def _add_to_body(self, body: BodyReader, data: bytes) -> None:
        body.feed(data)
        if body.done:
            self.end_body()

    def end_body(self) -> None:
        """What has come of it is enough."""
        body, on_body = self._body, self._on_body
        if body is not None and self._response is not None:
            self._response.body, self._response.complete = bytes(body.data), body.complete
            self.cancel()
            on_body()


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
        _log.debug('%s %s: %s', direction, name, _shown(name.lower(), value))


def _shown(name: str, value: str) -> str:
    if name in _SECRET:
        return '...'
    return without_credentials(value) if name == 'location' else value


def _nobody(*arguments: object) -> None:
    pass
