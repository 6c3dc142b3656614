"""Tests W003, W009, W026, W105, W139, R048, R053, R054, N013 and N017 of ws 8's suite: each about something small."""

from __future__ import annotations

import io
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest
from compatibility.peers import in_node, silence
from support import Log, Waiter, client, end, on_loop, open_pair, raw_pair, server, wait_for

from ws import Sender, WebSocket, WebSocketServer
from ws.protocol.frames import build_frame
from ws.protocol.masking import mask
from ws.protocol.receiver import flags_of

# -- the address ------------------------------------------------------------------------------------------------------


class Url:
    """As yarl's and other packages' objects for URLs are: text that ``str()`` tells."""

    scheme = 'ws'

    def __str__(self) -> str:
        return 'ws://[::1]'


@pytest.mark.parametrize('address', [Url(), urlsplit('ws://[::1]')])
def test_w003_an_object_that_stands_for_a_url(address: Any) -> None:
    asked = Waiter()

    def agent(request: Any, options: Any) -> None:
        asked(options.host, request.url)
        raise ConnectionRefusedError

    ws = WebSocket(address, agent=agent)
    wait_for(ws, 'error')
    assert asked.get() == ('::1', '/')


# -- generateMask -----------------------------------------------------------------------------------------------------


def masked_by(generate: Any) -> tuple[list[bytes], WebSocket]:
    """The keys of the first frames of a client: of a message, a message from another thread, and a ping."""
    keys: list[bytes] = []
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, generateMask=generate)
        wait_for(ws, 'open')
        peer = connected.get()[0]
        received = Waiter()
        add = peer._incoming.receiver.add

        def listen() -> None:
            peer._stream.on_data = lambda data: (received(data), add(data))

        on_loop(peer, listen)
        heard = Log(peer, 'message', 'ping')
        on_loop(ws, lambda: ws.send(b'foo'))
        assert heard.get()[:2] == ('message', b'foo')
        ws.send(b'bar')
        assert heard.get()[:2] == ('message', b'bar')
        ws.ping('baz')
        assert heard.get()[:2] == ('ping', b'baz')
        for payload in (b'foo', b'bar', b'baz'):
            data = received.get()[0]
            keys.append(data[2:6])
            assert mask(data[6:9], keys[-1]) == payload
        assert end(ws, 'close') == (1000, '')
    return keys, ws


def test_w009_a_function_makes_the_masks() -> None:
    assert masked_by(lambda: None)[0] == [bytes(4)] * 3  # it leaves them as they are
    given = iter(range(100))

    def generate(this: WebSocket, key: bytearray) -> None:
        assert isinstance(this, WebSocket) and threading.current_thread().name == 'ws'
        assert key == bytes(4)
        key[:] = b'key%d' % next(given)

    assert masked_by(generate)[0] == [b'key0', b'key1', b'key2']


def test_a_function_that_makes_none_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6455 section 10.3: the key is one that nobody can foretell, as without it."""
    reported = Waiter()
    monkeypatch.setattr(threading, 'excepthook', lambda args: reported(str(args.exc_value)))

    def too_short(key: bytearray) -> None:
        key.clear()

    def raises(key: bytearray) -> None:
        raise RuntimeError('none today')

    for generate, text in (
        (too_short, 'generateMask must leave 4 bytes, not 0'),
        (raises, 'none today'),
    ):
        keys, _ = masked_by(generate)
        assert len({*keys, bytes(4)}) == 4
        assert [reported.get() for _ in range(4)] == [(text,)] * 4  # the close frame has a mask, too


# -- isPaused ---------------------------------------------------------------------------------------------------------


def test_w026_is_paused_tells_whether_it_is() -> None:
    with server() as wss:
        ws = client(wss)
        seen = Waiter()

        @ws.on('open')
        def opened() -> None:
            ws.pause()
            paused = ws.isPaused
            ws.resume()
            seen(paused, ws.isPaused)

        assert ws.isPaused is False
        assert seen.get() == (True, False)
        with pytest.raises(AttributeError):
            ws.isPaused = True  # type: ignore[misc]
        on_loop(ws, ws.pause)
        assert ws.isPaused
        closed = Waiter()
        ws.on('close', closed)
        on_loop(ws, ws.close)  # which reads to the end
        assert not ws.isPaused
        closed.get()


# -- fragments by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('compress', [False, True])
def test_w105_fragments_by_hand(compress: bool) -> None:
    with server(perMessageDeflate={'threshold': 0} if compress else False) as wss:
        logs = Waiter()
        wss.on('connection', lambda ws: logs(Log(ws)))
        ws = client(wss, perMessageDeflate={'threshold': 0})

        @ws.on('open')
        def opened() -> None:
            ws.send('fragment', {'fin': False})
            ws.send('fragment', {'fin': True})
            ws.close()

        log = logs.get()[0]
        event, message, flags = log.get()
        assert (event, message, flags.binary) == ('message', 'fragmentfragment', False)
        assert log.get() == ('close', 1000, '')
        assert bool(ws.extensions) is compress


def test_fragments_by_hand_on_a_server_s_end_and_what_is_sent_in_between() -> None:
    """A ping does not belong to the message; what else is sent does."""
    with raw_pair() as (ws, sock):
        on_loop(
            ws, lambda: (ws.send('a', fin=False), ws.ping('p'), ws.send(b'b', fin=False), ws.send('c'), ws.send('d'))
        )
        expected = b''.join((
            build_frame(1, b'a', False), build_frame(9, b'p'), build_frame(0, b'b', False), build_frame(0, b'c'),
            build_frame(1, b'd'),
        ))  # fmt: skip
        received = b''
        while len(received) < len(expected):
            received += sock.recv(len(expected) - len(received))
        assert received == expected


# -- addEventListener -------------------------------------------------------------------------------------------------


class Handler:
    def __init__(self, ws: WebSocket, events: list[Any]) -> None:
        self.ws = ws
        self.events = events

    def handleEvent(self, event: Any) -> None:
        self.events.append((self, event.type, event.target, self.ws.listenerCount('message')))


def test_w139_add_event_listener() -> None:
    """For what is no event of a WebSocket it is on(), as in 0.4.31, where ws 8 does nothing."""
    with silence() as url:
        ws = WebSocket(url)
        events: list[Any] = []

        def in_open() -> None:
            events.append(('open', ws.listenerCount('open')))

        ws.addEventListener('open', in_open)
        ws.addEventListener('open', in_open)
        assert ws.listenerCount('open') == 1
        handler = Handler(ws, events)
        ws.addEventListener('message', handler, {'once': True})
        ws.addEventListener('message', handler)
        assert ws.listenerCount('message') == 1

        def nothing() -> None: ...

        ws.addEventListener('close', nothing)
        ws.onclose = nothing
        assert ws.listeners('close') == [nothing, nothing]
        ws.onerror = nothing
        ws.addEventListener('error', nothing)
        assert ws.listeners('error') == [nothing, nothing]

        def emit() -> None:
            ws.emit('open')
            ws.emit('message', b'', flags_of(False, b''))

        in_node(emit)
        assert events == [('open', 1), (handler, 'Binary', ws, 0)]
        end(ws)


def test_an_object_that_handles_events_is_removed_like_a_function() -> None:
    with open_pair() as (ws, peer):
        events: list[Any] = []
        gone, stays = Handler(ws, events), Handler(ws, events)
        for event in ('message', 'mine'):
            ws.addEventListener(event, gone)
            ws.addEventListener(event, stays)
            assert ws.listeners(event) == [gone.handleEvent, stays.handleEvent]
            ws.removeEventListener(event, gone)
            ws.removeEventListener(event, gone)
            assert ws.listenerCount(event) == 1
        heard = Log(ws, 'message')
        peer.send('x')
        heard.get()
        assert events == [(stays, 'Text', ws, 2)]


def test_what_can_be_called_is_called() -> None:
    class Both(Handler):
        def __call__(self, event: Any) -> None:
            self.events.append(event.data)

    with open_pair() as (ws, peer):
        events: list[Any] = []
        ws.addEventListener('message', Both(ws, events))
        heard = Log(ws, 'message')
        peer.send('x')
        heard.get()
        assert events == ['x']


@pytest.mark.parametrize('junk', ['x', 5, object(), {'handleEvent': print}])
def test_what_can_do_neither_is_no_listener(junk: Any) -> None:
    with open_pair() as (ws, _):
        with pytest.raises(TypeError, match=f'a listener must be callable, not {type(junk).__name__}'):
            ws.addEventListener('message', junk)
        assert ws.listenerCount('message') == 0


# -- options that nothing here would change by ------------------------------------------------------------------------

CHUNK = build_frame(2, bytes(5), True, True)


def test_r048_pieces_that_wait_are_put_together_and_need_no_limit() -> None:
    with raw_pair(maxBufferedChunks=2) as (ws, sock):
        log = Log(ws)
        for number in range(len(CHUNK)):
            sock.sendall(CHUNK[number : number + 1])
        assert log.get()[:2] == ('message', bytes(5))


@pytest.mark.parametrize('make', [WebSocketServer, lambda options: WebSocket('ws://127.0.0.1:1', options)])
def test_r053_text_that_is_no_utf_8_cannot_be_asked_for(make: Any) -> None:
    with pytest.raises(ValueError, match=r'^skipUTF8Validation: text is always checked'):
        make(
            {'noServer': True, 'skipUTF8Validation': True} if make is WebSocketServer else {'skipUTF8Validation': True}
        )
    with raw_pair(skipUTF8Validation=False) as (ws, sock):
        log = Log(ws)
        sock.sendall(build_frame(1, b'\xf8', True, True))
        event, error, code = log.get()
        assert (event, error.code, code) == ('error', 'WS_ERR_INVALID_UTF8', 1007)


def test_r054_nor_in_the_reason_of_a_close_frame() -> None:
    with raw_pair(skipUTF8Validation=False) as (ws, sock):
        log = Log(ws)
        sock.sendall(build_frame(8, b'\x03\xe8\xf8', True, True))
        event, error, code = log.get()
        assert (event, error.code, code) == ('error', 'WS_ERR_INVALID_UTF8', 1007)


# -- a file as the payload of a ping ----------------------------------------------------------------------------------


class Sink:
    def write(self, data: bytes) -> None:
        raise AssertionError('nothing is sent')


def refuses(method: Any) -> None:
    """A Blob has to be read before it can be sent, and in ws 8 there is no other way to it. A file in Python may stand
    for more than the 125 bytes, and for a disk that is slow: who has it has its bytes."""
    with pytest.raises(TypeError, match=r'^BytesIO cannot be sent'):
        method(io.BytesIO(b'hi'))


def test_n013_no_file_as_the_payload_of_a_ping() -> None:
    refuses(Sender(Sink()).ping)
    with open_pair() as (ws, _):
        refuses(ws.ping)
        ws.ping(io.BytesIO(b'hi').read())
        assert wait_for(ws, 'pong')[0] == b'hi'


def test_n017_no_file_as_the_payload_of_a_pong() -> None:
    refuses(Sender(Sink()).pong)
    with open_pair() as (ws, peer):
        refuses(ws.pong)
        heard = Log(peer, 'pong')
        ws.pong(io.BytesIO(b'hi').read())
        assert heard.get()[1] == b'hi'
