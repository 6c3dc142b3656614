"""The agent that connects through a proxy."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any, Optional

from ..net.lifetime import get_loop
from ..net.pipe import plain_end
from ..net.proxy import Proxy, parse_proxy
from ..net.proxy_http import connect_by_http
from ..net.proxy_socks import connect_by_socks, load
from ..net.tls_context import client_context
from ..options import PROXY_OPTIONS, flag, merge
from ..protocol.http import Request
from ..typing import AgentOptions, ProxyOptions, Unpack
from .agent import DIRECT
from .environment import proxy_of_environment

#: How long, in milliseconds, a proxy may take if ``handshakeTimeout`` sets no limit.
_PATIENCE = 60_000
#: How much longer than that it may take: by then nobody waits for it any more, and the thread should end.
_MARGIN = 1000


class ProxyAgent:
    """Connects through a proxy: for the option ``agent`` of a WebSocket.

    ``ProxyAgent(url, [options])``: `url` is ``scheme://user:password@host:port``, all but the host optional. The scheme
    is ``http`` (the default; the method CONNECT, Basic authentication), ``https`` (the same over TLS), ``socks5h``,
    ``socks5``, ``socks4a`` or ``socks4``: without the letter at the end, names are looked up here and not by the proxy.
    SOCKS needs the package python-socks (``pip install node-ws[socks]``). Options, as a dict or as keywords, for TLS to
    an ``https`` proxy:

    - ``ca`` (str, bytes, path or a list): the authorities to trust, as the option of a WebSocket.
    - ``context`` (:class:`ssl.SSLContext`): in place of the others.
    - ``rejectUnauthorized`` (bool, True): verify the proxy's certificate.

    One agent is enough for any number of connections. The time that the proxy takes counts towards
    ``handshakeTimeout``. What goes wrong at the proxy is an ``error`` event with a :class:`ProxyError`. Neither that
    nor ``repr()`` shows the user name or the password.

    Raises TypeError and ValueError for wrong arguments, :class:`ssl.SSLError` and :class:`OSError` for a `ca` that
    can't be used, and :class:`ModuleNotFoundError` without python-socks, if that is needed.
    """

    def __init__(self, url: str, options: Optional[ProxyOptions] = None, **keywords: Unpack[ProxyOptions]) -> None:
        if not isinstance(url, str):
            raise TypeError(f'url must be a str, not {type(url).__name__}')
        self._context = _context(options, keywords)
        self._proxy = parse_proxy(url)
        if self._proxy.is_socks:
            load()

    @staticmethod
    def from_environment(options: Optional[ProxyOptions] = None, **keywords: Unpack[ProxyOptions]) -> ProxyAgent:
        """An agent that looks at the environment for each connection: ``https_proxy`` is for ``wss:``, ``http_proxy``
        for ``ws:``, ``all_proxy`` for both; ``no_proxy`` lists where to connect directly. Lower-case names take
        precedence over upper-case ones. Options as for the class."""
        return _EnvironmentAgent(_context(options, keywords))

    def __repr__(self) -> str:
        return f'<ProxyAgent {self._proxy}>'

    def addRequest(self, request: Request, options: AgentOptions, /) -> socket.socket:
        """A socket connected to where `options` says. Called by the WebSocket; blocks."""
        proxy = self._proxy_for(options)
        if proxy is None:
            return DIRECT  # type: ignore[no-any-return]
        deadline = time.monotonic() + ((options.get('timeout') or _PATIENCE) + _MARGIN) / 1000
        if proxy.is_socks:
            return connect_by_socks(proxy, options.host, options.port, deadline)
        context = (self._context or client_context()) if proxy.scheme == 'https' else None
        sock = connect_by_http(proxy, options.host, options.port, deadline, context)
        return plain_end(get_loop(), sock) if isinstance(sock, ssl.SSLSocket) else sock

    def _proxy_for(self, options: AgentOptions) -> Optional[Proxy]:
        if options.socketPath is not None:
            raise ValueError('a UNIX socket cannot be reached through a proxy')
        return self._proxy


class _EnvironmentAgent(ProxyAgent):
    def __init__(self, context: Optional[ssl.SSLContext]) -> None:
        self._context = context

    def __repr__(self) -> str:
        return '<ProxyAgent.from_environment>'

    def _proxy_for(self, options: AgentOptions) -> Optional[Proxy]:
        if options.socketPath is not None:
            return None
        return proxy_of_environment(options.secure, options.host, options.port)


def _context(given: Optional[Mapping[str, Any]], keywords: Mapping[str, Any]) -> Optional[ssl.SSLContext]:
    """What the options ask for; None if that is nothing of its own."""
    options = merge('ProxyAgent', PROXY_OPTIONS, given, keywords)
    verify = flag(options, 'rejectUnauthorized')
    context: Optional[ssl.SSLContext] = options.context
    if context is None:
        return None if options.ca is None and verify else client_context(options.ca, reject_unauthorized=verify)
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f'context must be an ssl.SSLContext, not {type(context).__name__}')
    if context.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ValueError('context must be one for clients: this one is for servers')
    if options.ca is not None or not verify:
        name = 'rejectUnauthorized' if options.ca is None else 'ca'
        raise ValueError(f'context takes the place of {name}: give only one of them')
    return context
