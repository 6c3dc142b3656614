"""Tests W166 to W180 of ws 8's suite: permessage-deflate.

Messages are compressed and inflated by the loop as they come, so nothing of it is ever under way while something else
happens; what ws 8 tells of that is told here of messages that are there.
"""

from __future__ import annotations

import array
import io
import threading
from typing import Any

from compatibility.peers import in_node
from compatibility.ws8.clients import asked, deflated, pair
from fakes import accept, fake_server
from support import TIMEOUT, Log, Waiter, client, end, on_loop, read_all, server

from ws import WebSocket, timers
from ws.protocol.frames import build_frame

EMPTY = build_frame(0x41, b'\0')
NUMBERS = array.array('f', (number / 2 for number in range(5)))


def offer(**options: Any) -> Any:
    return asked('ws://localhost', **options)[0].headers.get('sec-websocket-extensions')


def test_w166_it_is_offered_by_default() -> None:
    assert offer() == 'permessage-deflate; client_max_window_bits'


def test_w167_it_need_not_be_offered() -> None:
    assert offer(perMessageDeflate=False) is None


def test_w168_parameters_of_the_offer() -> None:
    parameters = offer(
        perMessageDeflate={
            'clientNoContextTakeover': True,
            'serverNoContextTakeover': True,
            'clientMaxWindowBits': True,
            'serverMaxWindowBits': 10,
        }
    )
    assert parameters == (
        'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; '
        'client_max_window_bits'
    )


# -- the end -----------------------------------------------------------------------------------------------------------


def test_w169_what_has_come_is_emitted_when_the_peer_ends() -> None:
    with server(perMessageDeflate={'threshold': 0}) as wss:

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            for text in 'foo', 'bar', 'baz':
                ws.send(text)
            ws.send('qux', lambda error: ws._socket.end())  # type: ignore[union-attr]

        events = Log(client(wss), 'message', 'close').until('close')
        assert [event[1] for event in events] == ['foo', 'bar', 'baz', 'qux', 1006]


def events_of_a_flood(first: Any, *frames: bytes) -> list[Any]:
    """What happens to a client that gets these frames, compressed or not, all at once; ``first(ws)`` is called when the
    loop is through with the first of those that are not empty."""
    sent = threading.Event()

    def talk(sock: Any, head: bytes) -> None:
        sock.sendall(accept(head, 'Sec-WebSocket-Extensions: permessage-deflate'))
        sock.sendall(b''.join(frames))
        sent.set()
        read_all(sock)

    def start(url: str) -> Log:
        ws = WebSocket(url)
        log = Log(ws, 'message', 'close')
        ws.on('open', lambda: sent.wait(TIMEOUT))
        ws.once('message', lambda: timers.setImmediate(first, ws))
        return log

    with fake_server(talk) as url:
        return in_node(lambda: start(url)).until('close')


def test_w170_what_has_been_read_is_emitted_although_terminate_is_called() -> None:
    *messages, close = events_of_a_flood(
        lambda ws: ws.terminate(), build_frame(2, bytes(1024)), *[build_frame(0x42, deflated(b'\0'))] * 341
    )
    assert [len(message[1]) for message in messages] == [1024] + [1] * 341
    assert close == ('close', 1006, '')


def test_w171_messages_after_ones_own_close() -> None:
    """They are not emitted, as in 0.4.31 and in browsers; in ws 8 they are, until the peer's close frame comes. The end
    is the same."""
    with pair({'perMessageDeflate': True}, perMessageDeflate={'threshold': 0}) as (ws, peer):
        log, peer_log = Log(ws), Log(peer)

        def close_and_send() -> None:
            peer.close(1000)
            for text in 'foo', 'bar', 'baz', 'qux':
                ws.send(text)

        on_loop(ws, close_and_send)
        assert peer_log.get() == log.get() == ('close', 1000, '')


def test_w172_close_in_the_middle_of_messages() -> None:
    *messages, close = events_of_a_flood(lambda ws: ws.close(1000), *[EMPTY] * 4, build_frame(8, b'\x03\xe8'))
    assert [message[1] for message in messages] == [''] * 4
    assert close == ('close', 1000, '')


def test_w180_terminate_in_the_middle_of_messages() -> None:
    *messages, close = events_of_a_flood(lambda ws: ws.terminate(), *[EMPTY] * 4)
    assert [message[1] for message in messages] == [''] * 4
    assert close == ('close', 1006, '')


# -- send --------------------------------------------------------------------------------------------------------------


def echo(*messages: Any, **options: Any) -> list[Any]:
    """What comes back of these messages, each with the option `compress`, there and back."""
    with server(perMessageDeflate={'threshold': 0}) as wss:

        @wss.on('connection')
        def connection(peer: WebSocket) -> None:
            peer.on('message', lambda data: peer.send(data, {'compress': True}))

        ws = client(wss, **{'perMessageDeflate': {'threshold': 0}, **options})
        log = Log(ws, 'message')
        ws.on('open', lambda: [ws.send(message, {'compress': True}) for message in messages])
        found = [log.get()[1] for _ in messages]
        end(ws)
        return found


def test_w173_text() -> None:
    assert echo('hi') == ['hi']


def test_w174_an_array() -> None:
    assert echo(NUMBERS) == [NUMBERS.tobytes()]


def test_w175_what_else_has_a_buffer() -> None:
    assert echo(memoryview(NUMBERS), bytearray(b'foobar')) == [NUMBERS.tobytes(), b'foobar']


def test_w176_files() -> None:
    """In the place of Blobs."""
    assert echo(io.BytesIO(b'foo'), io.BytesIO(b'bar')) == [b'foo', b'bar']


def test_w177_compress_without_the_extension() -> None:
    assert echo('hi', perMessageDeflate=False) == ['hi']


def test_w178_the_callbacks_when_the_peer_ends() -> None:
    """In ws 8 they get an error, as the compressing was under way. Here it was done, and the system has the data."""
    with server(perMessageDeflate=True) as wss:
        told = Waiter()
        wss.on('connection', lambda peer: peer._socket.end())
        ws = client(wss, perMessageDeflate={'threshold': 0})

        @ws.on('open')
        def opened() -> None:
            ws.send('foo')
            ws.send('bar', lambda error: told('bar', error))
            ws.send('baz')
            ws.send('qux', lambda error: told('qux', error))
            ws.close()

        Log(ws, 'close').get()
        assert [told.get(), told.get()] == [('bar', None), ('qux', None)]
        assert told.nothing(0.05)


def test_w179_terminate_after_send() -> None:
    """In ws 8 the message is lost, and its callback gets an error. Here it is sent."""
    with pair({'perMessageDeflate': {'threshold': 0}}, perMessageDeflate={'threshold': 0}) as (ws, peer):
        log, peer_log, told = Log(ws), Log(peer), Waiter()
        on_loop(ws, lambda: (ws.send('hi', told), ws.terminate()))
        assert told.get() == (None,)
        assert log.get() == ('close', 1006, '')
        assert peer_log.get()[:2] == ('message', 'hi')
        assert peer_log.get() == ('close', 1006, '')
