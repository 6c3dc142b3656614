"""A non-blocking stream over a connected TCP or UNIX socket.

Everything here runs on the loop thread. Other threads may only ask who is there, and how much has gone through.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from typing import Optional

from ..forks import in_child
from .calls import Data, handle_of, recv, send, send_several
from .face import Socket
from .loop import Loop
from .names import Named
from .poller import READ, WRITE

if sys.platform == 'win32':
    fcntl = None
else:
    import fcntl

#: How many bytes to ask the kernel for at once: a message of 64 KiB comes in one piece. More gains nothing, and a
#: connection that always has more to read must not keep the loop for itself.
READ_SIZE = 131072
#: Room for much costs more than the call that fills little of it. So one that has brought little is followed by one
#: that takes little; if that was not all, the poller says so.
LITTLE = 4096
#: What is queued beyond this is written at once, not at the end of the turn; and :meth:`Stream.write` returns False.
HIGH_WATER_MARK = 131072
#: What is queued beyond this goes to the kernel as it is, not joined.
_JOINED_LIMIT = 65536
#: How many calls one flush makes: a peer that reads as fast as we write must not keep the loop for itself.
_CALLS_PER_FLUSH = 16


#: Any thread may ask for a face.
_making_faces = threading.Lock()

WriteCallback = Callable[[Optional[Exception]], object]


def _ignore(*arguments: object) -> None:
    pass


class Stream(Named):
    """Reads are handed to ``on_data``; writes are queued and flushed once per turn of the loop.

    ``on_end()`` follows when the peer has finished sending, ``on_close(error)`` exactly once when the socket is
    closed, ``on_drain()`` when a write queue that had passed the high-water mark is empty again. Whoever has been
    handed more than others shall wait for calls :meth:`put_off`.
    """

    __slots__ = (
        '_broken', '_callbacks', '_dirty', '_ended', '_ending', '_face', '_go_on', '_handed_over', '_handle',
        '_loop', '_mask', '_queue', '_read_size', '_reading', '_scheduled', '_waits_for_drain',
        'bytes_read', 'eof', 'on_close', 'on_data', 'on_drain', 'on_end', 'queued', 'stalled',
    )  # fmt: skip

    #: Whether the bytes on the wire are encrypted.
    encrypted = False

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        super().__init__(sock)
        self._loop = loop
        self._handle = handle_of(sock)
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # We already write once per turn; Nagle's algorithm would only add a delay. Fails on a peer already gone.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        self.on_data: Callable[[bytes], object] = _ignore
        self.on_end: Callable[[], object] = _ignore
        self.on_close: Callable[[Optional[Exception]], object] = _ignore
        self.on_drain: Callable[[], object] = _ignore

        #: Bytes read so far.
        self.bytes_read: int = 0
        #: Bytes written to this stream that the kernel has not taken yet.
        self.queued: int = 0
        #: Whether the kernel takes no more just now: the peer reads too slowly.
        self.stalled: bool = False
        #: Whether the peer has finished sending.
        self.eof: bool = False
        self._reading = False
        # What is to be called next, while what has been read is still being worked through.
        self._go_on: Optional[Callable[[], object]] = None
        self._read_size = LITTLE
        self._queue: list[Data] = []
        # (bytes handed over by then, callback). None until there is one: most connections never have any.
        self._callbacks: Optional[list[tuple[int, WriteCallback]]] = None
        self._handed_over = 0
        self._dirty = loop.dirty
        self._scheduled = False  # is in there
        self._waits_for_drain = False
        self._ending = False  # finish sending once the queue is empty
        self._ended = False  # finished sending
        self._broken: Optional[OSError] = None  # what writing has met
        self._mask = 0  # what the poller watches for
        self._face: Optional[Socket] = None  # once somebody has asked for it

    @property
    def face(self) -> Socket:
        """This stream as Node's ``net.Socket``, always the same one."""
        with _making_faces:
            if self._face is None:
                self._face = Socket(self, self._loop, self._sock)
            return self._face

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> Optional[tuple[int, int]]:
        """Something else whenever the peer has shown that it is there: by sending, or by taking what is on its way to
        it. None while we don't read, and so can't know."""
        if not self._reading or self._behind:
            return None
        under_way = self.queued + _kept_by_system(self._sock)
        return self.bytes_read, self._handed_over + self.queued - under_way if under_way else -1

    def resume(self) -> None:
        """Start, or go on, reading."""
        if self._face is not None and self._face.paused:
            return
        if not self._reading and not self.eof and not self.closed:
            self._reading = True
            self._watch()
        self._read_hidden()

    def pause(self) -> None:
        """Read no more: the peer is slowed down once the kernel's buffers are full."""
        if self._reading:
            self._reading = False
            self._watch()

    def _read_hidden(self) -> None:
        """Have read, if anything is to be read now, what no poller would report."""

    def put_off(self, go_on: Callable[[], object]) -> None:
        """What was handed to ``on_data`` is more than others shall wait for: `go_on` is called for what is left of it,
        in a later turn. Before, nothing is read, so neither is what comes behind it: an end, for one."""
        self._go_on = go_on
        self._watch()
        self._loop.put_off(self)

    @property
    def _behind(self) -> bool:
        """Whether what has been read is still being worked through."""
        return self._go_on is not None

    def go_on(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:  # else this was closed meanwhile
            go_on()  # which may put off once more
        if not self._behind:
            self._watch()
            self._read_hidden()

    def on_event(self, mask: int) -> None:
        if mask != READ:
            if self.stalled:  # writable, or broken: trying it tells
                self.stalled = False
                self.flush()
            if mask == WRITE:
                return
        if not self._mask & READ:
            return
        try:
            data = recv(self._handle, self._read_size)
        except OSError as error:
            self._lose(error)
            return
        if data:
            size = len(data)
            self._read_size = READ_SIZE if size >= LITTLE else LITTLE
            self.bytes_read += size
            self.on_data(data)
        elif data is not None:
            self._read_eof()

    def _read_eof(self) -> None:
        if self._broken is not None:  # no end of the peer's: the reset, which the write has taken off the socket
            self._lose(self._broken)
            return
        self.eof = True
        self._reading = False
        self._watch()
        self.on_end()
        self._close_if_done()

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, data: Data, callback: Optional[WriteCallback] = None) -> bool:
        """Queue `data`; ``callback(error)`` runs, exactly once, when the kernel has taken it or never will.

        Returns whether the queue is below the high-water mark; if not, ``on_drain`` will tell when it is empty.
        Raises TypeError for what is not bytes and has no contiguous buffer.
        """
        if self._fd < 0 or self._ending:
            self._refuse(callback)
            return False
        if type(data) is not bytes:
            view = memoryview(data)
            data = view.cast('B') if view.nbytes else b''
        if data:
            self._queue.append(data)
        self.queued = queued = self.queued + len(data)
        if callback is not None:
            self._add_callback(callback)
        if not self._scheduled:
            self._scheduled = True
            self._dirty.append(self)
        return queued <= HIGH_WATER_MARK or self._written_much()

    @property
    def writable(self) -> bool:
        """Whether what is written goes out."""
        return not (self._fd < 0 or self._ending)

    @property
    def is_full(self) -> bool:
        """Whether the queue is above the high-water mark."""
        return self.queued > HIGH_WATER_MARK

    @property
    def bytes_sent(self) -> int:
        """Bytes that the kernel has taken so far."""
        return self._handed_over

    @property
    def bytes_written(self) -> int:
        """Bytes written so far, those included that the kernel has not taken yet."""
        return self._handed_over + self.queued

    def want_drain(self) -> None:
        """Have ``on_drain()`` called when the queue is empty, although it is below the high-water mark."""
        self._waits_for_drain = True
        if not (self._scheduled or self.stalled):
            self._schedule()

    def _add_callback(self, callback: WriteCallback) -> None:
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append((self._handed_over + self.queued, callback))

    def flush(self) -> None:
        """Hand the queue to the kernel, as far as it takes it."""
        self._scheduled = False
        if self.stalled or self._fd < 0:
            return
        queued = self.queued
        if queued > _JOINED_LIMIT:
            self._flush_much()
            return
        if queued:
            queue = self._queue
            try:
                taken = send(self._handle, queue[0] if len(queue) == 1 else b''.join(queue))
            except OSError as error:
                self._on_sent(error)
                return
            if taken < queued:
                self._sent_part(taken)
                return
            self._handed_over += taken
            self.queued = 0
            queue.clear()
        if self._callbacks or self._ending or self._waits_for_drain or self._mask & WRITE:
            self._on_sent(None)

    def flush_early(self) -> None:
        """Do now what is to be done at the end of the turn. Calls nobody: what follows from it is deferred."""
        if self._scheduled:  # or a flush is at work, and this a destructor that the collector has run there
            self.flush()

    def _refuse(self, callback: Optional[WriteCallback]) -> None:
        if callback is not None:
            self._loop.defer(callback, BrokenPipeError('the connection is closed'))

    def _written_much(self) -> bool:
        if not self.stalled:
            self.flush()
        if self.queued <= HIGH_WATER_MARK:
            return True
        self._waits_for_drain = True
        return False

    def end(self) -> None:
        """Finish sending: what is queued first. The socket closes when the peer has finished, too."""
        if not self._ending and not self.closed:
            self._ending = True
            if not self._scheduled:
                self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._dirty.append(self)

    def _flush_much(self) -> None:
        self._on_sent(self._send_much())

    def _sent_part(self, taken: int) -> None:
        del self._queue[: self._advance(0, taken)]
        self.stalled = True
        self._on_sent(None)

    def _on_sent(self, error: Optional[OSError]) -> None:
        if self._callbacks:
            self._run_callbacks(self._callbacks)
        if error is not None:
            self._break(error)
        elif self.stalled:
            self._watch()
        elif self._queue:
            self._schedule()
        elif self._ending or self._waits_for_drain or self._mask & WRITE:
            self._on_flushed()

    def _send_much(self) -> Optional[OSError]:
        queue, first = self._queue, 0
        try:
            for _ in range(_CALLS_PER_FLUSH):
                if first == len(queue):
                    break
                taken = self._send(first)
                if not taken:
                    self.stalled = True
                    break
                first = self._advance(first, taken)
        except OSError as error:
            return error
        finally:
            del queue[:first]  # once: after each call, it would make a long queue's time quadratic
        return None

    def _send(self, first: int) -> int:
        """One call to the kernel, from that buffer of the queue on; returns how many bytes it took."""
        queue = self._queue
        if first + 1 == len(queue):
            return send(self._handle, queue[first])
        return send_several(self._handle, queue, first)

    def _advance(self, first: int, taken: int) -> int:
        """Count what the kernel has taken; returns which buffer of the queue is the next."""
        queue = self._queue
        self.queued -= taken
        self._handed_over += taken
        if not self.queued:
            return len(queue)
        while taken:
            size = len(queue[first])
            if taken < size:
                queue[first] = memoryview(queue[first])[taken:]
                break
            taken -= size
            first += 1
        return first

    def _run_callbacks(self, callbacks: list[tuple[int, WriteCallback]]) -> None:
        done = 0
        while done < len(callbacks) and callbacks[done][0] <= self._handed_over:
            done += 1
        ready = callbacks[:done]
        del callbacks[:done]
        for _, callback in ready:
            # Never from within write(): a callback that sends again must not find itself inside its own send.
            self._loop.defer(callback, None)

    def _on_flushed(self) -> None:
        if self._mask & WRITE:
            self._watch()
        if self._waits_for_drain:
            self._waits_for_drain = False
            self._loop.defer(self.on_drain)
            if self._face is not None:
                self._loop.defer(self._face.tell_drained)
        if self._ending and not self._ended:
            self._ended = True
            self._finish_sending()
            self._close_if_done()

    def _finish_sending(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone altogether
            self.eof = True

    def _break(self, error: OSError) -> None:
        """Writing failed. What the peer sent before may still be waiting to be read: a close frame, for one."""
        self._drop_queue(error)
        self._ending = self._ended = True
        if self._reading:
            self._broken = error
            self._watch()
        else:
            self.destroy(error)

    def _drop_queue(self, error: Optional[Exception]) -> None:
        self._queue.clear()
        self.queued = 0
        callbacks, self._callbacks = self._callbacks or [], None
        if callbacks and error is None:
            error = BrokenPipeError('the connection was closed before the data was sent')
        for _, callback in callbacks:
            self._loop.defer(callback, error)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _close_if_done(self) -> None:
        if self.eof and self._ended:
            self.destroy()

    def destroy(self, error: Optional[Exception] = None) -> None:
        """Close the socket at once; what is queued is lost. ``on_close(error)`` is called soon, the first time."""
        if not self.closed:
            self._loop.defer(self._shut(error), error)

    def _lose(self, error: Exception) -> None:
        """Reading has found the connection broken. ``on_close(error)`` is called before anybody else is in this turn,
        who would still count on the peer."""
        if not self.closed:
            self._shut(error)(error)

    def _shut(self, error: Optional[Exception]) -> Callable[[Optional[Exception]], object]:
        """Close the socket; returns what is to be called."""
        self._reading = False
        self.stalled = False
        self._broken = None  # its traceback refers to this stream
        if self._mask:
            self._mask = 0
            self._loop.unregister(self._fd)
        self._fd = -1
        self._close_socket()
        if self._face is not None:
            self._loop.defer(self._face.tell_closed, error)
        self._drop_queue(error)
        on_close = self.on_close
        # The owner refers to this stream, and these to the owner: let both go without waiting for the collector.
        self.on_data = self.on_end = self.on_close = self.on_drain = _ignore
        self._go_on = None
        return on_close

    def failed(self) -> None:
        self.destroy()

    def _close_socket(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()

    def abandon(self) -> None:
        """This is the child after a fork: close its copy of the descriptor, tell nobody."""
        self._fd = -1
        self._close_socket()

    # -- the poller --------------------------------------------------------------------------------------------------

    def _wanted(self) -> int:
        return (READ if self._reading and not self._behind else 0) | (WRITE if self.stalled else 0)

    def _watch(self) -> None:
        """Have the poller watch for what is wanted now, and for nothing at all where nothing is.

        A descriptor that stays registered without interest would report an error of the peer's over and over.
        """
        wanted, watched = self._wanted(), self._mask
        if wanted == watched or self.closed:
            return
        try:
            if not watched:
                self._loop.register(self._fd, self, wanted)
            elif wanted:
                self._loop.modify(self._fd, wanted)
            else:
                self._loop.unregister(self._fd)
        except OSError as error:  # the system watches no more descriptors
            self.destroy(error)
        else:
            self._mask = wanted


def _kept_by_system(sock: socket.socket) -> int:
    """How many bytes the system has taken, and the peer has not yet acknowledged; 0 where that can't be had."""
    if fcntl is None:
        return 0
    try:
        import termios  # not every system has it

        answer: bytes = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (ImportError, OSError):
        return 0
    return int.from_bytes(answer, sys.byteorder)


@in_child
def _renew_after_fork() -> None:
    global _making_faces
    _making_faces = threading.Lock()  # the old one may be held by a thread that does not exist here
