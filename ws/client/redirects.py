"""Where redirects lead, and what of the first request goes along: the rules of ws 8, which are those of curl 7.77.

Nothing here opens a socket.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import HandshakeError
from ..protocol.handshake import ClientHandshake
from ..protocol.http import Response
from ..protocol.url import Address, parse_url

_is_scheme = re.compile('[A-Za-z][A-Za-z0-9+.-]*:').match
#: What stands before the path of an address, the path, and the rest: of a UNIX socket, of TCP.
_split_unix = re.compile(r'(ws\+unix:(?://)?/[^:?#]*:?)([^?#]*)(.*)', re.IGNORECASE | re.DOTALL).fullmatch
_split_tcp = re.compile(r'([^/?#]*//[^/?#]*)([^?#]*)(.*)', re.DOTALL).fullmatch
_split_reference = re.compile(r'([^?#]*)(.*)', re.DOTALL).fullmatch
_find_userinfo = re.compile('//(.*)@').search


def resolve(location: str, base: str) -> str:
    """The address that a ``Location`` header names in the answer to a request for `base` (RFC 3986 section 5.2), as
    browsers write it: ``ws:`` or ``wss:``, without the default port, with a path that has no dots in it.

    Raises ValueError, as :func:`parse_url` does; also for a fragment, and for a backslash before the query, which is a
    slash to browsers.
    """
    reference = location.strip(' ').replace(' ', '%20')
    if '\\' in reference.partition('?')[0]:
        raise ValueError('invalid url: backslash before the query')
    if '#' in reference:  # RFC 6455 section 3
        raise ValueError(f'invalid url: fragment {reference[reference.index("#") :]!r}')
    if not _is_scheme(reference):
        reference = _absolute(reference, base)
    if _split_unix(reference):
        parse_url(reference)
        return reference
    return _normalised(reference)


def _absolute(reference: str, base: str) -> str:
    if reference.startswith('//'):
        if _split_unix(base):  # it has no other hosts
            raise ValueError('invalid url')
        return base.partition(':')[0] + ':' + reference
    root, base_path, base_query = _parts(base)
    match = _split_reference(reference)
    assert match
    path, rest = match.groups()
    if not path:
        path, rest = base_path, rest if rest.startswith('?') else base_query + rest
    elif not path.startswith('/'):
        path = base_path.rpartition('/')[0] + '/' + path
    return root + _without_dots(path) + rest


def _parts(base: str) -> tuple[str, str, str]:
    """What stands before the path, the path, and the query."""
    unix = _split_unix(base)
    match = unix or _split_tcp(base)
    assert match  # it has been connected to
    root, path, rest = match.groups()
    if unix and not root.endswith(':'):
        root += ':'
    return root, path, rest.partition('#')[0]


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4. To browsers, %2e is a dot, too."""
    kept: list[str] = []
    *folders, last = path.removeprefix('/').split('/')
    for segment in folders:
        _walk(kept, segment)
    if _is_dots(last):
        _walk(kept, last)
        last = ''
    return '/' + '/'.join([*kept, last])


def _walk(kept: list[str], segment: str) -> None:
    if not _is_dots(segment):
        kept.append(segment)
    elif _undotted(segment) == '..' and kept:
        kept.pop()


def _is_dots(segment: str) -> bool:
    return _undotted(segment) in ('.', '..')


def _undotted(segment: str) -> str:
    return segment.lower().replace('%2e', '.')


def _normalised(url: str) -> str:
    parts = _split_tcp(url)
    if parts is None:
        raise ValueError('invalid url')
    root, path, rest = parts.groups()
    address = parse_url(root + _without_dots(path) + rest)
    scheme = 'wss' if address.secure else 'ws'
    return f'{scheme}://{_userinfo(root)}{address.host_header}{address.target}'


def _userinfo(root: str) -> str:
    """With the ``@`` behind it. A password that is empty is none."""
    match = _find_userinfo(root)
    userinfo = match[1].removesuffix(':') if match else ''
    return userinfo and userinfo + '@'


def dropped_headers(first: Address, target: Address) -> frozenset[str]:
    """Which of the first request's headers don't go along to `target`, unless listeners decide about them."""
    same_host = _is_same_host(first, target)
    dropped = set()
    if not same_host or (first.secure and not target.secure):
        dropped |= {'authorization', 'cookie'}
    if not same_host:
        dropped.add('host')
    return frozenset(dropped)


def _is_same_host(first: Address, target: Address) -> bool:
    """The same name, and port; a default port is as good as the other scheme's."""
    if target.socket_path is not None or first.socket_path is not None:
        return target.socket_path == first.socket_path
    return target.host_header == first.host_header


class Redirects:
    """The redirects of one client, from its first address on."""

    def __init__(self, url: str, address: Address, limit: int) -> None:
        #: The address of the latest request.
        self.url: str = url
        self._first = address
        self._limit = limit
        self._followed = 0
        self._authorization = address.authorization

    def follow(self, response: Response) -> Address:
        """Where `response` leads. Raises HandshakeError for one too many, and for an invalid address."""
        self._followed += 1
        if self._followed > self._limit:
            raise HandshakeError('Maximum redirects exceeded', response.statusCode)
        try:
            url = resolve(response.headers['location'], self.url)
            address = parse_url(url)
        except ValueError as error:
            raise HandshakeError(str(error), response.statusCode) from error
        self.url = url
        return address

    def handshake(
        self, address: Address, make: Callable[[Address], ClientHandshake], with_all: bool
    ) -> ClientHandshake:
        """The next one, for `address`, which `make` makes as for a first one; `with_all` its headers, or without what
        it must not have."""
        dropped: frozenset[str] = frozenset() if with_all else dropped_headers(self._first, address)
        if self._authorization is None and 'authorization' not in dropped:
            self._authorization = address.authorization  # the first one counts
        handshake = make(address._replace(authorization=self._authorization))
        for name in dropped:
            handshake.fields.remove(name)
        if 'host' in dropped:
            handshake.fields.set('Host', address.host_header)
        return handshake


def is_redirect(response: Response) -> bool:
    """Whether `response` says where to go instead (RFC 9110 section 15.4)."""
    return 300 <= response.statusCode < 400 and bool(response.headers.get('location'))
