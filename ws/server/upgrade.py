"""What becomes of a request: refused, or a WebSocket; and what the user's functions have to say about that.

In this order: path, handshake, ``verifyClient``, then ``handleProtocols`` and ``headers``, or for Hixie-76 the nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Optional, Protocol, TypeVar, Union

from ..errors import HandshakeError
from ..events import arity_of, check_callable, fitted, takes_second
from ..net.loop import Loop, report_exception
from ..options import Options
from ..pool import Order
from ..protocol import hixie
from ..protocol.handshake import ServerHandshake, check_request
from ..protocol.http import Request, build_head, is_token
from ..protocol.permessage_deflate import DeflateOptions, PerMessageDeflate
from ..typing import ClientInfo
from .opening import ServerOpening

#: ``(head, rest, version, protocol, deflate)``: what answers the request, what came behind it, what was agreed upon.
OnAccepted = Callable[[bytes, bytes, Any, Optional[str], Optional[PerMessageDeflate]], object]

_SWITCHING = 'HTTP/1.1 101 '

T = TypeVar('T')


class Program(Protocol):
    """What a program has to say to its requests, beside the functions among the options: overridden methods and
    listeners of its server."""

    def shouldHandle(self, request: Request) -> object:
        """Whether the request is for this server."""

    def _tell_of_headers(self, lines: list[str], request: Request) -> bool:
        """An answer is about to be sent. Returns whether no listener raised."""

    def _hears_client_error(self, error: HandshakeError) -> bool:
        """Whether the program answers a request with that error itself."""

    def _tell_of_client_error(self, error: HandshakeError, opening: ServerOpening, request: Request) -> bool:
        """Have it do so. Returns whether no listener raised."""


class Rules:
    """What a server asks of a request: its options, and the functions among them as they are called."""

    verify: Optional[Callable[..., Any]]
    verifies_later: bool
    handle_protocols: Optional[Callable[..., Any]]
    protocols_by_callback: bool

    def __init__(self, options: Options, deflate: Optional[DeflateOptions], server: object) -> None:
        if options.path is not None and not isinstance(options.path, str):
            raise TypeError(f'path must be a str, not {type(options.path).__name__}')
        if options.path is not None and not options.path.startswith('/'):  # no request could match it
            raise ValueError(f'path must begin with a slash, as /chat does, not {options.path!r}')
        self.deflate = deflate
        self.disable_hixie: bool = bool(options.disableHixie)
        self.verify, needed = _function(options, 'verifyClient', server)
        self.verifies_later = needed == 2
        self.handle_protocols, needed = _function(options, 'handleProtocols', server)
        #: The second argument of ``handleProtocols``: the request, as in ws 8, or a callback.
        self.protocols_by_request: bool = self.handle_protocols is not None and takes_second(
            options.handleProtocols, 'request'
        )
        self.protocols_by_callback = needed > 1 and not self.protocols_by_request

    def check(self, request: Request) -> Union[ServerHandshake, hixie.ServerHandshake]:
        """Raises :class:`HandshakeError` with the status to refuse the request with."""
        if not hixie.is_hixie(request):
            return check_request(request, self.deflate)
        if self.disable_hixie:
            raise HandshakeError('Hixie support disabled', 401)
        return hixie.check_request(request)


def _function(options: Options, name: str, server: object) -> tuple[Optional[Callable[..., Any]], int]:
    """The option `name`, and how many arguments it needs: with a second one, it takes a callback."""
    function = options[name]
    if function is None:
        return None, 0
    check_callable(function, name)
    return fitted(function, server), arity_of(function).needed


def _check_refusal(code: object, name: object) -> None:
    """Raises TypeError for a status code or reason phrase of the wrong type; None leaves it to us."""
    if code is not None and (isinstance(code, bool) or not isinstance(code, int)):
        raise TypeError(f'the status code of a refusal must be an int, not {type(code).__name__}')
    if name is not None and not isinstance(name, str):
        raise TypeError(f'the name of a refusal must be a str, not {type(name).__name__}')


def _lines(headers: Any) -> list[str]:
    """Header lines. Raises TypeError and ValueError for what can't be one; what is in the values is not looked at."""
    if headers is None:
        return []
    if not isinstance(headers, Mapping):
        raise TypeError(f'the headers of a refusal must be a dict, not {type(headers).__name__}')
    for name, value in headers.items():
        if not isinstance(name, str) or not is_token(name):
            raise ValueError(f'invalid header name {name!r}')
        if not isinstance(value, (str, int)):
            raise TypeError(f'header {name}: value must be a str, not {type(value).__name__}')
    return [f'{name}: {value}' for name, value in headers.items()]


class Upgrade:
    """One request. Lives on the loop thread; what the user's callbacks answer may come from any."""

    def __init__(
        self,
        loop: Loop,
        rules: Rules,
        opening: ServerOpening,
        request: Request,
        program: Program,
        order: Optional[Order],
        on_accepted: OnAccepted,
    ) -> None:
        self._loop = loop
        self._rules = rules
        self._opening = opening
        self._request = request
        self._program = program
        self._order = order  # in which the program is asked, if that is on a pool
        self._on_accepted = on_accepted
        self._verified = False  # or the opposite; verifyClient has answered
        if order is not None:
            order.on_refused = self._refuse_if_open

    def start(self) -> None:
        if self._opening.over:  # the client did not wait for it
            return
        try:
            # Who wants no WebSocket is told so, whatever the path.
            handled = 'upgrade' not in self._request.headers or self._program.shouldHandle(self._request)
        except BaseException:
            self._fail()
            return
        if self._opening.over:  # it closed the server, or the connection
            return
        if not handled:
            self._opening.refuse(HandshakeError('Bad Request', 400))
            return
        try:
            self._handshake = self._rules.check(self._request)
        except HandshakeError as error:
            self._on_client_error(error)
        else:
            self._verify()

    def _on_client_error(self, error: HandshakeError) -> None:
        if self._program._hears_client_error(error):
            self._opening.leave_to_program(error)
            self._ask(
                partial(self._program._tell_of_client_error, error, self._opening, self._request),
                lambda healthy: None if healthy else self._refuse_as_broken(),
            )
        else:
            self._opening.refuse(error)

    def _fail(self) -> None:
        """A function of the user's raised, or gave what can't be used: nobody knows whether it would have refused."""
        report_exception()
        self._run(self._refuse_if_open)

    def _refuse_if_open(self) -> None:
        if not self._opening.over:
            self._refuse_as_broken()

    def _refuse_as_broken(self) -> None:
        self._opening.refuse(HandshakeError('Internal Server Error', 500))

    # -- asking the program ------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[], T], then: Callable[[T], object]) -> None:
        """Have ``question()`` answered, on the pool if there is one, and go on with ``then(answer)``."""
        if self._order is None:
            self._ask_here(question, then)
        else:
            self._order.add(self._ask_here, question, then)

    def _ask_here(self, question: Callable[[], T], then: Callable[[T], object]) -> None:
        if self._order is not None and self._order.refused:  # this is no place to block
            return
        try:
            answer = question()
        except BaseException:
            self._fail()
        else:
            self._run(then, answer)

    def _run(self, method: Callable[..., object], *args: Any) -> None:
        if self._loop.in_thread():
            method(*args)
        else:
            self._loop.call(method, *args)

    # -- verifyClient ------------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        verify = self._rules.verify
        if verify is None:
            self._agree()
            return
        info = ClientInfo(origin=self._handshake.origin, secure=self._opening.stream.encrypted, req=self._request)
        if self._rules.verifies_later:
            self._ask(partial(verify, info, self._answer), _ignore)
        else:
            self._ask(partial(verify, info), self._answer)

    def _answer(self, ok: object = False, code: object = None, name: object = None, headers: object = None) -> None:
        """The callback of ``verifyClient``. The first answer counts, if it comes in time."""
        if not self._loop.in_thread():
            self._loop.call(self._answer, ok, code, name, headers)
        elif not self._verified and not self._opening.over:
            self._verified = True
            if ok:
                self._agree()
            else:
                self._refuse(code, name, headers)

    def _refuse(self, code: Any, name: Any, headers: Any) -> None:
        try:
            _check_refusal(code, name)
            self._opening.refuse(HandshakeError(name or '', code or 401, _lines(headers)), name or None)
        except BaseException:  # the user's objects may have methods of their own
            self._fail()

    # -- what is agreed upon -----------------------------------------------------------------------------------------

    def _agree(self) -> None:
        if isinstance(self._handshake, hixie.ServerHandshake):
            self._agree_on_hixie(self._handshake)
            return
        handle = self._rules.handle_protocols
        if handle is None:
            self._respond(self._handshake, self._handshake.protocols[0] if self._handshake.protocols else None)
        else:
            # As in the original, one empty name stands for none.
            offered = self._handshake.protocols or ['']
            self._ask(partial(self._choose_protocol, handle, offered), partial(self._on_protocol, self._handshake))

    def _choose_protocol(self, handle: Callable[..., Any], offered: list[str]) -> Union[str, HandshakeError, None]:
        """The one that ``handleProtocols`` chooses, or why the client is refused."""
        answers: list[tuple[object, Optional[str]]] = []

        def answer(ok: object = False, protocol: Optional[str] = None) -> None:
            answers.append((ok, protocol))

        try:
            returned = handle(offered, self._request if self._rules.protocols_by_request else answer, self._request)
        except HandshakeError as error:
            return error
        if not answers and returned is None and self._rules.protocols_by_callback:
            return HandshakeError('Could not process protocols', 501)
        ok, protocol = answers[0] if answers else (returned is not False, returned)
        return (protocol or None) if ok else HandshakeError('No acceptable subprotocol', 404)

    def _on_protocol(self, handshake: ServerHandshake, chosen: Union[str, HandshakeError, None]) -> None:
        if self._opening.over:  # handleProtocols closed the server, or the connection
            return
        if isinstance(chosen, HandshakeError):
            self._opening.refuse(chosen)
        else:
            self._respond(handshake, chosen)

    def _respond(self, handshake: ServerHandshake, protocol: Optional[str]) -> None:
        try:
            lines = handshake.response_lines(protocol)
        except HandshakeError as error:
            self._opening.refuse(error)
        except BaseException:
            self._fail()
        else:
            tell = partial(self._program._tell_of_headers, lines, self._request)
            self._ask(tell, partial(self._accept, lines, handshake, protocol))

    def _accept(self, lines: list[str], handshake: ServerHandshake, protocol: Optional[str], healthy: bool) -> None:
        if self._opening.over:  # a listener closed the server, or the connection
            return
        try:
            if not healthy:
                raise HandshakeError('Internal Server Error', 500)
            if not lines[0].startswith(_SWITCHING):
                raise ValueError(f'not the status line of a WebSocket: {lines[0]!r}')
            head = build_head(lines[0], lines[1:])
        except HandshakeError as error:  # what the listener raised has been reported
            self._opening.refuse(error)
        except (AttributeError, IndexError, TypeError, ValueError):  # it spoiled the lines
            self._fail()
        else:
            self._on_accepted(head, self._opening.take(), handshake.version, protocol, handshake.deflate)

    def _agree_on_hixie(self, handshake: hixie.ServerHandshake) -> None:
        lines = handshake.response_lines(self._opening.stream.encrypted)
        head = build_head(lines[0], lines[1:])
        if not self._opening.has(hixie.NONCE_SIZE):
            # To a proxy, the nonce is nothing that belongs to a request: it holds it back until it has seen a 101.
            self._opening.answer(head)
            head = b''
        self._opening.wait_for(hixie.NONCE_SIZE, partial(self._accept_hixie, handshake, head))

    def _accept_hixie(self, handshake: hixie.ServerHandshake, head: bytes) -> None:
        rest = self._opening.take()
        nonce, rest = rest[: hixie.NONCE_SIZE], rest[hixie.NONCE_SIZE :]
        self._on_accepted(head + handshake.answer(nonce), rest, hixie.VERSION, handshake.protocol, None)


def _ignore(answer: object) -> None:
    pass
