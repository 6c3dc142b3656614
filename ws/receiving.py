"""What a connection receives: from the stream to the receiver, and from there to the listener; and pauses."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, Optional, Union

from .events import Listener
from .net.loop import report_exception
from .net.stream import Stream
from .protocol.receiver import BaseReceiver

#: Values of ``binaryType`` -> what is made of the bytes of a binary message.
BINARY_TYPES: dict[str, Callable[[Any], Any]] = {
    'nodebuffer': bytes,
    'arraybuffer': bytearray,  # the other one that can be written to
    'blob': BytesIO,  # what is read like a file, and sent like one
    'fragments': list,  # the bytes of each frame
}


def check_binary_type(value: object) -> None:
    """Raises ValueError for anything that is not a ``binaryType``."""
    if not isinstance(value, str) or value not in BINARY_TYPES:
        raise ValueError(f'binaryType must be one of {", ".join(BINARY_TYPES)}, not {value!r}')


def made_of(binary_type: str, data: Union[bytes, list[bytes]]) -> Any:
    """What a binary message is handed over as."""
    if binary_type == 'fragments':  # a message of one frame was not taken to pieces
        return data if isinstance(data, list) else [data] if data else []
    return BINARY_TYPES[binary_type](b''.join(data) if isinstance(data, list) else data)


class Incoming:
    """A receiver, and whether it and its stream go on. Belongs to the loop thread, except :meth:`route`."""

    __slots__ = ('_held', '_stream', 'binary_type', 'paused', 'receiver')

    def __init__(self, receiver: BaseReceiver) -> None:
        self.receiver: BaseReceiver = receiver
        self._stream: Optional[Stream] = None
        #: Whether the user wants no more.
        self.paused: bool = False
        self._held = False  # too much is kept for listeners that aren't there yet
        #: One of :data:`BINARY_TYPES`. Changed on the loop thread, between two messages; then :meth:`route` is called.
        self.binary_type: str = 'nodebuffer'

    def use(self, stream: Stream) -> None:
        """The connection is open."""
        self._stream = stream
        stream.on_data = self.receiver.add
        self.receiver.divide_work(stream)

    def start(self, head: bytes) -> None:
        """Begin with `head`, which has come already, and go on reading."""
        stream = self._stream
        if stream is None or stream.closed:
            return
        if head:
            self._work(self.receiver.add, head)
        if not (self.paused or self._held):
            stream.resume()

    def pause(self, pause: bool) -> None:
        self.paused = pause
        self._update()

    def hold(self, hold: bool) -> None:
        if hold is not self._held:
            self._held = hold
            self._update()

    def _update(self) -> None:
        if self._stream is None:
            return
        if not (self.paused or self._held):
            self._work(self.receiver.resume)  # calls listeners, who may pause again
        if self.paused or self._held:
            self.receiver.pause()
            self._stream.pause()
        else:
            self._stream.resume()

    def _work(self, work: Callable[..., object], *args: Any) -> None:
        """As the loop does with what its sockets bring: where our own code fails, the connection ends."""
        try:
            work(*args)
        except BaseException:
            report_exception()
            if self._stream is not None:
                self._stream.failed()

    def route(
        self,
        listener: Optional[Listener],
        otherwise: Callable[[Any, Any], object],
        to_be_made: Callable[[Any, Any], object],
    ) -> None:
        """Have the receiver call `listener` for messages, if there is one that takes what it gives; else `otherwise`,
        or `to_be_made` for binary ones that are not handed over as they are.

        This is what makes a message cheap: who listens is looked at when it changes, not for each message. A message
        that comes in the middle of it meets the old state or the new one, as each of these attributes is enough.
        """
        receiver = self.receiver
        receiver.fragments = self.binary_type == 'fragments'
        if self.binary_type != 'nodebuffer':
            receiver.onmessage = None
            receiver.ontext, receiver.onbinary = otherwise, to_be_made
        elif listener is not None and listener.needed <= 2 <= listener.most:
            receiver.ontext = receiver.onbinary = listener.function
            receiver.onmessage = None
        else:
            receiver.ontext = receiver.onbinary = otherwise
            takes_data_alone = listener is not None and listener.needed <= 1 == listener.most
            receiver.onmessage = listener.function if listener is not None and takes_data_alone else None

    def made_of(self, data: Union[bytes, list[bytes]]) -> Any:
        """What ``binaryType`` says that a binary message is handed over as."""
        return made_of(self.binary_type, data)
