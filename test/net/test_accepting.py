"""Accepting: what a listener calls, and what happens when descriptors run out."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from net.listeners import call
from scripts import Scripts
from streams import Driver
from support import TIMEOUT, Waiter, until

from ws.net import listen, poller
from ws.net import loop as loop_module
from ws.net.listen import ACCEPTS_PER_TURN, BACKLOG, Listener, bind
from ws.net.poller import READ, Poller, SelectorPoller
from ws.net.resolver import Endpoint
from ws.net.stream import Stream
from ws.net.unix import SocketFile


class Accepting:
    """A listener, and what it accepts."""

    def __init__(self, driver: Driver, sock: Any) -> None:
        self.driver = driver
        self.accepted: list[socket.socket] = []
        self.told = Waiter()
        self.listener = Listener(driver.loop, sock, self.on_connection)

    def on_connection(self, sock: socket.socket) -> None:
        self.accepted.append(sock)
        self.told(sock)

    def close(self) -> None:
        self.driver(self.listener.close)
        for sock in self.accepted:
            sock.close()


@pytest.fixture
def accepting(driver: Driver, sock: socket.socket) -> Iterator[Accepting]:
    accepting = Accepting(driver, sock)
    yield accepting
    accepting.close()


def test_it_accepts_when_started(driver: Driver, sock: socket.socket, accepting: Accepting) -> None:
    with call(sock) as peer:
        driver.turns(3)
        assert accepting.told.nothing(0)
        driver(accepting.listener.start)
        driver(accepting.listener.start)
        (accepted,) = accepting.told.get()
        assert accepted.getpeername() == peer.getsockname()
        with call(sock) as other:
            assert accepting.told.get()[0].getpeername() == other.getsockname()


def test_many_at_once_are_accepted_and_others_get_their_turn(
    driver: Driver, sock: socket.socket, accepting: Accepting
) -> None:
    number = 2 * ACCEPTS_PER_TURN + 10
    peers = [call(sock) for _ in range(number)]
    before: list[int] = []

    def on_connection(accepted: socket.socket) -> None:
        if not accepting.accepted:
            driver.loop.defer(lambda: before.append(len(accepting.accepted)))
        accepting.on_connection(accepted)

    listener = Listener(driver.loop, sock, on_connection)
    driver(listener.start)
    for _ in range(number):
        accepting.told.get()
    assert before == [ACCEPTS_PER_TURN]
    driver(listener.close)
    for peer in peers:
        peer.close()


def test_closed_by_what_it_calls(driver: Driver, sock: socket.socket) -> None:
    peers = [call(sock) for _ in range(3)]
    told = Waiter()

    def on_connection(accepted: socket.socket) -> None:
        listener.close()
        listener.close()
        accepted.close()
        told()

    listener = Listener(driver.loop, sock, on_connection)
    driver(listener.start)
    told.get()
    driver(listener.start)  # closed is closed
    driver.turns()
    assert told.nothing(0)
    assert sock.fileno() == -1
    assert not driver.loop._pollables
    for peer in peers:
        peer.close()


def test_what_on_connection_raises_costs_that_connection_only(
    driver: Driver, sock: socket.socket, accepting: Accepting, reported: list[BaseException]
) -> None:
    first: list[socket.socket] = []

    def on_connection(accepted: socket.socket) -> None:
        if not first:
            first.append(accepted)
            raise LookupError('on purpose')
        accepting.on_connection(accepted)

    listener = Listener(driver.loop, sock, on_connection)
    driver(listener.start)
    with call(sock), call(sock):
        accepting.told.get()
    assert [type(error) for error in reported] == [LookupError]
    reported.clear()
    driver(listener.close)
    first[0].close()


class Failing:
    """A listening socket whose accept() fails at first."""

    def __init__(self, sock: socket.socket, *errors: int) -> None:
        self._sock = sock
        self._errors = list(errors)
        self.calls = 0
        self.on_failure: Callable[[], object] = lambda: None

    def accept(self) -> Any:
        self.calls += 1
        if self._errors:
            number = self._errors.pop(0)
            self.on_failure()
            raise OSError(number, os.strerror(number))
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_a_connection_that_broke_before_it_was_accepted(
    driver: Driver, sock: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no rest: the next one is accepted at once."""
    monkeypatch.setattr(listen, 'REST', 2 * TIMEOUT * 1000)
    failing = Failing(sock, errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EPERM, errno.EINTR)
    accepting = Accepting(driver, failing)
    driver(accepting.listener.start)
    with call(sock):
        accepting.told.get()
    accepting.close()


def test_an_error_that_should_not_be_is_reported_and_survived(
    driver: Driver, sock: socket.socket, reported: list[BaseException]
) -> None:
    failing = Failing(sock, errno.EINVAL)
    accepting = Accepting(driver, failing)
    driver(accepting.listener.start)
    with call(sock):
        accepting.told.get()
    assert [getattr(error, 'errno', None) for error in reported] == [errno.EINVAL]
    reported.clear()
    accepting.close()


@pytest.mark.parametrize('number', [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_resources_it_rests(
    driver: Driver,
    sock: socket.socket,
    number: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, 'REST', 20)
    failing = Failing(sock, number, number)
    accepting = Accepting(driver, failing)
    driver(accepting.listener.start)
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, 'ws'), call(sock):
        accepting.told.get()
    assert time.monotonic() - started >= 2 * 0.02
    assert failing.calls <= 4
    address = '{}:{}'.format(*sock.getsockname())
    expected = f'{address}: new connections have to wait: {os.strerror(number)}'
    assert [record.message for record in caplog.records] == [expected]  # once, however often it is tried
    accepting.close()


def test_each_time_it_runs_out_anew_it_says_so(
    driver: Driver, sock: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, 'REST', 1)
    monkeypatch.setattr(listen, 'EPISODE', 0)
    accepting = Accepting(driver, Failing(sock, errno.EMFILE, errno.EMFILE))
    driver(accepting.listener.start)
    with caplog.at_level(logging.WARNING, 'ws'), call(sock):
        accepting.told.get()
    assert len(caplog.records) == 2
    accepting.close()


@pytest.mark.parametrize(
    ('setup', 'lines'),
    [
        ('', 1),
        ("logging.getLogger('ws').setLevel(logging.ERROR)", 0),
        ('logging.basicConfig()', 1),
        ("logging.getLogger('ws').addHandler(logging.StreamHandler())", 1),
        ("logging.getLogger('ws').propagate = False", 1),
        ('logging.lastResort = None', 0),
    ],
)
def test_the_operator_sees_it_whatever_is_done_about_logs(script: Scripts, setup: str, lines: int) -> None:
    child = script(f"""if True:
        import errno, logging, socket, ws
        from ws.net.listen import Listener
        from ws.net.loop import Loop
        {setup}
        with socket.create_server(('127.0.0.1', 0)) as sock:
            listener = Listener(Loop(), sock, print)
            for _ in range(3):
                listener._run_out(OSError(errno.EMFILE, 'no more'))
    """)
    status, _output, errors = child.end()
    assert status == 0
    assert errors.count('new connections have to wait: no more') == lines
    assert len(errors.splitlines()) == lines


def test_when_no_more_can_be_watched_it_rests(
    sock: socket.socket, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where select() takes 512: the connection waits in the queue, and is not accepted and lost."""
    monkeypatch.setattr(listen, 'REST', 5)
    monkeypatch.setattr(loop_module, 'Poller', SelectorPoller)
    monkeypatch.setattr(selectors, 'DefaultSelector', selectors.SelectSelector)
    monkeypatch.setattr(poller, 'SELECT_LIMIT', 4)
    monkeypatch.setattr(poller, '_NUMBERS_COUNT', False)
    driver = Driver()
    streams: list[Stream] = []

    def connected(accepted: socket.socket) -> None:
        streams.append(Stream(driver.loop, accepted))
        streams[-1].resume()

    listener = Listener(driver.loop, sock, connected)
    driver(listener.start)
    with caplog.at_level(logging.WARNING, 'ws'):
        peers = [call(sock) for _ in range(3)]
        until(lambda: caplog.records)
        assert len(streams) == 2
        driver(streams[0].destroy)
        until(lambda: len(streams) == 3)
    assert 'new connections have to wait' in caplog.records[0].message
    # It may find its own place taken when it comes back.
    taken = socket.socketpair()
    driver(lambda: (listener._stop(), driver.loop.register(taken[0].fileno(), streams[0], READ), listener.start()))
    peers.append(call(sock))
    driver(lambda: driver.loop.unregister(taken[0].fileno()))
    driver(streams[1].destroy)
    until(lambda: len(streams) == 4)
    driver(listener.close)
    for stream in streams:
        driver(stream.destroy)
    for end in (*peers, *taken):
        end.close()
    driver.end()


def test_closed_while_it_rests(driver: Driver, sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, 'REST', 5)
    failing = Failing(sock, errno.EMFILE)
    accepting = Accepting(driver, failing)
    failing.on_failure = lambda: driver.loop.defer(accepting.listener.close)  # once the rest has begun
    with call(sock):
        driver(accepting.listener.start)
        until(lambda: accepting.listener._closed)
        assert accepting.told.nothing(0.03)
    assert not driver.loop._pollables


@pytest.mark.parametrize('poller_class', [Poller], ids=['once'])
def test_when_descriptors_run_out_it_waits_and_goes_on_later(poller_class: Any, script: Scripts) -> None:
    """In a process of its own: 24 descriptors, 40 connections."""
    code = """
        import resource, sys, threading, time
        from ws.net.listen import Listener, bind
        from ws.net.loop import Loop
        from ws.net.resolver import look_up_literal

        class Handle:
            def shutdown(self): pass
            def abandon(self): pass

        loop, handle, accepted = Loop(), Handle(), []
        sock = bind(look_up_literal('127.0.0.1', 0), 128)
        listener = Listener(loop, sock, accepted.append)
        loop.hold(handle)
        loop.call(listener.start)
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        print(sock.getsockname()[1], flush=True)

        def used():
            answer = threading.Event()
            loop.call(lambda: (times.append(time.thread_time()), answer.set()))
            answer.wait(20)
            return times[-1]

        times = []
        for line in sys.stdin:
            if line == 'measure\\n':
                before = used()
                time.sleep(0.35)  # several rests
                print(len(accepted), used() - before, flush=True)
            elif line == 'close\\n':
                def close():
                    for connection in accepted:
                        connection.close()
                    print(len(accepted), flush=True)
                    accepted.clear()
                loop.call(close)
            else:
                print(len(accepted), flush=True)
        loop.call(listener.close)
        loop.release(handle)
        loop.shutdown(20)  # it may still be printing
    """
    child = script(code)
    watchdog = threading.Timer(TIMEOUT, child.process.kill)
    watchdog.start()

    def ask(question: str) -> list[str]:
        assert child.process.stdin is not None
        child.process.stdin.write(question + '\n')
        child.process.stdin.flush()
        return child.line().split()

    address = ('127.0.0.1', int(child.line()))
    peers = [socket.create_connection(address, timeout=TIMEOUT) for _ in range(40)]
    number, seconds = ask('measure')
    assert 5 < int(number) < 24
    assert float(seconds) < 0.05  # a loop that tries on and on uses all of it
    total = 0
    while total < 40:
        closed = int(ask('close')[0])
        total += closed
        assert closed or ask('wait')
    for peer in peers:
        assert peer.recv(1) == b''
        peer.close()
    status, _, errors = child.end()
    assert status == 0
    [line] = errors.splitlines()
    assert line == '{}:{}: new connections have to wait: Too many open files'.format(*address)
    watchdog.cancel()


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='no UNIX sockets')
@pytest.mark.parametrize('how', ['close', 'abandon'])
def test_the_file_of_a_unix_socket(driver: Driver, tmp_path: Path, how: str) -> None:
    """It goes with the listener; not with a child's copy after a fork."""
    path = tmp_path / 'socket'
    sock = bind([Endpoint(socket.AF_UNIX, str(path))], BACKLOG)
    listener = Listener(driver.loop, sock, lambda accepted: None, SocketFile(str(path)))
    driver(listener.start if how == 'close' else listener.abandon)
    driver(listener.close)
    assert path.exists() == (how == 'abandon')


def test_a_child_after_fork_closes_its_copy(driver: Driver, sock: socket.socket) -> None:
    listener = Listener(driver.loop, sock, lambda accepted: None)
    listener.abandon()
    assert sock.fileno() == -1
    driver(listener.start)
    assert not driver.loop._pollables
