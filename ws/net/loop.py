"""The one I/O thread: it polls the sockets, runs timers, and takes calls from other threads.

The thread exists only while there is something to do: it starts with the first *handle* (a listening server, a socket
that is connecting, open or closing) and ends with the last one.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Optional, Union

from . import green
from .changes import Changes
from .guests import Flushable, Handle, Patient, Pollable
from .poller import READ, Poller, SelectorPoller
from .timers import Timer, Timers
from .waker import Idle, NoPoller, Waker

#: How long, in seconds, the poller is asked to wait at most: systems refuse a timer that is due after a month.
_LONGEST_WAIT = 3600.0
#: Bytes in a block that is taken and freed, untouched, before the first message: glibc then keeps what is freed, up to
#: twice as much, for what comes next. Else it returns memory to the system after each message of half a megabyte or
#: more, and clearing pages for the next one takes most of the time.
_LARGE_BLOCK = 4 << 20
#: How long, in seconds, the thread may take for what it does between two calls and after the last one.
_LAST_STEPS = 0.1
#: How often, in milliseconds, the process shows that it is running, while somebody measures by :attr:`Loop.awake`.
HEARTBEAT = 5


def _ignore() -> None:
    pass


class LoopThread(threading.Thread):
    """A daemon, in that Python does not wait for it; :mod:`ws.net.lifetime` does, and Ctrl-C can interrupt that.

    Threads inherit this from the one that makes them. Those that listeners make are what threads are elsewhere: their
    work is waited for. Once the process is ending, nothing is begun that it would have to wait for.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        super().__init__(target=loop._run, name='ws', daemon=True)

    @property
    def daemon(self) -> bool:  # type: ignore[override]  # nobody sets it later
        return self._loop.leaving or not self._loop.in_thread()


class Loop:
    """Sockets, timers and calls, one at a time, on one daemon thread.

    :meth:`call`, :meth:`hold`, :meth:`ref`, :meth:`unref`, :meth:`in_thread`, :meth:`wait` and :meth:`shutdown` may be
    called from any thread; everything else belongs to the loop thread.
    """

    def __init__(self, on_start: Callable[[], object] = _ignore) -> None:
        self._on_start = on_start  # told, on the thread that starts it, when there is going to be a loop thread
        # For the next four, and for the beginning and end. Reentrant: a signal handler may come here in the middle.
        self._lock = threading.RLock()
        #: Told when the last referenced handle goes, and when the thread ends.
        self._changes = Changes(self._lock)
        self._handles: set[Handle] = set()
        self._unreferenced: set[Handle] = set()  # of these, those that let the process exit
        #: How often there has come a reason to wait; see :meth:`wait`.
        self.reasons: int = 0
        self._thread: Optional[threading.Thread] = None  # also read without the lock: see call() and _may_end()
        self._latest: Optional[threading.Thread] = None  # the same, or the last one, which may still be on its way out

        # For any thread without a lock: the loop thread looks at them again and again, or each step is a whole.
        #: The number of the loop thread while there is one; see :meth:`in_thread`. Set by that thread.
        self.ident: Optional[int] = None
        self._stopping = False
        #: Called when the thread has ended, on it: for those who wait for something that it would have done.
        self.on_end: set[Callable[[], object]] = set()
        #: The process is ending.
        self.leaving: bool = False
        self._inbox: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = True  # a byte is on its way to the loop thread, or there is no thread that needs one
        self._waker: Optional[Union[Waker, Idle]] = None

        # The loop thread's own.
        self._poller: Any = None
        self._pollables: dict[int, Pollable] = {}
        self._gone: set[int] = set()  # descriptors unregistered since the last poll
        self._timers = Timers()
        self._deferred: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._settling = False  # these are being called
        self._put_off: deque[Patient] = deque()
        #: Seconds this process was running, as far as somebody needs to know (:meth:`stay_awake`): what it spent
        #: stopped, or collecting garbage, counts as no more than two heartbeats. Any thread may read it.
        self.awake: float = 0.0
        self._awake_until = 0.0
        self._last_heartbeat = 0.0
        self._heart: Optional[Timer] = None
        #: Streams with something queued; each is flushed once at the end of the turn.
        self.dirty: list[Flushable] = []

    # -- from any thread ---------------------------------------------------------------------------------------------

    def in_thread(self) -> bool:
        """Whether the caller runs on the loop thread."""
        return threading.get_ident() == self.ident

    @property
    def runs(self) -> bool:
        """Whether there is a loop thread."""
        return self._thread is not None

    def call(self, callback: Callable[..., object], *args: Any) -> None:
        """Have the loop thread call ``callback(*args)`` soon. Calls made by one thread keep their order."""
        self._inbox.append((callback, args))
        # One byte wakes the thread for a whole batch. The flag is cleared before the batch is taken, so whoever
        # finds it set has appended early enough to be part of a batch that is still to be taken.
        if not self._woken:
            self._woken = True
            self._wake()
        if self._thread is None:
            self._start()

    def hold(self, handle: Handle) -> None:
        """`handle` is alive: keep the thread, and the process, until :meth:`release`."""
        with self._lock:
            self._handles.add(handle)
            self.reasons += 1
        if self._thread is None:
            try:
                self._start()
            except BaseException:  # no thread to be had: too many, or the interpreter is on its way out
                self.release(handle)
                raise

    def release(self, handle: Handle) -> None:
        """`handle` has ended."""
        with self._lock:
            self._handles.discard(handle)
            self._unreferenced.discard(handle)
            self._notify_if_unreferenced()

    def ref(self, handle: Handle) -> None:
        """Let `handle` keep the process alive (the default)."""
        with self._lock:
            self._unreferenced.discard(handle)
            self.reasons += 1

    def unref(self, handle: Handle) -> None:
        """Let the process exit although `handle` is alive."""
        with self._lock:
            if handle in self._handles:
                self._unreferenced.add(handle)
            self._notify_if_unreferenced()

    @property
    def _referenced(self) -> int:
        """How many handles keep the process alive. Not counted along: a signal handler may come between any two steps
        of ours, and call what it has interrupted."""
        return len(self._handles) - len(self._unreferenced)

    def _notify_if_unreferenced(self) -> None:
        if not self._referenced:
            self._changes.tell()

    def wait(self) -> None:
        """Return when no referenced handle is left. A signal handler may raise out of it.

        Whoever then finds that nobody else will hold one knows it for certain if :attr:`reasons` is what it was before
        this call: else somebody has, and has ended before anybody looked.

        Raises :class:`RuntimeError` on the loop thread, which would wait for itself.
        """
        if self.in_thread():
            raise RuntimeError('waiting on the loop thread would never end')
        self._changes.until(self._is_unreferenced)

    def _is_unreferenced(self) -> bool:
        with self._lock:
            return not self._referenced or self._thread is None

    def _has_ended(self) -> bool:
        with self._lock:  # the thread may be just about to see that it can't end yet
            return self._thread is None

    def shutdown(self, seconds: float) -> None:
        """End every handle gracefully, and the thread after at most `seconds`."""
        self.leaving = True
        deadline = time.monotonic() + seconds
        if self.runs:
            self._end_handles(deadline)
        # To its very end: Python without the GIL may hang where it tidies up while a thread takes its last steps.
        if self._latest is not None:
            self._latest.join(max(deadline - time.monotonic(), _LAST_STEPS))

    def _end_handles(self, deadline: float) -> None:
        self.call(self._shutdown_handles)
        self._changes.until(self._has_ended, deadline - time.monotonic())
        self._stopping = True  # those that did not end in time are cut off, between two calls rather than within one
        with self._lock:
            self._wake()

    def _shutdown_handles(self) -> None:
        for handle in list(self._handles):
            self._guarded(handle.shutdown, ())

    # -- for the loop thread -----------------------------------------------------------------------------------------

    def register(self, fd: int, pollable: Pollable, mask: int) -> None:
        """Have ``pollable.on_event`` called when `fd` is ready for what `mask` says."""
        if type(self._poller) is Idle:
            self._open_descriptors()  # there may be some by now
        assert self._poller is not None
        self._poller.register(fd, mask)
        self._pollables[fd] = pollable

    @property
    def full(self) -> bool:
        """Whether :meth:`register` would fail. Not every system tells."""
        return isinstance(self._poller, SelectorPoller) and self._poller.full

    def modify(self, fd: int, mask: int) -> None:
        assert self._poller is not None
        self._poller.modify(fd, mask)

    def unregister(self, fd: int) -> None:
        assert self._poller is not None
        del self._pollables[fd]
        self._gone.add(fd)
        self._poller.unregister(fd)

    def call_later(self, milliseconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call ``callback(*args)`` after `milliseconds`; the timer returned can be cancelled."""
        return self.call_at(time.monotonic() + milliseconds / 1000, callback, *args)

    def call_at(self, due: float, callback: Callable[..., object], *args: Any) -> Timer:
        """As :meth:`call_later`, once :func:`time.monotonic` has reached `due`."""
        return self._timers.add(due, callback, args)

    def stay_awake(self, until: float) -> None:
        """Let :attr:`awake` go on until it has reached `until`."""
        self._awake_until = max(self._awake_until, until)
        if self._heart is None:
            self._last_heartbeat = time.monotonic()
            self._heart = self.call_later(HEARTBEAT, self._beat)

    def _beat(self) -> None:
        now = time.monotonic()
        self.awake += min(now - self._last_heartbeat, 2 * HEARTBEAT / 1000)
        self._last_heartbeat = now
        self._heart = self.call_later(HEARTBEAT, self._beat) if self.awake < self._awake_until else None

    def defer(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` later in this turn of the loop, or in the next one: never from here."""
        self._deferred.append((callback, args))

    def put_off(self, patient: Patient) -> None:
        """Call ``patient.go_on()`` in one of the next turns: it has more to do than others shall wait for. There is one
        such call in a turn, however many of them have so much to do."""
        self._put_off.append(patient)

    def settle(self) -> None:
        """Make the deferred calls now, before the next event of this turn. For what a poller's event has called, and
        nothing that a user's call may lead to."""
        if not self._settling:  # else they would overtake those that are being made
            self._run_deferred()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        thread = LoopThread(self)
        with self._lock:
            if self._thread is not None or not (self._handles or self._inbox):
                return
            self._thread = thread  # before all else: a signal handler may come here in the middle of it
            try:
                self._open_descriptors()
                self._stopping = False
                self._on_start()
                thread.start()
                self._latest = thread
            except BaseException:
                self._thread = None
                self._close_descriptors()
                raise

    def _open_descriptors(self) -> None:
        poller: Any = None
        waker: Union[Waker, Idle]
        try:
            poller, waker = Poller(), Waker()
            poller.register(waker.fileno(), READ)
        except Exception as error:
            if poller is not None:
                poller.close()
            poller = waker = Idle(error.with_traceback(None))
        self._poller = poller
        # In this order: who has set the flag has handed in something before, and who sets it again wakes the new one.
        self._waker = waker
        self._woken = False

    def _run(self) -> None:
        self.ident = threading.get_ident()
        bytes(_LARGE_BLOCK)
        try:
            self._work()
        finally:
            for tell in list(self.on_end):
                tell()

    def _work(self) -> None:
        while True:
            try:
                while not self._may_end():
                    self._turn()
                return
            except BaseException as error:
                self._interrupted(error)

    def _interrupted(self, error: BaseException) -> None:
        """Between two calls. Raises `error` if it is the end: somebody has killed our greenlet."""
        if self._waker is not None:
            green.forget_waiting_for([self._waker.fileno(), *self._pollables], error)
        if green.pass_on(error):
            return
        if green.ends_greenlet(error):
            with self._lock:
                self._end()  # nobody is to wait for it any longer
            raise error
        report_exception()  # among them gevent's Timeout, that of a listener that is over
        if isinstance(error, Exception):
            self._begin_anew(error)

    def _begin_anew(self, error: BaseException) -> None:
        """The last resort. What escapes a turn is a defect, of ours or of the poller, whose sockets can't be served any
        longer: they end now, with that error. Nobody shall wait for a thread that is gone."""
        broken, self._poller = self._poller, NoPoller()
        for handle in list(self._handles):
            self._guarded(handle.fail, (error,))
        for pollable in list(self._pollables.values()):
            self._guarded(pollable.failed, ())
        self._pollables.clear()
        self._poller = broken
        self._close_descriptors()
        self._open_descriptors()

    def _turn(self) -> None:
        """Poll once and work through everything that is ready."""
        poller, pollables = self._poller, self._pollables
        if poller is None:  # the child of a fork made by a listener: this loop's descriptors are gone
            return
        put_off = len(self._put_off)  # in the turns before this one
        now = time.monotonic() if self._timers else 0.0  # without timers, none is due
        events = poller.poll(self._seconds_to_wait(now))
        gone = self._gone
        gone.clear()
        for fd, mask in events:
            if fd in gone:  # unregistered by an earlier event of this turn; what has its number now is not meant
                continue
            pollable = pollables.get(fd)
            if pollable is None:
                self._drain_wake()
                continue
            try:
                pollable.on_event(mask)
            except BaseException:
                self._failed(pollable)
        if put_off:
            self._go_on()
        if self._inbox:
            self._run_inbox()
        if self._timers:
            self._timers.run_due(now, len(events), len(pollables), self._guarded)
        if self._deferred:
            self._run_deferred()
        if self.dirty:
            self._flush_dirty()

    def _seconds_to_wait(self, now: float) -> float:
        if self._inbox or self._deferred or self.dirty or self._put_off or self._stopping:
            return 0
        due = self._timers.first_due()
        return -1 if due is None else min(max(0.0, due - now), _LONGEST_WAIT)

    def _go_on(self) -> None:
        if not self._put_off:  # this is the child of a fork, made by a listener
            return
        patient = self._put_off.popleft()
        try:
            patient.go_on()
        except BaseException:
            self._failed(patient)

    def _run_inbox(self) -> None:
        inbox = self._inbox
        # What arrives meanwhile waits for the next turn: sockets must not starve.
        for _ in range(len(inbox)):
            if not inbox:  # this is the child of a fork, made by one of them
                return
            callback, args = inbox.popleft()
            try:
                callback(*args)
            except BaseException:
                report_exception()

    def _run_deferred(self) -> None:
        # Not in _turn(): the traceback of an error refers to that frame, and must not find the error there again, on
        # its way to some on_close. Such circles would keep broken connections until the collector comes.
        deferred = self._deferred
        self._settling = True
        try:
            for _ in range(len(deferred)):
                if not deferred:  # as in _run_inbox()
                    return
                callback, args = deferred.popleft()
                self._guarded(callback, args)
        finally:  # whatever is thrown into a greenlet
            self._settling = False

    def _flush_dirty(self) -> None:
        dirty = self.dirty.copy()
        self.dirty.clear()  # not a new one: each stream knows it
        try:
            for stream in dirty:
                try:
                    stream.flush()
                except BaseException:
                    self._failed(stream)
        except BaseException:
            self.dirty += dirty  # a signal has come between two of them; who has flushed has nothing queued
            raise

    @staticmethod
    def _guarded(callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            callback(*args)
        except BaseException:  # whatever it is: with this thread, every socket would stop
            report_exception()

    def _failed(self, stream: Union[Pollable, Patient, Flushable]) -> None:
        report_exception()
        self._guarded(stream.failed, ())

    # -- waking ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        waker = self._waker
        if waker is not None:  # else the thread has just ended, and call() starts a new one
            waker.wake()

    def _drain_wake(self) -> None:
        if self._waker is not None:  # else this is the child of a fork
            self._waker.drain()
            self._woken = False

    # -- ending ------------------------------------------------------------------------------------------------------

    def _may_end(self) -> bool:
        """End the thread if nothing is left to do, atomically with what other threads may be handing in."""
        if self._stopping:
            with self._lock:
                self._end()
            return True
        if self._handles or self._inbox or self._pollables or self.dirty or self._deferred or self._put_off:
            return False
        with self._lock:
            if self._handles:
                return False
            # call() appends first and looks for the thread afterwards; here it is the other way round.
            thread, self._thread = self._thread, None
            if self._inbox:
                self._thread = thread
                return False
            self._end()
            return True

    def _end(self) -> None:
        self._thread = None
        self.ident = None  # the system may give this number to another thread
        self._timers.clear()
        self._heart = None
        self._close_descriptors()
        self._changes.tell()

    def _close_descriptors(self) -> None:
        self._woken = True
        self._waker = None
        poller, self._poller = self._poller, None
        if poller is not None:
            with contextlib.suppress(OSError):  # somebody else has closed it, by its number
                poller.close()

    def abandon(self) -> None:
        """Forget everything: this is the child after a fork. The parent's sockets and epoll object stay untouched."""
        handles, pollables = list(self._handles), list(self._pollables.values())
        self._lock = threading.RLock()  # the old one may be held by a thread that does not exist here
        self._changes = Changes(self._lock)
        for mine in (self._handles, self._unreferenced, self._pollables, self._inbox, self._timers, self._deferred):
            mine.clear()
        self._put_off.clear()
        self.dirty.clear()
        self.on_end.clear()
        self._heart = None
        self._stopping = True
        # Not unregister(): the epoll object is shared with the parent, and would lose the descriptor there, too.
        self._close_descriptors()
        self._thread = self._latest = None
        self.ident = None
        for handle in handles:
            handle.abandon()
        for pollable in pollables:
            pollable.abandon()


def report_exception() -> bool:
    """Hand the exception being handled to :func:`threading.excepthook`, as if a thread had died of it.

    Returns False if it is none of what has been called: a signal came in the middle of it (:func:`green.pass_on`).
    """
    kind, value, traceback = sys.exc_info()
    assert kind is not None and value is not None
    if green.pass_on(value):
        return False
    if isinstance(value, SystemExit):
        # excepthook passes over SystemExit in silence, which is right only where it does end the thread.
        value = RuntimeError('sys.exit() in a listener does not end the process: close the sockets and servers instead')
        kind, value.__cause__ = RuntimeError, None
    arguments = threading.ExceptHookArgs((kind, value, traceback, threading.current_thread()))
    try:
        threading.excepthook(arguments)
    except BaseException:  # a broken hook must not end the loop
        sys.__excepthook__(*sys.exc_info())
    return True
