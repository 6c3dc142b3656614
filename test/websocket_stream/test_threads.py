"""A WebSocket as a stream: threads, and listeners beside it."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Optional

import pytest
from fakes import accept, fake_server
from interrupts import interrupted_at, looks_between_calls
from loop_timers import held_up
from scripts import MASKED, Scripts
from streams import in_thread
from support import TIMEOUT, Log, Waiter, client, on_loop, open_pair, server, until, url_of
from websocket_stream.pairs import (
    CALLS,
    MIB,
    close_frame,
    data_frame,
    pair,
    stream_and_peer,
    stream_and_socket,
    waits,
    zip_first,
)

from ws import WebSocket, createWebSocketStream, websocket_stream
from ws.net import changes


def raised_by(function: Callable[[], object]) -> Optional[Exception]:
    try:
        function()
    except Exception as error:
        return error
    return None


# -- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('call', CALLS)
def test_on_the_loop_thread_it_does_not_wait_for_itself(call: str) -> None:
    with stream_and_socket() as (stream, _):
        stream.write(bytes(20 * MIB))
        with pytest.raises(RuntimeError, match='wait for itself'):
            on_loop(stream._ws, lambda: CALLS[call](stream))


def test_on_the_loop_thread_what_need_not_wait_works() -> None:
    with stream_and_socket() as (stream, this):
        this.sock.sendall(data_frame(b'data'))
        until(lambda: stream._size)
        assert on_loop(stream._ws, lambda: (stream.read(2), stream.peek(), stream.read(100))) == (b'da', b'ta', b'ta')
        assert on_loop(stream._ws, lambda: (stream.write(b'answer'), stream.flush())) == (6, None)
        assert zip_first(this, 1)[0][2] == b'answer'
        this.sock.sendall(data_frame(b'more') + close_frame(1000))
        until(lambda: stream._ended)
        assert on_loop(stream._ws, stream.read) == b'more'


def test_on_the_loop_thread_it_closes_without_waiting() -> None:
    with stream_and_socket() as (stream, this):
        stream.write(bytes(20 * MIB))
        on_loop(stream._ws, stream.close)
        assert len(zip_first(this, 1)[0][2]) == 20 * MIB
        assert zip_first(this, 1)[0][1:] == (8, b'\x03\xe8')


@pytest.mark.parametrize('executor', [None, 1])
def test_in_a_close_listener_it_is_known_that_nothing_can_be_written(executor: Optional[int]) -> None:
    outcome = Waiter()
    with server() as wss:
        wss.on('connection', lambda peer: peer.close())
        with held_up():
            ws = client(wss, executor=executor)
            ws.on('close', lambda: outcome(raised_by(lambda: stream.write(b'x'))))
            stream = createWebSocketStream(ws, timeout=5000)
        assert isinstance(outcome.get()[0], BrokenPipeError)


def test_lines_in_a_listener_may_be_written() -> None:
    with open_pair() as (ws, peer):
        text, log = createWebSocketStream(ws, encoding='utf-8'), Log(peer, 'message')
        on_loop(ws, lambda: [print(number, file=text) for number in range(3)])
        assert [log.get()[1] for _ in range(3)] == [b'0\n', b'1\n', b'2\n']
        text.close()


def test_many_threads_write_and_read_at_once(switching: None) -> None:
    numbers, got = 4, queue.SimpleQueue[bytes]()
    with pair(highWaterMark=100) as (near, far):

        def write(name: int) -> None:
            for number in range(100):
                near.write(b'%d %02d|' % (name, number))

        def read() -> None:
            while data := far.read(5):
                got.put(data)

        with contextlib.ExitStack() as stack:
            for _ in range(numbers):
                stack.enter_context(in_thread(read))
            with contextlib.ExitStack() as writers:
                for name in range(numbers):
                    writers.enter_context(in_thread(write, name))
            near.end()
    total = 0
    while not got.empty():
        total += len(got.get())
    assert total == 5 * 100 * numbers


def test_messages_of_several_writers_are_whole_and_in_order(switching: None) -> None:
    with stream_and_peer(writableHighWaterMark=100) as (stream, peer):
        log = Log(peer, 'message')

        def write(name: int) -> None:
            for number in range(100):
                stream.write(b'%d %d' % (name, number))

        with contextlib.ExitStack() as stack:
            for name in range(4):
                stack.enter_context(in_thread(write, name))
        messages = [log.get()[1] for _ in range(400)]
        for name in range(4):
            mine = [message for message in messages if message.startswith(b'%d' % name)]
            assert mine == [b'%d %d' % (name, number) for number in range(100)]


INTERRUPTED = """
    import sys
    from ws import WebSocket, createWebSocketStream

    stream = createWebSocketStream(WebSocket(sys.argv[1]))
{before}
    try:
        stream.read(1)
    except KeyboardInterrupt:
        print('interrupted', flush=True)
    stream.write(b'goes on')
    stream.close()
"""


@pytest.mark.parametrize('before', ['', MASKED], ids=['', 'just before'])
def test_ctrl_c_interrupts_a_read(script: Scripts, before: str) -> None:
    with server() as wss:
        log: Waiter = Waiter()
        wss.on('connection', lambda ws: log(Log(ws, 'message', 'close')))
        child = script(INTERRUPTED.format(before=before), url_of(wss))
        [events] = log.get()
        child.interrupt()
        assert child.line() == 'interrupted'
        assert events.get()[1] == b'goes on'
        assert events.get() == ('close', 1000, '')
        assert child.end() == (0, '', '')


@looks_between_calls
def test_ctrl_c_may_come_at_any_step_of_reading() -> None:
    """The stream, and the loop, go on as if it had not been tried; even if reading was to end a pause."""
    places = set()
    for step in itertools.count(1):
        with stream_and_peer(readableHighWaterMark=10) as (stream, peer):
            peer.send(b'x' * 20)
            until(lambda: stream._paused)
            place = interrupted_at(step, lambda: stream.read(100), changes, websocket_stream)
            peer.send(b'y' * 20)
            while b'y' not in stream.read(100):  # if the others were just being read, they are lost, as with any file
                pass
            if not place:
                break
            places.add(place)
    assert {'until', 'is_so', '_can_read', '_cut', '_go_on_if_low'} <= places


@looks_between_calls
def test_ctrl_c_may_come_at_any_step_of_waiting_to_read() -> None:
    places = set()
    with stream_and_peer() as (stream, peer):
        for step in itertools.count(1):
            over = threading.Event()

            def send(over: threading.Event = over) -> None:
                until(lambda: waits(stream) or over.is_set())
                peer.send(b'x')

            with in_thread(send):
                place = interrupted_at(step, lambda: stream.read(1), changes, websocket_stream)
                over.set()
            if not place:
                break
            places.add(place)
            peer.send(b'y')
            while stream.read(1) != b'y':
                pass
    assert {'until', '_wait', '_seconds_to_wait', '_check_can_wait'} <= places


@looks_between_calls
def test_ctrl_c_may_come_at_any_step_of_writing() -> None:
    """Nobody waits for what was then not sent."""
    places = set()
    for step in itertools.count(1):
        with stream_and_peer() as (stream, _peer):
            stream.write(b'x')
            place = interrupted_at(step, lambda: stream.write(b'y'), changes, websocket_stream)
            stream.flush()
            stream.write(b'z')
            stream.close()
            if not place:
                break
            places.add(place)
    assert {'write', '_has_room', 'count_in'} <= places


LEAVES = """
    import sys
    import threading
    from ws import WebSocket, createWebSocketStream

    def read():
        try:
            stream.read(1)
        except ConnectionError as error:
            print(error, flush=True)

    stream = createWebSocketStream(WebSocket(sys.argv[1]))
    stream.write(b'x')
    threading.Thread(target=read).start()
    sys.exit(3)
"""


def test_the_process_can_end_although_a_thread_waits(script: Scripts) -> None:
    over = Waiter()

    def talk(sock: Any, head: bytes) -> None:
        sock.sendall(accept(head))
        over.get()

    with fake_server(talk) as url:
        child = script(LEAVES, url)
        assert child.end() == (3, 'the process ends, and the connection with it\n', '')
        over()


FORKS = """
    import os
    import sys
    from ws import WebSocket, createWebSocketStream

    stream = createWebSocketStream(WebSocket(sys.argv[1]))
    assert stream.read(1) == b'a'

    def attempt(call, *args):
        try:
            call(*args)
        except OSError as error:
            print(type(error).__name__, error, flush=True)

    stream._lock.acquire()  # as another thread might at that moment
    if os.fork() == 0:
        attempt(stream.read, 1)
        attempt(stream.write, b'x')
        attempt(stream.flush)
        stream.close()
        os._exit(0)
    stream._lock.release()
    os.wait()
    print(stream.read(1), flush=True)
    stream.write(b'the parent')
    stream.close()
"""


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_the_child_of_a_fork_has_no_part_in_it(script: Scripts) -> None:
    with server() as wss:
        log: Waiter = Waiter()
        wss.on('connection', lambda ws: (ws.send(b'ab'), log(Log(ws, 'message', 'close'))))
        child = script(FORKS, url_of(wss), flags=('-W', 'ignore'))
        status, output, errors = child.end()
        assert (status, errors) == (0, '')
        parents = 'ConnectionError the connection belongs to the parent process'
        assert output.splitlines() == [parents, parents, "b'b'"]
        [events] = log.get()
        assert events.get()[1] == b'the parent'
        assert events.get() == ('close', 1000, '')


# -- beside listeners -------------------------------------------------------------------------------------------------


def test_other_listeners_see_the_messages_too() -> None:
    with open_pair() as (ws, peer):
        before, after = Waiter(), Waiter()
        ws.on('message', lambda data: before(data))
        stream = createWebSocketStream(ws)
        ws.on('message', lambda data: after(data))
        peer.send('x')
        assert stream.read(1) == b'x'
        assert before.get() == after.get() == ('x',)


def test_what_was_kept_for_late_listeners_is_read() -> None:
    def serve(ws: WebSocket) -> None:
        ws.send('early')
        ws.send(bytes(100_000))
        ws.close()

    with server() as wss:
        wss.on('connection', serve)
        ws = client(wss)
        until(lambda: ws._kept is not None and len(ws._kept.waiting) >= 2)
        assert createWebSocketStream(ws).read() == b'early' + bytes(100_000)


def test_a_servers_end_that_is_handed_to_a_thread() -> None:
    streams: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        stream = streams.get(timeout=TIMEOUT)
        with stream:
            for line in stream:
                stream.write(line.upper())

    with server() as wss, in_thread(work):
        wss.on('connection', lambda ws: streams.put(createWebSocketStream(ws)))
        stream = createWebSocketStream(client(wss))
        stream.write(b'one\ntwo\n')
        assert stream.readline() == b'ONE\n'
        assert stream.readline() == b'TWO\n'
        stream.close()


@pytest.mark.parametrize('kind', ['hixie', 'server tls', 'client tls', 'version 8'])
def test_other_kinds_of_connections(kind: str) -> None:
    with stream_and_socket(kind, encoding='utf-8', decodeStrings=False) as (text, this):
        this.sock.sendall(this.text('a line\n'))
        assert text.readline() == 'a line\n'
        print('answer', file=text)
        text.close()


def test_a_connection_whose_listeners_run_on_a_pool() -> None:
    answer = os.urandom(MIB)

    def serve(ws: WebSocket) -> None:
        ws.on('message', lambda: (ws.send(answer[:1000]), ws.send(answer[1000:])))

    with server() as wss:
        wss.on('connection', serve)
        stream = createWebSocketStream(client(wss, executor=2), readableHighWaterMark=100)
        stream.write(b'x')
        assert io.BufferedReader(stream).read(MIB) == answer


@pytest.mark.parametrize('executor', [None, 1, 2])
def test_what_came_while_a_listener_was_at_work_can_be_read(executor: Optional[int]) -> None:
    """The peer may have closed the connection by then: that is told behind its messages."""
    read = Waiter()

    def serve(ws: WebSocket) -> None:
        if executor is not None:
            until(lambda: ws.readyState == ws.CLOSED)
        stream = createWebSocketStream(ws)
        threading.Thread(target=lambda: read(stream.readall())).start()

    with server(executor=executor) as wss:
        wss.on('connection', serve)
        ws = client(wss)
        ws.on('open', lambda: (ws.send('hello'), ws.close()))
        assert read.get() == (b'hello',)
