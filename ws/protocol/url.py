"""WebSocket addresses (RFC 6455 section 3), and those of UNIX sockets."""

from __future__ import annotations

import re
from base64 import b64encode
from ipaddress import IPv6Address
from typing import Any, NamedTuple, Optional, Protocol
from urllib.parse import quote, unquote, unquote_to_bytes

_DEFAULT_PORTS = {'ws': 80, 'http': 80, 'wss': 443, 'https': 443}
_UNIX = 'ws+unix'
_MAX_HOST = 254  # RFC 1035 section 2.3.4, and a dot at the end

# In these, IDNA 2003 and 2008 differ: they make other domains of the same name (RFC 5894 section 7.2).
_has_deviation = re.compile('[\xdf\u1e9e\u03c2\u200c\u200d]').search
_find_forbidden = re.compile('[\x00-\x20\x7f\ud800-\udfff]').search
_is_scheme = re.compile('[A-Za-z][A-Za-z0-9+.-]*').fullmatch
_match_hierarchy = re.compile(r'//([^/?]*)(.*)').fullmatch
_match_authority = re.compile(r'(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(.*))?').fullmatch
_match_unix = re.compile(r'(?://)?(/[^/:?][^:?]*):?(.*)').fullmatch
_is_host = re.compile('[a-z0-9._-]+').fullmatch
_is_port = re.compile('[0-9]{1,5}').fullmatch
# What stands before the host.
_sub_credentials = re.compile('//[^/?#]*@').sub

# What RFC 3986 lets stand in a path or query, besides letters, digits and '_.-~'.
_TARGET_SAFE = "!$%&'()*+,/:;=?@[]"


class Address(NamedTuple):
    """Where to connect, and what to ask for there."""

    #: TLS?
    secure: bool
    #: Name or IP address, an IPv6 address without brackets; '' for a UNIX socket.
    host: str
    #: 0 for a UNIX socket.
    port: int
    #: Path and query, the request target of the handshake.
    target: str
    #: Host and port as the ``Host`` header names them, without the default port.
    host_header: str
    #: The ``Authorization`` header for the user name and password in the address.
    authorization: Optional[str] = None
    #: File name of a UNIX socket.
    socket_path: Optional[str] = None


class URLObject(Protocol):
    """What the standard library and others make of URLs: ``str()`` or ``geturl()`` makes one again."""

    @property
    def scheme(self) -> Any: ...


def url_text(address: object) -> str:
    """The URL that `address` is or stands for. Raises TypeError for anything that can't be one by its type."""
    if isinstance(address, str):
        return address
    if hasattr(address, 'geturl'):  # of urllib.parse, whose str() is something else
        return str(address.geturl())
    if type(address).__str__ is object.__str__ or isinstance(address, (bytes, bytearray)):
        raise TypeError(f'address must be a str, or an object whose str() is a URL, not {type(address).__name__}')
    return str(address)


def without_credentials(url: str) -> str:
    """`url` as it may be shown."""
    return _sub_credentials('//', url)


def parse_url(address: str) -> Address:
    """Parse a ``ws:``, ``wss:``, ``http:``, ``https:`` or ``ws+unix:`` URL.

    Hosts become lower case, other than ASCII ones IDNA: as in browsers, for which some names need the package ``idna``.
    Other characters than RFC 3986 allows in path and query are percent-encoded as UTF-8.

    A UNIX socket is ``ws+unix:/file/name:/path?query`` as in ws 8, or ``ws+unix:///file/name`` as in ws 0.4.31, where
    the request target then is ``/`` (0.4.31 asked for the file name); the two can be mixed. The file name is absolute
    and ends at the first ``:`` or ``?``; percent-encoded, it may hold these, too.

    Raises ValueError: 'invalid url' where scheme or host are missing, 'invalid url: …' that tells what else is wrong.
    """
    forbidden = _find_forbidden(address)
    if forbidden:
        raise ValueError(f'invalid url: character {forbidden[0]!r} at position {forbidden.start()}')
    if '#' in address:  # RFC 6455 section 3
        raise ValueError(f'invalid url: fragment {address[address.index("#") :]!r}')
    scheme, colon, rest = address.partition(':')
    scheme = scheme.lower()
    if not colon or not _is_scheme(scheme):
        raise ValueError('invalid url')
    if scheme == _UNIX:
        return _unix_address(rest)
    if scheme not in _DEFAULT_PORTS:
        raise ValueError(f'invalid url: scheme must be ws, wss, http, https or ws+unix, not {scheme}')
    return _tcp_address(rest, scheme in ('wss', 'https'), _DEFAULT_PORTS[scheme])


def _tcp_address(rest: str, secure: bool, default_port: int) -> Address:
    hierarchy = _match_hierarchy(rest)
    if not hierarchy:
        raise ValueError('invalid url')
    if '\\' in hierarchy[1]:  # browsers take it for a slash: to them, what stands before it is the host
        raise ValueError('invalid url: backslash before the path')
    userinfo, _, authority = hierarchy[1].rpartition('@')
    parts = _match_authority(authority)
    if not parts:
        raise ValueError(f'invalid url: host {authority!r}')
    ipv6, name, port_text = parts.groups()
    if ipv6 is None and not name:
        raise ValueError('invalid url')
    host = _host(name) if ipv6 is None else _ipv6(ipv6)
    port = _port(port_text) if port_text else default_port
    shown = host if ipv6 is None else f'[{host}]'
    return Address(
        secure=secure,
        host=host,
        port=port,
        target=_target(hierarchy[2]),
        host_header=shown if port == default_port else f'{shown}:{port}',
        authorization=_authorization(userinfo) if userinfo else None,
    )


def _unix_address(rest: str) -> Address:
    parts = _match_unix(rest)
    if not parts:
        raise ValueError('invalid url: a UNIX socket needs an absolute path, as in ws+unix:/file/name:/path')
    # As file names come from the system: bytes that aren't UTF-8 survive (PEP 383).
    socket_path = unquote(parts[1], errors='surrogateescape')
    if '\0' in socket_path:
        raise ValueError('invalid url: NUL in the path of the UNIX socket')
    return Address(
        secure=False,
        host='',
        port=0,
        target=_target(parts[2]),
        host_header='localhost',  # what Node sends there
        socket_path=socket_path,
    )


def _host(name: str) -> str:
    try:
        # Both take quadratic time in some versions.
        host = _to_ascii(name).lower() if len(name) <= _MAX_HOST else ''
    except UnicodeError:
        host = ''
    # Checked after the encoding, which turns some characters into ASCII ones that have a meaning in URLs.
    if not _is_host(host):
        raise ValueError(f'invalid url: host {name!r}')
    return host


def _to_ascii(name: str) -> str:
    """Python's codec knows IDNA 2003 only (RFC 3490). Raises UnicodeError."""
    if not _has_deviation(name):
        return name.encode('idna').decode('ascii')
    try:
        import idna
    except ImportError:
        raise ValueError(f'invalid url: host {name!r} needs the package idna: pip install idna') from None
    encoded: bytes = idna.encode(name, uts46=True)
    return encoded.decode('ascii')


def _ipv6(text: str) -> str:
    if '%' in text:
        # It means something on this machine only, and there is no place for it in a Host header.
        raise ValueError(f'invalid url: an IPv6 address with a zone, {text!r}, is not supported')
    try:
        IPv6Address(text)
    except ValueError:
        raise ValueError(f'invalid url: IPv6 address {text!r}') from None
    return text.lower()


def _port(text: str) -> int:
    if not _is_port(text) or not 1 <= int(text) <= 65535:
        raise ValueError(f'invalid url: port {text!r}')
    return int(text)


def _target(text: str) -> str:
    return quote(text if text.startswith('/') else '/' + text, safe=_TARGET_SAFE)


def _authorization(userinfo: str) -> str:
    # There is a colon after the user name even when no password follows.
    return basic_authorization(unquote_to_bytes(userinfo if ':' in userinfo else userinfo + ':'))


def basic_authorization(credentials: bytes) -> str:
    """The header ``Authorization`` for ``user:password`` (RFC 7617)."""
    return 'Basic ' + b64encode(credentials).decode('ascii')
