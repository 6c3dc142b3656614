"""``recv`` and ``send`` on a non-blocking socket, where that a call would block is no exception.

They take what ``handle_of`` gives: in C the descriptor, in Python the socket.
"""

from __future__ import annotations

import operator
import socket
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

from .._native import check_constants, native

Data = Union[bytes, 'memoryview[int]']

#: How many buffers one call hands to the kernel (IOV_MAX is 1024 on Linux; more than this gains nothing).
BUFFERS_PER_CALL = 64


def _socket_of(sock: socket.socket) -> socket.socket:
    return sock


def _recv(sock: socket.socket, size: int) -> Optional[bytes]:
    """At most `size` bytes, none at the end; None if there is nothing yet. Raises OSError."""
    try:
        return sock.recv(size)
    except (BlockingIOError, InterruptedError):
        return None


def _send(sock: socket.socket, data: Data) -> int:
    """How many bytes the kernel took, which may be none. Raises OSError."""
    try:
        return sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0


def _send_several(sock: socket.socket, queue: Sequence[Data], first: int) -> int:
    """As ``send``, by one call for several buffers: those of `queue` from index `first` on."""
    if not hasattr(sock, 'sendmsg'):  # Windows has none
        return _send(sock, queue[first])
    try:
        taken: int = sock.sendmsg(queue[first : first + BUFFERS_PER_CALL])
        return taken
    except (BlockingIOError, InterruptedError):
        return 0


handle_of: Callable[[socket.socket], Any] = _socket_of
recv: Callable[[Any, int], Optional[bytes]] = _recv
send: Callable[[Any, Data], int] = _send
send_several: Callable[[Any, Sequence[Data], int], int] = _send_several
if hasattr(native, 'recv'):  # not on Windows
    handle_of = operator.methodcaller('fileno')
    recv, send, send_several = native.recv, native.send, native.send_several

check_constants(globals(), 'BUFFERS_PER_CALL')
