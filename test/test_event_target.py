"""The face that WebSockets have in browsers: properties, addEventListener, event objects."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from loop_timers import held_up
from support import Waiter, client, end, on_loop, server, until

from ws import NotOpenError, WebSocket
from ws.event_target import CloseEvent, ErrorEvent, EventTarget, MessageEvent, OpenEvent

EVENTS = ['open', 'message', 'close', 'error']


# -- the events of a connection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('how', ['properties', 'addEventListener'])
def test_the_only_listener_gets_an_event_object(how: str, pair: tuple[WebSocket, WebSocket]) -> None:
    for ws, sender in (pair, pair[::-1]):
        # Not while a client that is new keeps events for listeners to come.
        until(lambda ws=ws: ws._kept is None or ws._kept.is_over())  # type: ignore[misc]
        events = Waiter()
        if how == 'properties':
            ws.onmessage = events
        else:
            ws.addEventListener('message', events)
        for data in ('one', b'two', 'three'):
            sender.send(data)
            (event,) = events.get()
            assert (type(event), event.data, event.target) == (MessageEvent, data, ws)


@pytest.mark.parametrize('how', ['properties', 'addEventListener'])
def test_a_conversation(how: str) -> None:
    """Items 79, 80 and 83."""
    with server() as wss:
        wss.on('connection', lambda ws: [ws.send('text'), ws.send(b'bytes')])
        events, plain = Waiter(), Waiter()
        with held_up():
            ws = client(wss)
            for name in EVENTS:
                if how == 'properties':
                    setattr(ws, f'on{name}', events)
                else:
                    ws.addEventListener(name, events)
                ws.on(name, lambda *arguments, name=name: plain(name))
        (opened,) = events.get()
        assert (type(opened), opened.type, opened.target) == (OpenEvent, 'open', ws)
        (text,) = events.get()
        assert (type(text), text.type, text.data, text.target) == (MessageEvent, 'Text', 'text', ws)
        (binary,) = events.get()
        assert (type(binary), binary.type, binary.data, binary.target) == (MessageEvent, 'Binary', b'bytes', ws)
        ws.close(1000, 'enough')
        (closed,) = events.get()
        assert (type(closed), closed.type, closed.target) == (CloseEvent, 'close', ws)
        assert (closed.code, closed.reason, closed.wasClean) == (1000, 'enough', True)
        assert [plain.get()[0] for _ in range(4)] == ['open', 'message', 'message', 'close']
        assert events.nothing(0.02)


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        ((1000,), (True, 1000, '')),
        ((1001, 'some daft reason'), (False, 1001, 'some daft reason')),
        ((3000, 'über'), (False, 3000, 'über')),
    ],
)
def test_how_it_was_closed(pair: tuple[WebSocket, WebSocket], arguments: Any, expected: Any) -> None:
    """Items 81 and 82."""
    ws, peer = pair
    events = Waiter()
    ws.onclose = events
    peer.close(*arguments)
    (event,) = events.get()
    assert (event.wasClean, event.code, event.reason) == expected


def test_a_connection_that_breaks_is_not_clean(pair: tuple[WebSocket, WebSocket]) -> None:
    events = Waiter()
    pair[0].onclose = events
    pair[1].terminate()
    (event,) = events.get()
    assert (event.wasClean, event.code, event.reason) == (False, 1006, '')


def test_a_failed_connection_is_an_error_event() -> None:
    ws = WebSocket('ws://does-not-exist.invalid')
    errors, closes = Waiter(), Waiter()
    ws.onerror, ws.onclose = errors, closes
    (event,) = errors.get()
    assert (type(event), event.type, event.target) == (ErrorEvent, 'error', ws)
    assert isinstance(event.error, OSError)
    assert event.message == str(event) == str(event.error)
    assert closes.get()[0].code == 1006


def test_an_error_emitted_by_the_user(pair: tuple[WebSocket, WebSocket]) -> None:
    """Item 83."""
    ws = pair[0]
    errors = Waiter()
    ws.addEventListener('error', errors)
    ws.addEventListener('close', lambda event: event.target.emit('error', ValueError('forced')))
    ws.close()
    (event,) = errors.get()
    assert event.message == 'forced'
    assert event.target is ws


def test_what_listeners_may_take(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    seen = Waiter()

    def with_this(this: Any, event: Any) -> None:
        seen('this', this is ws, event.data)

    ws.onmessage = lambda: seen('nothing')
    ws.addEventListener('message', with_this)
    ws.addEventListener('message', lambda event, more: seen('more', event.data, more))
    peer.send('x')
    assert [seen.get() for _ in range(3)] == [('nothing',), ('this', True, 'x'), ('more', 'x', None)]


def test_a_listener_that_raises_ends_its_connection(
    pair: tuple[WebSocket, WebSocket], reported: list[BaseException]
) -> None:
    ws, peer = pair
    events = Waiter()
    ws.onmessage = lambda event: event.date  # there is none
    peer.onclose = events
    peer.send('x')
    assert events.get()[0].code == 1011
    assert isinstance(reported.pop(), AttributeError)


def test_events_wait_for_a_late_property() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: (ws.send('early'), connected(ws)))
        ws = client(wss)
        connected.get()
        events = Waiter()
        ws.onopen = events
        ws.onmessage = events
        assert [events.get()[0].type, events.get()[0].type] == ['open', 'Text']
        end(ws)


def test_the_example_of_the_browsers_chat(pair: tuple[WebSocket, WebSocket]) -> None:
    """What is closed in onmessage hears no more of them."""
    ws, peer = pair
    seen = Waiter()

    def onmessage(event: Any) -> None:
        seen(event.data)
        event.target.close()
        with contextlib.suppress(NotOpenError):
            event.target.send('too late')

    ws.onmessage = onmessage
    ws.onclose = lambda event: seen(event.wasClean)
    on_loop(peer, lambda: [peer.send('1'), peer.send('2')])
    assert [seen.get(), seen.get()] == [('1',), (True,)]


# -- properties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', EVENTS)
def test_properties_are_read_back(name: str) -> None:
    """Item 78."""
    target = EventTarget()
    attribute = f'on{name}'
    assert getattr(target, attribute) is None
    first, second = (lambda event: None), (lambda event: None)
    setattr(target, attribute, first)
    assert getattr(target, attribute) is first
    setattr(target, attribute, second)
    assert getattr(target, attribute) is second
    assert target.listeners(name) == [second]
    with pytest.raises(TypeError, match='must be callable, not int'):
        setattr(target, attribute, 5)
    assert getattr(target, attribute) is second
    setattr(target, attribute, None)
    assert getattr(target, attribute) is None
    assert target.eventNames() == []


def test_a_property_leaves_other_listeners_alone() -> None:
    """Node's 0.4.31 detaches them all."""
    target = EventTarget()
    calls: list[Any] = []
    target.on('message', lambda data: calls.append(('on', data)))
    target.addEventListener('message', lambda event: calls.append(('added', event.data)))
    target.onmessage = lambda event: calls.append(('old', event.data))
    target.on('message', lambda data: calls.append(('last', data)))
    target.onmessage = lambda event: calls.append(('new', event.data))  # in the place of the old one, as in browsers
    target.emit('message', 'x')
    assert calls == [('on', 'x'), ('added', 'x'), ('new', 'x'), ('last', 'x')]
    target.onmessage = None
    calls.clear()
    target.emit('message', 'x')
    assert calls == [('on', 'x'), ('added', 'x'), ('last', 'x')]


def test_other_ways_of_detaching_reach_a_property() -> None:
    target = EventTarget()
    function = lambda event: None  # noqa: E731
    target.onopen = function
    target.removeEventListener('open', function)  # that has not been added
    assert target.onopen is function
    target.removeListener('open', function)
    assert target.onopen is None
    target.onopen = function
    target.removeAllListeners('open')
    assert target.onopen is None


def test_a_property_may_change_while_messages_come(pair: tuple[WebSocket, WebSocket]) -> None:
    """None of them is lost, and none is seen twice."""
    ws, peer = pair
    seen = Waiter()
    ws.onmessage = lambda event: seen(event.data)
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            ws.onmessage = lambda event: seen(event.data)

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(2000):
        peer.send(number)
    got = [seen.get()[0] for _ in range(2000)]
    done.set()
    for thread in threads:
        thread.join()
    assert got == [str(number) for number in range(2000)]
    assert seen.nothing(0.02)
    assert ws.listenerCount('message') == 1


# -- addEventListener and removeEventListener -------------------------------------------------------------------------


def test_add_and_remove() -> None:
    target = EventTarget()
    calls: list[Any] = []
    function = lambda event: calls.append(event.data)  # noqa: E731
    target.addEventListener('message', function)
    target.addEventListener('message', function)  # as in browsers: it is attached already
    target.emit('message', 'a')
    target.removeEventListener('message', print)
    target.removeEventListener('close', function)
    target.removeEventListener('message', None)
    target.emit('message', 'b')
    target.removeEventListener('message', function)
    target.removeEventListener('message', function)
    target.emit('message', 'c')
    assert calls == ['a', 'b']
    assert target.eventNames() == []


def test_the_same_function_in_three_ways_is_attached_three_times() -> None:
    target = EventTarget()
    calls: list[Any] = []
    target.on('message', calls.append)
    target.onmessage = calls.append
    target.addEventListener('message', calls.append)
    target.emit('message', 'x')
    assert [getattr(argument, 'data', argument) for argument in calls] == ['x', 'x', 'x']
    target.removeEventListener('message', calls.append)
    assert target.listenerCount('message') == 2
    assert target.onmessage == calls.append


def test_once() -> None:
    target = EventTarget()
    calls: list[Any] = []
    target.addEventListener('open', calls.append, {'once': True})
    target.addEventListener('close', calls.append, True)  # what browsers call useCapture
    target.emit('open')
    target.emit('open')
    assert [event.type for event in calls] == ['open']


def test_any_other_type_is_as_with_on(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    seen = Waiter()
    listener = lambda data, flags: seen(data, flags.masked)  # noqa: E731
    ws.addEventListener('ping', listener)
    peer.ping('x')
    assert seen.get() == (b'x', False)
    ws.removeEventListener('ping', listener)
    assert ws.listenerCount('ping') == 0


@pytest.mark.parametrize('type', ['message', 'ping'])
def test_what_is_no_listener(type: str) -> None:
    target = EventTarget()
    target.addEventListener(type, None)
    for nothing in (5, 'onmessage', object()):
        with pytest.raises(TypeError, match='a listener must be callable'):
            target.addEventListener(type, nothing)  # type: ignore[arg-type]
    assert target.eventNames() == []


# -- event objects ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('code', 'clean'), [(None, True), (1000, True), (1005, True), (1001, False), (1006, False)])
def test_was_clean(code: Any, clean: bool) -> None:
    target = EventTarget()
    events: list[CloseEvent] = []
    target.onclose = events.append
    target.emit('close', code)
    assert events[0].wasClean is clean


def test_events_emitted_by_the_user_without_arguments() -> None:
    target = EventTarget()
    events: list[Any] = []
    for name in EVENTS:
        target.addEventListener(name, events.append)
        target.emit(name)
    opened, message, closed, error = events
    assert (opened.type, message.type, closed.type, error.type) == ('open', 'Text', 'close', 'error')
    assert (message.data, closed.code, closed.reason, error.error) == (None, 0, '', None)
    assert all(event.target is target for event in events)
    assert repr(closed) == '<CloseEvent close>'
