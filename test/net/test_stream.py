"""Streams: TCP, UNIX and TLS behave alike, whatever the other end does."""

from __future__ import annotations

import errno
import gc
import hashlib
import random
import select
import socket
import ssl
import threading
import time
import weakref
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, Optional

import pytest
from streams import (
    Driver,
    Received,
    TLSEnds,
    in_thread,
    receive,
    reset,
    server_stream,
    tcp_pair,
    tls_sockets,
    unix_pair,
)
from support import TIMEOUT, Waiter, until

from ws.net import tls as tls_module
from ws.net.loop import Loop
from ws.net.poller import READ, WRITE, Poller
from ws.net.stream import HIGH_WATER_MARK, READ_SIZE, Stream
from ws.net.tls import TLSStream
from ws.net.tls_socket import TLSSocketStream

#: ``make(buffers)``: a stream, not reading yet, and a blocking socket at its other end.
Make = Callable[..., tuple[Stream, socket.socket]]


KINDS: dict[str, type[Stream]] = {'tcp': Stream, 'unix': Stream, 'tls': TLSStream, 'tls-socket': TLSSocketStream}


class Maker:
    """Makes pairs of one kind, and closes them at the end."""

    def __init__(self, kind: str, driver: Driver, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        self.kind = kind
        self._driver = driver
        self._contexts = contexts
        self._made: list[Any] = []

    def __call__(self, buffers: int = 0) -> tuple[Stream, Any]:
        near, far = unix_pair(buffers) if self.kind == 'unix' else tcp_pair(buffers)
        pair = self._encrypt(near, far) if self.kind.startswith('tls') else (Stream(self._driver.loop, near), far)
        self._made += pair
        return pair

    def _encrypt(self, near: socket.socket, far: socket.socket) -> tuple[Stream, socket.socket]:
        if self.kind == 'tls-socket':
            server, client = tls_sockets(self._contexts, near, far)
            return TLSSocketStream(self._driver.loop, server), client
        done = threading.Event()
        stream = server_stream(self._driver, self._contexts, near)
        self._driver.loop.call(stream.handshake, done.set)
        peer = self._contexts[1].wrap_socket(far, server_hostname='localhost')
        assert done.wait(TIMEOUT)
        return stream, peer

    def two_streams(self, buffers: int = 0) -> tuple[Stream, Stream]:
        """Both ends are streams of the same loop."""
        if self.kind.startswith('tls'):
            ends = TLSEnds(self._driver, self._contexts, KINDS[self.kind], buffers)
            ends.shake(self._driver)
            streams: tuple[Stream, Stream] = ends.streams
            self._driver(streams[0].pause), self._driver(streams[1].pause)
        else:
            near, far = unix_pair(buffers) if self.kind == 'unix' else tcp_pair(buffers)
            streams = Stream(self._driver.loop, near), Stream(self._driver.loop, far)
        self._made += streams
        return streams

    def close(self) -> None:
        for end in self._made:
            if isinstance(end, Stream):
                self._driver(end.destroy)
            else:
                end.close()


@pytest.fixture(params=list(KINDS))
def make(request: pytest.FixtureRequest, driver: Driver, tls_contexts: Any) -> Any:
    maker = Maker(request.param, driver, tls_contexts)
    yield maker
    maker.close()


def of_kinds(*kinds: str) -> pytest.MarkDecorator:
    """For a test that `make` runs with these alone."""
    return pytest.mark.parametrize('make', kinds, indirect=True)


#: A UNIX socket knows no reset, and an SSLSocket no half-open connection.
with_resets = of_kinds('tcp', 'tls', 'tls-socket')
half_open = of_kinds('tcp', 'unix', 'tls')


def pieces(seed: int, number: int, most: int) -> list[bytes]:
    generator = random.Random(seed)
    return [generator.randbytes(generator.randrange(1, most)) for _ in range(number)]


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


# -- writing ----------------------------------------------------------------------------------------------------------


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
    driver(stream.write, memoryview(numbers))
    driver(stream.write, memoryview(array('I')))
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


# -- ending -----------------------------------------------------------------------------------------------------------


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


# -- destroying -------------------------------------------------------------------------------------------------------


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


# -- broken connections -----------------------------------------------------------------------------------------------


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


# -- names ------------------------------------------------------------------------------------------------------------


def test_the_peer_s_name(driver: Driver) -> None:
    near, far = tcp_pair()
    stream = Stream(driver.loop, near)
    assert (stream.remoteAddress, stream.remotePort) == far.getsockname()
    assert (stream.localAddress, stream.localPort) == far.getpeername()
    assert stream.encrypted is False
    driver(stream.destroy)
    assert (stream.remoteAddress, stream.remotePort) == far.getsockname()  # to the end
    assert (stream.localAddress, stream.localPort) == (None, None)
    far.close()


def test_a_unix_peer_has_a_path_at_most(driver: Driver) -> None:
    near, far = unix_pair()
    stream = Stream(driver.loop, near)
    assert (stream.remoteAddress, stream.remotePort) == ('', None)
    driver(stream.destroy)
    far.close()


def test_small_segments_are_not_held_back(driver: Driver) -> None:
    near, far = tcp_pair()
    stream = Stream(driver.loop, near)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert near.getblocking() is False
    driver(stream.destroy)
    far.close()


def test_abandon_closes_the_descriptor_and_tells_nobody(driver: Driver) -> None:
    near, far = unix_pair()
    stream = Stream(driver.loop, near)
    received = Received(stream)
    stream.abandon()
    assert near.fileno() == -1 and stream.closed
    driver(stream.destroy)
    assert received.happened == []
    assert far.recv(1) == b''
    far.close()
