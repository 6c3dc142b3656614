"""The interface that WebSockets have in browsers: ``onmessage`` and the like, ``addEventListener``, event objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Optional, Union, overload

from .events import EventEmitter, Listener, check_callable, warn_user
from .protocol.error_codes import NO_STATUS
from .typing import HandlesEvent, ListenerOptions, NoListener

EventListener = Callable[..., Any]

_NORMAL_CLOSURE = 1000  # RFC 6455 section 7.4.1


class Event:
    """What a listener attached with ``addEventListener`` gets. Its attributes can only be read."""

    def __init__(self, type: str) -> None:
        self._type = type
        self._target: Any = None

    @property
    def type(self) -> str:
        return self._type

    @property
    def target(self) -> Any:
        """The WebSocket; None until a listener is given the event."""
        return self._target

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {self.type}>'


class OpenEvent(Event):
    """The connection is open."""


class MessageEvent(Event):
    """A message. Options: ``data`` (str, and ``type`` is 'Text'; or bytes, and ``type`` is 'Binary')."""

    def __init__(self, type: str, options: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(type)
        self._data = _option(options, 'data', None)

    @property
    def data(self) -> Union[str, bytes, Any]:  # only None if nobody gave it
        return self._data


class CloseEvent(Event):
    """The connection has ended. Options: ``code`` (int) and ``reason`` (str) as for the event ``close``; ``wasClean``
    (bool): whether it was a normal end."""

    def __init__(self, type: str, options: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(type)
        self._code: int = _option(options, 'code', 0)
        self._reason: str = _option(options, 'reason', '')
        self._wasClean: bool = _option(options, 'wasClean', False)

    @property
    def code(self) -> int:
        return self._code

    @property
    def reason(self) -> str:
        return self._reason

    @property
    def wasClean(self) -> bool:
        return self._wasClean


class ErrorEvent(Event):
    """What went wrong. Options: ``error`` is the exception, ``message`` its text."""

    def __init__(self, type: str, options: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(type)
        self._error = _option(options, 'error', None)
        self._message: str = _option(options, 'message', '')

    @property
    def error(self) -> Any:
        return self._error

    @property
    def message(self) -> str:
        return self._message

    def __str__(self) -> str:
        return self.message


def _option(options: Optional[Mapping[str, Any]], name: str, default: Any) -> Any:
    value = None if options is None else options.get(name)
    return default if value is None else value


def _emitted(target: object, event: Event) -> Event:
    event._target = target
    return event


def _open_event(target: object) -> Event:
    return _emitted(target, OpenEvent('open'))


def _message_event(target: object, data: Union[str, bytes, None] = None, flags: Any = None) -> Event:
    event = MessageEvent.__new__(MessageEvent)  # as its constructor does, without the dict: there may be many of these
    event._type = 'Binary' if flags is not None and flags.binary else 'Text'
    event._target = target
    event._data = data
    return event


def _close_event(target: object, code: Optional[int] = None, reason: str = '') -> Event:
    clean = code in (None, _NORMAL_CLOSURE, NO_STATUS)
    return _emitted(target, CloseEvent('close', {'code': code, 'reason': reason, 'wasClean': clean}))


def _error_event(target: object, error: object = None, *more: object) -> Event:
    return _emitted(target, ErrorEvent('error', {'error': error, 'message': str(error)}))


_EVENTS: dict[str, Callable[..., Event]] = {
    'open': _open_event,
    'message': _message_event,
    'close': _close_event,
    'error': _error_event,
}


class _EventListener(Listener):
    """A listener that is given one event object instead of the event's arguments."""

    __slots__ = ('_make_event', 'is_property')

    def __init__(
        self, function: EventListener, once: bool, make_event: Callable[..., Event], is_property: bool = False
    ) -> None:
        super().__init__(function, once)
        self._make_event = make_event
        self.is_property = is_property  # the one that ``onmessage`` and its like hold

    def call(self, emitter: object, args: tuple[Any, ...]) -> None:
        super().call(emitter, (self._make_event(emitter, *args),))


def _function_of(listener: Any) -> Any:
    """What is called: `listener`, or its method ``handleEvent``. Two of the same object are equal."""
    return getattr(listener, 'handleEvent', listener) if not callable(listener) else listener


def _on(event: str) -> property:
    """The property ``on<event>``: at most one listener; setting another one replaces it."""

    def get(self: EventTarget) -> Optional[EventListener]:
        listener = self._property_listener(event)
        return None if listener is None else listener.function

    def set_(self: EventTarget, function: Optional[EventListener]) -> None:
        # Both first: what is not callable raises TypeError, and the former one stays.
        if function is not None:
            check_callable(function, f'on{event}')
        new = None if function is None else _EventListener(function, False, _EVENTS[event], True)
        with self._lock:  # an event on its way must find one of the two, and not both
            old = self._property_listener(event)
            if old is None:
                if new is not None:
                    self._insert(event, new)
            elif new is None:
                self._detach(event, old)
            else:
                attached = self._listeners[event]
                self._listeners[event] = tuple(new if listener is old else listener for listener in attached)
                self._changed(event)

    return property(get, set_, doc=f'The function called with the event object of each ``{event}``, or None.')


class EventTarget(EventEmitter):
    """The browser WebSocket's interface for events, on top of the emitter."""

    if TYPE_CHECKING:
        onopen: Union[Callable[[OpenEvent], object], NoListener, None]
        onmessage: Union[Callable[[MessageEvent], object], NoListener, None]
        onclose: Union[Callable[[CloseEvent], object], NoListener, None]
        onerror: Union[Callable[[ErrorEvent], object], NoListener, None]
    else:
        onopen = _on('open')
        onmessage = _on('message')
        onclose = _on('close')
        onerror = _on('error')

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _misspelt or name in self.__dict__]

    @overload
    def addEventListener(
        self,
        type: Literal['open'],
        listener: Union[Callable[[OpenEvent], object], HandlesEvent[OpenEvent], NoListener, None],
        options: Union[ListenerOptions, bool, None] = None,
    ) -> None: ...
    @overload
    def addEventListener(
        self,
        type: Literal['message'],
        listener: Union[Callable[[MessageEvent], object], HandlesEvent[MessageEvent], NoListener, None],
        options: Union[ListenerOptions, bool, None] = None,
    ) -> None: ...
    @overload
    def addEventListener(
        self,
        type: Literal['close'],
        listener: Union[Callable[[CloseEvent], object], HandlesEvent[CloseEvent], NoListener, None],
        options: Union[ListenerOptions, bool, None] = None,
    ) -> None: ...
    @overload
    def addEventListener(
        self,
        type: Literal['error'],
        listener: Union[Callable[[ErrorEvent], object], HandlesEvent[ErrorEvent], NoListener, None],
        options: Union[ListenerOptions, bool, None] = None,
    ) -> None: ...
    def addEventListener(
        self,
        type: str,
        listener: Union[EventListener, HandlesEvent[Any], None],
        options: Union[Mapping[str, Any], bool, None] = None,
    ) -> None:
        """Call ``listener(event)`` on each ``open``, ``message``, ``close`` or ``error``; if `listener` is an object
        that can't be called, its method ``handleEvent(event)``. Options: ``once`` (bool).

        A listener that is attached already is not attached again. For any other `type`, this is :meth:`on`. A
        `listener` of None is ignored, as in Node; anything else that can't be called raises TypeError.
        """
        if listener is None:
            return
        function = _function_of(listener)
        once = isinstance(options, Mapping) and bool(options.get('once'))
        if type not in _EVENTS:
            self._insert(type, Listener(function, once))
            return
        new = _EventListener(function, once, _EVENTS[type])
        with self._lock:
            if self._added_listener(type, function) is None:
                self._insert(type, new)

    def removeEventListener(self, type: str, listener: Union[EventListener, HandlesEvent[Any], None]) -> None:
        """Detach what :meth:`addEventListener` has attached; nothing happens if it is not attached."""
        if listener is None:
            return
        function = _function_of(listener)
        if type not in _EVENTS:
            self.removeListener(type, function)
            return
        with self._lock:
            added = self._added_listener(type, function)
            if added is not None:
                self._detach(type, added)

    def _property_listener(self, event: str) -> Optional[_EventListener]:
        for listener in self._listeners.get(event, ()):
            if isinstance(listener, _EventListener) and listener.is_property:
                return listener
        return None

    def _added_listener(self, event: str, function: EventListener) -> Optional[_EventListener]:
        for listener in self._listeners.get(event, ()):
            if isinstance(listener, _EventListener) and not listener.is_property and listener.function == function:
                return listener
        return None


class _Misspelt:
    """An attribute whose name looks like ``onmessage`` or one of its sisters: whoever puts a function there is told so.

    A ``__setattr__`` would find more of them, and make each attribute of a connection twenty times as slow to set.
    """

    def __init__(self, name: str, meant: str) -> None:
        self._name = name
        self._meant = meant

    def __get__(self, instance: Optional[EventTarget], owner: object) -> Any:
        if instance is None or self._name not in instance.__dict__:
            raise AttributeError(f'there is no {self._name}; did you mean {self._meant}?')
        return instance.__dict__[self._name]

    def __set__(self, instance: EventTarget, value: object) -> None:
        if callable(value):
            warn_user(f'{type(instance).__name__} never calls {self._name}; did you mean {self._meant}?')
        instance.__dict__[self._name] = value

    def __delete__(self, instance: EventTarget) -> None:
        self.__get__(instance, None)
        del instance.__dict__[self._name]


def _misspellings(event: str) -> Iterator[str]:
    yield from (f'on{event.capitalize()}', f'on_{event}', f'on{event}s', f'on{event}d', f'on{event}ed')
    for at, letter in enumerate(event):
        before, after = event[:at], event[at + 1 :]
        yield f'on{before}{after}'
        yield f'on{before}{letter}{letter}{after}'
        yield f'on{before}{after[:1]}{letter}{after[1:]}'


_misspelt = {name: f'on{event}' for event in _EVENTS for name in _misspellings(event) if name[2:] != event}
for _name, _meant in _misspelt.items():
    setattr(EventTarget, _name, _Misspelt(_name, _meant))
