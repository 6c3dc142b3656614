"""What the command line says of a connection, as options of a client."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import ssl
import warnings
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from ..client.proxy_agent import ProxyAgent
from ..typing import ClientOptions
from .options import UsageError
from .output import described

#: How long, in milliseconds, the peer may take to answer a close frame.
CLOSE_TIMEOUT = 2000


def url_of(text: str) -> str:
    """A URL as people write it: without a scheme it is a ``ws:`` one."""
    return text if '://' in text or text.startswith('ws+unix:') else f'ws://{text}'


def subprotocols(options: argparse.Namespace) -> list[str]:
    return [name.strip() for listed in options.subprotocol for name in listed.split(',')]


def client_options(options: argparse.Namespace) -> ClientOptions:
    """What the command line says, as options of WebSocket. Raises UsageError. May ask for the passphrase."""
    return {
        'protocolVersion': options.protocol,
        'origin': options.origin,
        'host': options.host,
        'headers': _headers(options),
        'closeTimeout': CLOSE_TIMEOUT,
        'pingInterval': milliseconds_of(options.ping_interval),
        'followRedirects': options.location,
        'maxRedirects': options.max_redirects,
        'ca': _contents('ca', options.ca),
        'cert': _contents('cert', options.cert),
        'key': _contents('key', options.key),
        'passphrase': _ask_for_passphrase() if options.passphrase is True else options.passphrase,
        'rejectUnauthorized': not options.no_check,
        'agent': _agent(options) if options.proxy is not None else None,
    }


def milliseconds_of(seconds: Optional[float]) -> float:
    """0 for None."""
    return 0 if seconds is None else seconds * 1000


@contextlib.contextmanager
def faults_of_usage(options: argparse.Namespace) -> Iterator[None]:
    """Has what a client's constructor raises come out as UsageError."""
    try:
        yield
    except ssl.SSLError as error:
        if _passphrase_is_wrong(options, error):
            raise UsageError(_wrong_passphrase(options)) from None
        raise UsageError(f'--ca, --cert, --key or --passphrase: {described(error)}') from None
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


# -- headers ----------------------------------------------------------------------------------------------------------


def _headers(options: argparse.Namespace) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    names: dict[str, str] = {}  # in lower case -> as first given
    for place, header in _header_lines(options.header):
        name, colon, value = header.partition(':')
        if not colon:
            raise UsageError(f'--header: {place} is not like NAME:VALUE')
        name = names.setdefault(name.strip().lower(), name.strip())
        headers.setdefault(name, []).append(value.strip())
    if options.auth is not None:
        headers.pop(names.get('authorization', ''), None)
        headers['Authorization'] = ['Basic ' + b64encode(os.fsencode(options.auth)).decode('ascii')]  # RFC 7617
    return headers


def _header_lines(given: list[str]) -> Iterator[tuple[str, str]]:
    """Each header, after what it is called in a complaint: one from a file may be a secret, and is not shown."""
    for header in given:
        if header.startswith('@'):
            yield from _lines_of(header[1:])
        else:
            yield repr(header), header


def _lines_of(file: str) -> Iterator[tuple[str, str]]:
    try:
        lines = (_contents('header', file) or b'').decode('utf-8-sig').split('\n')
    except UnicodeDecodeError:
        raise UsageError(f'--header: {file} is not UTF-8 text') from None
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith('#'):
            yield f'line {number} of {file}', line


# -- TLS and proxies --------------------------------------------------------------------------------------------------


def _passphrase_is_wrong(options: argparse.Namespace, error: ssl.SSLError) -> bool:
    """Of all that OpenSSL can find wrong with certificates and keys, this has no name of its own."""
    if b'ENCRYPTED' not in (_contents('key', options.key) or b'') or error.reason == 'KEY_VALUES_MISMATCH':
        return False
    others = [_contents('ca', options.ca), _contents('cert', options.cert)]
    return all(_holds_certificates(pem) for pem in others if pem is not None)


def _holds_certificates(pem: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode('ascii', 'ignore'))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _wrong_passphrase(options: argparse.Namespace) -> str:
    if options.passphrase is None:
        return f'--key: {options.key} needs a passphrase: use --passphrase'
    return f'--passphrase: it is not the one of {options.key}'


def _agent(options: argparse.Namespace) -> ProxyAgent:
    if url_of(options.connect).startswith('ws+unix:'):
        raise UsageError('--proxy: there is none to a UNIX socket')
    try:
        return ProxyAgent(options.proxy)
    except (ValueError, ModuleNotFoundError) as error:
        raise UsageError(f'--proxy: {error}') from None


def _contents(option: str, file: Optional[str]) -> Optional[bytes]:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f'--{option}: {file}: {error.strerror}') from None


def _ask_for_passphrase() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter('error', getpass.GetPassWarning)
        try:
            return getpass.getpass('Passphrase: ')
        except (EOFError, getpass.GetPassWarning):
            raise UsageError('--passphrase: there is no terminal to ask for it') from None
