"""Node's timers on the loop thread."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Callable

import pytest
from support import TIMEOUT, Waiter, until
from test_lifetime import Scripts, script  # noqa: F401  # a fixture

from ws import timers
from ws.net.lifetime import get_loop
from ws.timers import (
    Immediate,
    Timeout,
    clearImmediate,
    clearInterval,
    clearTimeout,
    setImmediate,
    setInterval,
    setTimeout,
)

HOUR = 3600_000


@pytest.fixture(autouse=True)
def nothing_keeps_the_process() -> Iterator[None]:
    """A test that fails and leaves a timer behind must not keep pytest from ending."""
    yield
    for handle in list(get_loop()._handles):
        get_loop().unref(handle)


def on_loop(function: Callable[[], Any]) -> Any:
    """What `function` returns when it is called on the loop thread."""
    waiter = Waiter()
    setImmediate(lambda: waiter(function()))
    return waiter.get()[0]


@contextlib.contextmanager
def held_up() -> Iterator[None]:
    """The loop thread does nothing else meanwhile."""
    holding, go_on = threading.Event(), threading.Event()
    setImmediate(lambda: (holding.set(), go_on.wait(TIMEOUT)))
    assert holding.wait(TIMEOUT)
    try:
        yield
    finally:
        go_on.set()


class TestTimeout:
    def test_calls_once_after_the_delay_on_the_loop_thread(self) -> None:
        waiter = Waiter()
        began = time.monotonic()
        timeout = setTimeout(lambda *args: waiter(time.monotonic(), threading.current_thread().name, *args), 50, 'a', 2)
        assert isinstance(timeout, Timeout)
        at, thread, *args = waiter.get()
        assert at - began >= 0.05
        assert (thread, args) == ('ws', ['a', 2])
        assert waiter.nothing()

    def test_in_the_order_of_their_times(self) -> None:
        waiter = Waiter()
        with held_up():
            for delay in (30, 10, 20, 10):
                setTimeout(waiter, delay, delay)
        assert [waiter.get()[0] for _ in range(4)] == [10, 10, 20, 30]

    def test_the_same_delay_keeps_the_order(self) -> None:
        waiter = Waiter()
        for number in range(500):
            setTimeout(waiter, 5, number)
        assert [waiter.get()[0] for _ in range(500)] == list(range(500))

    def test_the_delay_counts_from_the_call(self) -> None:
        """Not from when the loop thread comes to hear of it."""
        waiter = Waiter()
        with held_up():
            setTimeout(waiter, 500)
            time.sleep(0.5)
        began = time.monotonic()
        waiter.get()
        assert time.monotonic() - began < 0.4

    def test_set_in_a_callback(self) -> None:
        waiter = Waiter()
        setTimeout(lambda: setTimeout(waiter, 1, 'inner'))
        assert waiter.get() == ('inner',)

    @pytest.mark.parametrize(
        'delay, milliseconds',
        [
            (None, 1),
            (0, 1),
            (-5, 1),
            (0.9, 1),
            (1.9, 1),
            (2.5, 2),
            (True, 1),
            (Fraction(7, 2), 3),
            (float('nan'), 1),
            (float('inf'), 1),
            (2**31 - 1, 2**31 - 1),
            (2**31, 1),
            (10**400, 1),
        ],
    )
    def test_delays_as_in_node(self, delay: Any, milliseconds: int) -> None:
        timeout = setTimeout(lambda: None, delay)
        assert timeout._delay == milliseconds
        timeout.close()

    def test_without_a_delay(self) -> None:
        waiter = Waiter()
        setTimeout(waiter)
        assert waiter.get() == ()

    @pytest.mark.parametrize('delay', ['5', b'5', [], 1j])
    def test_delay_that_is_no_number(self, delay: Any) -> None:
        with pytest.raises(TypeError, match=f'^delay must be a number of milliseconds, not {type(delay).__name__}$'):
            setTimeout(lambda: None, delay)

    @pytest.mark.parametrize('function', [setTimeout, setInterval, setImmediate])
    def test_callback_that_is_none(self, function: Any) -> None:
        for callback in (None, 'code', 5):
            with pytest.raises(TypeError, match='a callback must be callable, not '):
                function(callback)

    @pytest.mark.parametrize('function', [setTimeout, lambda callback, _, *args: setImmediate(callback, *args)])
    def test_arguments_are_fitted(self, function: Any) -> None:
        waiter = Waiter()
        function(lambda: waiter(), 1, 'a', 'b')
        function(lambda a: waiter(a), 1, 'a', 'b')
        function(lambda a, b, c: waiter(a, b, c), 1, 'a', 'b')
        function(lambda a, b='default': waiter(a, b), 1, 'a')
        assert [waiter.get() for _ in range(4)] == [(), ('a',), ('a', 'b', None), ('a', 'default')]

        def with_this(this: Any, a: str) -> None:
            waiter(this, a)

        timer = function(with_this, 1, 'a', 'b')
        assert waiter.get() == (timer, 'a')

    def test_a_callback_that_raises_is_reported(self, reported: list[BaseException]) -> None:
        waiter = Waiter()
        setTimeout(lambda: 1 // 0)
        setTimeout(waiter, 1)
        setImmediate(lambda: 1 // 0)
        waiter.get()
        until(lambda: len(reported) == 2)
        assert [type(error) for error in reported] == [ZeroDivisionError] * 2
        reported.clear()


class TestClear:
    def test_before_its_time(self) -> None:
        waiter = Waiter()
        for clear in (clearTimeout, clearInterval, Timeout.close):
            clear(setTimeout(waiter, 20))
            clear(setInterval(waiter, 20))
        assert waiter.nothing(0.1)

    def test_when_its_time_has_come_but_not_its_turn(self) -> None:
        waiter = Waiter()
        with held_up():
            timers = [setTimeout(waiter), setInterval(waiter), setImmediate(waiter)]
            time.sleep(0.05)
            for timer in timers:
                (clearImmediate if isinstance(timer, Immediate) else clearTimeout)(timer)  # type: ignore[operator]
        assert waiter.nothing(0.1)

    def test_by_another_that_runs_in_the_same_turn(self) -> None:
        waiter = Waiter()
        timeouts: list[Timeout] = []
        immediates: list[Immediate] = []
        with held_up():
            setTimeout(lambda: clearTimeout(timeouts[0]), 1)
            timeouts.append(setTimeout(waiter, 2))
            setImmediate(lambda: clearImmediate(immediates[0]))
            immediates.append(setImmediate(waiter))
            time.sleep(0.05)
        assert waiter.nothing(0.1)

    def test_what_is_over_or_was_never_set(self) -> None:
        waiter = Waiter()
        timers = [setTimeout(waiter), setTimeout(waiter)]
        immediate = setImmediate(waiter)
        for _ in range(3):
            waiter.get()
        for _ in range(2):
            clearTimeout(timers[0])
            clearInterval(timers[0])
            assert timers[1].close() is timers[1]
            clearImmediate(immediate)
            clearTimeout(None)
            clearInterval(None)
            clearImmediate(None)
            clearTimeout(5)  # type: ignore[arg-type]
            clearTimeout(immediate)  # type: ignore[arg-type]
            clearImmediate(timers[0])  # type: ignore[arg-type]
        clearTimeout()
        clearInterval()
        clearImmediate()

    @pytest.mark.parametrize('setter', [setTimeout, setInterval])
    def test_inside_its_callback(self, setter: Any) -> None:
        waiter = Waiter()

        def callback(this: Timeout) -> None:
            clearTimeout(this)
            waiter()

        setter(callback)
        waiter.get()
        assert waiter.nothing(0.1)

    def test_from_several_threads(self) -> None:
        """Whoever is first: nothing is left that would keep the process."""
        called = []
        timeouts = [setInterval(lambda: called.append(None), 1) for _ in range(50)]
        start = threading.Barrier(3)

        def clear_all() -> None:
            start.wait()
            for timeout in timeouts:
                timeout.close()

        def refresh_all() -> None:
            start.wait()
            for _ in range(20):
                for timeout in timeouts:
                    timeout.unref().refresh().ref()

        threads = [threading.Thread(target=target) for target in (clear_all, refresh_all, refresh_all)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: not get_loop()._handles)
        count = len(called)
        assert on_loop(lambda: time.sleep(0.01)) is None
        assert len(called) == count

    def test_two_threads_refresh_at_the_same_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        timeout = setTimeout(print, HOUR)
        other = threading.Thread(target=timeout.refresh)

        class Late(timers._Wait):
            def __init__(self, timeout: Timeout) -> None:
                if other.ident is None:
                    other.start()
                    other.join(0.2)
                super().__init__(timeout)

        monkeypatch.setattr(timers, '_Wait', Late)
        timeout.refresh()
        other.join()
        timeout.close()
        until(lambda: not get_loop().runs)


class TestInterval:
    def test_calls_again_and_again(self) -> None:
        waiter = Waiter()
        began = time.monotonic()
        interval = setInterval(waiter, 10, 'a')
        assert [waiter.get() for _ in range(5)] == [('a',)] * 5
        clearInterval(interval)
        assert time.monotonic() - began >= 0.05

    def test_one_that_raises_goes_on(self, reported: list[BaseException]) -> None:
        waiter = Waiter()
        interval = setInterval(lambda: (waiter(), 1 // 0))
        for _ in range(3):
            waiter.get()
        on_loop(interval.close)
        assert {type(error) for error in reported} == {ZeroDivisionError}
        reported.clear()

    def test_no_burst_after_the_loop_was_held_up(self) -> None:
        times: list[float] = []
        with held_up():
            interval = setInterval(lambda: times.append(time.monotonic()), 50)
            time.sleep(0.3)
        until(lambda: len(times) == 4)
        clearInterval(interval)
        for last, this in zip(times, times[1:]):
            assert this - last > 0.045

    def test_a_slow_callback_does_not_add_to_the_delay_nor_overlap(self) -> None:
        waiter = Waiter()
        running = 0

        def callback() -> None:
            nonlocal running
            running += 1
            assert running == 1
            waiter(time.monotonic())
            time.sleep(0.15)
            running -= 1

        interval = setInterval(callback, 200)
        times = [waiter.get()[0] for _ in range(3)]
        interval.close()
        for last, this in zip(times, times[1:]):
            assert 0.195 < this - last < 0.34

    def test_one_that_is_never_done_starves_nobody(self) -> None:
        waiter = Waiter()
        interval = setInterval(lambda: time.sleep(0.005), 1)
        setTimeout(waiter, 20)
        waiter.get()
        on_loop(interval.close)


class TestRefresh:
    def test_begins_the_delay_anew(self) -> None:
        waiter = Waiter()
        timeout = setTimeout(waiter, 300)
        time.sleep(0.15)
        began = time.monotonic()
        assert timeout.refresh() is timeout
        waiter.get()
        assert time.monotonic() - began >= 0.3
        assert waiter.nothing()

    def test_after_it_was_called(self) -> None:
        waiter = Waiter()
        timeout = setTimeout(waiter, 1, 'a')
        waiter.get()
        until(lambda: not get_loop()._handles)
        timeout.refresh()
        assert waiter.get() == ('a',)

    def test_inside_its_callback(self) -> None:
        waiter = Waiter()
        calls = 0

        def callback(this: Timeout) -> None:
            nonlocal calls
            calls += 1
            if calls < 3:
                this.refresh()
            waiter()

        setTimeout(callback)
        for _ in range(3):
            waiter.get()
        assert waiter.nothing()

    def test_an_interval_is_still_one(self) -> None:
        waiter = Waiter()
        interval = setInterval(lambda: (interval.refresh(), waiter(time.monotonic())), 50)
        times = [waiter.get()[0] for _ in range(4)]
        interval.close()
        for last, this in zip(times, times[1:]):
            assert this - last > 0.045

    def test_cleared_is_cleared(self) -> None:
        waiter = Waiter()
        timeout = setTimeout(waiter, 200)
        timeout.close()
        assert timeout.refresh() is timeout
        assert waiter.nothing(0.3)

    def test_of_two_at_the_same_moment_one_counts(self) -> None:
        waiter = Waiter()
        timeout = setTimeout(waiter, 20)
        wait = timeout._wait
        timeout.refresh()
        first = timeout._wait
        timeout._wait = wait  # what the second thread had seen
        timeout.refresh()
        assert timeout._wait is not first
        waiter.get()
        assert waiter.nothing(0.1)

    @pytest.mark.parametrize('step', ['_Wait', 'begin', 'cancel'])
    def test_cleared_by_another_thread_meanwhile(self, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        """Wherever that comes in between, nothing keeps the process alive."""
        from ws import timers

        timeout = setTimeout(lambda: None, HOUR)
        owner: Any = timers if step == '_Wait' else timers._Wait
        plain = getattr(owner, step)

        def with_clear(*args: Any) -> Any:
            monkeypatch.setattr(owner, step, plain)
            timeout.close()
            on_loop(lambda: None)  # the loop has heard of it
            return plain(*args)

        monkeypatch.setattr(owner, step, with_clear)
        timeout.refresh()
        until(lambda: not get_loop()._handles)


class TestReferences:
    @pytest.mark.parametrize('setter', [setTimeout, setInterval])
    def test_has_ref(self, setter: Any) -> None:
        timer = setter(lambda: None, HOUR)
        assert timer.hasRef() is True
        until(lambda: get_loop()._referenced == 1)
        assert timer.unref() is timer
        assert timer.unref().hasRef() is False
        until(lambda: get_loop()._referenced == 0)
        timer.refresh()
        until(lambda: get_loop()._referenced == 0)
        assert timer.ref() is timer
        assert timer.hasRef() is True
        until(lambda: get_loop()._referenced == 1)
        timer.close()
        until(lambda: not get_loop()._referenced)
        timer.ref()
        until(lambda: get_loop()._referenced == 0)

    def test_of_an_immediate(self) -> None:
        with held_up():
            immediate = setImmediate(lambda: None)
            assert immediate.hasRef() is True
            referenced = get_loop()._referenced
            assert immediate.unref() is immediate
            assert immediate.hasRef() is False
            assert get_loop()._referenced == referenced - 1
            assert immediate.ref() is immediate
            assert immediate.hasRef() is True
            assert get_loop()._referenced == referenced

    @pytest.mark.parametrize('end', ['called', 'cleared', 'refreshed', 'interval', 'immediate', 'cleared immediate'])
    def test_nothing_is_left_in_cycles(self, end: str) -> None:
        class Callback:
            def __call__(self, this: Any) -> None:
                waiter()

        waiter = Waiter()
        gc.disable()
        try:
            callback = Callback()
            gone = weakref.ref(callback)
            timer: Any
            if end == 'called':
                timer = setTimeout(callback)
                waiter.get()
            elif end == 'cleared':
                timer = setTimeout(callback, HOUR)
                on_loop(timer.close)
            elif end == 'refreshed':
                timer = setTimeout(callback, 1).refresh().refresh()
                waiter.get()
            elif end == 'interval':
                timer = setInterval(callback)
                waiter.get()
                on_loop(timer.close)
            else:
                timer = setImmediate(callback)
                clearImmediate(timer if end.startswith('cleared') else None)
            until(lambda: not get_loop()._handles)
            del callback
            if end in ('called', 'refreshed'):  # could be refreshed once more
                assert gone() is not None
                del timer
            until(lambda: gone() is None)
        finally:
            gc.enable()

    def test_far_timers_that_are_cleared_leave_nothing_in_the_loop(self) -> None:
        keeper = setTimeout(lambda: None, HOUR)
        for _ in range(1000):
            setTimeout(lambda: None, HOUR).close()
        until(lambda: len(get_loop()._handles) == 1)
        timers = on_loop(lambda: [entry for entry in get_loop()._timers if entry[2].callback is not None])
        assert len(timers) == 1
        keeper.close()


def test_shutdown_clears_them() -> None:
    waiter = Waiter()
    with held_up():
        setTimeout(waiter, HOUR)
        setInterval(waiter, 1).unref()
        get_loop().call(get_loop()._shutdown_handles)
        setImmediate(waiter)
    until(lambda: not get_loop()._handles)
    assert waiter.nothing(0.05)


class TestImmediate:
    def test_after_what_the_loop_is_at_and_before_timers(self) -> None:
        waiter = Waiter()

        def callback() -> None:
            setTimeout(waiter, 1, 'timeout')
            setImmediate(waiter, 'immediate', 1)
            waiter('callback')

        assert isinstance(setImmediate(callback), Immediate)
        assert [waiter.get() for _ in range(3)] == [('callback',), ('immediate', 1), ('timeout',)]

    def test_one_that_sets_the_next_starves_nobody(self) -> None:
        waiter = Waiter()
        stop = threading.Event()

        def callback() -> None:
            if not stop.is_set():
                setImmediate(callback)

        setImmediate(callback)
        setTimeout(waiter, 20)
        waiter.get()
        stop.set()

    def test_in_order(self) -> None:
        waiter = Waiter()
        for number in range(100):
            setImmediate(waiter, number)
        assert [waiter.get()[0] for _ in range(100)] == list(range(100))


class TestProcess:
    def test_timers_keep_it_alive(self, script: Scripts) -> None:  # noqa: F811
        child = script("""
            from ws.timers import setImmediate, setInterval, setTimeout, clearInterval

            def tick(this):
                ticks.append(None)
                print('tick', flush=True)
                if len(ticks) == 3:
                    clearInterval(this)
                    setImmediate(print, 'immediate')

            ticks = []
            setTimeout(lambda: setInterval(tick, 10), 100)
            setTimeout(print, 10, 'timeout')
            print('last line')
        """)
        assert child.end() == (0, 'last line\ntimeout\ntick\ntick\ntick\nimmediate\n', '')

    def test_until_the_callback_is_done(self, script: Scripts) -> None:  # noqa: F811
        child = script("""
            import time
            from ws.timers import setImmediate, setTimeout

            def slow(then):
                time.sleep(0.3)
                print('slow')
                if then is not None:
                    then(slow, None)

            setTimeout(slow, 1, lambda *args: setImmediate(*args))
        """)
        assert child.end() == (0, 'slow\nslow\n', '')

    def test_but_not_unreferenced_ones(self, script: Scripts) -> None:  # noqa: F811
        child = script("""
            from ws.timers import setInterval, setTimeout

            setTimeout(print, 60_000, 'too late').unref()
            setInterval(print, 60_000, 'too late').unref()
            setTimeout(print, 50, 'in time')
        """)
        began = time.monotonic()
        assert child.end() == (0, 'in time\n', '')
        assert time.monotonic() - began < 10

    def test_ctrl_c_ends_them(self, script: Scripts) -> None:  # noqa: F811
        child = script("""
            from ws.timers import setInterval, setTimeout

            setInterval(lambda: None, 1)
            setTimeout(print, 60_000, 'too late')
            setTimeout(print, 1, 'ready')
            setInterval(print, 60_000, 'too late').unref()
            import sys
            setTimeout(sys.stdout.flush, 2)
        """)
        assert child.line() == 'ready'
        child.interrupt()
        began = time.monotonic()
        assert child.end() == (-signal.SIGINT, '', '')
        assert time.monotonic() - began < 1

    def test_what_raises_is_reported_as_for_any_thread(self, script: Scripts) -> None:  # noqa: F811
        status, output, errors = script('from ws.timers import setTimeout; setTimeout(lambda: 1 // 0)').end()
        assert (status, output) == (0, '')
        assert errors.startswith('Exception in thread ws:\n')
        assert errors.endswith('ZeroDivisionError: integer division or modulo by zero\n')

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
    @pytest.mark.filterwarnings('ignore:.*multi-threaded.*fork:DeprecationWarning')
    def test_a_fork_gets_none(self, script: Scripts) -> None:  # noqa: F811
        child = script("""
            import os, threading, warnings
            warnings.simplefilter('ignore')
            from ws.timers import clearImmediate, clearTimeout, setImmediate, setInterval, setTimeout

            parent = os.getpid()
            timers = [setTimeout(lambda: print('parent' if os.getpid() == parent else 'child'), 300)]
            timers += [setInterval(lambda: os.getpid() == parent or print('child'), 1)]
            immediate = setImmediate(lambda: None)
            pid = os.fork()
            if pid == 0:
                from ws.net.lifetime import get_loop
                assert not get_loop()._handles
                for timer in timers:  # no longer known here
                    clearTimeout(timer)
                clearImmediate(immediate)
                assert threading.active_count() == 1
                setTimeout(lambda: print("the child's own", flush=True), 500)
            else:
                _, status = os.waitpid(pid, 0)
                print('status', status)
                for timer in timers:
                    clearTimeout(timer)
        """)
        status, output, errors = child.end()
        assert (status, errors) == (0, '')
        assert output == "the child's own\nparent\nstatus 0\n"

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
    def test_a_fork_made_by_a_callback(self, script: Scripts) -> None:  # noqa: F811
        child = script("""
            import os, warnings
            warnings.simplefilter('ignore')
            from ws.timers import setInterval

            def callback(this):
                pid = os.fork()
                if pid == 0:
                    return  # and nothing calls it again
                this.close()
                print('status', os.waitpid(pid, 0)[1])

            setInterval(callback)
        """)
        assert child.end() == (0, 'status 0\n', '')
