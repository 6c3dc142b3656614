"""ws 8's tests of the event `unexpected-response`. When it comes, the body has been read: nothing else will."""

from __future__ import annotations

from typing import Any

import pytest
from hops import hops
from loop_timers import held_up
from support import Log, Waiter

from ws import WebSocket

ANSWER = (
    b'HTTP/1.1 %s\r\nConnection: %s\r\nContent-type: text/html\r\nContent-Length: 3\r\n\r\nfoo'  # as the suite has it
)
UNAUTHORIZED = ANSWER % (b'401 Unauthorized', b'close')


def test_w051_an_unexpected_response_can_be_read() -> None:
    with hops(UNAUTHORIZED) as server:
        answers = Waiter()
        with held_up():
            ws = WebSocket(server.url())
            log = Log(ws, 'open', 'error', 'close')
            ws.on('unexpected-response', answers)
        _, response = answers.get()
        assert response.statusCode == 401
        assert (response.body, response.complete) == (b'foo', True)
        assert log.nothing()
        ws.terminate()
        assert log.until('close')[-1] == ('close', 1006, '')


@pytest.mark.parametrize('method', ['abort', 'destroy'])
def test_w052_its_request_can_be_aborted(method: str) -> None:
    with hops(UNAUTHORIZED) as server:
        answers = Waiter()

        def unexpected(request: Any, response: Any) -> None:
            getattr(request, method)()
            answers(response.statusCode, response.body)

        with held_up():
            ws = WebSocket(server.url())
            log = Log(ws, 'open', 'error', 'close')
            ws.on('unexpected-response', unexpected)
        assert answers.get() == (401, b'foo')
        assert log.get() == ('close', 1006, '')


def test_w117_close_after_an_unexpected_response() -> None:
    with hops(ANSWER % (b'502 Bad Gateway', b'keep-alive')) as server:

        def unexpected(request: Any, response: Any) -> None:
            assert (response.statusCode, response.body) == (502, b'foo')
            ws.close()

        with held_up():
            ws = WebSocket(server.url())
            log = Log(ws, 'open', 'close')
            ws.on('unexpected-response', unexpected)
        assert log.get() == ('close', 1006, '')
