"""The life of the loop's thread."""

from __future__ import annotations

import errno
import os
import random
import signal
import socket
import threading
import time
from typing import Any, Optional

import pytest
from net.loop.pollables import Pollable, loop_threads
from streams import Driver, Handle, unix_pair
from support import TIMEOUT, Waiter, until

from ws.net import loop as loop_module
from ws.net.loop import Loop
from ws.net.poller import READ


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
