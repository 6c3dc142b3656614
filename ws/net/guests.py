"""What the loop knows of those it works for."""

from __future__ import annotations

from typing import Protocol


class Handle(Protocol):
    """What keeps the loop thread, and the process, alive."""

    def shutdown(self) -> None:
        """End soon and gracefully: the process is about to exit. Called on the loop thread."""

    def fail(self, error: BaseException) -> None:
        """End at once, because of `error`: the loop has lost its sockets. Called on the loop thread."""

    def abandon(self) -> None:
        """Close descriptors and nothing else: this is the child after a fork, they are copies of the parent's."""


class Pollable(Protocol):
    """What may be registered with the loop."""

    def on_event(self, mask: int) -> None:
        """The descriptor is ready: `mask` combines READ, WRITE and the platform's error bits."""

    def failed(self) -> None:
        """``on_event`` raised an exception: a defect, and reported. Unregister, or that would go on and on."""

    def abandon(self) -> None:
        """As :meth:`Handle.abandon`."""


class Flushable(Protocol):
    def flush(self) -> None:
        """Write out what was queued during this turn."""

    def failed(self) -> None:
        """As :meth:`Pollable.failed`."""


class Patient(Protocol):
    """Something that does long work in several turns."""

    def go_on(self) -> None:
        """Do some more of it."""

    def failed(self) -> None:
        """As :meth:`Pollable.failed`."""
