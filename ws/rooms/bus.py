"""What carries messages from one process to the others: the interface that a broker has to be adapted to."""

from __future__ import annotations

from typing import Optional, Protocol


class BusListener(Protocol):
    """Is told what comes over a bus, by any thread of the bus, provided that it holds no lock."""

    def received(self, channel: str, message: bytes) -> None:
        """`message` has come on `channel`: those of one publisher in their order, each at most once.

        This may block while much of what has come in is still to be worked through: the bus should read no more
        meanwhile.
        """

    def subscribed(self, channel: str) -> None:
        """From now on, what is published on `channel` comes here. Called again after each interruption."""

    def up(self) -> None:
        """There is a connection to the broker."""

    def down(self, error: Optional[Exception]) -> None:
        """The connection is lost, or the first attempt to connect has failed."""


class Bus(Protocol):
    """A way to other processes. No method waits for the broker, or raises because of its state, and any thread may call
    them. Messages may be lost, silently: each is delivered at most once. Whatever could grow has to be bounded.
    """

    def open(self, listener: BusListener) -> None:
        """Connect, and connect again when the connection has ended, until :meth:`close`. Called once, first."""

    def publish(self, channel: str, message: bytes) -> bool:
        """Send `message` to all who have subscribed to `channel`. Whether this process gets it, too, makes no
        difference.

        Returns False if it is known to be lost: there is no connection, or too much waits for it.
        """

    def subscribe(self, channel: str) -> None:
        """Ask for what is published on `channel`, now and after each interruption."""

    def unsubscribe(self, channel: str) -> None:
        """Ask for no more of it. Some may still come."""

    def close(self) -> None:
        """End the connection when what was published has been sent. The listener is told nothing from now on."""
