"""What Node's module exports beside its classes."""

from __future__ import annotations

import io
import socket
import threading
from typing import Any

import pytest
from support import Waiter, end, url_of, wait_for

import ws
from ws import ErrorCodes, EventEmitter, Receiver, Sender, WebSocket, WebSocketServer
from ws.protocol.frames import build_frame


def close(wss: WebSocketServer) -> None:
    closed = Waiter()
    wss.close(closed)
    closed.get()


def test_the_class_holds_what_the_module_does() -> None:
    """In Node, the module is the class."""
    assert WebSocket.Server is ws.Server is WebSocketServer
    assert WebSocket.Receiver is Receiver
    assert WebSocket.Sender is Sender
    assert WebSocket.ErrorCodes is ErrorCodes
    assert WebSocket.createServer is ws.createServer
    assert WebSocket.createWebSocketStream is ws.createWebSocketStream
    assert WebSocket.connect is WebSocket.createConnection is ws.connect is ws.createConnection


def test_the_states_are_on_the_module_the_class_and_its_objects() -> None:
    states = ('CONNECTING', 'OPEN', 'CLOSING', 'CLOSED')
    client = WebSocket('ws://127.0.0.1:1')
    wait_for(client, 'error')
    for place in (ws, WebSocket, client):
        assert [getattr(place, state) for state in states] == [0, 1, 2, 3]
    assert set(states) <= set(ws.__all__)
    assert client.readyState in (ws.CLOSING, ws.CLOSED)


def test_create_server_and_connect() -> None:
    connected, received, opened = Waiter(), Waiter(), Waiter()

    def connection(ws: WebSocket) -> None:
        connected(ws)
        ws.on('message', lambda message: received(message))

    wss = WebSocket.createServer({'port': 0, 'host': '127.0.0.1'}, connection)
    assert isinstance(wss, WebSocketServer)
    wait_for(wss, 'listening')
    client = WebSocket.connect(url_of(wss), lambda: opened())
    assert isinstance(client, WebSocket)
    opened.get()
    client.send('hi')
    assert received.get() == ('hi',)
    end(client)
    close(wss)


def test_without_listeners_and_with_keywords() -> None:
    wss = ws.createServer(port=0, host='127.0.0.1')
    wait_for(wss, 'listening')
    client = ws.createConnection(url_of(wss))
    wait_for(client, 'open')
    end(client)
    close(wss)


@pytest.mark.parametrize('listener', [5, 'connection', {}])
def test_a_listener_that_is_none_leaves_nothing_behind(listener: Any) -> None:
    with pytest.raises(TypeError, match='a listener must be callable'):
        ws.createServer({'port': 0, 'host': '127.0.0.1'}, listener)
    with pytest.raises(TypeError, match='a listener must be callable'):
        ws.connect('ws://127.0.0.1:1', listener)
    assert not [thread for thread in threading.enumerate() if thread.name == 'ws']


def test_wrong_arguments_raise_as_those_of_the_classes() -> None:
    with pytest.raises(TypeError, match='must be provided'):
        ws.createServer()
    with pytest.raises(ValueError, match='invalid url'):
        ws.connect('nowhere')


# -- ErrorCodes -------------------------------------------------------------------------------------------------------


def test_error_codes() -> None:
    assert ErrorCodes[1000] == 'normal'
    assert ErrorCodes[1011] == 'an unexpected condition prevented the request from being fulfilled'
    assert [code for code in range(6000) if ErrorCodes.isValidErrorCode(code) and code < 3000] == [
        *(1000, 1001, 1002, 1003),
        *range(1007, 1015),
    ]
    assert not ErrorCodes.isValidErrorCode('1000')


# -- Sender -----------------------------------------------------------------------------------------------------------


class Socket:
    """What Node's Sender writes to: it takes a callback, and calls it later."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.callbacks: list[Any] = []

    def write(self, data: bytes, callback: Any = None) -> None:
        self.written.append(bytes(data))
        self.callbacks.append(callback)


def unmasked(frame: bytes) -> bytes:
    """The payload of a short frame that is masked."""
    assert frame[1] & 0x80
    return bytes(byte ^ frame[2 + index % 4] for index, byte in enumerate(frame[6:]))


def test_messages_and_control_frames() -> None:
    socket = Socket()
    sender = Sender(socket)
    assert isinstance(sender, EventEmitter)
    sender.send('text')
    sender.send(b'bytes', {'binary': False})
    sender.send('a', {'fin': False})
    sender.send('b', {'fin': True, 'binary': True})
    sender.ping('p')
    sender.pong()
    sender.close(1001, 'reason')
    sender.close()
    sender.frameAndSend(2, b'frame')
    assert socket.written == [
        build_frame(1, b'text'),
        build_frame(1, b'bytes'),
        build_frame(1, b'a', fin=False),
        build_frame(0, b'b'),
        build_frame(9, b'p'),
        build_frame(10, b''),
        build_frame(8, b'\x03\xe9reason'),
        build_frame(8, b'\x03\xe8'),
        build_frame(2, b'frame'),
    ]


def test_masks_leave_the_callers_data_alone() -> None:
    """Items 166 and 167."""
    socket = Socket()
    sender = Sender(socket)
    data = bytearray([1, 2, 3, 4, 5])
    sender.frameAndSend(2, data, True, True)
    assert data == bytearray([1, 2, 3, 4, 5])
    sender.frameAndSend(1, 'hi there', True, True)
    sender.send('text', {'mask': True})
    sender.ping('p', {'mask': True})
    sender.pong('q', {'mask': True})
    sender.close(1000, '', True)
    payloads = [bytes(data), b'hi there', b'text', b'p', b'q', b'\x03\xe8']
    assert [unmasked(frame) for frame in socket.written] == payloads


def test_the_callback_goes_with_the_last_write() -> None:
    socket = Socket()
    told = Waiter()
    Sender(socket).send(bytes(100_000), None, lambda error: told(error))
    assert len(socket.written) == 2
    assert socket.callbacks[0] is None
    assert told.nothing(0)
    socket.callbacks[1]()
    assert told.get() == (None,)


def test_a_socket_that_takes_no_callback() -> None:
    """Python's own: the callback is called when the data is written."""
    file, told = io.BytesIO(), Waiter()
    sender = Sender(file)
    sender.send('text', None, told)
    sender.send(bytes(100_000), {'mask': True}, told)
    sender.frameAndSend(1, 'more', True, False, told)
    assert [told.get() for _ in range(3)] == [(None,)] * 3
    assert file.getvalue().startswith(build_frame(1, b'text'))
    assert file.getvalue().endswith(build_frame(1, b'more'))


def test_what_writing_raises() -> None:
    class Broken:
        def write(self, data: bytes) -> None:
            raise BrokenPipeError('gone')

    sender = Sender(Broken())
    told, errors = Waiter(), Waiter()
    sender.send('x', {}, told)
    assert str(told.get()[0]) == 'gone'
    with pytest.raises(BrokenPipeError):
        sender.send('x')  # an error that nobody listens to
    sender.on('error', errors)
    sender.send(bytes(100_000))
    sender.ping()
    assert [str(errors.get()[0]) for _ in range(2)] == ['gone', 'gone']
    assert errors.nothing(0)
    assert told.nothing(0)


@pytest.mark.parametrize(
    ('call', 'kind'),
    [
        (lambda sender: sender.send([]), TypeError),
        (lambda sender: sender.send('\ud800'), ValueError),
        (lambda sender: sender.ping('x' * 126), ValueError),
        (lambda sender: sender.close(1005), ValueError),
        (lambda sender: sender.close(1000, 'x' * 124), ValueError),
    ],
)
def test_what_cannot_be_sent_raises(call: Any, kind: type[Exception]) -> None:
    socket = Socket()
    with pytest.raises(kind):
        call(Sender(socket))
    assert socket.written == []


def test_receiver_and_sender_over_a_plain_socket() -> None:
    near, far = socket.socketpair()
    with near, far, near.makefile('wb', buffering=0) as file:
        receiver = Receiver(masked=True)
        received = Waiter()
        receiver.ontext = lambda data, flags: received(data, flags.masked)
        sender = Sender(file)
        sender.send('one', {'mask': True})
        sender.send('two', {'mask': True, 'fin': False})
        sender.send('three', {'mask': True})
        near.shutdown(socket.SHUT_WR)
        while data := far.recv(7):
            receiver.add(data)
        assert [received.get(), received.get()] == [('one', True), ('twothree', True)]
