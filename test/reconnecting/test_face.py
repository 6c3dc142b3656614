"""A WebSocket that connects again looks like any other: its face and its options."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import ends
import pytest
from loop_timers import held_up
from reconnecting.clients import collect, reconnecting, stop
from support import Log, Waiter, echo_server, on_loop, server, url_of, wait_for

from ws import CLOSED, CONNECTING, OPEN, ReconnectingWebSocket, WebSocket

# -- the face ---------------------------------------------------------------------------------------------------------


def test_it_has_the_face_of_a_websocket() -> None:
    of_the_module = {
        'Server', 'Sender', 'Receiver', 'ErrorCodes', 'createServer', 'connect', 'createConnection',
        'createWebSocketStream',
    }  # fmt: skip
    names = {name for name in dir(WebSocket) if not name.startswith('_')} - of_the_module - {'upgradeReq'}
    assert names <= set(dir(ReconnectingWebSocket)) | {'options', 'url'}
    assert WebSocket._emits == ReconnectingWebSocket._emits


def test_a_connection() -> None:
    with echo_server() as wss, contextlib.ExitStack() as stack:
        with held_up():
            ws = stack.enter_context(reconnecting(url_of(wss, '/path')))
            log, drained = Log(ws), Waiter()
            ws.on('drain', drained)
            assert ws.readyState == CONNECTING
        log.until('open')
        assert (ws.readyState, ws.url, ws.retryCount, ws.shouldReconnect) == (OPEN, url_of(wss, '/path'), 0, True)
        assert repr(ws) == f'<ReconnectingWebSocket {url_of(wss, "/path")} OPEN>'
        assert ws.supports.binary and ws.protocolVersion == 13
        assert ws.extensions == 'permessage-deflate'[: len(ws.extensions)]
        assert ws.send('text')
        assert log.get()[1] == 'text'
        assert on_loop(ws, lambda: ws.send(b'data'))
        assert log.get()[1] == b'data'
        ws.ping('ping')
        [pong] = [event[1] for event in log.until('pong')]
        assert pong == b'ping'
        assert ws.bytesReceived > 0 and ws.bufferedAmount == 0
        assert drained.nothing(0)
        assert stop(ws, 'close', 4000, 'enough') == (4000, 'enough')
        assert ws.readyState == CLOSED and not ws.shouldReconnect
        assert (ws.bytesReceived, ws.protocol, ws.extensions) == (0, None, '')


def test_the_browsers_face() -> None:
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        seen = Waiter()
        ws.onopen = lambda event: seen(event.type, event.target)
        ws.addEventListener('message', lambda event: seen(event.data, event.target))
        ws.onclose = lambda event: seen(event.code, event.target)
        assert seen.get() == ('open', ws)
        ws.send('text')
        assert seen.get() == ('text', ws)
        ws.close()
        assert seen.get() == (1000, ws)


def test_this_is_the_whole_in_listeners_and_callbacks() -> None:
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        seen = Waiter()

        @ws.on('open')
        def opened(this: Any) -> None:
            this.send('x', lambda this: seen(this))
            this.ping(lambda this: seen(this))

        ws.on('message', lambda this: seen(this))
        assert [seen.get()[0] for _ in range(3)] == [ws, ws, ws]


def test_options_go_to_the_connection() -> None:
    def handle(protocols: list[str]) -> str:
        return protocols[-1]

    with server(handleProtocols=handle) as wss:
        seen = collect(wss)
        with reconnecting(url_of(wss), ['a', 'b'], headers={'X-Mine': '1'}, perMessageDeflate=False) as ws:
            wait_for(ws, 'open')
            request = seen.get()[1].upgradeReq
            assert request.headers['x-mine'] == '1'
            assert 'sec-websocket-extensions' not in request.headers
            assert ws.protocol == 'b'


def test_over_tls() -> None:
    with server(**ends.tls_options()) as wss, ends.our_client(wss) as single:
        ca = single.options.ca
        with reconnecting(str(single.url), ca=ca) as ws:
            seen = collect(wss)
            wait_for(ws, 'open')
            list(wss.clients)[-1].terminate()
            wait_for(ws, 'open')
            assert seen is not None


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'options',
    [
        {'minReconnectionDelay': -1},
        {'maxReconnectionDelay': math.nan},
        {'minUptime': math.inf},
        {'connectionTimeout': -1},
        {'jitter': -0.1},
        {'jitter': math.inf},
        {'reconnectionDelayGrowFactor': 0.5},
        {'maxRetries': -1},
        {'maxEnqueuedMessages': -1},
        {'handshakeTimeout': -1},
    ],
)
def test_what_could_never_work_raises_at_once(options: Any) -> None:
    for url in ('ws://127.0.0.1:1/', lambda: 'ws://127.0.0.1:1/'):
        with pytest.raises(ValueError, match=f'^{next(iter(options))} must '):
            ReconnectingWebSocket(url, **options)


@pytest.mark.parametrize('url', ['', 'http//', 'nothing', 'ws://', 3, None, b'ws://127.0.0.1'])
def test_a_wrong_url_raises_at_once(url: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        ReconnectingWebSocket(url)


def test_a_pool_for_listeners_is_refused() -> None:
    with pytest.raises(ValueError, match=r'^executor: '):
        ReconnectingWebSocket('ws://127.0.0.1:1', executor=2)


def test_unknown_options_get_a_warning_about_the_callers_line() -> None:
    with pytest.warns(UserWarning, match="no option 'maxRetry': ignored; did you mean 'maxRetries'") as warnings:
        ws = ReconnectingWebSocket('ws://127.0.0.1:1', {'startClosed': True, 'maxRetry': 1})
    assert warnings[0].filename == __file__
    assert ws.readyState == CLOSED
