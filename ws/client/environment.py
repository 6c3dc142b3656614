"""Which proxy the environment names for an address: ``http_proxy`` and its sisters, as curl and others read them."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Optional, Union

from ..errors import ProxyError
from ..net.proxy import Proxy, parse_proxy

_separators = re.compile(r'[\s,]+')
_match_entry = re.compile(r'(?:\*?\.)?(\[[^\[\]]*\]|[^:]*|.*:.*:.*?)(?::([0-9]+))?').fullmatch


def proxy_of_environment(secure: bool, host: str, port: int) -> Optional[Proxy]:
    """The proxy for a connection to `host` and `port`, None if there is to be none.

    Raises :class:`ProxyError` for a variable whose value is no proxy; it isn't told, as there may be a password in it.
    """
    for name in ('https_proxy' if secure else 'http_proxy', 'all_proxy'):
        url = _variable(name)
        if url:
            return None if _is_excepted(host, port) else _parse(name, url)
    return None


def _variable(name: str) -> str:
    """Lower case goes first, even if it is empty."""
    spellings = [name, name.upper()]
    if name == 'http_proxy' and 'REQUEST_METHOD' in os.environ:
        # A CGI program's client sets HTTP_PROXY, by a header Proxy; on Windows, the two are one.
        spellings = [] if os.name == 'nt' else [name]
    found = (os.environ.get(spelling) for spelling in spellings)
    return next((value for value in found if value is not None), '').strip()


def _parse(name: str, url: str) -> Proxy:
    try:
        return parse_proxy(url)
    except ValueError:
        raise ProxyError(f'the environment variable {name} must be like http://user:password@host:port') from None


def _is_excepted(host: str, port: int) -> bool:
    host = host.removesuffix('.').lower()
    return any(_covers(entry.lower(), host, port) for entry in _separators.split(_variable('no_proxy')))


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether `entry`, one of ``no_proxy``, is about that host: ``*``, a domain or an address, with a port or without,
    or a network."""
    if entry == '*':
        return True
    address = _address(host)
    if address is not None and '/' in entry:
        return _is_in(address, entry)
    match = _match_entry(entry)
    if match is None or match[2] not in (None, str(port)):
        return False
    name = match[1].removesuffix('.')
    if address is not None:
        return _address(name.strip('[]')) == address
    return bool(name) and f'.{host}'.endswith(f'.{name}')


def _address(text: str) -> Union[IPv4Address, IPv6Address, None]:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_in(address: Union[IPv4Address, IPv6Address], network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False
