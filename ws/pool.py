"""Listeners on a pool of threads: those of one connection one at a time and in order, those of others meanwhile."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, NamedTuple, Optional, Union

from .net.loop import Loop, report_exception
from .net.workers import Workers
from .options import Options

#: How many bytes of events may wait for a connection's listeners before reading from it is paused.
LIMIT = 65536
#: How long, in seconds, one connection may keep a thread of the pool while others wait for one.
_TURN = 0.005


class Pool:
    """Where calls run: an executor of the user's, or threads of our own, so many at most.

    Raises TypeError and ValueError for what is neither.
    """

    def __init__(self, executor: Union[Executor, int]) -> None:
        self._executor: Optional[Executor] = None
        self._lock = threading.Lock()  # for the next one
        self._reported = False
        if isinstance(executor, int) and not isinstance(executor, bool):
            if executor < 1:
                raise ValueError(f'executor must be at least 1 thread, not {executor}')
            self._workers = Workers('ws-listener', executor)
        elif isinstance(executor, Executor) and not _is_elsewhere(executor):
            self._executor = executor
        else:
            kind = type(executor).__name__
            raise TypeError(f'executor must be an int, or an Executor whose threads belong to this program, not {kind}')

    def submit(self, job: Callable[[], object], refused: Callable[[], object]) -> None:
        """Run `job` soon on a thread of the pool. If it is never run, ``refused()`` is called, now or later, on any
        thread, while the exception that says why is being handled."""
        if self._executor is None:
            self._workers.add(job)
            return
        try:
            future = self._executor.submit(job)
        except BaseException:  # it is shut down, or full
            refused()
        else:
            future.add_done_callback(lambda future: _look_at(future, refused))

    def report_refusal(self) -> None:
        """The exception being handled says why it takes no more. One is enough."""
        with self._lock:
            is_first = not self._reported
            self._reported = True
        if is_first:
            report_exception()


def _is_elsewhere(executor: Executor) -> bool:
    """Whether its threads belong to other processes, or interpreters: no listener could run there."""
    for module, name in (('process', 'ProcessPoolExecutor'), ('interpreter', 'InterpreterPoolExecutor')):
        # Who has one has imported it; to do so here fails once the main thread is done.
        imported = sys.modules.get(f'concurrent.futures.{module}')
        if imported is not None and isinstance(executor, getattr(imported, name)):
            return True
    return False


def _look_at(future: Future[Any], refused: Callable[[], object]) -> None:
    """A pool may be shut down with jobs waiting in it."""
    if future.cancelled():
        try:
            raise RuntimeError('the executor was shut down before it had called all listeners')
        except RuntimeError:
            refused()


def pool_of(options: Options) -> Optional[Pool]:
    """The one that the option ``executor`` asks for. Raises as the class does."""
    return None if options.executor is None else Pool(options.executor)


class _Call(NamedTuple):
    function: Callable[..., object]
    args: tuple[Any, ...]
    size: int
    is_event: bool
    is_message: bool


class Order:
    """What is to be called for one connection. Calls run on the pool, one at a time, in the order they were added.

    A pool that refuses is a fault of the program's. It is reported, ``on_refused()`` is called, once, on the loop
    thread; and that is where the rest is called, without the messages: so every connection has its one `close`.
    """

    __slots__ = (
        '_at_work', '_calls', '_full', '_held', '_lock', '_loop', '_pool', '_silent', '_size', 'on_much', 'on_refused',
        'paused', 'refused',
    )  # fmt: skip

    def __init__(self, pool: Pool, loop: Loop) -> None:
        self._pool = pool
        self._loop = loop
        #: ``on_much(full)``, on the loop thread: so much waits that nothing more should be read; or little again.
        self.on_much: Callable[[bool], object] = _nobody
        self.on_refused: Callable[[], object] = _nobody
        # For all of the following. Reentrant: a signal handler may come here in the middle of it.
        self._lock = threading.RLock()
        self._calls: deque[_Call] = deque()
        self._held: deque[_Call] = deque()  # events that wait for `pause(False)`
        self._size = 0
        self._full = False
        self._at_work = False  # a job of ours waits in the pool, or runs
        #: Whether messages are held back. Set under the lock.
        self.paused: bool = False
        self._silent = False
        #: Whether the pool takes no calls any more. Set by the thread that was told so, once; read by any.
        self.refused: bool = False

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more should be read. What it is next, ``on_much`` tells."""
        return self._full

    @property
    def is_idle(self) -> bool:
        """Whether everything has been called."""
        with self._lock:
            return not (self._at_work or self._calls or self._held)

    def add(self, function: Callable[..., object], *args: Any) -> None:
        """Call ``function(*args)``, which must not raise, when it is its turn."""
        self._add(_Call(function, args, 0, False, False))

    def add_event(self, function: Callable[..., object], args: tuple[Any, ...], size: int, is_message: bool) -> None:
        """As :meth:`add`, for an event that counts `size` bytes, and may have to wait. If it `is_message`, it may be
        dropped."""
        self._add(_Call(function, args, size, True, is_message))

    def _add(self, call: _Call) -> None:
        with self._lock:
            if call.is_message and self._silent:
                return
            self._calls.append(call)
            self._size += call.size
        self._look_at_size()
        self._start()

    def pause(self, paused: bool) -> None:
        """Let no more events through, or all that have waited."""
        with self._lock:
            self.paused = paused
            if not paused:
                self._calls.extendleft(reversed(self._held))
                self._held.clear()
        self._start()

    def silence(self) -> None:
        """From here on, nobody wants messages."""
        with self._lock:
            self._silent = True
            self.paused = False
            self._calls = deque(call for call in (*self._held, *self._calls) if not call.is_message)
            self._held.clear()
            self._size = sum(call.size for call in self._calls)
        self._look_at_size()
        self._start()

    def abandon(self) -> None:
        """This is the child after a fork, where nobody calls what is here."""
        self._lock = threading.RLock()
        self._calls.clear()
        self._held.clear()
        self._at_work = False

    def _start(self) -> None:
        with self._lock:
            if self._at_work or not self._calls:
                return
            self._at_work = True
        self._submit()

    def _submit(self) -> None:
        if self.refused:
            self._loop.call(self._work)
        else:
            self._pool.submit(self._work, self._on_refusal)

    def _on_refusal(self) -> None:
        self.refused = True
        self._pool.report_refusal()
        self.silence()
        self._loop.call(self.on_refused)
        self._loop.call(self._work)

    def _work(self) -> None:
        """On a thread of the pool."""
        until = time.monotonic() + _TURN
        while True:
            call = self._next()
            if call is None:
                return
            call.function(*call.args)
            if time.monotonic() >= until:
                self._submit()  # behind those who wait for a thread
                return

    def _next(self) -> Optional[_Call]:
        with self._lock:
            call = self._next_that_may()
            if call is None:
                self._at_work = False
            else:
                self._size -= call.size
        self._look_at_size()
        return call

    def _next_that_may(self) -> Optional[_Call]:
        while self._calls:
            call = self._calls.popleft()
            if not (call.is_event and (self._held or (self.paused and call.is_message))):
                return call
            self._held.append(call)
        return None

    def _look_at_size(self) -> None:
        with self._lock:
            full = self._size >= (LIMIT // 2 if self._full else LIMIT)
            changed = full is not self._full
            self._full = full
        if changed:
            self._loop.call(self._tell_size)

    def _tell_size(self) -> None:
        self.on_much(self._full)


def _nobody(*arguments: object) -> None:
    pass
