"""What a server's options say of TLS."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Optional

from ..events import arity_of, check_callable, fitted
from ..net.loop import report_exception
from ..net.tls_context import MATERIAL, check_context, check_types, server_context, use_given
from ..options import SERVER_OPTIONS, Options, flag

#: What says nothing unless there is TLS.
_BESIDE_KEY = ('passphrase', 'ciphers', 'ca', 'minVersion', 'maxVersion', 'requestCert', 'SNICallback')


#: Names of what other servers have for TLS: certfile, keyfile, ssl, ssl_context, tls, https, requestCert …
_is_about_security = re.compile('(?i)ssl|tls|https|secur|cert|key|pem|pfx|pkcs').search


def check_names(*sources: Mapping[str, Any]) -> None:
    """Raises TypeError for an unknown option that looks as if it asked for TLS: the server must not run without."""
    for given in sources:
        for name, value in given.items():
            if value and name not in SERVER_OPTIONS and _is_about_security(str(name)):
                raise TypeError(
                    f'WebSocketServer has no option {name!r}: for TLS it takes key and cert, '
                    'the contents of PEM files or pathlib.Path objects, or an ssl.SSLContext as context'
                )


def tls_context(options: Options) -> Optional[ssl.SSLContext]:
    """The context that a server's options describe; None if they ask for none. Raises TypeError and ValueError that
    name the option that is wrong, and what :func:`~..net.tls_context.server_context` does."""
    check_types(*(options[name] for name in MATERIAL))
    check_context(options, server_side=True)
    requests, rejects = flag(options, 'requestCert'), flag(options, 'rejectUnauthorized')
    choose = options.SNICallback
    if choose is not None:
        check_callable(choose, 'SNICallback')
    if options.context is not None:
        _check_alone(options)
        return use_given(options.context)
    if options.cert is None and options.key is None and options.pfx is None:
        _check_nothing(options)
        return None
    if requests and options.ca is None:
        raise ValueError("requestCert needs ca, the authorities that sign the clients' certificates")
    material = {name: options[option] for option, name in MATERIAL.items()}
    context = server_context(**material, request_cert=requests, reject_unauthorized=rejects)
    if choose is not None:
        context.sni_callback = _by_name(choose)
    return context


def _check_alone(options: Options) -> None:
    for name, usual in ('requestCert', False), ('rejectUnauthorized', True), ('SNICallback', None):
        if options[name] != usual:
            raise ValueError(f'context takes the place of {name}: give only one of them')


def _check_nothing(options: Options) -> None:
    """Raises ValueError for what asks for TLS, and would not get it."""
    for name in _BESIDE_KEY:
        if options[name]:
            raise ValueError(f'{name} needs key and cert, or pfx')


def _by_name(choose: Callable[..., Any]) -> Callable[[ssl.SSLObject, Optional[str], ssl.SSLContext], Optional[int]]:
    """What :mod:`ssl` calls in the middle of a handshake, and takes an alert from, or None."""
    calls_back = arity_of(choose).needed == 2
    call = fitted(choose, None)

    def on_name(connection: ssl.SSLObject, name: Optional[str], default: ssl.SSLContext) -> Optional[int]:
        if name is None:  # the client has named none
            return None
        try:
            chosen = _ask(call, name) if calls_back else call(name)
            if chosen is not None:
                connection.context = chosen
                if default.verify_mode != ssl.CERT_NONE:
                    # The connection has kept that; but Python looks here for whether a client has been verified.
                    chosen.verify_mode = default.verify_mode
        except _Refused:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        except BaseException:
            report_exception()
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    return on_name


class _Refused(Exception):
    """The program has no context for that name."""


def _ask(call: Callable[..., Any], name: str) -> Optional[ssl.SSLContext]:
    answers: list[tuple[object, Optional[ssl.SSLContext]]] = []

    def callback(error: object = None, context: Optional[ssl.SSLContext] = None, *more: object) -> None:
        answers.append((error, context))

    call(name, callback)
    if not answers:
        raise RuntimeError('SNICallback must call back before it returns: a TLS handshake cannot wait')
    error, context = answers[0]
    if error is not None:
        raise _Refused
    return context
