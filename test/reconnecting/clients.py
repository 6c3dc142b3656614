"""WebSockets that connect again, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from support import Waiter, until

from ws import CLOSED, ReconnectingWebSocket, WebSocket, WebSocketServer

FAST = {'minReconnectionDelay': 5, 'maxReconnectionDelay': 20, 'jitter': 0, 'closeTimeout': 2000}
#: A delay that no test lives to see the end of.
NEVER = 10**7


def url_at(port: int, path: str = '/') -> str:
    return f'ws://127.0.0.1:{port}{path}'


def stop(ws: ReconnectingWebSocket, how: str = 'terminate', *args: Any) -> Any:
    """End it for good, and wait; returns the arguments of the last ``close``."""
    ended = Waiter()
    ws.on('close', lambda this, code, reason: ended(code, reason) if this.readyState == CLOSED else None)
    getattr(ws, how)(*args)
    return ended.get()


@contextlib.contextmanager
def reconnecting(url: Any, *args: Any, **options: Any) -> Iterator[ReconnectingWebSocket]:
    ws = ReconnectingWebSocket(url, *args, **{**FAST, **options})
    try:
        yield ws
    finally:
        ws.terminate()
        until(lambda: ws.readyState == CLOSED)


def collect(wss: WebSocketServer) -> Waiter:
    """What comes to `wss`: ``('connection', ws)`` and ``('message', text)``."""
    seen = Waiter()

    def connection(ws: WebSocket) -> None:
        seen('connection', ws)
        ws.on('message', lambda message: seen('message', message))

    wss.on('connection', connection)
    return seen
