"""The sender: what it writes, and when. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import array
from typing import Any, Optional

import pytest
from protocol.sender.sockets import BINARY, Socket, Wire

from ws.protocol.frames import build_header
from ws.protocol.permessage_deflate import DeflateOptions, Deflater
from ws.protocol.sender import Sender


class TestSender:
    def test_messages_are_plain_frames_but_within_a_message_and_when_compressed(self) -> None:
        sender = Sender(Socket())
        plain = [sender.plain]
        for fin in False, False, True:
            sender.send('x', fin=fin)
            plain.append(sender.plain)
        assert plain == [True, False, False, True]
        assert not Sender(Socket(), Deflater(DeflateOptions(), None, False)).plain

    def test_message(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        sender.send('Hi')
        sender.send(b'Hi')
        sender.send(bytearray(b'Hi'))
        sender.send(12)
        sender.send(None)
        sender.send('Hi', binary=True)
        sender.send(b'Hi', binary=False)
        sender.send(b'')
        assert socket.written == [
            b'\x81\x02Hi',
            b'\x82\x02Hi',
            b'\x82\x02Hi',
            b'\x81\x0212',
            b'\x81\x00',
            b'\x82\x02Hi',
            b'\x81\x02Hi',
            b'\x82\x00',
        ]

    def test_wrong_data_writes_nothing(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        with pytest.raises(TypeError):
            sender.send({}, fin=False)
        with pytest.raises(ValueError):
            sender.send('\ud800', fin=False)
        assert socket.written == []
        sender.send('a')
        assert socket.written == [b'\x81\x01a']

    def test_a_broadcast_writes_the_same_frame(self) -> None:
        text = 'x' * 100
        sockets = [Socket(), Socket()]
        for socket in sockets:
            Sender(socket).send(text)
        assert sockets[0].written[0] is sockets[1].written[0]

    @pytest.mark.parametrize('binary, first', [(None, 0x01), (False, 0x01), (True, 0x02)])
    def test_fragments(self, binary: Optional[bool], first: int) -> None:
        socket = Socket()
        sender = Sender(socket)
        for data, fin in (('a', False), ('b', False), ('', True), ('c', True)):
            sender.send(data, binary=binary, fin=fin)
        written = [first, 1, ord('a'), 0x00, 1, ord('b'), 0x80, 0, 0x80 | first, 1, ord('c')]
        assert b''.join(socket.written) == bytes(written)

    def test_control_frames_between_fragments(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        sender.send('a', fin=False)
        sender.ping('x')
        sender.pong()
        sender.send('b')
        assert socket.written == [b'\x01\x01a', b'\x89\x01x', b'\x8a\x00', b'\x80\x01b']

    def test_ping_and_pong(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        for send in (sender.ping, sender.pong):
            send()
            send('schön')
            send(b'x' * 125)
            with pytest.raises(ValueError, match=r'^The data size must not be greater than 125 bytes$'):
                send(b'x' * 126)
            with pytest.raises(ValueError, match='125 bytes'):
                send('ö' * 63)
            with pytest.raises(TypeError, match='dict'):
                send({})
        reason = 'schön'.encode()
        assert socket.written == [
            *(b'\x89\x00', b'\x89\x06' + reason, b'\x89\x7d' + b'x' * 125),
            *(b'\x8a\x00', b'\x8a\x06' + reason, b'\x8a\x7d' + b'x' * 125),
        ]

    def test_close(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        sender.close()
        sender.close(None, 'r')
        sender.close(4999, 'schön')
        sender.close(1001, 'schön'.encode())
        sender.close(1000, 'x' * 123)
        assert socket.written == [
            b'\x88\x02\x03\xe8',
            b'\x88\x03\x03\xe8r',
            b'\x88\x08\x13\x87' + 'schön'.encode(),
            b'\x88\x08\x03\xe9' + 'schön'.encode(),
            b'\x88\x7d\x03\xe8' + b'x' * 123,
        ]

    def test_answer_to_a_close_frame(self) -> None:
        """Section 5.5.1: with its code, and with none if it had none."""
        socket = Socket()
        sender = Sender(socket)
        sender.answer_close(4000, 'schön')
        sender.answer_close(1005, '')
        assert socket.written == [b'\x88\x08\x0f\xa0' + 'schön'.encode(), b'\x88\x00']
        wire = Wire(True)
        Sender(wire).answer_close(1001, 'r', True)
        Sender(wire).answer_close(1005, '', True)
        assert [len(data) for data in wire.written] == [9, 6]
        assert wire.events == [('close', 1001, 'r')]

    @pytest.mark.parametrize('code', [0, 999, 1004, 1005, 1006, 2000, 5000, -1, True, '1000', 1000.0])
    def test_close_with_a_code_that_may_not_be_sent(self, code: Any) -> None:
        socket = Socket()
        with pytest.raises(ValueError, match=r'^first argument must be a valid error code number$'):
            Sender(socket).close(code)
        assert socket.written == []

    @pytest.mark.parametrize('reason', ['x' * 124, 'ö' * 62, b'x' * 124])
    def test_close_with_a_long_reason(self, reason: object) -> None:
        socket = Socket()
        with pytest.raises(ValueError, match=r'^The message must not be greater than 123 bytes$'):
            Sender(socket).close(1000, reason)
        assert socket.written == []

    @pytest.mark.parametrize('reason', [5, array.array('f', [1.0]), {}])
    def test_close_with_a_reason_that_is_no_text(self, reason: object) -> None:
        socket = Socket()
        with pytest.raises(TypeError, match=r'^Second argument must be a string or a Uint8Array$'):
            Sender(socket).close(1000, reason)
        assert socket.written == []

    def test_close_with_a_reason_that_is_not_utf8(self) -> None:
        """Section 5.5.1; the peer would answer with 1007."""
        socket = Socket()
        with pytest.raises(ValueError, match='utf-8'):
            Sender(socket).close(1000, b'\xff')
        assert socket.written == []

    def test_callbacks(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        calls = [lambda error: None for _ in range(8)]
        sender.send('small', callback=calls[0])
        sender.send('masked', mask=True, callback=calls[1])
        sender.send('a', fin=False, callback=calls[2])
        sender.send('b', callback=calls[3])
        sender.send(b'x' * 20000, callback=calls[4])
        sender.ping(callback=calls[5])
        sender.pong(callback=calls[6])
        sender.close(callback=calls[7])
        # Of the two writes of the large one, the last.
        assert socket.callbacks == [*calls[:4], None, *calls[4:]]

    def test_large_payload_is_written_uncopied(self) -> None:
        socket = Socket()
        data = b'x' * 16384
        Sender(socket).send(data)
        assert socket.written == [build_header(0x80 | BINARY, 16384, False), data]
        assert socket.written[1] is data

    @pytest.mark.parametrize('data', [b'x' * 16383, 'x' * 16383])
    def test_smaller_payload_is_one_write(self, data: object) -> None:
        socket = Socket()
        Sender(socket).send(data)
        assert len(socket.written) == 1

    def test_large_masked_payload_is_one_write(self) -> None:
        wire = Wire(True)
        data = bytes(range(256)) * 64
        Sender(wire).send(data, mask=True)
        assert len(wire.written) == 1
        assert wire.events == [('binary', data)]
