"""A WebSocket that connects again, with servers that come and go on one port."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import os
import queue
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ends
import pytest
from documents import Child, child, free_port
from fakes import accept, fake_server
from hops import hops, opened
from hypothesis import given
from hypothesis import strategies as st
from support import TIMEOUT, Log, Waiter, echo_server, on_loop, server, until, url_of, wait_for

from ws import (
    CLOSED,
    CLOSING,
    CONNECTING,
    OPEN,
    HandshakeError,
    NotOpenError,
    ReconnectingWebSocket,
    WebSocket,
    WebSocketError,
    WebSocketServer,
)
from ws.client.request import ClientRequest
from ws.options import RECONNECTING_OPTIONS, Options
from ws.reconnecting.rules import reconnection_delay

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


# -- delays -----------------------------------------------------------------------------------------------------------


def delays(number: int, chance: float = 0.0, **options: Any) -> list[float]:
    given = Options({**RECONNECTING_OPTIONS, **options})
    return [reconnection_delay(given, retry, chance) for retry in range(number)]


def test_the_first_attempt_is_made_at_once_and_the_delays_grow_to_the_longest() -> None:
    assert delays(5, jitter=0) == pytest.approx([0, 1000, 1300, 1690, 2197])
    assert delays(20, jitter=0)[-1] == 10_000
    given = {'minReconnectionDelay': 10, 'reconnectionDelayGrowFactor': 2, 'maxReconnectionDelay': 45, 'jitter': 0}
    assert delays(6, **given) == [0, 10, 20, 40, 45, 45]
    assert delays(4, minReconnectionDelay=7, reconnectionDelayGrowFactor=1, jitter=0) == [0, 7, 7, 7]


def test_by_default_the_first_delay_is_between_one_and_five_seconds() -> None:
    assert delays(2, chance=0.0)[1] == 1000
    assert delays(2, chance=0.5)[1] == 3000
    assert delays(2, chance=1.0)[1] == 5000


@given(
    retry=st.integers(1, 10**7),
    chance=st.floats(0, 1),
    jitter=st.floats(0, 100),
    factor=st.one_of(st.integers(1, 10), st.floats(1, 10)),
    least=st.floats(0, 10**6),
    longest=st.floats(0, 10**6),
)
def test_no_delay_is_shorter_or_longer_than_it_may_be(
    retry: int, chance: float, jitter: float, factor: float, least: float, longest: float
) -> None:
    options = Options(
        minReconnectionDelay=least, maxReconnectionDelay=longest, reconnectionDelayGrowFactor=factor, jitter=jitter
    )
    assert min(least, longest) <= reconnection_delay(options, retry, chance) <= longest


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
    with echo_server() as wss, reconnecting(url_of(wss, '/path')) as ws:
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


# -- coming back ------------------------------------------------------------------------------------------------------


def test_twenty_restarts_in_order_and_without_loss_of_what_waited() -> None:
    """What is sent while nobody is there waits; what has arrived is not sent again."""
    numbers = itertools.count()
    with free_port() as port, reconnecting(url_at(port)) as ws:
        told = Waiter()
        sent = 0

        def send(count: int) -> None:
            nonlocal sent
            for number in itertools.islice(numbers, count):
                ws.send(str(number), lambda error, number=number: told(number, error))
                sent += 1

        received = []
        log = Log(ws, 'open', 'close')
        for restart in range(20):
            send(3)  # nobody is there
            with server(port=port) as wss:
                seen = collect(wss)
                assert seen.get()[0] == 'connection'
                received += [seen.get()[1] for _ in range(3)]
                send(2)
                received += [seen.get()[1] for _ in range(2)]
                assert seen.nothing(0)
                log.until('open')
                if restart % 2:
                    for connection in wss.clients:
                        connection.terminate()
                # else it is told to go away
            assert log.get()[1] == (1006 if restart % 2 else 1001)
        assert received == [str(number) for number in range(sent)]
        assert sorted(told.get() for _ in range(sent)) == [(number, None) for number in range(sent)]
        assert told.nothing(0)


def test_nothing_is_doubled_while_threads_send_and_servers_vanish() -> None:
    """At most once, in order for each thread, and each callback is called exactly once."""
    received: list[str] = []
    answers: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
    enough = threading.Event()
    counts = [0, 0]

    def produce(name: int) -> None:
        while not enough.is_set():
            text = f'{name}:{counts[name]}'
            counts[name] += 1
            ws.send(text, lambda error, text=text: answers.put((text, error is None)))
            time.sleep(0.0002)  # or the two would only fill the memory

    with free_port() as port, reconnecting(url_at(port)) as ws:
        threads = [threading.Thread(target=produce, args=[name]) for name in (0, 1)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            with server(port=port) as wss:
                wss.on('connection', lambda peer: peer.on('message', received.append))
                before = len(received)
                until(lambda before=before: len(received) > before + 10)
                for connection in wss.clients:
                    connection.terminate()
        enough.set()
        for thread in threads:
            thread.join()
        stop(ws)
    told = [answers.get(timeout=TIMEOUT) for _ in range(sum(counts))]
    assert answers.empty()
    assert len({text for text, _ in told}) == len(told)
    assert len(set(received)) == len(received)
    for name in (0, 1):
        mine = [int(text.split(':')[1]) for text in received if text.startswith(f'{name}:')]
        assert mine == sorted(mine)
    assert not {text for text, sent in told if not sent} & set(received)


def test_refused_connections_are_tried_again() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        log = Log(ws)
        for retry in range(3):
            error, close = log.until('close')
            assert error[0] == 'error' and isinstance(error[1], ConnectionRefusedError)
            assert close == ('close', 1006, '')
            until(lambda retry=retry: ws.retryCount > retry)
            assert ws.readyState == CONNECTING and ws.shouldReconnect
        with server(port=port):
            log.until('open')


def test_a_refusing_server_is_tried_again_until_somebody_gives_up() -> None:
    def refuse(info: Any, answer: Any) -> None:
        answer(False, 401, 'Unauthorized')

    with server(verifyClient=refuse) as wss, reconnecting(url_of(wss)) as ws:
        seen = Waiter()

        @ws.on('error')
        def failed(error: HandshakeError) -> None:
            seen(error.status)
            if ws.retryCount == 2:
                ws.close()

        ws.on('close', lambda code: seen(code, ws.readyState))
        expected = [(401,), (1006, CONNECTING)] * 2 + [(401,), (1006, CLOSED)]
        assert [seen.get() for _ in expected] == expected
        assert ws.retryCount == 2


def test_dead_hosts_are_given_connection_timeout() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(TIMEOUT)
        with reconnecting(url_at(listener.getsockname()[1]), connectionTimeout=30) as ws:
            log = Log(ws)
            for _ in range(2):
                error, close = log.until('close')
                assert isinstance(error[1], HandshakeError) and 'timed out' in str(error[1])
                assert close[1] == 1006
                listener.accept()[0].close()


def test_the_shorter_of_both_timeouts_counts() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        url = url_at(listener.getsockname()[1])
        for options in ({'connectionTimeout': 0, 'handshakeTimeout': 30}, {'handshakeTimeout': 30}):
            with reconnecting(url, **options) as ws:
                assert 'timed out' in str(wait_for(ws, 'error')[0])
        with reconnecting(url, connectionTimeout=0, handshakeTimeout=0) as ws:
            errors = Waiter()
            ws.on('error', errors)
            assert errors.nothing()


def test_max_retries() -> None:
    with free_port() as port, reconnecting(url_at(port), maxRetries=2, startClosed=True) as ws:
        log = Log(ws)
        states: list[int] = []
        ws.on('close', lambda: states.append(ws.readyState))
        ws.reconnect()
        for _ in range(3):
            log.until('close')
        until(lambda: len(states) == 3)
        assert states == [CONNECTING, CONNECTING, CLOSED]
        assert log.nothing(0.05)
        assert (ws.retryCount, ws.shouldReconnect) == (2, False)
        with echo_server(port=port) as wss:
            ws.reconnect()
            log.until('open')
            assert ws.retryCount == 0
            assert wss.clients


def test_callbacks_of_what_is_dropped_come_before_the_last_close() -> None:
    with free_port() as port, reconnecting(url_at(port), maxRetries=0, startClosed=True) as ws:
        seen = Waiter()
        ws.send('x', lambda error: seen(type(error)))
        ws.on('error', lambda: None)
        ws.on('close', seen)
        ws.reconnect()
        assert [seen.get()[0] for _ in range(2)] == [NotOpenError, 1006]


@pytest.mark.parametrize(('uptime', 'lives'), [(0, True), (NEVER, False)])
def test_a_connection_that_lasted_counts_as_a_fresh_start(uptime: float, lives: bool) -> None:
    with server() as wss, reconnecting(url_of(wss), minUptime=uptime, maxRetries=1) as ws:
        log = Log(ws)
        log.until('open')
        for connection in wss.clients:
            connection.terminate()
        log.until('open')
        assert ws.retryCount == (0 if lives else 1)
        for connection in wss.clients:
            connection.terminate()
        log.until('close')
        if lives:
            log.until('open')
        else:
            until(lambda: ws.readyState == CLOSED)


@pytest.mark.parametrize(
    'codes', [[1000, 4001], (code for code in (4001,)), lambda code: code == 4001, lambda code, reason: reason == 'go']
)
def test_terminal_codes(codes: Any) -> None:
    with server() as wss, reconnecting(url_of(wss), terminalCodes=codes) as ws:
        seen, log = collect(wss), Log(ws)
        seen.get()[1].close(4000, 'come again')
        assert log.until('close')[-1] == ('close', 4000, 'come again')
        seen.get()[1].close(4001, 'go')
        assert log.until('close')[-1] == ('close', 4001, 'go')
        until(lambda: ws.readyState == CLOSED)
        assert not ws.shouldReconnect
        assert seen.nothing(0.05)


def test_terminal_codes_that_raise_are_reported_and_do_not_end_it(reported: list[BaseException]) -> None:
    def raises(code: int) -> bool:
        raise ArithmeticError(code)

    with server() as wss, reconnecting(url_of(wss), terminalCodes=raises) as ws:
        seen = collect(wss)
        seen.get()[1].close(4000)
        seen.get()
        assert isinstance(reported.pop(), ArithmeticError)
        assert ws.shouldReconnect


def test_any_close_code_is_followed_by_another_attempt_unless_told_otherwise() -> None:
    with server() as wss, reconnecting(url_of(wss)):
        seen = collect(wss)
        for code in (1000, 1001, 1008, 4999):
            seen.get()[1].close(code)
        seen.get()


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=['loop', 'main'])
def call(request: pytest.FixtureRequest) -> Callable[[Any, Callable[[], Any]], Any]:
    """Calls something, on the loop thread or on this one."""
    return on_loop if request.param == 'loop' else lambda emitter, function: function()


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_ended_while_it_waits(call: Any, how: str) -> None:
    with free_port() as port:
        ws = ReconnectingWebSocket(url_at(port), {**FAST, 'minReconnectionDelay': NEVER, 'maxReconnectionDelay': NEVER})
        log = Log(ws)
        log.until('close')
        until(lambda: ws.retryCount == 1)
        call(ws, getattr(ws, how))
        assert log.get() == ('close', 1006, '')
        assert ws.readyState == CLOSED
        assert log.nothing(0.05)


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_ended_while_it_connects(call: Any, how: str) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(TIMEOUT)
        ws = ReconnectingWebSocket(url_at(listener.getsockname()[1]), FAST)
        log = Log(ws)
        with listener.accept()[0] as sock:
            call(ws, getattr(ws, how))
            assert log.until('close')[-1] == ('close', 1006, '')
            assert ws.readyState == CLOSED
            sock.settimeout(TIMEOUT)
            while sock.recv(4096):
                pass
        assert log.nothing(0.05)


@pytest.mark.parametrize(('how', 'code'), [('close', 1000), ('terminate', 1006)])
def test_ended_while_it_is_open(call: Any, how: str, code: int) -> None:
    with server() as wss:
        ws = ReconnectingWebSocket(url_of(wss), FAST)
        log = Log(ws)
        log.until('open')
        call(ws, getattr(ws, how))
        assert log.get() == ('close', code, '')
        assert ws.readyState == CLOSED
        assert log.nothing(0.05)


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_ended_while_the_url_is_asked(call: Any, how: str) -> None:
    asked, answer = threading.Event(), threading.Event()

    def url() -> str:
        asked.set()
        assert answer.wait(TIMEOUT)
        return 'ws://127.0.0.1:1'

    ws = ReconnectingWebSocket(url, FAST)
    log = Log(ws)
    assert asked.wait(TIMEOUT)
    assert ws.readyState == CONNECTING
    call(ws, getattr(ws, how))
    assert log.get() == ('close', 1006, '')
    assert ws.readyState == CLOSED
    answer.set()
    assert log.nothing(0.05)


def test_ended_before_it_began() -> None:
    class Hasty(ReconnectingWebSocket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.close()

    def on_the_loop() -> Log:
        return Log(Hasty('ws://127.0.0.1:1', FAST))

    assert Log(Hasty('ws://127.0.0.1:1', FAST)).get() == ('close', 1006, '')
    with server() as wss:
        log = on_loop(wss, on_the_loop)
        assert log.get() == ('close', 1006, '')
        assert log.nothing(0.05)


def test_closed_at_once_in_the_listener_that_made_it() -> None:
    with server() as wss:

        def on_the_loop() -> Log:
            ws = ReconnectingWebSocket(url_of(wss), FAST)
            ws.close()
            return Log(ws)

        log = on_loop(wss, on_the_loop)
        assert log.get() == ('close', 1006, '')
        assert log.nothing(0.05)


def test_closed_in_its_close_listener() -> None:
    with server() as wss:
        seen = collect(wss)
        ws = ReconnectingWebSocket(url_of(wss), {**FAST, 'startClosed': True})
        ws.on('close', lambda code: code == 4000 and ws.close())
        log = Log(ws)
        ws.reconnect()  # now that nothing has to wait for listeners
        log.until('open')
        seen.get()[1].close(4000)
        assert log.get() == ('close', 4000, '')
        until(lambda: ws.readyState == CLOSED)
        assert log.nothing(0.05)


def test_closing_twice_and_terminating_while_closing() -> None:
    ended = threading.Event()

    def silent(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        ended.wait(TIMEOUT)

    with fake_server(silent) as url:
        ws = ReconnectingWebSocket(url, FAST)
        log = Log(ws)
        log.until('open')
        ws.close()
        until(lambda: ws.readyState == CLOSING)
        ws.close(4000)
        assert log.nothing(0.05)
        ws.terminate()
        assert log.get() == ('close', 1006, '')
        ws.close()
        ws.terminate()
        assert log.nothing(0.05)
        ended.set()


def test_a_wrong_code_or_reason_raises_and_changes_nothing() -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        wait_for(ws, 'open')
        for arguments in ((1,), (1006,), (1000, 'x' * 124), (1000, 3)):
            for method in (ws.close, ws.reconnect):
                with pytest.raises(WebSocketError):
                    method(*arguments)
        assert ws.readyState == OPEN


def test_nothing_refers_to_it_after_the_end() -> None:
    with echo_server() as wss:
        ws = ReconnectingWebSocket(lambda: url_of(wss), FAST)
        wait_for(ws, 'open')
        ws.send('x', lambda: None)
        stop(ws)
        gone = weakref.ref(ws)
        del ws
        until(lambda: gone() is None)


# -- listeners --------------------------------------------------------------------------------------------------------


def test_a_listener_that_raises_costs_the_connection_and_there_is_another(reported: list[BaseException]) -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        seen = collect(wss)
        codes = Waiter()

        @ws.on('message')
        def message(data: str) -> None:
            raise ArithmeticError(data)

        for text in 'one', 'two':
            peer = seen.get()[1]
            peer.on('close', codes)
            peer.send(text)
            assert codes.get()[0] == 1011
            assert str(reported.pop()) == text
        seen.get()


@pytest.mark.parametrize('event', ['open', 'error', 'close'])
def test_other_listeners_that_raise_do_not_end_it(reported: list[BaseException], event: str) -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        raised = Waiter()

        @ws.once(event)
        def listener() -> None:
            raised()
            raise ArithmeticError(event)

        if event != 'error':
            ws.on('error', lambda: None)
        if event != 'open':
            raised.get()
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            if event == 'open':
                raised.get()
                seen.get()
            until(lambda: reported)
            assert isinstance(reported.pop(), ArithmeticError)


def test_late_listeners_miss_nothing() -> None:
    with free_port() as port:
        ws = ReconnectingWebSocket(url_at(port), {**FAST, 'minReconnectionDelay': 1})
        until(lambda: ws.retryCount)
        with server(port=port) as wss:
            wss.on('connection', lambda peer: peer.send('hello'))
            until(lambda: ws.readyState == OPEN)
            log = Log(ws, 'close', 'message', 'open', 'error')
            events = [event[0] for event in log.until('message')]
            assert events == ['error', 'close'] * (len(events) // 2 - 1) + ['open', 'message']
            assert len(events) > 2
            stop(ws)


def test_unheard_errors_are_logged_and_the_last_one_is_reported(
    reported: list[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    with free_port() as port, caplog.at_level(logging.WARNING, 'ws'), reconnecting(url_at(port), maxRetries=2) as ws:
        closes = Waiter()
        ws.on('close', closes)
        for _ in range(3):
            closes.get()
        until(lambda: reported)
        [error] = reported
        reported.clear()
        assert isinstance(error, ConnectionRefusedError)
        assert [record.getMessage().count('refused') for record in caplog.records] == [1, 1]


# -- URLs that are asked for ------------------------------------------------------------------------------------------


def test_the_url_is_asked_anew_each_time_and_not_on_the_loop_thread() -> None:
    threads: list[str] = []

    with server() as wss:
        seen = collect(wss)
        numbers = itertools.count()

        def url() -> str:
            threads.append(threading.current_thread().name)
            return url_of(wss, f'/{next(numbers)}')

        with reconnecting(url) as ws:
            assert ws.url is None or ws.url.endswith('/0')
            for number in range(3):
                peer = seen.get()[1]
                assert peer.upgradeReq.url == f'/{number}'
                peer.close()
            until(lambda: str(ws.url).endswith('/3'))
        assert set(threads) == {'ws-url'}


def test_sub_protocols_are_asked_for_too() -> None:
    numbers = itertools.count()
    with server(handleProtocols=lambda protocols: protocols[0]) as wss:
        seen = collect(wss)
        with reconnecting(url_of(wss), lambda: [f'v{next(numbers)}']) as ws:
            for number in range(2):
                wait_for(ws, 'open')
                assert ws.protocol == f'v{number}'
                seen.get()[1].close()
            wait_for(ws, 'open')
        with reconnecting(url_of(wss), protocols=lambda: 'chat') as ws:
            wait_for(ws, 'open')
            assert ws.protocol == 'chat'


def test_a_url_function_that_raises(reported: list[BaseException]) -> None:
    answers = Waiter()

    def url() -> str:
        raise LookupError('no token')

    with reconnecting(url) as ws:
        ws.on('close', answers)
        log = Log(ws)
        error, close = log.until('close')
        assert (str(error[1]), close) == ('no token', ('close', 1006, ''))
        assert error[1].__traceback__.tb_frame.f_code.co_name in ('url', '<listcomp>', '_ask')
        ws.removeAllListeners('error')
        answers.get()
        answers.get()
        until(lambda: reported)  # it is the program's
    assert all(isinstance(error, LookupError) for error in reported)
    reported.clear()


@pytest.mark.parametrize('answer', [None, 5, '', 'nothing', 'http//', 'ws://', b'ws://127.0.0.1', object()])
def test_a_url_function_that_returns_rubbish(answer: Any) -> None:
    answers = iter([answer, answer])
    with server() as wss, reconnecting(lambda: next(answers, url_of(wss))) as ws:
        log = Log(ws)
        for _ in range(2):
            error, close = log.until('close')
            assert isinstance(error[1], (TypeError, ValueError))
            assert close[1] == 1006
        log.until('open')


@pytest.mark.parametrize('answer', [5, [5], b'x', {'a': 1}, ['a b']])
def test_a_protocols_function_that_returns_rubbish(answer: Any) -> None:
    answers = iter([answer])
    with server() as wss, reconnecting(url_of(wss), lambda: next(answers, None)) as ws:
        log = Log(ws)
        error, close = log.until('close')
        assert isinstance(error[1], (TypeError, ValueError))
        assert close[1] == 1006
        log.until('open')


def test_a_url_function_that_blocks_holds_up_nobody_and_is_given_up() -> None:
    release = threading.Event()
    answers = iter([lambda: release.wait(TIMEOUT)])

    with echo_server() as wss:

        def url() -> str:
            next(answers, lambda: None)()
            return url_of(wss)

        with reconnecting(url, connectionTimeout=50) as ws, reconnecting(url_of(wss)) as other:
            log = Log(ws)
            wait_for(other, 'open')
            other.send('x')
            assert wait_for(other, 'message')[0] == 'x'
            error, close = log.until('close')
            assert isinstance(error[1], HandshakeError) and 'timed out' in str(error[1])
            assert close[1] == 1006
            log.until('open')  # by another thread
            release.set()
            assert log.nothing(0.05)


# -- opening handshakes -----------------------------------------------------------------------------------------------


def test_redirects_are_followed_anew_each_time() -> None:
    with hops('/there', opened, '/elsewhere', opened) as peer, reconnecting(peer.url(), followRedirects=True) as ws:
        log = Log(ws, 'redirect', 'upgrade', 'open', 'close')
        seen = Waiter()
        ws.on('redirect', lambda: seen(ws.url))
        ws.on('upgrade', lambda response: seen(ws.upgradeRes is response, ws.url))
        for path in ('/there', '/elsewhere'):
            assert [event[0] for event in log.until('close')] == ['redirect', 'upgrade', 'open', 'close']
            assert seen.get() == (peer.url(path),)
            assert seen.get() == (True, peer.url(path))
    assert peer.targets()[:4] == ['/', '/there', '/', '/elsewhere']


def test_who_finishes_the_request_is_given_what_reconnects() -> None:
    given = Waiter()
    with server() as wss, reconnecting(url_of(wss), finishRequest=lambda request, ws: (given(ws), request.end())) as ws:
        wait_for(ws, 'open')
        assert given.get() == (ws,)
        assert ws._socket is not None and ws._socket.remotePort == wss.address().port
    with server() as wss, reconnecting(url_of(wss), finishRequest=lambda this, request: this.close()) as ws:
        assert wait_for(ws, 'close') == (1006, '')
        assert ws.readyState == CLOSED
    with pytest.raises(TypeError, match='finishRequest'):
        ReconnectingWebSocket('ws://localhost', finishRequest='no function')


def test_a_request_that_was_answered_may_be_given_up() -> None:
    busy = b'HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy'
    with hops(busy, opened) as peer, reconnecting(peer.url()) as ws:
        log = Log(ws, 'unexpected-response', 'open', 'error', 'close')
        ws.on('unexpected-response', lambda request: request.abort())
        assert [event[0] for event in log.until('close')] == ['unexpected-response', 'close']
        assert [event[0] for event in log.until('close')] == ['open', 'close']


def test_the_binary_type_is_set_while_it_connects() -> None:
    connecting, requests = Waiter(), Waiter()

    def finish(request: ClientRequest) -> None:
        requests(request)
        connecting()

    with server() as wss:
        wss.on('connection', lambda ws: (ws.send(b'ab', fin=False), ws.send(b'c')))
        with reconnecting(url_of(wss), finishRequest=finish) as ws:
            connecting.get()
            ws.binaryType = 'fragments'
            requests.get()[0].end()
            assert wait_for(ws, 'message')[0] == [b'ab', b'c']


def test_what_was_kept_is_handed_over_by_the_binary_type_of_then() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send(b'one'), ws.send('two'), ws.ping()))
        with reconnecting(url_of(wss)) as ws:
            wait_for(ws, 'ping')
            ws.binaryType = 'arraybuffer'
            log = Log(ws, 'message')
            one, two = log.get()[1], log.get()[1]
            assert (one, type(one), two) == (b'one', bytearray, 'two')


# -- messages ---------------------------------------------------------------------------------------------------------


def test_messages_wait_with_their_options_as_they_were() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        told = Waiter()
        data = bytearray(b'first')
        assert not ws.send(data, told)
        data[:] = b'other'
        ws.send('binary', {'binary': True}, told)
        ws.send(b'text', binary=False, callback=told)
        ws.send(1.5)
        ws.send('frag', fin=False)
        ws.send('ment')
        ws.send(io.BytesIO(b'file'))
        assert not on_loop(ws, lambda: ws.send('last'))
        assert ws.bufferedAmount == len('firstbinarytext1.5fragmentlast')
        with server(port=port) as wss:
            seen = collect(wss)
            assert seen.get()[0] == 'connection'
            expected = [b'first', b'binary', 'text', '1.5', 'fragment', b'file', 'last']
            assert [seen.get()[1] for _ in expected] == expected
            assert [told.get() for _ in range(3)] == [(None,)] * 3
            assert ws.bufferedAmount == 0


def test_what_waits_is_sent_before_open_is_told() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        ws.on('open', lambda: ws.send('opened'))
        ws.send('waited')
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(2)] == ['waited', 'opened']


def test_no_more_wait_than_may() -> None:
    with free_port() as port, reconnecting(url_at(port), maxEnqueuedMessages=2) as ws:
        told = Waiter()
        file = io.BytesIO(b'file')
        for data in ('0', '1', '2', file):
            ws.send(data, lambda error, data=data: told(data, error))
        refused = [told.get() for _ in range(2)]
        assert sorted(str(data) for data, _ in refused) == sorted(['2', str(file)])
        assert {str(error) for data, error in refused if data == '2'} == {'maxEnqueuedMessages exceeded'}
        assert all(isinstance(error, WebSocketError) for _, error in refused)
        until(lambda: file.closed)
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(2)] == ['0', '1']
            assert [told.get() for _ in range(2)] == [('0', None), ('1', None)]
            for number in range(5):  # there is a connection
                ws.send(str(number))
            assert [seen.get()[1] for _ in range(5)] == list('01234')


def test_none_wait_if_none_may() -> None:
    with free_port() as port, reconnecting(url_at(port), maxEnqueuedMessages=0) as ws:
        told = Waiter()
        ws.send('lost', told)
        assert isinstance(told.get()[0], WebSocketError)
        with server(port=port) as wss:
            seen = collect(wss)
            wait_for(ws, 'open')
            ws.send('sent')
            seen.get()
            assert seen.get()[1] == 'sent'


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_what_waits_is_dropped_at_the_end(call: Any, how: str) -> None:
    with free_port() as port, reconnecting(url_at(port), startClosed=True) as ws:
        ws.on('error', lambda: None)
        seen = Waiter()
        file = io.BytesIO(b'file')
        ws.send('x', lambda error: seen(type(error)))
        ws.send(file)
        ws.on('close', lambda this: seen('close') if this.readyState == CLOSED else None)
        ws.reconnect()
        call(ws, getattr(ws, how))
        assert [seen.get()[0] for _ in range(2)] == [NotOpenError, 'close']
        until(lambda: file.closed)
        ws.send('y', lambda error: seen(type(error)))
        assert seen.get() == (NotOpenError,)
        assert ws.bufferedAmount == 0


def test_what_was_sent_before_close_arrives_before_the_end() -> None:
    """Also if it has waited, and is more than the connection takes at once."""
    with free_port() as port:
        ws = ReconnectingWebSocket(url_at(port), {**FAST, 'perMessageDeflate': False})
        large = 'x' * 2_000_000
        for _ in range(10):
            ws.send(large)
        ws.on('open', lambda: (ws.send('last'), ws.close(4000)))
        with server(port=port) as wss:
            closed = Waiter()
            wss.on('connection', lambda peer: peer.on('close', closed))
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(11)] == [large] * 10 + ['last']
            assert closed.get() == (4000, '')
            until(lambda: ws.readyState == CLOSED)


def test_drain_is_told_when_what_waited_has_gone() -> None:
    with free_port() as port, reconnecting(url_at(port), perMessageDeflate=False) as ws:
        drained = Waiter()
        ws.on('drain', lambda: drained(ws.bufferedAmount))
        assert not ws.send('x')
        assert not on_loop(ws, lambda: ws.send('y'))
        assert drained.nothing(0.05)
        with server(port=port) as wss:
            seen = collect(wss)
            assert drained.get() == (0,)
            assert drained.nothing(0.05)
            peer = seen.get()[1]
            peer.pause()
            for _ in range(40):  # more than the system takes
                ws.send('z' * 1_000_000)
            until(lambda: ws._waiting == 0)
            while not drained.nothing(0.05):
                pass
            assert ws.bufferedAmount > 1_000_000
            peer.resume()
            assert drained.get()[0] < 1_000_000


def test_what_waits_goes_no_faster_than_the_peer_reads_and_in_order() -> None:
    count = 200
    with free_port() as port, reconnecting(url_at(port), perMessageDeflate=False, maxEnqueuedMessages=count) as ws:
        for number in range(count):
            ws.send(f'{number:05}' + 'x' * 100_000)
        with server(port=port) as wss:
            wss.on('connection', lambda peer: peer.pause())
            wait_for(ws, 'open')
            [peer] = wss.clients
            for number in range(count, 2 * count):  # behind the others
                ws.send(f'{number:05}')  # the limit is for who has no connection
            connection = ws._connection
            assert connection is not None
            assert connection.bufferedAmount < 1_000_000 < ws.bufferedAmount
            received = Waiter()
            peer.on('message', lambda message: received(int(message[:5])))
            peer.resume()
            assert [received.get()[0] for _ in range(2 * count)] == list(range(2 * count))


def test_fragments_do_not_go_on_over_another_connection() -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        seen = collect(wss)
        peer = seen.get()[1]
        until(lambda: ws.readyState == OPEN)
        told = Waiter()
        ws.send('begun', fin=False, callback=told)
        assert told.get() == (None,)
        peer.terminate()
        seen.get()
        until(lambda: ws.readyState == OPEN)
        ws.send('middle', fin=False, callback=told)
        ws.send('end', told)
        assert [type(told.get()[0]) for _ in range(2)] == [NotOpenError] * 2
        ws.send('whole', told)
        assert told.get() == (None,)
        assert seen.get()[1] == 'whole'


def test_fragments_are_kept_or_dropped_together() -> None:
    with free_port() as port, reconnecting(url_at(port), maxEnqueuedMessages=1) as ws:
        told = Waiter()
        ws.send('a', fin=False)
        ws.send('b')
        ws.send('c', fin=False, callback=told)
        ws.send('d', told)
        assert [str(told.get()[0]) for _ in range(2)] == ['maxEnqueuedMessages exceeded'] * 2
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert seen.get()[1] == 'ab'


def test_messages_in_pieces_wait_too() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        pieces = iter(['one', 'two', ''])

        def supply(error: Any, send: Any) -> None:
            piece = next(pieces)
            send(piece, not piece)

        ws.send('before')
        ws.stream(supply)
        ws.send('after')
        with pytest.raises(TypeError):
            ws.stream()  # type: ignore[call-arg]
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(3)] == ['before', 'onetwo', 'after']
        stop(ws)
        told = Waiter()
        ws.stream(told)
        assert isinstance(told.get()[0], NotOpenError)


def test_what_cannot_be_sent_raises_in_any_state(call: Any) -> None:
    with echo_server() as wss:
        with free_port() as port, reconnecting(url_at(port)) as ws:
            for wrong in (object(), True, '\ud800'):
                with pytest.raises((TypeError, ValueError)):
                    call(ws, lambda wrong=wrong: ws.send(wrong))
        with reconnecting(url_of(wss)) as ws:
            wait_for(ws, 'open')
            for wrong in (object(), True, '\ud800'):
                with pytest.raises((TypeError, ValueError)):
                    call(ws, lambda wrong=wrong: ws.send(wrong))
            ws.send('right')
            assert wait_for(ws, 'message')[0] == 'right'


def test_pings_do_not_wait(call: Any) -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        told = Waiter()
        call(ws, lambda: ws.ping())
        call(ws, lambda: ws.ping('x', told))
        call(ws, lambda: ws.pong('x', {'mask': True}, True, told))
        assert [type(told.get()[0]) for _ in range(2)] == [NotOpenError] * 2
        with pytest.raises(ValueError, match='125'):
            ws.ping('x' * 126)


def test_a_pause_outlasts_connections() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        messages = Waiter()
        ws.on('message', messages)
        ws.pause()
        until(lambda: ws.isPaused)
        for _ in range(2):
            with server(port=port) as wss:
                wss.on('connection', lambda peer: peer.send('hello'))
                wait_for(ws, 'open')
                assert messages.nothing(0.05)
                for peer in wss.clients:
                    peer.terminate()
                ws.resume()
                assert messages.get()[0] == 'hello'
                ws.pause()
        assert ws.isPaused


# -- reconnect() and startClosed --------------------------------------------------------------------------------------


def test_reconnect_while_it_is_open(call: Any) -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        seen, log = collect(wss), Log(ws)
        log.until('open')
        peer = seen.get()[1]
        codes = Waiter()
        peer.on('close', codes)
        call(ws, lambda: ws.reconnect(4000, 'anew'))
        assert log.get() == ('close', 4000, 'anew')
        assert log.get() == ('open',)
        assert codes.get() == (4000, 'anew')
        seen.get()
        assert log.nothing(0.05)


def test_reconnect_while_it_waits(call: Any) -> None:
    slow = {'minReconnectionDelay': NEVER, 'maxReconnectionDelay': NEVER}
    with free_port() as port, reconnecting(url_at(port), **slow) as ws:
        log = Log(ws)
        log.until('close')
        until(lambda: ws.retryCount == 1)
        with server(port=port):
            call(ws, ws.reconnect)
            assert log.get() == ('open',)
            assert ws.retryCount == 0


def test_reconnect_while_it_connects_or_asks(call: Any) -> None:
    release = threading.Event()
    with socket.create_server(('127.0.0.1', 0)) as silent, server() as wss:
        urls = iter([url_at(silent.getsockname()[1]), None, url_of(wss)])
        asked = threading.Event()

        def url() -> Any:
            answer = next(urls)
            if answer is None:
                asked.set()
                release.wait(TIMEOUT)
            return answer

        with reconnecting(url) as ws:
            log = Log(ws)
            until(lambda: ws.url is not None)
            call(ws, ws.reconnect)
            assert log.get() == ('close', 1000, '')
            assert asked.wait(TIMEOUT)
            call(ws, ws.reconnect)
            log.until('open')
            release.set()


def test_reconnect_after_the_end(call: Any) -> None:
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        log = Log(ws)
        for _ in range(3):
            log.until('open')
            assert stop(ws, 'close') == (1000, '')
            log.until('close')
            call(ws, ws.reconnect)
        log.until('open')
        ws.send('x')
        assert log.get()[1] == 'x'


def test_reconnect_in_its_own_listeners() -> None:
    with server() as wss, reconnecting(url_of(wss), minReconnectionDelay=NEVER, maxReconnectionDelay=NEVER) as ws:
        seen = collect(wss)
        ws.on('close', lambda: ws.reconnect())
        for code in (1000, 4000):
            seen.get()[1].close(code)
        seen.get()
        ws.removeAllListeners('close')
        ended = Waiter()
        ws.on('close', lambda this: ended() if this.readyState == CLOSED else None)
        ws.close()
        ended.get()


def test_close_and_reconnect_at_once() -> None:
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        log = Log(ws)
        log.until('open')
        for _ in range(20):
            ws.close()
            ws.reconnect()
            ws.send('x')
            assert [event[0] for event in log.until('message')].count('open') == 1


def test_the_process_is_kept_from_the_call_of_reconnect_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another thread, while the loop thread is about to end it."""
    released: list[Any] = []
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        release = ws._loop.release
        monkeypatch.setattr(ws._loop, 'release', lambda handle: (released.append(handle), release(handle)))

        @ws.once('close')
        def closed() -> None:
            thread = threading.Thread(target=ws.reconnect)
            thread.start()
            thread.join()

        log = Log(ws)
        log.until('open')
        ws.close()
        log.until('open')
        assert ws not in released


def test_start_closed() -> None:
    with echo_server() as wss:
        threads = threading.active_count()
        ws = ReconnectingWebSocket(url_of(wss), {**FAST, 'startClosed': True})
        assert (ws.readyState, ws.shouldReconnect, threading.active_count()) == (CLOSED, False, threads)
        log = Log(ws)
        ws.close()
        ws.send('waited')
        assert log.nothing(0.05)
        ws.reconnect()
        assert log.get() == ('open',)
        assert log.get()[1] == 'waited'
        stop(ws)


def test_listeners_attached_just_after_reconnect() -> None:
    with echo_server() as wss:
        ws = ReconnectingWebSocket(url_of(wss), {**FAST, 'startClosed': True})
        ws.reconnect()
        until(lambda: ws.readyState == OPEN)
        wait_for(ws, 'open')
        stop(ws)


# -- the process ------------------------------------------------------------------------------------------------------


def script(folder: Path, code: str) -> Path:
    file = folder / 'program.py'
    head = 'import sys\nfrom ws import ReconnectingWebSocket\nFAST = {"minReconnectionDelay": 5, "jitter": 0}\n'
    file.write_text(head + code, encoding='utf-8')
    return file


def running(folder: Path, code: str, *arguments: object) -> contextlib.AbstractContextManager[Child]:
    return child(script(folder, code), *arguments)


def test_the_process_lives_on_without_a_connection_and_ends_by_itself(tmp_path: Path) -> None:
    program = """
ws = ReconnectingWebSocket(sys.argv[1], FAST, maxReconnectionDelay=20)
ws.on('error', lambda error: None)
ws.on('close', lambda code: print('close', code, flush=True))
ws.on('message', lambda message: ws.close())
"""
    with free_port() as port, running(tmp_path, program, url_at(port)) as host:
        assert [host.line() for _ in range(3)] == ['close 1006'] * 3
        with server(port=port) as wss:
            wss.on('connection', lambda peer: peer.send('enough'))
            while (line := host.line()) == 'close 1006':
                pass
            assert line == 'close 1000'
            host.ends()


def test_a_last_error_that_nobody_heard_is_the_status(tmp_path: Path) -> None:
    program = 'ReconnectingWebSocket(sys.argv[1], FAST, maxRetries=1)\n'
    with free_port() as port, running(tmp_path, program, url_at(port)) as host:
        assert host.wait() == 1
        assert host.errors().count('Traceback') == 1


WAITS = """
from ws.timers import setTimeout
ws = ReconnectingWebSocket(sys.argv[1], minReconnectionDelay=10**7, maxReconnectionDelay=10**7)
ws.once('close', lambda: setTimeout(print, 1, 'waits'))
"""


@pytest.mark.skipif(os.name == 'nt', reason='nobody can send Ctrl-C there')
def test_ctrl_c_while_it_waits(tmp_path: Path) -> None:
    with free_port() as port, running(tmp_path, WAITS, url_at(port)) as host:
        assert host.line() == 'waits'
        host.stops()


@pytest.mark.parametrize('end', ['sys.exit(3)', 'ws.unref()\nsys.stdin.read()'])
def test_other_ends_while_it_waits(tmp_path: Path, end: str) -> None:
    program = 'import threading\ndone = threading.Event()\n' + WAITS + f'ws.on("close", done.set)\ndone.wait()\n{end}\n'
    with free_port() as port, running(tmp_path, program, url_at(port)) as host:
        assert host.wait() == (3 if 'exit' in end else 0)


def test_sys_exit_while_it_is_open_says_goodbye(tmp_path: Path) -> None:
    program = """
import threading
opened = threading.Event()
ws = ReconnectingWebSocket(sys.argv[1])
ws.on('open', opened.set)
opened.wait()
sys.exit(3)
"""
    with server() as wss:
        codes = Waiter()
        wss.on('connection', lambda ws: ws.on('close', codes))
        with running(tmp_path, program, url_of(wss)) as host:
            assert codes.get()[0] == 1001
            assert host.wait() == 3


def test_reconnect_as_the_last_line(tmp_path: Path) -> None:
    program = """
import threading
closed = threading.Event()
ws = ReconnectingWebSocket(sys.argv[1])
ws.on('open', lambda: ws.close())
ws.once('close', closed.set)
closed.wait()
ws.on('close', lambda: print('closed again'))
ws.close()
ws.reconnect()
"""
    with server() as wss, running(tmp_path, program, url_of(wss)) as host:
        host.ends('closed again')


def test_unref_holds_for_the_connection_too(tmp_path: Path) -> None:
    program = """
import threading
opened = threading.Event()
ws = ReconnectingWebSocket(sys.argv[1])
ws.on('open', opened.set)
opened.wait()
ws.unref()
"""
    with server() as wss, running(tmp_path, program, url_of(wss)) as host:
        host.ends()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_the_child_of_a_fork_has_no_connection_and_may_make_its_own(tmp_path: Path) -> None:
    program = """
import os
import threading
import warnings
import ws

warnings.simplefilter('ignore')  # Python 3.12 warns of threads
opened = threading.Event()
rws = ReconnectingWebSocket(sys.argv[1])
rws.on('open', opened.set)
opened.wait()
if os.fork() == 0:
    print(rws.readyState, flush=True)
    rws.removeAllListeners()
    rws.on('message', lambda message: (print(message, flush=True), rws.close()))
    rws.reconnect()
    rws.send('child')
    ws.wait()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
rws.send('parent')
rws.on('message', lambda message: rws.close())
"""
    with echo_server() as wss, running(tmp_path, program, url_of(wss)) as host:
        assert [host.line() for _ in range(3)] == [str(CLOSED), 'child', '0']
        host.ends()
