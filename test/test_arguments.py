"""What is given wrongly, to whatever function of the public ones, and what is said about it there and then."""

from __future__ import annotations

import asyncio
import functools
import http.server
import inspect
import pydoc
import re
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse, urlsplit

import pytest
import trustme
from support import Waiter, client, end, no_server, open_pair, server, url_of, wait_for

from ws import ReconnectingWebSocket, Sender, WebSocket, WebSocketServer, connect, createServer, timers
from ws.options import CLIENT_OPTIONS, RECONNECTING_OPTIONS, SERVER_OPTIONS


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


# -- options of the wrong type ----------------------------------------------------------------------------------------

PEM = 'a str or bytes, the contents of a PEM file, or the pathlib.Path of one'
NUMBER = 'a number of milliseconds'
CLIENT_TYPES: dict[str, tuple[str, list[Any]]] = {
    'protocol': ('a str', [['a'], b'a', 5]),
    'protocols': ('a str or a list of str', [b'a', 5, True]),
    'origin': ('a str', [b'o', 5, ['o']]),
    'host': ('a str', [b'h', 5]),
    'headers': ('a dict, or a list of pairs of a name and a value', [5, 'X: 1', b'X: 1']),
    'auth': ('a str', [5, b'a:b', ('a', 'b')]),
    'agent': ('callable, or have a method addRequest', [5, 'agent']),
    'createConnection': ('callable', [5, 'host']),
    'socketPath': ('a str', [5, b'/tmp/s', ['/tmp/s']]),
    'lookup': ('callable', [5, '127.0.0.1', {'host': '127.0.0.1'}]),
    'family': ('an int', ['4', 4.0, True]),
    'localAddress': ('a str', [5, b'127.0.0.1', ('127.0.0.1', 0)]),
    'localPort': ('an int', ['5', 1.5, True]),
    'ca': (f'{PEM}, or a list of these', [5, [5], {}]),
    'cert': (PEM, [5, ['a']]),
    'key': (PEM, [5, ['a']]),
    'pfx': ('bytes, the contents of a PKCS#12 file, or the pathlib.Path of one', [5, 'name.pfx']),
    'passphrase': ('a str or bytes', [5, ['a']]),
    'ciphers': ('a str', [5, b'ALL', ['ALL']]),
    'minVersion': ('a str', [5, ssl.TLSVersion.TLSv1_2, b'TLSv1.2']),
    'maxVersion': ('a str', [5, ssl.TLSVersion.TLSv1_2, b'TLSv1.2']),
    'rejectUnauthorized': ('a bool', [0, 'false', 1]),
    'servername': ('a str', [5, b'a', False]),
    'checkServerIdentity': ('callable', [5, True, 'name']),
    'context': ('an ssl.SSLContext', [5, {'ca': 'x'}, ssl.PROTOCOL_TLS_CLIENT]),
    'followRedirects': ('a bool', [1, 'yes']),
    'maxRedirects': ('an int', ['5', 1.5, True]),
    'finishRequest': ('callable', [True, 'f']),
    'generateMask': ('callable', [True, b'mask']),
}
RECONNECTING_TYPES: dict[str, tuple[str, list[Any]]] = {
    'minReconnectionDelay': (NUMBER, ['5', True]),
    'maxReconnectionDelay': (NUMBER, ['5', [5]]),
    'minUptime': (NUMBER, ['5', True]),
    'connectionTimeout': (NUMBER, ['5', True]),
    'jitter': ('a number', ['5', True]),
    'reconnectionDelayGrowFactor': ('a number', ['5', True]),
    'maxRetries': ('an int or math.inf', ['5', 1.5, True]),
    'maxEnqueuedMessages': ('an int or math.inf', ['5', 1.5, True]),
    'startClosed': ('a bool', [1, 'yes']),
    'terminalCodes': ('a list of int', [1000, '1000', b'1000', ['1000']]),
}
SERVER_TYPES: dict[str, tuple[str, list[Any]]] = {
    'host': ('a str', [b'h', 5]),
    'path': ('a str', [b'/', 5, ['/']]),
    'noServer': ('a bool', [1, 'yes']),
    'disableHixie': ('a bool', [1, 'false']),
    'clientTracking': ('a bool', [0, 'false']),
    'allowUnmasked': ('a bool', [1, 'false']),
    'WebSocket': ('the class of that name or one that extends it', ['WebSocket', dict, WebSocketServer, print]),
    'backlog': ('an int', ['5', 1.5, True]),
    'verifyClient': ('callable', [True, 'f']),
    'handleProtocols': ('callable', [['a'], 'a']),
    'requestCert': ('a bool', [1, 'yes']),
    'SNICallback': ('callable', [5, {'localhost': 5}]),
    **{name: CLIENT_TYPES[name] for name in ('ca', 'cert', 'key', 'pfx', 'passphrase', 'ciphers')},
    **{name: CLIENT_TYPES[name] for name in ('minVersion', 'maxVersion', 'rejectUnauthorized', 'context')},
}
LISTENING_TYPES: dict[str, tuple[str, list[Any]]] = {
    'port': ('an int', [80.5, b'80', [80], True]),
    'socketPath': ('a str', [5, b'/tmp/s']),
    'socket': ('a socket', [5, 'socket']),
    'fd': ('an int', ['3', 1.5, True]),
    'server': ('an HTTP server made of socketserver.BaseServer', [5, 'server']),
    'reusePort': ('a bool', [1, 'yes']),
}
COMMON_TYPES: dict[str, tuple[str, list[Any]]] = {
    'executor': ('an int, or an Executor whose threads belong to this program', ['5', True, 1.5]),
    'handshakeTimeout': (NUMBER, ['5', True, [5]]),
    'autoPong': ('a bool', [0, 'false']),
    'closeTimeout': (NUMBER, ['5', True, [5]]),
    'pingInterval': (NUMBER, ['5', True, [5]]),
    'pingTimeout': (NUMBER, ['5', True, [5]]),
    'maxPayload': ('an int', ['5', 1.5, True]),
    'maxFragments': ('an int', ['5', 1.5, True]),
    'maxBufferedAmount': ('an int', ['5', 1.5, True]),
    'perMessageDeflate': ('a bool or a dict', [1, 'yes', ['level']]),
}


def wrong(*tables: dict[str, tuple[str, list[Any]]]) -> list[Any]:
    return [
        pytest.param(name, wanted, value, id=f'{name}={value!r}')
        for table in tables
        for name, (wanted, values) in table.items()
        for value in values
    ]


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(CLIENT_TYPES, COMMON_TYPES))
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_a_client_s_option_of_the_wrong_type(scheme: str, name: str, wanted: str, value: Any) -> None:
    url, text = f'{scheme}://127.0.0.1:1', re.escape(f'{name} must be {wanted}')
    with pytest.raises(TypeError, match=f'^{text}'):
        WebSocket(url, {name: value})
    with pytest.raises(TypeError, match=f'^{text}'):
        WebSocket(url, **{name: value})


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(CLIENT_TYPES, COMMON_TYPES, RECONNECTING_TYPES))
@pytest.mark.parametrize('url', ['ws://127.0.0.1:1', lambda: 'wss://127.0.0.1:1'], ids=['url', 'function'])
def test_an_option_of_the_wrong_type_of_a_client_that_reconnects(url: Any, name: str, wanted: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f'^{re.escape(f"{name} must be {wanted}")}'):
        ReconnectingWebSocket(url, {name: value})


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(SERVER_TYPES, COMMON_TYPES))
def test_a_server_s_option_of_the_wrong_type(name: str, wanted: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f'^{re.escape(f"{name} must be {wanted}")}'):
        WebSocketServer({'noServer': True, name: value})


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(LISTENING_TYPES))
def test_where_to_listen_of_the_wrong_type(name: str, wanted: str, value: Any) -> None:
    port = {'port': 0, 'host': '127.0.0.1'} if name == 'reusePort' else {}
    with pytest.raises(TypeError, match=f'^{re.escape(f"{name} must be {wanted}")}'):
        WebSocketServer({**port, name: value})


def test_every_option_is_in_these_tables() -> None:
    assert {*CLIENT_TYPES, *COMMON_TYPES, 'protocolVersion'} == set(CLIENT_OPTIONS)
    assert {*CLIENT_TYPES, *COMMON_TYPES, 'protocolVersion', *RECONNECTING_TYPES} == set(RECONNECTING_OPTIONS)
    assert {*SERVER_TYPES, *LISTENING_TYPES, *COMMON_TYPES} == set(SERVER_OPTIONS)


def test_nothing_is_left_of_what_could_not_be_made() -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == 'ws']


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
    'Sender': (lambda wss, ws: Sender(5), 'socket must have a method write, which int has not'),
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


# -- no server without TLS whose maker wanted some --------------------------------------------------------------------


@pytest.mark.parametrize(
    'name',
    [
        'certfile',
        'keyfile',
        'ssl',
        'ssl_context',
        'sslContext',
        'ssl_certfile',
        'tls',
        'https',
        'certs',
        'Key',
        'needClientCert',
    ],
)
def test_what_asks_for_tls_by_another_name(name: str) -> None:
    text = f'^WebSocketServer has no option {name!r}: for TLS it takes key and cert, the contents of PEM files or '
    for give in (lambda: WebSocketServer({'port': 0, name: 'x'}), lambda: WebSocketServer(port=0, **{name: 'x'})):
        with pytest.raises(TypeError, match=text):
            give()
    for off in (False, None):
        [warning] = warnings_of(lambda off=off: WebSocketServer({'noServer': True, name: off}).close())  # type: ignore[misc]
        assert 'ignored' in str(warning.message)


TLS_ALONE: dict[str, Any] = {
    'passphrase': 'secret',
    'ciphers': 'ALL',
    'ca': 'x',
    'minVersion': 'TLSv1.2',
    'maxVersion': 'TLSv1.3',
    'requestCert': True,
    'SNICallback': lambda name: None,
}


@pytest.mark.parametrize('name', TLS_ALONE)
def test_what_goes_with_tls_alone(name: str) -> None:
    with pytest.raises(ValueError, match=f'^{name} goes with key and cert, or with pfx$'):
        WebSocketServer({'port': 0, name: TLS_ALONE[name]})


# -- options that don't go together -----------------------------------------------------------------------------------


def context_for(side: str) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if side == 'servers' else ssl.PROTOCOL_TLS_CLIENT)


MATERIAL = {'ca': 'x', 'cert': 'x', 'key': 'x', 'pfx': b'x', 'passphrase': 'x', 'ciphers': 'ALL'}
BESIDE: dict[str, Any] = {**MATERIAL, 'minVersion': 'TLSv1.2', 'maxVersion': 'TLSv1.2', 'rejectUnauthorized': False}


@pytest.mark.parametrize('name', BESIDE)
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_a_context_takes_the_place_of_all_else_in_a_client(scheme: str, name: str) -> None:
    with pytest.raises(ValueError, match=f'^context takes the place of {name}: it was given together with that$'):
        WebSocket(f'{scheme}://127.0.0.1:1', {'context': context_for('clients'), name: BESIDE[name]})


@pytest.mark.parametrize('name', [*BESIDE, 'requestCert', 'SNICallback'])
def test_and_in_a_server(name: str) -> None:
    given = {**BESIDE, **TLS_ALONE}[name]
    with pytest.raises(ValueError, match=f'^context takes the place of {name}: it was given together with that$'):
        WebSocketServer({'port': 0, 'context': context_for('servers'), name: given})


def test_a_context_must_be_for_this_side() -> None:
    with pytest.raises(ValueError, match=r'^context must be one for clients'):
        WebSocket('wss://127.0.0.1:1', context=context_for('servers'))
    with pytest.raises(ValueError, match=r'^context must be one for servers'):
        WebSocketServer(port=0, context=context_for('clients'))


def test_client_certificates_need_authorities() -> None:
    """Those of the system sign certificates for anybody."""
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    pair = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
    with pytest.raises(ValueError, match=r'^requestCert needs ca, '):
        WebSocketServer(port=0, requestCert=True, **pair)
    for elsewhere in ({'noServer': True}, {'server': http.server.HTTPServer(('127.0.0.1', 0), None)}):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r'^TLS goes with a port, path or socket of its own'):
            WebSocketServer({**elsewhere, **pair, 'requestCert': True, 'ca': authority.cert_pem.bytes()})
        if 'server' in elsewhere:
            elsewhere['server'].server_close()  # type: ignore[attr-defined]


@pytest.mark.parametrize('name', ['minVersion', 'maxVersion'])
def test_versions_of_tls_that_are_none(name: str) -> None:
    for version in ('TLSv1.1', 'TLSv1_2', 'SSLv3', ''):
        with pytest.raises(ValueError, match=f"^{name} must be 'TLSv1.2' or 'TLSv1.3', not {version!r}$"):
            WebSocket('wss://127.0.0.1:1', {name: version})
    with pytest.raises(ValueError, match=r'^minVersion TLSv1\.3 is above maxVersion TLSv1\.2$'):
        WebSocket('wss://127.0.0.1:1', minVersion='TLSv1.3', maxVersion='TLSv1.2')


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        ({'family': 5}, 'family must be 0, 4 or 6, not 5'),
        ({'family': -4}, 'family must not be negative: -4'),
        ({'localPort': 65536}, 'localPort must be from 0 to 65535, not 65536'),
        ({'localAddress': 'localhost'}, "localAddress must be an IP address, not 'localhost'"),
        ({'localAddress': ''}, "localAddress must be an IP address, not ''"),
        ({'localAddress': '127.0.0.1', 'family': 6}, 'localAddress is none of family 6: 127.0.0.1'),
        ({'localAddress': '::1', 'family': 4}, 'localAddress is none of family 4: ::1'),
        ({'socketPath': ''}, "socketPath must be the path of a UNIX socket, not ''"),
        ({'socketPath': '/a\0b'}, "socketPath must be the path of a UNIX socket, not '/a\\x00b'"),
        ({'agent': print, 'createConnection': print}, 'only one of agent and createConnection can make the connection'),
        ({'agent': print, 'family': 4}, 'family goes without agent, which makes the connection'),
        ({'agent': print, 'lookup': print}, 'lookup goes without agent, which makes the connection'),
        ({'createConnection': print, 'localPort': 1}, 'localPort goes without createConnection, which makes the conn'),
    ],
)
def test_what_a_client_cannot_do(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=f'^{re.escape(text)}'):
        WebSocket('ws://127.0.0.1:1', options)


def test_one_unix_socket_is_enough() -> None:
    with pytest.raises(ValueError, match=r'^socketPath goes without a ws'):
        WebSocket('ws+unix:///run/app.sock', socketPath='/run/other.sock')


def test_files_of_tls_material(tmp_path: Path) -> None:
    """Named, they are refused, with the way out; as paths, they are read, on both sides."""
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    ca, cert, key = (tmp_path / name for name in ('ca.pem', 'cert.pem', 'key.pem'))
    authority.cert_pem.write_to_path(ca)
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    for option in ('cert', 'key'):
        given = {'cert': cert, 'key': key, option: str({'cert': cert, 'key': key}[option])}
        with pytest.raises(ValueError, match=rf'^{option} must be the contents of a PEM file; .*pathlib\.Path'):
            WebSocketServer({'port': 0, **given})
    with pytest.raises(ValueError, match=r'^ca must be the contents of a PEM file; .*pathlib\.Path'):
        WebSocket('wss://127.0.0.1:1', ca=str(ca))
    with server(cert=cert, key=key) as wss:
        wss.on('connection', lambda ws: ws.send('encrypted'))
        ws = WebSocket(url_of(wss, scheme='wss'), ca=ca)
        assert wait_for(ws, 'message')[0] == 'encrypted'
        end(ws)
