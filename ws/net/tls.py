"""The same stream over TLS, and the contexts that Node's TLS options describe."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Optional, Union

from .loop import Loop
from .poller import READ, WRITE
from .stream import HIGH_WATER_MARK, READ_SIZE, Stream

#: PEM text, as Node takes it: contents, not a file name.
PEM = Union[str, bytes]

_WANT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TLSStream(Stream):
    """A :class:`Stream` whose bytes are encrypted. Call :meth:`handshake` first."""

    __slots__ = ('_handshaking', '_hold', '_on_handshake', '_read_wants_write', '_write_wants_read')

    encrypted = True
    _sock: ssl.SSLSocket

    def __init__(self, loop: Loop, sock: ssl.SSLSocket) -> None:
        super().__init__(loop, sock)
        self._on_handshake: Optional[Callable[[], object]] = None
        self._handshaking = False
        # TLS may have to write in order to read, and the other way round (renegotiation, key updates).
        self._read_wants_write = False
        self._write_wants_read = False
        self._hold = False  # OpenSSL wants the buffer of an unfinished write again, not a different one

    @property
    def handshaking(self) -> bool:
        """Whether the TLS handshake is still under way."""
        return self._handshaking

    @property
    def authorized(self) -> bool:
        """Whether the peer showed a certificate that was verified."""
        try:
            return bool(self._sock.getpeercert())
        except (OSError, ValueError):
            return False

    # -- the handshake -----------------------------------------------------------------------------------------------

    def handshake(self, on_done: Callable[[], object]) -> None:
        """Shake hands; ``on_done()`` follows. A failure closes the stream, and ``on_close`` gets the error.

        The stream sets no deadline: its owner destroys it when its own has passed.
        """
        self._on_handshake = on_done
        self._handshaking = True
        self._shake_hands()

    def _shake_hands(self) -> None:
        self._read_wants_write = False
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
        except (OSError, ValueError) as error:  # ValueError: a name that no certificate can have
            self.destroy(error if isinstance(error, OSError) else ssl.SSLError(str(error)))
            return
        else:
            self._handshaking = False
            done, self._on_handshake = self._on_handshake, None
            self._watch()
            if done is not None:
                done()
            return
        self._watch()

    # -- reading and writing -----------------------------------------------------------------------------------------

    def resume(self) -> None:
        if not self._reading:
            super().resume()
            # Decrypted bytes may be waiting in the TLS layer, where no poller sees them.
            self._loop.defer(self._read_pending)

    def on_event(self, mask: int) -> None:
        if self._handshaking:
            self._shake_hands()
            return
        if self.stalled and (mask != READ or self._write_wants_read):
            self.stalled = self._write_wants_read = False
            self.flush()
        if self._reading:
            self._read()
        self._watch()

    def _read_pending(self) -> None:
        if self._reading and not self._handshaking and self._sock.pending():
            self._read()

    def _read(self) -> None:
        """Everything up to READ_SIZE: one call yields one record, 16 KiB at the most."""
        self._read_wants_write = False
        data = b''
        try:
            data = self._sock.recv(READ_SIZE)
            while data and len(data) < READ_SIZE and self._sock.pending():
                data += self._sock.recv(READ_SIZE - len(data))
        except ssl.SSLWantReadError:
            if not data:
                return
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
            if not data:
                return
        except OSError as error:
            self.destroy(error)
            return
        if not data:
            self._read_eof()
            return
        self.bytes_read += len(data)
        if self._sock.pending():
            self._loop.defer(self._read_pending)
        self.on_data(data)

    def _send(self) -> int:
        queue = self._queue
        if not self._hold and len(queue) > 1:
            self._join_head()
        self._hold = True
        try:
            taken = self._sock.send(queue[0])
        except ssl.SSLWantWriteError:
            return 0
        except ssl.SSLWantReadError:
            self._write_wants_read = True
            return 0
        self._hold = False
        return taken

    def _join_head(self) -> None:
        """Many small frames make one record."""
        queue = self._queue
        size = count = 0
        while count < len(queue) and size < HIGH_WATER_MARK:
            size += len(queue[count])
            count += 1
        if count > 1:
            queue[:count] = [b''.join(queue[:count])]

    def _finish_sending(self) -> None:
        try:
            self._sock.unwrap()  # sends close_notify ...
            self.eof = True  # ... and the peer's was there already
        except _WANT:
            pass
        except (OSError, ValueError):
            self.eof = True
        if not self.eof:
            # Not SSLSocket.shutdown(): it would drop the TLS layer, and what still comes in would be read encrypted.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_WR)

    def _wanted(self) -> int:
        if self._handshaking:
            return WRITE if self._read_wants_write else READ
        read = self._reading or self._write_wants_read
        write = (self.stalled and not self._write_wants_read) or (self._reading and self._read_wants_write)
        return (READ if read else 0) | (WRITE if write else 0)


def client_context(
    ca: Optional[Union[PEM, Sequence[PEM]]] = None,
    cert: Optional[PEM] = None,
    key: Optional[PEM] = None,
    passphrase: Optional[PEM] = None,
    ciphers: Optional[str] = None,
    reject_unauthorized: bool = True,
) -> ssl.SSLContext:
    """A context for clients: verifies chain and host name unless told otherwise.

    Raises :class:`ssl.SSLError` or :class:`ValueError` for material that OpenSSL can't use.
    """
    if ca is None and cert is None and key is None and ciphers is None:
        return _plain_client_context(reject_unauthorized)
    context = ssl.create_default_context(cadata=_authorities(ca))
    if not reject_unauthorized:
        _trust_anyone(context)
    _load(context, cert, key, passphrase, ciphers)
    return context


_plain_contexts: dict[bool, ssl.SSLContext] = {}


def _plain_client_context(reject_unauthorized: bool) -> ssl.SSLContext:
    """Kept: reading the system's authorities takes some twenty milliseconds."""
    context = _plain_contexts.get(reject_unauthorized)
    if context is None:
        context = ssl.create_default_context()
        if not reject_unauthorized:
            _trust_anyone(context)
        _plain_contexts[reject_unauthorized] = context
    return context


def server_context(
    cert: PEM, key: PEM, passphrase: Optional[PEM] = None, ciphers: Optional[str] = None
) -> ssl.SSLContext:
    """A context for servers. Raises as :func:`client_context`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, cert, key, passphrase, ciphers)
    return context


def _trust_anyone(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def _authorities(ca: Optional[Union[PEM, Sequence[PEM]]]) -> Optional[str]:
    if ca is None:
        return None
    listed = [ca] if isinstance(ca, (str, bytes)) else list(ca)
    return '\n'.join(_text(pem) for pem in listed)


def _text(pem: PEM) -> str:
    return pem if isinstance(pem, str) else bytes(pem).decode('ascii')


def _load(
    context: ssl.SSLContext,
    cert: Optional[PEM],
    key: Optional[PEM],
    passphrase: Optional[PEM],
    ciphers: Optional[str],
) -> None:
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise ValueError('cert and key belong together: only one of them was given')
    # Without a password, OpenSSL would ask for one on the terminal and stop the whole process.
    password = '' if passphrase is None else passphrase
    with _files(cert, key) as (cert_file, key_file):
        context.load_cert_chain(cert_file, key_file, password)


@contextlib.contextmanager
def _files(*contents: PEM) -> Iterator[list[str]]:
    """Files for an interface that takes nothing else: readable by this user only, and gone when it has read them."""
    with tempfile.TemporaryDirectory(prefix='ws-') as folder:
        names = []
        for number, content in enumerate(contents):
            name = os.path.join(folder, f'{number}.pem')
            with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='ascii') as file:
                file.write(_text(content))
            names.append(name)
        yield names
