"""How long the process lives, and what a forked child gets: the loop's part in both.

As in Node, the process does not end after the script's last line while something is open. Python's own means for that,
a thread that is no daemon, can't be interrupted quietly; so the loop thread is a daemon, and the main thread waits for
it, before `atexit`, where Ctrl-C reaches it. Any other end of the main thread is an end of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Optional

try:
    # For its order: exit hooks run last registered first, and the one of concurrent.futures stops all pools. Ours must
    # run before it, because listeners may go on using a pool for as long as a server runs.
    import concurrent.futures.thread
except RuntimeError:  # a thread imports us after the main thread's end: there are no pools any more
    pass

from ..forks import in_child
from . import green, main_thread
from .changes import INTERRUPT_POLL
from .loop import Loop, LoopThread

#: How long, in seconds, sockets may take for their closing handshakes when the process ends.
GRACE = 0.5
#: How often, in seconds, we look whether a pool of threads has done its work: nothing tells us.
_POOL_POLL = 0.01

# The flags are set by any thread, once, and read by the main thread at the end.
_used = False  # there was a loop thread
_failed = False  # an error that nobody heard: the status is to be 1
_exited: Optional[int] = None  # the status that a signal handler of the user's asked for, while we waited
_leaving = False  # the process ends in a way of ours, and we are called once more on it
_waiters: set[Optional[int]] = set()  # idents of the threads in wait(), which must not wait for each other


def _on_loop_start() -> None:
    global _used
    _used = True
    main_thread.look()
    main_thread.watch_for_interrupts()


_loop = Loop(_on_loop_start)


def get_loop() -> Loop:
    """The loop of this process. Raises RuntimeError at first use, where it can't work."""
    if not _used:
        green.check_unchanged()
    return _loop


def note_unheard_error() -> None:
    """An ``error`` found no listener: the process will end with status 1, as Node's does."""
    global _failed
    _failed = True


def wait() -> None:
    """Block until nothing keeps the process alive: until no client, server or timer is left, and no thread that one of
    their listeners has started.

    This happens by itself after the last line of a program. It is for programs that end with ``sys.exit()``, such as
    those whose ``main`` is called by a console script. Ctrl-C interrupts it: KeyboardInterrupt, in the main thread.
    Raises :class:`RuntimeError` on the loop thread, which would wait for itself.
    """
    if _loop.in_thread():
        raise RuntimeError('waiting on the loop thread would never end')
    _wait(threading.enumerate())


def _wait(before: Iterable[threading.Thread]) -> None:
    """Until nothing is open, and no thread runs that may open something: those that are not among `before`, and timers.

    Some of the other threads may wait for us: Python joins them after our exit hook.
    """
    ident = threading.get_ident()
    _waiters.add(ident)
    try:
        known = set(before)
        while _used:
            reasons = _loop.reasons
            _loop.wait()
            if not (_join_one(known) or _pools_work()) and _loop.reasons == reasons:
                return
    finally:
        _waiters.discard(ident)


def _join_one(known: set[threading.Thread]) -> bool:
    for thread in threading.enumerate():
        if _may_open(thread) and (thread not in known or isinstance(thread, threading.Timer)):
            thread.join(INTERRUPT_POLL)
            return True
    return False


def _may_open(thread: threading.Thread) -> bool:
    """Whether it is one that Python waits for at the end, and that ends by itself."""
    return not (
        thread.daemon
        or thread is threading.main_thread()
        or isinstance(thread, LoopThread)
        or thread.ident in _waiters
        or thread in _threads_of_pools()
    )


def _threads_of_pools() -> set[object]:
    """These end when their pool is shut down, which Python does after our exit hook."""
    processes = sys.modules.get('concurrent.futures.process')
    # Private, both: where they are missing, a pool that a listener has made would be waited for until Ctrl-C.
    return {*_queues_of_pools(), *getattr(processes, '_threads_wakeups', ())}


def _queues_of_pools() -> dict[threading.Thread, Any]:
    """Of each thread of a pool, the queue where it gets its work."""
    return dict(getattr(sys.modules.get('concurrent.futures.thread'), '_threads_queues', {}))


def _pools_work() -> bool:
    """Whether a pool of threads has work, which may open something; returns after a moment if so."""
    for _ in range(2):  # a thread that has just taken its work looks idle
        workers = _queues_of_pools()
        if not workers:
            return False
        frames = main_thread.frames_of_others()
        works = any(
            thread.is_alive() and (queue.qsize() or _works(thread, frames)) for thread, queue in workers.items()
        )
        time.sleep(_POOL_POLL)
        if works:
            return True
    return False


def _works(thread: threading.Thread, frames: Optional[dict[int, FrameType]]) -> bool:
    """Whether that thread of a pool does, or another one of the same pool; `frames`: where all threads are."""
    return _pool_is_busy(thread) if frames is None else _runs_work(frames.get(thread.ident or 0))


def _pool_is_busy(thread: threading.Thread) -> bool:
    """Whether the pool of `thread` has fewer idle threads than threads, by its own count; one that is shut down, or
    that nobody has any more, has no idle ones. Private, too."""
    try:
        pool = thread._args[0]()  # type: ignore[attr-defined]
        return pool is None or bool(pool._shutdown or pool._idle_semaphore._value < len(pool._threads))
    except (AttributeError, IndexError, TypeError):  # it has just ended, or this is another Python
        return False


def _runs_work(frame: Optional[FrameType]) -> bool:
    while frame is not None:
        if frame.f_code is concurrent.futures.thread._WorkItem.run.__code__:
            return True
        frame = frame.f_back
    return False


# -- the end ---------------------------------------------------------------------------------------------------------


@functools.cache  # the answer is the same to the end
def _lives_on() -> bool:
    """Whether the process lives as long as something is open. Whoever pressed Ctrl-C wants it to end, although the
    program, or the server that it ran, has caught it."""
    return main_thread.reached_last_line() and not main_thread.was_interrupted()


def _after_last_line() -> None:
    """The main thread is done; other threads may still be running, and open or use sockets."""
    if not _leaving:
        _unless_told_to_end(_live_on)


def _live_on() -> None:
    # Run last registered first: before all others, so that these can still be run where we end the process ourselves.
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)
    if _lives_on():
        _wait(threading.enumerate())
    else:
        _loop.shutdown(GRACE)


def _at_exit() -> None:
    """All threads but daemons have ended, too, and may have left sockets of their own."""
    if _leaving:
        return
    _unless_told_to_end(_live_to_the_end)
    if _exited is not None:
        _exit(_exited)
    if _failed and _lives_on():
        _exit(1)
    main_thread.forget()


def _live_to_the_end() -> None:
    if _lives_on() and _exited is None:
        _wait(())  # Python waits for no thread any more: one that is there was started by a listener
    _loop.shutdown(GRACE)


def _unless_told_to_end(live: Callable[[], None]) -> None:
    """No context manager: a signal that comes as that begins or ends would pass it by."""
    try:
        live()
    except KeyboardInterrupt:
        _end_as_interrupted()
    except SystemExit as error:  # a signal handler of the user's called sys.exit()
        _note_exit(error.code)


def _note_exit(code: object) -> None:
    """What is open ends now; the process does when Python has waited for the threads."""
    global _exited
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr, flush=True)
        code = 1
    _exited = code or 0
    _loop.shutdown(GRACE)


def _end_as_interrupted() -> None:
    """End as a process that Ctrl-C killed: shells and parents see SIGINT (status 130), not an ordinary exit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from here on a second Ctrl-C kills at once
    _leave()
    _tidy_up()
    os.kill(os.getpid(), signal.SIGINT)


def _exit(status: int) -> None:
    """End with `status`, which exit functions can't set, and do what else Python does at the end."""
    _leave()
    try:
        import ctypes

        ctypes.pythonapi.Py_Exit(status)
    except (ImportError, AttributeError):  # PyPy has no such function
        _tidy_up()
        os._exit(status)


def _leave() -> None:
    global _leaving
    _leaving = True
    _loop.shutdown(GRACE)
    main_thread.forget()


def _tidy_up() -> None:
    """The most important of what the interpreter would have done."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # None, closed, or a pipe that nobody reads any more
            stream.flush()


def _renew_after_fork() -> None:
    global _loop
    inherited, _loop = _loop, Loop(_on_loop_start)
    inherited.abandon()
    _waiters.clear()
    _lives_on.cache_clear()
    main_thread.renew_after_fork()


def _register() -> None:
    # Private, but what concurrent.futures itself uses since 3.9. Where it is missing, atexit alone has to do; so it has
    # when the main thread is done already, and another one imports us.
    with contextlib.suppress(AttributeError, RuntimeError):
        threading._register_atexit(_after_last_line)  # type: ignore[attr-defined]
    atexit.register(_at_exit)
    in_child(_renew_after_fork)


main_thread.look()
_register()
