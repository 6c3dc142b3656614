"""Nothing that a callback does ends the loop, nor does a system that has no more descriptors."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import Any

import pytest
from net.loop.pollables import Broken, Pollable
from streams import Driver, Handle, tcp_pair, unix_pair
from support import TIMEOUT, Waiter, until

from ws.net import loop as loop_module
from ws.net.loop import Loop, report_exception
from ws.net.poller import READ

# -- the last resort --------------------------------------------------------------------------------------------------


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
