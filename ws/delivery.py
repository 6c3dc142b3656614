"""The one place where the library's own events reach listeners: on the loop thread or, if the user wants it, on a pool;
for each object one at a time, none lost.

Three promises of ``doc/threads.md`` are kept here: a listener that raises harms nobody else, an ``error`` that nobody
listens to is reported, and no event is lost to a listener that another thread attaches a moment too late.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, TypeVar

from .events import EventEmitter, Listener, fitted
from .net.lifetime import get_loop, note_unheard_error
from .net.loop import HEARTBEAT, Loop, report_exception
from .net.timers import Timer
from .pool import Order

if TYPE_CHECKING:
    from .typing import OWN_ATTRIBUTES

#: How long, in milliseconds from its making or from the latest attaching, the events of an object made off the loop
#: thread wait for listeners.
KEEP_FOR = 1000
#: For how many milliseconds nothing must have been attached before what is kept is handed over.
SETTLE_FOR = 20
#: How many bytes may wait before reading is paused.
KEEP_BYTES = 65536
#: What a kept event counts at least: empty messages take memory, too.
_OVERHEAD = 64
#: Events that nobody wants any more after closing the connection.
DROPPED_WHEN_CLOSED = frozenset(['message', 'ping', 'pong', 'drain'])


T = TypeVar('T')


class _Kept(NamedTuple):
    event: str
    args: tuple[Any, ...]
    reported: bool  # an error, and nobody came to listen: it is reported


class _Complete(type):
    """Objects come to life when they are complete: after the constructors of subclasses, too, have run.

    In Node, nothing happens before the code that made the object has finished; here another thread would be at work
    already, and call listeners that find half an object.
    """

    def __call__(cls: type[T], *args: Any, **kwargs: Any) -> T:
        instance: T = type.__call__(cls, *args, **kwargs)
        instance._begin()  # type: ignore[attr-defined]  # only Emitter and its subclasses are of this type
        return instance

    def __dir__(cls) -> list[str]:
        """What help() and editors show: what is there, and not what only stands in the way of a misspelt name."""
        return [name for name in super().__dir__() if hasattr(cls, name)]

    @property
    def __signature__(cls) -> inspect.Signature:
        """What help() and editors show: the constructor's."""
        whole = inspect.signature(cls.__init__)  # type: ignore[misc]  # only asked for what it looks like
        return whole.replace(parameters=list(whole.parameters.values())[1:])


class Emitter(EventEmitter, metaclass=_Complete):
    """What WebSocket and WebSocketServer have in common: events from the loop, and a life that the loop looks after."""

    if TYPE_CHECKING and OWN_ATTRIBUTES:

        def __getattr__(self, name: str) -> Any: ...

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self) -> None:
        super().__init__()
        self._loop: Loop = get_loop()
        # In a listener, whoever makes an object attaches its listeners before the loop runs again; elsewhere the
        # loop may be faster.
        # Set under the lock, as what messages are routed by; read by any thread.
        self._kept: Optional[KeptEvents] = None if self._loop.in_thread() else KeptEvents(self)
        #: In which listeners and callbacks are called on a pool; None: on the loop thread.
        self._order: Optional[Order] = None
        self._keeps_process = True  # under the lock, with what the loop knows of it

    def ref(self) -> None:
        """Keep the process alive while this is open, as it does from the start."""
        with self._lock:
            self._keeps_process = True
            self._loop.ref(self)

    def unref(self) -> None:
        """Let the process exit even if this is still open."""
        with self._lock:
            self._keeps_process = False
            self._loop.unref(self)

    def _hold(self) -> None:
        """Have the loop look after this object, until :meth:`_end_of_events`."""
        self._loop.hold(self)
        with self._lock:
            if not self._keeps_process:  # a constructor has called unref()
                self._loop.unref(self)
        if self._kept is not None:
            self._loop.call(self._loop.stay_awake, self._kept.until)

    def _begin(self) -> None:
        """The object is complete: hand it to the loop."""

    def _run(self, method: Callable[..., object], *args: Any) -> None:
        """Have it done on the loop thread: now, if this is that."""
        if self._loop.in_thread():
            method(*args)
        else:
            self._loop.call(method, *args)

    # -- for subclasses; all on the loop thread ----------------------------------------------------------------------

    def shutdown(self) -> None:
        """See :class:`ws.net.loop.Handle`."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """See :class:`ws.net.loop.Handle`."""
        raise NotImplementedError

    def abandon(self) -> None:
        """See :class:`ws.net.loop.Handle`."""
        self._lock = threading.RLock()  # the old one may be held by a thread that does not exist here
        self._kept = None
        if self._order is not None:
            self._order.abandon()

    def _listener_failed(self, args: tuple[Any, ...]) -> None:
        """A listener raised when it was given `args`; that has been reported. On the pool, if there is one."""

    def _is_paused(self) -> bool:
        """Whether the user wants no messages now."""
        return False

    def _hold_reading(self, hold: bool) -> None:
        """Too much is kept for listeners that aren't there yet (or no longer so)."""

    def _deliver(self, event: str, *args: Any) -> None:
        """Emit one of the library's own events, or keep it for a listener that is still to come."""
        kept = self._kept
        if kept is None:
            self._dispatch(event, args)
        elif not kept.keep(event, args):
            self._dispatch_as_of_now(event, args)

    def _as_of_now(self, event: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """What the listeners of `event` are given, where `args` have waited, or might have."""
        return args

    def _dispatch_as_of_now(self, event: str, args: tuple[Any, ...]) -> None:
        """As :meth:`_dispatch`, for what was kept, or might have been."""
        if self._order is None:
            args = self._as_of_now(event, args)
        self._dispatch(event, args)

    def _deliver_in_passing(self, event: str, args: tuple[Any, ...], then: Callable[[bool], object]) -> None:
        """As :meth:`_deliver`, but what follows this event doesn't wait for a listener that is still to come, who is
        given it late. `then` as for :meth:`_ask`."""
        kept = self._kept
        if kept is None or self.listenerCount(event):
            self._ask(event, args, then)
        else:
            kept.keep_aside(event, args)
            then(True)

    def _ask(self, event: str, args: tuple[Any, ...], then: Callable[[bool], object]) -> None:
        """Emit an event by which listeners decide how it goes on: when they have returned, ``then(ok)`` is called on
        the loop thread, with whether none of them raised."""
        if self._order is None:
            then(self._call_listeners(event, args))
        else:
            self._order.add(self._call_and_tell, event, args, then)

    def _call_and_tell(self, event: str, args: tuple[Any, ...], then: Callable[[bool], object]) -> None:
        """On the pool."""
        self._loop.call(then, self._call_listeners(event, args))

    def _when_settled(self, event: str, then: Callable[[], object]) -> None:
        """Call `then` when it is known whether anybody listens to `event`, which decides how it goes on: at once,
        unless somebody may be about to attach a listener."""
        kept = self._kept
        seconds = 0.0 if kept is None or self.listenerCount(event) else kept.settled - self._loop.awake
        if seconds <= 0:
            then()
        else:
            self._loop.call_later(max(seconds * 1000, HEARTBEAT), self._when_settled, event, then)

    def _deliver_if_heard(self, error: Exception, *more: Any) -> None:
        """An ``error`` that is no news: ``close`` follows and says as much. It is not reported if nobody listens."""
        kept = self._kept
        if kept is None or not kept.keep('error', (error, *more), reported=False):
            self._dispatch('error', (error, *more), reported=False)

    def _dispatch(self, event: str, args: tuple[Any, ...], reported: bool = True) -> None:
        """Call the listeners, on the pool if there is one. An error that nobody hears is reported, or not."""
        if self._order is None:
            self._call_listeners(event, args, reported)
        else:
            order = self._order
            order.add_event(self._call_on_pool, (event, args, reported), _size_of(args), event in DROPPED_WHEN_CLOSED)

    def _call_on_pool(self, event: str, args: tuple[Any, ...], reported: bool) -> None:
        self._call_listeners(event, self._as_of_now(event, args), reported)

    def _call_behind(self, function: Callable[..., object], *args: Any) -> None:
        """Call it, which must not raise, when all listeners of what was emitted before have been called."""
        if self._order is None:
            function(*args)
        else:
            self._order.add_event(function, args, 0, False)

    def _call_listeners(self, event: str, args: tuple[Any, ...], reported: bool = True) -> bool:
        """Returns whether none of them raised."""
        listeners = self._listeners.get(event)
        if not listeners:
            if event == 'error' and reported:
                self._report_unheard(args[0])
            return True
        failed = False
        for listener in listeners:
            if listener.once and not self._detach(event, listener):
                continue
            try:
                listener.call(self, args)
            except BaseException:
                failed |= report_exception()
        if failed:
            self._listener_failed(args)
        return not failed

    def _report_unheard(self, error: BaseException) -> None:
        """Nobody listens to an ``error``: it is reported, and makes the status of the process 1."""
        report(error)
        note_unheard_error()

    def _only_listener(self, event: str) -> Optional[Listener]:
        """The listener of `event` whose function may be called in the place of :meth:`_deliver`: it is the only one and
        wants nothing but some of the event's arguments; nothing is kept, and there is no pool. What it raises goes to
        :meth:`_raised`.

        It holds until :meth:`_changed` is called.
        """
        listeners = self._listeners.get(event, ())
        if self._kept is not None or self._order is not None or len(listeners) != 1:
            return None
        [listener] = listeners
        return listener if type(listener) is Listener and not (listener.once or listener.this) else None

    def _raised(self) -> None:
        """The only listener has raised the exception that is being handled."""
        if report_exception():
            self._listener_failed(())

    def _keep_no_more(self) -> None:
        """From here on, what nobody listens to is dropped."""
        with self._lock:
            self._kept = None
            self._changed(None)

    def _callback(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """`callback` as the loop may call it: with any number of arguments, and it never raises. If there is a pool, it
        runs there."""
        call = self._caller_of(callback)
        return call if self._order is None else functools.partial(self._order.add, call)

    def _caller_of(self, callback: Callable[..., Any]) -> Callable[..., None]:
        """What calls `callback`, here and now, with any number of arguments, and never raises."""
        if not callable(callback):
            raise TypeError(f'a callback must be callable, not {type(callback).__name__}')
        return functools.partial(self._run_callback, fitted(callback, self))

    def _run_callback(self, callback: Callable[..., Any], *args: Any) -> None:
        try:
            callback(*args)
        except BaseException:
            if report_exception():
                self._listener_failed(args)

    def _insert(self, event: str, listener: Listener, first: bool = False) -> None:
        kept = self._kept
        if kept is not None and not self._loop.in_thread():
            kept.wait_for_more()  # before the loop can find the listener
        super()._insert(event, listener, first)

    def _attached(self, event: str) -> None:
        kept = self._kept
        if kept is not None:
            self._loop.call(kept.on_listener)

    def _end_of_events(self, callbacks: Sequence[Callable[[], object]] = ()) -> None:
        """The last event has been delivered, or is kept: the loop need not look after this object any longer.
        `callbacks` are called after that event."""
        if self._kept is not None and self._kept.waiting:
            self._kept.owner_ended(callbacks)
        else:
            self._keep_no_more()
            _call(callbacks)
            self._release()

    def _release(self) -> None:
        """The loop need not look after this object, once all its listeners and callbacks have been called."""
        if self._order is None or self._order.is_idle:
            self._loop.release(self)
        else:
            self._order.add(self._loop.call, self._release)


class KeptEvents:
    """The events of one object that found no listener, for a second, in order.

    Whoever attaches one listener is about to attach the next, in whatever order: so what is kept is handed over when
    the latest attaching is :data:`SETTLE_FOR` ago. After :data:`KEEP_FOR`, what nobody asked for is dropped. Both are
    measured by a clock that stands still with the process: the thread that attaches listeners stands still, too.

    All of it runs on the loop thread, except :meth:`wait_for_more`. The emitter's lock makes "no listener, so keep it"
    and "attach" exclude each other, and goes with the times; what is kept by then is looked at after each attaching.
    """

    def __init__(self, owner: Emitter) -> None:
        self._owner = owner
        self.waiting: list[_Kept] = []
        self._aside: list[_Kept] = []  # nothing waits behind these
        self._size = 0
        self._timer: Optional[Timer] = None
        self._at_the_end: Optional[Sequence[Callable[[], object]]] = None  # once no event will be added any more
        self.wait_for_more()

    def wait_for_more(self) -> None:
        """The object is made, or a listener is about to be attached, on any thread."""
        with self._owner._lock:
            now = self._owner._loop.awake
            self.settled: float = now + SETTLE_FOR / 1000
            self.until: float = now + KEEP_FOR / 1000

    def keep(self, event: str, args: tuple[Any, ...], reported: bool = True) -> bool:
        """Whether the event was kept; if not, it is to be emitted now."""
        owner = self._owner
        if not self.waiting and self.is_over():
            owner._keep_no_more()
            return False
        with owner._lock:
            if not self.waiting and owner.listenerCount(event):
                return False
            self.waiting.append(_Kept(event, args, reported and event == 'error'))
        self._size += _size_of(args)
        if self.is_full:
            owner._hold_reading(True)
        self._look_later()
        return True

    def keep_aside(self, event: str, args: tuple[Any, ...]) -> None:
        """Keep it for its first listener, and let others pass."""
        self._aside.append(_Kept(event, args, False))

    def _hand_over_aside(self) -> None:
        for kept in list(self._aside):
            if self._owner.listenerCount(kept.event) and not self.is_over():
                self._aside.remove(kept)
                self._owner._dispatch(kept.event, kept.args)

    @property
    def is_full(self) -> bool:
        """Whether so much is kept that nothing more should be read."""
        return self._size >= KEEP_BYTES

    def is_over(self) -> bool:
        """Whether the second has passed."""
        return self._owner._loop.awake >= self.until

    def on_listener(self) -> None:
        """A listener has been attached."""
        self._owner._loop.stay_awake(self.until)
        self._hand_over_aside()
        if self.waiting:
            self._wait_on()

    def hand_over(self) -> None:
        """Emit what has a listener now and need not wait any longer."""
        if self._owner._kept is not self or self._owner._is_paused():
            return  # after resume() this is called again
        while True:
            if self.is_over():
                self._drop_unheard()
            index = self._next()
            if index is None:
                break
            with self._owner._lock:
                kept = self.waiting.pop(index)
            self._size -= _size_of(kept.args)
            if kept.event == 'close':  # nothing that was before it may follow
                self._drop_first(index)
            self._owner._dispatch_as_of_now(kept.event, kept.args)
        if self.waiting:
            self._wait_on()
        else:
            self._emptied()

    def _wait_on(self) -> None:
        self._look_later()
        if self._at_the_end is not None:
            self._hold_or_release()

    def _next(self) -> Optional[int]:
        """Which one to emit next."""
        with self._owner._lock:  # else somebody may attach listeners between the first look and the second
            if self._owner._loop.awake >= self.settled:
                for index, kept in enumerate(self.waiting):
                    if self._owner.listenerCount(kept.event):
                        return index
        return None

    def keep_no_longer(self) -> None:
        """Emit what has a listener, and drop the rest: there is no time to wait for more."""
        with self._owner._lock:
            self.settled = self.until = 0.0
        self.hand_over()

    def _drop_unheard(self) -> None:
        owner = self._owner
        with owner._lock:
            unheard = [kept for kept in self.waiting if not owner.listenerCount(kept.event)]
            self.waiting = [kept for kept in self.waiting if owner.listenerCount(kept.event)]
        self._report_errors(unheard)

    def _drop_first(self, count: int) -> None:
        with self._owner._lock:
            dropped, self.waiting = self.waiting[:count], self.waiting[count:]
        self._report_errors(dropped)

    def _report_errors(self, dropped: list[_Kept]) -> None:
        for kept in dropped:
            if kept.reported:
                self._owner._report_unheard(kept.args[0])

    def owner_ended(self, callbacks: Sequence[Callable[[], object]]) -> None:
        """No event will be added any more. The last one is emitted before `callbacks` are called, if it is heard."""
        if not self._owner.listenerCount(self.waiting[-1].event):
            _call(callbacks)
            callbacks = ()
        self._at_the_end = callbacks
        self._hold_or_release()

    def _hold_or_release(self) -> None:
        """After the owner's end, the loop thread stays for what a timer will bring to somebody: not for events that
        nobody listens to. A listener that comes for them starts it again."""
        owner = self._owner
        if any(kept.reported or owner.listenerCount(kept.event) for kept in self.waiting):
            owner._loop.hold(owner)
        else:
            owner._loop.release(owner)

    def _emptied(self) -> None:
        self._size = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.is_over():
            self._owner._keep_no_more()
        self._owner._hold_reading(False)
        if self._at_the_end is not None:
            self._owner._end_of_events(self._at_the_end)

    def _look_later(self) -> None:
        """Look again when something may pass what it waits behind, or when the second is over."""
        if self._timer is not None:
            self._timer.cancel()
        owner = self._owner
        heard = any(owner.listenerCount(kept.event) for kept in self.waiting)
        seconds = (self.settled if heard else self.until) - owner._loop.awake
        # By a clock that goes in steps, and may stand still: if it is too early then, this is set again.
        self._timer = owner._loop.call_later(max(seconds * 1000, HEARTBEAT) if seconds > 0 else 0, self.hand_over)


def _call(callbacks: Sequence[Callable[[], object]]) -> None:
    for callback in callbacks:
        callback()


def _size_of(args: tuple[Any, ...]) -> int:
    data = args[0] if args else None
    if isinstance(data, list):  # the fragments of a message
        return _OVERHEAD + sum(map(len, data))
    if isinstance(data, BytesIO):
        data = data.getvalue()
    return _OVERHEAD + (len(data) if isinstance(data, (str, bytes, bytearray)) else 0)


def report(error: BaseException) -> None:
    """An error that nobody listens to: to :func:`threading.excepthook`, as what a thread died of."""
    try:
        raise error
    except BaseException:
        report_exception()
    finally:
        del error  # the traceback refers to this frame, and this frame must not refer back
