"""The same stream over TLS, and the contexts that Node's TLS options describe."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Optional, Union

from .loop import Loop
from .poller import READ, WRITE
from .stream import READ_SIZE, Data, Stream

#: PEM text, as Node takes it: contents, not a file name.
PEM = Union[str, bytes]

#: How many bytes OpenSSL is given at once: it does not come back before it has written all of them, if it can.
_WRITE_SIZE = 65536


class TLSStream(Stream):
    """A :class:`Stream` whose bytes are encrypted. Call :meth:`handshake` first.

    There is one difference: what the peer is still sending when we :meth:`end` may be lost.
    """

    __slots__ = ('_discarding', '_on_handshake', '_read_wants_write', '_unfinished', '_write_wants_read')

    encrypted = True
    _sock: ssl.SSLSocket

    def __init__(self, loop: Loop, sock: ssl.SSLSocket) -> None:
        super().__init__(loop, sock)
        self._on_handshake: Optional[Callable[[], object]] = None  # None before and after the handshake
        # TLS may have to write in order to read, and the other way round (renegotiation, key updates).
        self._read_wants_write = False
        self._write_wants_read = False
        self._unfinished: Optional[Data] = None  # OpenSSL wants just this again, whatever was queued since
        self._discarding = False  # OpenSSL reads no more, but the peer still sends

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
        self._shake_hands(on_done)

    def _shake_hands(self, on_done: Callable[[], object]) -> None:
        self._read_wants_write = False
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
        except OSError as error:
            self.destroy(error)
        else:
            self._on_handshake = None
            self._watch()
            on_done()
            return
        self._watch()

    def destroy(self, error: Optional[Exception] = None) -> None:
        self._on_handshake = self._unfinished = None
        super().destroy(error)

    @property
    def authorized(self) -> bool:
        """Whether the peer has shown a certificate, and it was verified; False once the connection is gone."""
        try:
            return bool(self._sock.getpeercert())
        except (AttributeError, OSError, ValueError):  # the first from a closed SSLSocket, which has no SSLObject
            return False

    # -- reading and writing -----------------------------------------------------------------------------------------

    def resume(self) -> None:
        super().resume()
        # Somebody else may have read from the socket before, and less than OpenSSL had decrypted.
        if self._reading and self._sock.pending():
            self._loop.defer(self.on_event, READ)

    def on_event(self, mask: int) -> None:
        if self._on_handshake is not None:
            self._shake_hands(self._on_handshake)
            return
        if self.stalled and (mask != READ or self._write_wants_read):
            self.stalled = self._write_wants_read = False
            self.flush()
        if self._reading and (mask != WRITE or self._read_wants_write):
            self._read()
        self._watch()

    def _read(self) -> None:
        """Read one record. As we ask for more than it can hold, nothing stays behind where no poller would see it."""
        self._read_wants_write = False
        if self._discarding:
            self._discard()
            return
        try:
            data = self._sock.recv(READ_SIZE)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._read_wants_write = True
            return
        except ssl.SSLZeroReturnError:  # the peer's close_notify after ours; before ours, it reads as b''
            data = b''
        except OSError as error:
            self.destroy(error)
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

    def flush(self) -> None:
        self._scheduled = False
        if not (self.stalled or self.closed):
            self._flush_much()

    def _send(self, first: int) -> int:
        self._unfinished = data = self._unfinished or self._next(first)
        try:
            taken = self._sock.send(data)
        except ssl.SSLWantWriteError:
            return 0
        except ssl.SSLWantReadError:
            self._write_wants_read = True
            return 0
        self._unfinished = None
        return taken

    def _next(self, first: int) -> Data:
        """The next few of many small buffers, or a part of a large one."""
        queue = self._queue
        size, end = len(queue[first]), first + 1
        if size > _WRITE_SIZE:
            return memoryview(queue[first])[:_WRITE_SIZE]
        while end < len(queue) and size + len(queue[end]) <= _WRITE_SIZE:
            size += len(queue[end])
            end += 1
        return b''.join(queue[first:end]) if end > first + 1 else queue[first]

    def _finish_sending(self) -> None:
        try:
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

    def _close_socket(self) -> None:
        close_socket(self._sock)

    def _wanted(self) -> int:
        if self.handshaking:
            return WRITE if self._read_wants_write else READ
        # What wants to write in order to read is not ready for reading, whatever has come in, and the other way round.
        read = (self._reading and not self._read_wants_write) or self._write_wants_read
        write = (self.stalled and not self._write_wants_read) or (self._reading and self._read_wants_write)
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


def is_kept_open(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket) and 'close' in vars(sock)


def close_socket(sock: socket.socket) -> None:
    """Close a socket, whatever :func:`keep_open` has done to it."""
    if isinstance(sock, ssl.SSLSocket):
        for name in ('shutdown', 'close'):
            vars(sock).pop(name, None)
    with contextlib.suppress(OSError):
        sock.close()


def client_context(
    ca: Optional[Union[PEM, Sequence[PEM]]] = None,
    cert: Optional[PEM] = None,
    key: Optional[PEM] = None,
    passphrase: Optional[PEM] = None,
    ciphers: Optional[str] = None,
    reject_unauthorized: bool = True,
    pfx: Optional[bytes] = None,
) -> ssl.SSLContext:
    """A context for clients: verifies chain and host name unless told otherwise.

    `pfx` (PKCS#12) stands for `cert` and `key`; `passphrase` opens it.

    Raises :class:`ssl.SSLError`, :class:`ValueError` or :class:`TypeError` for material that OpenSSL can't use, and
    :class:`ModuleNotFoundError` for `pfx` without the package cryptography.
    """
    if ca is None and cert is None and key is None and ciphers is None and pfx is None:
        return _plain_client_context(reject_unauthorized)
    context = _new_context(ssl.Purpose.SERVER_AUTH, _authorities(ca))
    if not reject_unauthorized:
        _trust_anyone(context)
    _load(context, cert, key, passphrase, ciphers, pfx)
    return context


_plain_contexts: dict[bool, ssl.SSLContext] = {}


def _plain_client_context(reject_unauthorized: bool) -> ssl.SSLContext:
    """Kept: reading the system's authorities takes some twenty milliseconds."""
    context = _plain_contexts.get(reject_unauthorized)
    if context is None:
        context = _new_context(ssl.Purpose.SERVER_AUTH)
        if not reject_unauthorized:
            _trust_anyone(context)
        _plain_contexts[reject_unauthorized] = context
    return context


def server_context(
    cert: Optional[PEM] = None,
    key: Optional[PEM] = None,
    passphrase: Optional[PEM] = None,
    ciphers: Optional[str] = None,
    pfx: Optional[bytes] = None,
) -> ssl.SSLContext:
    """A context for servers. Raises as :func:`client_context`."""
    context = _new_context(ssl.Purpose.CLIENT_AUTH)
    _load(context, cert, key, passphrase, ciphers, pfx)
    return context


def _new_context(purpose: ssl.Purpose, authorities: Optional[str] = None) -> ssl.SSLContext:
    context = ssl.create_default_context(purpose, cadata=authorities)
    # RFC 8996; Python 3.9 goes further down.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    return context


def _trust_anyone(context: ssl.SSLContext) -> None:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE


def _authorities(ca: Optional[Union[PEM, Sequence[PEM]]]) -> Optional[str]:
    if ca is None:
        return None
    listed = [ca] if isinstance(ca, (str, bytes, bytearray)) else ca
    text = '\n'.join(_ascii(pem) for pem in listed)
    if not text:  # OpenSSL would trust the system's authorities instead
        raise ValueError('ca is empty: it names no authority')
    return text


def _ascii(pem: PEM) -> str:
    """PEM without the commentary in other characters that may stand around it (RFC 7468 section 2)."""
    data = pem.encode() if isinstance(pem, str) else bytes(memoryview(pem))
    return data.decode('ascii', 'ignore')


def _load(
    context: ssl.SSLContext,
    cert: Optional[PEM],
    key: Optional[PEM],
    passphrase: Optional[PEM],
    ciphers: Optional[str],
    pfx: Optional[bytes],
) -> None:
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if pfx is not None:
        if cert is not None or key is not None:
            raise ValueError('pfx takes the place of cert and key: it was given together with them')
        cert, key = _open_pfx(pfx, passphrase)
        passphrase = None
    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise ValueError('cert and key belong together: only one of them was given')
    # Without a password, OpenSSL would ask for one on the terminal and stop the whole process.
    password = '' if passphrase is None else passphrase
    with _files(cert, key) as (cert_file, key_file):
        context.load_cert_chain(cert_file, key_file, password)


def _open_pfx(pfx: bytes, passphrase: Optional[PEM]) -> tuple[bytes, bytes]:
    """What a PKCS#12 file holds (RFC 7292), in PEM: the certificate with those it is signed by, and the key.

    Neither the standard library nor its OpenSSL functions can read such files.
    """
    if not isinstance(pfx, (bytes, bytearray, memoryview)):
        raise TypeError(f'pfx must be the bytes of a PKCS#12 file, not {type(pfx).__name__}')
    try:
        # Not with an import statement: only who uses this needs the package, and type checkers need it neither.
        serialization = importlib.import_module('cryptography.hazmat.primitives.serialization')
        pkcs12 = importlib.import_module('cryptography.hazmat.primitives.serialization.pkcs12')
    except ImportError as error:
        raise ModuleNotFoundError(
            'the option pfx needs the package cryptography: pip install cryptography; or give cert and key instead, '
            'as openssl pkcs12 -in FILE -nodes prints them',
            name='cryptography',
        ) from error
    password = passphrase.encode() if isinstance(passphrase, str) else passphrase
    try:
        key, cert, more = pkcs12.load_key_and_certificates(bytes(pfx), password)
    except Exception as error:  # from garbage it makes errors of several kinds
        raise ValueError(f'pfx cannot be opened: {error}') from error
    if key is None or cert is None:
        raise ValueError(f'pfx holds no {"key" if key is None else "certificate"}')
    pem = serialization.Encoding.PEM
    return (
        b''.join(one.public_bytes(pem) for one in [cert, *more]),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@contextlib.contextmanager
def _files(*contents: PEM) -> Iterator[list[str]]:
    """Files for an interface that takes nothing else: readable by this user only, and gone when it has read them."""
    with tempfile.TemporaryDirectory(prefix='ws-') as folder:
        names = []
        for number, content in enumerate(contents):
            name = os.path.join(folder, f'{number}.pem')
            with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='ascii') as file:
                file.write(_ascii(content))
            names.append(name)
        yield names
