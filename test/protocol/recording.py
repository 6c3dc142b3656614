"""What a receiver makes of bytes, however they come: for the tests of all kinds of frames."""

from __future__ import annotations

from typing import Any, Callable

from ws.errors import ProtocolError
from ws.protocol.receiver import BaseReceiver, MessageFlags

Event = tuple[Any, ...]
Feed = Callable[[Any, bytes], None]


def whole(receiver: BaseReceiver, data: bytes) -> None:
    receiver.add(data)


def byte_by_byte(receiver: BaseReceiver, data: bytes) -> None:
    for index in range(len(data)):
        receiver.add(data[index : index + 1])


class BaseRecorder:
    """A receiver and what it called back: tuples of the callback's name and what :meth:`_values` leaves of its
    arguments."""

    def __init__(self, receiver: Any) -> None:
        self.receiver = receiver
        self.events: list[Event] = []
        self.flags: list[MessageFlags] = []
        self.then: Callable[[], None] = lambda: None  # run inside each callback
        for name in ('text', 'binary', 'ping', 'pong', 'close'):
            setattr(receiver, f'on{name}', lambda *arguments, name=name: self._record(name, *arguments))
        receiver.onerror = self._record_error

    def _values(self, values: list[Any], flags: MessageFlags) -> list[Any]:
        return values

    def _record(self, name: str, *arguments: Any) -> None:
        *values, flags = arguments
        self.flags.append(flags)
        self.events.append((name, *self._values(values, flags)))
        self.then()

    def _record_error(self, error: ProtocolError, code: int) -> None:
        assert type(error) is ProtocolError
        assert error.closeCode == code
        self.events.append(('error', str(error), code))
        self.then()

    def fed(self, data: bytes, feed: Feed) -> list[Event]:
        """What has been called back for, after `data`."""
        feed(self.receiver, data)
        return self.events
