"""Streams of every kind: writing."""

from __future__ import annotations

import gc
import hashlib
import random
import socket
import threading
import time
from array import array
from collections.abc import Callable
from typing import Any, Optional

import pytest
from net.stream.makers import Maker, of_kinds, pieces
from streams import Driver, Received, in_thread, receive, unix_pair
from support import TIMEOUT, Waiter, until

from ws.net import tls as tls_module
from ws.net.loop import Loop
from ws.net.poller import READ, WRITE, Poller
from ws.net.stream import HIGH_WATER_MARK, Stream
from ws.net.tls_socket import TLSSocketStream


def test_writes_arrive_in_order(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    written = pieces(1, 2000, 300) + pieces(2, 30, 100_000) + pieces(3, 500, 20)
    with in_thread(receive, peer, sum(map(len, written))) as result:
        for start in range(0, len(written), 100):
            driver(lambda start=start: [stream.write(piece) for piece in written[start : start + 100]])
        assert result() == b''.join(written)
    driver.turns()
    assert stream.queued == 0


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview])
def test_what_can_be_written(driver: Driver, make: Maker, kind: Callable[[bytes], Any]) -> None:
    stream, peer = make()
    driver(lambda: [stream.write(kind(b'small')), stream.write(kind(bytes(200_000)))])
    assert receive(peer, 200_005) == b'small' + bytes(200_000)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data


def test_what_has_items_of_several_bytes_is_written_whole(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    numbers = array('I', range(5))
    # Made where they are written: without the GIL, two threads must not let go of views of one buffer at once.
    driver(lambda: [stream.write(memoryview(numbers)), stream.write(memoryview(array('I')))])
    driver(stream.write, b'end')
    assert read_exactly(peer, 23) == numbers.tobytes() + b'end'


@pytest.mark.parametrize('data', ['text', 5, None, memoryview(b'abcdef')[::2]])
def test_what_can_not_be_written(driver: Driver, make: Maker, data: Any) -> None:
    stream, peer = make()
    with pytest.raises(TypeError):
        driver(stream.write, data)
    driver(stream.write, b'good')
    assert read_exactly(peer, 4) == b'good'


class Careless(Stream):
    """Takes away what it stands on."""

    __slots__ = ()

    def flush(self) -> None:
        super().flush()
        del self.on_data, self._queue


def test_whatever_a_subclass_does_is_an_exception_and_no_crash() -> None:
    near, far = socket.socketpair()
    with near, far:
        stream = Careless(Loop(), near)
        stream._reading = stream.stalled = True
        stream._mask = READ
        far.send(b'x')
        with pytest.raises(AttributeError, match='on_data'):
            stream.on_event(READ | WRITE)
        with pytest.raises(AttributeError, match='_queue'):
            stream.write(b'x')


def test_a_slow_reader_gets_everything(driver: Driver, make: Maker) -> None:
    """Partial writes, over and over."""
    stream, peer = make(4096)
    written = pieces(4, 300, 4000) + pieces(5, 5, 200_000)
    driver(lambda: [stream.write(piece) for piece in written])
    total = b''.join(written)
    assert stream.stalled
    assert 0 < stream.queued <= len(total)
    generator = random.Random(6)
    read = bytearray()
    while len(read) < len(total):
        read += peer.recv(generator.randrange(1, 9000))
    assert hashlib.sha256(read).digest() == hashlib.sha256(total).digest()
    driver.turns()
    assert (stream.queued, stream.stalled) == (0, False)


def test_what_is_written_in_one_turn_is_one_call_to_the_kernel(driver: Driver) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # what one call sends is received by one call
    with far:
        stream = Stream(driver.loop, near)
        for number in (1, 2, 100):
            driver(lambda number=number: [stream.write(b'x' * 100) for _ in range(number)])
            assert far.recv(65536) == b'x' * 100 * number
        driver(stream.destroy)


@of_kinds('tls', 'tls-socket')
def test_what_is_written_in_one_turn_is_one_call_over_tls(
    driver: Driver, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, peer = make()
    calls: list[None] = []
    # A socket of the ssl module writes by way of OpenSSL.
    owner, name = (tls_module, 'send') if make.kind == 'tls' else (TLSSocketStream, '_send')
    send = getattr(owner, name)

    def counted(*arguments: Any) -> int:
        calls.append(None)
        return int(send(*arguments))

    monkeypatch.setattr(owner, name, counted)
    driver(lambda: [stream.write(b'x' * 100) for _ in range(100)])
    assert receive(peer, 10_000) == b'x' * 10_000
    driver.turns()
    assert len(calls) == 1


def test_much_is_not_kept_until_the_end_of_the_turn(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    release = threading.Event()

    def write_and_stay() -> None:
        stream.write(bytes(HIGH_WATER_MARK))
        stream.write(b'x')
        release.wait(TIMEOUT)

    driver.loop.call(write_and_stay)
    receive(peer, 1000)
    release.set()
    receive(peer, HIGH_WATER_MARK + 1 - 1000)


def test_callbacks_run_once_each_in_order_when_the_kernel_has_the_data(driver: Driver, make: Maker) -> None:
    stream, peer = make(4096)
    answers: list[tuple[int, Optional[Exception]]] = []
    size, number = 3000, 200

    def answer_of(index: int) -> Callable[[Optional[Exception]], None]:
        return lambda error: answers.append((index, error))

    def write_all() -> None:
        for index in range(number):
            stream.write(bytes(size), answer_of(index))
        assert answers == []  # never from within

    driver(write_all)
    driver.turns()
    early = len(answers)
    assert early < number  # nobody has read yet
    receive(peer, number * size)
    until(lambda: len(answers) == number)
    driver.turns()
    assert answers == [(index, None) for index in range(number)]


def test_a_callback_may_write_again(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    left = [2000]

    def write_next(error: Optional[Exception] = None) -> None:
        if left[0]:
            left[0] -= 1
            stream.write(b'x', write_next)

    driver(write_next)
    assert receive(peer, 2000) == b'x' * 2000


def test_nothing_can_be_written_too(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    answers: list[str] = []

    def write(data: bytes, name: str) -> None:
        stream.write(data, lambda error: answers.append(f'{name} {error}'))

    def write_all() -> None:
        for data, name in ((b'', '0'), (b'', '1'), (b'', '2'), (b'x', 'x'), (b'', 'last')):
            write(data, name)

    driver(write, b'', 'alone')
    driver.turns()
    assert answers == ['alone None']
    driver(write_all)
    assert receive(peer, 1) == b'x'
    driver.turns()
    assert answers[1:] == ['0 None', '1 None', '2 None', 'x None', 'last None']
    assert (stream.queued, stream.stalled) == (0, False)


def test_the_high_water_mark(driver: Driver, make: Maker) -> None:
    stream, peer = make(4096)
    received = Received(stream)
    assert driver(stream.write, b'small') is True
    assert driver(stream.write, bytes(1 << 20)) is False
    assert driver(stream.write, b'x') is False
    driver.turns()
    assert received.happened == []
    receive(peer, 5 + (1 << 20) + 1)
    received.until('drain')
    driver.turns()
    assert received.happened == ['drain']
    assert driver(stream.write, b'x' * 1000) is True
    receive(peer, 1000)
    driver.turns()
    assert received.happened == ['drain']  # nobody was told to wait


def test_a_reader_as_fast_as_the_writer_starves_nobody(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes whatever it is given must not keep the loop in one flush."""
    near, far = unix_pair()
    with far:
        stream = Stream(driver.loop, near)
        driver(lambda: [stream.write(bytes(1000)) for _ in range(1000)])
        assert stream.stalled
        taken: list[int] = []
        others = Waiter()

        def greedy(_stream: Stream, _first: int) -> int:
            taken.append(1)
            if len(taken) == 1:
                driver.loop.call(lambda: others(len(taken)))
            return 1

        monkeypatch.setattr(Stream, '_send', greedy)
        driver(stream.on_event, WRITE)
        assert others.get()[0] < 500
        until(lambda: len(taken) > 500)
        driver(stream.destroy)


@of_kinds('tcp', 'tls', 'tls-socket')
@pytest.mark.parametrize('poller_class', [Poller], ids=['once'])
def test_many_small_writes_to_a_slow_reader_take_linear_time(driver: Driver, make: Maker) -> None:
    """Eight times as many take the loop thread eight times as long, not sixty-four times."""

    def seconds(number: int) -> float:
        """Of the processor's: what else the machine does, they do not count."""
        stream, peer = make(4096)
        piece = b'0123456789'
        done = Waiter()
        answers = 0

        def count(error: Optional[Exception]) -> None:
            nonlocal answers
            assert error is None
            answers += 1
            if answers == number:
                done(time.thread_time())

        def write_all() -> float:
            for _ in range(number):
                stream.write(piece, count)
            return time.thread_time()

        began = driver(write_all)
        with in_thread(receive, peer, number * len(piece)):
            (ended,) = done.get()
        return ended - began

    gc.freeze()  # what all the other tests have left is not to be looked through each time the collector comes
    try:
        few = min(seconds(10_000) for _ in range(3))
        assert any(seconds(80_000) < 30 * few for _ in range(3))
    finally:
        gc.unfreeze()
