"""The thread contract (doc/threads.md): one loop thread, many threads on one socket, one ending."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
from support import TIMEOUT, Log, Waiter, client, echo_server, end, on_loop, server, wait_for

from ws import WebSocket

# -- 1: one loop thread -----------------------------------------------------------------------------------------------


@pytest.mark.loop
def test_everything_is_called_on_one_thread() -> None:
    threads = set()
    done = threading.Event()

    def note(*_: Any) -> None:
        threads.add(threading.current_thread())

    with server() as wss:
        wss.on('connection', lambda ws: (note(), ws.on('message', note), ws.on('close', note), ws.send('hi', note)))
        for _ in range(3):
            ws = client(wss)
            ws.on('open', note)
            ws.on('message', lambda this: (note(), this.send('yo', lambda: (note(), this.close()))))
            ws.on('close', lambda: (note(), done.set()))
            assert done.wait(TIMEOUT)
            done.clear()
    assert len(threads) == 1
    assert threading.current_thread() not in threads
    assert next(iter(threads)).name == 'ws'


@pytest.mark.loop
def test_listeners_never_overlap() -> None:
    inside = threading.Lock()
    overlaps = []
    remaining = [400]
    done = threading.Event()

    def on_message(message: str) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(message)
            return
        time.sleep(0.0005)  # long enough for another listener to come in, if any could
        inside.release()
        remaining[0] -= 1
        if not remaining[0]:
            done.set()

    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', on_message))
        clients = [client(wss) for _ in range(4)]
        for ws in clients:
            ws.on('open', lambda this: [this.send(str(i)) for i in range(100)])
        assert done.wait(TIMEOUT)
    assert overlaps == []


# -- 2: any method from any thread ------------------------------------------------------------------------------------


def test_sixteen_threads_send_on_one_socket() -> None:
    """Mixed sizes up to 1 MiB: every message arrives whole, those of one thread in their order."""
    threads, each = 16, 1000
    problems: list[str] = []
    counts = [0] * threads
    total = 0
    finished = threading.Event()

    def on_message(message: bytes) -> None:
        nonlocal total
        sender, number, size = message[0], int.from_bytes(message[1:5], 'big'), int.from_bytes(message[5:9], 'big')
        if len(message) != 9 + size or message[9:] != bytes([sender]) * size:
            problems.append(f'torn: {message[:20]!r}')
        if number != counts[sender]:
            problems.append(f'thread {sender}: {number} instead of {counts[sender]}')
        counts[sender] += 1
        total += 1
        if total == threads * each:
            finished.set()

    def send_all(ws: WebSocket, sender: int) -> None:
        generator = random.Random(sender)
        for number in range(each):
            size = 1 << generator.randrange(0, 11)
            if number % 100 == sender:
                size = 1 << 20
            head = bytes([sender]) + number.to_bytes(4, 'big') + size.to_bytes(4, 'big')
            ws.send(head + bytes([sender]) * size)

    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', on_message))
        ws = client(wss)
        wait_for(ws, 'open')
        workers = [threading.Thread(target=send_all, args=(ws, sender)) for sender in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert finished.wait(50), f'{total} of {threads * each} messages came'
        assert problems == []
        assert counts == [each] * threads
        assert on_loop(ws, lambda: ws.bufferedAmount) == 0


def test_calls_off_the_loop_return_while_it_is_busy() -> None:
    with echo_server() as wss:
        ws = client(wss)
        log = Log(ws, 'open', 'message', 'close')
        log.until('open')
        release = threading.Event()
        busy = threading.Event()
        ws._loop.call(lambda: (busy.set(), release.wait(TIMEOUT)))
        assert busy.wait(TIMEOUT)
        started = time.monotonic()
        ws.send('one')
        ws.ping('two')
        ws.pause()
        ws.resume()
        ws.close(1000, 'three')
        assert time.monotonic() - started < 5  # the loop is blocked until we say so: any wait would last forever
        assert ws.readyState == WebSocket.OPEN  # carried out on the loop thread, in this order
        release.set()
        assert log.until('close')[-1] == ('close', 1000, 'three')


def test_send_off_the_loop_takes_the_data_as_it_is_now() -> None:
    with echo_server() as wss:
        ws = client(wss)
        log = Log(ws, 'open', 'message')
        log.until('open')
        buffer = bytearray(b'before')
        release = threading.Event()
        ws._loop.call(lambda: release.wait(TIMEOUT))
        ws.send(buffer)
        buffer[:] = b'after!'
        release.set()
        assert log.until('message')[-1][1] == b'before'
        end(ws, 'terminate')


def test_buffered_amount_counts_what_the_loop_has_not_come_to() -> None:
    with server() as wss:
        wss.on('connection', lambda: None)
        ws = client(wss)
        wait_for(ws, 'open')
        release = threading.Event()
        busy = threading.Event()
        ws._loop.call(lambda: (busy.set(), release.wait(TIMEOUT)))
        assert busy.wait(TIMEOUT)
        ws.send(b'x' * 1000)
        assert ws.bufferedAmount == 1000
        sent = Waiter()
        ws.send(b'y' * 500, sent)
        assert ws.bufferedAmount == 1500
        release.set()
        assert sent.get() == (None,)
        assert ws.bufferedAmount == 0


# -- 4: exactly one ending --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('how', ['close', 'terminate', 'peer closes', 'peer terminates', 'protocol error'])
def test_each_socket_ends_in_one_close(how: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        log = Log(ws)
        log.until('open')
        peer = connected.get()[0]
        peer_log = Log(peer)
        if how == 'close':
            ws.close()
        elif how == 'terminate':
            ws.terminate()
        elif how == 'peer closes':
            peer.close()
        elif how == 'peer terminates':
            peer.terminate()
        else:
            ws._loop.call(ws._stream.write, b'\xff\xff\xff')
        states = []
        ws.on('close', lambda: states.append(ws.readyState))
        events = [event for event, *_ in log.until('close')]
        peer_events = [event for event, *_ in peer_log.until('close')]
        ws.close()
        ws.terminate()
        peer.close()
        peer.terminate()
        on_loop(ws, lambda: None)
        assert log.nothing(0.05) and peer_log.nothing(0.05)
        assert events == ['close']
        assert peer_events == (['error', 'close'] if how == 'protocol error' else ['close'])
        assert ws.readyState == peer.readyState == WebSocket.CLOSED


def test_every_callback_runs_once_whatever_happens() -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        wait_for(ws, 'open')
        peer = connected.get()[0]
        peer.pause()
        answers: list[list[Any]] = [[] for _ in range(200)]
        last, closed = threading.Event(), Waiter()
        ws.on('close', closed)
        for number in range(200):
            ws.send(b'x' * 100_000, lambda error, number=number: answers[number].append(error))
        ws.terminate()
        for number in range(3):
            answers.append([])
            ws.send('late', lambda error, number=number: (answers[200 + number].append(error), last.set()))
        closed.get()
        assert last.wait(TIMEOUT)
        on_loop(ws, lambda: None)
        assert all(len(answer) == 1 for answer in answers)
        results = [answer[0] for answer in answers]
        assert results[0] is None
        assert isinstance(results[199], Exception) and isinstance(results[-1], Exception)
        failed = [error is not None for error in results]
        assert failed == sorted(failed)  # once one has failed, none of the later ones was sent


# -- 8: waiting on the loop thread ------------------------------------------------------------------------------------


def test_waiting_on_the_loop_thread_raises() -> None:
    with server() as wss, pytest.raises(RuntimeError, match='loop thread'):
        on_loop(wss, wss._loop.wait)
