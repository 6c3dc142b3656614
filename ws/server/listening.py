"""Where a server listens: what its options say, and the socket that comes of it."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple, Optional, Union

from ..net.listen import bind, check_descriptor, check_listening, describe, take_over
from ..net.resolver import Endpoint
from ..net.unix import SocketFile
from ..options import Options
from ..typing import Address


class Port(NamedTuple):
    """A TCP port to bind."""

    host: str
    number: int
    reuse: bool


#: A port; the path of a UNIX socket; a listening socket, or its descriptor, that is handed in.
Place = Union[Port, str, socket.socket, int]

_PLACES = ('port', 'socketPath', 'socket', 'fd')


def place_of(options: Options) -> Optional[Place]:
    """Where to listen; None if that is up to somebody else. Nothing is opened, or taken, yet.

    Raises TypeError and ValueError naming the option that is wrong.
    """
    given = [name for name in _PLACES if options[name] is not None]
    if len(given) > 1:
        raise TypeError(f'the server listens at only one place: give only one of {" and ".join(given)}')
    place = _place(options)
    if options.reusePort and not isinstance(place, Port):
        raise ValueError('reusePort needs a TCP port')
    return place


def _place(options: Options) -> Optional[Place]:
    if options.port is not None:
        return _path(options.port, 'port') if _is_path(options.port) else _port(options)
    if options.socketPath is not None:
        return _path(options.socketPath, 'socketPath')
    if options.socket is not None:
        check_listening(options.socket)
        return options.socket  # type: ignore[no-any-return]
    if options.fd is not None:
        check_descriptor(options.fd)
        return options.fd  # type: ignore[no-any-return]
    return None


def _is_path(port: object) -> bool:
    """Whether that is a path where the port goes, as in Node: a str that is no number."""
    if not isinstance(port, str) or not port.strip():
        return False
    try:
        float(port)
    except ValueError:
        return True
    return False


def _port(options: Options) -> Port:
    host, port, reuse = options.host, options.port, options.reusePort
    if not isinstance(host, str):
        raise TypeError(f'host must be a str, not {type(host).__name__}')
    if isinstance(port, bool) or not isinstance(port, (int, str)):
        raise TypeError(f'port must be an int, not {type(port).__name__}')
    try:
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise ValueError(f'port must be from 0 to 65535, not {port}')
    if not isinstance(reuse, bool):
        raise TypeError(f'reusePort must be a bool, not {type(reuse).__name__}')
    if reuse and not hasattr(socket, 'SO_REUSEPORT'):
        raise ValueError('reusePort: this system has no SO_REUSEPORT')
    return Port(host, number, reuse)


def _path(value: object, name: str) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f'{name} must be a str, not {type(value).__name__}')
    path = os.fsdecode(value)
    if not hasattr(socket, 'AF_UNIX'):
        raise ValueError(f'{name}: this system has no UNIX sockets')
    if not path or ('\0' in path[1:] and path[0] != '\0'):
        raise ValueError(f'{name} must be the path of a UNIX socket, not {path!r}')
    return path


def open_socket(place: Place, endpoints: list[Endpoint], backlog: int) -> socket.socket:
    """A socket that listens at `place`; `endpoints` are those of its host, if it is a port. Raises :class:`OSError`."""
    if isinstance(place, Port):
        return bind(endpoints, backlog, place.reuse)
    if isinstance(place, str):
        assert hasattr(socket, 'AF_UNIX')  # else it was refused
        return bind([Endpoint(socket.AF_UNIX, place)], backlog)
    return take_over(place)


def is_shared(place: Place) -> bool:
    """Whether others may have the socket as well: whoever has handed it in, a parent, systemd."""
    return not isinstance(place, (Port, str))


def file_of(place: Place) -> Optional[SocketFile]:
    """The file that :func:`open_socket` has made, and whoever closes the socket is to remove."""
    return SocketFile(place) if isinstance(place, str) else None


def address_of(sock: socket.socket) -> Union[Address, str, None]:
    """Where a socket listens, as ``server.address()`` tells it; None once it is closed."""
    try:
        where = describe(sock)
    except OSError:
        return None
    return where if isinstance(where, str) else Address(where)
