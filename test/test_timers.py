"""Node's timers on the loop thread."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from typing import Any

import pytest
from loop_timers import HOUR, held_up, nothing_keeps_the_process, on_loop  # noqa: F401  # a fixture
from support import Waiter, until

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
            for delay in (600, 200, 400, 200):
                setTimeout(waiter, delay, delay)
        assert [waiter.get()[0] for _ in range(4)] == [200, 200, 400, 600]

    def test_the_same_delay_keeps_the_order(self) -> None:
        waiter = Waiter()
        for number in range(500):
            setTimeout(waiter, 5, number)
        assert [waiter.get()[0] for _ in range(500)] == list(range(500))

    def test_the_delay_counts_from_the_call(self) -> None:
        """Not from when the loop thread comes to hear of it."""
        waiter = Waiter()
        with held_up():
            setTimeout(waiter, 1500)
            time.sleep(1.5)  # until it is due
        began = time.monotonic()
        waiter.get()
        assert time.monotonic() - began < 1.2

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
            clear(setTimeout(waiter, 200))
            clear(setInterval(waiter, 200))
        assert waiter.nothing(0.3)

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
        until(lambda: len(times) >= 4)
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
        times = [waiter.get()[0] for _ in range(4)]
        interval.close()
        delays = [this - last for last, this in zip(times, times[1:])]
        assert 0.195 < min(delays) < 0.34  # a loaded machine makes one longer; what is added makes them all

    def test_one_that_is_never_done_starves_nobody(self) -> None:
        waiter = Waiter()
        interval = setInterval(lambda: time.sleep(0.005), 1)
        setTimeout(waiter, 20)
        waiter.get()
        on_loop(interval.close)


class TestRefresh:
    def test_begins_the_delay_anew(self) -> None:
        waiter = Waiter()
        timeout = setTimeout(waiter, 2000)
        time.sleep(0.2)
        began = time.monotonic()
        assert timeout.refresh() is timeout
        waiter.get()
        assert time.monotonic() - began >= 2
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
        interval = setInterval(lambda: (waiter(time.monotonic()), interval.refresh()), 50)
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
        timeout = setTimeout(waiter, 500)
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
