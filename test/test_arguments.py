"""What is given wrongly, to whatever function of the public ones, and what is said about it there and then."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pydoc
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support import Waiter, no_server, on_loop, open_pair

from ws import Sender, WebSocket, WebSocketServer, connect, createServer, timers


@pytest.fixture
def wss() -> Iterator[WebSocketServer]:
    with no_server() as made:
        yield made


@pytest.fixture
def ws() -> Iterator[WebSocket]:
    with open_pair() as (client, _):
        yield client


def warnings_of(call: Callable[[], object]) -> list[Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        call()
    return caught


# -- coroutine functions: they would never run ------------------------------------------------------------------------


async def coroutine(*args: Any) -> None:
    raise AssertionError('nobody awaits this')


async def asynchronous_generator(*args: Any) -> AsyncIterator[None]:
    yield


class Awaited:
    async def method(self, *args: Any) -> None:
        pass

    async def __call__(self, *args: Any) -> None:
        pass


AWAITED = [
    coroutine,
    asynchronous_generator,
    Awaited().method,
    Awaited(),
    functools.partial(coroutine, 'given'),
    functools.partial(Awaited(), 'given'),
]

LISTENED: dict[str, Callable[[WebSocketServer, WebSocket, Any], object]] = {
    'on': lambda wss, ws, f: ws.on('message', f),
    'decorator': lambda wss, ws, f: wss.on('connection')(f),
    'once': lambda wss, ws, f: ws.once('message', f),
    'decorator once': lambda wss, ws, f: ws.once('message')(f),
    'addListener': lambda wss, ws, f: ws.addListener('message', f),
    'prependListener': lambda wss, ws, f: ws.prependListener('message', f),
    'pyee': lambda wss, ws, f: ws.add_listener('message', f),
    'addEventListener': lambda wss, ws, f: ws.addEventListener('message', f),
    'own event': lambda wss, ws, f: ws.addEventListener('mine', f),
    'onmessage': lambda wss, ws, f: setattr(ws, 'onmessage', f),
    'createServer': lambda wss, ws, f: createServer({'noServer': True}, f),
    'connect': lambda wss, ws, f: connect('ws://127.0.0.1:1', f),
}
CALLED_BACK: dict[str, Callable[[WebSocketServer, WebSocket, Any], object]] = {
    'send': lambda wss, ws, f: ws.send('x', f),
    'send with options': lambda wss, ws, f: ws.send('x', {}, f),
    'ping': lambda wss, ws, f: ws.ping('x', f),
    'pong': lambda wss, ws, f: ws.pong(f),
    'stream': lambda wss, ws, f: ws.stream(f),
    'close': lambda wss, ws, f: wss.close(f),
    'handleUpgrade': lambda wss, ws, f: wss.handleUpgrade(ws.upgradeReq, f),
    'constructor': lambda wss, ws, f: WebSocketServer({'noServer': True}, f),
    'setTimeout': lambda wss, ws, f: timers.setTimeout(f, 1),
    'setInterval': lambda wss, ws, f: timers.setInterval(f, 1),
    'setImmediate': lambda wss, ws, f: timers.setImmediate(f),
    'Sender': lambda wss, ws, f: Sender(Sink()).send('x', {}, f),
    'verifyClient': lambda wss, ws, f: WebSocketServer({'noServer': True, 'verifyClient': f}),
    'handleProtocols': lambda wss, ws, f: WebSocketServer({'noServer': True, 'handleProtocols': f}),
    'agent': lambda wss, ws, f: WebSocket('ws://127.0.0.1:1', agent=f),
}


class Sink:
    def write(self, data: bytes) -> None:
        pass


@pytest.mark.parametrize('way', [*LISTENED, *CALLED_BACK])
def test_a_coroutine_function_is_refused_and_told_the_way_out(way: str, wss: WebSocketServer, ws: WebSocket) -> None:
    give = {**LISTENED, **CALLED_BACK}[way]
    for awaited in AWAITED:
        with pytest.raises(TypeError, match=r'must not be a coroutine function.* asyncio\.run_coroutine_threadsafe'):
            give(wss, ws, awaited)
    assert ws.listenerCount('message') == wss.listenerCount('connection') == 0
    assert ws.readyState == ws.OPEN


def test_a_function_that_hands_a_coroutine_to_a_loop_is_none() -> None:
    """Also if it is made by a decorator, and passes for what it is put around."""
    ran: list[str] = []

    async def answer(message: str) -> None:
        ran.append(f'{message} on {threading.current_thread().name}')

    async def main() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        @functools.wraps(answer)
        def hand_over(message: str) -> None:
            asyncio.run_coroutine_threadsafe(answer(message), loop).add_done_callback(
                lambda _: loop.call_soon_threadsafe(done.set)
            )

        with open_pair() as (client, peer):
            client.on('message', hand_over)
            peer.send('hello')
            await asyncio.wait_for(done.wait(), 20)

    asyncio.run(main())
    assert ran == ['hello on MainThread']


# -- listeners that are none, and names that are missing --------------------------------------------------------------


@pytest.mark.parametrize('junk', [None, 'text', 5, [print]])
def test_only_what_can_be_called_is_a_listener(junk: Any, wss: WebSocketServer, ws: WebSocket) -> None:
    """Given None, on() and once() made a decorator of it, which nobody used."""
    kind = type(junk).__name__
    for attach in (ws.on, ws.once, ws.addListener, ws.prependListener, ws.prependOnceListener):
        with pytest.raises(TypeError, match=f'a listener must be callable, not {kind}'):
            attach('message', junk)
    for decorate in (ws.on('message'), ws.once('message')):
        with pytest.raises(TypeError, match=f'a listener must be callable, not {kind}'):
            decorate(junk)
    assert ws.listenerCount('message') == 0


@pytest.mark.parametrize('attribute', ['onopen', 'onmessage', 'onclose', 'onerror'])
def test_only_what_can_be_called_is_put_into_a_property(attribute: str, ws: WebSocket) -> None:
    for junk in ('x', 5, {}):
        with pytest.raises(TypeError, match=f'{attribute} must be callable, not {type(junk).__name__}'):
            setattr(ws, attribute, junk)
    setattr(ws, attribute, None)
    assert getattr(ws, attribute) is None


@pytest.mark.parametrize('method', ['on', 'once'])
def test_a_decorator_needs_the_name_of_an_event(method: str, wss: WebSocketServer) -> None:
    decorator = getattr(wss, method)
    with pytest.raises(TypeError, match='the name of the event is missing'):

        @decorator
        def connection(ws: WebSocket) -> None:
            pass

    with pytest.raises(TypeError, match='the name of the event is missing'):
        decorator(lambda ws: None)


@pytest.mark.parametrize('event', [b'message', 5, None, print, ('message',)])
def test_the_events_of_the_library_have_names(event: Any, wss: WebSocketServer, ws: WebSocket) -> None:
    for emitter in (wss, ws, Sender(Sink())):
        for attach in (emitter.on, emitter.once, emitter.addListener):
            with pytest.raises(TypeError, match='the name of an event must be a str, not '):
                attach(event, print)
    with pytest.raises(TypeError, match='the name of an event must be a str, not '):
        ws.addEventListener(event, print)


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
    own = ['chat', 'join', 'leave', 'user joined', 'chat message', 'room:message', 'connected', 'opened', 'ready', 'data']
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
        for event in ('open', 'message', 'ping', 'pong', 'error', 'close'):
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

    heard = Waiter()
    with no_server() as wss:
        client = on_loop(wss, lambda: Client('ws://127.0.0.1:1'))
        client.on('error', heard)
        heard.get()
        assert client.onMessage('x') == 'X'


def test_attributes_of_one_s_own_are_set_without_a_detour() -> None:
    """A ``__setattr__`` would make each attribute of each connection twenty times as slow to set."""
    assert inspect.getattr_static(WebSocket, '__setattr__') is object.__setattr__
    assert inspect.getattr_static(WebSocketServer, '__setattr__') is object.__setattr__
