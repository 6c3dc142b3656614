"""The loop: timers, and what is put off."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Any

import pytest
from net.loop.pollables import Pollable
from streams import Driver, unix_pair
from support import TIMEOUT, Waiter, until

from ws.net.loop import Loop
from ws.net.poller import READ
from ws.net.timers import Timer, Timers

#: For what is about more than one poll hands out.
watches_many = pytest.mark.skipif(
    selectors.DefaultSelector is selectors.SelectSelector, reason='select watches no more than 1024 descriptors'
)


class Patient:
    """Has so much to do, and notes each turn it gets."""

    def __init__(self, loop: Loop, name: str, count: int, log: list[str]) -> None:
        self._loop = loop
        self._name = name
        self._count = count
        self._log = log

    def go_on(self) -> None:
        self._log.append(self._name)
        self._count -= 1
        if self._count:
            self._loop.put_off(self)

    def failed(self) -> None:
        self._log.append(f'{self._name} failed')


def test_of_those_who_put_something_off_one_has_its_turn_and_then_the_others(driver: Driver) -> None:
    loop = driver.loop
    log: list[str] = []
    near, far = socket.socketpair()

    def on_event(mask: int) -> None:
        near.recv(1)
        log.append('event')

    def begin() -> None:
        for name in 'ab':
            loop.put_off(Patient(loop, name, 2, log))
        far.send(b'12345')  # ready in each of the next turns
        loop.register(near.fileno(), Pollable(near, on_event), READ)

    with near, far:
        driver(begin)
        until(lambda: len(log) == 9)
        driver(loop.unregister, near.fileno())
    assert log == ['event', 'a', 'event', 'b', 'event', 'a', 'event', 'b', 'event']


def test_nobody_waits_for_a_socket_while_something_is_put_off(driver: Driver) -> None:
    log: list[str] = []
    driver(lambda: driver.loop.put_off(Patient(driver.loop, 'a', 3, log)))
    until(lambda: len(log) == 3)


def test_who_fails_when_it_goes_on_is_told_and_reported(driver: Driver, reported: list[BaseException]) -> None:
    log: list[str] = []
    patient = Patient(driver.loop, 'a', 1, log)
    patient.go_on = lambda: 1 / 0  # type: ignore[method-assign,assignment]
    driver(lambda: driver.loop.put_off(patient))
    until(lambda: log == ['a failed'])
    assert isinstance(reported.pop(), ZeroDivisionError)


def test_timers_run_in_the_order_they_are_due(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    order = Waiter()
    started = time.monotonic()

    def set_them() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(time, 'monotonic', lambda: started)
            for milliseconds in (30, 10, 20, 10, 0):
                driver.loop.call_later(milliseconds, order, milliseconds)

    driver(set_them)
    assert [order.get()[0] for _ in range(5)] == [0, 10, 10, 20, 30]
    assert time.monotonic() - started >= 0.030


def test_timers_due_at_once_run_in_the_order_they_were_set(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []
    now = time.monotonic()

    def set_them() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(time, 'monotonic', lambda: now)
            for number in range(50):
                driver.loop.call_later(1, order.append, number)

    driver(set_them)
    until(lambda: len(order) == 50)
    assert order == list(range(50))


def test_a_timer_runs_once_and_is_never_early(driver: Driver) -> None:
    for milliseconds in (0.3, 2, 15):
        ran = Waiter()
        started = time.monotonic()
        timer = driver(driver.loop.call_later, milliseconds, lambda ran=ran: ran(time.monotonic()))
        (at,) = ran.get()
        assert at - started >= milliseconds / 1000
        assert timer.callback is None
        assert ran.nothing(0.03)


def test_a_cancelled_timer_does_not_run_and_refers_to_nothing(driver: Driver) -> None:
    ran: list[str] = []

    def set_and_cancel() -> Any:
        timer = driver.loop.call_later(1, ran.append, 'cancelled')
        driver.loop.call_later(2, ran.append, 'kept')
        timer.cancel()
        timer.cancel()
        return timer

    timer = driver(set_and_cancel)
    assert (timer.callback, timer.args) == (None, ())
    until(lambda: ran)
    assert ran == ['kept']


def test_a_timer_may_cancel_another_that_is_due_too(driver: Driver) -> None:
    ran: list[str] = []
    timers: list[Timer] = []
    release = driver.block()

    def first() -> None:
        ran.append('first')
        timers[0].cancel()

    def set_them() -> None:
        driver.loop.call_later(0, first)
        timers.append(driver.loop.call_later(0, ran.append, 'second'))
        driver.loop.call_later(0, ran.append, 'third')

    driver.loop.call(set_them)
    release.set()
    until(lambda: 'third' in ran)
    assert ran == ['first', 'third']


def test_cancelled_timers_leave_the_heap(driver: Driver) -> None:
    """Each opening handshake cancels one that would lie there for seconds."""

    def set_and_cancel() -> None:
        for _ in range(100):
            driver.loop.call_later(60_000, lambda: None).cancel()

    kept = [driver(driver.loop.call_later, 60_000, lambda: None) for _ in range(10)]
    for _ in range(100):
        driver(set_and_cancel)
    driver.turns()
    assert len(driver.loop._timers) < 500
    assert {timer for _, _, timer in driver.loop._timers} >= set(kept)


def test_looking_for_cancelled_timers_costs_little(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many timers that are all in use are not gone through in every turn."""
    searches: list[None] = []
    search = Timers._drop_cancelled

    def counted(timers: Timers) -> None:
        searches.append(None)
        search(timers)

    monkeypatch.setattr(Timers, '_drop_cancelled', counted)
    driver(lambda: [driver.loop.call_later(60_000, lambda: None) for _ in range(2000)])
    driver.turns(200)
    assert len(searches) < 20
    assert len(driver.loop._timers) == 2000


@pytest.mark.parametrize('milliseconds', [2**31, 2**40, 1e15, 1e300])
def test_a_timer_may_be_due_when_we_are_all_dead(driver: Driver, milliseconds: float) -> None:
    """Somebody's way of saying never: more than the system's poll accepts."""
    timer = driver(driver.loop.call_later, milliseconds, lambda: None)
    driver.turns(3)
    timer.cancel()


@pytest.mark.parametrize('count', [1, pytest.param(1500, marks=watches_many)])
def test_after_a_stall_what_has_come_meanwhile_is_read_before_timers_run(driver: Driver, count: int) -> None:
    """More of it than one poll hands out, too: a timer that would end a silent connection must not find it silent."""
    order: list[str] = []
    pairs = [unix_pair() for _ in range(count)]

    def note(pollable: Pollable) -> None:
        pollable.sock.recv(1)
        order.append('data')

    pollables = [Pollable(mine) for mine, _ in pairs]
    for pollable in pollables:
        pollable._on_event = lambda mask, pollable=pollable: note(pollable)  # type: ignore[misc]
        driver(driver.loop.register, pollable.sock.fileno(), pollable, READ)
    release = driver.block()
    ran = threading.Event()
    driver.loop.call(driver.loop.call_later, 0, lambda: (order.append('timer'), ran.set()))
    for _, theirs in pairs:
        theirs.send(b'x')
    release.set()
    assert ran.wait(TIMEOUT)
    assert order == ['data'] * count + ['timer']
    for mine, theirs in pairs:
        driver(driver.loop.unregister, mine.fileno())
        mine.close()
        theirs.close()


def test_a_stall_just_after_another_timer_was_due_makes_no_difference(driver: Driver) -> None:
    order: list[str] = []
    ran = threading.Event()
    mine, theirs = unix_pair()
    pollable = Pollable(mine, lambda mask: (mine.recv(1), order.append('data')))

    def begin() -> None:
        driver.loop.call_later(0, order.append, 'other timer')
        driver.loop.call_later(5, lambda: (order.append('timer'), ran.set()))
        driver.loop.call(stall, time.monotonic() + 0.006)  # in the next turn: in this one, that timer becomes due

    def stall(end: float) -> None:
        theirs.send(b'x')
        while time.monotonic() < end:
            pass

    driver(driver.loop.register, mine.fileno(), pollable, READ)
    driver.loop.call(begin)
    assert ran.wait(TIMEOUT)
    assert order == ['other timer', 'data', 'timer']
    driver(driver.loop.unregister, mine.fileno())
    mine.close()
    theirs.close()


@watches_many
def test_sockets_that_are_always_ready_do_not_keep_timers_from_running(driver: Driver) -> None:
    pairs = [unix_pair() for _ in range(1500)]
    for mine, theirs in pairs:
        theirs.send(b'x')  # nobody reads it
        driver(driver.loop.register, mine.fileno(), Pollable(mine), READ)
    ran = threading.Event()
    driver.loop.call(driver.loop.call_later, 1, ran.set)
    assert ran.wait(TIMEOUT)
    for mine, theirs in pairs:
        driver(driver.loop.unregister, mine.fileno())
        mine.close()
        theirs.close()
