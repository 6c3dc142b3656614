"""Hixie-76, the server's side: outgoing frames. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import array
from typing import Any, Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.hixie.frames import CLOSED, events_of, text_frame, texts

from ws.errors import NotOpenError
from ws.protocol.hixie import Sender


class Socket:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.callbacks: list[Optional[Callable[..., object]]] = []

    def write(self, data: bytes, callback: Optional[Callable[..., object]] = None) -> None:
        assert type(data) is bytes
        self.written.append(data)
        self.callbacks.append(callback)


class TestSender:
    @pytest.fixture
    def socket(self) -> Socket:
        return Socket()

    @pytest.fixture
    def sender(self, socket: Socket) -> Sender:
        return Sender(socket)

    def test_text(self, socket: Socket, sender: Sender) -> None:
        """[168] [169]"""
        sender.send('schön')
        sender.send('')
        sender.send(None)
        sender.send(1.5)
        assert socket.written == [text_frame('schön'), b'\x00\xff', b'\x00\xff', b'\x001.5\xff']

    def test_bytes_as_text(self, socket: Socket, sender: Sender) -> None:
        """[170]"""
        sender.send('schön'.encode(), binary=False)
        sender.send(bytearray(b'Hello'), binary=False)
        assert socket.written == [text_frame('schön'), text_frame('Hello')]

    def test_text_as_binary(self, socket: Socket, sender: Sender) -> None:
        """[171]"""
        sender.send('Hello world', binary=True)
        assert socket.written == [b'\x80\x0bHello world']

    @pytest.mark.parametrize(
        'data', [b'ab\xff\x00', bytearray(b'ab\xff\x00'), memoryview(b'ab\xff\x00'), array.array('B', b'ab\xff\x00')]
    )
    def test_binary(self, socket: Socket, sender: Sender, data: object) -> None:
        sender.send(data)
        assert socket.written == [b'\x80\x04ab\xff\x00']

    @pytest.mark.parametrize(
        'size, length',
        [
            (0, '00'),
            (127, '7f'),
            (128, '81 00'),
            (16383, 'ff 7f'),
            (16384, '81 80 00'),
            (2097151, 'ff ff 7f'),
            (2097152, '81 80 80 00'),
        ],
    )
    def test_lengths(self, socket: Socket, sender: Sender, size: int, length: str) -> None:
        sender.send(bytes(size))
        assert socket.written == [b'\x80' + bytes.fromhex(length) + bytes(size)]

    def test_pieces(self, socket: Socket, sender: Sender) -> None:
        """[172]"""
        sender.send('foobar', fin=False)
        sender.send('bazbar', fin=False)
        sender.send('end', fin=True)
        assert socket.written == [b'\x00foobar', b'bazbar', b'end\xff']
        sender.send('next')
        assert socket.written[3:] == [b'\x00next\xff']

    def test_binary_pieces_are_text(self, socket: Socket, sender: Sender) -> None:
        sender.send(b'foo', fin=False)
        sender.send(b'bar', binary=True, fin=False)
        sender.send(b'baz', binary=True)
        assert b''.join(socket.written) == b'\x00foobarbaz\xff'
        sender.send(b'next')
        assert socket.written[3:] == [b'\x80\x04next']

    def test_the_byte_that_ends_a_text(self, socket: Socket, sender: Sender) -> None:
        with pytest.raises(ValueError, match='the byte 0xff'):
            sender.send(b'a\xffb', binary=False)
        with pytest.raises(ValueError, match='the byte 0xff'):
            sender.send(b'\xff', fin=False)
        assert socket.written == []
        sender.send('a', fin=False)
        with pytest.raises(ValueError, match='the byte 0xff'):
            sender.send(b'\xff', binary=True)
        sender.send('b')
        assert socket.written == [b'\x00a', b'b\xff']

    def test_wrong_data_writes_nothing(self, socket: Socket, sender: Sender) -> None:
        with pytest.raises(TypeError, match='dict cannot be sent'):
            sender.send({}, fin=False)
        with pytest.raises(ValueError, match='surrogates'):
            sender.send('\ud800')
        assert socket.written == []
        sender.send('a')
        assert socket.written == [b'\x00a\xff']

    def test_mask_counts_for_nothing(self, socket: Socket, sender: Sender) -> None:
        sender.send('a', mask=True)
        sender.send(b'a', mask=True)
        sender.close(1000, 'r', True)
        assert socket.written == [b'\x00a\xff', b'\x80\x01a', b'\xff\x00']

    @pytest.mark.parametrize('name', ['ping', 'pong'])
    def test_no_pings_and_pongs(self, socket: Socket, sender: Sender, name: str) -> None:
        """The callback goes with a write of nothing, which comes when its turn has come."""
        callback: Callable[..., None] = lambda error: None  # noqa: E731
        getattr(sender, name)()
        assert socket.written == []
        getattr(sender, name)(b'x', True, callback)
        assert (socket.written, socket.callbacks) == ([b''], [callback])

    def test_close(self, socket: Socket, sender: Sender) -> None:
        """[173]"""
        sender.close()
        assert socket.written == [b'\xff\x00']

    def test_close_during_a_message(self, socket: Socket, sender: Sender) -> None:
        """[174]"""
        sender.send('Hello', fin=False)
        callback: Callable[..., None] = lambda error: None  # noqa: E731
        sender.close(1001, 'bye', callback=callback)
        assert socket.written == [b'\x00Hello', b'\xff', b'\xff\x00']
        assert socket.callbacks == [None, None, callback]

    @pytest.mark.parametrize('code', [1000, 1005])
    def test_answer_to_a_close_frame(self, socket: Socket, sender: Sender, code: int) -> None:
        sender.send('Hello', fin=False)
        sender.answer_close(code, '', False)
        assert socket.written == [b'\x00Hello', b'\xff', b'\xff\x00']

    def test_nothing_after_close(self, socket: Socket, sender: Sender) -> None:
        sender.close()
        errors: list[Any] = []
        sender.send('a')
        sender.send('a', callback=errors.append)
        sender.send(b'a', callback=errors.append)
        sender.close()
        sender.close(1000, '', False, errors.append)
        with pytest.raises(TypeError):
            sender.send({})
        assert socket.written == [b'\xff\x00']
        assert [type(error) for error in errors] == [NotOpenError] * 3

    def test_callbacks(self, socket: Socket, sender: Sender) -> None:
        calls = [lambda error: None for _ in range(4)]
        sender.send('a', callback=calls[0])
        sender.send(b'a', callback=calls[1])
        sender.send('a', fin=False, callback=calls[2])
        sender.send('', callback=calls[3])
        assert socket.callbacks == calls


messages = st.lists(
    st.one_of(texts, st.binary(max_size=300), st.binary(min_size=1, max_size=1).map(lambda b: b * 20000))
)


@given(messages, st.integers(1, 5))
def test_what_is_sent_is_received(messages: list[Any], pieces: int) -> None:
    socket = Socket()
    sender = Sender(socket)
    expected = []
    for message in messages:
        if isinstance(message, str):
            for index in range(pieces):
                start, stop = (len(message) * at // pieces for at in (index, index + 1))
                sender.send(message[start:stop], fin=index == pieces - 1)
            expected.append(message)
        else:
            sender.send(message)
            expected.append(message.decode('utf-8', 'replace'))
    sender.close()
    events = events_of(b''.join(socket.written))
    assert events == [*(('text', text) for text in expected), CLOSED]
