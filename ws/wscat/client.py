"""``wscat URL``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import Optional

from ..reconnecting_websocket import ReconnectingWebSocket
from ..typing import ReconnectingOptions
from ..websocket import WebSocket
from .commands import Connection
from .connecting import client_options, faults_of_usage, subprotocols, url_of
from .output import described, ending
from .session import NOT_SENT, Session

#: Close codes by which a peer says that all is well (RFC 6455 section 7.4.1).
_GOOD_CODES = (1000, 1001, 1005)
_NORMAL_CLOSURE = 1000
_NO_CLOSE_FRAME = 1006
#: Somebody is waiting. How long an attempt may take is said by handshakeTimeout, as without --reconnect.
_RECONNECTING: ReconnectingOptions = {'minReconnectionDelay': 500, 'jitter': 1, 'connectionTimeout': 0}


class Client(Session):
    """Its connection may be several, one after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._ends_with_connection = not options.reconnect
        self._client_options = client_options(options)
        self._last_error: Optional[str] = None  # since the connection was lost

    def _start(self) -> None:
        if self.options.verbose:
            show_handshake(self._later(self._output.detail))
        with faults_of_usage(self.options):
            self._client = self._connect()
        self._client.on('open', self._later(self._on_open))
        self._attach(self._client)

    def _connect(self) -> Connection:
        url, names = url_of(self.options.connect), subprotocols(self.options)
        if not self.options.reconnect:
            return WebSocket(url, names, self._client_options)
        return ReconnectingWebSocket(url, names, {**self._client_options, **_RECONNECTING})

    def _on_open(self) -> None:
        if self._leaving:
            return
        self._last_error = None
        if self._has_been_open:
            self._output.announce('Connected again')
            self._opened(self._client, [])
        else:
            self._output.status('Connected (press CTRL+C to quit)')
            self._opened(self._client, self.options.execute)

    def _on_error(self, error: Exception) -> None:
        """Attempts may fail again and again: the same error is shown once."""
        text = described(error)
        if self._ends_with_connection or text != self._last_error:
            super()._on_error(error)
        self._last_error = text

    def _on_close(self, code: int, reason: str) -> None:
        was_open = self._ws is not None
        super()._on_close(code, reason)
        if self._ends_with_connection and was_open and not self._closing:
            self._judge(code, reason)
        self._ended = self._ends_with_connection or self._closing

    def _tell_ending(self, code: int, reason: str) -> None:
        if self._closing:
            super()._tell_ending(code, reason)
        elif not self._ends_with_connection:
            self._output.announce(f'Disconnected {ending(code, reason)}; connecting again')
        elif self.options.execute and code in _GOOD_CODES:
            self._output.announce(f'Disconnected {ending(code, reason)}')
        else:
            super()._tell_ending(code, reason)

    def _judge(self, code: int, reason: str) -> None:
        """The peer has closed the connection: does a script have to know?"""
        if self.status == 0 and code in _GOOD_CODES and (self._unsent or self._input_is_left()):
            self._complain(NOT_SENT)
        if code not in _GOOD_CODES:
            told_why = self.status != 0 and code == _NO_CLOSE_FRAME
            if not (self._interactive or told_why):
                self._output.error(f'disconnected {ending(code, reason)}')
            self.status = 1

    def _is_connecting(self) -> bool:
        return self._ws is None

    def _close(self) -> None:
        self._client.close(_NORMAL_CLOSURE)


def show_handshake(show: Callable[[str], object]) -> None:
    """Have `show` called with each line of a client's opening handshake."""
    log = logging.getLogger('ws.handshake')
    log.setLevel(logging.DEBUG)
    log.addHandler(_Details(show))


class _Details(logging.Handler):
    """Passes log messages on."""

    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(record.getMessage())
