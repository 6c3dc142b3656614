"""Streams of every kind: reading, and both ways at once."""

from __future__ import annotations

import random
import ssl
import threading
from typing import Optional

import pytest
from net.stream.makers import Maker, pieces
from streams import Driver, Received, in_thread
from support import TIMEOUT, Waiter

from ws.net.stream import READ_SIZE

# -- reading ----------------------------------------------------------------------------------------------------------


def test_nothing_is_read_before_resume(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    peer.sendall(b'hello')
    driver.turns(3)
    assert not received.data and stream.bytes_read == 0
    driver(stream.resume)
    assert received.bytes(5) == b'hello'
    assert stream.bytes_read == 5


def test_one_read_takes_no_more_than_it_should(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    sizes: list[int] = []
    whole = threading.Event()

    def on_data(data: bytes) -> None:
        sizes.append(len(data))
        if sum(sizes) == 1 << 20:
            whole.set()

    stream.on_data = on_data
    driver(stream.resume)
    peer.sendall(bytes(1 << 20))
    assert whole.wait(TIMEOUT)
    assert max(sizes) <= READ_SIZE


def test_pause_stops_and_resume_goes_on(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    driver(stream.resume)
    peer.sendall(b'one')
    assert received.bytes(3) == b'one'
    driver(stream.pause)
    driver(stream.pause)
    peer.sendall(b'two')
    driver.turns(3)
    assert received.data == b''
    driver(stream.resume)
    driver(stream.resume)
    assert received.bytes(3) == b'two'


@pytest.mark.parametrize('size', [1, 100, 16384, 16385, 70000])
def test_pausing_in_the_middle_of_what_comes_loses_nothing(driver: Driver, make: Maker, size: int) -> None:
    """Also not what TLS may have decrypted already, where no poller sees it."""
    stream, peer = make()
    got: list[bytes] = []
    arrived = Waiter()

    def on_data(data: bytes) -> None:
        stream.pause()
        got.append(data)
        arrived()

    stream.on_data = on_data
    sent = pieces(size, 5, size + 1)

    def send() -> None:
        for piece in sent:
            peer.sendall(piece)

    total = b''.join(sent)
    with in_thread(send):
        while len(b''.join(got)) < len(total):
            driver(stream.resume)
            arrived.get()
            number = len(got)
            driver.turns()
            assert len(got) == number  # paused means paused
    assert b''.join(got) == total


def test_a_paused_stream_slows_the_peer_down(driver: Driver, make: Maker) -> None:
    stream, peer = make(16384)
    received = Received(stream)
    peer.setblocking(False)
    sent = 0
    with pytest.raises((BlockingIOError, ssl.SSLWantWriteError)):
        while sent < 1 << 24:
            sent += peer.send(bytes(16384))
    assert received.data == b''
    peer.settimeout(TIMEOUT)
    driver(stream.resume)
    received.wait_for_bytes(sent)


# -- both ways, and at random -----------------------------------------------------------------------------------------


def test_much_both_ways_at_once(driver: Driver, make: Maker) -> None:
    streams = make.two_streams()
    received = [Received(stream) for stream in streams]
    written = [pieces(7 + index, 60, 300_000) for index in range(2)]
    for index, stream in enumerate(streams):
        driver(stream.resume)
        driver(lambda index=index, stream=stream: [stream.write(piece) for piece in written[index]])
        if make.kind != 'tls-socket':
            driver(stream.end)
    for index, end in enumerate(received):
        total = b''.join(written[1 - index])
        end.wait_for_bytes(len(total))
        assert end.data == total
        driver(streams[index].end)
    for end in received:
        end.until('close')
        assert end.error is None


@pytest.mark.parametrize('seed', range(2))
def test_whatever_both_ends_do_all_of_it_arrives(driver: Driver, make: Maker, seed: int) -> None:
    """Random writes, pauses and flushes with small buffers, both ways at once."""
    streams = make.two_streams(4096)
    received = [Received(stream) for stream in streams]
    generator = random.Random(seed)
    sizes = (1, 30, 2000, 20_000, 150_000)
    written: list[list[bytes]] = [[], []]
    answers: list[list[Optional[Exception]]] = [[], []]

    def act() -> None:
        for index, stream in enumerate(streams):
            action = generator.randrange(8)
            if action < 4:
                written[index].append(generator.randbytes(generator.choice(sizes)))
                stream.write(written[index][-1], answers[index].append)
            elif action == 4:
                stream.pause()
            elif action == 5:
                stream.flush()
            else:
                stream.resume()

    for _ in range(60):
        driver(act)
    for index, end in enumerate(received):
        driver(streams[index].resume)
        total = b''.join(written[1 - index])
        end.wait_for_bytes(len(total))
        assert end.data == total
    driver.turns()
    assert answers == [[None] * len(pieces) for pieces in written]
    driver(streams[0].end)
    received[1].until('end')
    driver(streams[1].end)
    for end in received:
        end.until('close')
        assert end.error is None
