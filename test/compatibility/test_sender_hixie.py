"""Items 168 to 174 of the original's suite: outgoing frames of Hixie-76."""

from __future__ import annotations

from typing import Any

import pytest

from ws.protocol.hixie import Sender


class Socket:
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes, callback: Any = None) -> None:
        self.written.append(data)


@pytest.fixture
def socket() -> Socket:
    return Socket()


def test_168_text(socket: Socket) -> None:
    Sender(socket).send('HELLO')
    assert socket.written == [b'\0HELLO\xff']


def test_169_an_empty_text(socket: Socket) -> None:
    Sender(socket).send('')
    assert socket.written == [b'\0\xff']


def test_170_bytes_as_text(socket: Socket) -> None:
    """Decision: bytes are binary data unless told otherwise, here as in every version; ``WebSocket.send`` tells."""
    Sender(socket).send(b'HELLO', binary=False)
    assert socket.written == [b'\0HELLO\xff']


def test_171_binary_data(socket: Socket) -> None:
    Sender(socket).send('Hello world', binary=True)
    assert socket.written == [b'\x80\x0bHello world']


def test_172_a_message_in_pieces(socket: Socket) -> None:
    sender = Sender(socket)
    sender.send('foobar', binary=False, fin=False)
    sender.send('bazbar', binary=False, fin=False)
    sender.send('end', binary=False, fin=True)
    assert socket.written == [b'\0foobar', b'bazbar', b'end\xff']


def test_173_close(socket: Socket) -> None:
    Sender(socket).close()
    assert socket.written == [b'\xff\0']


def test_174_close_in_the_middle_of_a_message(socket: Socket) -> None:
    sender = Sender(socket)
    sender.send('foobar', binary=False, fin=False)
    sender.close()
    assert socket.written == [b'\0foobar', b'\xff', b'\xff\0']
