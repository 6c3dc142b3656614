"""The loop and its process: waiting, forks, and the end."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from net.loop.pollables import Pollable, loop_threads
from scripts import Scripts
from streams import Driver, Handle, tcp_pair
from support import TIMEOUT, Waiter, until

from ws.net.loop import Loop
from ws.net.poller import READ


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


def test_shutdown_waits_for_the_thread_s_last_steps() -> None:
    loop, handle = Loop(), Handle()
    loop.on_end.add(lambda: time.sleep(0.2))  # steps that take a while: longer than all that shutdown does
    loop.hold(handle)
    thread = next(iter(loop_threads()))
    loop.release(handle)
    loop.wait()
    loop.shutdown(TIMEOUT)
    assert not thread.is_alive()


def test_shutdown_cuts_off_what_does_not_end_in_time() -> None:
    loop, handle = Loop(), Handle()
    loop.hold(handle)
    started = time.monotonic()
    loop.shutdown(0.5)
    assert 0.5 <= time.monotonic() - started < 2.5
    assert handle.asked.get() == ('shutdown',)
    until(lambda: not loop_threads())


def test_shutdown_without_a_thread_is_nothing() -> None:
    Loop().shutdown(TIMEOUT)
    assert not loop_threads()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_nothing_of_the_parent_s_runs_in_a_forked_child(script: Scripts) -> None:
    child = script("""
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
    """)
    assert child.end() == (0, 'fine\n', '')


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_a_child_that_was_forked_in_a_callback_ends_quietly(script: Scripts) -> None:
    """Its copy of the loop thread returns into a loop that is none any more."""
    child = script("""
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
    """)
    assert child.end() == (0, '[0]\n', '')


def test_ctrl_c_while_the_last_sockets_close_ends_the_process_quietly(script: Scripts) -> None:
    child = script("""
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
    """)
    assert child.end() == (-signal.SIGINT, '', '')


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
