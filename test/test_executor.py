"""The option `executor`: what doc/threads.md promises of listeners, on a pool."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Union

import pytest
from support import TIMEOUT, Log, Waiter, client, end, raw_client, server, until, wait_for

from ws import WebSocket, WebSocketServer
from ws.pool import Order


@pytest.fixture(params=['int', 'executor'])
def pool(request: pytest.FixtureRequest) -> Iterator[Union[Executor, int]]:
    if request.param == 'int':
        yield 4
    else:
        with ThreadPoolExecutor(4) as executor:
            yield executor
            until(lambda: not any(thread.name == 'ws' for thread in threading.enumerate()))  # which needs it to its end


class Gate:
    """Where a listener waits, and the test can tell."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, *args: Any) -> None:
        self.reached.set()
        assert self._open.wait(TIMEOUT)

    def open(self) -> None:
        self._open.set()


def opened(wss: WebSocketServer, path: str = '/') -> WebSocket:
    ws = client(wss, path)
    wait_for(ws, 'open')
    return ws


def test_listeners_run_on_the_pool(pool: Any) -> None:
    threads: dict[str, str] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda *args: threads.setdefault(name, threading.current_thread().name)

    def on_connection(ws: Any) -> None:
        note('connection')()
        ws.on('message', note('message'))
        ws.on('close', note('close'))
        ws.send('hi', note('callback'))

    def verify(info: Any) -> bool:
        note('verifyClient')()
        return True

    def choose(protocols: Any, request: Any) -> Any:
        note('handleProtocols')()
        return protocols[0]

    with server(executor=pool, verifyClient=verify, handleProtocols=choose) as wss:
        wss.on('connection', on_connection)
        wss.on('headers', note('headers'))
        ws = client(wss, executor=pool, protocols='chat')
        ws.on('open', note('open'))
        log = Log(ws, 'message', 'close')
        assert log.get()[:2] == ('message', 'hi')
        ws.send('ho', note('callback of the client'))
        until(lambda: 'message' in threads)
        ws.close()
        log.until('close')
        until(lambda: len(threads) == 9)
    prefix = 'ws-listener' if isinstance(pool, int) else 'ThreadPoolExecutor'
    assert {name: thread for name, thread in threads.items() if not thread.startswith(prefix)} == {}


def test_messages_of_a_connection_come_one_at_a_time_and_in_order(pool: Any) -> None:
    received: list[int] = []
    at_once = [0, 0]

    def on_message(data: str) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        received.append(int(data))
        at_once[0] -= 1

    done = Waiter()
    with server(executor=pool) as wss:
        wss.on('connection', lambda ws: (ws.on('message', on_message), ws.on('close', done)))
        ws = opened(wss)
        for number in range(5000):
            ws.send(str(number))
        ws.close()
        assert done.get() == (1000, '')
    assert received == list(range(5000))
    assert at_once[1] == 1


def test_a_listener_that_blocks_holds_up_its_own_connection_only(pool: Any) -> None:
    gate = Gate()

    def on_connection(ws: Any, request: Any) -> None:
        ws.on('message', gate if request.url == '/blocked' else lambda data: ws.send(data))

    with server(executor=pool) as wss:
        wss.on('connection', on_connection)
        blocked = opened(wss, '/blocked')
        blocked.send('1')
        assert gate.reached.wait(TIMEOUT)
        other = client(wss)
        log = Log(other, 'message')
        wait_for(other, 'open')
        other.send('hi')
        assert log.get()[1] == 'hi'
        gate.open()
        end(blocked)
        end(other)


def test_a_blocked_connection_listener_gets_its_messages_afterwards(pool: Any) -> None:
    gate, got = Gate(), Waiter()

    def on_connection(ws: Any) -> None:
        gate()
        ws.on('message', got)

    with server(executor=pool) as wss:
        wss.on('connection', on_connection)
        ws = opened(wss)
        ws.send('hi')
        assert gate.reached.wait(TIMEOUT)
        gate.open()
        assert got.get()[0] == 'hi'
        end(ws)


def test_what_comes_in_meanwhile_is_bounded(pool: Any) -> None:
    gate, connections = Gate(), Waiter()
    with server(executor=pool) as wss:
        wss.on('connection', lambda ws: (ws.on('message', gate), connections(ws)))
        with raw_client(wss) as sock:
            [ws] = connections.get()
            sock.settimeout(0.5)
            frame = b'\x82\xfe\x04\x00' + bytes(4) + bytes(1024)
            sent = 0
            with pytest.raises(socket.timeout):  # TimeoutError from Python 3.10 on
                while sent < 64 << 20:
                    sent += sock.send(frame * 64)
            assert ws.bytesReceived < 1 << 20
            gate.open()
            until(lambda: ws.bytesReceived > sent - len(frame) * 64)


def test_a_listener_that_closes_hears_nothing_more(pool: Any) -> None:
    received: list[str] = []
    closed = Waiter()

    def on_connection(ws: Any) -> None:
        def on_message(data: str) -> None:
            received.append(data)
            ws.close()

        ws.on('message', on_message)
        ws.on('close', closed)

    with server(executor=pool) as wss:
        wss.on('connection', on_connection)
        ws = opened(wss)
        for number in range(50):
            ws.send(str(number))
        assert closed.get()[0] == 1000
    assert received == ['0']


def test_a_listener_that_raises_closes_its_connection(pool: Any, reported: list[BaseException]) -> None:
    received: list[str] = []

    def on_message(data: str) -> None:
        received.append(data)
        raise RuntimeError('on purpose')

    with server(executor=pool) as wss:
        wss.on('connection', lambda ws: ws.on('message', on_message))
        ws = client(wss)
        log = Log(ws, 'close')
        wait_for(ws, 'open')
        for number in range(50):
            ws.send(str(number))
        assert log.get()[1] == 1011
    assert received == ['0']
    assert [str(error) for error in reported] == ['on purpose']
    reported.clear()


def test_pausing_in_a_listener_holds_back_what_has_been_read(pool: Any) -> None:
    got = Waiter()

    def on_connection(ws: Any) -> None:
        def on_message(data: str) -> None:
            got(ws, data)
            ws.pause()

        ws.on('message', on_message)

    with server(executor=pool) as wss:
        wss.on('connection', on_connection)
        client_end = opened(wss)
        for number in range(5):
            client_end.send(str(number))
        for number in range(5):
            ws, data = got.get()
            assert data == str(number)
            assert got.nothing(0.05)
            ws.resume()
        end(client_end)


def test_pause_and_resume_on_two_threads_at_once(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been read is held back, and no more is read: both, or neither."""
    connected, got = Waiter(), Waiter()
    original = Order.pause

    def pause(order: Order, paused: bool) -> None:
        original(order, paused)
        if paused:  # and in the middle of it:
            other = threading.Thread(target=ws.resume)
            other.start()
            other.join(TIMEOUT)

    with server(executor=pool) as wss:
        wss.on('connection', lambda ws: (ws.on('message', got), connected(ws)))
        client_end = opened(wss)
        ws = connected.get()[0]
        monkeypatch.setattr(Order, 'pause', pause)
        ws.pause()
        client_end.send('hi')
        assert got.get()[0] == 'hi'
        assert not ws.isPaused
        end(client_end)


def test_a_server_closes_after_the_last_listener(pool: Any) -> None:
    order: list[str] = []
    gate = Gate()

    def on_close(*args: Any) -> None:
        gate()
        order.append('connection')

    wss: Any
    with server(executor=pool) as wss:
        wss.on('connection', lambda ws: ws.on('close', on_close))
        wss.on('close', lambda: order.append('server'))
        ws = opened(wss)
        done = Waiter()
        wss.close(lambda: (order.append('callback'), done()))
        assert gate.reached.wait(TIMEOUT)
        gate.open()
        done.get()
        end(ws)
    assert order == ['connection', 'server', 'callback']


def test_a_pool_that_is_shut_down_ends_the_connection(reported: list[BaseException]) -> None:
    executor = ThreadPoolExecutor(1)
    closed = Waiter()
    with server(executor=executor) as wss:
        wss.on('connection', lambda ws: (ws.on('message', closed), ws.on('close', closed)))
        ws = client(wss)
        log = Log(ws, 'close')
        wait_for(ws, 'open')
        until(lambda: bool(wss.clients) and wss.clients[0].listenerCount('close') == 1)
        executor.shutdown()
        ws.send('hi')
        assert log.get()[1] == 1011
        assert closed.get()[0] == 1011
    assert [type(error) for error in reported] == [RuntimeError]
    reported.clear()


@pytest.mark.parametrize('value', [0, -1])
def test_too_few_threads(value: int) -> None:
    with pytest.raises(ValueError, match=f'^executor must be at least 1 thread, not {value}$'):
        WebSocketServer(noServer=True, executor=value)


@pytest.mark.parametrize('value', ['4', True, 1.5, object()])
def test_no_executor(value: Any) -> None:
    with pytest.raises(TypeError, match=r'^executor must be an int, or an Executor whose threads'):
        WebSocketServer(noServer=True, executor=value)


def test_processes_are_no_threads() -> None:
    with ProcessPoolExecutor(1) as executor, pytest.raises(TypeError, match=r'^executor'):
        WebSocketServer(noServer=True, executor=executor)


def test_a_client_has_a_pool_too(pool: Any) -> None:
    gate = Gate()
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data: ws.send(data)))
        ws = client(wss, executor=pool)
        ws.on('message', gate)
        ws.on('open', lambda: ws.send('hi'))
        other = client(wss)
        assert gate.reached.wait(TIMEOUT)
        wait_for(other, 'open')
        gate.open()
        end(ws)
        end(other)
        assert isinstance(ws, WebSocket)


def test_what_a_class_of_one_s_own_attaches_in_its_constructor_runs_on_the_pool(pool: Any) -> None:
    seen = Waiter()

    class Attached(WebSocket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.on('message', self.heard)

        def heard(self, data: Any) -> None:
            seen(threading.current_thread().name, data)

    with server(executor=pool, WebSocket=Attached) as wss:
        wss.on('connection', lambda: None)
        ws = opened(wss)
        ws.send('text')
        ws.send(b'bytes')
        (of_text, text), (of_bytes, data) = seen.get(), seen.get()
        assert (text, data) == ('text', b'bytes')
        assert 'ws' not in (of_text, of_bytes)
        end(ws)
