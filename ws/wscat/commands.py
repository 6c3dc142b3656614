"""The slash commands: lines that are no messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Union

from ..protocol.error_codes import is_valid_error_code
from ..reconnecting_websocket import ReconnectingWebSocket
from ..sending import close_reason
from ..websocket import WebSocket

Connection = Union[WebSocket, ReconnectingWebSocket]

_NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1


def carry_out(line: str, ws: Connection) -> bool:
    """Do what `line` says; returns whether it has closed the connection.

    Raises ValueError and :class:`WebSocketError` for what can't be done.
    """
    command, _, rest = line.partition(' ')
    if command not in COMMANDS:
        raise ValueError('Unrecognized slash command.')
    COMMANDS[command](ws, rest)
    return command == '/close'


def _ping(ws: Connection, rest: str) -> None:
    ws.ping(rest)


def _pong(ws: Connection, rest: str) -> None:
    ws.pong(rest)


def _close(ws: Connection, rest: str) -> None:
    code, _, reason = rest.strip().partition(' ')
    if code and not code.isdecimal():
        raise ValueError(f'{code!r} is no close code')
    number = int(code[:5] or _NORMAL_CLOSURE)
    if not is_valid_error_code(number):
        raise ValueError(f'{code} is no close code that may be sent')
    close_reason(number, reason)
    ws.close(number, reason)


COMMANDS: dict[str, Callable[[Connection, str], None]] = {'/ping': _ping, '/pong': _pong, '/close': _close}
