"""Names that mean nothing, and what is said about it there and then."""

from __future__ import annotations

import inspect
import pydoc
import warnings
from typing import Any

import pytest
from arguments.warned import Sink, warnings_of
from support import wait_for

from ws import Sender, WebSocket, WebSocketServer

# -- names that nobody emits ------------------------------------------------------------------------------------------


def connected(*args: Any) -> None:
    pass


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('conection', 'connection'),
        ('Connection', 'connection'),
        ('connections', 'connection'),
        ('connect', 'connection'),
        ('conection/chat', 'connection'),
        ('listning', 'listening'),
        ('header', 'headers'),
        ('onclose', 'close'),
        ('ERROR', 'error'),
    ],
)
def test_a_name_that_a_server_does_not_emit(name: str, meant: str, wss: WebSocketServer) -> None:
    for attach in (wss.on, wss.once, wss.prependListener, wss.add_listener, lambda event, f: wss.on(event)(f)):
        [warning] = warnings_of(lambda attach=attach: attach(name, connected))  # type: ignore[misc]
        said = name.partition('/')[0]
        assert str(warning.message) == f'WebSocketServer emits no {said!r}; did you mean {meant!r}?'
        assert warning.category is UserWarning and warning.filename == __file__
    assert wss.listenerCount(name) == 5  # it may be one of their own, after all


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('mesage', 'message'),
        ('messages', 'message'),
        ('Message', 'message'),
        ('onmessage', 'message'),
        ('onopen', 'open'),
        ('closed', 'close'),
        ('eror', 'error'),
        ('pingg', 'ping'),
    ],
)
def test_a_name_that_a_connection_does_not_emit(name: str, meant: str, ws: WebSocket) -> None:
    text = f'WebSocket emits no {name!r}; did you mean {meant!r}?'
    for attach in (ws.on, ws.addEventListener):
        [warning] = warnings_of(lambda attach=attach: attach(name, print))  # type: ignore[misc]
        assert str(warning.message) == text and warning.filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(UserWarning, match='did you mean'):
            ws.on(name, print)
    assert ws.listenerCount(name) == 2


def test_a_subclass_is_called_by_its_name() -> None:
    class Chat(WebSocketServer):
        pass

    chat = Chat(noServer=True)
    [warning] = warnings_of(lambda: chat.on('conection', connected))
    assert str(warning.message).startswith('Chat emits no ')
    chat.close()


def test_events_of_one_s_own_are_nobody_s_business(wss: WebSocketServer, ws: WebSocket) -> None:
    own = [
        'chat',
        'join',
        'leave',
        'user joined',
        'chat message',
        'room:message',
        'connected',
        'opened',
        'ready',
        'data',
    ]
    own += ['new_listener', 'newListener', 'tick', 'disconnect', 'reconnect', 'end', 'drain', 'upgrade', 'event', '']
    heard: list[str] = []

    def attach() -> None:
        for emitter in (wss, ws):
            for name in own:
                emitter.on(name, lambda name=name: heard.append(name))

    assert warnings_of(attach) == []
    heard.clear()
    for name in own:
        ws.emit(name)
    assert heard == own


def test_every_event_of_the_library_is_known(wss: WebSocketServer, ws: WebSocket) -> None:
    def attach() -> None:
        for event in ('listening', 'connection', 'connection/', 'connection/chat?room=1', 'headers', 'error', 'close'):
            wss.on(event, print)
        for event in ('open', 'message', 'ping', 'pong', 'drain', 'error', 'close'):
            ws.on(event, lambda: None)
        Sender(Sink()).on('error', print)

    assert warnings_of(attach) == []
    wss.removeAllListeners()


# -- properties that are none -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'meant'),
    [
        ('onmesage', 'onmessage'),
        ('onmessgae', 'onmessage'),
        ('onmesssage', 'onmessage'),
        ('onMessage', 'onmessage'),
        ('on_message', 'onmessage'),
        ('onmessages', 'onmessage'),
        ('onOpen', 'onopen'),
        ('onopened', 'onopen'),
        ('onclosed', 'onclose'),
        ('onClose', 'onclose'),
        ('on_error', 'onerror'),
        ('oneror', 'onerror'),
    ],
)
def test_a_property_that_nobody_calls(name: str, meant: str, ws: WebSocket) -> None:
    assert not hasattr(ws, name)
    [warning] = warnings_of(lambda: setattr(ws, name, print))
    assert str(warning.message) == f'WebSocket never calls {name}; did you mean {meant}?'
    assert warning.filename == __file__
    assert getattr(ws, name) is print and name in dir(ws)  # an attribute like any other
    delattr(ws, name)
    assert not hasattr(ws, name)
    with pytest.raises(AttributeError, match=meant):
        delattr(ws, name)
    assert warnings_of(lambda: setattr(ws, name, 5)) == []  # what is no function is no listener


def test_those_are_not_seen(ws: WebSocket) -> None:
    seen = {'on', 'once', 'onopen', 'onmessage', 'onclose', 'onerror'}
    assert {name for name in dir(ws) if name.startswith('on')} == seen
    assert {name for name in dir(WebSocket) if name.startswith('on')} == seen
    assert 'onmesage' not in pydoc.render_doc(WebSocket)


def test_a_subclass_may_have_methods_of_such_names() -> None:
    class Client(WebSocket):
        def onMessage(self, message: str) -> str:
            return message.upper()

    client = Client('ws://127.0.0.1:1')
    wait_for(client, 'error')
    assert client.onMessage('x') == 'X'


def test_attributes_of_one_s_own_are_set_without_a_detour() -> None:
    """A ``__setattr__`` would make each attribute of each connection twenty times as slow to set."""
    assert inspect.getattr_static(WebSocket, '__setattr__') is object.__setattr__
    assert inspect.getattr_static(WebSocketServer, '__setattr__') is object.__setattr__
