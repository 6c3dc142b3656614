"""What can be sent, and as which bytes. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import array
import ctypes
import decimal
import enum
import fractions
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.sender.sockets import Socket

from ws.protocol.sender import Sender, payload_of


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
