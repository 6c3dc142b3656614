"""A stream as programs from Node know it: a ``net.Socket``."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, Union

from ..events import EventEmitter, check_callable, fitted
from ..options import Options, milliseconds
from .certificate import Certificate
from .listen import describe
from .loop import Loop, report_exception
from .timers import Timer

if TYPE_CHECKING:
    from .stream import Stream

#: How many times within its time we look for a timeout: it may be noticed late by one of these parts.
_LOOKS = 8
# How long a connection may be silent before the system asks whether the peer is there.
_KEEP_IDLE: Optional[int] = getattr(socket, 'TCP_KEEPIDLE', getattr(socket, 'TCP_KEEPALIVE', None))


class Socket(EventEmitter):
    """What ``ws._socket`` and ``request.socket`` are: a connection's TCP or UNIX socket, with or without TLS.

    Events, on the loop thread: ``close(hadError)``; before it ``error(error)``, if it was an error that ended the
    connection; ``timeout()``, see :meth:`setTimeout`; ``drain()``, when everything has been sent after :meth:`write`
    returned False. Every method may be called from any thread.
    """

    _emits = frozenset(('close', 'error', 'timeout', 'drain'))

    def __init__(self, stream: Stream, loop: Loop, sock: socket.socket) -> None:
        super().__init__()
        # All of this belongs to the loop thread; other threads ask the stream.
        self._stream = stream
        self._loop = loop
        self._sock = sock
        #: Whether the user wants nothing to be read now, whatever others want.
        self.paused: bool = False
        self._timeout = 0.0
        self._timer: Optional[Timer] = None
        self._traffic = (0, 0)
        self._quiet_since: Optional[float] = None  # None while that has been told

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def remoteAddress(self) -> Optional[str]:
        """The peer's IP address, or its UNIX path."""
        return self._stream.remoteAddress

    @property
    def remotePort(self) -> Optional[int]:
        """The peer's port."""
        return self._stream.remotePort

    @property
    def localAddress(self) -> Optional[str]:
        """Our IP address, or UNIX path; None once the connection is gone."""
        return self._stream.localAddress

    @property
    def localPort(self) -> Optional[int]:
        """Our port."""
        return self._stream.localPort

    def address(self) -> Union[Options, str]:
        """Our end: ``address``, ``family`` and ``port``; the path of a UNIX socket. Empty once it is gone."""
        try:
            where = describe(self._sock)
        except OSError:
            return Options()
        if self.destroyed:  # on another thread: by then, the descriptor may be somebody else's
            return Options()
        return where if isinstance(where, str) else Options(where)

    @property
    def encrypted(self) -> bool:
        """Whether there is TLS."""
        return self._stream.encrypted

    @property
    def authorized(self) -> bool:
        """Whether TLS has verified the peer."""
        return self._stream.authorized

    @property
    def authorizationError(self) -> Optional[str]:
        """Why TLS has not verified the peer. There is only one reason, under Node's name: no certificate was shown, or
        nobody had to verify it. A certificate that is verified, and found wrong, ends the handshake."""
        return 'UNABLE_TO_GET_ISSUER_CERT' if self.encrypted and not self.authorized else None

    def getPeerCertificate(self) -> Certificate:
        """The certificate that the peer has shown: an object with ``subject``, ``issuer``, ``subjectaltname``,
        ``valid_from``, ``valid_to``, ``serialNumber``, ``fingerprint256``, ``raw``, and whatever ``getpeercert()`` of
        :mod:`ssl` has. Empty, and so false, if there is none, and once the connection is gone."""
        return self._stream.certificate

    @property
    def bytesRead(self) -> int:
        """Bytes received, the opening handshake's included; with TLS, as they are without."""
        return self._stream.bytes_read

    @property
    def bytesWritten(self) -> int:
        """Bytes sent, and those that wait to be sent; with TLS, as they are without."""
        return self._stream.bytes_written

    @property
    def bufferSize(self) -> int:
        """Bytes that wait to be sent."""
        return self._stream.queued

    @property
    def writable(self) -> bool:
        """Whether :meth:`write` has an effect."""
        return self._stream.writable

    @property
    def destroyed(self) -> bool:
        """Whether the connection is gone."""
        return self._stream.closed

    # -- what it does ------------------------------------------------------------------------------------------------

    def setKeepAlive(self, enable: bool = False, initialDelay: float = 0) -> Socket:
        """Have the system ask whether the peer is there, after `initialDelay` milliseconds of silence (0: as usual)."""
        seconds = round(milliseconds(Options(initialDelay=initialDelay), 'initialDelay') / 1000)
        self._set_option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(enable))
        if enable and seconds and _KEEP_IDLE is not None:
            self._set_option(socket.IPPROTO_TCP, _KEEP_IDLE, seconds)
        return self

    def setNoDelay(self, noDelay: bool = True) -> Socket:
        """Whether small segments are sent at once, as they are from the start, or gathered (Nagle's algorithm)."""
        self._set_option(socket.IPPROTO_TCP, socket.TCP_NODELAY, bool(noDelay))
        return self

    def setTimeout(self, timeout: float, callback: Optional[Callable[..., Any]] = None) -> Socket:
        """Emit ``timeout`` when nothing was sent or received for `timeout` milliseconds; 0, as at first: never.

        `callback` listens to the next one. What to do then is up to the listener: the connection goes on.
        """
        timeout = milliseconds(Options(timeout=timeout), 'timeout')
        if callback is not None:
            check_callable(callback, 'a callback')
            if timeout:
                self.once('timeout', callback)
            else:
                self.off('timeout', callback)
        self._run(self._set_timeout, timeout)
        return self

    def write(
        self,
        data: Union[str, bytes],
        encoding: Union[str, Callable[..., Any], None] = None,
        callback: Optional[Callable[..., Any]] = None,
    ) -> bool:
        """Send `data`, raw: on a WebSocket connection, it is up to the caller that the peer understands it.

        A str is encoded as UTF-8, or as `encoding`. ``callback(error)`` runs once the system has taken it, or it is
        clear that it never will. Returns False if much is waiting already; then ``drain`` follows.
        """
        if callable(encoding):
            encoding, callback = None, encoding
        content = data.encode(encoding or 'utf-8') if isinstance(data, str) else bytes(memoryview(data))
        tell = None if callback is None else fitted(callback, self)
        if self._loop.in_thread():
            return self._stream.write(content, tell)
        self._loop.call(self._stream.write, content, tell)
        return self.writable and not self._stream.is_full

    def end(
        self, data: Union[str, bytes, Callable[..., Any], None] = None, callback: Optional[Callable[..., Any]] = None
    ) -> Socket:
        """Send `data`, and nothing after it. The connection is gone when the peer has finished, too."""
        if callable(data):
            data, callback = None, data
        if data is not None or callback is not None:
            self.write(b'' if data is None else data, None, callback)
        self._run(self._stream.end)
        return self

    def destroy(self, error: Optional[Exception] = None) -> Socket:
        """End the connection at once: what waits to be sent is lost. If `error` is given, it is emitted."""
        self._run(self._stream.destroy, error)
        return self

    def pause(self) -> Socket:
        """Read no more until :meth:`resume`. The peer's end isn't seen then, either: a WebSocket's own ``pause`` is
        undone by its ``close``, but this is not."""
        self._run(self._pause, True)
        return self

    def resume(self) -> Socket:
        """Go on reading."""
        self._run(self._pause, False)
        return self

    def _pause(self, pause: bool) -> None:
        self.paused = pause
        if pause:
            self._stream.pause()
        else:
            self._stream.resume()

    def _run(self, method: Callable[..., object], *args: Any) -> None:
        if self._loop.in_thread():
            method(*args)
        else:
            self._loop.call(method, *args)

    def _set_option(self, level: int, option: int, value: int) -> None:
        self._run(_set_option, self._sock, level, option, value)

    # -- events ------------------------------------------------------------------------------------------------------

    def tell_closed(self, error: Optional[Exception]) -> None:
        """The stream has ended."""
        self._set_timeout(0)
        if error is not None:
            self._tell('error', error)
        self._tell('close', error is not None)

    def tell_drained(self) -> None:
        """All that was queued has been sent."""
        self._tell('drain')

    def _tell(self, event: str, *args: object) -> None:
        """As :meth:`emit`, but what a listener raises is reported, and an error that nobody hears is no news."""
        for listener in self._listeners.get(event, ()):
            if listener.once and not self._detach(event, listener):
                continue
            try:
                listener.call(self, args)
            except BaseException:
                report_exception()

    def _set_timeout(self, timeout: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._timeout = timeout
        if timeout and not self._stream.closed:
            self._traffic = self._count()
            self._quiet_since = time.monotonic()
            self._look_later()

    def _count(self) -> tuple[int, int]:
        return self._stream.bytes_read, self._stream.bytes_sent

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(max(1.0, self._timeout / _LOOKS), self._look)

    def _look(self) -> None:
        """Reading and writing tell nobody; so we look, now and then, whether there was any."""
        self._look_later()
        traffic, now = self._count(), time.monotonic()
        if traffic != self._traffic:
            self._traffic, self._quiet_since = traffic, now
        elif self._quiet_since is not None and (now - self._quiet_since) * 1000 >= self._timeout:
            self._quiet_since = None
            self._tell('timeout')


def _set_option(sock: socket.socket, level: int, option: int, value: int) -> None:
    with contextlib.suppress(OSError):  # the connection is gone, or of a kind that has no such option
        sock.setsockopt(level, option, value)
