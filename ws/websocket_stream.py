"""WebSocketStream: a connection as a binary file, for threads."""

from __future__ import annotations

import io
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Optional, TypeVar, Union

from .connection import CLOSED, CONNECTING, OPEN
from .errors import WebSocketError
from .forks import in_child
from .net.changes import Changes
from .options import Options, count, flag, milliseconds
from .protocol.receiver import MessageFlags
from .typing import Buffer
from .websocket import WebSocket

# What a peer says who has nothing more to send: RFC 6455 section 7.4.1. Whoever goes away (1001) may have had more.
_ENDS = (1000, 1005)
#: The most that :meth:`WebSocketStream.peek` shows, in bytes.
_PEEK = 8192
#: What a message counts beyond its size, in bytes: empty ones take memory, too.
_OVERHEAD = 64

_T = TypeVar('_T')

_STATES = 'CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'


class WebSocketStream(io.RawIOBase):
    """A WebSocket connection as a stream of bytes: an unbuffered binary file, made by :func:`createWebSocketStream`.

    Any thread may use it, several at once; but the loop thread can't wait for itself, so a call there that would have
    to wait raises RuntimeError. No call waits longer than :attr:`timeout`, if that is set: it raises TimeoutError, and
    nothing is lost. When the connection fails, the next call raises the error of the WebSocket's ``error`` event; when
    it ends in any other way than with code 1000, or without a code, ConnectionError names the code.
    """

    # Until the constructor has come so far.
    _untold = False
    #: What reading returns at the end.
    _nothing: Any = b''
    # Here, as Python takes down the names of modules first.
    _is_finalizing = staticmethod(sys.is_finalizing)

    def __init__(self, ws: WebSocket, options: Options) -> None:
        super().__init__()
        self._ws = ws
        self._read_limit = _limit(options, 'readableHighWaterMark')
        self._write_limit = _limit(options, 'writableHighWaterMark')
        self._takes_text = not flag(options, 'decodeStrings')
        self._binary = not (self._takes_text and options.encoding)
        self._timeout = milliseconds(options, 'timeout')
        #: Guards what follows. Nobody calls the WebSocket while holding it.
        self._lock = threading.RLock()
        self._changes = Changes(self._lock)  # of what follows
        self._received: deque[Any] = deque()
        self._size = 0  # of what has been received and not read
        self._paused = False  # since that is too much
        self._writes: dict[object, int] = {}  # those that the kernel has not taken whole, and their sizes
        self._unsent = 0  # bytes of these
        self._lost = False  # and never will, of some
        self._finished = False  # nothing more is to be written
        self._closed = False
        self._ended = False  # the connection is closed
        self._error: Optional[Exception] = None  # why nothing more can be read
        _streams.add(self)
        self._attach()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self._ws!r}>'

    def __del__(self) -> None:
        # Not IOBase's, which closes: the WebSocket refers to this, so it has ended, or has taken leave of this.
        if self._untold and self._error is not None:
            self._ws._report_unheard(self._error)

    # -- what the connection tells, on the loop thread ---------------------------------------------------------------

    def _attach(self) -> None:
        for event, listener in self._listeners():
            self._ws._attach(event, listener)
        self._ws._loop.on_end.add(self._tell)
        self._ws._loop.call(self._look)

    def _listeners(self) -> tuple[tuple[str, Callable[..., None]], ...]:
        return (
            ('message', self._on_message),
            ('open', self._tell),
            ('error', self._on_error),
            ('close', self._on_close),
        )

    def _look(self) -> None:
        """It may have ended already, and nobody will be told again."""
        code = self._ws._past_end()
        if code is not None:
            self._ws._call_behind(self._on_close, code)

    def _tell(self) -> None:
        with self._lock:
            self._changes.tell()

    def _on_message(self, data: Any, flags: MessageFlags) -> None:
        content = data if type(data) is bytes else flags.buffer
        if content:  # nothing is what the end looks like
            self._keep(content, len(content))

    def _keep(self, content: Any, size: int) -> None:
        with self._lock:
            if self._closed:
                return
            self._received.append(content)
            self._size += size
            full = self._size > self._read_limit and not self._paused
            if full:
                self._paused = True
            self._changes.tell()
        if full:
            self._ws._run(self._update_pause)

    def _update_pause(self) -> None:
        """On the loop thread, after each change: several threads make them, and may be interrupted before they tell."""
        with self._lock:
            if not self._received:
                self._size = 0
            if self._paused and self._is_low():
                self._paused = False
        self._ws._pause_reading(self._paused)

    def _is_low(self) -> bool:
        return not self._received or self._size <= self._read_limit // 2

    def _go_on_if_low(self) -> None:
        if self._paused and self._is_low():
            self._ws._run(self._update_pause)

    def _on_error(self, error: Exception) -> None:
        with self._lock:
            if self._closed or self._error is not None:
                return
            self._error = error
            # How a connection broke, `close` tells as well; and others may listen.
            is_news = self._ws._outgoing is None or isinstance(error, WebSocketError)
            self._untold = is_news and self._ws.listenerCount('error') == 1
            self._changes.tell()

    def _on_close(self, code: int, reason: str = '') -> None:
        with self._lock:
            self._ended = True
            self._paused = False
            if self._error is None and not self._closed and code not in _ENDS:
                self._error = ConnectionError(f'the connection ended with {code}' + (reason and f': {reason}'))
            self._changes.tell()
        self._ws._loop.on_end.discard(self._tell)
        for event, listener in self._listeners():
            self._ws.off(event, listener)

    def _on_sent(self, write: object, error: Optional[Exception]) -> None:
        with self._lock:
            self._unsent -= self._writes.pop(write, 0)
            self._lost = self._lost or error is not None
            self._changes.tell()

    # -- waiting -----------------------------------------------------------------------------------------------------

    @property
    def timeout(self) -> float:
        """How long a call may wait, in milliseconds; 0: for ever. May be set; raises TypeError or ValueError for
        anything that is not such a time."""
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float) -> None:
        self._timeout = milliseconds(Options(timeout=timeout), 'timeout')

    def _when(self, condition: Callable[[], object], then: Callable[[], _T]) -> _T:
        """What `then` returns, called as soon as `condition` is so; raises what either does. Both under the lock."""
        results: list[_T] = []

        def is_so() -> bool:
            with self._lock:
                if condition():
                    results.append(then())
                else:
                    self._check_can_wait()
            return bool(results)

        if not self._changes.until(is_so, self._timeout / 1000 if self._timeout else None):
            raise TimeoutError('timed out')
        return results[0]

    def _check_can_wait(self) -> None:
        loop = self._ws._loop
        if loop.in_thread():
            raise RuntimeError('on the loop thread, this would wait for itself: use the stream on another thread')
        if not loop.runs:
            raise ConnectionError('the process ends, and the connection with it')

    def _check_not_closed(self) -> None:
        if self._closed:
            self._raise_error()
            raise ValueError('I/O operation on closed stream')

    def _raise_error(self) -> None:
        """Raise the error of the connection, if it has one."""
        if self._error is not None:
            self._untold = False
            raise self._error.with_traceback(None)  # where it was raised before is of no use, and would pile up

    # -- reading -----------------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """True. Raises ValueError if the stream is closed."""
        self._check_not_closed()
        return True

    def read(self, size: Optional[int] = -1, /) -> bytes:
        """Up to `size` bytes of what has come; waits if nothing has. b'' is the end: the peer has closed with 1000, or
        without a code. Without `size`, or if it is less than 0: everything up to the end."""
        if size is None or size < 0:
            return self.readall()
        return self._take(size) if size else b''

    def readall(self) -> bytes:
        """Everything up to the end. If there is an error instead, what came before it can still be read."""
        parts: list[bytes] = []
        try:
            while part := self._take(sys.maxsize):
                parts.append(part)
        except BaseException:
            self._put_back(parts)
            raise
        return b''.join(parts)

    def readinto(self, buffer: Buffer, /) -> int:
        """As :meth:`read`, into a bytearray, a memoryview or the like; returns how many bytes there are."""
        view = memoryview(buffer)
        if not view.nbytes:
            return 0
        data = self._take(view.nbytes)
        view.cast('B')[: len(data)] = data
        return len(data)

    def peek(self, size: int = 0, /) -> bytes:
        """Some of the next bytes, without taking them; waits as :meth:`read` does. `size` has no effect.

        Thanks to this, :meth:`readline` and ``for line in stream`` need not ask for single bytes."""
        self._go_on_if_low()
        return self._when(self._can_read, self._peeked)

    def _peeked(self) -> bytes:
        return bytes(memoryview(self._received[0])[:_PEEK]) if self._received else b''

    def _take(self, limit: int) -> Any:
        self._go_on_if_low()  # whoever has read before may have been interrupted before that
        data = self._when(self._can_read, lambda: self._cut(limit) if self._received else self._nothing)
        self._go_on_if_low()
        return data

    def _can_read(self) -> bool:
        """Whether something has been received, or the end is reached. Raises what prevents both."""
        self._check_not_closed()
        if not self._received:
            self._raise_error()
        return bool(self._received or self._ended)

    def _cut(self, limit: int) -> Any:
        """Some of what has been received, up to `limit` bytes."""
        parts = []
        while self._received and limit:
            part = self._received.popleft()
            if len(part) > limit:
                view = memoryview(part)
                part = view[:limit]
                self._received.appendleft(view[limit:])
            parts.append(part)
            limit -= len(part)
        data = b''.join(parts)
        self._size -= len(data)
        return data

    def _put_back(self, parts: list[bytes]) -> None:
        with self._lock:
            self._received.extendleft(reversed(parts))
            self._size += sum(map(len, parts))
            self._changes.tell()

    # -- writing -----------------------------------------------------------------------------------------------------

    def writable(self) -> bool:
        """True. Raises ValueError if the stream is closed."""
        self._check_not_closed()
        return True

    def write(self, data: Union[Buffer, str], /) -> int:
        """Send `data`, bytes or whatever has the buffer protocol, as one binary message, and return its size in bytes.

        Waits until the connection is open, and while more than ``writableHighWaterMark`` bytes that were written before
        are waiting. With the option ``decodeStrings=False``, `data` may be a str, which is sent as text. Raises
        TypeError for other data, and BrokenPipeError once the connection is no longer open.
        """
        if isinstance(data, str):
            if not self._takes_text:
                raise TypeError("a bytes-like object is required, not 'str'")
            payload, binary = data.encode(), False
        else:
            payload, binary = data if type(data) is bytes else memoryview(data).tobytes(), self._binary
        size = len(payload)
        write = object()

        def count_in() -> None:
            self._check_open()
            self._writes[write] = size
            self._unsent += size

        try:
            self._when(self._has_room, count_in)
            self._ws.send(payload, None, lambda error: self._on_sent(write, error), binary=binary)
        except BaseException:  # interrupted: maybe nobody will ever tell that it is sent
            self._on_sent(write, None)
            raise
        return size

    def _has_room(self) -> bool:
        """Whether something can be written; or it is known why not. Raises ValueError if the stream is closed."""
        self._check_not_closed()
        if self._ended or self._error or self._finished:
            return True
        ws = self._ws
        if ws._outgoing is None or ws.readyState in (CONNECTING, CLOSED):  # we will be told, unless we are in the way
            return ws.readyState == CLOSED and (ws._order is not None or ws._loop.in_thread())
        return ws.readyState != OPEN or self._unsent <= self._write_limit

    def _check_open(self) -> None:
        self._raise_error()
        if self._finished:
            raise BrokenPipeError('write after end')
        state = self._ws.readyState
        if state != OPEN:
            raise BrokenPipeError(f'WebSocket is not open: readyState {state} ({_STATES[state]})')

    def flush(self) -> None:
        """Wait until the system has taken all that was written. Raises what has prevented that."""
        self._when(self._is_flushed, self._check_sent)

    def _is_flushed(self) -> bool:
        self._check_not_closed()
        return self._is_sent()

    def _is_sent(self) -> bool:
        return not self._unsent or (self._ws._loop.in_thread() and not self._ws.bufferedAmount)

    def _check_sent(self) -> None:
        if self._lost:
            self._raise_error()
            raise BrokenPipeError('the connection ended before everything was sent')

    # -- ending ------------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` or :meth:`destroy` was called."""
        return self._closed

    def end(self) -> None:
        """Write nothing more: close the connection after what was written. What the peer sends up to its own close
        frame can still be read, and if :meth:`read` then returns b'', the peer has received everything.

        Waits until the connection is open. Raises what has prevented that.
        """
        self._when(self._has_opened, self._finish)
        self._ws._reads_to_end = True
        self._ws.close()

    def _has_opened(self) -> bool:
        """Whether the connection was open, or has ended. Raises what has prevented the first."""
        self._check_not_closed()
        self._raise_error()
        return self._ws._outgoing is not None or self._ended

    def _finish(self) -> None:
        self._finished = True
        self._changes.tell()

    def close(self) -> None:
        """Close the connection after what was written, and drop what was not read. Whoever waits in another call gets
        ValueError.

        Waits until the system has taken what was written, for the WebSocket's ``closeTimeout`` at most, and raises what
        has prevented that, or an error that no other call has raised. On the loop thread, it doesn't wait. An attempt
        to connect is given up. Does nothing if the stream is closed.
        """
        if self._is_finalizing():  # a file over this one is closed by its destructor: the connection ended before
            return
        with self._lock:
            if self._closed:
                return
            was_paused = self._shut()
        self._ws._reads_to_end = False
        self._ws.close()
        if was_paused:  # else the peer's close frame would never be seen
            self._ws._run(self._update_pause)
        in_thread = self._ws._loop.in_thread()
        self._when(lambda: in_thread or self._is_sent(), self._check_told)

    def _check_told(self) -> None:
        self._check_sent()
        if self._untold:
            self._raise_error()

    def destroy(self, error: Optional[Exception] = None) -> None:
        """End the connection at once, as ``terminate`` does. If `error` is given, calls that are waiting raise it, and
        so do later ones. Does nothing if the stream is closed."""
        with self._lock:
            if self._closed:
                return
            self._shut()
            if error is not None:
                self._error = error
        self._ws.terminate()

    def _shut(self) -> bool:
        """Called once. Returns whether the connection was paused."""
        self._closed = True
        self._received.clear()
        self._size = 0
        was_paused, self._paused = self._paused, False
        self._changes.tell()
        return was_paused

    def _abandon(self) -> None:
        """This is the child after a fork: the connection is the parent's."""
        self._lock = threading.RLock()  # the old one may be held by a thread that does not exist here
        self._changes = Changes(self._lock)
        self._received.clear()
        self._writes.clear()
        self._size = self._unsent = 0
        self._paused = self._untold = False
        self._ended = True
        self._error = ConnectionError('the connection belongs to the parent process')


class WebSocketMessageStream(WebSocketStream):
    """As :class:`WebSocketStream`, but reading returns messages: a str for text, bytes for binary data.

    ``for message in stream`` goes on to the end. Other ways of reading raise :class:`io.UnsupportedOperation`.
    """

    _nothing = None

    def _on_message(self, data: Any, flags: MessageFlags) -> None:
        message = data if isinstance(data, str) else flags.buffer
        self._keep(message, len(message or b'') + _OVERHEAD)

    def _cut(self, limit: int) -> Any:
        message = self._received.popleft()
        self._size -= len(message) + _OVERHEAD
        return message

    def read(self, size: Optional[int] = -1, /) -> Any:
        """The next message, for which it waits; None at the end. `size` has no effect."""
        return self._take(1)

    def __next__(self) -> Any:
        message = self.read()
        if message is None:
            raise StopIteration
        return message

    def readall(self) -> NoReturn:
        """Raises io.UnsupportedOperation, as the others do."""
        raise io.UnsupportedOperation('reading returns messages: use read(), or for message in stream')

    def readinto(self, buffer: Buffer, /) -> NoReturn:
        self.readall()

    def peek(self, size: int = 0, /) -> NoReturn:
        self.readall()

    def readline(self, size: Optional[int] = -1, /) -> NoReturn:
        self.readall()


def _limit(options: Options, name: str) -> int:
    """As in Node, ``highWaterMark`` sets both."""
    return count(options, name if options.highWaterMark is None else 'highWaterMark')


# Any thread adds to it; it is gone through only in the child after a fork, by one.
_streams: weakref.WeakSet[WebSocketStream] = weakref.WeakSet()


@in_child
def _renew_after_fork() -> None:
    for stream in _streams:
        stream._abandon()
