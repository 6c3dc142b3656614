"""Frames of Hixie-76, for the tests of this folder."""

from __future__ import annotations

from typing import Any, Callable

from hypothesis import strategies as st

from ws.errors import ProtocolError
from ws.protocol.hixie import Receiver
from ws.protocol.receiver import MessageFlags

Event = tuple[Any, ...]
Feed = Callable[[Receiver, bytes], None]

CLOSED = ('close', 1005, '')


def text_frame(text: str) -> bytes:
    return b'\x00' + text.encode() + b'\xff'


def whole(receiver: Receiver, data: bytes) -> None:
    receiver.add(data)


def byte_by_byte(receiver: Receiver, data: bytes) -> None:
    for index in range(len(data)):
        receiver.add(data[index : index + 1])


class Recorder:
    """A Receiver and what it called back: tuples of the callback's name and its arguments but the flags."""

    def __init__(self, **limits: int) -> None:
        self.receiver = Receiver(**limits)
        self.events: list[Event] = []
        self.flags: list[MessageFlags] = []
        self.then: Callable[[], None] = lambda: None  # run inside each callback
        for name in ('text', 'binary', 'ping', 'pong', 'close'):
            setattr(self.receiver, f'on{name}', lambda *arguments, name=name: self._record(name, *arguments))
        self.receiver.onerror = self._record_error

    def _record(self, name: str, *arguments: Any) -> None:
        *values, flags = arguments
        self.flags.append(flags)
        self.events.append((name, *values))
        self.then()

    def _record_error(self, error: ProtocolError, code: int) -> None:
        assert type(error) is ProtocolError
        assert error.closeCode == code
        self.events.append(('error', str(error), code))
        self.then()


def events_of(data: bytes, feed: Feed = whole, **limits: int) -> list[Event]:
    recorder = Recorder(**limits)
    feed(recorder.receiver, data)
    return recorder.events


texts = st.text(st.characters(exclude_categories=['Cs']), max_size=300)
