"""Streams of every kind: endings in good order."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial

import pytest
from net.stream.makers import Maker, of_kinds
from streams import Driver, Received, receive
from support import TIMEOUT, Waiter

from ws.net.stream import READ_SIZE

#: An SSLSocket knows no half-open connection.
half_open = of_kinds('tcp', 'unix', 'tls')


def test_end_comes_after_what_is_queued(driver: Driver, make: Maker) -> None:
    stream, peer = make(4096)
    received = Received(stream)
    driver(stream.resume)
    sent = Waiter()

    def write_and_end() -> None:
        stream.write(b'a' * 500_000)
        stream.write(b'last', sent)
        stream.end()
        stream.end()

    driver(write_and_end)
    assert receive(peer, 500_004) == b'a' * 500_000 + b'last'
    assert peer.recv(1) == b''
    assert sent.get() == (None,)
    driver.turns()
    assert not stream.closed  # the peer may have something to say
    peer.close()
    received.until('close')
    assert (received.happened, received.error) == (['drain', 'end', 'close'], None)


def test_after_end_nothing_is_written(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    refused = Waiter()

    def end_and_write() -> bool:
        stream.write(b'before')
        stream.end()
        return stream.write(b'after', refused)

    assert driver(end_and_write) is False
    (error,) = refused.get()
    assert isinstance(error, OSError)
    assert receive(peer, 6) == b'before'
    assert peer.recv(10) == b''


@half_open
def test_what_the_peer_sends_after_our_end_is_read(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    driver(stream.resume)
    driver(stream.end)
    assert peer.recv(1) == b''
    peer.sendall(b'x' * 100_000)
    peer.close()
    received.until('close')
    assert (received.happened, received.error) == (['data', 'end', 'close'], None)
    assert received.data == b'x' * 100_000


@half_open
def test_a_peer_that_has_finished_can_still_be_written_to(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    driver(stream.resume)
    peer.sendall(b'question')
    socket.socket.shutdown(peer, socket.SHUT_WR)
    received.until('end')
    assert received.data == b'question'
    assert stream.eof and not stream.closed
    driver(stream.resume)  # of no use, and harmless
    driver(stream.write, b'answer' * 10_000)
    driver(stream.end)
    assert receive(peer, 60_000) == b'answer' * 10_000
    assert peer.recv(1) == b''
    received.until('close')
    assert (received.happened, received.error) == (['data', 'end', 'close'], None)


def test_a_peer_that_has_finished_is_no_busy_loop(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    driver(stream.resume)
    socket.socket.shutdown(peer, socket.SHUT_WR)
    received.until('end')
    used = driver(time.thread_time)
    assert Waiter().nothing(0.1)
    assert driver(time.thread_time) - used < 0.03


def test_the_end_is_not_seen_while_paused(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    peer.sendall(b'x')
    peer.close()
    driver.turns(3)
    assert received.happened == []
    driver(stream.resume)
    received.until('end')
    assert received.happened == ['data', 'end']


@pytest.mark.parametrize('wanted', [True, False])
def test_what_is_put_off_comes_before_whatever_is_behind_it(driver: Driver, make: Maker, wanted: bool) -> None:
    """Nothing is read meanwhile, neither data nor the end, whatever is resumed; only then is it the turn of those."""
    stream, peer = make()
    log = Waiter()
    rest = [3]

    def on_data(data: bytes) -> None:
        log('data', data)
        stream.put_off(on_rest)
        if wanted:
            stream.pause()
            stream.resume()

    def on_rest() -> None:
        log('rest', rest[0])
        rest[0] -= 1
        if rest[0]:
            stream.put_off(on_rest)

    stream.on_data, stream.on_end = on_data, lambda: log('end')
    peer.sendall(b'first')
    finished = threading.Thread(target=peer.unwrap if stream.encrypted else partial(peer.shutdown, socket.SHUT_WR))
    finished.start()
    driver.turns()
    driver(stream.resume)
    assert [log.get() for _ in range(5)] == [('data', b'first'), ('rest', 3), ('rest', 2), ('rest', 1), ('end',)]
    driver(stream.end)
    finished.join(TIMEOUT)


def test_a_write_that_fails_does_not_lose_what_is_put_off(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    log = Waiter()
    stream.on_close = lambda error: log('close')

    def on_data(data: bytes) -> None:
        log('data', data)
        peer.close()
        stream.write(bytes(READ_SIZE))
        stream.write(bytes(READ_SIZE))
        stream.put_off(on_rest)
        left.append(5)

    def on_rest() -> None:
        left[0] -= 1
        if left[0]:
            stream.write(b'x')
            stream.put_off(on_rest)
        else:
            log('rest')

    left: list[int] = []
    stream.on_data = on_data
    peer.sendall(b'first')
    driver(stream.resume)
    assert log.get() == ('data', b'first')
    assert log.get() == ('rest',)
    driver(stream.end)
    assert log.get() == ('close',)


def test_pausing_with_the_last_data_defers_the_end(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    on_data = stream.on_data

    def pause(data: bytes) -> None:
        on_data(data)
        stream.pause()

    stream.on_data = pause
    peer.sendall(b'x')
    peer.close()
    driver(stream.resume)
    received.until('data')
    driver.turns(3)
    assert received.happened == ['data']
    driver(stream.resume)
    received.until('end')
