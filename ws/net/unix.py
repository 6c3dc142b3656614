"""UNIX sockets: their names, and the files they leave behind."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any, Optional


def bind_to_path(sock: socket.socket, path: str) -> None:
    """Bind to `path`, or in Linux to the abstract name behind its leading NUL. Raises :class:`OSError`.

    A socket in the way that nobody listens on is what a process left behind that was killed: it is removed.
    """
    try:
        _bind_once(sock, path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _remove_stale(sock.family, path):
            raise
        _bind_once(sock, path)


def _bind_once(sock: socket.socket, path: str) -> None:
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno is None:  # Python's own check
            raise OSError(errno.ENAMETOOLONG, 'The path of a UNIX socket is too long') from None
        raise


def _remove_stale(family: int, path: str) -> bool:
    """Whether there was a socket that nobody listens on; it is gone then."""
    before = _identity(path)
    if before is None:
        return False
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED or _identity(path) != before:
            return False
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def _identity(path: str) -> Optional[tuple[int, int]]:
    """Which socket of the file system that is; None if it is none."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):  # ValueError: an abstract name
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None


class SocketFile:
    """The file of a UNIX socket that we have bound: ours to remove, for as long as it is this one."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # the program may go elsewhere
        self._identity = _identity(self._path)

    def remove(self) -> None:
        """To be called while the socket is open: until then, no other file can have its number."""
        if self._identity is not None and _identity(self._path) == self._identity:
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def printable(address: Any) -> str:
    """An address as :mod:`socket` has it, None if that knows none. An abstract name begins with '@', as the system's
    tools show it."""
    if address is None:
        return 'an unknown peer'
    if isinstance(address, (str, bytes)):
        return os.fsdecode(address).replace('\0', '@') or 'a UNIX socket'
    return f'{address[0]}:{address[1]}'
