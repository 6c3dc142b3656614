"""A client's opening handshake: requests and answers, over redirects, each under a deadline of its own."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Optional, Union

from ..errors import HandshakeError
from ..events import check_callable, fitted
from ..net.loop import Loop, report_exception
from ..net.stream import Stream
from ..net.timers import Timer
from ..options import Options, count, flag, milliseconds, text
from ..protocol.handshake import VERSIONS, ClientHandshake, snapshot
from ..protocol.http import Response
from ..protocol.permessage_deflate import DeflateOptions, PerMessageDeflate
from ..protocol.url import Address, without_credentials
from .connecting import Route, address_of
from .exchange import Exchange
from .redirects import Redirects, is_redirect
from .request import ClientRequest

if TYPE_CHECKING:
    from ..websocket import WebSocket

#: How long, in milliseconds, the body of a refusal may take, if ``handshakeTimeout`` leaves so much. There are servers
#: that say nothing of its length, and never close the connection.
BODY_TIMEOUT = 5000

_log = logging.getLogger('ws.handshake')

OnOpen = Callable[[Stream, Optional[str], Optional[PerMessageDeflate], bytes], object]


class ClientOpening:
    """From an address to an open WebSocket stream. Exactly one of the two callbacks is called, unless cancelled.

    ``on_open(stream, protocol, deflate, rest)``: what was agreed upon, and what came after the response's head.
    ``on_failure(error)``: the stream, if there was one, is closed.
    In between there are the events ``redirect``, ``upgrade`` and ``unexpected-response`` of `client`.
    """

    def __init__(
        self,
        loop: Loop,
        client: WebSocket,
        make_handshake: Callable[[Address], ClientHandshake],
        address: Address,
        route: Route,
        redirects: Optional[Redirects],
        finish_request: Optional[Callable[..., object]],
        on_open: OnOpen,
        on_failure: Callable[[BaseException], object],
    ) -> None:
        self._loop = loop
        self._client = client
        self._make_handshake = make_handshake
        self._handshake = make_handshake(address)
        self._request: Optional[ClientRequest] = None  # once a listener has it
        self._route = route
        self._redirects = redirects
        self._finish_request = finish_request
        self._on_open = on_open
        self._on_failure = on_failure
        self._timeout = 0.0
        self._due = 0.0  # when it is over
        self._timer: Optional[Timer] = None
        self._exchange: Optional[Exchange] = None

    def start(self, timeout: float) -> None:
        """Begin. What takes longer than `timeout` milliseconds (0: none), from one request to the next, has failed."""
        self._timeout = timeout
        self._send()

    def cancel(self) -> None:
        """Stop, and call nobody."""
        # Whatever is on its way here already, a timer's call or a stream's, finds nobody to tell.
        self._on_open = self._on_failure = _nobody
        self._request = None  # it refers to us
        self._stop_timer()
        if self._exchange is not None:
            self._exchange.cancel()

    def abandon(self) -> None:
        """This is the child after a fork."""
        if self._exchange is not None:
            self._exchange.abandon()

    def fail(self, error: BaseException) -> None:
        """Stop, and tell."""
        on_failure = self._on_failure
        self.cancel()
        on_failure(error)

    @property
    def _is_over(self) -> bool:
        return self._on_failure is _nobody

    # -- the deadline ------------------------------------------------------------------------------------------------

    def _set_timer(self, delay: float, callback: Callable[[], object]) -> None:
        """Have it called after so many milliseconds, 0 for never, in place of what it was set to before."""
        self._stop_timer()
        if delay:
            self._timer = self._loop.call_later(delay, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self.fail(HandshakeError('Opening handshake has timed out'))

    # -- requests and answers ----------------------------------------------------------------------------------------

    def _send(self) -> None:
        self._set_timer(self._timeout, self._on_timeout)
        self._due = time.monotonic() * 1000 + self._timeout
        address, head = self._handshake.address, self._handshake.request
        ask = None if self._finish_request is None else self._ask_to_finish
        self._exchange = Exchange(self._loop, address, self._route, head, ask, self._on_response, self.fail)
        self._exchange.start(self._timeout)

    def _own_request(self) -> ClientRequest:
        """The one that is being sent, as the program sees it."""
        if self._request is None:
            self._request = ClientRequest(self._handshake, self._on_destroy, self._on_request_end)
        return self._request

    def _ask_to_finish(self, stream: Stream) -> None:
        """There is a connection, and ``finishRequest`` has the last word on what goes there first."""
        assert self._finish_request is not None
        request, client = self._own_request(), self._client
        request.socket = stream.face
        request.headersSent = False
        try:
            self._finish_request(request, client)
        except BaseException:
            report_exception()
            client.terminate()  # it is not finished, and never will be

    def _on_request_end(self, request: ClientRequest) -> None:
        """On any thread."""
        if self._loop.in_thread():
            self._send_finished(request)
        else:
            self._loop.call(self._send_finished, request)

    def _send_finished(self, request: ClientRequest) -> None:
        if request is self._request and request.socket is not None and not request.headersSent:
            request.headersSent = True
            assert self._exchange is not None
            self._exchange.send(self._handshake.request)

    def _on_response(self, response: Response) -> None:
        assert self._exchange is not None
        if response.statusCode == 101:
            self._on_upgrade(response)
        elif self._redirects is not None and is_redirect(response):
            self._on_redirect(self._redirects, response)
        else:
            left = max(1.0, self._due - time.monotonic() * 1000) if self._timeout else BODY_TIMEOUT
            self._set_timer(min(left, BODY_TIMEOUT), self._exchange.end_body)
            self._exchange.read_body(functools.partial(self._on_refusal, response))

    def _check(self, response: Response) -> Optional[str]:
        """As the handshake's; what is wrong has the response with it."""
        try:
            return self._handshake.check(response)
        except HandshakeError as error:
            error.response = response
            raise

    def _on_upgrade(self, response: Response) -> None:
        assert self._exchange is not None
        client = self._client
        client.upgradeRes = response
        if client._order is not None:
            self._exchange.pause()  # it takes a moment to ask the pool, and what comes by then is the connection's
        client._deliver_in_passing('upgrade', (response,), functools.partial(self._finish, response))

    def _finish(self, response: Response, ok: bool) -> None:
        self._end_if_raised(ok)
        if self._is_over:
            return
        assert self._exchange is not None
        try:
            protocol = self._check(response)
        except HandshakeError as error:
            self.fail(error)
            return
        stream, rest = self._exchange.take_over()
        on_open = self._on_open
        self._exchange = None
        self.cancel()
        on_open(stream, protocol, self._handshake.deflate, rest)

    # -- refusals ----------------------------------------------------------------------------------------------------

    def _on_refusal(self, response: Response) -> None:
        """It has its body."""
        # Whoever listens has as long as the server had.
        self._set_timer(self._timeout, self._on_timeout)
        self._client._when_settled('unexpected-response', functools.partial(self._refuse, response))

    def _refuse(self, response: Response) -> None:
        if self._is_over:
            return
        client = self._client
        if client.listenerCount('unexpected-response'):
            assert self._exchange is not None
            request = self._own_request()
            request.socket = self._exchange.face
            request.headersSent = True
            client._ask('unexpected-response', (request, response), self._end_if_raised)
            return
        try:
            self._check(response)
        except HandshakeError as error:
            self.fail(error)

    # -- redirects ---------------------------------------------------------------------------------------------------

    def _on_redirect(self, redirects: Redirects, response: Response) -> None:
        assert self._exchange is not None
        self._exchange.cancel()
        self._exchange = None
        self._stop_timer()
        try:
            address = redirects.follow(response)
            self._route.check(address)
        except HandshakeError as error:
            error.response = response
            self.fail(error)
        except Exception as error:  # what its options for TLS hold
            self.fail(error)
        else:
            self._client._when_settled('redirect', functools.partial(self._go_to, redirects, address))

    def _go_to(self, redirects: Redirects, address: Address) -> None:
        if self._is_over:
            return
        client = self._client
        heard = client.listenerCount('redirect') > 0
        self._handshake = redirects.handshake(address, self._make_handshake, with_all=heard)
        self._request = None
        request = self._own_request()
        client.url = redirects.url
        _log.debug('redirected to %s', without_credentials(redirects.url))
        client._ask('redirect', (redirects.url, request), functools.partial(self._go_on, request))

    def _go_on(self, request: ClientRequest, ok: bool) -> None:
        self._end_if_raised(ok)  # who was to look at the headers has not done so
        if not (self._is_over or request.destroyed):
            request.headersSent = True
            self._send()

    def _end_if_raised(self, ok: bool) -> None:
        if not ok:
            self._client.terminate()

    # -- what listeners do with a request ----------------------------------------------------------------------------

    def _on_destroy(self, request: ClientRequest, error: Optional[BaseException]) -> None:
        """On any thread. As in Node, nobody hears of it before the listener has returned."""
        if not self._is_over:
            self._loop.call(self._give_up, request, error)

    def _give_up(self, request: ClientRequest, error: Optional[BaseException]) -> None:
        if request is not self._request:
            return
        if error is None and self._exchange is not None and self._exchange.answered:
            self._client._may_fail = False  # it was no failure of the request's
            self._client.terminate()
        else:
            self.fail(error or HandshakeError('socket hang up'))


def _nobody(*arguments: object) -> None:
    pass


def prepare(
    loop: Loop,
    client: WebSocket,
    url: str,
    protocols: Union[str, Iterable[str], None],
    options: Options,
    deflate: Optional[DeflateOptions],
    on_open: OnOpen,
    on_failure: Callable[[BaseException], object],
) -> ClientOpening:
    """The opening of a client with these arguments, to be started. Raises as the class WebSocket does."""
    address = address_of(url, options)
    milliseconds(options, 'handshakeTimeout')
    follow, limit = flag(options, 'followRedirects'), count(options, 'maxRedirects')
    version = _version(options.protocolVersion)
    listed = _protocol_list(options.protocols if protocols is None else protocols, text(options, 'protocol'))
    origin, host = text(options, 'origin'), text(options, 'host')
    headers = snapshot(options.headers)

    def make_handshake(address: Address) -> ClientHandshake:
        return ClientHandshake(
            address=address,
            version=version,
            protocols=listed,
            origin=origin,
            host=host,
            headers=headers,
            deflate=deflate,
        )

    redirects = Redirects(url, address, limit) if follow else None
    route = Route(address, options)
    return ClientOpening(
        loop, client, make_handshake, address, route, redirects, _finisher(options, client), on_open, on_failure
    )


def _finisher(options: Options, client: WebSocket) -> Optional[Callable[..., object]]:
    """The option ``finishRequest``, as it is called. Raises TypeError for anything that is not a function."""
    finish = options.finishRequest
    if finish is None:
        return None
    check_callable(finish, 'finishRequest')
    return fitted(finish, client)


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
