"""The load test, in front of servers of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import Waiter, echo_server, server, url_of

from ws import WebSocket, WebSocketServer
from ws.wscat import load
from ws.wscat.load import Load
from ws.wscat.measures import Plan, Results

PLAN = Plan(connections=3, duration=20.0, messages=100, size=16, in_flight=2, rate=None, binary=False)


def test_each_message_comes_back() -> None:
    with echo_server() as wss:
        results = run(wss)
    assert (results.opened, results.sent, results.returned, results.missing, results.others) == (3, 100, 100, 0, 0)
    assert (results.latency.count, results.opening.count) == (100, 3)
    assert 0 < results.latency.longest < results.seconds
    assert results.good


def run(wss: WebSocketServer, change: Callable[[Load], object] = lambda load: None, **changes: Any) -> Results:
    """Run a load test to its end; `change` is called with it when it begins to send."""
    return run_against(url_of(wss), change, **changes)


def run_against(
    url: str, change: Callable[[Load], object] = lambda load: None, patience: float = 5.0, **changes: Any
) -> Results:
    results = Results(url, PLAN._replace(**changes))
    done = Waiter()
    test = Load(
        results, lambda: WebSocket(url, closeTimeout=2000), lambda: change(test), lambda: done(), patience=patience
    )
    test.start()
    done.get()
    return results


def test_so_many_are_under_way_and_all_differ() -> None:
    held: list[tuple[WebSocket, str]] = []
    seen: set[str] = set()

    def hold(ws: WebSocket, message: str) -> None:
        assert message not in seen
        seen.add(message)
        held.append((ws, message))
        if len(held) == 6:  # of three connections, two each
            for sender, one in reversed(held):
                sender.send(one)
            held.clear()

    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: hold(ws, message)))
        results = run(wss, messages=60)
    assert (results.returned, len(seen)) == (60, 60)
    assert {len(message) for message in seen} == {16}


@pytest.mark.parametrize('size', [0, 1, 100_000])
@pytest.mark.parametrize('binary', [False, True])
def test_sizes_and_kinds(size: int, binary: bool) -> None:
    kinds: set[tuple[bool, int]] = set()
    with server() as wss:
        wss.on(
            'connection',
            lambda ws: ws.on('message', lambda data, flags: (kinds.add((flags.binary, len(data))), ws.send(data))),
        )
        results = run(wss, size=size, binary=binary, in_flight=1, messages=30)
    assert results.returned == 30
    assert kinds == {(binary, size)}


def test_it_ends_after_its_time() -> None:
    with echo_server() as wss:
        results = run(wss, messages=None, duration=0.2)
    assert results.sent == results.returned > 0
    assert 0.15 < results.seconds < 10
    assert results.good


def test_a_rate() -> None:
    with echo_server() as wss:
        results = run(wss, messages=None, duration=0.5, rate=200.0)
    assert 50 <= results.sent <= 101  # they are due every 5 ms, from the first moment to the last
    assert results.returned == results.sent


def test_with_a_rate_messages_are_sent_whether_answers_come_or_not() -> None:
    """And their latency counts from when they were due."""
    with server() as wss:
        kept: list[Any] = []

        def stall(ws: WebSocket, message: str) -> None:
            kept.append(message)
            if len(kept) == 40:
                for one in kept:
                    ws.send(one)

        wss.on('connection', lambda ws: ws.on('message', lambda message: stall(ws, message)))
        results = run(wss, connections=1, messages=40, rate=400.0)
    assert results.returned == 40
    assert results.latency.longest >= 0.09  # that of the first one
    assert results.latency.percentile(50) > 0.03


def test_the_server_does_not_keep_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, 'MOST_UNDER_WAY', 50)
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: None if '7' in message else ws.send(message)))
        results = run(wss, messages=None, rate=5000.0)
    assert results.complaint == f'the server does not keep up: {results.missing} messages are under way'
    assert results.missing >= 50
    assert not results.good


# -- no echo server ----------------------------------------------------------------------------------------------------


def test_a_server_that_is_silent() -> None:
    with server() as wss:
        results = run(wss, messages=None, patience=0.2)
    assert results.complaint == 'no message came back: the server has to send back what it gets'
    assert (results.sent, results.missing) == (6, 6)


@pytest.mark.parametrize(('answer', 'shown'), [
    ('no\n' + 'x' * 1000, '(text): no'),
    ('x' * 1000, '(text): ' + 'x' * 40),
    (b'\0', '(binary): binary, 1 byte:'),
])  # fmt: skip
def test_a_server_that_says_something_else(answer: Any, shown: str) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.send(answer)))
        results = run(wss, messages=6)
    assert results.complaint == f'the server does not send back what it gets, but something else {shown}'
    assert (results.others, results.missing) == (6, 6)


def test_a_server_that_sends_to_all() -> None:
    """What comes back to its sender counts; what others get does not."""
    with server() as wss:

        def to_all(message: str) -> None:
            for ws in wss.clients:
                ws.send(message)

        wss.on('connection', lambda ws: ws.on('message', to_all))
        results = run(wss)
    assert results.returned == 100
    assert results.others > 0
    assert results.complaint is None


def test_messages_that_do_not_come_back_are_missing() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: None if '7' in message else ws.send(message)))
        results = run(wss, connections=1, messages=10, in_flight=10, patience=0.2)
    assert (results.sent, results.returned, results.missing) == (10, 9, 1)
    assert results.complaint is None
    assert not results.good


# -- connections -------------------------------------------------------------------------------------------------------


def test_connections_that_can_not_be_opened() -> None:
    with echo_server() as wss:
        url = url_of(wss)
    results = run_against(url, connections=40)
    assert (results.opened, results.failed, results.sent) == (0, 40, 0)
    address = url.partition('://')[2].strip('/')
    assert dict(results.errors) == {f'Connection refused: {address}': 40}
    assert results.complaint == 'no connection could be opened'


def test_some_are_refused() -> None:
    with echo_server(verifyClient=lambda info: len(wss.clients) < 2) as wss:
        results = run(wss)
    assert (results.opened, results.failed, results.returned) == (2, 1, 100)
    assert dict(results.errors) == {'unexpected server response (401)': 1}
    assert not results.good


def test_not_open_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, '_OPENING_TIMEOUT', 0.1)
    with echo_server(verifyClient=lambda info, answer: None) as wss:
        results = run(wss, connections=40)
    assert results.failed == 40
    assert results.errors['not opened within 0.1 s'] == 8


def test_all_connections_are_closed_by_the_server() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.close(1013, 'too much')))
        results = run(wss)
    assert (results.lost, results.missing) == (3, 6)
    assert dict(results.errors) == {'disconnected (code: 1013, reason: "too much")': 3}


def test_one_is_closed_and_the_others_go_on() -> None:
    with server() as wss:
        count = iter(range(10_000))
        wss.on(
            'connection',
            lambda ws: ws.on('message', lambda message: ws.close(4000) if next(count) == 5 else ws.send(message)),
        )
        for rate in (None, 2000.0):
            count = iter(range(10_000))
            results = run(wss, rate=rate, patience=0.5)
            assert (results.lost, results.sent) == (1, 100)
            assert results.returned + results.missing == 100
            assert 1 <= results.missing < 50


def test_interrupted() -> None:
    with echo_server() as wss:
        results = run(wss, lambda test: test._loop.call_later(100, test.interrupt), messages=None)
        assert results.interrupted
        assert results.returned > 0
        assert results.missing == 0
        assert results.good


def test_interrupted_while_connecting() -> None:
    asked = Waiter()
    with server(verifyClient=lambda info, answer: asked()) as wss:
        results = Results(url_of(wss), PLAN)
        done = Waiter()
        test = Load(results, lambda: WebSocket(url_of(wss)), lambda: None, lambda: done())
        test.start()
        asked.get()
        test.interrupt()
        done.get()
    assert (results.interrupted, results.opened, results.failed, results.complaint) == (True, 0, 0, None)


def test_what_can_never_work_is_raised() -> None:
    with pytest.raises(ValueError, match='invalid url'):
        run_against('ws://a b')
