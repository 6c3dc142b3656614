"""What timers do to the life of the process, and what is left of them."""

from __future__ import annotations

import gc
import os
import signal
import time
import weakref
from typing import Any

import pytest
from loop_timers import HOUR, held_up, nothing_keeps_the_process, on_loop  # noqa: F401  # a fixture
from scripts import Scripts
from support import Waiter, until

from ws.net.lifetime import get_loop
from ws.timers import clearImmediate, setImmediate, setInterval, setTimeout


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


class TestProcess:
    def test_the_loop_thread_is_gone_before_python_tidies_up(self, script: Scripts) -> None:
        child = script("""
            import atexit, threading, time

            @atexit.register  # before that of ws: called after it
            def look():
                print([thread.name for thread in threading.enumerate() if thread.daemon])

            from ws.net.lifetime import get_loop
            from ws.timers import setTimeout

            get_loop().on_end.add(lambda: time.sleep(0.2))  # the thread takes a while to end
            setTimeout(print, 10, 'timeout')
        """)
        assert child.end() == (0, 'timeout\n[]\n', '')

    def test_timers_keep_it_alive(self, script: Scripts) -> None:
        child = script("""
            from ws.timers import setImmediate, setInterval, setTimeout, clearInterval

            def tick(this):
                ticks.append(None)
                print('tick', flush=True)
                if len(ticks) == 3:
                    clearInterval(this)
                    setImmediate(print, 'immediate')

            ticks = []
            setTimeout(lambda: setInterval(tick, 10), 2000)
            setTimeout(print, 1000, 'timeout')
            print('last line')
        """)
        assert child.end() == (0, 'last line\ntimeout\ntick\ntick\ntick\nimmediate\n', '')

    def test_until_the_callback_is_done(self, script: Scripts) -> None:
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

    def test_but_not_unreferenced_ones(self, script: Scripts) -> None:
        child = script("""
            from ws.timers import setInterval, setTimeout

            setTimeout(print, 60_000, 'too late').unref()
            setInterval(print, 60_000, 'too late').unref()
            setTimeout(print, 50, 'in time')
        """)
        began = time.monotonic()
        assert child.end() == (0, 'in time\n', '')
        assert time.monotonic() - began < 10

    def test_ctrl_c_ends_them(self, script: Scripts) -> None:
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
        assert time.monotonic() - began < 10

    def test_what_raises_is_reported_as_for_any_thread(self, script: Scripts) -> None:
        status, output, errors = script('from ws.timers import setTimeout; setTimeout(lambda: 1 // 0)').end()
        assert (status, output) == (0, '')
        assert errors.startswith('Exception in thread ws:\n')
        assert errors.endswith('ZeroDivisionError: integer division or modulo by zero\n')

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
    @pytest.mark.filterwarnings('ignore:.*multi-threaded.*fork:DeprecationWarning')
    def test_a_fork_gets_none(self, script: Scripts) -> None:
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
    def test_a_fork_made_by_a_callback(self, script: Scripts) -> None:
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
