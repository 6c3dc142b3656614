"""Connecting: every address is tried, none for long alone, and it can be cancelled at any moment."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from documents import free_port
from fakes import black_hole
from streams import Driver
from support import TIMEOUT, Waiter, until

from ws.net import connect, resolver
from ws.net.connect import ATTEMPT_DELAY, NO_PREFERENCES, Connector, Preferences
from ws.net.poller import Poller
from ws.net.resolver import Endpoint

NAME = 'name.example'


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(('127.0.0.1', 0)) as sock:
        sock.settimeout(TIMEOUT)
        yield sock


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return int(sock.getsockname()[1])


def endpoint(port: int) -> Endpoint:
    return Endpoint(socket.AF_INET, ('127.0.0.1', port))


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[Endpoint]:
    """What NAME stands for."""
    known: list[Endpoint] = []
    real = resolver.look_up

    def look_up(host: str, port: int, flags: int = 0, family: int = 0) -> list[Endpoint]:
        if host != NAME:
            return real(host, port, flags, family)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, 'a name')
        return list(known)

    monkeypatch.setattr(resolver, 'look_up', look_up)
    return known


class Connecting:
    """A connector, and what it answers."""

    def __init__(
        self,
        driver: Driver,
        host: str = NAME,
        port: int = 0,
        path: Optional[str] = None,
        preferences: Preferences = NO_PREFERENCES,
    ) -> None:
        self.answers = Waiter()
        self.started = time.monotonic()
        self.connector = Connector(driver.loop, self.answers, preferences)
        if path is None:
            driver(self.connector.connect, host, port)
        else:
            driver(self.connector.connect_unix, path)

    def sock(self) -> socket.socket:
        error, sock = self.answers.get()
        assert error is None
        assert isinstance(sock, socket.socket)
        self.took = time.monotonic() - self.started
        return sock

    def error(self) -> OSError:
        error, sock = self.answers.get()
        assert sock is None
        assert isinstance(error, OSError)
        self.took = time.monotonic() - self.started
        return error


def nothing_is_left(driver: Driver) -> bool:
    driver.turns()
    live = [timer for _, _, timer in driver.loop._timers if timer.callback is not None]
    return not driver.loop._pollables and not live


# -- one address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('host', ['127.0.0.1', 'localhost'])
def test_it_connects(driver: Driver, listener: socket.socket, host: str) -> None:
    with Connecting(driver, host, listener.getsockname()[1]).sock() as sock:
        accepted, address = listener.accept()
        with accepted:
            assert address == sock.getsockname()
            assert sock.getblocking() is False
    assert nothing_is_left(driver)


def test_over_ipv6(driver: Driver) -> None:
    try:
        listener = socket.create_server(('::1', 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip('this machine has no IPv6')
    with listener, Connecting(driver, '::1', listener.getsockname()[1]).sock() as sock:
        assert sock.family == socket.AF_INET6


def test_a_refusal_names_the_address(driver: Driver) -> None:
    port = closed_port()
    error = Connecting(driver, '127.0.0.1', port).error()
    assert isinstance(error, ConnectionRefusedError)
    assert error.errno == errno.ECONNREFUSED
    assert str(error).endswith(f'Connection refused: 127.0.0.1:{port}')
    assert nothing_is_left(driver)


def test_a_name_that_does_not_exist(driver: Driver) -> None:
    assert isinstance(Connecting(driver, 'a..b', 80).error(), socket.gaierror)
    assert nothing_is_left(driver)


def test_a_name_without_addresses(driver: Driver, addresses: list[Endpoint]) -> None:
    assert 'no address' in str(Connecting(driver).error())


def test_no_descriptor_to_be_had(driver: Driver, addresses: list[Endpoint], monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*arguments: Any) -> socket.socket:
        raise OSError(errno.EMFILE, 'Too many open files')

    addresses.extend([endpoint(1), endpoint(2)])
    monkeypatch.setattr(connect.socket, 'socket', none_left)  # type: ignore[attr-defined]  # the module it uses
    assert Connecting(driver).error().errno == errno.EMFILE
    assert nothing_is_left(driver)


# -- many addresses ---------------------------------------------------------------------------------------------------


def test_when_the_first_refuses_the_second_is_tried_at_once(
    driver: Driver, listener: socket.socket, addresses: list[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, 'ATTEMPT_DELAY', 2 * TIMEOUT * 1000)
    addresses.extend([endpoint(closed_port()), endpoint(closed_port()), endpoint(listener.getsockname()[1])])
    connecting = Connecting(driver)
    with connecting.sock() as sock:
        assert sock.getpeername() == listener.getsockname()
    assert connecting.took < TIMEOUT
    assert nothing_is_left(driver)


def test_when_all_refuse_the_last_reason_is_given(driver: Driver, addresses: list[Endpoint]) -> None:
    ports = [closed_port(), closed_port()]
    addresses.extend(endpoint(port) for port in ports)
    error = Connecting(driver).error()
    assert isinstance(error, ConnectionRefusedError)
    assert str(ports[1]) in str(error)
    assert nothing_is_left(driver)


def test_an_address_that_does_not_answer_is_not_waited_for(
    driver: Driver, listener: socket.socket, addresses: list[Endpoint]
) -> None:
    """RFC 8305: the next one starts after a quarter of a second, beside it."""
    with black_hole() as port:
        addresses.extend([endpoint(port), endpoint(listener.getsockname()[1])])
        connecting = Connecting(driver)
        with connecting.sock() as sock:
            assert sock.getpeername() == listener.getsockname()
        assert ATTEMPT_DELAY / 1000 <= connecting.took < 0.9
        assert nothing_is_left(driver)


@pytest.mark.parametrize('poller_class', [Poller], ids=['once'])  # the kernel repeats a SYN after a second
def test_the_first_may_still_win(driver: Driver, listener: socket.socket, addresses: list[Endpoint]) -> None:
    """Slow is not dead: it goes on while the others are tried."""
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(socket.socket())
        slow.bind(('127.0.0.1', 0))
        slow.listen(0)
        slow.settimeout(TIMEOUT)
        fillers = []
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(slow.getsockname())
            fillers.append(filler)
        hole = stack.enter_context(black_hole())
        addresses.extend([endpoint(slow.getsockname()[1]), endpoint(hole)])
        connecting = Connecting(driver)
        until(lambda: len(connecting.connector._attempts) == 2)
        for filler in fillers:
            filler.close()
        stop = threading.Event()

        def accept_all() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    slow.settimeout(0.05)
                    stack.enter_context(slow.accept()[0])

        accepting = threading.Thread(target=accept_all)
        accepting.start()
        with connecting.sock() as sock:
            assert sock.getpeername() == slow.getsockname()
        stop.set()
        accepting.join()
        assert nothing_is_left(driver)


def test_refusal_while_another_is_under_way_is_not_the_end(
    driver: Driver, listener: socket.socket, addresses: list[Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, 'ATTEMPT_DELAY', 1000)
    with black_hole() as port:
        addresses.extend([endpoint(port), endpoint(closed_port()), endpoint(listener.getsockname()[1])])
        connecting = Connecting(driver)
        with connecting.sock() as sock:
            assert sock.getpeername() == listener.getsockname()
        assert 1 <= connecting.took < 1.9  # the refused one is not waited for
        assert nothing_is_left(driver)


def test_the_families_take_turns() -> None:
    six = [Endpoint(socket.AF_INET6, (str(number), 80)) for number in range(3)]
    four = [Endpoint(socket.AF_INET, (str(number), 80)) for number in range(2)]
    assert connect._interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert connect._interleaved([*four, *six]) == [four[0], six[0], four[1], six[1], six[2]]
    assert connect._interleaved(four) == four
    assert connect._interleaved([]) == []


# -- one's own end ----------------------------------------------------------------------------------------------------


def test_it_connects_from_the_address_it_is_told(driver: Driver, listener: socket.socket) -> None:
    preferences = Preferences(local={socket.AF_INET: ('127.0.0.2', 0)})
    with Connecting(driver, '127.0.0.1', listener.getsockname()[1], preferences=preferences).sock() as sock:
        accepted, address = listener.accept()
        accepted.close()
        assert address[0] == '127.0.0.2' == sock.getsockname()[0]


def test_a_local_port_may_be_in_time_wait(driver: Driver, listener: socket.socket) -> None:
    with free_port() as port:
        preferences = Preferences(local={socket.AF_INET: ('0.0.0.0', port), socket.AF_INET6: ('::', port)})
        for _ in range(2):
            with Connecting(driver, '127.0.0.1', listener.getsockname()[1], preferences=preferences).sock() as sock:
                accepted, address = listener.accept()
                assert address[1] == port
                sock.shutdown(socket.SHUT_RDWR)  # first, so that this is the end that waits
                accepted.recv(1)
                accepted.close()


def test_two_attempts_have_the_same_local_port(
    driver: Driver, listener: socket.socket, addresses: list[Endpoint]
) -> None:
    with free_port() as port, black_hole() as hole:
        addresses.extend([endpoint(hole), endpoint(listener.getsockname()[1])])
        preferences = Preferences(local={socket.AF_INET: ('127.0.0.1', port)})
        with Connecting(driver, preferences=preferences).sock() as sock:
            assert sock.getsockname()[1] == port
            assert sock.getpeername() == listener.getsockname()
    assert nothing_is_left(driver)


def test_local_addresses_that_cannot_be_had(driver: Driver, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    foreign = Preferences(local={socket.AF_INET: ('192.0.2.1', 0)})
    error = Connecting(driver, '127.0.0.1', port, preferences=foreign).error()
    assert (error.errno, '192.0.2.1:0' in str(error)) == (errno.EADDRNOTAVAIL, True)
    other = Preferences(local={socket.AF_INET6: ('::1', 0)})
    error = Connecting(driver, '127.0.0.1', port, preferences=other).error()
    assert (error.errno, 'another family' in str(error)) == (errno.EADDRNOTAVAIL, True)
    assert nothing_is_left(driver)


def test_a_unix_socket_has_no_end_to_choose(driver: Driver, unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(unix_path)
        listening.listen()
        preferences = Preferences(local={socket.AF_INET: ('127.0.0.2', 0)})
        Connecting(driver, path=unix_path, preferences=preferences).sock().close()


# -- UNIX sockets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def unix_path(tmp_path: Path) -> str:
    path = str(tmp_path / 'socket')
    if len(path) > 100:
        pytest.skip('the temporary folder has too long a name')
    return path


def test_a_unix_socket(driver: Driver, unix_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(unix_path)
        listening.listen()
        with Connecting(driver, path=unix_path).sock() as sock, listening.accept()[0] as accepted:
            sock.send(b'x')
            assert accepted.recv(1) == b'x'
    assert nothing_is_left(driver)


def test_unix_sockets_that_cannot_be_connected_to(driver: Driver, unix_path: str) -> None:
    error = Connecting(driver, path=unix_path).error()
    assert isinstance(error, FileNotFoundError)
    assert unix_path in str(error)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(unix_path)
    assert isinstance(Connecting(driver, path=unix_path).error(), ConnectionRefusedError)
    assert 'too long' in str(Connecting(driver, path='/x' * 200).error())
    assert nothing_is_left(driver)


def test_a_unix_socket_with_a_full_backlog_is_an_error(driver: Driver, unix_path: str) -> None:
    """Linux then says EAGAIN, and nothing goes on by itself."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(unix_path)
        listening.listen(0)
        for _ in range(5):
            filler = stack.enter_context(socket.socket(socket.AF_UNIX))
            filler.setblocking(False)
            if filler.connect_ex(unix_path):
                break
        else:
            pytest.skip('this system lets a backlog grow')
        error = Connecting(driver, path=unix_path).error()
        assert isinstance(error, BlockingIOError)
        assert unix_path in str(error)
        assert nothing_is_left(driver)


def test_systems_without_unix_sockets(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, 'AF_UNIX')
    assert Connecting(driver, path='/somewhere').error().errno == errno.EAFNOSUPPORT


# -- cancelling -------------------------------------------------------------------------------------------------------


def test_cancelled_during_the_look_up(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, release = threading.Event(), threading.Event()

    def slow(host: str, port: int, flags: int = 0, family: int = 0) -> list[Endpoint]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, 'a name')
        asked.set()
        release.wait(TIMEOUT)
        return [endpoint(closed_port())]

    monkeypatch.setattr(resolver, 'look_up', slow)
    connecting = Connecting(driver)
    assert asked.wait(TIMEOUT)
    driver(connecting.connector.cancel)
    release.set()
    assert connecting.answers.nothing(0.05)
    assert nothing_is_left(driver)


def test_cancelled_before_the_first_attempt(driver: Driver, listener: socket.socket, unix_path: str) -> None:
    answers = Waiter()

    def connect_and_cancel(connector: Connector, path: Optional[str]) -> None:
        if path is None:
            connector.connect('127.0.0.1', listener.getsockname()[1])
        else:
            connector.connect_unix(path)
        connector.cancel()

    for path in (None, unix_path):
        driver(connect_and_cancel, Connector(driver.loop, answers), path)
    assert nothing_is_left(driver)
    assert answers.nothing(0.05)


@pytest.mark.parametrize('attempts', [1, 2])
def test_cancelled_during_the_attempts(driver: Driver, addresses: list[Endpoint], attempts: int) -> None:
    before = set(os.listdir('/proc/self/fd')) if os.path.isdir('/proc/self/fd') else set()
    with black_hole() as port:
        addresses.extend([endpoint(port), endpoint(port), endpoint(port)])
        connecting = Connecting(driver)
        until(lambda: len(connecting.connector._attempts) >= attempts)  # the next one follows by itself
        driver(connecting.connector.cancel)
        driver(connecting.connector.cancel)
        assert nothing_is_left(driver)
        assert connecting.answers.nothing(0.05)
    if before:
        assert len(os.listdir('/proc/self/fd')) <= len(before)


def test_cancelled_by_what_it_calls(driver: Driver, listener: socket.socket) -> None:
    answers = Waiter()

    def on_connected(error: Optional[OSError], sock: Optional[socket.socket]) -> None:
        connector.cancel()
        answers(error, sock)

    connector = Connector(driver.loop, on_connected)
    driver(connector.connect, '127.0.0.1', listener.getsockname()[1])
    error, sock = answers.get()
    assert error is None
    sock.close()
    assert nothing_is_left(driver)


# -- what may go wrong here -------------------------------------------------------------------------------------------


def test_what_on_connected_raises_harms_nobody(
    driver: Driver, listener: socket.socket, reported: list[BaseException]
) -> None:
    kept: list[Optional[socket.socket]] = []

    def broken(error: Optional[OSError], sock: Optional[socket.socket]) -> None:
        kept.append(sock)
        raise LookupError('broken')

    connector = Connector(driver.loop, broken)
    driver(connector.connect, '127.0.0.1', listener.getsockname()[1])
    until(lambda: reported)
    assert [type(error) for error in reported] == [LookupError]
    reported.clear()
    assert nothing_is_left(driver)
    assert kept[0] is not None
    assert kept[0].fileno() >= 0  # it belongs to who was told
    kept[0].close()


@pytest.mark.parametrize('how', ['refused', 'missing'])
def test_a_failure_keeps_nothing_alive(driver: Driver, unix_path: str, how: str) -> None:
    class Owner:
        def __init__(self) -> None:
            self.connector = Connector(driver.loop, self.on_connected)

        def on_connected(self, error: Optional[OSError], sock: Optional[socket.socket]) -> None:
            answered()

    answered = Waiter()
    gc.collect()
    gc.disable()
    try:
        owner = Owner()
        gone = weakref.ref(owner.connector)
        if how == 'refused':
            driver(owner.connector.connect, '127.0.0.1', closed_port())
        else:
            driver(owner.connector.connect_unix, unix_path)
        del owner
        answered.get()
        driver.turns()
        until(lambda: gone() is None)
    finally:
        gc.enable()


def test_a_child_after_fork_closes_its_copy(driver: Driver, addresses: list[Endpoint]) -> None:
    with black_hole() as port:
        addresses.append(endpoint(port))
        connecting = Connecting(driver)
        until(lambda: connecting.connector._attempts)
        attempt = connecting.connector._attempts[0]
        copy = socket.socket(fileno=os.dup(attempt.sock.fileno()))
        attempt_sock, attempt.sock = attempt.sock, copy
        attempt.abandon()
        assert copy.fileno() == -1
        attempt.sock = attempt_sock
        driver(connecting.connector.cancel)
