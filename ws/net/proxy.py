"""Connections through an HTTP proxy (RFC 9110 section 9.3.6, CONNECT). Blocking: not for the loop thread."""

from __future__ import annotations

import re
import socket
import time
from base64 import b64encode
from typing import NamedTuple, Optional
from urllib.parse import unquote_to_bytes

#: The longest answer taken, in bytes, its closing empty line included.
MAX_HEAD = 16 * 1024

_match_proxy = re.compile(
    r'(?:http://)?(?:(?P<user>[^/?#]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^][/?#@:\s]+)(?::(?P<port>[0-9]{0,5}))?/?',
    re.IGNORECASE,
).fullmatch
_is_target = re.compile('[!-~]+').fullmatch
_match_status = re.compile(r'HTTP/1\.[0-9] ([1-9][0-9]{2})(?: ([ -~]*))?\r?\n').match


class ProxyError(OSError):
    """The proxy did not make the connection."""


class Proxy(NamedTuple):
    """Where a proxy is, and the ``Proxy-Authorization`` header for the user name and password in its URL."""

    host: str
    port: int
    authorization: Optional[str]


def parse_proxy(url: str) -> Proxy:
    """Parse ``[http://][user:password@]host[:port]``, the port 80 if there is none. Raises ValueError."""
    match = _match_proxy(url)
    port = int((match and match['port']) or 80)
    if match is None or not 0 < port <= 65535:
        raise ValueError(f'invalid proxy {url!r}: it must be like http://user:password@host:port')
    credentials = match['user']
    authorization = None
    if credentials is not None:
        user, _, password = credentials.partition(':')
        decoded = unquote_to_bytes(user) + b':' + unquote_to_bytes(password)
        authorization = 'Basic ' + b64encode(decoded).decode('ascii')  # RFC 7617
    return Proxy(match['host'].strip('[]'), port, authorization)


def connect_through(proxy_url: str, host: str, port: int, timeout: float) -> socket.socket:
    """Have the proxy connect to `host` and `port`; returns the socket to there, in blocking mode.

    `timeout`: seconds for all of it. Raises ValueError for `proxy_url` and `host`, :class:`ProxyError` if the proxy
    can't be reached, refuses, answers with something else, or not in time.
    """
    proxy = parse_proxy(proxy_url)
    request = _request(proxy, host, port)
    deadline = time.monotonic() + timeout
    try:
        sock = socket.create_connection((proxy.host, proxy.port), timeout)
    except OSError as error:
        raise ProxyError(f'the proxy {proxy.host}:{proxy.port} is out of reach: {error.strerror or error}') from None
    try:
        sock.sendall(request)
        _check(_read_head(sock, deadline))
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return sock


def _request(proxy: Proxy, host: str, port: int) -> bytes:
    target = f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
    if not host or not _is_target(target):
        raise ValueError(f'invalid host {host!r}')
    lines = [f'CONNECT {target} HTTP/1.1', f'Host: {target}']
    if proxy.authorization is not None:
        lines.append(f'Proxy-Authorization: {proxy.authorization}')
    return ('\r\n'.join(lines) + '\r\n\r\n').encode('ascii')


def _read_head(sock: socket.socket, deadline: float) -> bytes:
    """Byte by byte: what follows the head is no longer the proxy's."""
    head = b''
    while not head.endswith((b'\r\n\r\n', b'\n\n')):
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            byte = sock.recv(1)
        except socket.timeout:
            raise ProxyError('the proxy did not answer in time') from None
        except ConnectionError:
            byte = b''
        if not byte:
            raise ProxyError('the proxy closed the connection before it answered')
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
    if not match[1].startswith('2'):
        reason = f' {match[2]}' if match[2] else ''
        raise ProxyError(f'the proxy refused: {match[1]}{reason}')
