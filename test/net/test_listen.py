"""Listening: binding, accepting, and what happens when descriptors run out."""

from __future__ import annotations

import errno
import logging
import os
import selectors
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streams import Driver
from support import PYTHONPATH, TIMEOUT, Waiter, until

from ws.net import listen, poller
from ws.net import loop as loop_module
from ws.net.listen import (
    ACCEPTS_PER_TURN,
    BACKLOG,
    REST,
    Listener,
    bind,
    check_descriptor,
    check_listening,
    take_over,
)
from ws.net.poller import READ, Poller, SelectorPoller
from ws.net.resolver import Endpoint, look_up_literal
from ws.net.stream import Stream
from ws.net.unix import SocketFile


def endpoints(host: str = '127.0.0.1', port: int = 0) -> list[Endpoint]:
    found = look_up_literal(host, port)
    assert found is not None
    return found


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with bind(endpoints(), BACKLOG) as sock:
        yield sock


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


def call(sock: socket.socket) -> socket.socket:
    return socket.create_connection(sock.getsockname()[:2], timeout=TIMEOUT)


# -- binding ----------------------------------------------------------------------------------------------------------


def test_a_port_in_use(sock: socket.socket) -> None:
    port = sock.getsockname()[1]
    with pytest.raises(OSError, match=f': 127.0.0.1:{port}$') as caught:
        bind(endpoints(port=port), BACKLOG)
    assert caught.value.errno == errno.EADDRINUSE


def test_an_address_of_another_machine() -> None:
    with pytest.raises(OSError, match=r'192\.0\.2\.1') as caught:
        bind([Endpoint(socket.AF_INET, ('192.0.2.1', 0))], BACKLOG)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_the_first_address_that_can_be_bound_is() -> None:
    with bind([Endpoint(socket.AF_INET, ('192.0.2.1', 0)), *endpoints()], BACKLOG) as sock:
        assert sock.getsockname()[0] == '127.0.0.1'


def test_no_address() -> None:
    with pytest.raises(OSError, match='no address to listen on'):
        bind([], BACKLOG)


def test_a_port_can_be_bound_again_at_once() -> None:
    """What is left of a server's connections must not keep its successor from starting."""
    with bind(endpoints(), BACKLOG) as sock:
        port = sock.getsockname()[1]
        with call(sock) as peer:
            accepted, _ = accept(sock)
            accepted.close()  # this end is in TIME_WAIT then
            assert peer.recv(1) == b''
    bind(endpoints(port=port), BACKLOG).close()


def accept(sock: socket.socket) -> tuple[socket.socket, Any]:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return sock.accept()
        except BlockingIOError:
            assert time.monotonic() < deadline


def test_all_addresses_of_both_families() -> None:
    try:
        sock = bind(endpoints('::'), BACKLOG)
    except OSError:
        pytest.skip('this machine has no IPv6')
    with sock, socket.create_connection(('127.0.0.1', sock.getsockname()[1]), timeout=TIMEOUT) as peer:
        accepted, address = accept(sock)
        with accepted:
            assert address[0] == '::ffff:127.0.0.1'
            assert address[1] == peer.getsockname()[1]


# -- a port that several share ----------------------------------------------------------------------------------------


needs_reuse_port = pytest.mark.skipif(not hasattr(socket, 'SO_REUSEPORT'), reason='no SO_REUSEPORT')


@needs_reuse_port
def test_a_port_that_is_shared() -> None:
    with bind(endpoints(), BACKLOG, reuse_port=True) as first:
        port = first.getsockname()[1]
        with bind(endpoints(port=port), BACKLOG, reuse_port=True) as second:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(OSError, match=str(port)) as caught:  # both must want it
            bind(endpoints(port=port), BACKLOG)
        assert caught.value.errno == errno.EADDRINUSE


# -- sockets that are handed in ---------------------------------------------------------------------------------------


def make(kind: str, folder: Path) -> socket.socket:
    """A socket that can't be listened on, or can."""
    if kind == 'UDP':
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(('127.0.0.1', 0))
    elif kind == 'datagrams':
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    elif kind == 'not bound':
        sock = socket.socket()
    elif kind == 'bound':
        sock = socket.socket()
        sock.bind(('127.0.0.1', 0))
    elif kind == 'UNIX':
        sock = bind([Endpoint(socket.AF_UNIX, str(folder / 'socket'))], BACKLOG)
    elif kind == 'connected':
        with bind(endpoints(), BACKLOG) as listener:
            sock = call(listener)
    else:
        sock = bind(endpoints('::1' if kind == 'IPv6' else '127.0.0.1'), BACKLOG)
    return sock


@pytest.mark.parametrize('kind', ['IPv4', 'IPv6', 'UNIX'])
def test_what_may_be_handed_in(kind: str, tmp_path: Path) -> None:
    with make(kind, tmp_path) as given:
        given.setblocking(True)
        check_listening(given)
        check_descriptor(given.fileno())
        assert given.fileno() >= 0
        name = given.getsockname()
        with take_over(given) as taken:
            assert given.fileno() == -1
            assert taken.getsockname() == name
            assert not taken.getblocking()
        with pytest.raises(ValueError, match='closed, or was given to a server already'):
            check_listening(given)


def test_what_is_handed_in_by_its_number(sock: socket.socket) -> None:
    fd = os.dup(sock.fileno())
    with take_over(fd) as taken:
        assert taken.fileno() == fd
    with pytest.raises(OSError):
        os.fstat(fd)


@pytest.mark.parametrize(
    ('kind', 'text'),
    [
        ('UDP', 'stream socket, TCP or UNIX, not AF_INET SOCK_DGRAM'),
        ('datagrams', 'stream socket, TCP or UNIX, not AF_UNIX SOCK_DGRAM'),
        ('not bound', 'does not listen: call its listen'),
        ('bound', 'does not listen: call its listen'),
        ('connected', 'does not listen: call its listen'),
    ],
)
def test_what_may_not(kind: str, text: str, tmp_path: Path) -> None:
    with make(kind, tmp_path) as given:
        with pytest.raises(ValueError, match=f'^socket .*{text}'):
            check_listening(given)
        with pytest.raises(ValueError, match=f'^fd {given.fileno()}: socket .*{text}'):
            check_descriptor(given.fileno())
        os.fstat(given.fileno())  # it is open


@pytest.mark.parametrize('junk', ['x', 5, b'', object()])
def test_what_is_no_socket_at_all(junk: Any) -> None:
    with pytest.raises(TypeError, match=f'socket must be a socket, not {type(junk).__name__}'):
        check_listening(junk)


@pytest.mark.parametrize('junk', ['3', True, 3.0, b'3'])
def test_what_is_no_descriptor(junk: Any) -> None:
    with pytest.raises(TypeError, match=f'fd must be an int, not {type(junk).__name__}'):
        check_descriptor(junk)


def test_descriptors_of_other_things(tmp_path: Path) -> None:
    with (tmp_path / 'file').open('w') as file:
        with pytest.raises(ValueError, match=f'fd {file.fileno()} is not a socket: .*Socket operation on non-socket'):
            check_descriptor(file.fileno())
        file.write('still open')
    with pytest.raises(ValueError, match=r'fd 1000000 is not a socket: .*Bad file descriptor'):
        check_descriptor(1_000_000)
    for number in -1, 1 << 70:
        with pytest.raises(ValueError, match=f'fd {number} is not a socket'):
            check_descriptor(number)


def test_a_socket_of_tls_is_refused(tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    given = tls_contexts[0].wrap_socket(bind(endpoints(), BACKLOG), server_side=True)
    with given, pytest.raises(TypeError, match='without TLS: for that, give the options key and cert'):
        check_listening(given)


def test_a_system_that_does_not_tell_who_listens(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, 'SO_ACCEPTCONN')
    check_listening(sock)


# -- accepting --------------------------------------------------------------------------------------------------------


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

    def accept(self) -> Any:
        self.calls += 1
        if self._errors:
            number = self._errors.pop(0)
            raise OSError(number, os.strerror(number))
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_a_connection_that_broke_before_it_was_accepted(driver: Driver, sock: socket.socket) -> None:
    failing = Failing(sock, errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EPERM, errno.EINTR)
    accepting = Accepting(driver, failing)
    driver(accepting.listener.start)
    started = time.monotonic()
    with call(sock):
        accepting.told.get()
        assert time.monotonic() - started < REST / 1000
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
def test_the_operator_sees_it_whatever_is_done_about_logs(setup: str, lines: int) -> None:
    script = f"""if True:
        import errno, logging, socket, ws
        from ws.net.listen import Listener
        from ws.net.loop import Loop
        {setup}
        with socket.create_server(('127.0.0.1', 0)) as sock:
            listener = Listener(Loop(), sock, print)
            for _ in range(3):
                listener._run_out(OSError(errno.EMFILE, 'no more'))
    """
    ended = subprocess.run(
        [sys.executable, '-c', script],
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=True,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )
    assert ended.stderr.count('new connections have to wait: no more') == lines
    assert len(ended.stderr.splitlines()) == lines


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
    driver(accepting.listener.start)
    with call(sock):
        until(lambda: failing.calls)
        accepting.close()
        assert accepting.told.nothing(0.03)
    assert not driver.loop._pollables


@pytest.mark.parametrize('poller_class', [Poller], ids=['once'])
def test_when_descriptors_run_out_it_waits_and_goes_on_later(poller_class: Any) -> None:
    """In a process of its own: 24 descriptors, 40 connections."""
    script = """
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
    """
    child = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    stdin, stdout = child.stdin, child.stdout
    watchdog = threading.Timer(TIMEOUT, child.kill)
    watchdog.start()

    def ask(question: str) -> list[str]:
        stdin.write(question + '\n')
        stdin.flush()
        return stdout.readline().split()

    with child:
        address = ('127.0.0.1', int(child.stdout.readline()))
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
        stdin.close()
        assert child.wait(TIMEOUT) == 0
        [line] = child.stderr.read().splitlines()
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
