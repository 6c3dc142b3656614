"""EventEmitter: Node's names and habits on top of pyee."""

from __future__ import annotations

import functools
import pickle
import sys
import threading
from typing import Any
from unittest import mock

import pytest
from pyee import EventEmitter as PyeeEventEmitter
from pyee import PyeeError
from support import TIMEOUT

from ws import EventEmitter


@pytest.fixture
def emitter() -> EventEmitter:
    return EventEmitter()


@pytest.fixture
def heard() -> list[Any]:
    return []


# -- attaching and removing -------------------------------------------------------------------------------------------


def test_it_is_one_of_pyee_s(emitter: EventEmitter) -> None:
    assert isinstance(emitter, PyeeEventEmitter)


def test_attaching_returns_the_emitter_for_chains(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.on('a', heard.append).once('a', heard.append).addListener('a', heard.append)
    emitter.prependListener('a', heard.append).prependOnceListener('a', heard.append)
    assert emitter.listenerCount('a') == 5  # the same function, as often as it was attached
    assert emitter.off('a', heard.append).removeListener('a', print).removeAllListeners('b') is emitter
    assert emitter.listenerCount('a') == 4


def test_as_decorators(emitter: EventEmitter, heard: list[Any]) -> None:
    @emitter.on('a')
    def always() -> None:
        heard.append('always')

    @emitter.once('a')
    def only_once() -> None:
        heard.append('once')

    emitter.emit('a')
    emitter.emit('a')
    assert heard == ['always', 'once', 'always']
    assert callable(always) and callable(only_once)


def test_pyee_s_own_names(emitter: EventEmitter, heard: list[Any]) -> None:
    assert emitter.add_listener('a', heard.append) == heard.append
    assert emitter.listens_to('b')(heard.append) == heard.append
    assert emitter.event_names() == {'a', 'b'}
    emitter.remove_listener('a', heard.append)
    emitter.remove_listener('a', heard.append)  # Node says nothing about one that isn't there
    emitter.remove_all_listeners('b')
    assert emitter.event_names() == set()
    emitter.on('c', print)
    emitter.remove_all_listeners()
    assert emitter.eventNames() == []


def test_order(emitter: EventEmitter, heard: list[Any]) -> None:
    for name in 'abc':
        emitter.on('x', lambda name=name: heard.append(name))  # type: ignore[misc]
    emitter.prependListener('x', lambda: heard.append('first'))
    assert emitter.emit('x', 'd') is True
    assert heard == ['first', 'a', 'b', 'c']


def test_removing_takes_the_last_one(emitter: EventEmitter, heard: list[Any]) -> None:
    def one() -> None:
        heard.append(1)

    emitter.on('x', one).on('x', lambda: heard.append(2)).on('x', one)
    emitter.off('x', one)
    emitter.emit('x')
    assert heard == [1, 2]


def test_methods_can_be_removed(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.on('x', heard.append)
    emitter.off('x', heard.append)  # another bound method, the same function
    assert emitter.listeners('x') == []


def test_listeners_shows_what_was_attached(emitter: EventEmitter) -> None:
    emitter.on('x', print).once('x', len)
    assert emitter.listeners('x') == [print, len]
    assert emitter.listeners('y') == []
    assert emitter.eventNames() == ['x']


@pytest.mark.parametrize('listener', [None, 'text', 5])
def test_only_what_can_be_called_can_listen(emitter: EventEmitter, listener: Any) -> None:
    for attach in (emitter.addListener, emitter.prependListener, emitter.add_listener):
        with pytest.raises(TypeError, match='a listener must be callable'):
            attach('x', listener)


# -- emitting ---------------------------------------------------------------------------------------------------------


def test_emit_tells_whether_anybody_listened(emitter: EventEmitter) -> None:
    assert emitter.emit('x') is False
    emitter.on('x', lambda: None)
    assert emitter.emit('x') is True


def test_changes_while_emitting_count_from_the_next_time(emitter: EventEmitter, heard: list[Any]) -> None:
    def first() -> None:
        heard.append('first')
        emitter.off('x', second)
        emitter.on('x', lambda: heard.append('new'))

    def second() -> None:
        heard.append('second')

    emitter.on('x', first).on('x', second)
    emitter.emit('x')
    assert heard == ['first', 'second']
    emitter.emit('x')
    assert heard == ['first', 'second', 'first', 'new']


def test_once_inside_itself(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.once('x', lambda: (heard.append(1), emitter.emit('x')))
    emitter.emit('x')
    assert heard == [1]


def test_what_a_listener_raises_comes_out(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.on('x', lambda: 1 // 0).on('x', lambda: heard.append('not called'))
    with pytest.raises(ZeroDivisionError):
        emitter.emit('x')
    assert heard == []


def test_an_error_without_a_listener_is_raised(emitter: EventEmitter, heard: list[Any]) -> None:
    with pytest.raises(LookupError, match='this one'):
        emitter.emit('error', LookupError('this one'))
    emitter.on('error', heard.append)
    emitter.emit('error', 'text')
    assert heard == ['text']


@pytest.mark.parametrize('args', [(), ('text',), (None,), (KeyboardInterrupt(),)])
def test_an_error_that_is_none_is_raised_as_pyee_does(emitter: EventEmitter, args: tuple[Any, ...]) -> None:
    with pytest.raises(PyeeError, match="Uncaught, unspecified 'error' event"):
        emitter.emit('error', *args)


def test_an_error_that_a_once_listener_took_is_raised_the_next_time(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.once('error', heard.append)
    assert emitter.emit('error', 'first') is True
    with pytest.raises(LookupError):
        emitter.emit('error', LookupError())
    assert heard == ['first']


def test_once_listeners_removed_while_emitting_are_not_called(emitter: EventEmitter, heard: list[Any]) -> None:
    """As in pyee; those attached with `on` still are, as everywhere."""

    def second() -> None:
        heard.append('second')

    emitter.on('x', lambda: emitter.removeAllListeners()).once('x', second).on('x', lambda: heard.append('third'))
    emitter.emit('x')
    assert heard == ['third']
    assert emitter.emit('x') is False


def test_a_once_listener_is_removed_by_the_function_that_was_given(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.once('x', heard.append)
    emitter.off('x', heard.append)
    assert emitter.emit('x', 1) is False
    assert emitter.eventNames() == []


def test_a_once_listener_that_raises_is_gone(emitter: EventEmitter) -> None:
    emitter.once('x', lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        emitter.emit('x')
    assert emitter.emit('x') is False


@pytest.mark.parametrize('event', ['', 5, ('a', 'tuple'), None, object()])
def test_events_have_names_of_any_kind(emitter: EventEmitter, heard: list[Any], event: Any) -> None:
    emitter.addListener(event, heard.append)
    assert emitter.emit(event, 1) is True
    assert emitter.eventNames() == [event]
    assert heard == [1]


def test_keywords_are_handed_on(emitter: EventEmitter, heard: list[Any]) -> None:
    emitter.on('x', lambda a, b=0: heard.append((a, b)))
    emitter.emit('x', 1, b=2)
    emitter.emit('x', a=3)
    assert heard == [(1, 2), (3, 0)]


def test_emitters_can_be_pickled(emitter: EventEmitter) -> None:
    """As pyee's: without their lock, and the new one must be of our kind."""
    emitter.on('x', print)
    other = pickle.loads(pickle.dumps(emitter))
    assert other.listeners('x') == [print]
    worker = threading.Thread(target=other.off, args=('x', print), daemon=True)
    worker.start()
    worker.join(TIMEOUT)
    assert not worker.is_alive()
    assert other.listeners('x') == []
    assert emitter.listeners('x') == [print]


def test_raw_listeners(emitter: EventEmitter, heard: list[Any]) -> None:
    """As Node's: what is attached by once() detaches itself, whoever calls it."""
    emitter.on('x', heard.append).once('x', heard.append)
    always, once = emitter.rawListeners('x')
    assert always == once.listener == heard.append  # type: ignore[attr-defined]
    once(1, 2)
    once(1, 2)
    always(3)
    assert heard == [1, 3]
    assert emitter.listeners('x') == [heard.append]
    assert emitter.rawListeners('y') == []


def test_the_eleventh_listener_gets_a_warning(emitter: EventEmitter) -> None:
    """As in Node: of somebody who attaches, and never detaches, another one each time."""
    assert emitter.getMaxListeners() == EventEmitter.defaultMaxListeners == 10
    for _ in range(10):
        emitter.on('x', print)
        emitter.on('y', print)
    with pytest.warns(UserWarning) as caught:
        emitter.prependOnceListener('x', print)
        emitter.on('x', print)
    [warning] = caught
    assert str(warning.message) == (
        "EventEmitter has 11 listeners for 'x': if this is not a leak, raise the limit with setMaxListeners()"
    )
    assert warning.filename == __file__
    assert emitter.listenerCount('x') == 12


@pytest.mark.parametrize('unlimited', [0, float('inf')])
def test_how_many_listeners_are_no_leak_can_be_set(emitter: EventEmitter, unlimited: float) -> None:
    assert emitter.setMaxListeners(1) is emitter
    assert emitter.getMaxListeners() == 1
    emitter.on('x', print)
    with pytest.warns(UserWarning, match="2 listeners for 'x'"):
        emitter.on('x', print)
    emitter.setMaxListeners(unlimited)
    for _ in range(100):
        emitter.on('y', print)
    assert EventEmitter().getMaxListeners() == 10


@pytest.mark.parametrize(
    ('number', 'error'),
    [('5', TypeError), (None, TypeError), (True, TypeError), (-1, ValueError), (float('nan'), ValueError)],
)
def test_what_is_no_number_of_listeners(emitter: EventEmitter, number: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r'^the number of listeners must '):
        emitter.setMaxListeners(number)
    assert emitter.getMaxListeners() == 10


def test_the_default_is_that_of_all_who_have_none(emitter: EventEmitter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventEmitter, 'defaultMaxListeners', 20)
    assert emitter.getMaxListeners() == 20
    assert emitter.setMaxListeners(5).getMaxListeners() == 5


@pytest.mark.parametrize('name', ['newListener', 'new_listener'])
def test_new_listeners_are_announced_before_they_are_attached(
    emitter: EventEmitter, heard: list[Any], name: str
) -> None:
    emitter.on(name, lambda event, f: heard.append((event, f, emitter.listenerCount(event))))
    emitter.on('x', print)
    assert heard == [('x', print, 0)]


# -- arity and `this` -------------------------------------------------------------------------------------------------


class Callable_:
    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard

    def __call__(self, first: Any) -> None:
        self.heard.append((first,))

    def method(self, first: Any, second: Any) -> None:
        self.heard.append((first, second))

    def shared(self, this: Any, first: Any) -> None:
        self.heard.append((type(this), first))

    @classmethod
    def of_class(cls, first: Any) -> None:
        pass


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def described(partial: functools.partial[Any]) -> Any:
    """With name and docstring of the function, as is often done."""
    return functools.update_wrapper(partial, partial.func)


def with_a_first_one(function: Any) -> Any:
    """A decorator that knows more than it is given."""

    @functools.wraps(function)
    def wrapper(message: Any) -> Any:
        return function('extra', message)

    return wrapper


class Decorator:
    def __init__(self, function: Any) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def cached(function: Any) -> Any:
    return functools.lru_cache(function)


class Decorated:
    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard

    @wrapped
    def method(self, first: Any) -> None:
        self.heard.append((first,))


def with_default(heard: list[Any]) -> Any:
    def function(a: Any, b: Any = 5, c: Any = 6) -> None:  # optional parameters, and no captured values
        heard.append((a, b, c))

    return function


@pytest.mark.parametrize(
    ('make', 'expected'),
    [
        (lambda heard: lambda: heard.append(()), ()),
        (lambda heard: lambda a: heard.append((a,)), (1,)),
        (lambda heard: lambda a, b: heard.append((a, b)), (1, 2)),
        (lambda heard: lambda a, b, c: heard.append((a, b, c)), (1, 2, None)),  # JavaScript's undefined
        (lambda heard: lambda a, b=5, c=6: heard.append((a, b, c)), (1, 5, 6)),  # what a loop has captured
        (lambda heard: lambda a=5: heard.append((a,)), (5,)),
        (lambda heard: lambda this, a=5: heard.append((type(this), a)), (EventEmitter, 5)),
        (lambda heard: lambda a, b=5, *args: heard.append((a, b, args)), (1, 5, ())),
        (lambda heard: functools.partial(lambda c, a, b=5: heard.append((c, a, b)), 0), (0, 1, 5)),
        (lambda heard: wrapped(lambda a, b=5: heard.append((a, b))), (1, 5)),
        (lambda heard: with_default(heard), (1, 2, 6)),
        (lambda heard: functools.partial(with_default(heard), 0), (0, 1, 2)),
        (lambda heard: lambda *args: heard.append(args), (1, 2)),
        (lambda heard: lambda a, *args: heard.append((a, args)), (1, (2,))),
        (lambda heard: lambda a, *, b=7: heard.append((a, b)), (1, 7)),
        (lambda heard: functools.partial(lambda a, b: heard.append((a, b)), 'given'), ('given', 1)),
        (lambda heard: functools.partial(lambda a, b: heard.append((a, b)), b='given'), (1, 'given')),
        (lambda heard: wrapped(lambda a: heard.append((a,))), (1,)),
        (lambda heard: wrapped(wrapped(lambda: heard.append(()))), ()),
        (lambda heard: wrapped(lambda this, a: heard.append((type(this), a))), (EventEmitter, 1)),
        (lambda heard: with_a_first_one(lambda a, b: heard.append((a, b))), ('extra', 1)),
        (lambda heard: wrapped(with_a_first_one(lambda a, b: heard.append((a, b)))), ('extra', 1)),
        (lambda heard: Decorator(lambda a: heard.append((a,))), (1,)),
        (lambda heard: Decorated(heard).method, (1,)),
        (lambda heard: cached(lambda a: heard.append((a,))), (1,)),
        (lambda heard: wrapped(functools.partial(lambda a, b: heard.append((a, b)), 'given')), ('given', 1)),
        (lambda heard: described(functools.partial(lambda a, b: heard.append((a, b)), 'given')), ('given', 1)),
        (lambda heard: mock.Mock(side_effect=lambda *args: heard.append(args)), (1, 2)),
        (Callable_, (1,)),
        (lambda heard: Callable_(heard).method, (1, 2)),
        (lambda heard: lambda this: heard.append((type(this),)), (EventEmitter,)),
        (lambda heard: lambda this, a: heard.append((type(this), a)), (EventEmitter, 1)),
        (lambda heard: lambda this, *args: heard.append((type(this), args)), (EventEmitter, (1, 2))),
        (lambda heard: Callable_(heard).shared, (EventEmitter, 1)),
        (lambda heard: lambda a, this: heard.append((a, this)), (1, 2)),  # only the first one is special
    ],
)
def test_a_listener_gets_what_it_can_take(emitter: EventEmitter, heard: list[Any], make: Any, expected: Any) -> None:
    emitter.on('x', make(heard))
    emitter.emit('x', 1, 2)
    assert heard == [expected]


def test_what_cannot_be_inspected_gets_everything(emitter: EventEmitter) -> None:
    emitter.on('x', dict)  # its signature is nowhere to be found
    emitter.emit('x', [(1, 2)])
    emitter.on('x', threading.Event().set)
    emitter.on('x', [].append)
    emitter.on('x', Callable_.of_class)
    emitter.emit('x', [(1, 2)])


def test_builtins_and_classes_get_what_they_can_take(emitter: EventEmitter, capsys: pytest.CaptureFixture[str]) -> None:
    for function in (print, len, Callable_, [].append, list):
        emitter.on('x', function)
    emitter.emit('x', [1], 2, 3)
    assert capsys.readouterr().out == '[1] 2 3\n'


def test_the_emitter_may_be_used_by_whoever_interrupts_it(emitter: EventEmitter, heard: list[Any]) -> None:
    """A signal handler, or a destructor, in the middle of any of its methods."""
    emitter.on('x', heard.append)
    with emitter._lock:
        emitter.once('x', heard.append)
        emitter.emit('x', 1)
        emitter.off('x', heard.append)
    assert heard == [1, 1]


# -- threads ----------------------------------------------------------------------------------------------------------


def test_two_threads_emit_and_a_once_listener_is_called_once(emitter: EventEmitter) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            calls: list[int] = []
            emitter.once('x', lambda calls=calls: calls.append(1))  # type: ignore[misc]
            start = threading.Barrier(2)
            threads = [threading.Thread(target=lambda start=start: (start.wait(), emitter.emit('x'))) for _ in 'ab']
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert calls == [1]
    finally:
        sys.setswitchinterval(before)


def test_attaching_and_emitting_at_once(emitter: EventEmitter) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:

        def attach() -> None:
            for number in range(300):
                emitter.on(f'event {number % 7}', print)
                emitter.off(f'event {number % 7}', print)

        threads = [threading.Thread(target=attach) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            emitter.eventNames()
            emitter.listeners('event 1')
        for thread in threads:
            thread.join()
        assert emitter.eventNames() == []
    finally:
        sys.setswitchinterval(before)
