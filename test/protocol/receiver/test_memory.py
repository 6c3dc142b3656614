"""How much memory a receiver takes, whatever comes in."""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from typing import Any, Callable, Optional

import pytest
from protocol.receiver.frames import BINARY, CLOSE, CONTINUATION, KEY, PING, RSV1, TEXT, Recorder, frame

from ws.protocol.receiver import MessageFlags, Receiver


class TestMemory:
    def test_idle(self, traced: Callable[[], int]) -> None:
        receivers = [Receiver(True) for _ in range(1000)]
        assert traced() < 1000 * 250
        for receiver in receivers:
            receiver.add(frame(TEXT, b'Hello', key=KEY) + frame(PING, key=KEY))
        assert traced() < 1000 * 250

    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_announced_length_is_not_allocated(self, traced: Callable[[], int], opcode: int) -> None:
        receiver = Receiver()
        receiver.add(frame(opcode, b'', width=8)[:2] + (104857600).to_bytes(8, 'big') + b'x')
        assert traced() < 20000

    @pytest.mark.parametrize('unit', ['a', 'é', '漢', '😀'])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_tiny_fragments(self, traced: Callable[[], int], opcode: int, unit: str) -> None:
        receiver = Receiver()
        payload = unit.encode()
        receiver.add(frame(opcode, payload, fin=False))
        for _ in range(5000):
            receiver.add(frame(CONTINUATION, payload, fin=False))
            receiver.add(frame(CONTINUATION, b'', fin=False))
            receiver.add(frame(PING))
        assert traced() < 5000 * len(payload) * 2 + 50000

    @pytest.mark.parametrize('unit', ['a', 'é', '漢', '😀'])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_tiny_portions(self, traced: Callable[[], int], opcode: int, unit: str) -> None:
        receiver = Receiver()
        portions = [bytes([byte]) for byte in unit.encode()]
        receiver.add(frame(opcode, width=8)[:2] + (100000).to_bytes(8, 'big'))
        for _ in range(5000):
            for portion in portions:
                receiver.add(portion)
        assert traced() < 5000 * len(portions) * 2 + 50000

    @pytest.mark.parametrize('compressed', [False, True])
    def test_text_that_is_wide(self, traced: Callable[[], int], compressed: bool) -> None:
        """One character beyond the BMP makes all others of a str take four bytes, too: they aren't held twice."""
        if sys.gettrace() is not None or not getattr(sys, '_is_gil_enabled', lambda: True)():
            pytest.skip('CPython grows a str in place only with the GIL, and where nobody traces it')
        text = ('a' * 16380 + '😀') * 512
        payload = text.encode()
        if compressed:
            deflate = zlib.compressobj(wbits=-15, strategy=zlib.Z_HUFFMAN_ONLY)
            payload = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        data = frame(TEXT | RSV1 if compressed else TEXT, payload)
        whole_size = sys.getsizeof(text)
        recorder = Recorder(deflate=compressed)
        sizes = [131072] * 20 if compressed else [131072, 20000, 1, 2, 131071] * 100
        del payload
        tracemalloc.reset_peak()
        before = traced()
        for size in sizes:
            recorder.receiver.add(data[:size])
            data = data[size:]
        peak = tracemalloc.get_traced_memory()[1] - before
        assert recorder.events == [('text', text, False)]
        assert peak < 1.6 * whole_size

    @pytest.mark.parametrize('unit', ['a', 'é', '漢', '😀', 'aé漢😀'])
    def test_text_that_becomes_wide(self, unit: str) -> None:
        """Whatever is held in whatever way, and wherever it is cut, it comes out as it was."""
        text = unit * 300_000 + '😀' + unit * 300_001
        data = frame(TEXT, text.encode(), key=KEY)
        for size in (131072, 99_999):
            recorder = Recorder()
            for start in range(0, len(data), size):
                recorder.receiver.add(data[start : start + size])
            assert recorder.events == [('text', text, True)]

    def test_wide_text_that_is_no_utf8(self) -> None:
        start = ('a' * 1000 + '😀').encode() * 1100
        for end in (b'\xff', b'\xed\xa0', b'\xf0\x9f'):
            receiver = Recorder()
            data = frame(TEXT, start + end)
            for position in range(0, len(data), 65536):
                receiver.receiver.add(data[position : position + 65536])
            assert receiver.events == [('error', 'invalid utf8 sequence', 1007)]

    @pytest.mark.parametrize('key', [None, KEY])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_a_message_does_not_hold_what_came_with_it(
        self, traced: Callable[[], int], opcode: int, key: Optional[bytes]
    ) -> None:
        kept: list[tuple[Any, MessageFlags]] = []
        receiver = Receiver()
        if opcode == TEXT:
            receiver.ontext = lambda data, flags: kept.append((data, flags))
        else:
            receiver.onbinary = lambda data, flags: kept.append((data, flags))
        receiver.add(frame(opcode, b'x' * 100, key=key) + frame(opcode, b'x' * 65536, key=key)[:65536])
        receiver.cleanup()
        assert len(kept) == 1
        assert traced() < 20000

    def test_the_start_of_a_frame_does_not_hold_what_came_with_it(self, traced: Callable[[], int]) -> None:
        receiver = Receiver()
        receiver.add(frame(BINARY, bytes(60000)) + frame(PING, b'abc')[:-1])
        assert traced() < 20000

    @pytest.mark.parametrize(
        'data',
        [frame(TEXT, b'x' * 50000), frame(TEXT, b'x' * 50000)[:-1], frame(BINARY, bytes(50000))[:-1]],
        ids=['message', 'part of a text', 'part of a binary'],
    )
    @pytest.mark.parametrize('pause', [True, False])
    def test_cleanup_lets_go_of_everything(self, traced: Callable[[], int], pause: bool, data: bytes) -> None:
        receiver = Receiver()
        if pause:
            receiver.pause()
        receiver.add(data)
        receiver.cleanup()
        assert traced() < 20000

    @pytest.mark.parametrize('end', [frame(CLOSE), b'\xff'])
    def test_what_follows_the_end_is_let_go_of(self, traced: Callable[[], int], end: bytes) -> None:
        receiver = Receiver()
        receiver.add(end + bytes(50000))
        receiver.add(bytes(50000))
        assert traced() < 20000
