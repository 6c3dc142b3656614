"""What ``send``, ``ping`` and ``pong`` do when the connection is no longer open."""

from __future__ import annotations

from typing import Any

from compatibility.peers import silence
from support import Log, Waiter, client, server

from ws import NotOpenError, WebSocket


def counts_what_comes_too_late(method: str) -> None:
    with silence() as url:
        ws = WebSocket(url)
        counts = Waiter()

        def late() -> None:
            before = ws.bufferedAmount
            getattr(ws, method)('hi')
            getattr(ws, method)()
            counts(ws.readyState, before, ws.bufferedAmount)

        def failed(error: Exception) -> None:
            assert str(error) == 'WebSocket was closed before the connection was established'
            late()

        ws.on('error', failed)
        ws.on('close', late)
        ws.close()
        assert counts.get() == (ws.CLOSING, 0, 2)
        assert counts.get() == (ws.CLOSED, 2, 4)


def callbacks_know_that_it_is_too_late(method: str, *data: Any) -> None:
    """`data` is what is sent after `close`; before, 'hi'."""
    with server() as wss:
        told = Waiter()

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            def closing(error: Exception) -> None:
                told(type(error), str(error), ws.readyState, ws.bufferedAmount)

            ws.close()
            before = ws.bufferedAmount
            getattr(ws, method)('hi', closing)
            ws.on('close', lambda: getattr(ws, method)(*data, closing))
            told(before)

        log = Log(client(wss))
        size = len(data[0]) if data else 0
        assert told.get() == (0,)
        assert told.get() == (NotOpenError, 'not opened', WebSocket.CLOSING, 2)
        assert told.get() == (NotOpenError, 'not opened', WebSocket.CLOSED, 2 + size)
        log.until('close')
