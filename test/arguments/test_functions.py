"""Functions and arguments that are none, and what is said about it there and then."""

from __future__ import annotations

import asyncio
import functools
import re
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlparse, urlsplit

import pytest
from arguments.warned import Sink
from support import Waiter, client, end, open_pair, server, url_of, wait_for

from ws import ReconnectingWebSocket, Sender, WebSocket, WebSocketServer, connect, createServer, timers

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
    'handleEvent': lambda wss, ws, f: ws.addEventListener('message', Handler(f)),
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
    'url': lambda wss, ws, f: ReconnectingWebSocket(f),
    'protocols of a url': lambda wss, ws, f: ReconnectingWebSocket('ws://127.0.0.1:1', f),
    'terminalCodes': lambda wss, ws, f: ReconnectingWebSocket('ws://127.0.0.1:1', terminalCodes=f),
    'createConnection': lambda wss, ws, f: WebSocket('ws://127.0.0.1:1', createConnection=f),
    'lookup': lambda wss, ws, f: WebSocket('ws://127.0.0.1:1', lookup=f),
    'checkServerIdentity': lambda wss, ws, f: WebSocket('ws://127.0.0.1:1', checkServerIdentity=f),
    'SNICallback': lambda wss, ws, f: WebSocketServer({'noServer': True, 'SNICallback': f}),
    'finishRequest': lambda wss, ws, f: WebSocket('ws://127.0.0.1:1', finishRequest=f),
    'generateMask': lambda wss, ws, f: WebSocket('ws://127.0.0.1:1', generateMask=f),
}


class Handler:
    def __init__(self, handle_event: Any) -> None:
        self.handleEvent = handle_event


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


# -- arguments of the wrong type --------------------------------------------------------------------------------------

ARGUMENTS: dict[str, tuple[Callable[[WebSocketServer, WebSocket], object], str]] = {
    'address': (
        lambda wss, ws: WebSocket(['x', 'y']),
        'address must be a str, or an object whose str() is a URL, not list',
    ),
    'no address': (
        lambda wss, ws: WebSocket(None),
        'address must be a str, or an object whose str() is a URL, not NoneType',
    ),  # type: ignore[arg-type]
    'bytes': (
        lambda wss, ws: connect(b'ws://h'),
        'address must be a str, or an object whose str() is a URL, not bytes',
    ),  # type: ignore[arg-type]
    'protocols': (lambda wss, ws: WebSocket('ws://h', b'a'), 'protocols must be a str or a list of str, not bytes'),
    'in protocols': (
        lambda wss, ws: WebSocket('ws://h', [5]),
        'protocols must be a str or a list of str, not one with int',
    ),  # type: ignore[list-item]
    'client options': (lambda wss, ws: WebSocket('ws://h', [], 5), 'the options of WebSocket must be a dict, not int'),  # type: ignore[arg-type]
    'server options': (lambda wss, ws: WebSocketServer(8080), 'the options of WebSocketServer must be a dict, not int'),  # type: ignore[arg-type]
    'send': (lambda wss, ws: ws.send({}), 'dict cannot be sent: str, bytes-like object, number or None expected'),
    'ping': (lambda wss, ws: ws.ping([]), 'list cannot be sent: str, bytes-like object, number or None expected'),
    'Sender': (lambda wss, ws: Sender(5), 'socket must have a method write, which int lacks'),
    'handleUpgrade': (
        lambda wss, ws: wss.handleUpgrade(5),
        'a request must be a BaseHTTPRequestHandler or a WSGI environ, not int',
    ),
    'its socket': (lambda wss, ws: wss.handleUpgrade({'REQUEST_METHOD': 'GET'}, 5), 'socket must be a socket, not int'),  # type: ignore[arg-type]
    'its head': (
        lambda wss, ws: wss.handleUpgrade({'REQUEST_METHOD': 'GET'}, None, 'x'),
        'head must be bytes, not str',
    ),  # type: ignore[arg-type]
    'its callback': (lambda wss, ws: wss.handleUpgrade({}, None, None, 5), 'a callback must be callable, not int'),  # type: ignore[arg-type]
    'close': (lambda wss, ws: wss.close(1001, '', 5), 'a callback must be callable, not int'),  # type: ignore[arg-type]
    'setMaxListeners': (lambda wss, ws: ws.setMaxListeners('5'), 'the number of listeners must be an int, not str'),  # type: ignore[arg-type]
    'delay': (lambda wss, ws: timers.setTimeout(print, '5'), 'delay must be a number of milliseconds, not str'),  # type: ignore[arg-type]
}


@pytest.mark.parametrize('which', ARGUMENTS)
def test_an_argument_of_the_wrong_type(which: str, wss: WebSocketServer, ws: WebSocket) -> None:
    call, text = ARGUMENTS[which]
    with pytest.raises(TypeError, match=f'^{re.escape(text)}'):
        call(wss, ws)


# -- what is taken beside the usual -----------------------------------------------------------------------------------


class Address:
    def __init__(self, text: str) -> None:
        self.scheme, self._text = 'ws', text

    def __str__(self) -> str:
        return self._text


@pytest.mark.parametrize('make', [str, urlsplit, urlparse, Address])
def test_an_address_may_be_an_object(make: Callable[[str], Any]) -> None:
    with server() as wss:
        asked = Waiter()
        wss.on('connection', lambda ws, request: asked(request.url))
        for ws in (WebSocket(make(url_of(wss, '/chat?room=1'))), connect(make(url_of(wss, '/chat?room=1')))):
            assert asked.get() == ('/chat?room=1',)
            assert ws.url == url_of(wss, '/chat?room=1')
            end(ws)


def test_headers_may_be_pairs_and_numbers() -> None:
    with server() as wss:
        asked = Waiter()
        wss.on('connection', lambda ws, request: asked(request.headers['x-a'], request.rawHeaders.count('X-A')))
        for headers, received in (([('X-A', '1')], '1'), ({'X-A': 1}, '1'), ([('X-A', 1), ('X-A', 2)], '1, 2')):
            ws = client(wss, headers=headers)
            assert asked.get() == (received, received.count(',') + 1)
            end(ws)


@pytest.mark.parametrize(
    ('arguments', 'keywords', 'offered'),
    [
        ([{'protocols': ['a', 'b']}], {}, ['a', 'b']),
        ([{'protocols': 'a'}], {}, ['a']),
        ([None, {'protocols': ['a', 'b']}], {}, ['a', 'b']),
        ([['c'], {'protocols': ['a', 'b']}], {}, ['c']),  # as in ws 8, the argument counts
        ([{'protocols': ['a'], 'protocol': 'b, a'}], {}, ['a', 'b']),
        ([], {'protocols': ('a', 'b')}, ['a', 'b']),
        ([{'protocols': []}], {}, ['']),
    ],
)
def test_protocols_may_be_an_option(arguments: list[Any], keywords: Any, offered: list[str]) -> None:
    asked = Waiter()

    def handle(protocols: list[str]) -> str:
        asked(protocols)
        return protocols[-1]

    with server(handleProtocols=handle) as wss:
        wss.on('connection', lambda: None)
        ws = WebSocket(url_of(wss), *arguments, **keywords)
        assert asked.get() == (offered,)
        wait_for(ws, 'open')
        assert (ws.protocol or '') == offered[-1]
        end(ws)
