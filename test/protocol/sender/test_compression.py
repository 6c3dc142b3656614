"""The sender with permessage-deflate. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.sender.sockets import Socket, Wire

from ws.protocol.permessage_deflate import DeflateOptions, Deflater, Inflater
from ws.protocol.sender import Sender


def deflater(no_context_takeover: bool = False, **options: Any) -> Deflater:
    return Deflater(DeflateOptions(**options), None, no_context_takeover)


class TestCompression:
    """permessage-deflate (RFC 7692 section 7.2.1)."""

    def test_messages(self) -> None:
        socket = Socket()
        sender = Sender(socket, deflater())
        sender.send('Hello')
        sender.send(b'Hello')
        sender.send('')
        sender.send('', binary=True)
        assert socket.written == [
            bytes.fromhex('c107f248cdc9c90700'),
            bytes.fromhex('c205f200110000'),
            bytes.fromhex('c10100'),
            bytes.fromhex('c20100'),
        ]

    def test_not_compressed_if_not_wanted(self) -> None:
        socket = Socket()
        sender = Sender(socket, deflater())
        sender.send('Hello', compress=False)
        sender.send(bytearray(b'Hello'), compress=False)
        sender.send('Hello')
        sender.send('Hello', compress=False)
        sender.send('Hello')
        plain = b'\x81\x05Hello'
        packed = [bytes.fromhex('c107f248cdc9c90700'), bytes.fromhex('c105f200110000')]
        assert socket.written == [plain, b'\x82\x05Hello', packed[0], plain, packed[1]]

    def test_without_an_agreement_nothing_is_compressed(self) -> None:
        socket = Socket()
        Sender(socket).send('Hello', compress=True)
        Sender(socket).send(bytearray(b'Hello'), compress=True)
        assert socket.written == [b'\x81\x05Hello', b'\x82\x05Hello']

    def test_threshold(self) -> None:
        socket = Socket()
        sender = Sender(socket, deflater(no_context_takeover=True, threshold=5))
        for data in ('Hell', 'Hello', b'\xff' * 4, b'\xff' * 5, 'éé', 'ééé', ''):
            sender.send(data)
        assert [frame[0] for frame in socket.written] == [0x81, 0xC1, 0x82, 0xC2, 0x81, 0xC1, 0x81]

    def test_threshold_means_nothing_with_context(self) -> None:
        socket = Socket()
        Sender(socket, deflater(threshold=1000)).send('Hello')
        assert socket.written[0][0] == 0xC1

    @pytest.mark.parametrize('no_context_takeover', [False, True])
    def test_fragments(self, no_context_takeover: bool) -> None:
        """The first one decides, and only that one has the bit; control frames stay as they are."""
        socket = Socket()
        sender = Sender(socket, deflater(no_context_takeover, threshold=4))
        for data, fin in (('Hello', False), ('', False), ('x', True), ('Hello', True)):
            sender.send(data, fin=fin)
            sender.ping('p')
        sender.close(1000, 'p' * 100)
        firsts = [frame[0] for frame in socket.written]
        assert firsts == [0x41, 0x89, 0x00, 0x89, 0x80, 0x89, 0xC1, 0x89, 0x88]
        socket.written.clear()
        sender = Sender(socket, deflater(True, threshold=4))
        for data, fin in (('Hel', False), ('Hello', True), ('Hello', False), ('x', True)):
            sender.send(data, fin=fin, compress=True)
        assert [frame[0] for frame in socket.written] == [0x01, 0x80, 0x41, 0x80]

    def test_compress_counts_with_the_first_fragment(self) -> None:
        socket = Socket()
        sender = Sender(socket, deflater())
        for compress in (False, True):
            sender.send('a', fin=False, compress=compress)
            sender.send('b', fin=True, compress=not compress)
        assert [frame[0] for frame in socket.written] == [0x01, 0x80, 0x41, 0x80]
        assert socket.written[1] == b'\x80\x01b'

    def test_each_fragment_can_be_read_at_once(self) -> None:
        socket = Socket()
        sender = Sender(socket, deflater())
        inflater = Inflater(None, False)
        for data, fin in ((b'Hello', False), (b'World', False), (b'!', True)):
            sender.send(data, fin=fin)
            payload = socket.written[-1][2:]
            inflater.begin(payload, fin)
            assert inflater.inflate(100) == data

    def test_a_broadcast_is_compressed_for_each(self) -> None:
        """And the frame that others get, who have not agreed upon compression, stays uncompressed."""
        text = 'Hello'
        sockets = [Socket() for _ in range(5)]
        senders = [Sender(socket, deflater() if index % 2 else None) for index, socket in enumerate(sockets)]
        senders[3].send('Hello, you')
        for sender in senders:
            sender.send(text)
        senders[1].send(text, compress=False)
        plain = b'\x81\x05Hello'
        assert [sockets[index].written for index in (0, 2, 4)] == [[plain]] * 3
        assert sockets[1].written == [bytes.fromhex('c107f248cdc9c90700'), plain]
        assert sockets[3].written[1] not in (plain, sockets[1].written[0])
        assert sockets[1].written[1] is sockets[0].written[0]

    def test_masked_and_large(self) -> None:
        wire = Wire(True)
        wire.receiver.inflater = Inflater(None, False)
        sender = Sender(wire, deflater())
        data = bytes(range(256)) * 400
        sender.send(data, mask=True)
        sender.send('Hello', mask=True)
        assert wire.events == [('binary', data), ('text', 'Hello')]
        assert len(wire.written[0]) < 3000

    def test_large_and_incompressible(self) -> None:
        wire = Wire(False)
        wire.receiver.inflater = Inflater(None, False)
        data = random.Random(1).randbytes(50000)
        Sender(wire, deflater()).send(data)
        assert wire.events == [('binary', data)]

    def test_wrong_data_leaves_the_context_alone(self) -> None:
        wire = Wire(False)
        wire.receiver.inflater = Inflater(None, False)
        sender = Sender(wire, deflater())
        sender.send('Hello', fin=False)
        with pytest.raises(TypeError):
            sender.send({})
        sender.send('Hello')
        sender.send('Hello')
        assert wire.events == [('text', 'HelloHello'), ('text', 'Hello')]

    def test_callbacks(self) -> None:
        socket = Socket()
        calls = [lambda error: None for _ in range(2)]
        sender = Sender(socket, deflater())
        sender.send('Hello', callback=calls[0])
        sender.send(bytes(50000), fin=False, callback=calls[1])
        assert socket.callbacks == calls

    @given(
        st.booleans(),
        st.booleans(),
        st.lists(st.tuples(st.one_of(st.text(st.characters(exclude_categories=['Cs'])), st.binary()), st.booleans())),
    )
    def test_any_messages(self, mask: bool, no_context_takeover: bool, messages: list[tuple[Any, bool]]) -> None:
        wire = Wire(mask)
        wire.receiver.inflater = Inflater(None, no_context_takeover)
        sender = Sender(wire, deflater(no_context_takeover, threshold=20))
        for message, compress in messages:
            sender.send(message, mask=mask, compress=compress)
        assert [value for _, value in wire.events] == [message for message, _ in messages]


@pytest.mark.parametrize('mask', [False, True])
class TestRoundTrip:
    @pytest.mark.parametrize('size', [0, 1, 124, 125, 126, 127, 16383, 16384, 65534, 65535, 65536, 65537, 300000])
    def test_sizes(self, mask: bool, size: int) -> None:
        wire = Wire(mask)
        sender = Sender(wire)
        text = ('aé漢😀' * size)[:size]
        data = text.encode()[:size]
        sender.send(text, mask=mask)
        sender.send(data, mask=mask)
        sender.send(text, mask=mask, fin=False)
        sender.send(text, mask=mask)
        assert wire.events == [('text', text), ('binary', data), ('text', text + text)]

    def test_control_frames(self, mask: bool) -> None:
        wire = Wire(mask)
        sender = Sender(wire)
        sender.ping('a', mask)
        sender.pong('b', mask)
        sender.ping(mask=mask)
        sender.close(1001, 'c', mask)
        assert wire.events == [('ping', b'a'), ('pong', b'b'), ('ping', b''), ('close', 1001, 'c')]

    @given(st.lists(st.one_of(st.text(st.characters(exclude_categories=['Cs'])), st.binary())))
    def test_any_messages(self, mask: bool, messages: list[Any]) -> None:
        wire = Wire(mask)
        sender = Sender(wire)
        for message in messages:
            sender.send(message, mask=mask)
        assert [value for _, value in wire.events] == messages
