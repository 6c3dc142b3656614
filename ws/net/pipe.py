"""Two streams joined: what comes in on one goes out on the other."""

from __future__ import annotations

import functools
import socket
import ssl
from typing import Optional

from .loop import Loop
from .stream import Stream
from .timers import Timer
from .tls_socket import TLSSocketStream

#: How long, in milliseconds, the far end may take to end once the near one has.
LINGER = 30_000


def plain_end(loop: Loop, sock: ssl.SSLSocket) -> socket.socket:
    """A socket without TLS, for what is said over the TLS connection `sock`, which is the loop's from now on.

    Any thread may call this.
    """
    near, far = socket.socketpair()
    loop.call(Pipe, loop, far, sock)
    return near


class Pipe:
    """Passes bytes on between two sockets, and the end of each to the other. For the loop thread."""

    def __init__(self, loop: Loop, near: socket.socket, far: ssl.SSLSocket) -> None:
        self._loop = loop
        self._near = Stream(loop, near)
        self._far = TLSSocketStream(loop, far)
        self._timer: Optional[Timer] = None  # once the near end has ended
        self._near.on_end = self._end_far
        self._near.on_close = self._on_near_close
        self._far.on_end = self._near.end
        self._far.on_close = self._on_far_close
        self._join(self._near, self._far)
        self._join(self._far, self._near)

    def _join(self, source: Stream, target: Stream) -> None:
        source.on_data = functools.partial(self._pass_on, source, target)
        target.on_drain = source.resume
        source.resume()

    def _pass_on(self, source: Stream, target: Stream, data: bytes) -> None:
        if not target.write(data) and target.writable:
            source.pause()  # until what is queued has gone out

    def _end_far(self) -> None:
        """The near end may be closed altogether: a socket does not tell that from the end of what it sends."""
        self._far.end()
        if self._timer is None and not self._far.closed:
            self._timer = self._loop.call_later(LINGER, self._far.destroy)

    def _on_near_close(self, error: Optional[Exception]) -> None:
        self._end_far()
        self._far.resume()  # to meet its end

    def _on_far_close(self, error: Optional[Exception]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._near.end()
        self._near.resume()
