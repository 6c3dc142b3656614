"""The event emitter: pyee's, with Node's spellings and JavaScript's calling habits."""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, ClassVar, Optional, TypeVar, overload

from pyee import EventEmitter as PyeeEventEmitter

F = TypeVar('F', bound=Callable[..., Any])
E = TypeVar('E', bound='EventEmitter')

_ANY_NUMBER = 1 << 30
# CPython 3.11 raises SystemError when two threads have inspect look at built-in functions at the same time.
_inspecting = threading.RLock()
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_AWAITED = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: Stands for a listener that was not given; None is one that was given, and is wrong.
_MISSING: Any = object()
#: How alike two names must be to be taken for one: `mesage` and `message` are, `connected` and `connection` are not.
_ALIKE = 0.81


class Arity:
    """How many positional arguments a function takes, and whether its first one is named `this`."""

    __slots__ = ('most', 'needed', 'this')

    def __init__(self, names: tuple[str, ...], optional: int, any_number: bool) -> None:
        self.this: bool = names[:1] == ('this',)
        count = len(names) - self.this
        self.needed: int = max(0, count - optional)
        self.most: int = _ANY_NUMBER if any_number else count

    def fit(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """`args` without those the function can't take; what it needs beyond them is None, as in JavaScript."""
        if len(args) > self.most:
            return args[: self.most]
        return args + (None,) * (self.needed - len(args))


def arity_of(function: Callable[..., Any]) -> Arity:
    """What `function` takes. Anything callable will do; what can't be inspected is given everything."""
    arity = _own_arity(function)
    if arity.most < _ANY_NUMBER or not hasattr(function, '__wrapped__'):
        return arity
    # A decorator that passes on whatever it is given: what it is put around decides.
    wrapped = function.__wrapped__
    return arity_of(MethodType(wrapped, function.__self__) if isinstance(function, MethodType) else wrapped)


def _own_arity(function: Callable[..., Any]) -> Arity:
    bound = isinstance(function, MethodType)
    plain = function.__func__ if isinstance(function, MethodType) else function
    if type(plain) is FunctionType:  # the usual case, without inspect's cost
        code = plain.__code__
        names = code.co_varnames[bound : code.co_argcount]
        optional = len(plain.__defaults__ or ())
        return _arity(code, names, optional, bool(code.co_flags & inspect.CO_VARARGS))
    parameters = _parameters(function)
    if parameters is None:
        return Arity((), 0, True)
    positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
    return _arity(
        _code_of(function),
        tuple(parameter.name for parameter in positional),
        sum(parameter.default is not inspect.Parameter.empty for parameter in positional),
        any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters),
    )


def _arity(code: Optional[CodeType], names: tuple[str, ...], optional: int, any_number: bool) -> Arity:
    if optional and code is not None and code.co_name == '<lambda>':
        # In a loop, `lambda message, i=i: ...` is how Python captures a value: no place for an argument of the event.
        return Arity(names[:-optional], 0, False)
    return Arity(names, optional, any_number)


def _parameters(function: Callable[..., Any]) -> Optional[Sequence[inspect.Parameter]]:
    try:
        with _inspecting:
            return list(inspect.signature(function, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):
        return None


def _code_of(function: Callable[..., Any]) -> Optional[CodeType]:
    """That of the function which a partial or a method is made of."""
    code = getattr(_without_partials(function), '__code__', None)
    return code if isinstance(code, CodeType) else None


def _without_partials(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def takes_second(function: Callable[..., Any], name: str) -> bool:
    """Whether the second parameter that `function` has, beside `this`, is named `name`."""
    parameters = _parameters(inspect.unwrap(function)) or ()
    names = [parameter.name for parameter in parameters if parameter.kind in _POSITIONAL]
    return names[1 + (names[:1] == ['this']) :][:1] == [name]


def check_callable(function: object, what: str) -> None:
    """Raises TypeError, about `what`, for anything that can't be called, or that does nothing when it is only
    called."""
    if not callable(function):
        raise TypeError(f'{what} must be callable, not {type(function).__name__}')
    if is_awaited(function):
        raise TypeError(
            f'{what} must not be a coroutine function, which nobody would await: give a function that calls '
            'asyncio.run_coroutine_threadsafe(coroutine, loop)'
        )


def is_awaited(function: Callable[..., Any]) -> bool:
    """Whether calling `function` runs nothing of it yet: it is a coroutine function, or an asynchronous generator."""
    plain = function.__func__ if isinstance(function, MethodType) else function
    if type(plain) is FunctionType:
        return bool(plain.__code__.co_flags & _AWAITED)
    function = _without_partials(function)
    return any(
        test(candidate)
        for test in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for candidate in (function, type(function).__call__)
    )


def fitted(callback: Callable[..., Any], this: object) -> Callable[..., Any]:
    """`callback`, callable with any number of positional arguments (see :class:`Arity`).

    Raises TypeError for anything that is not a callback: see :func:`check_callable`.
    """
    check_callable(callback, 'a callback')
    arity = arity_of(callback)
    if arity.this:
        return lambda *args: callback(this, *arity.fit(args))
    if arity.needed == 0 and arity.most == _ANY_NUMBER:
        return callback
    return lambda *args: callback(*arity.fit(args))


class Listener:
    """A function attached to an event. What it can take is worked out here, once."""

    __slots__ = ('_arity', 'function', 'most', 'needed', 'once', 'this')
    needed: int
    most: int
    this: bool

    def __init__(self, function: Callable[..., Any], once: bool) -> None:
        check_callable(function, 'a listener')
        self.function: Callable[..., Any] = function
        self.once: bool = once
        self._arity = arity = arity_of(function)
        self.needed, self.most, self.this = arity.needed, arity.most, arity.this

    def call(self, emitter: object, args: tuple[Any, ...]) -> None:
        """Call the function, with as many of `args` as it takes."""
        if not self.needed <= len(args) <= self.most:
            args = self._arity.fit(args)
        if self.this:
            self.function(emitter, *args)
        else:
            self.function(*args)


def _check_decorator(event: object) -> None:
    """Raises TypeError for what stands above a function as `@wss.on`, without the name of an event."""
    if callable(event) and not isinstance(event, type):
        raise TypeError("the name of the event is missing: it is @emitter.on('connection'), not @emitter.on")


def nearest(name: str, names: Collection[str]) -> Optional[str]:
    """The one of `names` that `name` may have been meant to be; with `on` before it, it is the browser's name."""
    lowered = name.lower()
    if lowered[:2] == 'on' and lowered[2:] in names:
        return lowered[2:]
    near = difflib.get_close_matches(lowered, names, 1, _ALIKE)
    return near[0] if near else None


def warn_user(text: str) -> None:
    """A warning about the line of the user's program that has called this package, directly or through pyee."""
    frame: Optional[FrameType] = sys._getframe(1)
    level = 2
    while frame is not None and frame.f_globals.get('__name__', '').partition('.')[0] in ('ws', 'pyee'):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def check_listener(listener: object) -> None:
    """Raises TypeError for anything that is not a listener, before there is a server or a connection that nobody could
    close."""
    if listener is not None:
        Listener(listener, once=False)  # type: ignore[arg-type]  # whether it is callable is the question


class EventEmitter(PyeeEventEmitter):
    """pyee's EventEmitter, as a Node programmer knows it.

    - Node's names: ``on``, ``once``, ``off``, ``addListener``, ``removeListener``, ``removeAllListeners``,
      ``prependListener``, ``prependOnceListener``, ``listeners``, ``rawListeners``, ``listenerCount``, ``eventNames``,
      ``setMaxListeners``, ``getMaxListeners``. Given a listener, they return the emitter, so that calls can be chained;
      ``on(event)`` and ``once(event)`` without one are decorators. pyee's own names (``add_listener``, ``listens_to``,
      …) work, too, and return what pyee returns.
    - A listener gets as many positional arguments as it can take; one whose first parameter is named ``this`` gets
      the emitter there.
    - The same function may be attached several times, and removing one that isn't attached does nothing.
    - Any method may be called from any thread. :meth:`emit` calls the listeners where it is called.
    """

    #: How many listeners an event may have until they look like a leak: what :meth:`getMaxListeners` returns for those
    #: that have no number of their own.
    defaultMaxListeners: ClassVar[int] = 10
    _max_listeners: Optional[float] = None

    #: The events that this class emits. Events of its users' own are none of its business, unless they look like these.
    _emits: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        # Reentrant: a signal handler, or a destructor run by the collector, may come here in the middle of it.
        self._lock: Any = threading.RLock()
        # Replaced, never changed in place: who emits iterates over a snapshot, without taking the lock.
        self._listeners: dict[str, tuple[Listener, ...]] = {}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        self._lock = threading.RLock()  # what is pickled goes without

    # -- attaching ---------------------------------------------------------------------------------------------------

    @overload  # type: ignore[override]  # given a listener, Node returns the emitter where pyee returns the listener
    def on(self, event: str) -> Callable[[F], F]: ...

    @overload
    def on(self: E, event: str, f: Callable[..., Any]) -> E: ...

    def on(self, event: str, f: Callable[..., Any] = _MISSING) -> Any:
        """Call `f` on each `event`; without `f`, a decorator that does so."""
        if f is _MISSING:
            _check_decorator(event)
            return self.listens_to(event)
        self._add_event_handler(event, f, f)
        return self

    @overload  # type: ignore[override]  # as above
    def once(self, event: str) -> Callable[[F], F]: ...

    @overload
    def once(self: E, event: str, f: Callable[..., Any]) -> E: ...

    def once(self, event: str, f: Callable[..., Any] = _MISSING) -> Any:
        """Call `f` on the next `event` only; without `f`, a decorator that does so."""
        if f is _MISSING:
            _check_decorator(event)

            def decorate(function: F) -> F:
                self._attach(event, function, once=True)
                return function

            return decorate
        self._attach(event, f, once=True)
        return self

    def addListener(self: E, event: str, listener: Callable[..., Any]) -> E:
        """The same as :meth:`on`."""
        self._attach(event, listener)
        return self

    def prependListener(self: E, event: str, listener: Callable[..., Any]) -> E:
        """As :meth:`on`, but `listener` is called before those that are attached already."""
        self._attach(event, listener, first=True)
        return self

    def prependOnceListener(self: E, event: str, listener: Callable[..., Any]) -> E:
        """As :meth:`once`, but `listener` is called before those that are attached already."""
        self._attach(event, listener, once=True, first=True)
        return self

    def _add_event_handler(self, event: str, k: Callable[..., Any], v: Callable[..., Any]) -> None:
        self._attach(event, k)  # where pyee's own ways of attaching arrive

    def _attach(self, event: str, function: Callable[..., Any], once: bool = False, first: bool = False) -> None:
        self._insert(event, Listener(function, once), first)

    def _insert(self, event: str, listener: Listener, first: bool = False) -> None:
        if self._emits and event not in self._emits:
            self._question(event)
        for name in ('newListener', 'new_listener'):  # Node's name and pyee's; both come before the attaching
            if name in self._listeners:
                self.emit(name, event, listener.function)
        with self._lock:
            attached = self._listeners.get(event, ())
            self._listeners[event] = (listener, *attached) if first else (*attached, listener)
            self._changed(event)
        self._attached(event)
        if len(attached) == self.getMaxListeners() > 0:  # one more, and the first to be too many
            warn_user(
                f'{type(self).__name__} has {len(attached) + 1} listeners for {event!r}: if this is not a leak, raise '
                'the limit with setMaxListeners()'
            )

    def _question(self, event: str) -> None:
        """Somebody listens to an event that this class does not emit."""
        if not isinstance(event, str):
            raise TypeError(f'the name of an event must be a str, not {type(event).__name__}')
        near = nearest(event, self._emits)
        if near is not None:
            warn_user(f'{type(self).__name__} emits no {event!r}; did you mean {near!r}?')

    def _attached(self, event: str) -> None:
        """A listener for `event` has just been attached."""

    def _changed(self, event: Optional[str]) -> None:
        """The listeners of `event`, or of any event, have changed. Called under the lock."""

    # -- removing ----------------------------------------------------------------------------------------------------

    def removeListener(self: E, event: str, listener: Callable[..., Any]) -> E:
        """Detach `listener`, the latest one if it is attached several times; nothing happens if it is not attached."""
        with self._lock:
            for candidate in reversed(self._listeners.get(event, ())):
                if candidate.function == listener:  # not "is": each access to a method makes a new object
                    self._detach(event, candidate)
                    break
        return self

    def off(self: E, event: str, listener: Callable[..., Any]) -> E:
        """The same as :meth:`removeListener`."""
        return self.removeListener(event, listener)

    def remove_listener(self, event: str, f: Callable[..., Any]) -> None:
        """pyee's name for :meth:`removeListener`."""
        self.removeListener(event, f)

    def removeAllListeners(self: E, event: Optional[str] = None) -> E:
        """Detach all listeners of `event`, or of all events."""
        with self._lock:
            if event is None:
                self._listeners.clear()
            else:
                self._listeners.pop(event, None)
            self._changed(event)
        return self

    def remove_all_listeners(self, event: Optional[str] = None) -> None:
        """pyee's name for :meth:`removeAllListeners`."""
        self.removeAllListeners(event)

    def _detach(self, event: str, listener: Listener) -> bool:
        """Whether `listener` was attached; if two threads call this, only one of them is told so."""
        with self._lock:
            attached = self._listeners.get(event, ())
            remaining = tuple(other for other in attached if other is not listener)
            if remaining:
                self._listeners[event] = remaining
            else:
                self._listeners.pop(event, None)
            self._changed(event)
            return len(remaining) < len(attached)

    # -- looking -----------------------------------------------------------------------------------------------------

    def listeners(self, event: str) -> list[Callable[..., Any]]:
        """The functions attached to `event`, in the order they are called."""
        return [listener.function for listener in self._listeners.get(event, ())]

    def rawListeners(self, event: str) -> list[Callable[..., Any]]:
        """As :meth:`listeners`, but with, for a listener attached by :meth:`once`, the function that detaches it when
        it is called; its attribute ``listener`` is the original."""
        return [self._raw(event, listener) for listener in self._listeners.get(event, ())]

    def _raw(self, event: str, listener: Listener) -> Callable[..., Any]:
        if not listener.once:
            return listener.function

        def call_once(*args: Any) -> None:
            if self._detach(event, listener):
                listener.call(self, args)

        call_once.listener = listener.function  # type: ignore[attr-defined]  # as of Node's
        return call_once

    def setMaxListeners(self: E, n: float) -> E:
        """Warn when more than `n` listeners are attached to an event; 0: never. Raises TypeError and ValueError."""
        if isinstance(n, bool) or not isinstance(n, (int, float)):
            raise TypeError(f'the number of listeners must be an int, not {type(n).__name__}')
        if not n >= 0:
            raise ValueError(f'the number of listeners must not be negative: {n}')
        self._max_listeners = n
        return self

    def getMaxListeners(self) -> float:
        """How many listeners an event may have without a warning: 10, or what :meth:`setMaxListeners` was given."""
        return self.defaultMaxListeners if self._max_listeners is None else self._max_listeners

    def listenerCount(self, event: str) -> int:
        """How many listeners `event` has."""
        return len(self._listeners.get(event, ()))

    def eventNames(self) -> list[str]:
        """The events that have listeners."""
        return list(self._listeners)

    def event_names(self) -> set[str]:
        """pyee's name for :meth:`eventNames`."""
        return set(self.eventNames())

    # -- emitting ----------------------------------------------------------------------------------------------------

    def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
        """Call the listeners of `event`, here and now; returns whether there were any.

        An ``error`` event without a listener raises its argument, as in pyee and Node. What a listener raises comes
        out of this call, and the listeners after it are not called.
        """
        listeners = self._listeners.get(event)
        if not listeners:
            self._emit_handle_potential_error(event, args[0] if args else None)
            return False
        for listener in listeners:
            if listener.once and not self._detach(event, listener):
                continue
            if kwargs:  # pyee's, unknown to Node: handed on as they are
                listener.function(*args, **kwargs)
            else:
                listener.call(self, args)
        return True
