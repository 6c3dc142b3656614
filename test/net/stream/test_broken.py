"""Streams of every kind: connections that break."""

from __future__ import annotations

import gc
import select
import socket
import ssl
import time
import weakref
from typing import Any

import pytest
from net.stream.makers import Maker, of_kinds
from streams import Driver, Received, reset
from support import TIMEOUT, Waiter, until

from ws.net.poller import READ
from ws.net.stream import HIGH_WATER_MARK, READ_SIZE, Stream

#: A UNIX socket knows no reset.
with_resets = of_kinds('tcp', 'tls', 'tls-socket')


@with_resets
def test_a_reset_while_reading(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    driver(stream.resume)
    reset(peer)
    received.wait(lambda: received.happened)
    if received.happened == ['end']:
        assert make.kind == 'tls-socket'  # the ssl module of some versions takes it for an ordinary end
        driver(stream.end)
    received.until('close')
    assert received.happened == ['end', 'close'] or isinstance(received.error, ConnectionResetError)


@of_kinds('tcp')
@pytest.mark.parametrize('size', [4095, 4096, 4097, READ_SIZE])
def test_a_reset_behind_data(driver: Driver, make: Maker, size: int) -> None:
    """However much was read just before: it must not pass for an ordinary end."""
    stream, peer = make()
    received = Received(stream)
    peer.sendall(bytes(size))
    poll = select.poll()
    poll.register(stream._sock, select.POLLIN)
    assert poll.poll(TIMEOUT * 1000)
    happened: list[int] = []

    def read_then_reset() -> None:
        stream.resume()
        stream.on_event(READ)
        happened.append(len(received.data))
        reset(peer)

    driver(read_then_reset)
    received.until('close')
    assert happened[0] <= size
    assert isinstance(received.error, ConnectionResetError)


@with_resets
def test_a_reset_while_only_writing(driver: Driver, make: Maker) -> None:
    """Nobody reads, nothing can be written: the poller must still tell."""
    stream, peer = make(4096)
    received = Received(stream)
    answer = Waiter()
    driver(stream.write, bytes(1 << 20), answer)
    assert stream.stalled
    reset(peer)
    received.until('close')
    assert isinstance(received.error, (ConnectionError, ssl.SSLEOFError))
    assert answer.get() == (received.error,)


def test_a_peer_that_closes_with_unread_data(driver: Driver, make: Maker) -> None:
    """The kernel then sends RST instead of FIN."""
    stream, peer = make()
    received = Received(stream)
    answers = Waiter()
    driver(stream.resume)
    driver(stream.write, b'never read', answers)
    assert answers.get() == (None,)
    select.select([socket.socket.fileno(peer)], [], [], TIMEOUT)
    peer.close()
    received.wait(lambda: received.happened)
    driver(stream.end)
    received.until('close')
    assert received.happened in (['close'], ['end', 'close'])


def test_a_broken_pipe_does_not_hide_what_the_peer_sent_before(driver: Driver, make: Maker) -> None:
    """Its close frame, say, is in our kernel already when we learn that it takes nothing any more."""
    stream, peer = make()
    received = Received(stream)
    answers: list[Any] = []

    def write_into_the_void() -> None:
        stream.resume()
        poll = select.poll()
        poll.register(stream._fd, 0)  # for POLLERR and POLLHUP
        deadline = time.monotonic() + TIMEOUT
        while not answers and time.monotonic() < deadline:
            stream.write(b'x' * (HIGH_WATER_MARK + 1), answers.append)
            poll.poll(10)
            if stream._ended:
                break

    release = driver.block()
    driver.loop.call(write_into_the_void)
    peer.sendall(b'last words')
    peer.close()
    release.set()
    received.until('close')
    assert received.data == b'last words'
    assert isinstance(answers[-1], OSError)
    assert received.happened[:1] == ['data']


@with_resets
def test_a_reset_that_a_write_notices_reaches_on_close(driver: Driver, make: Maker) -> None:
    """Reading goes on behind it, and meets no more than an end. Nothing is kept alive by what was met."""

    def write_into_the_void(stream: Stream) -> None:
        reset(peer)
        until(lambda: stream.write(b'x') and (stream.flush() or stream._ended))

    gc.collect()
    gc.disable()
    try:
        stream, peer = make()
        received = Received(stream)
        gone = weakref.ref(stream._sock)
        driver(stream.resume)
        driver(write_into_the_void, stream)
        received.until('close')
        assert isinstance(received.error, (ConnectionError, ssl.SSLError))
        assert received.happened == ['close']
        make._made.remove(stream)
        del stream, received
        driver.turns()
        until(lambda: gone() is None)
    finally:
        gc.enable()
