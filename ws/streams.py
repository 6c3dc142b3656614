"""Messages that are sent in pieces (RFC 6455 section 5.4): open files, and what a callback supplies.

There is one at a time on each connection. What is sent meanwhile waits behind it, in order; pings, pongs and the
closing handshake do not. The next piece is asked for when the kernel has taken the last one: however large the message
is, and however slowly the peer reads, few pieces of it are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Optional, Union

from .errors import NotOpenError, WebSocketError
from .net import green
from .net.loop import Loop
from .net.workers import Workers
from .protocol import hixie
from .protocol.sender import Sender, payload_of

#: How many bytes, or characters, of a file go into one frame.
CHUNK_SIZE = 256 * 1024

# Reading may block, on a pipe or a network file system, and for as long as it likes: nobody should have to wait for
# that. Where nothing blocks there are few of these threads, each for as long as its read takes.
_readers = Workers('ws-reader', 256)


class Waiting(NamedTuple):
    """What waits for its turn. One of the two is called, once, on the loop thread."""

    start: Callable[[], object]
    cancel: Callable[[], object]


class Streams:
    """The message in pieces that is being sent, and what waits behind it. Lives on the loop thread, while there is one.

    ``on_idle()`` is called when the last of them is through, ``on_broken()`` when one can't be completed: the peer
    would take what it got for the whole, or what follows for a part of it.
    """

    def __init__(
        self, sender: Union[Sender, hixie.Sender], on_idle: Callable[[], object], on_broken: Callable[[], object]
    ) -> None:
        self.sender = sender
        self._on_idle = on_idle
        self._on_broken = on_broken
        self._current: Optional[Pieces] = None
        self._waiting: deque[Waiting] = deque()

    def add(self, pieces: Pieces) -> None:
        """Send `pieces` when it is their turn."""
        if self._current is None:
            self._current = pieces
            pieces.start(self)
        else:
            self.wait(Waiting(lambda: self.add(pieces), pieces.cancel))

    def wait(self, waiting: Waiting) -> None:
        """`waiting` gets its turn after all that is there already."""
        self._waiting.append(waiting)

    def next(self) -> None:
        """The current message is complete."""
        self._current = None
        while self._waiting and self._current is None:
            self._waiting.popleft().start()
        if self._current is None:
            self._on_idle()

    def give_up(self, begun: bool) -> None:
        """The current message can't be completed. If it has not begun, nobody but its sender notices."""
        if begun:
            self._on_broken()
        else:
            self.next()

    def cancel(self) -> None:
        """The connection is no longer open."""
        if self._current is not None:
            self._current.cancel()
        while self._waiting:
            self._waiting.popleft().cancel()


class Pieces:
    """A message in pieces. ``callback(error)`` is called on the loop thread when it can't be completed."""

    def __init__(
        self, loop: Loop, binary: Optional[bool], mask: bool, compress: bool, callback: Callable[..., object]
    ) -> None:
        self._loop = loop
        self._binary = binary
        self._mask = mask
        self._compress = compress
        self._callback = callback
        self.fin = True  # whether its end is the end of the message
        self._streams: Optional[Streams] = None
        self._begun = False  # a frame of it has been sent
        self._over = False  # the last one, too; or it can't be completed

    def start(self, streams: Streams) -> None:
        """It is its turn."""
        self._streams = streams

    def cancel(self) -> None:
        """The connection is no longer open."""
        if not self._over:
            self._leave()
            self._tell(NotOpenError())

    def _leave(self) -> None:
        """Nothing more is sent of it. Called once."""
        self._over = True
        self._streams = None

    def _tell(self, error: BaseException) -> None:
        self._loop.defer(self._callback, error)  # never from within the close() or send() that is the cause

    def _send(self, data: Any, fin: bool, on_taken: Callable[..., object]) -> None:
        """Send a piece; ``on_taken(error)`` follows when the kernel has taken it."""
        streams = self._streams
        assert streams is not None
        try:
            streams.sender.send(data, self._binary, fin and self.fin, self._mask, on_taken, self._compress)
        except (TypeError, ValueError) as error:  # it is nothing that can be sent
            self._fail(error)
            return
        self._begun = True
        if fin:
            self._leave()
            streams.next()

    def _fail(self, error: BaseException) -> None:
        streams = self._streams
        assert streams is not None
        self._leave()
        self._tell(error)
        streams.give_up(self._begun)


class File(Pieces):
    """An open file as one message: binary if it yields bytes, text if it yields str, unless told otherwise.

    It is read on other threads, up to its end, and then closed. ``callback(None)`` follows when the kernel has taken
    all of it. What `read` raises goes to the callback, too.
    """

    def __init__(
        self,
        loop: Loop,
        file: Any,
        binary: Optional[bool],
        mask: bool,
        compress: bool,
        callback: Callable[..., object],
        fin: bool = True,
    ) -> None:
        super().__init__(loop, binary, mask, compress, callback)
        self.fin = fin
        self._file = file
        self._chunk: Any = None  # read ahead while the kernel takes the one before
        self._taking = False
        self._reading = False

    def start(self, streams: Streams) -> None:
        super().start(streams)
        self._read_ahead()

    def _leave(self) -> None:
        super()._leave()
        self._chunk = None
        if not self._reading:
            self._close_file()

    def _close_file(self) -> None:
        file, self._file = self._file, None
        _readers.add(lambda: _try(lambda: file.close()))  # that may block, too; and there may be no close()

    def _read_ahead(self) -> None:
        self._reading = True
        _readers.add(self._read)

    def _read(self) -> None:
        chunk, error = _try(lambda: self._file.read(CHUNK_SIZE))
        self._loop.call(self._on_read, chunk, error)

    def _on_read(self, chunk: Any, error: Optional[BaseException]) -> None:
        self._reading = False
        if self._over:
            self._close_file()
        elif error is not None:
            self._fail(error)
        elif not isinstance(chunk, (str, bytes, bytearray, memoryview)):
            self._fail(TypeError(f'read() of a file that is sent must return str or bytes, not {type(chunk).__name__}'))
        else:
            self._chunk = chunk
            self._advance()

    def _advance(self) -> None:
        """Send what has been read, if the kernel has taken what was sent before."""
        chunk = self._chunk
        if chunk is None or self._taking:
            return
        self._chunk = None
        if len(chunk) == 0:
            self._send(chunk, True, self._on_all_taken)
        else:
            self._taking = True
            self._send(chunk, False, self._on_taken)
            if not self._over:
                self._read_ahead()

    def _on_taken(self, error: Optional[Exception]) -> None:
        self._taking = False
        if error is None and not self._over:  # else cancel() comes, or has come
            self._advance()

    def _on_all_taken(self, error: Optional[Exception]) -> None:
        self._callback(None if error is None else NotOpenError())


class Supplied(Pieces):
    """A message whose pieces `supply` hands in: it is called with ``(None, send)`` for the next of them.

    ``send(data, final)`` sends a piece; ``supply(error)`` says that the connection is no longer open. ``count(size)``
    is told how many bytes begin to wait for the loop thread, and how many, less than 0, no longer do.

    Belongs to the loop thread but for :meth:`send`, which any thread may call: of pieces that are sent on two threads
    at once, the order is open.
    """

    def __init__(
        self,
        loop: Loop,
        supply: Callable[..., object],
        binary: Optional[bool],
        mask: bool,
        compress: bool,
        count: Callable[[int], object],
    ) -> None:
        super().__init__(loop, binary, mask, compress, supply)
        self._count = count
        self._final = False
        self._latest: object = None  # stands for the piece that was handed in last

    def start(self, streams: Streams) -> None:
        super().start(streams)
        self._loop.defer(self._ask)

    def _ask(self) -> None:
        if not self._over and not self._final:
            self._callback(None, self.send)

    def send(self, data: Any = None, final: bool = False) -> None:
        """Send a piece of the message, which is complete if `final`. Called from any thread.

        `data` as in :meth:`WebSocket.send`, but no file; raises TypeError and ValueError as that does, and
        :class:`WebSocketError` after the final piece. Does nothing once the connection is no longer open.
        """
        payload, is_binary = payload_of(data)
        if self._final:
            raise WebSocketError('the message is complete: its final piece has been sent')
        fin = self._final = bool(final)
        if self._binary is None:
            self._binary = is_binary  # the first piece decides
        piece = self._latest = object()
        self._count(len(payload))
        if self._loop.in_thread():
            self._send_piece(payload, fin, piece)
        else:
            self._loop.call(self._send_piece, payload, fin, piece)

    def _send_piece(self, payload: bytes, fin: bool, piece: object) -> None:
        if not self._over:
            self._send(payload, fin, partial(self._on_taken, piece))
        self._count(-len(payload))

    def _on_taken(self, piece: object, error: Optional[Exception]) -> None:
        if error is None and piece is self._latest:  # of several handed in at once, the last one asks for more
            self._ask()


def _try(function: Callable[[], Any]) -> tuple[Any, Optional[BaseException]]:
    """The result of a call, or the exception, without its frames: they refer to the result, which would be a circle."""
    try:
        return function(), None
    except BaseException as error:  # whatever it is: somebody waits for the result
        green.pass_on(error)
        return None, error.with_traceback(None)
