"""Name look-ups: off the loop thread, a few at a time, and an answer for everybody who still wants one."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from streams import Driver
from support import TIMEOUT, Waiter, until

from ws.net import resolver
from ws.net.resolver import MAX_THREADS, Answer, Endpoint, look_up, look_up_literal, resolve

Rows = list[Any]


def row(address: str, port: int) -> Any:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, port))


def answers_with(function: Callable[[str, int], Rows]) -> Callable[..., Rows]:
    """A getaddrinfo that knows no IP addresses, only names."""

    def getaddrinfo(host: str, port: int, *, family: int, type: int, flags: int) -> Rows:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, 'a name')
        return function(host, port)

    return getaddrinfo


def resolver_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == 'ws-resolver']


def test_addresses_need_no_look_up(driver: Driver) -> None:
    answers = Waiter()

    def ask() -> None:
        for host in ('127.0.0.1', '::1'):
            resolve(driver.loop, host, 80, answers)
        assert answers.nothing(0)  # never from there

    driver(ask)
    (answer,) = answers.get()
    assert answer == ([Endpoint(socket.AF_INET, ('127.0.0.1', 80))], None)
    (answer,) = answers.get()
    assert answer.endpoints[0].family == socket.AF_INET6
    assert not resolver_threads()


def test_names_are_looked_up(driver: Driver) -> None:
    answers = Waiter()
    resolve(driver.loop, 'localhost', 8080, lambda answer: answers(answer, driver.loop.in_thread()))
    answer, on_loop = answers.get()
    assert on_loop
    assert answer.error is None
    assert {endpoint.address[0] for endpoint in answer.endpoints} & {'127.0.0.1', '::1'}
    assert {endpoint.address[1] for endpoint in answer.endpoints} == {8080}


@pytest.mark.parametrize('family', [socket.AF_INET, socket.AF_INET6])
def test_the_system_is_asked_for_one_family_only(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily
) -> None:
    """So that who asks for IPv4 waits for no answer about IPv6."""
    asked, answers, real = Waiter(), Waiter(), socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **options: Any) -> Rows:
        asked(options['family'])
        return real(host, port, **options)

    monkeypatch.setattr(socket, 'getaddrinfo', getaddrinfo)
    resolve(driver.loop, 'localhost', 80, answers, family=family)
    assert asked.get() == (0,)  # whether it is an address
    assert asked.get() == (family,)
    (answer,) = answers.get()
    assert {endpoint.family for endpoint in answer.endpoints} <= {family}
    assert answer.endpoints or isinstance(answer.error, socket.gaierror)


def test_a_look_up_that_blocks_holds_up_nobody(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked, answers = threading.Event(), Waiter(), Waiter()

    def slow(host: str, port: int) -> Rows:
        asked()
        release.wait(TIMEOUT)
        return [row('192.0.2.1', port)]

    monkeypatch.setattr(socket, 'getaddrinfo', answers_with(slow))
    resolve(driver.loop, 'slow.example', 80, answers)
    asked.get()
    started = time.monotonic()
    driver.turns(10)
    assert time.monotonic() - started < TIMEOUT / 2
    assert answers.nothing(0)
    release.set()
    assert answers.get() == (Answer([Endpoint(socket.AF_INET, ('192.0.2.1', 80))], None),)


def test_only_a_few_at_a_time_and_the_rest_later(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked, answers = threading.Event(), Waiter(), Waiter()
    at_once = [0, 0]
    lock = threading.Lock()

    def slow(host: str, port: int) -> Rows:
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        asked()
        release.wait(TIMEOUT)
        with lock:
            at_once[0] -= 1
        return [row('192.0.2.1', port)]

    monkeypatch.setattr(socket, 'getaddrinfo', answers_with(slow))
    count = MAX_THREADS + 16
    for port in range(count):
        resolve(driver.loop, 'slow.example', port, answers)
    for _ in range(MAX_THREADS):
        asked.get()
    assert asked.nothing(0.05)
    release.set()
    ports = {answers.get()[0].endpoints[0].address[1] for _ in range(count)}
    assert ports == set(range(count))
    assert at_once[1] == MAX_THREADS
    until(lambda: not resolver_threads())


@pytest.mark.parametrize(
    'host', ['no-such-name.invalid', '', 'a..b', 'x' * 64 + '.example', '\udc80', 'a\0b', '[::1]', 'é' * 300, ' ']
)
def test_what_is_no_name_is_an_error(driver: Driver, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def no_network(host: str, *arguments: Any, **keywords: Any) -> Any:
        if host == 'no-such-name.invalid':
            raise socket.gaierror(socket.EAI_NONAME, 'Name or service not known')
        return real(host, *arguments, **keywords)

    monkeypatch.setattr(socket, 'getaddrinfo', no_network)
    answers = Waiter()
    resolve(driver.loop, host, 80, answers)
    (answer,) = answers.get()
    assert answer.endpoints == []
    assert isinstance(answer.error, socket.gaierror)
    assert (host if host.isascii() and '\0' not in host else '') in str(answer.error)
    with pytest.raises(socket.gaierror):
        look_up(host, 80)
    assert look_up_literal(host, 80) is None


def test_a_resolver_of_somebody_s_own_may_raise_anything(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(host: str, port: int) -> Rows:
        raise LookupError('not today')

    monkeypatch.setattr(socket, 'getaddrinfo', answers_with(broken))
    answers = Waiter()
    for _ in range(2 * MAX_THREADS):  # each must leave its thread fit for the next
        resolve(driver.loop, 'name.example', 80, answers)
    for _ in range(2 * MAX_THREADS):
        (answer,) = answers.get()
        assert isinstance(answer.error, OSError)
        assert 'not today' in str(answer.error)


def test_without_threads_it_still_answers(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late in its life, an interpreter starts none."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(socket, 'getaddrinfo', answers_with(lambda host, port: [row('192.0.2.1', port)]))
    answers = Waiter()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, 'start', refuse)
        for port in (80, 81):
            resolve(driver.loop, 'name.example', port, answers)
    assert [answers.get()[0].endpoints[0].address[1] for _ in range(2)] == [80, 81]
    resolve(driver.loop, 'name.example', 82, answers)
    assert answers.get()[0].endpoints[0].address[1] == 82


def test_nobody_is_told_who_has_cancelled(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked, answers = threading.Event(), Waiter(), Waiter()

    def slow(host: str, port: int) -> Rows:
        asked(port)
        release.wait(TIMEOUT)
        return [row('192.0.2.1', port)]

    monkeypatch.setattr(socket, 'getaddrinfo', answers_with(slow))
    look_ups = [resolve(driver.loop, 'slow.example', port, answers) for port in range(MAX_THREADS + 3)]
    asked_for = {asked.get()[0] for _ in range(MAX_THREADS)}
    assert asked.nothing(0.05)
    cancelled = (MAX_THREADS, MAX_THREADS + 1, 0)
    for number in cancelled:
        driver(look_ups[number].cancel)
    asked_for.add(asked.get()[0])  # in the place of the one that had begun
    release.set()
    told = {answers.get()[0].endpoints[0].address[1] for _ in range(MAX_THREADS)}
    assert told == set(range(MAX_THREADS + 3)) - set(cancelled)
    assert answers.nothing(0.05)
    assert asked.nothing(0)
    assert asked_for == set(range(MAX_THREADS)) | {MAX_THREADS + 2}  # for those who cancelled in time, nobody asks
    until(lambda: not resolver_threads())


class Hanging:
    """A getaddrinfo that answers at once, but for names that begin with ``hang``: for those when it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = Waiter()
        self.release = threading.Event()
        monkeypatch.setattr(socket, 'getaddrinfo', answers_with(self._answer))

    def _answer(self, host: str, port: int) -> Rows:
        self.asked(host)
        if host.startswith('hang'):
            self.release.wait(TIMEOUT)
        return [row('192.0.2.1', port)]


def test_a_name_that_hangs_is_asked_for_once(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask for it, the others get their answers; and it comes to those who have not given up."""
    hanging, answers, others = Hanging(monkeypatch), Waiter(), Waiter()
    look_ups = [resolve(driver.loop, 'hang.example', 80, answers) for _ in range(3 * MAX_THREADS)]
    assert hanging.asked.get() == ('hang.example',)
    resolve(driver.loop, 'other.example', 80, others)
    others.get()
    assert hanging.asked.get() == ('other.example',)
    assert hanging.asked.nothing(0)
    for one in look_ups[1:]:
        driver(one.cancel)
    assert len(resolver_threads()) <= 2
    hanging.release.set()
    assert answers.get()[0].error is None
    assert answers.nothing(0.02)
    until(lambda: not resolver_threads())


def test_who_gives_up_frees_the_place(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, answers, others = Hanging(monkeypatch), Waiter(), Waiter()
    look_ups = [resolve(driver.loop, f'hang{number}.example', 80, answers) for number in range(MAX_THREADS)]
    for _ in look_ups:
        hanging.asked.get()
    resolve(driver.loop, 'other.example', 80, others)
    assert others.nothing(0.05)
    driver(look_ups[0].cancel)
    others.get()
    for one in look_ups:
        driver(one.cancel)
        driver(one.cancel)
    # Who asks for such a name now, has it asked for anew.
    hanging.asked.get()
    again = resolve(driver.loop, 'hang0.example', 80, answers)
    assert hanging.asked.get() == ('hang0.example',)
    driver(again.cancel)
    hanging.release.set()
    assert answers.nothing(0.02)
    until(lambda: not resolver_threads())


def test_names_that_hang_keep_others_waiting_for_a_moment(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if nobody has given up on them; and they get their answers."""
    monkeypatch.setattr(resolver, 'PATIENCE', 20)
    hanging, answers, others = Hanging(monkeypatch), Waiter(), Waiter()
    for number in range(MAX_THREADS + 8):
        driver(resolve, driver.loop, f'hang{number}.example', 80, answers)
    driver(resolve, driver.loop, 'other.example', 80, others)
    assert others.get()[0].error is None
    assert answers.nothing(0)
    hanging.release.set()
    for _ in range(MAX_THREADS + 8):
        assert answers.get()[0].error is None
    until(lambda: not resolver_threads())
    driver.turns()
    assert not [timer for _, _, timer in driver.loop._timers if timer.callback is not None]


def test_an_answer_to_an_address_can_be_cancelled_too(driver: Driver) -> None:
    answers = Waiter()
    driver(lambda: resolve(driver.loop, '127.0.0.1', 80, answers).cancel())
    driver.turns()
    assert answers.nothing(0)


def test_a_failure_keeps_nothing_alive(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asking:
        def __init__(self) -> None:
            resolve(driver.loop, 'name.example', 80, self.on_answer)

        def on_answer(self, answer: Answer) -> None:
            answered()

    def refuse(host: str, port: int) -> Rows:
        raise socket.gaierror(socket.EAI_NONAME, 'no such name')

    monkeypatch.setattr(socket, 'getaddrinfo', answers_with(refuse))
    answered = Waiter()
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(Asking())
        answered.get()
        driver.turns()
        until(lambda: gone() is None)
    finally:
        gc.enable()
