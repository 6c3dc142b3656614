"""The same stream over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Optional, Union
from weakref import WeakKeyDictionary

from ..forks import in_child
from .calls import Data, recv, send
from .certificate import Certificate, describe_certificate
from .loop import Loop
from .poller import READ, WRITE
from .stream import READ_SIZE, Stream

#: How many bytes a record holds at most (RFC 8446 section 5.1).
_RECORD_SIZE = 16384
#: How many bytes are encrypted at once: a message of 64 KiB with its head is one call to the kernel.
_WRITE_SIZE = 5 * _RECORD_SIZE
#: How much may be encrypted and not sent. Beyond `_WRITE_SIZE` are answers that the peer asks for and does not read.
_UNSENT_LIMIT = 2 * _WRITE_SIZE

_BIOs = tuple[ssl.MemoryBIO, ssl.MemoryBIO]

# What OpenSSL reads from and writes to, one pair for all streams of a loop: between two calls of a stream's methods
# they are empty, as OpenSSL takes in even a part of a record, and each would keep the capacity it once needed. In the
# middle of one method another stream's may be called only by a destructor that the collector runs: see flush.
_bios: WeakKeyDictionary[Loop, _BIOs] = WeakKeyDictionary()

#: OpenSSL must not be asked about a connection that another thread has it work on. The loop thread, which does all the
#: work, does it under this lock, and any thread may ask under it. Reentrant: a callback of the user's may ask.
openssl: contextlib.AbstractContextManager[bool] = threading.RLock()


class EncryptedStream(Stream):
    """What the two kinds of streams over TLS have in common."""

    __slots__ = ('_tls',)

    encrypted = True
    _tls: Union[ssl.SSLObject, ssl.SSLSocket]

    @property
    def authorized(self) -> bool:
        """Whether the peer has shown a certificate, and it was verified; False once the connection is gone."""
        try:
            with openssl:
                return bool(self._tls.getpeercert())
        except (AttributeError, OSError, ValueError):  # the first when it is gone
            return False

    @property
    def certificate(self) -> Certificate:
        """As far as it is known: what nobody has verified, Python does not decode."""
        try:
            with openssl:
                decoded, der = self._tls.getpeercert(), self._tls.getpeercert(True)
        except (AttributeError, OSError, ValueError):
            return Certificate()
        return describe_certificate(decoded, der)

    def flush(self) -> None:
        self._scheduled = False
        if not (self.stalled or self.closed):
            self._flush_much()

    def _next(self, first: int) -> Data:
        """The next few of many small buffers, or a part of a large one."""
        queue = self._queue
        if self.queued <= _WRITE_SIZE:
            return b''.join(queue[first:]) if first + 1 < len(queue) else queue[first]
        size, end = len(queue[first]), first + 1
        if size > _WRITE_SIZE:
            return memoryview(queue[first])[:_WRITE_SIZE]
        while end < len(queue) and size + len(queue[end]) <= _WRITE_SIZE:
            size += len(queue[end])
            end += 1
        return b''.join(queue[first:end]) if end > first + 1 else queue[first]


class TLSStream(EncryptedStream):
    """A :class:`Stream` whose bytes are encrypted. Call :meth:`handshake` first.

    It needs a context that refuses to renegotiate: then writing never has to wait until something is read.

    Raises :class:`ValueError` for an invalid `server_hostname`.
    """

    __slots__ = (
        '_context', '_covered', '_incoming', '_on_handshake', '_outgoing', '_peer_ended', '_read_error', '_rest',
        '_unsent',
    )  # fmt: skip

    _tls: ssl.SSLObject
    bytes_read: int
    stalled: bool

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_side: bool = False,
        server_hostname: Optional[str] = None,
    ) -> None:
        super().__init__(loop, sock)
        bios = _bios.get(loop)
        if bios is None:
            bios = _bios[loop] = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming, self._outgoing = bios
        # On a server's side nothing of TLS is made before the client has sent something: it takes 40 KiB and more.
        self._context = context if server_side else None
        if not server_side:
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._on_handshake: Optional[Callable[[], object]] = None  # None before and after the handshake
        self._rest = b''  # what came in right behind the handshake
        self._peer_ended = False  # its close_notify has come
        self._read_error: Optional[OSError] = None  # found behind what is still being worked through
        self._unsent: Data = b''  # encrypted; the kernel takes no more of it just now
        self._covered = 0  # how many bytes of the queue that stands for

    @property
    def handshaking(self) -> bool:
        """Whether the TLS handshake is still under way."""
        return self._on_handshake is not None

    # -- the handshake -----------------------------------------------------------------------------------------------

    def handshake(self, on_done: Callable[[], object]) -> None:
        """Shake hands; ``on_done()`` follows. A failure closes the stream, and ``on_close`` gets the error.

        The stream sets no deadline: its owner destroys it when its own has passed.
        """
        self._on_handshake = on_done
        if self._context is not None:
            self._watch()
        else:
            self._clear()
            self._shake_hands(on_done)

    def _shake_hands(self, on_done: Callable[[], object]) -> None:
        if self._context is not None:
            self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._context = None
        try:
            with openssl:
                self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._answer()
        except OSError as error:
            self._incoming.read()
            alert = self._outgoing.read()
            if not self.stalled:
                with contextlib.suppress(OSError):
                    send(self._handle, alert)
            self.destroy(error)
        else:
            self._rest = self._incoming.read()
            self._answer()
            if not self.closed:
                self._on_handshake = None
                on_done()
        self._watch()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read_hidden(self) -> None:
        if self._rest:
            self._loop.defer(self.on_event, READ)
        elif self._peer_ended:
            self._loop.defer(self._end_reading)
        elif self._read_error is not None and not self._behind:
            self._loop.defer(self._lose, self._read_error)

    def on_event(self, mask: int) -> None:
        if mask != READ and self.stalled:
            self.stalled = False
            self.flush()
        on_handshake = self._on_handshake
        if mask == WRITE or not self._mask & READ:
            return
        try:
            data = self._rest or recv(self._handle, READ_SIZE)
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._rest = b''
            self._clear()
            self._incoming.write(data)
            if on_handshake is None:
                self._decrypt()
            else:
                self._shake_hands(on_handshake)
        elif data is not None:
            if on_handshake is None:
                self._read_eof()  # truncated, or not: WebSockets have an end of their own
            else:
                self.destroy(ssl.SSLEOFError(ssl.SSL_ERROR_EOF, 'the peer left during the TLS handshake'))

    def _decrypt(self) -> None:
        """Hand on what the records that came in hold, in one piece."""
        pieces: list[bytes] = []
        incoming, read = self._incoming, self._tls.read
        ended = False
        try:
            with openssl:
                # As a record is read as a whole, nothing stays behind with OpenSSL where no poller would see it.
                while incoming.pending and not ended:
                    piece = read(_RECORD_SIZE)
                    if piece:
                        pieces.append(piece)
                    else:  # the peer's close_notify
                        ended = True
        except ssl.SSLWantReadError:  # the rest of a record is still to come
            pass
        except ssl.SSLZeroReturnError:  # the peer's close_notify after ours
            ended = True
        except OSError as error:
            self._hand_on(pieces)
            if self._behind:
                self._read_error = error
            else:
                self._lose(error)
            return
        self._hand_on(pieces)
        if ended:
            self._peer_ended = True
            self._end_reading()

    def _end_reading(self) -> None:
        if self._reading and not self._behind:  # else what it sent before its end is still to be worked through
            self._read_eof()

    def _hand_on(self, pieces: list[bytes]) -> None:
        self._incoming.read()  # nobody wants what is behind an end or an error, least of all another stream
        if self._outgoing.pending:
            self._answer()
        if pieces:
            data = b''.join(pieces)
            self.bytes_read += len(data)
            self.on_data(data)

    # -- writing -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        if self._incoming.pending or self._outgoing.pending:  # another stream is in the middle of something
            self._loop.defer(self._flush_alone)
        else:
            super().flush()

    def _flush_alone(self) -> None:
        self._clear()
        super().flush()

    def _clear(self) -> None:
        """Nobody is in the middle of anything: what is there was left by something that failed."""
        if self._incoming.pending or self._outgoing.pending:
            self._incoming.read()
            self._outgoing.read()

    def _answer(self) -> None:
        """Send what TLS has to say for itself: its part of the handshake, a key update, an alert."""
        answer = self._outgoing.read()
        if not answer or self._ended:
            return
        if self.stalled:
            self._unsent = b''.join((self._unsent, answer))
            if len(self._unsent) > _UNSENT_LIMIT:
                self.destroy(ssl.SSLError('the peer asks for TLS messages that it does not read'))
            return
        self._unsent, self._covered = answer, 0
        try:
            if not self._send_encrypted():
                self.stalled = True
                self._watch()
        except OSError as error:
            self._break(error)

    def _send_much(self) -> Optional[OSError]:
        if self._unsent and not self._covered:
            try:
                if not self._send_encrypted():
                    self.stalled = True
                    return None
            except OSError as error:
                return error
        return super()._send_much()

    def _send(self, first: int) -> int:
        if not self._unsent:
            data = self._next(first)
            try:
                with openssl:
                    self._covered = self._tls.write(data)
            finally:  # whatever happens, it is no other stream's
                self._unsent = self._outgoing.read()
        return self._covered if self._send_encrypted() else 0

    def _send_encrypted(self) -> bool:
        """One call to the kernel; returns whether it has taken all that is encrypted."""
        unsent = self._unsent
        taken = send(self._handle, unsent)
        self._unsent = memoryview(unsent)[taken:] if taken < len(unsent) else b''
        return not self._unsent

    # -- the end -----------------------------------------------------------------------------------------------------

    def _finish_sending(self) -> None:
        with contextlib.suppress(OSError, ValueError), openssl:  # it would read the peer's close_notify: on_event will
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            send(self._handle, self._outgoing.read())
        super()._finish_sending()

    def _shut(self, error: Optional[Exception]) -> Callable[[Optional[Exception]], object]:
        self._on_handshake = None
        self._rest = self._unsent = b''
        self._read_error = None
        on_close = super()._shut(error)
        with contextlib.suppress(AttributeError):  # the client has sent nothing
            del self._tls  # the larger part of the stream, which the owner may keep: a request does
        return on_close

    def _wanted(self) -> int:
        return super()._wanted() | (READ if self._on_handshake is not None else 0)


@in_child
def _renew_after_fork() -> None:
    global openssl
    openssl = threading.RLock()  # the old one may be held by a thread that does not exist here
