"""Waiting for changes, which Ctrl-C may interrupt at any step."""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time

import pytest
from interrupts import interrupted_at, looks_between_calls
from streams import Handle, in_thread
from support import TIMEOUT, until

from ws.net import changes, loop
from ws.net.changes import Changes
from ws.net.loop import Loop


class Door:
    """Something that changes."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changes = Changes(self.lock)
        self._open = False

    def is_open(self) -> bool:
        with self.lock:
            return self._open

    def open(self) -> None:
        with self.lock:
            self._open = True
            self.changes.tell()

    def is_waited_for(self) -> bool:
        return bool(self.changes._waiting)


def test_what_is_so_is_not_waited_for() -> None:
    door = Door()
    door.open()
    assert door.changes.until(door.is_open)
    assert door.changes.until(door.is_open, 0)


def test_all_who_wait_are_told(switching: None) -> None:
    door = Door()
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(in_thread(door.changes.until, door.is_open))
        until(lambda: len(door.changes._waiting) == 5)
        door.open()
    assert not door.is_waited_for()


def test_nothing_is_missed(switching: None) -> None:
    for _ in range(200):
        door = Door()
        # The main thread would look again by itself.
        with in_thread(door.changes.until, door.is_open, TIMEOUT) as outcome:
            door.open()
            assert outcome()


def test_a_change_is_not_yet_what_is_waited_for() -> None:
    door = Door()
    with in_thread(door.changes.until, door.is_open) as outcome:
        until(door.is_waited_for)
        for _ in range(100):
            with door.lock:
                door.changes.tell()
        assert door.is_waited_for()
        door.open()
        assert outcome()


@pytest.mark.parametrize('seconds', [-1, 0, 0.05])
def test_it_waits_no_longer_than_that(seconds: float) -> None:
    door = Door()
    started = time.monotonic()
    assert not door.changes.until(door.is_open, seconds)
    assert time.monotonic() - started >= seconds
    assert not door.is_waited_for()


@pytest.mark.parametrize('seconds', [1e9, 1e300])
def test_long_times_are_as_good_as_any(seconds: float) -> None:
    door = Door()
    with in_thread(door.changes.until, door.is_open, seconds) as outcome:
        until(door.is_waited_for)
        door.open()
        assert outcome()


def test_an_error_comes_out() -> None:
    door = Door()

    def look() -> bool:
        if door.is_open():
            raise ValueError('not this')
        return False

    with pytest.raises(ValueError, match='not this'), in_thread(door.changes.until, look):
        until(door.is_waited_for)
        door.open()
    assert not door.is_waited_for()


@pytest.mark.parametrize('levels', [1, 3])
def test_a_signal_handler_may_wait_in_the_middle_of_what_holds_the_lock(levels: int) -> None:
    door = Door()

    def handler(*_: object) -> None:
        assert door.changes.until(door.is_open, TIMEOUT)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with in_thread(lambda: (until(door.is_waited_for), door.open())), contextlib.ExitStack() as stack:
            for _ in range(levels):
                stack.enter_context(door.lock)
            signal.raise_signal(signal.SIGTERM)
            with in_thread(door.lock.acquire, False) as acquired:  # held as before
                assert not acquired()
    finally:
        signal.signal(signal.SIGTERM, before)


@looks_between_calls
def test_ctrl_c_may_come_at_any_step() -> None:
    """Whoever goes on after it finds everything as if nobody had waited, and nobody else is held up."""
    places = set()
    for step in itertools.count(1):
        own, handle, over = Loop(), Handle(), threading.Event()
        own.hold(handle)

        def release(own: Loop = own, handle: Handle = handle, over: threading.Event = over) -> None:
            until(lambda: own._changes._waiting or over.is_set())
            own.release(handle)

        with in_thread(release):
            place = interrupted_at(step, own.wait, loop, changes)
            over.set()
        own.wait()
        own.shutdown(TIMEOUT)
        assert not own.runs
        if not place:
            break
        places.add(place)
    assert {'wait', 'until', '_is_unreferenced', '_seconds_to_wait'} <= places
