"""Whom a receiver calls, when, and when no longer."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from protocol.receiver.frames import (
    BINARY,
    CONTINUATION,
    KEY,
    PING,
    RESERVED,
    SEQUENCE,
    SEQUENCE_EVENTS,
    TEXT,
    Feed,
    Recorder,
    frame,
)

from ws.errors import ProtocolError
from ws.protocol.receiver import Receiver, flags_of


class TestCleanup:
    @pytest.mark.parametrize('start', range(len(SEQUENCE)))
    def test_drops_everything(self, start: int) -> None:
        recorder = Recorder()
        recorder.receiver.add(SEQUENCE[:start])
        events = list(recorder.events)
        recorder.receiver.cleanup()
        recorder.receiver.add(SEQUENCE[start:])
        recorder.receiver.resume()
        assert recorder.events == events

    @pytest.mark.parametrize('count', range(1, len(SEQUENCE_EVENTS) + 1))
    def test_inside_a_callback(self, feed: Feed, count: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == count:
                recorder.receiver.add(frame(PING))
                recorder.receiver.cleanup()
                recorder.receiver.add(frame(PING))

        recorder.then = then
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:count]

    def test_while_paused(self) -> None:
        recorder = Recorder()
        recorder.receiver.pause()
        recorder.receiver.add(SEQUENCE)
        recorder.receiver.cleanup()
        recorder.receiver.resume()
        assert recorder.events == []

    def test_lets_go_of_the_callbacks(self) -> None:
        recorder = Recorder()
        references = sys.getrefcount(recorder)
        recorder.receiver.cleanup()
        assert sys.getrefcount(recorder) < references


class TestCallbackThatRaises:
    @pytest.mark.parametrize('count', range(1, len(SEQUENCE_EVENTS) + 1))
    def test_comes_out_and_the_next_call_goes_on(self, count: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == count:
                raise ProtocolError("mine, not the peer's", 1000)

        recorder.then = then
        with pytest.raises(ProtocolError, match='mine'):
            recorder.receiver.add(SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:count]
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    def test_what_it_added_comes_before_what_is_added_afterwards(self) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == 1:
                recorder.receiver.add(frame(TEXT, b'c'))
                raise ZeroDivisionError

        recorder.then = then
        with pytest.raises(ZeroDivisionError):
            recorder.receiver.add(frame(TEXT, b'a') + frame(TEXT, b'b'))
        recorder.receiver.add(frame(TEXT, b'd'))
        assert [event[1] for event in recorder.events] == ['a', 'b', 'c', 'd']

    def test_from_onerror(self) -> None:
        recorder = Recorder()

        def then() -> None:
            raise ZeroDivisionError

        recorder.then = then
        with pytest.raises(ZeroDivisionError):
            recorder.receiver.add(b'\xff')
        recorder.receiver.add(frame(PING))
        assert recorder.events == [RESERVED]


class TestTheDataAlone:
    """``onmessage``, for whoever wants no flags; and ``onexception``."""

    def test_text_and_binary_whole_and_in_fragments(self, feed: Feed) -> None:
        receiver = Receiver()
        seen: list[Any] = []
        receiver.onmessage = seen.append
        receiver.ontext = receiver.onbinary = lambda data, flags: seen.append('not this')
        fragments = frame(TEXT, b'in ', fin=False) + frame(CONTINUATION, b'two')
        feed(receiver, frame(TEXT, b'whole', key=KEY) + fragments + frame(BINARY, b'bytes'))
        assert seen == ['whole', 'in two', b'bytes']

    def test_it_may_be_another_for_each_message(self) -> None:
        receiver = Receiver()
        seen: list[Any] = []

        def first(data: Any) -> None:
            seen.append(('first', data))
            receiver.onmessage = None

        receiver.onmessage = first
        receiver.ontext = lambda data, flags: seen.append(('second', data, flags.binary))
        receiver.add(frame(TEXT, b'a') + frame(TEXT, b'b'))
        assert seen == [('first', 'a'), ('second', 'b', False)]

    @pytest.mark.parametrize('name', ['onmessage', 'ontext'])
    def test_an_exception_is_handled_and_the_rest_follows(self, feed: Feed, name: str) -> None:
        receiver = Receiver()
        told: list[Any] = []

        def fail(data: Any, *flags: Any) -> None:
            told.append(data)
            raise KeyError(data)

        setattr(receiver, name, fail)
        receiver.onexception = lambda: told.append(type(sys.exc_info()[1]))
        feed(receiver, frame(TEXT, b'a') + frame(TEXT, b'b', fin=False) + frame(CONTINUATION, b'c'))
        assert told == ['a', KeyError, 'bc', KeyError]


def test_flags_that_hold_flags_and_so_on_are_let_go() -> None:
    flags: Any = None
    for _ in range(300_000):
        flags = flags_of(False, flags)
    del flags
    gc.collect()


class _Changing(Receiver):
    """Another thread attaches a listener whenever it is asked who gets the message."""

    asked = 0

    @property  # type: ignore[override]
    def onmessage(self) -> Any:
        self.asked += 1
        return self.received.append if self.asked % 2 else None

    @onmessage.setter
    def onmessage(self, value: object) -> None:
        self.received: list[object] = []


@pytest.mark.parametrize('data', [b'\x81\x02hi', b'\x01\x01h\x80\x01i'], ids=['whole', 'in fragments'])
def test_who_gets_a_message_is_asked_once(data: bytes) -> None:
    receiver = _Changing(False)
    receiver.onerror = lambda *error: pytest.fail(str(error))
    receiver.add(data)
    assert receiver.received == ['hi']
