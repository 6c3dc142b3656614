"""Proxies: what their URLs say."""

from __future__ import annotations

import re
import time
from typing import NamedTuple, Optional
from urllib.parse import unquote_to_bytes

#: Scheme -> port, if there is none in the URL.
_PORTS = {'http': 80, 'https': 443, 'socks4': 1080, 'socks4a': 1080, 'socks5': 1080, 'socks5h': 1080}
_SOCKS_5 = ('socks5', 'socks5h')
_match_proxy = re.compile(
    r'(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?'
    r'(?:(?P<credentials>[^/?#]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^][/?#@:\s]+)(?::(?P<port>[0-9]{0,5}))?/?',
    re.IGNORECASE,
).fullmatch

#: User name and password.
Credentials = tuple[bytes, bytes]


class Proxy(NamedTuple):
    """Where a proxy is, how to speak to it, and what to tell it about us."""

    scheme: str
    host: str
    port: int
    credentials: Optional[Credentials]

    def __repr__(self) -> str:
        return f'<Proxy {self}>'

    def __str__(self) -> str:
        """The URL, without the credentials: those are not to be shown."""
        return f'{self.scheme}://{self.name}'

    @property
    def name(self) -> str:
        """Host and port, for people."""
        return authority(self.host, self.port)

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith('socks')


def authority(host: str, port: int) -> str:
    """Host and port as URLs have them (RFC 3986 section 3.2)."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def left(deadline: float) -> float:
    """How many seconds :func:`time.monotonic` has until then; a few if it has passed: 0 would mean not to wait at all,
    or for ever."""
    return max(0.001, deadline - time.monotonic())


def parse_proxy(url: str) -> Proxy:
    """Parse ``[scheme://][user[:password]@]host[:port]``: ``http``, and the usual port of the scheme, if there is none.

    Raises ValueError, whose text is without the credentials.
    """
    match = _match_proxy(url)
    scheme = ((match and match['scheme']) or 'http').lower()
    if match is None or scheme not in _PORTS or not _is_host(match['host']):
        raise _invalid(url)
    port = int(match['port'] or _PORTS[scheme])
    if not 0 < port <= 65535:
        raise _invalid(url)
    credentials = _parse_credentials(match['credentials'])
    if scheme.startswith('socks') and credentials is not None:
        _check_for_socks(scheme, *credentials)
    return Proxy(scheme, match['host'].strip('[]'), port, credentials)


def _invalid(url: str) -> ValueError:
    _, at, rest = url.rpartition('@')
    shown = f'...@{rest}' if at else url
    return ValueError(
        f'invalid proxy {shown!r}: it must be like http://user:password@host:port, '
        f'with one of the schemes {", ".join(_PORTS)}'
    )


def _is_host(name: str) -> bool:
    try:
        name.encode('idna')
    except UnicodeError:  # a label that is empty, or too long
        return False
    return True


def _parse_credentials(userinfo: Optional[str]) -> Optional[Credentials]:
    if userinfo is None:
        return None
    user, _, password = userinfo.partition(':')
    return unquote_to_bytes(user), unquote_to_bytes(password)


def _check_for_socks(scheme: str, user: bytes, password: bytes) -> None:
    """What neither the protocols nor the package that speaks them have room for."""
    if not (user.isascii() and password.isascii()):
        raise ValueError('user name and password for a SOCKS proxy must be ASCII')
    if scheme not in _SOCKS_5:
        if password or b'\0' in user:
            raise ValueError('SOCKS 4 has user names, but no passwords')
    elif not (0 < len(user) < 256 and 0 < len(password) < 256):  # RFC 1929 section 2
        raise ValueError('user name and password for a SOCKS 5 proxy must have 1 to 255 characters')
