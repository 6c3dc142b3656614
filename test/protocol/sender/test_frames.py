"""Outgoing frames (RFC 6455 section 5). Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import threading
from typing import Optional

import pytest
from protocol.sender.sockets import BINARY, TEXT, Socket

from ws.protocol.frames import build_frame, build_header
from ws.protocol.sender import Sender


def frame_of(data: object, binary: Optional[bool] = None) -> bytes:
    """What is written for a message."""
    socket = Socket()
    Sender(socket).send(data, binary)
    [written] = socket.written
    return written


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
