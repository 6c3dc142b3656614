"""A stream over a TLS connection that somebody else has made, and still knows: an agent, an HTTP server."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any, Optional

from . import tls
from .calls import Data
from .loop import Loop
from .poller import READ, WRITE
from .stream import READ_SIZE
from .tls import EncryptedStream


class TLSSocketStream(EncryptedStream):
    """A :class:`Stream` over an SSLSocket, which can't be turned into a :class:`TLSStream`.

    There is one difference: what the peer is still sending when we :meth:`end` may be lost.
    """

    __slots__ = ('_discarding', '_read_wants_write', '_unfinished', '_write_wants_read')

    _sock: ssl.SSLSocket
    bytes_read: int

    def __init__(self, loop: Loop, sock: ssl.SSLSocket) -> None:
        super().__init__(loop, sock)
        ssl.SSLSocket.setblocking(sock, False)  # its own may do nothing: see keep_from_owner
        self._tls = sock
        # TLS may have to write in order to read, and the other way round (renegotiation, key updates).
        self._read_wants_write = False
        self._write_wants_read = False
        self._unfinished: Optional[Data] = None  # OpenSSL wants just this again, whatever was queued since
        self._discarding = False  # OpenSSL reads no more, but the peer still sends

    def _read_hidden(self) -> None:
        # Somebody else may have read from the socket before, and less than OpenSSL had decrypted.
        if self._reading and self._sock.pending():
            self._loop.defer(self.on_event, READ)

    def on_event(self, mask: int) -> None:
        if self.stalled and (mask != READ or self._write_wants_read):
            self.stalled = self._write_wants_read = False
            self.flush()
        if self._reading and not self._behind and (mask != WRITE or self._read_wants_write):
            self._read()
        self._watch()

    def _read(self) -> None:
        """Read one record. As we ask for more than it can hold, nothing stays behind where no poller would see it."""
        self._read_wants_write = False
        if self._discarding:
            self._discard()
            return
        try:
            with tls.openssl:
                data = self._sock.read(READ_SIZE)  # not recv: see keep_from_owner
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
            return
        except ssl.SSLZeroReturnError:  # the peer's close_notify after ours; before ours, it reads as b''
            data = b''
        except OSError as error:
            self._lose(error)
            return
        if data:
            self.bytes_read += len(data)
            self.on_data(data)
        else:
            self._read_eof()

    def _discard(self) -> None:
        try:
            if socket.socket.recv(self._sock, READ_SIZE):
                return
        except BlockingIOError:
            return
        except OSError:  # reset: an end, too
            pass
        self._read_eof()

    def _send(self, first: int) -> int:
        self._unfinished = data = self._unfinished or self._next(first)
        try:
            with tls.openssl:
                taken = self._sock.write(data)
        except ssl.SSLWantWriteError:
            return 0
        except ssl.SSLWantReadError:
            self._write_wants_read = True
            return 0
        self._unfinished = None
        return taken

    def _finish_sending(self) -> None:
        try:
            with tls.openssl:
                self._sock.unwrap()  # sends close_notify ...
            self.eof = True  # ... and the peer's was there already
            return
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except (OSError, ValueError):
            # Behind our close_notify it met data of the peer's, an error to OpenSSL, which will read no more. If we
            # closed with that unread, the kernel would reset the connection, and the peer might lose what we sent last.
            self._discarding = True
        # Not SSLSocket.shutdown(): it would drop the TLS layer, and what still comes in would be read encrypted.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def _shut(self, error: Optional[Exception]) -> Callable[[Optional[Exception]], object]:
        self._unfinished = None
        return super()._shut(error)

    def _close_socket(self) -> None:
        close_socket(self._sock)

    def _wanted(self) -> int:
        # What wants to write in order to read is not ready for reading, whatever has come in, and the other way round.
        reading = self._reading and not self._behind
        read = (reading and not self._read_wants_write) or self._write_wants_read
        write = (self.stalled and not self._write_wants_read) or (reading and self._read_wants_write)
        return (READ if read else 0) | (WRITE if write else 0)


def keep_open(sock: ssl.SSLSocket) -> None:
    """A connection can't leave its socket object, as those without TLS can. Whoever owns `sock` so far, and is going to
    close it, will do so in vain: it closes by :func:`close_socket`, or when it is closed a second time."""

    def close() -> None:
        own.pop('shutdown', None)
        if own.pop('close', None) is None:  # another thread was faster by a hair
            sock.close()

    own = vars(sock)
    own['shutdown'] = lambda how: None
    own['close'] = close


def keep_from_owner(sock: ssl.SSLSocket) -> None:
    """The same for an owner who is going to use `sock` as well, by the methods that all sockets have: to him, the peer
    has gone. ``read``, ``write`` and ``unwrap``, which those with TLS have beside them, are ours."""
    vars(sock).update(_AS_IF_GONE)


def _refuse_to_write(*args: object, **options: object) -> None:
    raise BrokenPipeError(errno.EPIPE, 'the connection belongs to a WebSocket')


def _ignore(*args: object) -> None:
    pass


_AS_IF_GONE: dict[str, Any] = {
    **dict.fromkeys(('send', 'sendall', 'sendfile'), _refuse_to_write),
    **dict.fromkeys(('shutdown', 'close', 'setblocking', 'settimeout'), _ignore),
    'recv': lambda *args: b'',
    'recv_into': lambda *args: 0,
}


def is_kept_open(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and 'close' in vars(sock)


def close_socket(sock: socket.socket) -> None:
    """Close a socket, whatever :func:`keep_open` has done to it."""
    if isinstance(sock, ssl.SSLSocket):
        for name in ('shutdown', 'close'):
            vars(sock).pop(name, None)
    with contextlib.suppress(OSError):
        sock.close()
