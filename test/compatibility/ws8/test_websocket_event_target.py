"""Tests W135 to W147 of ws 8's suite: the face that WebSockets have in browsers.

W139 stands beside the tests of ``handleEvent`` and ``once``, W148 and W149 beside those of ``binaryType``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from compatibility.peers import silence
from compatibility.ws8.clients import pair
from loop_timers import held_up
from support import Waiter, client, end, server

from ws import WebSocket
from ws.event_target import CloseEvent, ErrorEvent, Event, MessageEvent


@pytest.fixture
def ws() -> Iterator[WebSocket]:
    """One that is CONNECTING."""
    with silence() as url:
        ws = WebSocket(url)
        yield ws
        end(ws)


def nothing(*arguments: object) -> None:
    pass


# -- properties and listeners ------------------------------------------------------------------------------------------


def test_w135_the_properties_hold_functions(ws: WebSocket) -> None:
    """What is no function raises, and the one before stays; ws 8 takes that one away without a word."""
    for event in 'open', 'message', 'close', 'error':
        name = f'on{event}'
        assert name in dir(WebSocket)
        assert getattr(ws, name) is None
        setattr(ws, name, nothing)
        assert getattr(ws, name) is nothing
        with pytest.raises(TypeError, match=name):
            setattr(ws, name, 'foo')
        assert getattr(ws, name) is nothing
        setattr(ws, name, None)
        assert getattr(ws, name) is None
        assert ws.listenerCount(event) == 0


def test_w136_the_properties_are_called() -> None:
    """The code is 1000, which ``close()`` sends: W121."""
    with server() as wss:
        wss.on('connection', lambda peer: peer.on('message', lambda data: peer.send(data)))
        ws = client(wss)
        happened = Waiter()

        def onmessage(event: MessageEvent) -> None:
            happened(event.data)
            ws.onclose = lambda event: happened(event.wasClean, event.code, event.reason)
            ws.close()

        ws.onmessage = onmessage
        ws.onopen = lambda: ws.send('foo')
        assert happened.get() == ('foo',)
        assert happened.get() == (True, 1000, '')


def test_w137_a_property_is_not_what_on_has_attached(ws: WebSocket) -> None:
    ws.on('open', nothing)
    assert ws.listeners('open') == [nothing]
    assert ws.onopen is None


def test_w138_a_property_takes_no_listener_of_on_away(ws: WebSocket) -> None:
    ws.on('close', nothing)
    for _ in range(2):
        ws.onclose = nothing
        assert ws.listeners('close') == [nothing, nothing]
    ws.onclose = None
    assert ws.listeners('close') == [nothing]


def test_w140_a_property_is_not_what_add_event_listener_has_attached(ws: WebSocket) -> None:
    ws.addEventListener('open', nothing)
    assert ws.listeners('open') == [nothing]
    assert ws.onopen is None


def test_w141_a_property_takes_no_event_listener_away(ws: WebSocket) -> None:
    ws.addEventListener('close', nothing)
    for _ in range(2):
        ws.onclose = nothing
        assert ws.listeners('close') == [nothing, nothing]
    ws.onclose = None
    assert ws.listeners('close') == [nothing]


def test_w142_remove_event_listener(ws: WebSocket) -> None:
    for options in {}, {'once': True}:
        for event in 'message', 'open':
            ws.addEventListener(event, nothing, options)
            ws.removeEventListener(event, print)
            assert ws.listeners(event) == [nothing]
            ws.removeEventListener(event, nothing)
            assert ws.listeners(event) == []
    # What others have attached is theirs.
    ws.on('message', nothing)
    ws.onclose = nothing
    for event in 'message', 'close':
        ws.removeEventListener(event, nothing)
        assert ws.listeners(event) == [nothing]


# -- events ------------------------------------------------------------------------------------------------------------


def test_w143_a_message_event() -> None:
    with server() as wss:
        wss.on('connection', lambda peer: peer.on('message', lambda data: peer.send(data)))
        ws = client(wss)
        events = Waiter()
        ws.addEventListener('open', lambda: ws.send('hi'))
        ws.addEventListener('message', events)
        (event,) = events.get()
        assert isinstance(event, MessageEvent)
        assert event.data == 'hi'
        end(ws)


def close_event(*arguments: Any) -> CloseEvent:
    """What a client gets whose server calls ``close`` with these arguments."""
    with server() as wss:
        wss.on('connection', lambda peer: peer.close(*arguments))
        events = Waiter()
        client(wss).addEventListener('close', events)
        (event,) = events.get()
        assert isinstance(event, CloseEvent)
        return event


def test_w144_a_close_event_of_code_1000() -> None:
    event = close_event(1000)
    assert (event.wasClean, event.code, event.reason) == (True, 1000, '')


def test_w145_a_close_event_of_code_4000() -> None:
    """In ws 8 it is a clean end if there were two close frames; here, as a test of 0.4.31 asks for it, not with this
    code. That there were two says the code: without them it is 1006."""
    event = close_event(4000, 'some daft reason')
    assert (event.wasClean, event.code, event.reason) == (False, 4000, 'some daft reason')


def test_w146_the_target_and_the_type_of_events() -> None:
    """The type of a message is that of its data, as in 0.4.31; in ws 8 it is 'message'."""
    with server() as wss:
        wss.on('connection', lambda peer: peer.send('hi'))
        events = Waiter()
        forced = Exception('forced')
        with held_up():
            ws = client(wss)
            for name in 'open', 'message', 'close', 'error':
                ws.addEventListener(name, events)  # type: ignore[call-overload]
            ws.on('message', lambda: ws.close())
            ws.on('close', lambda: ws.emit('error', forced))
        found = [events.get()[0] for _ in range(4)]
        assert all(isinstance(event, Event) and event.target is ws for event in found)
        assert [event.type for event in found] == ['open', 'Text', 'close', 'error']
        _, message, close, error = found
        assert isinstance(message, MessageEvent) and isinstance(close, CloseEvent)
        assert isinstance(error, ErrorEvent)
        assert (error.error, error.message) == (forced, 'forced')


def test_w147_binary_data_is_bytes() -> None:
    with pair() as (ws, peer):
        events = Waiter()
        ws.onmessage = events
        peer.send(bytearray(4096))
        (event,) = events.get()
        assert event.data == bytes(4096) and type(event.data) is bytes
