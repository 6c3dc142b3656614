"""Messages that wait for a connection, and what becomes of them."""

from __future__ import annotations

from collections import deque
from typing import Any, Optional, Protocol

from ..net.loop import Loop
from ..protocol.sender import payload_of
from ..sending import Callback, is_file
from ..streams import File


class Connection(Protocol):
    """What messages are sent over; see the class WebSocket."""

    def send(
        self,
        data: Any,
        *,
        callback: Optional[Callback],
        binary: Optional[bool],
        mask: Optional[bool],
        compress: bool,
        fin: bool,
    ) -> bool: ...

    def stream(self, *, callback: Callback, binary: Optional[bool], mask: Optional[bool], compress: bool) -> object: ...

    def is_little(self) -> bool:
        """Whether little is waiting to be sent; else ``drain`` follows."""


class Message:
    """What ``send`` was given. It is sent, or dropped, once; ``callback(error)`` is told."""

    #: Bytes, once it is kept.
    size: int = 0

    def __init__(
        self,
        data: Any,
        callback: Optional[Callback],
        binary: Optional[bool],
        mask: Optional[bool],
        compress: bool,
        fin: bool = True,
    ) -> None:
        self._data = data
        self._callback = callback
        self._binary = binary
        self._mask = mask
        self._compress = compress
        #: Whether it is complete; else the next one is the next fragment of it.
        self.fin: bool = fin

    def keep(self) -> None:
        """Take what the caller may change once it goes on. Raises TypeError and ValueError for what can't be sent."""
        if not is_file(self._data):
            self._data, is_binary = payload_of(self._data)
            self.size = len(self._data)
            if self._binary is None:
                self._binary = is_binary

    def send(self, connection: Connection) -> bool:
        """Returns whether little is waiting; else ``drain`` follows."""
        return connection.send(
            self._data,
            callback=self._callback,
            binary=self._binary,
            mask=self._mask,
            compress=self._compress,
            fin=self.fin,
        )

    def drop(self, loop: Loop, error: Exception) -> None:
        """It will never be sent. On the loop thread, of which the callback is told later."""
        if is_file(self._data):
            File(loop, self._data, None, False, False, self._callback or _nobody).cancel()
        elif self._callback is not None:
            loop.defer(self._callback, error)


class MessageInPieces(Message):
    """What ``stream`` was given: the data come from its callback, piece by piece."""

    def __init__(self, callback: Callback, binary: Optional[bool], mask: Optional[bool], compress: bool) -> None:
        super().__init__(None, callback, binary, mask, compress)
        self._supply = callback

    def keep(self) -> None:
        """There is nothing yet."""

    def send(self, connection: Connection) -> bool:
        connection.stream(callback=self._supply, binary=self._binary, mask=self._mask, compress=self._compress)
        return connection.is_little()


class Backlog:
    """Messages in the order in which they are to be sent. Belongs to the loop thread."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._messages: deque[Message] = deque()
        self._accepted = True  # whether the last one was
        self._complete = True  # whether the last one was, accepted or not

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message, limited: bool) -> bool:
        """Whether `message` is among them now; not if there are as many as there may be, unless not `limited`."""
        if self._complete:  # all fragments of a message go the way of the first
            self._accepted = not limited or len(self._messages) < self._limit
        self._complete = message.fin
        if self._accepted:
            message.keep()
            self._messages.append(message)
        return self._accepted

    def take(self) -> Message:
        """The first one."""
        return self._messages.popleft()

    def forget(self) -> None:
        """Without telling anybody."""
        self._messages.clear()


def _nobody(error: object) -> None:
    pass
