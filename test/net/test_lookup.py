"""Look-ups by a function of the user's: off the loop thread, with an answer whatever it does."""

from __future__ import annotations

import gc
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from streams import Driver
from support import TIMEOUT, Waiter, until

from ws.net import lookup as module
from ws.net.lookup import ask_by
from ws.net.resolver import Answer, Endpoint, LookUp, resolve
from ws.net.workers import Workers

FOUR = Endpoint(socket.AF_INET, ('192.0.2.1', 80))
SIX = Endpoint(socket.AF_INET6, ('2001:db8::1', 80, 0, 0))


def look_up(driver: Driver, function: Callable[..., Any], family: int = 0, host: str = 'a.example') -> Answer:
    answers = Waiter()
    resolve(driver.loop, host, 80, lambda answer: answers(answer, driver.loop.in_thread()), 0, family, ask_by(function))
    answer, on_loop = answers.get()
    assert on_loop
    assert isinstance(answer, Answer)
    return answer


def calling_back(*answer: Any) -> Callable[..., None]:
    return lambda host, options, callback: callback(*answer)


@pytest.mark.parametrize(
    ('given', 'endpoints'),
    [
        ('192.0.2.1', [FOUR]),
        ('2001:db8::1', [SIX]),
        (['2001:db8::1', '192.0.2.1'], [SIX, FOUR]),
        (('192.0.2.1',), [FOUR]),
        ({'address': '192.0.2.1', 'family': 4}, [FOUR]),
        ([{'address': '192.0.2.1', 'family': 4}, {'address': '2001:db8::1', 'family': 6}], [FOUR, SIX]),
    ],
)
def test_addresses_as_one_may_write_them(driver: Driver, given: Any, endpoints: list[Endpoint]) -> None:
    assert look_up(driver, lambda host, options: given) == Answer(endpoints, None)
    assert look_up(driver, lambda host: given) == Answer(endpoints, None)
    assert look_up(driver, calling_back(None, given)) == Answer(endpoints, None)
    assert look_up(driver, calling_back(None, given, 4)) == Answer(endpoints, None)


def test_what_it_is_asked(driver: Driver) -> None:
    asked = Waiter()

    def function(host: str, options: Any) -> str:
        asked(host, dict(options), options.family, threading.current_thread().name)
        return '192.0.2.1'

    look_up(driver, function)
    options = {'family': 0, 'hints': 0, 'all': True}
    assert asked.get() == ('a.example', options, 0, 'ws-lookup')
    look_up(driver, function, socket.AF_INET)
    assert asked.get() == ('a.example', {**options, 'family': 4}, 4, 'ws-lookup')


def test_an_address_is_not_looked_up(driver: Driver) -> None:
    answer = look_up(driver, lambda host: pytest.fail('asked'), host='192.0.2.1')
    assert answer == Answer([FOUR], None)


def test_of_the_other_family_nothing_is_taken(driver: Driver) -> None:
    assert look_up(driver, lambda host: ['2001:db8::1', '192.0.2.1'], socket.AF_INET) == Answer([FOUR], None)
    answer = look_up(driver, lambda host: '2001:db8::1', socket.AF_INET)
    assert isinstance(answer.error, OSError)
    assert str(answer.error) == 'lookup has found no address for a.example'


class NotToday(Exception):
    pass


def refuse(*arguments: Any) -> None:
    raise NotToday('not today')


@pytest.mark.parametrize(
    ('function', 'kind', 'text'),
    [
        (refuse, NotToday, 'not today'),
        (lambda host, options, callback: refuse(), NotToday, 'not today'),
        (calling_back(NotToday('not today')), NotToday, 'not today'),
        (calling_back('ENOTFOUND'), OSError, 'ENOTFOUND'),
        (calling_back(), TypeError, 'lookup must give IP addresses, not None'),
        (lambda host: None, TypeError, 'lookup must give IP addresses, not None'),
        (lambda host: 'other.example', TypeError, "lookup must give IP addresses, not 'other.example'"),
        (lambda host: '', TypeError, "lookup must give IP addresses, not ''"),
        (lambda host: [['192.0.2.1']], TypeError, "lookup must give IP addresses, not ['192.0.2.1']"),
        (lambda host: [{'ip': '192.0.2.1'}], TypeError, 'lookup must give IP addresses, not None'),
        (lambda host: [], OSError, 'lookup has found no address for a.example'),
        (lambda: '192.0.2.1', None, ''),
    ],
)
def test_whatever_it_does_there_is_an_answer(driver: Driver, function: Any, kind: Any, text: str) -> None:
    answer = look_up(driver, function)
    if kind is None:
        assert answer == Answer([FOUR], None)
    else:
        assert answer.endpoints == []
        assert type(answer.error) is kind
        assert str(answer.error) == text


def test_it_may_call_back_later_and_on_another_thread(driver: Driver) -> None:
    callbacks, answers = Waiter(), Waiter()
    ask = ask_by(lambda host, options, callback: callbacks(callback))
    resolve(driver.loop, 'a.example', 80, answers, ask=ask)
    (callback,) = callbacks.get()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == 'ws-lookup'])
    assert answers.nothing(0)
    callback(None, '192.0.2.1')
    callback(None, '192.0.2.2')  # too late
    callback(NotToday())
    assert answers.get() == (Answer([FOUR], None),)
    assert answers.nothing(0.02)


def test_nobody_is_told_who_has_cancelled(driver: Driver) -> None:
    callbacks, answers = Waiter(), Waiter()
    ask = ask_by(lambda host, options, callback: callbacks(callback))
    asking: list[LookUp] = []
    driver(lambda: asking.append(resolve(driver.loop, 'a.example', 80, answers, ask=ask)))
    (callback,) = callbacks.get()
    driver(asking[0].cancel)
    callback(None, '192.0.2.1')
    assert answers.nothing(0.02)


def test_who_gives_up_on_one_that_hangs_frees_its_place(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, '_workers', Workers('ws-lookup', 1))
    release, asked, answers = threading.Event(), Waiter(), Waiter()

    def hang(host: str) -> str:
        asked(host)
        if host == 'hangs.example':
            release.wait(TIMEOUT)
        return '192.0.2.1'

    hanging = resolve(driver.loop, 'hangs.example', 80, lambda answer: pytest.fail('told'), ask=ask_by(hang))
    assert asked.get() == ('hangs.example',)
    resolve(driver.loop, 'a.example', 80, answers, ask=ask_by(hang))
    assert answers.nothing(0.02)
    driver(hanging.cancel)
    assert answers.get() == (Answer([FOUR], None),)
    release.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == 'ws-lookup'])


def test_a_failure_keeps_nothing_alive(driver: Driver) -> None:
    class Asking:
        def __init__(self) -> None:
            resolve(driver.loop, 'a.example', 80, self.on_answer, ask=ask_by(refuse))

        def on_answer(self, answer: Answer) -> None:
            answered()

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


@pytest.mark.parametrize('junk', [5, '127.0.0.1', {}])
def test_what_is_no_function(junk: Any) -> None:
    with pytest.raises(TypeError, match=f'^lookup must be callable, not {type(junk).__name__}$'):
        ask_by(junk)
