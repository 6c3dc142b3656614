"""Tests I001 and I002 of ws 8's suite: a conversation with an echo service.

There it is one in the Internet; here it is a server of our own, in the same process.
"""

from __future__ import annotations

from typing import Any

from ends import our_client, tls_options
from support import Log, echo_server

from ws import WebSocket, WebSocketServer


def converse(wss: WebSocketServer) -> list[Any]:
    """All that happens to a client that sends one text and closes when it comes back."""
    with our_client(wss) as ws:
        log = Log(ws, 'message', 'close')

        @ws.on('message')
        def message(this: WebSocket) -> None:
            this.close()

        ws.on('open', lambda: ws.send('hello'))
        return log.until('close')


def test_i001_with_an_echo_service() -> None:
    with echo_server() as wss:
        message, closed = converse(wss)
        assert message[:2] == ('message', 'hello') and not message[2]
        assert closed == ('close', 1000, '')


def test_i002_with_an_echo_service_over_tls() -> None:
    with echo_server(**tls_options()) as wss:
        message, closed = converse(wss)
        assert message[:2] == ('message', 'hello') and not message[2]
        assert closed == ('close', 1000, '')
