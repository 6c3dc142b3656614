"""How late a loop is."""

from __future__ import annotations

import threading
import time

import pytest
from support import TIMEOUT, on_loop, server, until

from ws import WebSocketServer
from ws.net import lag
from ws.net.lag import Lag


def looks(wss: WebSocketServer, meter: Lag) -> int:
    """How many timers of it are set."""
    return int(on_loop(wss, lambda: sum(timer.callback == meter._look for _, _, timer in wss._loop._timers)))


def test_nothing_is_measured_until_somebody_asks() -> None:
    with server() as wss:
        meter = Lag(wss._loop)
        assert looks(wss, meter) == 0
        assert meter.ask() is None
        assert meter.ask() is None or looks(wss, meter)
        until(lambda: meter.ask() is not None)
        assert looks(wss, meter) == 1
        on_loop(wss, meter.stop)
        assert looks(wss, meter) == 0


def test_a_listener_that_takes_long() -> None:
    with server() as wss:
        meter = Lag(wss._loop)
        until(lambda: meter.ask() is not None)
        started, ends = threading.Event(), threading.Event()
        wss._loop.call(lambda: (started.set(), ends.wait(TIMEOUT)))
        assert started.wait(TIMEOUT)
        until(lambda: (meter.ask() or 0) > 300)  # while it is still at work
        ends.set()
        on_loop(wss, lambda: None)
        until(lambda: meter._longest > 0.3)
        assert (meter.ask() or 0) > 300  # and for a while afterwards
        on_loop(wss, meter.stop)


def test_what_is_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, 'LOOK_EVERY', 10)
    with server() as wss:
        meter = Lag(wss._loop)
        until(lambda: meter.ask() is not None)
        on_loop(wss, lambda: time.sleep(0.2))
        until(lambda: (meter.ask() or 0) >= 150)
        monkeypatch.setattr(lag, 'PERIOD', 0.3)
        on_loop(wss, lambda: setattr(meter, '_period_ends', 0))
        until(lambda: (meter.ask() or 999) < 150)
        on_loop(wss, meter.stop)


def test_it_stops_when_nobody_asks_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, 'ASKED_FOR', 0.05)
    monkeypatch.setattr(lag, 'LOOK_EVERY', 10)
    with server() as wss:
        meter = Lag(wss._loop)
        until(lambda: (meter.ask(), looks(wss, meter))[1] == 1)
        until(lambda: looks(wss, meter) == 0)
        until(lambda: meter.ask() is not None)  # and begins again
        on_loop(wss, meter.stop)
