"""Node's timers, on the loop thread: ``setTimeout``, ``setInterval``, ``setImmediate``, and the functions that cancel
them.

Callbacks run where all listeners do, one at a time, so they may touch what listeners touch. Every function and method
may be called from any thread. As in Node, a timer keeps the process alive until it is over, cleared, or ``unref()``ed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from numbers import Real
from typing import Any, Optional

from .events import arity_of, check_callable
from .forks import in_child
from .net.lifetime import get_loop
from .net.loop import report_exception
from .net.timers import Timer

__all__ = [
    'Immediate',
    'Timeout',
    'clearImmediate',
    'clearInterval',
    'clearTimeout',
    'setImmediate',
    'setInterval',
    'setTimeout',
]

#: Milliseconds; like Node, we make 1 of anything longer, and of anything shorter than 1.
_LONGEST_DELAY = 2**31 - 1

#: A function, the arguments it takes, and whether ``this`` goes before them.
_Call = tuple[Callable[..., object], tuple[Any, ...], bool]


# What any thread does to a timer, it does under this lock. Reentrant: a signal handler may come here in the middle.
_lock = threading.RLock()


def setTimeout(callback: Callable[..., object], delay: Optional[float] = 1, *args: Any) -> Timeout:
    """Call ``callback(*args)`` once, after `delay` milliseconds.

    Only whole milliseconds count; less than 1, more than 2147483647, NaN and None all mean 1. The callback gets as many
    of `args` as it can take; if its first parameter is named ``this``, that gets the :class:`Timeout`. What it raises
    goes to :func:`threading.excepthook`. Raises TypeError if `callback` can't be called, or `delay` is not a number.
    """
    return Timeout(callback, delay, args, repeats=False)


def setInterval(callback: Callable[..., object], delay: Optional[float] = 1, *args: Any) -> Timeout:
    """Call ``callback(*args)`` every `delay` milliseconds; everything else as for :func:`setTimeout`.

    The next call is due `delay` after the last one began. Calls never overlap, and missed ones are not made up for.
    """
    return Timeout(callback, delay, args, repeats=True)


def setImmediate(callback: Callable[..., object], *args: Any) -> Immediate:
    """Call ``callback(*args)`` as soon as the loop has finished its present turn; all else as for
    :func:`setTimeout`."""
    return Immediate(callback, args)


def clearTimeout(timeout: Optional[Timeout] = None) -> None:
    """Cancel a :func:`setTimeout` or :func:`setInterval`, even inside its callback; anything else is ignored."""
    if isinstance(timeout, Timeout):
        timeout.close()


def clearInterval(interval: Optional[Timeout] = None) -> None:
    """The same as :func:`clearTimeout`."""
    clearTimeout(interval)


def clearImmediate(immediate: Optional[Immediate] = None) -> None:
    """Cancel a :func:`setImmediate`; anything else is ignored."""
    if isinstance(immediate, Immediate):
        immediate._clear()


class Timeout:
    """What :func:`setTimeout` and :func:`setInterval` return."""

    __slots__ = ('__weakref__', '_call', '_delay', '_referenced', '_repeats', '_wait')

    def __init__(
        self, callback: Callable[..., object], delay: Optional[float], args: tuple[Any, ...], repeats: bool
    ) -> None:
        self._call: Optional[_Call] = _fitted(callback, args)  # None once this was cleared
        self._delay = _milliseconds(delay)
        self._repeats = repeats
        self._referenced = True
        self._wait = _Wait(self)
        self._wait.begin(self)

    def ref(self) -> Timeout:
        """Keep the process alive (the default). Returns this object."""
        with _lock:
            self._referenced = True
            self._wait.loop.ref(self._wait)
        return self

    def unref(self) -> Timeout:
        """Let the process exit even if this is still to come. Returns this object."""
        with _lock:
            self._referenced = False
            self._wait.loop.unref(self._wait)
        return self

    def hasRef(self) -> bool:
        """Whether this keeps the process alive while it is still to come."""
        return self._referenced

    def refresh(self) -> Timeout:
        """Start the delay again, even after the callback was called, unless this is cleared. Returns this object."""
        with _lock:
            if self._call is not None:
                last, self._wait = self._wait, _Wait(self)
                self._wait.begin(self)
                last.cancel()
                if self._call is None:  # a signal handler has cleared it in the meantime
                    self._wait.cancel()
        return self

    def close(self) -> Timeout:
        """The same as :func:`clearTimeout`. Returns this object."""
        with _lock:
            self._call = None
            self._wait.cancel()
        return self


class _Wait:
    """A delay that is passing: what the loop holds for a :class:`Timeout`. Any thread may begin and cancel it, under
    the lock; the rest belongs to the loop thread.

    Each refresh begins another one. So a thread that ends the last one, because its time has come, can't also end what
    a second thread has just begun.
    """

    __slots__ = ('_timeout', '_timer', 'loop')

    def __init__(self, timeout: Timeout) -> None:
        self.loop = get_loop()
        self._timeout: Optional[Timeout] = timeout  # None once this is over
        self._timer: Optional[Timer] = None

    def begin(self, timeout: Timeout) -> None:
        due = time.monotonic() + timeout._delay / 1000
        self.loop.hold(self)
        if not timeout._referenced:
            self.loop.unref(self)
        self.loop.call(self._schedule, due)

    def cancel(self) -> None:
        """End this, on any thread."""
        if self._timeout is not None:
            self._timeout = None
            self.loop.call(self._unschedule)

    def _schedule(self, due: float) -> None:
        if self._timeout is not None:
            self._timer = self.loop.call_at(due, self._pass)
        else:  # perhaps cancelled just before it was held
            self.loop.release(self)

    def _unschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.loop.release(self)

    def _pass(self) -> None:
        self._timer = None
        timeout = self._timeout
        if timeout is None:
            return
        began = time.monotonic()
        # Of two refreshes at the same moment, on two threads, only one counts.
        if timeout._wait is self:
            _run(timeout._call, timeout)
            if timeout._repeats:
                self._schedule(began + timeout._delay / 1000)
                return
        # Not before the call is done: until then the process stays, whatever it may open.
        self._timeout = None
        self.loop.release(self)

    def shutdown(self) -> None:
        """The process is about to exit."""
        self.cancel()

    def fail(self, error: BaseException) -> None:
        """It needs no sockets, and goes on."""

    def abandon(self) -> None:
        """This is the child after a fork: the timer is the parent's."""
        self._timeout = None
        self._unschedule()


class Immediate:
    """What :func:`setImmediate` returns."""

    __slots__ = ('__weakref__', '_call', '_loop', '_referenced')

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._call: Optional[_Call] = _fitted(callback, args)  # None once it began, or was cleared
        self._referenced = True
        self._loop = get_loop()
        self._loop.hold(self)
        self._loop.call(self._pass)

    def ref(self) -> Immediate:
        """Keep the process alive (the default). Returns this object."""
        with _lock:
            self._referenced = True
            self._loop.ref(self)
        return self

    def unref(self) -> Immediate:
        """Let the process exit even if this is still to come. Returns this object."""
        with _lock:
            self._referenced = False
            self._loop.unref(self)
        return self

    def hasRef(self) -> bool:
        """Whether this keeps the process alive while it is still to come."""
        return self._referenced

    def _clear(self) -> None:
        self._call = None

    def _pass(self) -> None:
        call, self._call = self._call, None
        _run(call, self)
        self._loop.release(self)

    def shutdown(self) -> None:
        """The process is about to exit."""
        self._clear()

    def fail(self, error: BaseException) -> None:
        """It needs no sockets, and goes on."""

    def abandon(self) -> None:
        """This is the child after a fork: the call is the parent's."""
        self._call = None


def _milliseconds(delay: Optional[float]) -> int:
    if delay is None:
        return 1
    if not isinstance(delay, Real):
        raise TypeError(f'delay must be a number of milliseconds, not {type(delay).__name__}')
    return int(delay) if 1 <= delay <= _LONGEST_DELAY else 1


def _fitted(callback: Callable[..., object], args: tuple[Any, ...]) -> _Call:
    """Not :func:`ws.events.fitted`: what that returns would refer back to the object that it is kept in."""
    check_callable(callback, 'a callback')
    arity = arity_of(callback)
    return callback, arity.fit(args), arity.this


def _run(call: Optional[_Call], this: object) -> None:
    if call is None:
        return
    callback, args, wants_this = call
    try:
        if wants_this:
            callback(this, *args)
        else:
            callback(*args)
    except BaseException:  # an interval goes on, as in Node
        report_exception()


@in_child
def _renew_after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the old one may be held by a thread that does not exist here
