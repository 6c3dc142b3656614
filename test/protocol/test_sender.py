"""Outgoing frames (RFC 6455 section 5). Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import array
import ctypes
import decimal
import enum
import fractions
import random
import threading
from typing import Any, Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.protocol import sender as sender_module
from ws.protocol.frames import build_frame, build_header
from ws.protocol.permessage_deflate import DeflateOptions, Deflater, Inflater
from ws.protocol.receiver import Receiver
from ws.protocol.sender import Sender, payload_of

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Socket:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.callbacks: list[Optional[Callable[..., object]]] = []

    def write(self, data: bytes, callback: Optional[Callable[..., object]] = None) -> None:
        assert type(data) is bytes
        self.written.append(data)
        self.callbacks.append(callback)


class Wire(Socket):
    """Keeps what a Receiver makes of what is written to it."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.events: list[tuple[Any, ...]] = []
        self.receiver = Receiver(masked, max_payload=0)
        self.receiver.ontext = lambda text, flags: self.events.append(('text', text))
        self.receiver.onbinary = lambda data, flags: self.events.append(('binary', data))
        self.receiver.onping = lambda data, flags: self.events.append(('ping', data))
        self.receiver.onpong = lambda data, flags: self.events.append(('pong', data))
        self.receiver.onclose = lambda code, reason, flags: self.events.append(('close', code, reason))
        self.receiver.onerror = lambda error, code: self.events.append(('error', str(error), code))

    def write(self, data: bytes, callback: Optional[Callable[..., object]] = None) -> None:
        super().write(data, callback)
        self.receiver.add(data)


def frame_of(data: object, binary: Optional[bool] = None) -> bytes:
    """What is written for a message."""
    socket = Socket()
    Sender(socket).send(data, binary)
    [written] = socket.written
    return written


@pytest.fixture(autouse=True)
def nothing_sent_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, '_last_frame', (object(), None, b''))


class Color(enum.IntEnum):
    RED = 7


class Name(str):
    pass


class Blob(bytes):
    pass


class TestPayloadOf:
    @pytest.mark.parametrize('text', ['', 'Hello', 'schön 漢字 😀', Name('x')])
    def test_text(self, text: str) -> None:
        assert payload_of(text) == (text.encode(), False)

    def test_none_is_the_empty_text(self) -> None:
        assert payload_of(None) == (b'', False)

    def test_bytes_are_not_copied(self) -> None:
        data = b'Hello'
        payload, binary = payload_of(data)
        assert payload is data
        assert binary is True

    @pytest.mark.parametrize(
        'data, payload',
        [
            (b'', b''),
            (Blob(b'abc'), b'abc'),
            (bytearray(b'abc'), b'abc'),
            (memoryview(b'abc'), b'abc'),
            (memoryview(b'abcdef')[::2], b'ace'),
            (memoryview(b'abcdef')[::-1], b'fedcba'),
            (memoryview(b'abcd').cast('H'), b'abcd'),
            (array.array('B', [1, 2, 255]), b'\x01\x02\xff'),
            (array.array('d', [0.0, 0.0]), bytes(16)),
            ((ctypes.c_uint8 * 3)(1, 2, 3), b'\x01\x02\x03'),
            ((ctypes.c_uint64 * 2)(), bytes(16)),
            (ctypes.c_int32(0), bytes(4)),
        ],
        ids=lambda value: type(value).__name__,  # a repr may hold an address, which is another one in each run
    )
    def test_buffers(self, data: object, payload: bytes) -> None:
        result, binary = payload_of(data)
        assert result == payload
        assert type(result) is bytes
        assert binary is True

    @pytest.mark.parametrize('data', [bytearray(b'abc'), array.array('B', b'abc'), memoryview(bytearray(b'abc'))])
    def test_what_can_change_is_copied_at_once(self, data: Any) -> None:
        payload, _ = payload_of(data)
        data[0] = 0
        assert payload == b'abc'

    def test_ctypes_structure(self) -> None:
        class Options(ctypes.BigEndianStructure):
            """Its fields have the letters that stand for addresses in their names, which must not matter."""

            _fields_ = (('Output', ctypes.c_uint16), ('P', ctypes.c_uint16))

        assert payload_of(Options(1, 2)) == (b'\x00\x01\x00\x02', True)

    @pytest.mark.parametrize(
        'number, text',
        [
            (5, '5'),
            (0, '0'),
            (-17, '-17'),
            (10**30, '1' + '0' * 30),
            (Color.RED, '7'),
            (1.0, '1'),
            (0.0, '0'),
            (-0.0, '0'),
            (-2.5, '-2.5'),
            (0.1, '0.1'),
            (100.25, '100.25'),
            (1e20, '100000000000000000000'),
            (123456789012345680000.0, '123456789012345680000'),
            (1e21, '1e+21'),
            (-1.5e300, '-1.5e+300'),
            (0.000001, '0.000001'),
            (0.00000125, '0.00000125'),
            (1e-7, '1e-7'),
            (1.25e-7, '1.25e-7'),
            (5e-324, '5e-324'),
            (float('nan'), 'NaN'),
            (float('inf'), 'Infinity'),
            (float('-inf'), '-Infinity'),
            (fractions.Fraction(1, 4), '0.25'),
            (fractions.Fraction(4, 2), '2'),
            (decimal.Decimal('1.50'), '1.5'),
            (decimal.Decimal('NaN'), 'NaN'),
        ],
        ids=repr,
    )
    def test_numbers_as_javascript_writes_them(self, number: object, text: str) -> None:
        assert payload_of(number) == (text.encode(), False)

    @given(st.floats(allow_nan=False))
    def test_the_text_of_a_number_means_that_number(self, number: float) -> None:
        payload, _ = payload_of(number)
        assert float(payload) == number

    @pytest.mark.parametrize('data', [True, False, {}, [1, 2], (1,), object(), 1j, set(), len, b'x'.hex])
    def test_anything_else_is_refused(self, data: object) -> None:
        with pytest.raises(TypeError, match=f'^{type(data).__name__} cannot be sent: str, bytes-like'):
            payload_of(data)

    def test_memory_addresses_are_refused(self) -> None:
        for data in ((ctypes.c_void_p * 2)(), ctypes.pointer(ctypes.c_int(1)), ctypes.py_object(object())):
            with pytest.raises(TypeError, match='cannot be sent'):
                payload_of(data)

    def test_lone_surrogate_is_named(self) -> None:
        with pytest.raises(ValueError, match=r"'\\udc80' in position 2"):
            payload_of('ab\udc80')


class TestNumpy:
    @pytest.fixture(autouse=True)
    def numpy(self) -> Any:
        self.np = pytest.importorskip('numpy')

    def test_arrays(self) -> None:
        values = self.np.arange(6, dtype='>u2').reshape(2, 3)
        rows = b'\0\0\0\1\0\2\0\3\0\4\0\5'
        assert payload_of(values) == (rows, True)
        assert payload_of(self.np.asfortranarray(values)) == (rows, True)
        assert payload_of(values[:, ::2]) == (b'\0\0\0\2\0\3\0\5', True)
        assert payload_of(values[:0]) == (b'', True)
        assert payload_of(self.np.array([True, False])) == (b'\1\0', True)

    def test_numbers(self) -> None:
        assert payload_of(self.np.int64(5)) == (b'5', False)
        assert payload_of(self.np.uint8(200)) == (b'200', False)
        assert payload_of(self.np.float64(1.0)) == (b'1', False)
        assert payload_of(self.np.float32(0.5)) == (b'0.5', False)
        assert payload_of(self.np.float32('nan')) == (b'NaN', False)

    def test_refused(self) -> None:
        for data in (
            self.np.bool_(True),
            self.np.complex64(1j),
            self.np.array([object()]),
            self.np.array([(1, object())], dtype=[('Ok', 'i4'), ('b', 'O')]),
        ):
            with pytest.raises(TypeError, match='cannot be sent'):
                payload_of(data)

    def test_caller_s_array_stays_as_it_is(self) -> None:
        values = self.np.arange(1000, dtype='f8')
        before = values.tobytes()
        Sender(Socket()).send(values, mask=True)
        assert values.tobytes() == before


class TestFrames:
    @pytest.mark.parametrize(
        'length, masked, header',
        [
            (0, False, '82 00'),
            (125, False, '82 7d'),
            (126, False, '82 7e 007e'),
            (65535, False, '82 7e ffff'),
            (65536, False, '82 7f 0000000000010000'),
            (1 << 40, False, '82 7f 0000010000000000'),
            (0, True, '82 80'),
            (125, True, '82 fd'),
            (126, True, '82 fe 007e'),
            (65536, True, '82 ff 0000000000010000'),
        ],
    )
    def test_header(self, length: int, masked: bool, header: str) -> None:
        expected = bytes.fromhex(header)
        assert build_header(0x80 | BINARY, length, masked) == expected
        assert build_header(BINARY, length, masked) == b'\x02' + expected[1:]

    @pytest.mark.parametrize('fin', [True, False])
    @pytest.mark.parametrize('length', [0, 1, 124, 125, 126, 127, 65535, 65536])
    def test_unmasked_frame(self, length: int, fin: bool) -> None:
        payload = bytes(range(256)) * 257
        payload = payload[:length]
        assert build_frame(TEXT, payload, fin) == build_header(0x80 * fin | TEXT, length, False) + payload

    @pytest.mark.parametrize('fin', [True, False])
    @pytest.mark.parametrize('length', [0, 1, 5, 125, 126, 65535, 65536])
    def test_masked_frame(self, length: int, fin: bool) -> None:
        payload = (bytes(range(256)) * 257)[:length]
        frame = build_frame(BINARY, payload, fin, True)
        header = build_header(0x80 * fin | BINARY, length, True)
        assert frame.startswith(header)
        key = frame[len(header) : len(header) + 4]
        assert len(frame) == len(header) + 4 + length
        assert bytes(byte ^ key[i % 4] for i, byte in enumerate(frame[len(header) + 4 :])) == payload

    @pytest.mark.parametrize('payload', [b'', b'Hello'])
    def test_a_fresh_key_for_every_frame(self, payload: bytes) -> None:
        keys = {build_frame(TEXT, payload, mask=True)[2:6] for _ in range(1000)}
        assert len(keys) > 990  # random, so two of them may be the same by chance


def test_masking_leaves_the_caller_s_bytes_as_they_are() -> None:
    """[166]"""
    data = bytearray(index & 255 for index in range(5000))
    before = bytes(data)
    Sender(Socket()).send(data, mask=True)
    Sender(Socket()).send(memoryview(data), mask=True)
    assert data == before


def test_masking_leaves_the_caller_s_text_as_it_is() -> None:
    """[167]"""
    text = 'Hi there' * 3
    Sender(Socket()).send(text, mask=True)
    assert text == 'Hi there' * 3


class TestFrameOf:
    def test_text_and_binary(self) -> None:
        assert frame_of('Hi') == b'\x81\x02Hi'
        assert frame_of(b'Hi') == b'\x82\x02Hi'

    def test_binary_as_told(self) -> None:
        assert frame_of('Hi', True) == b'\x82\x02Hi'
        assert frame_of(b'Hi', False) == b'\x81\x02Hi'
        assert frame_of('Hi', False) == b'\x81\x02Hi'

    @pytest.mark.parametrize('data', ['x' * 1000, b'x' * 1000, '漢' * 5000])
    def test_the_same_object_gets_the_same_frame(self, data: object) -> None:
        assert frame_of(data) is frame_of(data)
        assert frame_of(data, True) is frame_of(data, True)

    def test_the_same_object_otherwise_gets_another(self) -> None:
        data = 'Hi'
        assert [frame_of(data, binary)[0] for binary in (None, True, False, None)] == [0x81, 0x82, 0x81, 0x81]

    def test_what_can_change_is_built_anew(self) -> None:
        socket = Socket()
        sender = Sender(socket)
        data = bytearray(b'Hi')
        sender.send(data)
        data[0] = ord('h')
        sender.send(data)
        assert socket.written == [b'\x82\x02Hi', b'\x82\x02hi']

        class Changing(str):
            suffix = '1'

            def encode(self, *_: object) -> bytes:
                return str.encode(self + self.suffix)

        text = Changing('Hi')
        sender.send(text)
        text.suffix = '2'
        sender.send(text)
        assert socket.written[2:] == [b'\x81\x03Hi1', b'\x81\x03Hi2']

    def test_new_objects_in_the_place_of_old_ones(self) -> None:
        for number in range(1000):
            text = f'{number:064}'
            assert frame_of(text) == b'\x81\x40' + text.encode()
            del text  # the next may get its identity, were it not kept

    def test_large_frames_are_not_kept(self) -> None:
        small, large = b'x' * 20, b'x' * 20000
        frame = frame_of(small)
        Sender(Socket()).send(large)
        assert frame_of(small) is frame

    def test_several_threads(self) -> None:
        wrong = []
        start = threading.Barrier(4)

        def send(number: int) -> None:
            texts = [f'{number} {index}' for index in range(5)]
            start.wait()
            for _ in range(2000):
                for text in texts:
                    frame = frame_of(text)
                    if frame[2:] != text.encode() or frame_of(text)[2:] != text.encode():
                        wrong.append(frame)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


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
