"""ws 8's tests of the event `upgrade`."""

from __future__ import annotations

from typing import Any

import pytest
from support import Log, Waiter, on_loop, server, url_of

from ws import WebSocket
from ws.typing import Response


def test_w042_upgrade_has_the_response() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.close())
        ws = WebSocket(url_of(wss))
        upgraded = Waiter()
        ws.on('upgrade', upgraded)
        [response] = upgraded.get()
        assert isinstance(response, Response)
        assert (response.statusCode, response.headers['upgrade']) == (101, 'websocket')
        Log(ws).until('close')


@pytest.mark.parametrize('method', ['close'])
def test_w120_close_in_a_listener_gives_the_attempt_up(method: str) -> None:
    assert_given_up(method)


def test_w133_so_does_terminate() -> None:
    assert_given_up('terminate')


def assert_given_up(method: str) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: None)

        def make() -> Any:
            ws = WebSocket(url_of(wss))
            ws.on('upgrade', lambda: getattr(ws, method)())
            return Log(ws, 'open', 'close')

        log = on_loop(wss, make)  # as in Node: the listener is there before anything happens
        assert log.get() == ('close', 1006, '')
