"""Streams of every kind: destroyed."""

from __future__ import annotations

import errno
import gc
import weakref
from functools import partial
from typing import Any, Optional

import pytest
from net.stream.makers import Maker
from streams import Driver, Received, receive
from support import Waiter, until

from ws.net.stream import Stream


def test_destroy_closes_at_once_and_answers_everybody(driver: Driver, make: Maker) -> None:
    stream, _ = make(4096)
    received = Received(stream)
    driver(stream.resume)
    order: list[Any] = []
    note = stream.on_close

    def on_close(error: Optional[Exception]) -> None:
        order.append('close')
        note(error)

    def write_and_destroy() -> None:
        for _ in range(10):
            stream.write(bytes(100_000), order.append)
        stream.destroy()
        assert stream.closed
        stream.destroy(LookupError('too late'))
        stream.write(b'', order.append)

    stream.on_close = on_close
    driver(write_and_destroy)
    driver.turns()
    assert (received.happened, received.error) == (['close'], None)
    assert order[-2:] == ['close', order[-1]] and len(order) == 12
    answers = [error for error in order if error != 'close']
    assert isinstance(answers[-1], OSError) and isinstance(answers[-2], OSError)
    sent = [error is None for error in answers]
    assert sent == sorted(sent, reverse=True)  # once one is lost, so are all after it
    assert driver(stream.write, b'x') is False


def test_the_reason_reaches_callbacks_and_on_close(driver: Driver, make: Maker) -> None:
    stream, _ = make(4096)
    received = Received(stream)
    reason = LookupError('because')
    answer = Waiter()
    driver.loop.call(stream.write, bytes(1 << 20), answer)
    driver.loop.call(stream.destroy, reason)
    received.until('close')
    assert received.error is reason
    assert answer.get() == (reason,)


def test_destroy_inside_on_data(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    note = stream.on_data

    def on_data(data: bytes) -> None:
        note(data)
        stream.write(b'lost')
        stream.destroy()

    stream.on_data = on_data
    driver(stream.resume)
    peer.sendall(b'x' * 100)
    received.until('close')
    for method in (stream.resume, stream.pause, stream.end, stream.flush):
        driver(method)
    driver.turns()
    assert received.happened == ['data', 'close']
    assert not driver.loop._pollables


def test_destroy_inside_on_end(driver: Driver, make: Maker) -> None:
    stream, peer = make()
    received = Received(stream)
    note = stream.on_end

    def on_end() -> None:
        note()
        stream.destroy()

    stream.on_end = on_end
    driver(stream.resume)
    peer.close()
    received.until('close')
    driver.turns()
    assert received.happened == ['end', 'close']


def test_destroy_inside_a_write_callback(driver: Driver, make: Maker) -> None:
    stream, _ = make(4096)
    received = Received(stream)
    answers = Waiter()

    def write_all() -> None:
        stream.write(b'first', lambda error: stream.destroy())
        stream.write(bytes(1 << 20), answers)

    driver(write_all)
    assert isinstance(answers.get()[0], OSError)
    received.until('close')
    assert not driver.loop._pollables


def test_what_on_data_raises_closes_that_stream_only(
    driver: Driver, make: Maker, reported: list[BaseException]
) -> None:
    stream, peer = make()
    other, other_peer = make()
    received, other_received = Received(stream), Received(other)
    stream.on_data = lambda data: 1 // 0
    driver(stream.resume)
    driver(other.resume)
    peer.sendall(b'x')
    received.until('close')
    assert [type(error) for error in reported] == [ZeroDivisionError]
    reported.clear()
    other_peer.sendall(b'fine')
    assert other_received.bytes(4) == b'fine'


@pytest.mark.parametrize('where', ['reading', 'writing'])
def test_a_poller_that_takes_no_more_ends_the_stream(
    driver: Driver, make: Maker, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fs.epoll.max_user_watches, for one."""
    stream, _ = make(4096)
    received = Received(stream)
    answer = Waiter()

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, 'no more')

    with monkeypatch.context() as patch:
        patch.setattr(driver.loop, 'register', full)
        if where == 'reading':
            driver(stream.resume)
        else:
            driver(stream.write, bytes(1 << 20), answer)
            assert isinstance(answer.get()[0], OSError)
    received.until('close')
    assert received.error is not None and received.error.args == (errno.ENOSPC, 'no more')
    assert not driver.loop._pollables


def test_a_destroyed_stream_keeps_nothing_alive(driver: Driver, make: Maker) -> None:
    """Five thousand connections must not wait for the collector."""

    class Owner:
        def __init__(self, stream: Stream) -> None:
            self.stream = stream
            stream.on_data = self.on_data
            stream.on_end = self.on_end
            stream.on_close = self.on_close
            stream.on_drain = self.on_end

        def on_data(self, data: bytes) -> None:
            self.stream.write(data, self.on_close)

        def on_end(self) -> None:
            self.stream.end()

        def on_close(self, error: Optional[Exception]) -> None:
            closed(error)

    def is_gone(reference: weakref.ref[Owner]) -> bool:
        return reference() is None

    closed = Waiter()
    gc.collect()
    gc.disable()
    try:
        for how in ('end', 'destroy', 'error'):
            stream, peer = make()
            owner = Owner(stream)
            gone = weakref.ref(owner)
            driver(stream.resume)
            peer.sendall(b'x')
            receive(peer, 1)
            assert closed.get() == (None,)
            del owner
            if how == 'end':
                peer.close()
            else:
                driver(stream.destroy, LookupError() if how == 'error' else None)
            closed.get()
            driver.turns()
            until(partial(is_gone, gone))
    finally:
        gc.enable()


def test_a_destroyed_stream_lets_go_of_what_was_queued(driver: Driver, make: Maker) -> None:
    """Its owner may still refer to it: to ask how much was received, say."""

    class Large(bytearray):
        pass

    stream, _peer = make(4096)
    large = Large(1 << 20)
    gone = weakref.ref(large)
    driver(stream.write, large)
    del large
    driver.turns()
    assert gone() is not None
    driver(stream.destroy)
    driver.turns()
    until(lambda: gone() is None)
