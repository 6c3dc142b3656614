"""A stream as Node's net.Socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from streams import Driver, Received, receive, reset, tcp_pair, unix_pair
from support import Waiter, until

from ws.net import face as face_module
from ws.net.face import Socket
from ws.net.stream import HIGH_WATER_MARK, Stream


class Ends:
    """A stream that reads, its face, and a blocking socket at the other end."""

    def __init__(self, driver: Driver, kind: str = 'tcp', buffers: int = 0) -> None:
        near, self.peer = tcp_pair(buffers) if kind == 'tcp' else unix_pair(buffers)
        self.sock = near
        self.stream = Stream(driver.loop, near)
        self.received = Received(self.stream)
        self.face = self.stream.face
        driver(self.stream.resume)


@pytest.fixture
def ends(driver: Driver) -> Iterator[Ends]:
    made = Ends(driver)
    yield made
    made.peer.close()
    driver(made.stream.destroy)


def heard(face: Socket, *events: str) -> Waiter:
    waiter = Waiter()
    for event in events or ('error', 'close', 'timeout', 'drain'):
        face.on(event, lambda *args, event=event: waiter(event, *args))
    return waiter


# -- what it is -------------------------------------------------------------------------------------------------------


def test_it_is_made_when_it_is_asked_for_and_only_once(driver: Driver) -> None:
    near, far = tcp_pair()
    stream = Stream(driver.loop, near)
    with far:
        driver(stream.resume)
        assert stream._face is None
        made: list[Socket] = []
        threads = [threading.Thread(target=lambda: made.append(stream.face)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, made))) == 1
        driver(stream.destroy)
        assert stream.face is made[0]  # and what somebody has put on it is still there


def test_names_and_counts(driver: Driver, ends: Ends) -> None:
    face, (host, port) = ends.face, ends.peer.getsockname()
    assert (face.remoteAddress, face.remotePort) == (host, port)
    own = ends.sock.getsockname()
    assert (face.localAddress, face.localPort) == own
    assert face.address() == {'address': own[0], 'family': 'IPv4', 'port': own[1]}
    assert face.address().port == own[1]
    assert (face.encrypted, face.authorized, face.writable, face.destroyed) == (False, False, True, False)
    ends.peer.sendall(b'hello')
    assert ends.received.bytes(5) == b'hello'
    assert (face.bytesRead, face.bytesWritten, face.bufferSize) == (5, 0, 0)
    assert driver(lambda: (face.write(b'abc'), face.bytesWritten, face.bufferSize)) == (True, 3, 3)
    assert receive(ends.peer, 3) == b'abc'
    driver.turns()  # the peer may have it before the loop knows
    assert (face.bytesWritten, face.bufferSize) == (3, 0)
    driver(ends.stream.destroy)
    assert (face.writable, face.destroyed, face.localPort, face.address()) == (False, True, None, {})
    assert (face.bytesRead, face.bytesWritten) == (5, 3)


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='this platform has no UNIX sockets')
def test_over_a_unix_socket(driver: Driver) -> None:
    made = Ends(driver, 'unix')
    with made.peer:
        face = made.face
        assert face.address() == made.sock.getsockname() == ''
        assert face.remotePort is None
        face.setKeepAlive(True, 5000).setNoDelay(False)  # which it has not
        face.write('hello')
        assert receive(made.peer, 5) == b'hello'
        driver(made.stream.destroy)


# -- options of the system --------------------------------------------------------------------------------------------


def test_keep_alive(driver: Driver, ends: Ends) -> None:
    def option(level: int, name: int) -> int:
        driver.turns(1)
        return ends.sock.getsockopt(level, name)

    assert ends.face.setKeepAlive(True, 7000) is ends.face
    assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if hasattr(socket, 'TCP_KEEPIDLE'):
        assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
        ends.face.setKeepAlive(True)  # the delay is what it was
        assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
    ends.face.setKeepAlive()
    assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


def test_no_delay(driver: Driver, ends: Ends) -> None:
    for given, set_ in (([False], 0), ([], 1), ([False], 0), ([True], 1)):
        assert ends.face.setNoDelay(*given) is ends.face
        driver.turns(1)
        assert ends.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == set_


def test_options_of_one_that_is_gone(driver: Driver, ends: Ends) -> None:
    driver(ends.stream.destroy)
    ends.face.setKeepAlive(True, 1000).setNoDelay().setTimeout(5).pause().resume().end().destroy()
    driver.turns(2)
    assert ends.face.write(b'x') is False


# -- timeouts ---------------------------------------------------------------------------------------------------------


def test_a_timeout_comes_once_and_again_after_something_has_happened(driver: Driver, ends: Ends) -> None:
    waiter, called = heard(ends.face, 'timeout'), Waiter()
    began = time.monotonic()
    assert ends.face.setTimeout(40, called) is ends.face
    assert waiter.get() == ('timeout',)
    assert time.monotonic() - began >= 0.04
    assert called.get() == ()
    assert waiter.nothing(0.2)
    ends.peer.sendall(b'hello')
    assert waiter.get() == ('timeout',)
    driver(ends.face.write, b'hello')
    assert waiter.get() == ('timeout',)
    assert called.nothing(0)  # it is for one
    assert not ends.face.destroyed


def test_what_is_sent_or_received_puts_it_off(driver: Driver, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own, looked at when the test says so."""
    now = 0.0
    monkeypatch.setattr(face_module, 'time', SimpleNamespace(monotonic=lambda: now))
    waiter = heard(ends.face, 'timeout')
    ends.face.setTimeout(100_000)
    for number in range(6):
        now += 60
        if number % 2:
            ends.peer.sendall(b'x')
            ends.received.bytes(1)
        else:
            driver(ends.face.write, b'x')
            receive(ends.peer, 1)
        driver(ends.face._look)
    now += 99
    driver(ends.face._look)
    assert waiter.nothing(0)
    now += 1
    driver(ends.face._look)
    assert waiter.get() == ('timeout',)


def test_no_timeout(driver: Driver, ends: Ends) -> None:
    waiter = heard(ends.face, 'timeout')
    driver(lambda: (ends.face.setTimeout(20, waiter), ends.face.setTimeout(0, waiter)))
    assert ends.face.listenerCount('timeout') == 1
    assert waiter.nothing(0.1)
    driver(lambda: (ends.face.setTimeout(20), ends.stream.destroy()))
    assert waiter.nothing(0.1)


def test_a_timeout_that_its_listener_takes_back(driver: Driver, ends: Ends) -> None:
    waiter = heard(ends.face, 'timeout')
    ends.face.on('timeout', lambda: ends.face.setTimeout(0))
    ends.face.setTimeout(10)
    waiter.get()
    ends.peer.sendall(b'x')
    assert waiter.nothing(0.1)


@pytest.mark.parametrize('value', ['5', None, True, [5]])
def test_times_of_the_wrong_type(value: Any, ends: Ends) -> None:
    for name, call in (('timeout', ends.face.setTimeout), ('initialDelay', lambda v: ends.face.setKeepAlive(True, v))):
        with pytest.raises(TypeError, match=f'^{name} must be a number of milliseconds, not {type(value).__name__}$'):
            call(value)
    for impossible in (-1, float('nan'), float('inf')):
        with pytest.raises(ValueError, match=r'^timeout must be a number of milliseconds, not '):
            ends.face.setTimeout(impossible)
    with pytest.raises(TypeError, match=r'^a callback must be callable'):
        ends.face.setTimeout(5, 5)  # type: ignore[arg-type]


# -- the other events -------------------------------------------------------------------------------------------------


def test_an_end_in_peace(driver: Driver, ends: Ends) -> None:
    waiter = heard(ends.face)
    ends.peer.close()
    driver(ends.stream.end)
    assert waiter.get() == ('close', False)
    assert waiter.nothing(0.02)


def test_an_end_by_an_error(driver: Driver, ends: Ends) -> None:
    waiter = heard(ends.face)
    reset(ends.peer)
    event, error = waiter.get()
    assert event == 'error' and isinstance(error, ConnectionResetError)
    assert waiter.get() == ('close', True)


def test_an_error_that_nobody_hears_is_no_news(driver: Driver, ends: Ends) -> None:
    waiter = heard(ends.face, 'close')
    reset(ends.peer)
    assert waiter.get() == ('close', True)  # and nothing for threading.excepthook, which would fail this test


def test_the_owner_is_told_all_the_same(driver: Driver, ends: Ends) -> None:
    closed, waiter = Waiter(), heard(ends.face, 'close')
    ends.stream.on_close = closed
    driver(ends.stream.destroy)
    assert closed.get() == (None,)
    assert waiter.get() == ('close', False)


def test_a_listener_that_raises_harms_nobody(driver: Driver, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    reported = Waiter()
    monkeypatch.setattr(threading, 'excepthook', lambda report: reported(report.exc_type))
    ends.face.once('close', lambda: 1 // 0)
    waiter = heard(ends.face, 'close')
    driver(ends.stream.destroy)
    assert reported.get() == (ZeroDivisionError,)
    assert waiter.get() == ('close', False)


def test_drain(driver: Driver) -> None:
    made = Ends(driver, buffers=4096)
    with made.peer:
        waiter, stream = heard(made.face, 'drain'), made.stream
        data = os.urandom(4 * HIGH_WATER_MARK)
        assert driver(made.face.write, data) is False
        assert made.face.bufferSize > 0
        assert waiter.nothing(0.02)
        assert receive(made.peer, len(data)) == data
        assert waiter.get() == ('drain',)
        assert made.face.bufferSize == 0 == stream.queued
        driver(stream.destroy)


# -- what it does -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_writing_and_ending(driver: Driver, ends: Ends, where: str) -> None:
    run = driver if where == 'loop' else lambda function, *args: function(*args)
    sent, face = Waiter(), ends.face
    assert run(face.write, 'é', sent) is True
    assert sent.get() == (None,)
    assert run(face.write, 'é', 'latin-1') is True
    assert run(face.write, bytearray(b'c'), None, sent) is True
    assert sent.get() == (None,)
    assert run(face.end, 'bye', sent) is face
    assert sent.get() == (None,)
    driver.turns(2)
    assert not face.writable
    assert receive(ends.peer, 7) == 'é'.encode() + b'\xe9c' + b'bye'
    assert ends.peer.recv(1) == b''
    assert not face.destroyed  # the peer has not finished
    waiter = heard(face)
    ends.peer.close()
    assert waiter.get() == ('close', False)


def test_only_an_end_with_a_callback(driver: Driver, ends: Ends) -> None:
    sent = Waiter()
    ends.face.end(sent)
    assert sent.get() == (None,)
    assert ends.peer.recv(1) == b''


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_destroying(driver: Driver, ends: Ends, where: str) -> None:
    waiter = heard(ends.face)
    error = OSError('enough')
    if where == 'loop':
        driver(ends.face.destroy, error)
    else:
        ends.face.destroy(error)
    assert waiter.get() == ('error', error)
    assert waiter.get() == ('close', True)
    assert ends.peer.recv(1) == b''


def test_pausing_whatever_others_want(driver: Driver, ends: Ends) -> None:
    assert ends.face.pause() is ends.face
    driver.turns(1)
    driver(ends.stream.resume)  # its owner
    ends.peer.sendall(b'hello')
    driver.turns(3)
    assert ends.stream.bytes_read == 0
    assert ends.face.resume() is ends.face
    assert ends.received.bytes(5) == b'hello'


def test_arguments(ends: Ends) -> None:
    with pytest.raises(TypeError):
        ends.face.write(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='a callback must be callable'):
        ends.face.write(b'', None, 5)  # type: ignore[arg-type]
    until(lambda: not ends.face.bufferSize)
