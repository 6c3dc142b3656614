"""The attempts of a ReconnectingWebSocket: what is its URL now, and then a connection."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, Union

from ..connection import CLOSING, CONNECTING
from ..errors import HandshakeError
from ..events import Listener
from ..net import green
from ..net.timers import Timer
from ..net.workers import Workers
from ..protocol.receiver import MessageFlags
from ..websocket import WebSocket

if TYPE_CHECKING:
    from .lasting import Lasting

_ABNORMAL_CLOSURE = 1006  # RFC 6455 section 7.4.1

# Functions that are asked for a URL may block. So many of them can be at work in a process.
_askers = Workers('ws-url', 256)


class Asking:
    """The first part of an attempt: what is the URL, and which sub-protocols are there? On the loop thread."""

    def __init__(self, whole: Lasting, timeout: float) -> None:
        self._whole = whole
        self._loop = whole._loop
        self._due = time.monotonic() + timeout / 1000 if timeout else math.inf
        self._timer: Optional[Timer] = None
        self._sources: tuple[Any, ...] = ()
        #: CONNECTING or CLOSING.
        self.readyState: int = CONNECTING

    def start(self, *sources: Any) -> None:
        """Ask them, the one of the URL and that of the sub-protocols; each may be the answer itself."""
        if not any(map(callable, sources)):
            self._go_on(*sources)
            return
        self._sources = sources
        if self._due < math.inf:
            self._timer = self._loop.call_at(self._due, self._on_timeout)
        _askers.add(self._ask)

    def _ask(self) -> None:
        """On a thread that may block."""
        try:
            answers = [source() if callable(source) else source for source in self._sources]
        except BaseException as error:  # whatever it is: somebody waits for the result
            green.pass_on(error)
            assert error.__traceback__ is not None
            # Its first frame is this one, and refers to us, which would be a circle.
            self._loop.call(self._on_failure, error.with_traceback(error.__traceback__.tb_next))
        else:
            self._loop.call(self._go_on, *answers)

    def _on_timeout(self) -> None:
        _askers.give_up(self._ask)
        self._on_failure(HandshakeError('Opening handshake has timed out'))

    def _go_on(self, url: Any, protocols: Any) -> None:
        if self.readyState != CONNECTING:
            return
        self._cancel_timer()
        left = max(1, (self._due - time.monotonic()) * 1000) if self._due < math.inf else 0
        try:
            self._whole._on_answer(url, protocols, left)
        except Exception as error:
            self._on_failure(error)

    def _on_failure(self, error: BaseException) -> None:
        if self.readyState == CONNECTING:
            self._cancel_timer()
            self.readyState = CLOSING
            self._whole._on_error(error)
            self._end()

    def _end(self) -> None:
        self._whole._on_end(self, _ABNORMAL_CLOSURE, '')

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def leave(self, code: int, reason: str) -> None:
        """Nobody wants to know any more."""
        self.readyState = CLOSING
        self._cancel_timer()
        _askers.give_up(self._ask)

    def close(self, code: int, reason: bytes) -> None:
        self.terminate()

    def terminate(self) -> None:
        """End, and say so."""
        if self.readyState == CONNECTING:
            self.leave(_ABNORMAL_CLOSURE, '')
            self._loop.defer(self._end)


class Attempt(WebSocket):
    """One of the connections. The listeners of its events are those of the whole."""

    def __init__(self, whole: Lasting, url: str, options: Any) -> None:
        self._whole: Optional[Lasting] = whole
        super().__init__(url, options)
        self._keeps_process = False  # the whole does

    def is_little(self) -> bool:
        """Whether little is waiting to be sent; else ``drain`` follows."""
        return self._outgoing is not None and self._outgoing.is_little()

    def leave(self, code: int, reason: str) -> None:
        """End without telling anybody."""
        self._let_go()
        self.close(code, reason)

    def _let_go(self) -> None:
        whole, self._whole = self._whole, None
        if whole is not None and whole._keeps_process:
            self.ref()  # until all is sent, and closed

    def listeners_changed(self, event: Optional[str]) -> None:
        """Those of the whole."""
        with self._lock:
            self._changed(event)

    def listenerCount(self, event: str) -> int:
        return 0 if self._whole is None else self._whole.listenerCount(event)

    def _only_listener(self, event: str) -> Optional[Listener]:
        return None if self._whole is None else self._whole._only_listener(event)

    def _dispatch(self, event: str, args: tuple[Any, ...], reported: bool = True) -> None:
        whole = self._whole
        if event == 'close':
            self._let_go()
        if whole is not None:
            whole._on_event(self, event, args)

    def _on_message_to_be_made(self, data: Union[bytes, list[bytes]], flags: MessageFlags) -> None:
        if self._whole is not None and self._whole._kept is not None:
            self._on_message(data, flags)  # type: ignore[arg-type]  # the whole makes it when it hands it over
        else:
            super()._on_message_to_be_made(data, flags)

    def _deliver_if_heard(self, error: Exception, *more: Any) -> None:
        if self._whole is not None:
            self._whole._deliver_if_heard(error, *more)

    def _deliver_in_passing(self, event: str, args: tuple[Any, ...], then: Callable[[bool], object]) -> None:
        if self._whole is not None:
            self._whole._deliver_in_passing(event, args, then)

    def _ask(self, event: str, args: tuple[Any, ...], then: Callable[[bool], object]) -> None:
        whole = self._whole
        if whole is not None and event == 'redirect':
            whole._on_redirect(args[0], args[1], then)
        elif whole is not None:
            whole._ask(event, args, then)

    def _when_settled(self, event: str, then: Callable[[], object]) -> None:
        if self._whole is not None:
            self._whole._when_settled(event, then)
