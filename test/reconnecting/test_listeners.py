"""Listeners of a WebSocket that connects again: late ones, and those that raise."""

from __future__ import annotations

import logging

import pytest
from documents import free_port
from loop_timers import held_up
from reconnecting.clients import FAST, collect, reconnecting, stop, url_at
from support import Log, Waiter, server, until, url_of

from ws import OPEN, ReconnectingWebSocket, delivery


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


def test_late_listeners_miss_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with free_port() as port:
        ws = ReconnectingWebSocket(url_at(port), {**FAST, 'minReconnectionDelay': 1})
        until(lambda: ws.retryCount)
        with server(port=port) as wss:
            wss.on('connection', lambda peer: peer.send('hello'))
            until(lambda: ws.readyState == OPEN)
            with held_up():
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
