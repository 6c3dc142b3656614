"""Connections through an HTTP proxy (RFC 9110 section 9.3.6, CONNECT). Blocking: not for the loop thread."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from typing import Optional

from ..errors import ProxyError
from .proxy import Proxy, authority, left
from .resolver import Endpoint, look_up

#: The longest answer taken, in bytes, its closing empty line included.
MAX_HEAD = 16 * 1024
#: How long, in seconds, one address of a proxy is tried while there is another one.
_PATIENCE = 2.0

_is_target = re.compile('[!-~]+').fullmatch
_match_status = re.compile(r'HTTP/1\.[0-9] ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?\r?\n').match


def connect_by_http(
    proxy: Proxy, host: str, port: int, deadline: float, context: Optional[ssl.SSLContext] = None
) -> socket.socket:
    """Have the proxy connect to `host` and `port`; returns the socket to there, in blocking mode.

    `deadline`: when to give up, by :func:`time.monotonic`. `context`: for TLS to the proxy, if there is to be any. What
    is returned is an SSLSocket then, and its TLS ends at the proxy.

    Raises ValueError for `host`, :class:`ProxyError` if the proxy can't be reached, refuses, answers with something
    else, or not in time.
    """
    request = _request(proxy, host, port)
    sock = _reach(proxy, deadline)
    try:
        if context is not None:
            sock = _secure(sock, proxy, context, deadline)
        _check(_ask(sock, request, deadline))
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


# -- to the proxy -----------------------------------------------------------------------------------------------------


def _reach(proxy: Proxy, deadline: float) -> socket.socket:
    try:
        endpoints = look_up(proxy.host, proxy.port)
        while len(endpoints) > 1:
            try:
                return _connect(endpoints.pop(0), min(left(deadline), _PATIENCE))
            except OSError:
                continue
        return _connect(endpoints[0], left(deadline))
    except OSError as error:
        raise ProxyError(f'the proxy {proxy.name} is out of reach: {error.strerror or error}') from None


def _connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(endpoint.address)
    except BaseException:
        sock.close()
        raise
    return sock


def _secure(sock: socket.socket, proxy: Proxy, context: ssl.SSLContext, deadline: float) -> ssl.SSLSocket:
    sock.settimeout(left(deadline))
    try:
        # The dot at the end of a name is for look-ups; no certificate has it (RFC 6066 section 3).
        return context.wrap_socket(sock, server_hostname=proxy.host.removesuffix('.'))
    except socket.timeout:
        raise _late() from None
    except (OSError, ValueError) as error:
        raise ProxyError(f'TLS to the proxy {proxy.name} failed: {_reason(error)}') from None


def _reason(error: Exception) -> object:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f'certificate verify failed: {error.verify_message}'
    return getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error


# -- to the target ----------------------------------------------------------------------------------------------------


def _request(proxy: Proxy, host: str, port: int) -> bytes:
    target = authority(host, port)
    if not host or not _is_target(target):
        raise ValueError(f'invalid host {host!r}')
    lines = [f'CONNECT {target} HTTP/1.1', f'Host: {target}']
    if proxy.credentials is not None:
        token = b64encode(b':'.join(proxy.credentials)).decode('ascii')
        lines.append(f'Proxy-Authorization: Basic {token}')  # RFC 7617
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('ascii')


def _ask(sock: socket.socket, request: bytes, deadline: float) -> bytes:
    try:
        sock.settimeout(left(deadline))
        sock.sendall(request)
        return _read_head(sock, deadline)
    except socket.timeout:
        raise _late() from None
    except ProxyError:
        raise
    except OSError:
        raise _gone() from None


def _read_head(sock: socket.socket, deadline: float) -> bytes:
    """Byte by byte: what follows the head is no longer the proxy's."""
    head = b''
    while not head.endswith((b'\r\n\r\n', b'\n\n')):
        sock.settimeout(left(deadline))
        byte = sock.recv(1)
        if not byte:
            raise _gone()
        head += byte
        if len(head) >= MAX_HEAD:
            raise ProxyError(f'the answer of the proxy is longer than {MAX_HEAD} bytes')
        if head[:7] != b'HTTP/1.'[: len(head)]:
            raise ProxyError('the proxy does not speak HTTP')
    return head


def _check(head: bytes) -> None:
    match = _match_status(head.decode('latin-1'))
    if match is None:
        raise ProxyError('the proxy does not speak HTTP')
    status, reason = match.groups()
    if not status.startswith('2'):
        shown = (reason or '').encode('ascii', 'backslashreplace').decode('ascii')
        raise ProxyError(f'the proxy refused: {status} {shown}'.rstrip(), int(status))


def _late() -> ProxyError:
    return ProxyError('the proxy did not answer in time')


def _gone() -> ProxyError:
    return ProxyError('the proxy closed the connection before it answered')
