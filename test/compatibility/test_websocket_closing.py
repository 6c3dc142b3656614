"""Items 71 to 83 of the original's suite: close, and the face that WebSockets have in browsers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compatibility.peers import connected, peer, silence
from loop_timers import held_up
from support import Waiter, client, end, server

from ws import NotOpenError, WebSocket, WebSocketError

# -- close ------------------------------------------------------------------------------------------------------------


def test_071_close_while_a_file_is_sent(tmp_path: Path) -> None:
    path = tmp_path / 'textfile'
    path.write_bytes(b'Lorem ipsum\n' * 1000)
    with peer() as mini:
        ws = WebSocket(mini.url)
        happened = Waiter()
        ws.on('close', lambda: happened('close'))

        @ws.on('open')
        def opened() -> None:
            ws.send(open(path, 'rb'), lambda error: happened('sent', error))  # noqa: SIM115  # ws closes it
            ws.close(1000, 'foobar')

        kind, error = happened.get()
        assert (kind, type(error)) == ('sent', NotOpenError)
        assert happened.get() == ('close',)


def test_072_close_with_something_else_than_a_code() -> None:
    closed = Waiter()
    with connected() as (ws, _):
        ws.on('close', closed)
        with pytest.raises(WebSocketError, match=r'^first argument must be a valid error code number$'):
            ws.close('error')  # type: ignore[arg-type]
        assert closed.get() == (1006, '')


def test_073_close_with_a_reserved_code() -> None:
    closed = Waiter()
    with connected() as (ws, _):
        ws.on('close', closed)
        with pytest.raises(WebSocketError, match=r'^first argument must be a valid error code number$'):
            ws.close(1004)
        assert closed.get() == (1006, '')


def test_074_close_without_a_reason() -> None:
    with connected() as (ws, mini):
        ws.close(1000)
        assert mini.received.get()[:3] == ('close', 1000, '')


def test_075_close_with_a_reason() -> None:
    with connected() as (ws, mini):
        ws.close(1000, 'some reason')
        kind, code, reason, flags = mini.received.get()
        assert (kind, code, reason, flags.masked) == ('close', 1000, 'some reason', True)


def test_076_close_with_a_third_argument() -> None:
    with connected() as (ws, mini):
        ws.close(1000, 'some reason', {'mask': True})
        kind, code, reason, flags = mini.received.get()
        assert (kind, code, reason, flags.masked) == ('close', 1000, 'some reason', True)


def test_077_close_ends_in_a_close_event() -> None:
    """Decision `close` event's code: the one the peer has answered with."""
    with connected() as (ws, _):
        assert end(ws, 'close', 1000, 'some reason', {'mask': True}) == (1000, '')


# -- the W3C's interface ----------------------------------------------------------------------------------------------


def test_078_the_properties_for_events() -> None:
    with silence() as url:
        ws = WebSocket(url)
        for name in 'onopen', 'onmessage', 'onclose', 'onerror':
            listener = Waiter()
            setattr(ws, name, listener)
            assert getattr(ws, name) is listener
        end(ws)


def test_079_properties_beside_listeners() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('foo'))
        happened = Waiter()

        def onmessage(messageEvent: Any) -> None:
            happened('onmessage', messageEvent.data)
            ws.close()

        with held_up():
            ws = client(wss)
            ws.onopen = lambda: happened('onopen')
            ws.on('open', lambda: happened('open'))
            ws.on('message', lambda message: happened('message', message))
            ws.onmessage = onmessage
            ws.on('close', lambda: happened('close'))
            ws.onclose = lambda: happened('onclose')
        expected = [('onopen',), ('open',), ('message', 'foo'), ('onmessage', 'foo'), ('close',), ('onclose',)]
        assert [happened.get() for _ in expected] == expected
        assert happened.nothing(0)


def test_080_add_event_listener() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hi'))
        ws = client(wss)
        events = Waiter()
        ws.addEventListener('message', events)
        (event,) = events.get()
        assert event.data == 'hi'


def close_event(*args: Any) -> Any:
    """What ``onclose`` is given when the server closes the connection."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.close(*args))
        ws = client(wss)
        events = Waiter()
        ws.addEventListener('close', events)
        (event,) = events.get()
        return event


def test_081_a_close_event_of_code_1000() -> None:
    event = close_event(1000)
    assert event.wasClean
    assert event.code == 1000


def test_082_a_close_event_of_another_code() -> None:
    event = close_event(1001, 'some daft reason')
    assert not event.wasClean
    assert event.code == 1001
    assert event.reason == 'some daft reason'


def test_083_the_target_of_events() -> None:
    """Decision: listeners for ``error`` get an ErrorEvent (0.4.31: the error itself, with a ``target``)."""
    with server() as wss:
        wss.on('connection', lambda client: client.send('hi'))
        ws = client(wss)
        happened = Waiter()

        def onmessage(event: Any) -> None:
            happened('message', event.target)
            ws.close()

        def onclose(event: Any) -> None:
            happened('close', event.target)
            ws.emit('error', Exception('forced'))

        def onerror(event: Any) -> None:
            happened('error', event.target, event.message)

        ws.addEventListener('open', lambda event: happened('open', event.target))
        ws.addEventListener('message', onmessage)
        ws.addEventListener('close', onclose)
        ws.addEventListener('error', onerror)
        expected: list[Any] = [('open', ws), ('message', ws), ('close', ws), ('error', ws, 'forced')]
        assert [happened.get() for _ in expected] == expected
