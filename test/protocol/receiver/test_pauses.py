"""A receiver that pauses."""

from __future__ import annotations

import pytest
from protocol.receiver.frames import CLOSE, PING, SEQUENCE, SEQUENCE_EVENTS, TEXT, Feed, Recorder, frame


class TestPause:
    def test_nothing_is_called_back_while_paused(self, feed: Feed) -> None:
        recorder = Recorder()
        recorder.receiver.pause()
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == []
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('size', range(1, len(SEQUENCE), 7))
    def test_paused_in_every_callback(self, size: int) -> None:
        """What comes in meanwhile waits behind what is there."""
        recorder = Recorder()
        recorder.then = recorder.receiver.pause
        for start in range(0, len(SEQUENCE), size):
            seen = len(recorder.events)
            recorder.receiver.add(SEQUENCE[start : start + size])
            assert len(recorder.events) <= seen + 1
        while len(recorder.events) < len(SEQUENCE_EVENTS):
            seen = len(recorder.events)
            recorder.receiver.resume()
            assert len(recorder.events) == seen + 1
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('paused', range(1, len(SEQUENCE_EVENTS)))
    def test_paused_in_one_callback(self, feed: Feed, paused: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == paused:
                recorder.receiver.pause()

        recorder.then = then
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:paused]
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    def test_paused_and_resumed_inside_a_callback(self, feed: Feed) -> None:
        recorder = Recorder()
        depth = 0

        def then() -> None:
            nonlocal depth
            assert depth == 0, 'a callback inside a callback'
            depth += 1
            recorder.receiver.pause()
            recorder.receiver.resume()
            recorder.receiver.resume()
            depth -= 1

        recorder.then = then
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS

    def test_added_inside_a_callback(self) -> None:
        recorder = Recorder()
        depth = 0
        rest = [SEQUENCE[start : start + 5] for start in range(50, len(SEQUENCE), 5)]

        def then() -> None:
            nonlocal depth
            assert depth == 0, 'a callback inside a callback'
            depth += 1
            for _ in range(40):
                if rest:
                    recorder.receiver.add(rest.pop(0))
            depth -= 1

        recorder.then = then
        recorder.receiver.add(SEQUENCE[:50])
        assert recorder.events == SEQUENCE_EVENTS

    def test_added_and_paused_inside_a_callback(self) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == 1:
                recorder.receiver.add(frame(TEXT, b'c'))
                recorder.receiver.pause()

        recorder.then = then
        recorder.receiver.add(frame(TEXT, b'a') + frame(TEXT, b'b'))
        recorder.receiver.add(frame(TEXT, b'd'))
        assert recorder.events == [('text', 'a', False)]
        recorder.receiver.resume()
        assert [event[1] for event in recorder.events] == ['a', 'b', 'c', 'd']

    def test_pause_and_resume_after_the_end(self) -> None:
        recorder = Recorder()
        recorder.receiver.add(frame(CLOSE))
        recorder.receiver.pause()
        recorder.receiver.add(frame(PING))
        recorder.receiver.resume()
        recorder.receiver.add(frame(PING))
        assert recorder.events == [('close', 1005, '', False)]

    def test_one_message_at_a_time_takes_linear_time(self) -> None:
        """What is left is not copied for each message."""
        recorder = Recorder()
        recorder.receiver.pause()
        recorder.receiver.add(frame(TEXT) * 100000)
        recorder.then = recorder.receiver.pause
        copied = 0
        previous = None
        for _ in range(100000):
            recorder.receiver.resume()
            if recorder.receiver._data is not previous:
                previous = recorder.receiver._data
                copied += len(previous)
        assert len(recorder.events) == 100000
        assert copied < 3 * 200000
