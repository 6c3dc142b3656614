"""``recv`` and ``send`` on a non-blocking socket, where that a call would block is no exception.

They take what ``handle_of`` gives: in C the descriptor, in Python the socket.
"""

from __future__ import annotations

import operator
import socket
from typing import Any, Optional, Union

from .._native import native


def _socket_of(sock: socket.socket) -> socket.socket:
    return sock


def _recv(sock: socket.socket, size: int) -> Optional[bytes]:
    """At most `size` bytes, none at the end; None if there is nothing yet. Raises OSError."""
    try:
        return sock.recv(size)
    except (BlockingIOError, InterruptedError):
        return None


def _send(sock: socket.socket, data: Union[bytes, memoryview[int]]) -> int:
    """How many bytes the kernel took, which may be none. Raises OSError."""
    try:
        return sock.send(data)
    except (BlockingIOError, InterruptedError):
        return 0


handle_of: Any = _socket_of
recv: Any = _recv
send: Any = _send
if hasattr(native, 'recv'):  # not on Windows
    handle_of, recv, send = operator.methodcaller('fileno'), native.recv, native.send
