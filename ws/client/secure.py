"""What a client's options say of TLS: whom to trust, and by what name."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import Optional

from ..events import check_callable, fitted
from ..net import green
from ..net.stream import Stream
from ..net.tls_context import MATERIAL, check_context, check_types, client_context, use_given
from ..options import Options, flag, text
from ..protocol.url import Address


class Security:
    """Raises TypeError and ValueError that name what is wrong with the options, as far as :meth:`context` does not."""

    def __init__(self, options: Options) -> None:
        check_types(*(options[name] for name in MATERIAL))
        check_context(options, server_side=False)
        self._verifies = flag(options, 'rejectUnauthorized')
        if options.context is not None and not self._verifies:
            raise ValueError('context takes the place of rejectUnauthorized: give only one of them')
        self._server_name = text(options, 'servername')
        check = options.checkServerIdentity
        if check is not None:
            check_callable(check, 'checkServerIdentity')
        self._check_identity = None if check is None else fitted(check, None)
        self._options = options
        self._context: Optional[ssl.SSLContext] = None

    def context(self) -> ssl.SSLContext:
        """Raises as :func:`~..net.tls_context.client_context`."""
        if self._context is None:
            self._context = self._make_context()
        return self._context

    def _make_context(self) -> ssl.SSLContext:
        options = self._options
        if options.context is not None:
            return use_given(options.context)
        # In Node, too, who checks the server's identity does so in the place of the usual check.
        check_name = self._check_identity is None
        material = {name: options[option] for option, name in MATERIAL.items()}
        return client_context(**material, reject_unauthorized=self._verifies, check_name=check_name)

    def name(self, address: Address) -> Optional[str]:
        """What TLS tells the server and looks for in its certificate; an IP address is only looked for.

        Raises ValueError if it is to be looked for and not told, which Python has no way to do.
        """
        host = _host(address)
        if self._server_name != '' or _is_ip_address(host):
            return self._server_name or host
        if self.context().check_hostname:
            raise ValueError(
                "servername '' leaves no name to verify the server by: it needs an IP address as the host, "
                'checkServerIdentity, or rejectUnauthorized False'
            )
        return None

    def objection(self, address: Address, stream: Stream) -> Optional[BaseException]:
        """What ``checkServerIdentity`` has against the server, if there is one and it is to be verified."""
        if self._check_identity is None or not self._verifies:
            return None
        try:
            objection = self._check_identity(self._server_name or _host(address), stream.certificate)
        except BaseException as error:
            green.pass_on(error)
            return error.with_traceback(None)
        if objection is None or isinstance(objection, BaseException):
            return objection
        kind = type(objection).__name__
        return TypeError(f'checkServerIdentity must return None, or an exception that says what is wrong, not {kind}')


def _host(address: Address) -> str:
    # The dot at the end of a name is for look-ups; no certificate has it (RFC 6066 section 3).
    return address.host.removesuffix('.')


def _is_ip_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
