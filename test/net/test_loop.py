"""The loop: calls from other threads, timers, the life of its thread, and that nothing a callback does ends it."""

from __future__ import annotations

import errno
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
from streams import Driver, Handle, tcp_pair, unix_pair
from support import PYTHONPATH, TIMEOUT, Waiter, until

from ws.net import loop as loop_module
from ws.net.loop import Loop, Timer, report_exception
from ws.net.poller import READ, WRITE

#: For what is about more than one poll hands out.
watches_many = pytest.mark.skipif(
    selectors.DefaultSelector is selectors.SelectSelector, reason='select watches no more than 1024 descriptors'
)


class Pollable:
    """A socket that tells what happens to it."""

    def __init__(self, sock: socket.socket, on_event: Callable[[int], object] = lambda mask: None) -> None:
        self.sock = sock
        self._on_event = on_event
        self.failures = 0

    def on_event(self, mask: int) -> None:
        self._on_event(mask)

    def failed(self) -> None:
        self.failures += 1

    def abandon(self) -> None:
        self.sock.close()


@pytest.fixture
def hasty_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


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


# -- the last resort --------------------------------------------------------------------------------------------------


class Broken:
    """A poller that fails, when it is told to."""

    fails = False

    def __init__(self, poller: Any) -> None:
        self._poller = poller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)

    def poll(self, timeout: float) -> Any:
        if self.fails:
            raise ValueError('too many file descriptors in select()')
        return self._poller.poll(timeout)


def test_what_escapes_a_turn_ends_what_is_open_and_the_loop_goes_on(
    poller_class: Any, monkeypatch: pytest.MonkeyPatch, reported: list[BaseException]
) -> None:
    monkeypatch.setattr(loop_module, 'Poller', lambda: Broken(poller_class()))
    driver, handle = Driver(), Handle()
    near, far = tcp_pair()
    pollable = Pollable(near)
    driver(driver.loop.register, near.fileno(), pollable, READ)
    driver.loop.hold(handle)
    timer = Waiter()
    driver(driver.loop.call_later, 50, timer)
    driver(lambda: setattr(driver.loop._poller, 'fails', True))
    what, error = handle.asked.get()
    assert (what, str(error)) == ('fail', 'too many file descriptors in select()')
    driver.turns()
    assert reported == [error]
    reported.clear()
    assert pollable.failures == 1
    assert not driver.loop._pollables
    assert timer.get() == ()
    driver.loop.release(handle)
    with near, far:
        driver.end()


def test_without_another_poller_it_goes_on_without(
    poller_class: Any, monkeypatch: pytest.MonkeyPatch, reported: list[BaseException]
) -> None:
    pollers = [Broken(poller_class())]
    monkeypatch.setattr(loop_module, 'Poller', lambda: pollers.pop())
    driver, handle = Driver(), Handle()
    driver.loop.hold(handle)
    driver(lambda: setattr(driver.loop._poller, 'fails', True))
    assert handle.asked.get()[0] == 'fail'
    driver.loop.release(handle)
    driver.turns()
    assert [type(error) for error in reported] == [ValueError]
    reported.clear()
    driver.end()


# -- without descriptors ----------------------------------------------------------------------------------------------


@pytest.fixture
def out_of_descriptors(poller_class: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Pollers that can be had; there are none."""
    pollers: list[Any] = []

    def poller() -> Any:
        if not pollers:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return pollers.pop()

    monkeypatch.setattr(loop_module, 'Poller', poller)
    return pollers


def test_without_descriptors_calls_and_timers_work(out_of_descriptors: list[Any]) -> None:
    driver = Driver()
    passed = Waiter()
    driver(driver.loop.call_later, 10, passed)
    assert passed.get() == ()
    for _ in range(100):
        driver.turns(1)
    until(lambda: driver.loop._thread is not None)
    used = driver(time.thread_time)
    time.sleep(0.05)
    assert driver(time.thread_time) - used < 0.02  # it waits
    near, far = tcp_pair()
    with near, far:
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as caught:
            driver(driver.loop.register, near.fileno(), Pollable(near), READ)
        assert caught.value.errno == errno.EMFILE
    driver.end()


def test_as_soon_as_there_are_descriptors_they_are_used(
    out_of_descriptors: list[Any], poller_class: Any, hasty_switching: None
) -> None:
    for _ in range(20):
        driver, ready, called = Driver(), Waiter(), Waiter()
        near, far = tcp_pair()
        out_of_descriptors.append(poller_class())
        caller = threading.Thread(target=lambda: [driver.loop.call(called) for _ in range(50)])  # noqa: B023
        caller.start()
        driver(driver.loop.register, near.fileno(), Pollable(near, ready), READ)
        far.send(b'x')
        assert ready.get() == (READ,)
        driver(driver.loop.unregister, near.fileno())
        for _ in range(50):
            called.get()
        caller.join()
        driver.turns()  # it can be woken
        near.close()
        far.close()
        driver.end()


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


# -- timers -----------------------------------------------------------------------------------------------------------


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


def test_timers_run_in_the_order_they_are_due(driver: Driver) -> None:
    order = Waiter()

    def set_them() -> None:
        for milliseconds in (30, 10, 20, 10, 0):
            driver.loop.call_later(milliseconds, order, milliseconds)

    started = time.monotonic()
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
    search = Loop._drop_cancelled_timers

    def counted(self: Loop) -> None:
        searches.append(None)
        search(self)

    monkeypatch.setattr(Loop, '_drop_cancelled_timers', counted)
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


# -- what goes wrong in callbacks -------------------------------------------------------------------------------------


class Rude(BaseException):
    """Neither an Exception nor SystemExit: like asyncio.CancelledError, or pytest.fail()."""


@pytest.mark.parametrize('error', [LookupError, SystemExit, KeyboardInterrupt, Rude])
def test_whatever_a_callback_raises_the_loop_goes_on(
    driver: Driver, error: type[BaseException], reported: list[BaseException]
) -> None:
    near, far = unix_pair()
    with near, far:
        pollable = Pollable(near, lambda mask: fail())
        flushed = Pollable(far)
        flushed.flush = lambda: fail()  # type: ignore[attr-defined]

        def fail() -> None:
            raise error('on purpose')

        def failing_event() -> None:
            driver.loop.register(near.fileno(), pollable, READ)
            far.send(b'x')

        driver.loop.call(fail)
        driver.loop.call(driver.loop.call_later, 0, fail)
        driver.loop.call(driver.loop.defer, fail)
        driver.loop.call(driver.loop.dirty.append, flushed)
        driver.turns(3)
        assert len(reported) == 4
        assert flushed.failures == 1  # it would be waited for in vain, else
        driver(failing_event)
        until(lambda: pollable.failures)
        driver(driver.loop.unregister, near.fileno())
        assert len(reported) > 4
        expected = RuntimeError if error is SystemExit else error
        assert {type(exception) for exception in reported} == {expected}
        reported.clear()


def test_when_it_cannot_poll_what_is_open_ends_and_nobody_waits_for_it(reported: list[BaseException]) -> None:
    """A defect, such as somebody who closes all descriptors: not to be tried again and again."""
    loop, handle = Loop(), Handle()
    loop.hold(handle)
    thread = loop._thread
    assert thread is not None
    loop.call(lambda: loop._poller.close())
    assert handle.asked.get()[0] == 'fail'
    loop.release(handle)
    loop.call(lambda: None)  # it looks for its end when it has done something
    loop.wait()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert [type(error) for error in reported] == [ValueError]
    reported.clear()
    called = Waiter()
    loop.call(called)  # a new thread
    called.get()


def test_a_failure_of_the_failure_s_handling_is_reported_too(driver: Driver, reported: list[BaseException]) -> None:
    near, far = unix_pair()
    with near, far:

        class Hopeless(Pollable):
            def failed(self) -> None:
                driver.loop.unregister(self.sock.fileno())
                raise ValueError('twice')

        driver(driver.loop.register, near.fileno(), Hopeless(near, lambda mask: 1 // 0), READ)
        far.send(b'x')
        until(lambda: len(reported) == 2)
        assert [type(error) for error in reported] == [ZeroDivisionError, ValueError]
        reported.clear()
        driver.turns()


@pytest.mark.parametrize('error', [LookupError, SystemExit])
def test_a_broken_excepthook_does_not_end_the_loop(
    driver: Driver, error: type[BaseException], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken_hook(arguments: Any) -> None:
        raise error('the hook')

    monkeypatch.setattr(threading, 'excepthook', broken_hook)
    driver.loop.call(lambda: 1 // 0)
    driver.turns()
    printed = capsys.readouterr().err
    assert 'the hook' in printed and 'ZeroDivisionError' in printed


def test_what_is_reported_names_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = Waiter()
    monkeypatch.setattr(threading, 'excepthook', arguments)
    try:
        raise LookupError('reported')
    except LookupError as error:
        report_exception()
        (given,) = arguments.get()
        assert given.exc_type is LookupError and given.exc_value is error and given.exc_traceback is not None
        assert given.thread is threading.current_thread()


# -- the life of the thread -------------------------------------------------------------------------------------------


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == 'ws']


def test_the_thread_lives_as_long_as_its_handles() -> None:
    loop = Loop()
    handles = [Handle() for _ in range(3)]
    assert not loop_threads()
    for handle in handles:
        loop.hold(handle)
    [thread] = loop_threads()
    assert thread.daemon
    for handle in handles:
        assert thread.is_alive()
        loop.release(handle)
    loop.call(lambda: None)  # it looks for its end when it has done something
    thread.join(TIMEOUT)
    assert not loop_threads()
    loop.hold(handles[0])
    [second] = loop_threads()
    assert second is not thread
    loop.release(handles[0])
    loop.call(lambda: None)
    second.join(TIMEOUT)


def test_a_call_without_any_handle_is_made_and_the_thread_ends() -> None:
    loop = Loop()
    ran = Waiter()
    for _ in range(50):
        loop.call(ran)
        ran.get()
    until(lambda: not loop_threads())


def test_the_thread_stays_for_what_is_registered() -> None:
    loop = Loop()
    near, far = unix_pair()
    with near, far:
        events = Waiter()

        def on_event(mask: int) -> None:
            loop.unregister(near.fileno())
            events(mask)

        loop.call(loop.register, near.fileno(), Pollable(near, on_event), READ)
        assert events.nothing(0.05)
        assert loop_threads()
        far.send(b'x')
        assert events.get() == (READ,)
    until(lambda: not loop_threads())


def test_in_thread() -> None:
    loop = Loop()
    assert not loop.in_thread()
    answers = Waiter()
    handle = Handle()
    loop.hold(handle)
    loop.call(lambda: answers(loop.in_thread()))
    assert answers.get() == (True,)
    assert not loop.in_thread()
    loop.release(handle)
    loop.call(lambda: None)
    until(lambda: not loop_threads())
    assert not loop.in_thread()


def test_a_thread_that_gets_the_number_of_the_ended_one_is_not_taken_for_it() -> None:
    loop, handle = Loop(), Handle()
    loop.hold(handle)
    [thread] = loop_threads()
    loop.release(handle)
    loop.call(lambda: None)
    thread.join(TIMEOUT)
    answers: list[tuple[Optional[int], bool]] = []
    for _ in range(100):
        other = threading.Thread(target=lambda: answers.append((threading.get_ident(), loop.in_thread())))
        other.start()
        other.join()
        if answers[-1][0] == thread.ident:
            break
    else:
        pytest.skip('this system does not use the numbers of threads again')
    assert answers[-1] == (thread.ident, False)


def test_timers_alone_keep_nobody() -> None:
    loop = Loop()
    ran: list[None] = []
    loop.call(lambda: loop.call_later(60_000, ran.append, None))
    until(lambda: not loop_threads() and not loop._inbox)
    assert not loop._timers


def test_a_loop_that_can_t_start_says_so_and_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **keywords: Any) -> None:
        raise OSError('none to be had')

    loop, handle = Loop(), Handle()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, 'start', fail)
        with pytest.raises(OSError, match='none to be had'):
            loop.hold(handle)
    loop.wait()  # for nobody
    ran = Waiter()
    loop.call(ran)
    ran.get()
    until(lambda: not loop_threads())


@pytest.mark.parametrize('what', ['poller', 'sockets'])
def test_one_that_has_no_descriptors_starts_without(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **keywords: Any) -> None:
        raise OSError(errno.EMFILE, 'none to be had')

    loop, handle, ran = Loop(), Handle(), Waiter()
    with monkeypatch.context() as patch:
        if what == 'poller':
            patch.setattr(loop_module, 'Poller', fail)
        else:
            patch.setattr(socket, 'socketpair', fail)
        loop.hold(handle)
        loop.call(ran)
        ran.get()
    loop.release(handle)
    loop.call(ran)
    ran.get()
    until(lambda: not loop_threads())


def test_nothing_is_lost_between_threads_that_start_and_end_the_loop(hasty_switching: None) -> None:
    """Calls, handles and their ends from many threads, with no handle in between most of the time."""
    loop = Loop()
    workers, rounds = 6, 150
    made = [0] * workers
    missing: list[str] = []

    def work(who: int) -> None:
        generator = random.Random(who)
        called = threading.Event()

        def note() -> None:
            made[who] += 1
            called.set()

        for number in range(rounds):
            handle = Handle()
            called.clear()
            held = generator.random() < 0.7
            if held:
                loop.hold(handle)
            for _ in range(generator.randrange(3)):
                loop.unref(handle)
                loop.ref(handle)
            loop.call(note)
            if not called.wait(TIMEOUT):
                missing.append(f'call {number} of {who}')
                return
            if generator.random() < 0.5:
                loop.release(handle)
                loop.call(lambda: None)
            else:
                loop.call(loop.release, handle)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert made == [rounds] * workers
    loop.wait()
    until(lambda: not loop_threads())
    assert (loop._referenced, loop._handles, len(loop._inbox)) == (0, set(), 0)


@pytest.mark.skipif(not hasattr(signal, 'setitimer'), reason='this platform has no interval timers')
def test_references_are_counted_right_whatever_a_signal_handler_interrupts(driver: Driver) -> None:
    """It runs between two bytecodes of the main thread, also of a handler that came before it."""
    loop, handle = driver.loop, Handle()
    loop.hold(handle)
    before = signal.signal(signal.SIGALRM, lambda *_: loop.unref(handle))
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            loop.ref(handle)
            loop.unref(handle)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert loop._referenced == 1  # the driver's own
    loop.release(handle)
    assert loop._referenced == 1


def test_a_thread_that_is_waking_the_loop_writes_into_no_other_s_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop may end while another thread is on its way into the system call that wakes it."""
    loop, handle = Loop(), Handle()
    loop.hold(handle)
    on_the_way, ended = threading.Event(), threading.Event()
    open_still: list[bool] = []
    wake = loop_module.Waker.wake

    def slow_wake(self: Any) -> None:
        number = self.fileno()
        on_the_way.set()
        assert ended.wait(TIMEOUT)
        try:
            os.fstat(number)
            open_still.append(True)
        except OSError:  # whoever opens something now gets this number
            open_still.append(False)
        wake(self)

    [thread] = loop_threads()
    near, far = unix_pair()
    with near, far:

        def on_event(mask: int) -> None:
            loop.unregister(near.fileno())
            loop.release(handle)

        loop.call(loop.register, near.fileno(), Pollable(near, on_event), READ)
        until(lambda: loop._pollables)
        until(lambda: not loop._woken)
        monkeypatch.setattr(loop_module.Waker, 'wake', slow_wake)
        caller = threading.Thread(target=loop.call, args=(lambda: None,))
        caller.start()
        assert on_the_way.wait(TIMEOUT)
        far.send(b'x')  # the loop wakes by itself, makes the call, and ends
        thread.join(TIMEOUT)
        assert not thread.is_alive()
        ended.set()
        caller.join()
    assert open_still == [True]


# -- waiting, and the end of the process ------------------------------------------------------------------------------


def test_wait_returns_when_no_referenced_handle_is_left(driver: Driver) -> None:
    loop = Loop()
    handles = [Handle() for _ in range(3)]
    for handle in handles:
        loop.hold(handle)
        loop.hold(handle)  # once or twice is the same
    waiting = threading.Thread(target=loop.wait)
    waiting.start()
    loop.unref(handles[0])
    loop.unref(handles[0])
    loop.release(handles[1])
    loop.release(handles[1])
    waiting.join(0.05)
    assert waiting.is_alive()
    loop.unref(handles[2])
    waiting.join(TIMEOUT)
    assert not waiting.is_alive()
    loop.ref(handles[2])
    waiting = threading.Thread(target=loop.wait)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    loop.release(handles[2])
    waiting.join(TIMEOUT)
    assert not waiting.is_alive()
    loop.release(handles[0])
    loop.call(lambda: None)


def test_references_to_what_is_not_held_mean_nothing() -> None:
    loop = Loop()
    for change in (loop.ref, loop.unref, loop.release):
        change(Handle())
    loop.wait()


def test_waiting_on_the_loop_thread_is_refused(driver: Driver) -> None:
    with pytest.raises(RuntimeError, match='loop thread'):
        driver(driver.loop.wait)


def test_shutdown_asks_every_handle_and_waits_for_the_thread(reported: list[BaseException]) -> None:
    loop = Loop()

    class Polite(Handle):
        def shutdown(self) -> None:
            super().shutdown()
            loop.call_later(5, loop.release, self)

    class Broken(Polite):
        def shutdown(self) -> None:
            super().shutdown()
            raise LookupError('broken')

    handles = [Broken(), Polite(), Polite()]
    for handle in handles:
        loop.hold(handle)
    loop.unref(handles[2])
    started = time.monotonic()
    loop.shutdown(TIMEOUT)
    assert time.monotonic() - started < TIMEOUT / 2
    assert not loop_threads()
    assert [handle.asked.get() for handle in handles] == [('shutdown',)] * 3
    assert [type(error) for error in reported] == [LookupError]
    reported.clear()


def test_shutdown_cuts_off_what_does_not_end_in_time() -> None:
    loop, handle = Loop(), Handle()
    loop.hold(handle)
    started = time.monotonic()
    loop.shutdown(0.05)
    assert 0.05 <= time.monotonic() - started < 2
    assert handle.asked.get() == ('shutdown',)
    until(lambda: not loop_threads())


def test_shutdown_without_a_thread_is_nothing() -> None:
    Loop().shutdown(TIMEOUT)
    assert not loop_threads()


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_nothing_of_the_parent_s_runs_in_a_forked_child() -> None:
    script = """
        import os, socket, sys, threading, warnings
        warnings.simplefilter('ignore', DeprecationWarning)  # 3.12 and later warn of what is tested here
        from ws.net.loop import Loop
        from ws.net.poller import READ

        parent = os.getpid()
        heard = []

        class Thing:
            def __init__(self, sock):
                self.sock = sock
            def shutdown(self): pass
            def on_event(self, mask): heard.append('event')
            def failed(self): heard.append('failed')
            def flush(self): heard.append('flush')
            def abandon(self):
                heard.append('abandon')
                self.sock.close()

        near, far = socket.socketpair()
        thing = Thing(near)
        loop = Loop()
        loop.hold(thing)
        blocked, release = threading.Event(), threading.Event()

        def prepare():
            loop.register(near.fileno(), thing, READ)
            loop.call_later(0, heard.append, 'timer')
            loop.defer(heard.append, 'deferred')
            loop.dirty.append(thing)
            blocked.set()
            release.wait(20)

        loop.call(prepare)
        blocked.wait(20)
        loop.call(heard.append, 'called')
        far.send(b'x')
        pid = os.fork()
        if pid == 0:
            try:
                loop.abandon()
                assert heard == ['abandon', 'abandon'], heard
                assert near.fileno() == -1
                own, turns = Thing(far), threading.Semaphore(0)
                loop.hold(own)  # whoever still uses the old one finds it empty
                for _ in range(3):
                    loop.call(turns.release)
                    assert turns.acquire(timeout=20)
                loop.release(own)
                loop.call(lambda: None)
                loop.wait()
                assert heard == ['abandon', 'abandon'], heard
                os._exit(0)
            except BaseException as error:
                print('child:', repr(error), flush=True)
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        release.set()
        def finish():
            loop.unregister(near.fileno())
            loop.release(thing)
        done = threading.Event()
        loop.call(lambda: loop.call_later(20, lambda: (finish(), done.set())))
        assert done.wait(20)
        assert set(heard) == {'timer', 'deferred', 'flush', 'called', 'event'}, heard
        print('fine')
    """
    result = run(script)
    assert (result.stdout, result.stderr) == ('fine\n', '')


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_a_child_that_was_forked_in_a_callback_ends_quietly() -> None:
    """Its copy of the loop thread returns into a loop that is none any more."""
    script = """
        import os, sys, threading, warnings
        warnings.simplefilter('ignore', DeprecationWarning)
        from ws.net.loop import Loop

        class Handle:
            def shutdown(self): pass
            def abandon(self): pass

        loop, handle, done = Loop(), Handle(), threading.Event()
        os.register_at_fork(after_in_child=loop.abandon)
        status = []
        loop.hold(handle)

        def fork():
            pid = os.fork()
            if pid:
                status.append(os.waitpid(pid, 0)[1])
                done.set()

        blocked = threading.Event()
        loop.call(blocked.wait)
        loop.call(fork)
        loop.call(lambda: None)
        blocked.set()
        assert done.wait(20)
        loop.release(handle)
        loop.call(lambda: None)
        print(status)
    """
    result = run(script)
    assert (result.stdout, result.stderr) == ('[0]\n', '')


def test_ctrl_c_while_the_last_sockets_close_ends_the_process_quietly() -> None:
    result = run(
        """
        import os, signal, threading
        from ws.net.lifetime import get_loop

        class Handle:  # never released: the loop waits its full time
            asked = 0
            def shutdown(self):
                self.asked += 1
                if self.asked == 1:
                    os.kill(os.getpid(), signal.SIGINT)

        handle = Handle()
        get_loop().hold(handle)
        get_loop().unref(handle)
        """
    )
    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, '', '')


def test_an_idle_loop_uses_no_time(driver: Driver) -> None:
    near, far = tcp_pair()
    with near, far:
        driver(driver.loop.register, near.fileno(), Pollable(near), READ)
        driver(driver.loop.call_later, 60_000, lambda: None)
        used = driver(time.thread_time)
        polled = Waiter()
        assert polled.nothing(0.2)
        assert driver(time.thread_time) - used < 0.05
        driver(driver.loop.unregister, near.fileno())
