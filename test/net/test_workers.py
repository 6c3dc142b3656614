"""Worker threads: a few at a time, none without work, and none of a parent's in its child."""

from __future__ import annotations

import functools
import os
import threading

import pytest
from scripts import Scripts
from support import TIMEOUT, Waiter, until

from ws.net import workers as workers_module
from ws.net.workers import ASIDE, Workers


def count(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_jobs_are_done_a_few_at_a_time() -> None:
    workers = Workers('ws-test', 2)
    begun, release, done = Waiter(), threading.Event(), Waiter()

    def job(number: int) -> None:
        begun(number)
        release.wait(TIMEOUT)
        done(number)

    for number in range(5):
        workers.add(lambda number=number: job(number))  # type: ignore[misc]
    assert sorted([begun.get(), begun.get()]) == [(0,), (1,)]  # each tells it on a thread of its own
    assert begun.nothing(0.1)
    assert count('ws-test') == 2
    release.set()
    assert sorted(done.get() for _ in range(5)) == [(number,) for number in range(5)]
    until(lambda: count('ws-test') == 0)


def test_a_thread_takes_what_comes_soon_and_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, '_PATIENCE', 1)  # seconds, in which this thread looks at what it does
    workers = Workers('ws-test', 3)
    done, release = Waiter(), threading.Event()
    workers.add(lambda: done(threading.get_ident()))
    first = done.get()
    until(lambda: workers._idle == 1)
    for _ in range(2):  # one of them for the thread that waits
        workers.add(lambda: (done(threading.get_ident()), release.wait(TIMEOUT)))
    idents = {done.get(), done.get()}
    assert first in idents
    assert len(idents) == 2
    release.set()
    until(lambda: count('ws-test') == 0)


def test_a_job_that_is_given_up_holds_up_no_other() -> None:
    workers = Workers('ws-test', 1)
    begun, release, done = Waiter(), threading.Event(), Waiter()

    def hang() -> None:
        begun()
        release.wait(TIMEOUT)

    def never() -> None:
        raise AssertionError('it was given up before it began')

    workers.add(hang)
    begun.get()
    workers.add(never)
    workers.add(done)
    assert done.nothing(0.05)
    workers.give_up(never)
    workers.give_up(hang)
    done.get()
    workers.give_up(done)  # nothing happens: it is done
    workers.give_up(hang)
    until(lambda: count('ws-test') == 1)
    workers.add(done)
    done.get()
    release.set()
    until(lambda: count('ws-test') == 0)
    assert workers._threads == 0
    workers.add(done)
    done.get()


def test_where_no_thread_can_be_started_the_job_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, 'start', start)
    workers = Workers('ws-test', 1)
    done = Waiter()
    for number in range(2):
        workers.add(lambda number=number: done(number))  # type: ignore[misc]
    assert [done.get(), done.get()] == [(0,), (1,)]


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here')
def test_a_forked_child_has_threads_of_its_own(script: Scripts) -> None:
    """Those of the parent are at work, and would be waited for in vain."""
    program = """if True:
        import os, sys, threading
        from ws.net.workers import ASIDE, Workers
        workers = Workers('ws-test', 1)
        begun, release = threading.Event(), threading.Event()
        workers.add(lambda: (begun.set(), release.wait()))
        begun.wait()
        child = os.fork()
        if child == 0:
            done = threading.Event()
            workers.add(done.set)
            os._exit(0 if done.wait(10) else 1)
        release.set()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert script(program, flags=('-W', 'ignore')).end() == (0, '', '')


def test_a_job_that_stands_aside_goes_on_and_another_has_its_place() -> None:
    workers = Workers('ws-test', 1)
    release, begun, done = threading.Event(), Waiter(), Waiter()

    def slow() -> None:
        begun()
        release.wait(TIMEOUT)
        done('slow')

    def quick() -> None:
        done('quick')

    workers.add(slow)
    begun.get()
    workers.add(quick)
    assert workers.stand_aside(quick) is False  # it has not begun
    assert done.nothing(0.02)
    assert workers.stand_aside(slow) is True
    assert done.get() == ('quick',)
    assert workers.stand_aside(slow) is True  # it does so already
    release.set()
    assert done.get() == ('slow',)
    until(lambda: count('ws-test') == 0)
    workers.add(quick)
    assert done.get() == ('quick',)


def test_not_too_many_stand_aside() -> None:
    workers = Workers('ws-test', 1)
    for _ in range(2):  # when they have ended, others may
        too_many_stand_aside(workers)


def too_many_stand_aside(workers: Workers) -> None:
    release, begun = threading.Event(), Waiter()

    def slow(number: int) -> None:
        begun(number)
        release.wait(TIMEOUT)

    jobs = [functools.partial(slow, number) for number in range(ASIDE + 2)]
    for job in jobs:
        workers.add(job)
    for number in range(ASIDE):
        assert begun.get() == (number,)
        assert workers.stand_aside(jobs[number]) is True
    assert begun.get() == (ASIDE,)
    assert workers.stand_aside(jobs[ASIDE]) is False
    assert begun.nothing(0.02)
    release.set()
    assert begun.get() == (ASIDE + 1,)
    until(lambda: count('ws-test') == 0)
