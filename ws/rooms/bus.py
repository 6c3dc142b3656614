"""What carries messages from one process to the others: the interface that a broker has to be fitted to."""

from __future__ import annotations

from typing import Optional, Protocol


class BusListener(Protocol):
    """Who is told what comes over a bus, by any thread of the bus that holds no lock."""

    def received(self, channel: str, message: bytes) -> None:
        """`message` has come on `channel`: messages of one publisher in their order, each at most once.

        This may wait while much has come in that is still to be worked through: then the bus should read no more.
        """

    def subscribed(self, channel: str) -> None:
        """From now on, what is published on `channel` comes here. Again after each interruption."""

    def up(self) -> None:
        """There is a connection to the broker."""

    def down(self, error: Optional[Exception]) -> None:
        """There is none any more, or the first attempt has failed."""


class Bus(Protocol):
    """A way to other processes. No method waits for the broker, none raises for its state, any thread may call it.

    What may be lost is lost silently: a message is delivered at most once. What could grow has to be bounded.
    """

    def open(self, listener: BusListener) -> None:
        """Connect, and connect again when the connection has ended, until :meth:`close`. Called once, first."""

    def publish(self, channel: str, message: bytes) -> bool:
        """Send `message` to who has subscribed to `channel`. Whether this process gets it, too, makes no difference.

        Returns False if it is known to be lost: there is no connection, or too much waits for it.
        """

    def subscribe(self, channel: str) -> None:
        """Want what is published on `channel`, now and after each interruption."""

    def unsubscribe(self, channel: str) -> None:
        """Want no more of it. Some may still come."""

    def close(self) -> None:
        """End the connection, when what was published has been sent, and tell the listener nothing any more."""
