"""How long the process lives, and what a forked child gets: the loop's part in both.

As in Node, the process does not end after the script's last line while something is open. Python's own means for that,
a thread that is no daemon, can't be interrupted quietly; so the loop thread is a daemon, and the main thread waits for
it, before `atexit`, where Ctrl-C reaches it.
"""

from __future__ import annotations

import atexit

# Imported for its order: exit hooks run last registered first, and the one of concurrent.futures stops all pools.
# Ours must run before it, because listeners may go on using a pool for as long as a server runs.
import concurrent.futures.thread  # noqa: F401
import contextlib
import os
import signal
import sys
import threading

from .loop import Loop

#: How long, in seconds, sockets may take for their closing handshakes when the process ends.
GRACE = 0.5

_loop = Loop()


def get_loop() -> Loop:
    """The loop of this process."""
    return _loop


def _after_last_line() -> None:
    """The main thread is done; other threads may still be running, and open or use sockets."""
    try:
        _wait()
    except KeyboardInterrupt:
        _clean_up(run_atexit=True)
        _end_as_interrupted()
    except SystemExit as error:  # a signal handler of the user's called sys.exit()
        _clean_up(run_atexit=True)
        _end_with_status(error)


def _at_exit() -> None:
    """All threads but daemons have ended, too, and may have left sockets of their own."""
    try:
        _wait()
        _loop.shutdown(GRACE)
    except KeyboardInterrupt:
        _clean_up(run_atexit=False)  # that is where we are
        _end_as_interrupted()
    except SystemExit as error:
        _clean_up(run_atexit=False)
        _end_with_status(error)


def _wait() -> None:
    if not _ended_early():
        _loop.wait()


def _ended_early() -> bool:
    """Whether the script died of an exception, or a person left the interactive prompt: nobody waits then."""
    died = getattr(sys, 'last_value', None) is not None
    return died or hasattr(sys, 'ps1')


def _clean_up(run_atexit: bool) -> None:
    """What the interpreter would have done after its hooks."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from here on a second Ctrl-C kills at once
    _loop.shutdown(GRACE)
    if run_atexit:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # None, closed, or a pipe that nobody reads any more
            stream.flush()


def _end_as_interrupted() -> None:
    """End as a process that Ctrl-C killed: shells and parents see SIGINT (status 130), not an ordinary exit."""
    os.kill(os.getpid(), signal.SIGINT)


def _end_with_status(error: SystemExit) -> None:
    code = error.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr, flush=True)
        code = 1
    os._exit(code or 0)


def _renew_after_fork() -> None:
    global _loop
    inherited, _loop = _loop, Loop()
    inherited.abandon()


def _register() -> None:
    # Private, but what concurrent.futures itself uses since 3.9. Where it is missing, atexit alone has to do.
    register = getattr(threading, '_register_atexit', None)
    if register is not None:
        register(_after_last_line)
    atexit.register(_at_exit)
    if hasattr(os, 'register_at_fork'):
        os.register_at_fork(after_in_child=_renew_after_fork)


_register()
