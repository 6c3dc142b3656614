"""Both pollers behave alike, as far as the loop relies on them."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from streams import reset, tcp_pair

from ws.net import poller as poller_module
from ws.net.poller import READ, WRITE, SelectorPoller


@pytest.fixture
def poller(poller_class: Any) -> Iterator[Any]:
    poller = poller_class()
    yield poller
    poller.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = tcp_pair()
    with near, far:
        yield near, far


def test_it_tells_what_is_ready(poller: Any, pair: Any) -> None:
    near, far = pair
    poller.register(near.fileno(), READ)
    poller.register(far.fileno(), READ | WRITE)
    assert poller.poll(0) == [(far.fileno(), WRITE)]
    far.send(b'x')
    assert sorted(poller.poll(1)) == sorted([(near.fileno(), READ), (far.fileno(), WRITE)])
    near.send(b'x')
    far.recv(1, socket.MSG_PEEK)
    assert (far.fileno(), READ | WRITE) in poller.poll(1)


def test_readiness_is_reported_until_it_is_used(poller: Any, pair: Any) -> None:
    near, far = pair
    poller.register(near.fileno(), READ)
    far.send(b'x')
    assert poller.poll(1) == poller.poll(1) == [(near.fileno(), READ)]
    near.recv(1)
    assert poller.poll(0) == []


def test_interest_can_be_changed_and_ended(poller: Any, pair: Any) -> None:
    near, far = pair
    far.send(b'x')
    poller.register(near.fileno(), READ)
    poller.modify(near.fileno(), WRITE)
    assert poller.poll(1) == [(near.fileno(), WRITE)]
    poller.unregister(near.fileno())
    assert poller.poll(0) == []
    poller.register(near.fileno(), READ)
    assert poller.poll(1) == [(near.fileno(), READ)]


def test_the_end_of_the_peer_makes_readable(poller: Any, pair: Any) -> None:
    near, far = pair
    poller.register(near.fileno(), READ)
    far.shutdown(socket.SHUT_WR)
    assert poller.poll(1) == [(near.fileno(), READ)]


def test_a_reset_shows_to_one_who_only_writes(poller: Any, pair: Any) -> None:
    near, far = pair
    near.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            near.send(bytes(65536))
    poller.register(near.fileno(), WRITE)
    assert poller.poll(0) == []
    reset(far)
    [(fd, mask)] = poller.poll(1)
    assert fd == near.fileno()
    assert mask != READ  # streams take anything else for a reason to try writing


@pytest.mark.parametrize('numbers_count', [False, True], ids=['Windows', 'POSIX'])
def test_select_watches_no_more_than_it_can(monkeypatch: pytest.MonkeyPatch, pair: Any, numbers_count: bool) -> None:
    """It would raise ValueError whenever it is called, for all that it watches."""
    near, far = pair
    limit = far.fileno() if numbers_count else 1
    monkeypatch.setattr(selectors, 'DefaultSelector', selectors.SelectSelector)
    monkeypatch.setattr(poller_module, 'SELECT_LIMIT', limit)
    monkeypatch.setattr(poller_module, '_NUMBERS_COUNT', numbers_count)
    poller = SelectorPoller()
    try:
        poller.register(near.fileno(), READ)
        assert poller.full is not numbers_count
        with pytest.raises(OSError, match=f'watches no more than {limit}') as caught:
            poller.register(far.fileno(), READ)
        assert caught.value.errno == errno.EMFILE
        far.send(b'x')
        assert poller.poll(1) == [(near.fileno(), READ)]
        poller.unregister(near.fileno())
        assert not poller.full
    finally:
        poller.close()


@pytest.mark.parametrize('selector', [selectors.DefaultSelector, selectors.SelectSelector])
def test_one_that_is_closed_waits_for_nothing(
    poller_class: Any, selector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, 'DefaultSelector', selector)
    poller = poller_class()
    poller.close()
    with pytest.raises(ValueError, match='closed'):
        poller.poll(-1)


def test_it_waits_as_long_as_it_should(poller: Any, pair: Any) -> None:
    poller.register(pair[0].fileno(), READ)
    for seconds in (0.0004, 0.02):
        started = time.monotonic()
        assert poller.poll(seconds) == []
        assert time.monotonic() - started >= seconds  # returning early, the loop would spin until a timer is due


def test_without_a_timeout_it_waits_for_an_event(poller: Any, pair: Any) -> None:
    near, far = pair
    poller.register(near.fileno(), READ)
    timer = threading.Timer(0.02, far.send, [b'x'])
    timer.start()
    assert poller.poll(-1) == [(near.fileno(), READ)]
    timer.join()
