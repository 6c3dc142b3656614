"""Requests that a view of a WSGI host turns into WebSockets: where their connection is, and what the host gets back.

The host goes on when the view has returned: it writes a response, closes the connection, or waits for its next request.
So that it harms nobody, and has nothing to complain of, it keeps a connection: one whose client has gone.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple, Optional
from weakref import WeakSet

from ..errors import WebSocketError
from ..net.tls_socket import is_kept_open, keep_from_owner
from ..protocol.http import Request
from .http_server import take_socket

#: Where hosts put the socket of a request: Werkzeug, and gunicorn's workers `sync` and `gthread`.
_SOCKET_KEYS = ('werkzeug.socket', 'gunicorn.socket')

#: The sockets whose connection has been taken, and is no longer theirs. Looking and adding are one step each; to give
#: the same socket away on two threads at once is the caller's mistake.
_taken: WeakSet[socket.socket] = WeakSet()


class _Connection(NamedTuple):
    """A host's, and where it may have read ahead."""

    sock: socket.socket
    input: Any


# -- what a view has --------------------------------------------------------------------------------------------------


def source_of(request: Any) -> Any:
    """The WSGI environ that a framework's `request` is made of, or the `request` itself.

    Raises :class:`WebSocketError` for one of ASGI.
    """
    if isinstance(request, (Request, BaseHTTPRequestHandler)):
        return request
    environ = request if isinstance(request, Mapping) else getattr(request, 'environ', None)
    scope = request if isinstance(request, Mapping) else getattr(request, 'scope', None)
    if isinstance(environ, Mapping) and 'REQUEST_METHOD' in environ:
        return environ
    if isinstance(scope, Mapping) and 'type' in scope:
        raise _not_here(scope)
    return request


def _connection_of(source: Any) -> Optional[_Connection]:
    """That of a handler or of a WSGI host, if it gives it away."""
    if isinstance(source, BaseHTTPRequestHandler):
        return _Connection(source.connection, source.rfile)
    if not source.get('SERVER_PROTOCOL', 'HTTP/1.1').startswith('HTTP/1'):  # those of HTTP/2 are not one request's
        return None
    reader = source.get('wsgi.input')
    sock = next((source[key] for key in _SOCKET_KEYS if key in source), None) or _socket_of(_buffered(reader))
    return _Connection(sock, reader) if isinstance(sock, socket.socket) else None


def _not_here(source: Mapping[str, Any]) -> WebSocketError:
    return WebSocketError(
        f'{_name_of(source)} keeps its connections, so a view cannot turn its request into a WebSocket: '
        'run gunicorn with threads, or give the WebSocketServer a port of its own'
    )


def _name_of(environ: Mapping[str, Any]) -> str:
    if 'type' in environ or 'asgi.scope' in environ:
        return 'ASGI'
    for key, name in (('uwsgi.version', 'uWSGI'), ('mod_wsgi.version', 'mod_wsgi')):
        if key in environ:
            return name
    return str(environ.get('SERVER_SOFTWARE') or 'this host (a test client, or ASGI behind an adapter?)')


def _buffered(reader: Any) -> Optional[io.BufferedReader]:
    """The file of the connection that a host's ``wsgi.input`` reads from, if that can be seen."""
    for _ in range(2):  # Django's runserver has one of wsgiref's wrapped
        if isinstance(reader, io.BufferedReader):
            return reader
        reader = getattr(getattr(reader, '_read', None), '__self__', None)
    return None


def _socket_of(reader: Optional[io.BufferedReader]) -> Any:
    return getattr(reader.raw, '_sock', None) if reader is not None else None


# -- taking it --------------------------------------------------------------------------------------------------------


def take(source: Any, sock: Optional[socket.socket]) -> tuple[socket.socket, bytes]:
    """The connection of a request, and what has been read of it beyond the request: the one that is given, or its
    host's. Raises TypeError, ValueError and :class:`WebSocketError` for those that can't be had, and OSError."""
    host = None if isinstance(source, Request) else _connection_of(source)
    if sock is None and not isinstance(source, Request):
        if host is None:
            raise _not_here(source)
        sock = host.sock
    sock = _checked(sock)
    if host is None or sock is not host.sock:
        taken, ahead = take_socket(sock), b''
    else:
        taken = _take_from_host(sock)
        # From here on there is nothing to read for the host: what it has now was there already.
        ahead = _read_ahead(host.input)
    _taken.add(sock)
    return taken, ahead


def _checked(sock: Any) -> socket.socket:
    if not isinstance(sock, socket.socket):
        raise TypeError(f'socket must be a socket, not {type(sock).__name__}')
    if sock in _taken or is_kept_open(sock):
        raise ValueError(
            'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration'
        )
    if sock.fileno() < 0:
        raise ValueError('the socket is closed')
    return sock


def _take_from_host(sock: socket.socket) -> socket.socket:
    if isinstance(sock, ssl.SSLSocket):
        keep_from_owner(sock)
        return sock
    return _leave_dead(sock)


def has_gone(sock: socket.socket) -> bool:
    """Whether the client has ended the connection already, and left nothing to read. Makes `sock` non-blocking."""
    kind = type(sock)  # its own methods may be for others: see keep_from_owner
    kind.setblocking(sock, False)
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return False
    try:
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _leave_dead(sock: socket.socket) -> socket.socket:
    """The connection under another descriptor. In its place is one to a client that has gone: there is nothing to read,
    and who writes is told so, by an error that every host expects and none reports."""
    dead, client = socket.socketpair()
    client.close()
    with dead:
        taken = sock.dup()
        _put_in_place(dead, sock)
    taken.setblocking(True)
    return taken


def _put_descriptor(dead: socket.socket, sock: socket.socket) -> None:
    # In one step: at no time has the number no owner, and could become somebody else's.
    os.dup2(dead.fileno(), sock.fileno(), inheritable=False)


def _put_into_object(dead: socket.socket, sock: socket.socket) -> None:
    plain = socket.SocketType
    socket.close(plain.detach(sock))
    plain.__init__(sock, dead.family, dead.type, dead.proto, dead.detach())


# Where sockets are no descriptors, there is no dup2 for them.
_put_in_place = _put_descriptor if os.name == 'posix' else _put_into_object


def _read_ahead(reader: Any) -> bytes:
    unreader = getattr(getattr(reader, 'reader', None), 'unreader', None)
    if unreader is not None:  # gunicorn's
        size = len(unreader.buf.getvalue())
        return bytes(unreader.read(size)) if size else b''
    buffered = _buffered(reader)
    if buffered is None:
        return b''
    try:
        return buffered.read(len(buffered.peek()))
    except OSError:  # the host has given up reading
        return b''


# -- what the host gets back ------------------------------------------------------------------------------------------


def response_for(request: Any) -> Any:
    """What a view returns after its request has become a WebSocket; None to those that return nothing."""
    if isinstance(request, (Request, BaseHTTPRequestHandler)):
        return None
    if hasattr(request, 'META'):
        from django.http import HttpResponse  # type: ignore[import, unused-ignore]  # none of its users has it not

        return HttpResponse(status=101)
    return _switching_protocols


def _switching_protocols(environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response('101 Switching Protocols', [])
    return []
