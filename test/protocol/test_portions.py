"""What a receiver does at a time, where others have to wait: frames and inflated bytes are counted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ws.errors import ProtocolError
from ws.protocol import hixie
from ws.protocol.frames import build_frame
from ws.protocol.permessage_deflate import PIECE, Inflater
from ws.protocol.receiver import INFLATED, STEPS, BaseReceiver, Receiver

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
COUNT = 5 * len(STEPS)


class Recorder:
    """A receiver, what it called back for, and whether it has put something off."""

    def __init__(self, receiver: BaseReceiver, deflate: bool = False, divided: bool = True) -> None:
        self.receiver = receiver
        if deflate:
            assert isinstance(receiver, Receiver)
            receiver.inflater = Inflater(None, False)
        self.events: list[Any] = []
        self.left = 0
        receiver.ontext = receiver.onbinary = lambda data, flags: self.events.append(data)
        receiver.onping = lambda data, flags: self.events.append(('ping', data))
        receiver.onclose = lambda code, reason, flags: self.events.append(('close', code))
        receiver.onerror = lambda error, code: self.events.append(('error', code))
        if divided:
            receiver.divide_work(self)

    def put_off(self, go_on: Callable[[], object]) -> None:
        assert go_on == self.receiver.go_on
        self.left += 1

    def portions(self, data: bytes) -> Iterator[int]:
        """How many events there have been, whenever it has others take their turn."""
        self.receiver.add(data)
        while self.left:
            self.left -= 1
            yield len(self.events)
            self.receiver.go_on()
        yield len(self.events)


def compressed(opcode: int, data: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    payload = (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    frame = bytearray(build_frame(opcode, payload))
    frame[0] |= 0x40
    return bytes(frame)


FLOODS: dict[str, tuple[type[BaseReceiver], bytes]] = {
    'messages': (Receiver, build_frame(TEXT, b'x') * COUNT),
    'pings': (Receiver, build_frame(PING, b'x') * COUNT),
    'compressed messages': (Receiver, compressed(TEXT, b'x') * COUNT),
    'Hixie texts': (hixie.Receiver, b'\x00x\xff' * COUNT),
}


@pytest.mark.parametrize('flood', FLOODS)
def test_so_many_frames_at_a_time(flood: str) -> None:
    kind, data = FLOODS[flood]
    recorder = Recorder(kind(), deflate=flood.startswith('compressed'))
    seen = list(recorder.portions(data))
    assert len(recorder.events) == COUNT
    assert all(0 < after - before <= len(STEPS) for before, after in zip([0, *seen], seen) if after < COUNT)
    assert len(seen) >= COUNT // len(STEPS)


def test_so_many_fragments_at_a_time() -> None:
    recorder = Recorder(Receiver())
    fragments = build_frame(TEXT, b'x', fin=False) + build_frame(CONTINUATION, b'x', fin=False) * (COUNT - 2)
    seen = list(recorder.portions(fragments + build_frame(CONTINUATION, b'x')))
    assert len(seen) >= COUNT // len(STEPS)
    assert seen[:3] == [0, 0, 0]
    assert recorder.events == ['x' * COUNT]


def test_who_has_not_asked_for_portions_is_called_at_once() -> None:
    for flood, (kind, data) in FLOODS.items():
        recorder = Recorder(kind(), deflate=flood.startswith('compressed'), divided=False)
        recorder.receiver.add(data)
        assert len(recorder.events) == COUNT


@pytest.mark.parametrize('opcode', [TEXT, BINARY])
@pytest.mark.parametrize('chunk', [100, 1 << 20])
def test_a_bomb_is_inflated_in_portions(opcode: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a message that is there as a whole, and many that come at once."""
    inflated = 0
    inflate = Inflater.inflate

    def counted(self: Inflater, limit: int) -> bytes:
        nonlocal inflated
        piece = inflate(self, limit)
        inflated += len(piece)
        return piece

    monkeypatch.setattr(Inflater, 'inflate', counted)
    content = bytes(5 * INFLATED + 5)
    bomb = compressed(opcode, content)
    data = bomb * 3 + build_frame(PING, b'')
    recorder = Recorder(Receiver(), deflate=True)
    before, portions = 0, 0
    for start in range(0, len(data), chunk):
        for _ in recorder.portions(data[start : start + chunk]):
            assert inflated - before <= INFLATED + PIECE
            before = inflated
            portions += 1
    assert portions >= 15
    expected = content.decode() if opcode == TEXT else content
    assert recorder.events == [expected, expected, expected, ('ping', b'')]


def test_many_small_messages_that_become_large_are_counted_together() -> None:
    data = compressed(BINARY, bytes(INFLATED // 4)) * 12
    seen = list(Recorder(Receiver(), deflate=True).portions(data))
    assert seen[:3] == [4, 8, 12]


def test_nobody_is_called_between_two_portions() -> None:
    """Neither by resume() nor by what comes in, until it is its turn."""
    recorder = Recorder(Receiver())
    receiver = recorder.receiver
    receiver.add(build_frame(TEXT, b'x') * COUNT)
    before = len(recorder.events)
    receiver.pause()
    receiver.resume()
    receiver.add(build_frame(TEXT, b'last'))
    assert len(recorder.events) == before
    receiver.pause()
    receiver.go_on()
    assert len(recorder.events) == before
    receiver.resume()
    while recorder.left and len(recorder.events) < COUNT + 1:
        receiver.go_on()
    assert recorder.events == ['x'] * COUNT + ['last']


@pytest.mark.parametrize('end', [build_frame(CLOSE, b'\x03\xe8'), b'\xff'])
def test_the_end_comes_last(end: bytes) -> None:
    recorder = Recorder(Receiver())
    list(recorder.portions(build_frame(TEXT, b'x') * COUNT + end + build_frame(TEXT, b'after')))
    assert recorder.events[:-1] == ['x'] * COUNT
    assert recorder.events[-1] in (('close', 1000), ('error', 1002))


def test_a_fault_in_what_is_inflated_later() -> None:
    recorder = Recorder(Receiver(max_payload=3 * INFLATED), deflate=True)
    list(recorder.portions(compressed(BINARY, bytes(4 * INFLATED))))
    assert recorder.events == [('error', 1009)]


def test_what_is_let_go_of_between_two_portions_is_not_gone_on_with() -> None:
    recorder = Recorder(Receiver(), deflate=True)
    recorder.receiver.add(compressed(BINARY, bytes(4 * INFLATED)))
    assert recorder.left == 1
    recorder.receiver.cleanup()
    recorder.receiver.go_on()
    assert recorder.left == 1
    assert recorder.events == []


def test_pings_that_look_whole_are_looked_at_all_the_same() -> None:
    """One with a longer form of its length than it needs is refused, as ever."""
    for data in (b'\x89\x7e\x00\x01x', b'\x8a\x7f' + (1).to_bytes(8, 'big') + b'x'):
        recorder = Recorder(Receiver())
        recorder.receiver.add(data)
        assert recorder.events == [('error', ProtocolError('').closeCode)]


def test_the_leading_zeros_of_a_length_are_passed_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def look(self: hixie.Receiver, size: int) -> None:
        nonlocal looked
        looked += 1

    monkeypatch.setattr(hixie.Receiver, '_check_size', look)
    recorder = Recorder(hixie.Receiver())
    recorder.receiver.add(b'\x80' * 100_000)
    recorder.receiver.add(b'\x80' * 100_000 + b'\x81\x00' + b'x' * 128)
    assert recorder.events == ['x' * 128]
    assert looked < 10
