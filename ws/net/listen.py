"""Listening sockets."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Optional, Union

from .loop import Loop
from .poller import READ
from .resolver import Endpoint
from .unix import SocketFile, bind_to_path, printable

#: How many connections are accepted in one turn of the loop, so that open ones get theirs, too.
ACCEPTS_PER_TURN = 64
#: How long, in milliseconds, a listener rests when the process has run out of descriptors.
REST = 100
#: How long, in seconds, it must have gone well before it is told again that it does not.
EPISODE = 60

_log = logging.getLogger('ws')


def bind(endpoints: list[Endpoint], backlog: int, reuse_port: bool = False) -> socket.socket:
    """A socket that listens on the first of `endpoints` that can be bound. Raises :class:`OSError`."""
    problem: OSError = OSError('no address to listen on')
    for endpoint in endpoints:
        try:
            return _bind(endpoint, backlog, reuse_port)
        except OSError as error:
            problem = error
    raise problem


def _bind(endpoint: Endpoint, backlog: int, reuse_port: bool) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            if isinstance(endpoint.address, str):
                bind_to_path(sock, endpoint.address)
            else:
                _set_options(sock, reuse_port)
                sock.bind(endpoint.address)
            sock.listen(backlog)
        except OSError as error:
            raise OSError(error.errno, f'{error.strerror}: {printable(endpoint.address)}') from None
    except BaseException:
        sock.close()
        raise
    return sock


def _set_options(sock: socket.socket, reuse_port: bool) -> None:
    if os.name == 'posix':
        # A restarted server must not wait for the old one's connections in TIME_WAIT. On Windows the same option would
        # let two servers share a port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        assert hasattr(socket, 'SO_REUSEPORT')  # else the option was refused
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6 and hasattr(socket, 'IPV6_V6ONLY'):
        # '::' means both families, as in Node, whatever the system's default is.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


# -- sockets that are handed in ---------------------------------------------------------------------------------------


def check_listening(sock: Any) -> None:
    """Raises TypeError or ValueError for anything but a listening TCP or UNIX socket."""
    if not isinstance(sock, socket.socket):
        raise TypeError(f'socket must be a socket, not {type(sock).__name__}')
    if isinstance(sock, ssl.SSLSocket):
        raise TypeError('socket must be one without TLS: for that, give the options key and cert')
    if sock.fileno() < 0:
        raise ValueError('socket is closed, or was given to a server already')
    if sock.family not in _FAMILIES or sock.type != socket.SOCK_STREAM:
        raise ValueError(f'socket must be a stream socket, TCP or UNIX, not {_name(sock.family)} {_name(sock.type)}')
    if not _listens(sock):
        raise ValueError('socket does not listen: call its listen() first')


def _name(constant: Any) -> str:
    return getattr(constant, 'name', str(constant))


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except (AttributeError, OSError):  # a system that doesn't tell
        return True


def check_descriptor(fd: Any) -> None:
    """The same for the number of a descriptor, which stays open in any case."""
    if isinstance(fd, bool) or not isinstance(fd, int):
        raise TypeError(f'fd must be an int, not {type(fd).__name__}')
    try:
        sock = socket.socket(fileno=fd)
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(f'fd {fd} is not a socket: {error}') from None
    try:
        check_listening(sock)
    except ValueError as error:
        raise ValueError(f'fd {fd}: {error}') from None
    finally:
        sock.detach()


def take_over(source: Union[socket.socket, int]) -> socket.socket:
    """A listening socket, or its descriptor, as a socket of our own. Raises :class:`OSError` if it is closed by now."""
    fd = source.detach() if isinstance(source, socket.socket) else source
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


_FAMILIES = (socket.AF_INET, socket.AF_INET6, getattr(socket, 'AF_UNIX', None))


def describe(sock: socket.socket) -> Union[dict[str, Any], str]:
    """Where a socket listens, as ``server.address()`` of Node tells it: for a UNIX socket it is the path."""
    name = sock.getsockname()
    if isinstance(name, (str, bytes)):
        return os.fsdecode(name)
    address, port = name[:2]
    return {'address': address, 'family': 'IPv6' if sock.family == socket.AF_INET6 else 'IPv4', 'port': port}


class Listener:
    """Accepts connections from a listening socket. Belongs to the loop thread."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_connection: Callable[[socket.socket], object],
        file: Optional[SocketFile] = None,
        shared: bool = False,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._file = file  # goes when this closes
        self._shared = shared  # with those who have handed it in
        self._refuses = False
        # Reentrant: a signal handler may come here in the middle of it.
        self._lock = threading.RLock()
        self._on_connection = on_connection
        self._registered = False
        self._closed = False
        self._episode_ends = 0.0  # of having run out of descriptors

    def start(self) -> None:
        """Accept from now on."""
        if self._closed or self._registered:
            return
        try:
            self._loop.register(self._sock.fileno(), self, READ)
        except OSError as error:
            self._run_out(error)
        else:
            self._registered = True

    def refuse(self) -> None:
        """Free the port, or the path, for somebody else; :meth:`close` is to follow. May be called on any thread.

        The descriptor stays open: closed, its number might be somebody else's before the loop hears of it. Systems that
        have this for connections only free the port when it is closed.
        """
        if self._closed or self._shared:
            return
        with self._lock:
            if self._closed or self._refuses:
                return
            self._refuses = True
            if self._file is not None:
                self._file.remove()
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Accept no more. The kernel resets what it had accepted on its own."""
        if not self._closed:
            self._stop()
            with self._lock:
                self._closed = True
                if self._file is not None:
                    self._file.remove()
                self._sock.close()

    def abandon(self) -> None:
        """This is the child after a fork: socket and file are the parent's."""
        self._closed = True
        self._sock.close()

    def failed(self) -> None:
        """The connection at hand is lost; the next one deserves a try, though not at once."""
        self._rest()

    def _rest(self) -> None:
        self._stop()
        self._loop.call_later(REST, self.start)

    def _stop(self) -> None:
        if self._registered:
            self._registered = False
            self._loop.unregister(self._sock.fileno())

    def on_event(self, mask: int) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            if self._loop.full:
                self._run_out(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
                return
            try:
                sock, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if self._refuses:
                    return
                if error.errno in _OUT_OF_RESOURCES:
                    self._run_out(error)
                    return
                if error.errno in _PEER_GONE:
                    continue
                raise
            self._on_connection(sock)
            if not self._registered:  # closed by what it was told
                return

    def _run_out(self, error: OSError) -> None:
        """Trying on at once would be a busy loop: the connection stays in the queue, the socket ready."""
        now = time.monotonic()
        if now >= self._episode_ends:
            _log_visibly('%s: new connections have to wait: %s', _where(self._sock), error.strerror)
        self._episode_ends = now + EPISODE
        self._rest()


def _where(sock: socket.socket) -> str:
    try:
        return printable(sock.getsockname())
    except OSError:
        return 'a server'


def _log_visibly(message: str, *args: object) -> None:
    """As a warning, which the operator sees also if the program does nothing about logs: then it goes to where Python
    writes the warnings of programs, which our NullHandler would keep from it."""
    _log.warning(message, *args)
    if logging.lastResort is not None and _log.isEnabledFor(logging.WARNING) and not _is_handled(_log):
        logging.lastResort.handle(_log.makeRecord(_log.name, logging.WARNING, __file__, 0, message, args, None))


def _is_handled(logger: Optional[logging.Logger]) -> bool:
    """Whether there is a handler that does something."""
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


#: No more descriptors or memory just now.
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: The connection broke before it was accepted; Linux also reports network errors of the new connection here.
_PEER_GONE = frozenset(
    getattr(errno, name)
    for name in ('ECONNABORTED', 'EPROTO', 'ENETDOWN', 'ENETUNREACH', 'EHOSTDOWN', 'EHOSTUNREACH', 'EPERM')
    if hasattr(errno, name)
)

#: Node's default. The kernel has its own upper limit.
BACKLOG = 511 if sys.platform != 'win32' else 200
