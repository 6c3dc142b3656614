"""A load test: connections are opened, messages sent over them and awaited, and all of it counted.

Everything happens on the loop thread, so that nothing has to be handed over between a message and its time.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Optional

from ..net.lifetime import get_loop
from ..websocket import WebSocket
from .measures import Plan, Results
from .output import Message, described, ending, shown

_NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1
#: How many connections are opened at a time.
_AT_ONCE = 32
#: Seconds after which those that are not open count as failed.
_OPENING_TIMEOUT = 30.0
#: Seconds that answers may take, where nothing else says how long.
PATIENCE = 5.0
#: How many messages, and bytes of messages, may be under way if there is a rate.
MOST_UNDER_WAY = 100_000
_MOST_BYTES_UNDER_WAY = 256 * 1024 * 1024
#: How many messages that are due are sent before the loop looks for answers.
_MOST_PER_TURN = 1000
#: How far the numbers of messages on different connections are apart.
_APART = 10**9
#: How much of a message is shown.
_MOST_SHOWN = 40

_OPENING, _MEASURING, _SETTLING, _CLOSING = range(4)


class _Link:
    """One of the connections, and what is under way on it."""

    def __init__(self, ws: WebSocket, number: int, plan: Plan) -> None:
        self.ws = ws
        self.began: float = time.monotonic()
        self.is_open: bool = False
        #: Message -> since when.
        self.under_way: dict[Message, float] = {}
        self._numbers = itertools.count(number * _APART)
        self._plan = plan

    def next_message(self) -> Message:
        size = self._plan.size
        text = str(next(self._numbers)).zfill(size)[-size:] if size else ''
        return text.encode() if self._plan.binary else text


class Load:
    """Carries out the plan of `results`, and puts into these what comes of it.

    `connect` makes a connection; `measuring` is called when messages begin to be sent, and `done` at the end, both on
    the loop thread.
    """

    def __init__(
        self,
        results: Results,
        connect: Callable[[], WebSocket],
        measuring: Callable[[], object],
        done: Callable[[], object],
        patience: float = PATIENCE,
    ) -> None:
        self._loop = get_loop()
        self._results = results
        self._plan = results.plan
        self._connect = connect
        self._measuring = measuring
        self._done = done
        self._patience = patience
        self._phase = _OPENING
        self._not_begun = self._plan.connections
        self._connecting = 0
        self._links: dict[_Link, None] = {}
        self._turns: deque[_Link] = deque()  # whose turn it is to send, if there is a rate
        self._began = 0.0  # to send
        self._stranger: Optional[Message] = None  # the first message that came, and was none of ours

    def start(self) -> None:
        """Begin. Raises what `connect` does."""
        self._add(self._connect())
        self._loop.call(self._open_more)
        self._loop.call(self._loop.call_later, _OPENING_TIMEOUT * 1000, self._give_up_opening)

    def interrupt(self) -> None:
        """End early. From any thread."""
        self._loop.call(self._interrupt)

    def _interrupt(self) -> None:
        if self._phase != _CLOSING:
            self._results.interrupted = True
            self._close()

    # -- opening -----------------------------------------------------------------------------------------------------

    def _add(self, ws: WebSocket) -> None:
        link = _Link(ws, self._plan.connections - self._not_begun, self._plan)
        self._not_begun -= 1
        self._connecting += 1
        self._links[link] = None
        ws.on('message', lambda data: self._on_message(link, data))
        ws.on('open', lambda: self._on_open(link))
        ws.on('error', self._on_error)
        ws.on('close', lambda code, reason: self._on_close(link, code, reason))

    def _open_more(self) -> None:
        while self._phase == _OPENING and self._not_begun and self._connecting < _AT_ONCE:
            self._add(self._connect())

    def _on_open(self, link: _Link) -> None:
        link.is_open = True
        self._turns.append(link)
        self._results.opened += 1
        self._results.opening.add(time.monotonic() - link.began)
        self._one_less_connecting()

    def _one_less_connecting(self) -> None:
        self._connecting -= 1
        self._open_more()
        if self._phase == _OPENING and not self._connecting:
            self._measure()

    def _give_up_opening(self) -> None:
        if self._phase == _OPENING:
            self._results.failed += self._not_begun
            self._results.errors[f'not opened within {_OPENING_TIMEOUT:g} s'] += self._not_begun
            self._not_begun = 0
            for link in list(self._links):
                if not link.is_open:
                    link.ws.terminate()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        if not self._links:
            self._close('no connection could be opened' if not self._results.opened else 'no connection is left')
            return
        self._phase = _MEASURING
        self._measuring()
        self._began = time.monotonic()
        self._loop.call_later(self._plan.duration * 1000, self._settle)
        self._loop.call_later(self._patience * 1000, self._look_for_echo)
        if self._plan.rate is not None:
            self._send_what_is_due(self._plan.rate)
            return
        for link in list(self._links):
            for _ in range(self._plan.in_flight):
                self._send(link, time.monotonic())

    def _send_what_is_due(self, rate: float) -> None:
        now = min(time.monotonic(), self._began + self._plan.duration)  # what is due later is not sent
        due = self._began + self._results.sent / rate
        for _ in range(_MOST_PER_TURN):
            if self._phase != _MEASURING or due > now:
                break
            self._send(self._next_in_turn(), due)
            due = self._began + self._results.sent / rate
        if self._under_way() >= min(MOST_UNDER_WAY, _MOST_BYTES_UNDER_WAY // max(self._plan.size, 1)):
            self._close(f'the server does not keep up: {self._under_way():,} messages are under way')
        elif self._phase == _MEASURING:
            self._loop.call_at(due, self._send_what_is_due, rate)

    def _next_in_turn(self) -> _Link:
        while not self._turns[0].is_open:
            self._turns.popleft()
        self._turns.rotate(-1)
        return self._turns[-1]

    def _send(self, link: _Link, since: float) -> None:
        if self._phase != _MEASURING:
            return
        message = link.next_message()
        link.under_way[message] = since
        self._results.sent += 1
        link.ws.send(message)
        if self._results.sent == self._plan.messages:
            self._settle()

    def _under_way(self) -> int:
        return self._results.sent - self._results.returned - self._results.missing

    # -- what comes --------------------------------------------------------------------------------------------------

    def _on_message(self, link: _Link, message: Message) -> None:
        since = link.under_way.pop(message, None)
        if since is None:
            self._on_stranger(message)
            return
        now = time.monotonic()
        self._results.returned += 1
        self._results.latency.add(now - since)
        self._results.seconds = now - self._began
        if self._phase == _MEASURING and self._plan.rate is None:
            self._send(link, now)
        elif self._phase == _SETTLING and not self._under_way():
            self._close()

    def _on_stranger(self, message: Message) -> None:
        """Some servers say something first, or send everything to everybody."""
        self._results.others += 1
        if self._stranger is None:
            self._stranger = message
        if self._phase == _SETTLING and self._is_no_echo_server():
            self._close()

    def _is_no_echo_server(self) -> bool:
        """It has answered everything, with something else."""
        return not self._results.returned and self._results.others >= self._results.sent

    def _on_error(self, error: Exception) -> None:
        if self._phase != _CLOSING:
            self._results.errors[described(error)] += 1

    def _on_close(self, link: _Link, code: int, reason: str) -> None:
        was_open, link.is_open = link.is_open, False
        del self._links[link]
        if self._phase == _CLOSING:
            self._end_if_all_are_closed()
        elif was_open:
            self._on_loss(link, code, reason)
        else:
            self._results.failed += 1
            self._one_less_connecting()

    def _on_loss(self, link: _Link, code: int, reason: str) -> None:
        self._results.lost += 1
        self._results.errors[f'disconnected {ending(code, reason)}'] += 1
        self._results.missing += len(link.under_way)
        if self._phase == _OPENING:
            return
        if not self._links:
            self._close('no connection is left')
        elif self._phase == _SETTLING and not self._under_way():
            self._close()

    # -- ending ------------------------------------------------------------------------------------------------------

    def _look_for_echo(self) -> None:
        if self._phase != _CLOSING and not self._results.returned:
            self._close()

    def _settle(self) -> None:
        """Nothing is sent any more; wait for what is under way."""
        if self._phase != _MEASURING:
            return
        self._phase = _SETTLING
        if self._is_no_echo_server() or not self._under_way():
            self._close()
        else:
            self._loop.call_later(self._patience * 1000, self._close)

    def _close(self, complaint: Optional[str] = None) -> None:
        if self._phase == _CLOSING:
            return
        results = self._results
        self._phase = _CLOSING
        if not results.interrupted:
            results.missing += self._under_way()
            if complaint is None and results.sent and not results.returned:
                complaint = self._no_echo()
        results.complaint = complaint
        for link in list(self._links):
            link.ws.close(_NORMAL_CLOSURE)
        self._end_if_all_are_closed()

    def _no_echo(self) -> str:
        if self._stranger is None:
            return 'no message came back: the server has to send back what it gets'
        kind = 'text' if isinstance(self._stranger, str) else 'binary'
        begin = shown(self._stranger).partition('\n')[0][:_MOST_SHOWN]
        return f'the server does not send back what it gets, but something else ({kind}): {begin}'

    def _end_if_all_are_closed(self) -> None:
        if not self._links:
            self._done()
