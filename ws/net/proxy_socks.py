"""Connections through a SOCKS proxy, by the package python-socks. Blocking: not for the loop thread."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any, NamedTuple

from ..errors import ProxyError
from .proxy import Proxy, left
from .resolver import look_up

#: The schemes by which the proxy, and not this machine, looks names up.
_NAMED_TO_PROXY = ('socks4a', 'socks5h')


class _Package(NamedTuple):
    """What we use of it."""

    Proxy: Any
    ProxyType: Any
    ProxyError: Any
    ProxyConnectionError: Any
    ProxyTimeoutError: Any


def load() -> _Package:
    """Raises ModuleNotFoundError without the package."""
    try:
        # Statements, which freezers see; here, as only who uses this needs the package.
        from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
        from python_socks.sync import Proxy
    except ImportError as error:
        raise ModuleNotFoundError(
            "a SOCKS proxy needs the package python-socks: pip install 'node-ws[socks]'", name='python_socks'
        ) from error
    return _Package(Proxy, ProxyType, ProxyError, ProxyConnectionError, ProxyTimeoutError)


def connect_by_socks(proxy: Proxy, host: str, port: int, deadline: float) -> socket.socket:
    """Have the proxy connect to `host` and `port`; returns the socket to there.

    `deadline`: when to give up, by :func:`time.monotonic`. Raises :class:`ProxyError` if the proxy can't be reached,
    refuses, answers with something else, or not in time; :class:`socket.gaierror` for a name that is looked up here;
    :class:`ModuleNotFoundError` without the package.
    """
    package = load()
    targets = _targets(proxy, host, port)
    while True:
        try:
            return _connect(package, proxy, targets.pop(0), port, deadline)
        except ProxyError as error:
            # An address that can't be reached from there; what has no status is wrong with each of them.
            if not targets or error.status is None:
                raise


def _targets(proxy: Proxy, host: str, port: int) -> list[str]:
    """The name if the proxy is to look it up, else what it stands for."""
    if proxy.scheme in _NAMED_TO_PROXY and not _is_address(host):
        return [host]
    found = look_up(host, port)
    if proxy.scheme.startswith('socks4'):
        found = [endpoint for endpoint in found if endpoint.family == socket.AF_INET]
        if not found:
            raise ProxyError(f'SOCKS 4 does not support IPv6, and {host} has no other addresses')
    return [endpoint.address[0] for endpoint in found]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _connect(package: _Package, proxy: Proxy, target: str, port: int, deadline: float) -> socket.socket:
    user, password = (part.decode('ascii') for part in proxy.credentials or (b'', b''))
    kind = package.ProxyType.SOCKS5 if proxy.scheme.startswith('socks5') else package.ProxyType.SOCKS4
    client = package.Proxy(kind, proxy.host, proxy.port, user, password, True)
    try:
        sock: socket.socket = client.connect(target, port, timeout=left(deadline))
        return sock
    except package.ProxyTimeoutError:
        raise ProxyError('the proxy did not answer in time') from None
    except package.ProxyConnectionError as error:
        cause = error.__cause__
        reason = getattr(cause, 'strerror', None) or cause or error
        raise ProxyError(f'the proxy {proxy.name} is out of reach: {reason}') from None
    except package.ProxyError as error:
        verb = 'did not connect' if error.error_code is None else 'refused'
        raise ProxyError(f'the proxy {verb}: {error}', error.error_code) from None
    except OSError:
        raise ProxyError('the proxy closed the connection before it answered') from None
