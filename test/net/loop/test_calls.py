"""The loop: calls from other threads, deferred calls, and events."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

import pytest
from net.loop.pollables import Pollable
from streams import Driver, tcp_pair, unix_pair
from support import TIMEOUT, Waiter

from ws.net import loop as loop_module
from ws.net.poller import READ, WRITE


@pytest.fixture
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for each byte written to wake the loop."""
    written: list[None] = []
    wake = loop_module.Waker.wake

    def counted(self: loop_module.Waker) -> None:
        written.append(None)
        wake(self)

    monkeypatch.setattr(loop_module.Waker, 'wake', counted)
    return written


# -- calls from other threads -----------------------------------------------------------------------------------------


def test_calls_of_one_thread_keep_their_order(driver: Driver) -> None:
    numbers: list[int] = []
    for number in range(1000):
        driver.loop.call(numbers.append, number)
    driver.turns()
    assert numbers == list(range(1000))


def test_calls_of_many_threads_are_all_made_each_thread_s_in_order(driver: Driver, hasty_switching: None) -> None:
    made: list[tuple[int, int]] = []

    def work(who: int) -> None:
        for number in range(500):
            driver.loop.call(made.append, (who, number))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    driver.turns()
    for who in range(8):
        assert [number for caller, number in made if caller == who] == list(range(500))


def test_a_batch_of_calls_is_one_wake(driver: Driver, wakes: list[None]) -> None:
    release = driver.block()
    wakes.clear()
    for _ in range(100):
        driver.loop.call(lambda: None)
    assert len(wakes) == 1
    release.set()
    driver.turns()


def test_a_call_wakes_a_loop_that_waits(driver: Driver) -> None:
    called = Waiter()
    for _ in range(20):
        driver.turns()
        driver.loop.call(called)  # the loop polls without a timeout: nothing else could end that
        called.get()


def test_a_call_from_a_callback_comes_after_what_was_called_before(driver: Driver) -> None:
    order: list[str] = []
    release = driver.block()

    def first() -> None:
        order.append('first')
        driver.loop.call(order.append, 'nested')

    driver.loop.call(first)
    driver.loop.call(order.append, 'second')
    release.set()
    driver.turns(3)
    assert order == ['first', 'second', 'nested']


def test_calls_that_call_again_starve_nobody(driver: Driver) -> None:
    near, far = unix_pair()
    with near, far:
        goes_on = [True]
        event = Waiter()

        def again() -> None:
            if goes_on[0]:
                driver.loop.call(again)
                driver.loop.defer(lambda: None)

        driver.loop.call(again)
        driver(driver.loop.register, near.fileno(), Pollable(near, event), READ)
        driver.loop.call(driver.loop.call_later, 1, event, 'timer')
        assert event.get() == ('timer',)
        far.send(b'x')
        assert event.get() == (READ,)
        goes_on[0] = False
        driver(driver.loop.unregister, near.fileno())


# -- deferred calls ---------------------------------------------------------------------------------------------------


def test_deferred_calls_come_after_the_callback_and_before_the_next_poll(driver: Driver) -> None:
    order: list[str] = []

    def callback() -> None:
        driver.loop.defer(order.append, 'deferred')
        driver.loop.call(order.append, 'called')  # next turn
        driver.loop.call_later(0, order.append, 'timer')
        order.append('callback')

    driver(callback)
    driver.turns(4)
    assert order == ['callback', 'deferred', 'called', 'timer']


def test_what_a_deferred_call_defers_does_not_keep_the_loop_in_one_turn(driver: Driver) -> None:
    goes_on = [True]

    def again() -> None:
        if goes_on[0]:
            driver.loop.defer(again)

    driver(again)
    driver.turns(3)  # never comes back, if it does
    goes_on[0] = False


# -- events -----------------------------------------------------------------------------------------------------------


def test_events_reach_their_pollable(driver: Driver) -> None:
    near, far = tcp_pair()
    with near, far:
        events = Waiter()

        def on_event(mask: int) -> None:
            driver.loop.unregister(near.fileno())
            events(mask)

        driver(driver.loop.register, near.fileno(), Pollable(near, on_event), WRITE)
        assert events.get() == (WRITE,)
        driver(driver.loop.register, near.fileno(), Pollable(near, on_event), READ)
        assert events.nothing(0.05)
        far.send(b'x')
        assert events.get() == (READ,)


def test_an_event_of_a_descriptor_closed_in_the_same_turn_is_nobody_s(driver: Driver) -> None:
    """The number may be in use again, for a socket that is not ready for anything."""
    pairs = [unix_pair(), unix_pair()]
    heard: list[str] = []
    done = threading.Event()

    def closes_the_other(index: int) -> Callable[[int], None]:
        def on_event(mask: int) -> None:
            other = pairs[1 - index][0]
            number = other.fileno()
            for near, _ in pairs:
                driver.loop.unregister(near.fileno())
            other.close()
            fresh, fresh_peer = unix_pair()
            if fresh.fileno() != number:
                os.dup2(fresh.fileno(), number)
            reused = socket.socket(fileno=number if fresh.fileno() != number else fresh.detach())
            driver.loop.register(number, Pollable(reused, lambda mask: heard.append('reused')), READ)
            driver.loop.call_later(10, finish, reused, fresh, fresh_peer)
            heard.append('closed')

        return on_event

    def finish(reused: socket.socket, *others: socket.socket) -> None:
        driver.loop.unregister(reused.fileno())
        for sock in (reused, *others):
            sock.close()
        done.set()

    release = driver.block()
    for index, (near, far) in enumerate(pairs):
        far.send(b'x')
        driver.loop.call(driver.loop.register, near.fileno(), Pollable(near, closes_the_other(index)), READ)
    release.set()  # both are registered in one turn, and ready in the next
    assert done.wait(TIMEOUT)
    assert heard == ['closed']
    for pair in pairs:
        for sock in pair:
            sock.close()
