"""The contexts that Node's TLS options describe."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

#: PEM text, as Node takes it: contents, not a file name. A path is one that is to be read.
PEM = Union[str, bytes, bytearray, memoryview, os.PathLike[str]]
Passphrase = Union[str, bytes]

_MATERIAL = (bytes, bytearray, memoryview, os.PathLike)
# What PEM never is: it has lines (RFC 7468 section 2).
_is_file_name = re.compile(rb'[^\n]*(?:[/\\][^\n]*|\.\w{1,5})').fullmatch
# What RFC 8996 has left, by Node's names.
_VERSIONS = {'TLSv1.2': ssl.TLSVersion.TLSv1_2, 'TLSv1.3': ssl.TLSVersion.TLSv1_3}
# RFC 7301: what a WebSocket begins with.
_ALPN_PROTOCOLS = ['http/1.1']

#: The options that a context is made of, and what they are called here.
MATERIAL = {
    'ca': 'ca',
    'cert': 'cert',
    'key': 'key',
    'passphrase': 'passphrase',
    'ciphers': 'ciphers',
    'pfx': 'pfx',
    'minVersion': 'min_version',
    'maxVersion': 'max_version',
}


def client_context(
    ca: Optional[Union[PEM, Sequence[PEM]]] = None,
    cert: Optional[PEM] = None,
    key: Optional[PEM] = None,
    passphrase: Optional[Passphrase] = None,
    ciphers: Optional[str] = None,
    reject_unauthorized: bool = True,
    pfx: Optional[Union[bytes, os.PathLike[str]]] = None,
    min_version: Optional[str] = None,
    max_version: Optional[str] = None,
    check_name: bool = True,
) -> ssl.SSLContext:
    """A context for clients: verifies chain and host name unless told otherwise.

    `pfx` (PKCS#12) stands for `cert` and `key`; `passphrase` opens it. Without `check_name`, the name is left to the
    caller.

    Raises :class:`ssl.SSLError`, :class:`ValueError` or :class:`TypeError` for material that OpenSSL can't use,
    :class:`OSError` for a path that can't be read, and :class:`ModuleNotFoundError` for `pfx` without the package
    cryptography.
    """
    check_types(ca, cert, key, passphrase, ciphers, pfx, min_version, max_version)
    verified = _Verified(reject_unauthorized, check_name)
    if all(given is None for given in (ca, cert, key, ciphers, pfx, min_version, max_version)):
        return _plain_client_context(verified)
    context = _new_client_context(verified, _authorities(ca))
    _limit_versions(context, min_version, max_version)
    _load(context, cert, key, passphrase, ciphers, pfx)
    return context


class _Verified(NamedTuple):
    """What a client's context verifies."""

    chain: bool
    name: bool


# Of two threads that make one at once, the later one's is kept; either would do.
_plain_contexts: dict[_Verified, ssl.SSLContext] = {}


def _plain_client_context(verified: _Verified) -> ssl.SSLContext:
    """Kept: reading the system's authorities takes some twenty milliseconds."""
    context = _plain_contexts.get(verified)
    if context is None:
        context = _plain_contexts[verified] = _new_client_context(verified, None)
    return context


def _new_client_context(verified: _Verified, authorities: Optional[str]) -> ssl.SSLContext:
    context = _new_context(ssl.Purpose.SERVER_AUTH, authorities)
    if not (verified.chain and verified.name):
        context.check_hostname = False
    if not verified.chain:
        context.verify_mode = ssl.CERT_NONE
    return context


def server_context(
    cert: Optional[PEM] = None,
    key: Optional[PEM] = None,
    passphrase: Optional[Passphrase] = None,
    ciphers: Optional[str] = None,
    pfx: Optional[Union[bytes, os.PathLike[str]]] = None,
    ca: Optional[Union[PEM, Sequence[PEM]]] = None,
    request_cert: bool = False,
    reject_unauthorized: bool = True,
    min_version: Optional[str] = None,
    max_version: Optional[str] = None,
) -> ssl.SSLContext:
    """A context for servers. Raises as :func:`client_context`.

    With `request_cert`, clients are asked for a certificate, which must be signed by one of `ca`; who shows none is
    refused, unless `reject_unauthorized` is false.
    """
    check_types(ca, cert, key, passphrase, ciphers, pfx, min_version, max_version)
    context = _new_context(ssl.Purpose.CLIENT_AUTH, _authorities(ca))
    if request_cert:
        context.verify_mode = ssl.CERT_REQUIRED if reject_unauthorized else ssl.CERT_OPTIONAL
    _limit_versions(context, min_version, max_version)
    _load(context, cert, key, passphrase, ciphers, pfx)
    return context


def use_given(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make somebody else's context fit for our streams, and change nothing else."""
    # TLS 1.2: else a peer could have a write wait for what it sends, and keep us shaking hands.
    if not context.options & ssl.OP_NO_RENEGOTIATION:  # else another thread may be using it already
        context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def check_context(options: Mapping[str, Any], server_side: bool) -> None:
    """Raises TypeError for a ``context`` that isn't one, ValueError for one that is for the other side or not alone."""
    context = options['context']
    if context is None:
        return
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f'context must be an ssl.SSLContext, not {type(context).__name__}')
    if context.protocol == (ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER):
        wanted, other = ('servers', 'clients') if server_side else ('clients', 'servers')
        raise ValueError(f'context must be one for {wanted}: this one is for {other}')
    given = [name for name in MATERIAL if options[name] is not None]
    if given:
        raise ValueError(f'context takes the place of {given[0]}: give only one of them')


def check_types(
    ca: object,
    cert: object,
    key: object,
    passphrase: object,
    ciphers: object,
    pfx: object,
    min_version: object = None,
    max_version: object = None,
) -> None:
    """Raises TypeError naming the option that has the wrong type."""
    pem = 'a str or bytes, the contents of a PEM file, or the pathlib.Path of one'
    for authority in ca if isinstance(ca, (list, tuple)) else [ca]:
        _check_type('ca', authority, (str, *_MATERIAL), f'{pem}, or a list of these')
    _check_type('cert', cert, (str, *_MATERIAL), pem)
    _check_type('key', key, (str, *_MATERIAL), pem)
    _check_type('passphrase', passphrase, (str, bytes, bytearray), 'a str or bytes')
    _check_type('ciphers', ciphers, (str,), 'a str')
    _check_type('pfx', pfx, _MATERIAL, 'bytes, the contents of a PKCS#12 file, or the pathlib.Path of one')
    _check_type('minVersion', min_version, (str,), 'a str')
    _check_type('maxVersion', max_version, (str,), 'a str')


def _check_type(name: str, value: object, types: tuple[type, ...], wanted: str) -> None:
    if value is not None and not isinstance(value, types):
        raise TypeError(f'{name} must be {wanted}, not {type(value).__name__}')


def _new_context(purpose: ssl.Purpose, authorities: Optional[str] = None) -> ssl.SSLContext:
    context = ssl.create_default_context(purpose, cadata=authorities)
    # RFC 8996; Python 3.9 goes further down.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(_ALPN_PROTOCOLS)
    return use_given(context)


def _limit_versions(context: ssl.SSLContext, least: Optional[str], most: Optional[str]) -> None:
    if least is not None:
        context.minimum_version = _version('minVersion', least)
    if most is not None:
        context.maximum_version = _version('maxVersion', most)
    if least is not None and most is not None and context.minimum_version > context.maximum_version:
        raise ValueError(f'minVersion {least} is above maxVersion {most}')


def _version(name: str, version: str) -> ssl.TLSVersion:
    if version not in _VERSIONS:
        raise ValueError(f'{name} must be {" or ".join(map(repr, _VERSIONS))}, not {version!r}')
    return _VERSIONS[version]


def _authorities(ca: Optional[Union[PEM, Sequence[PEM]]]) -> Optional[str]:
    if ca is None:
        return None
    listed = [ca] if isinstance(ca, (str, bytes, bytearray, memoryview, os.PathLike)) else ca
    text = '\n'.join(_ascii('ca', pem) for pem in listed)
    if not text:  # OpenSSL would trust the system's authorities instead
        raise ValueError('ca is empty: it names no authority')
    return text


def _ascii(name: str, pem: PEM) -> str:
    """PEM without the commentary in other characters that may stand around it (RFC 7468 section 2)."""
    data = _contents(pem)
    if _is_file_name(data):
        raise ValueError(f'{name} must be the contents of a PEM file; if it is a name, give pathlib.Path(name)')
    return data.decode('ascii', 'ignore')


def _contents(material: PEM) -> bytes:
    if isinstance(material, os.PathLike):
        with open(material, 'rb') as file:
            return file.read()
    return material.encode() if isinstance(material, str) else bytes(memoryview(material))


def _load(
    context: ssl.SSLContext,
    cert: Optional[PEM],
    key: Optional[PEM],
    passphrase: Optional[Passphrase],
    ciphers: Optional[str],
    pfx: Optional[Union[bytes, os.PathLike[str]]],
) -> None:
    if ciphers is not None:
        context.set_ciphers(ciphers)
    if pfx is not None:
        if cert is not None or key is not None:
            raise ValueError('pfx takes the place of cert and key: give only one or the other')
        cert, key = _open_pfx(pfx, passphrase)
        passphrase = None
    if cert is None and key is None:
        return
    if cert is None or key is None:
        raise ValueError('cert and key belong together: only one of them was given')
    # Without a password, OpenSSL would ask for one on the terminal and stop the whole process.
    password = '' if passphrase is None else passphrase
    with _files(_ascii('cert', cert), _ascii('key', key)) as (cert_file, key_file):
        context.load_cert_chain(cert_file, key_file, password)


def _open_pfx(pfx: Union[bytes, os.PathLike[str]], passphrase: Optional[Passphrase]) -> tuple[bytes, bytes]:
    """What a PKCS#12 file holds (RFC 7292), in PEM: the certificate with those it is signed by, and the key.

    Neither the standard library nor its OpenSSL functions can read such files.
    """
    try:
        # Statements, which freezers see; here, as only who uses this needs the package.
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.serialization import pkcs12
    except ImportError as error:
        raise ModuleNotFoundError(
            'the option pfx needs the package cryptography: pip install cryptography; or give cert and key instead, '
            'as openssl pkcs12 -in FILE -nodes prints them',
            name='cryptography',
        ) from error
    password = passphrase.encode() if isinstance(passphrase, str) else passphrase
    content = _contents(pfx)  # an OSError is no fault of what is in it
    try:
        key, cert, more = pkcs12.load_key_and_certificates(content, password)
    except Exception as error:  # from garbage it makes errors of several kinds
        raise ValueError(f'pfx cannot be opened: {error}') from error
    if key is None or cert is None:
        raise ValueError(f'pfx holds no {"key" if key is None else "certificate"}')
    pem = serialization.Encoding.PEM
    return (
        b''.join(one.public_bytes(pem) for one in [cert, *more]),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


@contextlib.contextmanager
def _files(*contents: str) -> Iterator[list[str]]:
    """Files for an interface that takes nothing else: readable by this user only, and gone when it has read them."""
    with tempfile.TemporaryDirectory(prefix='ws-') as folder:
        names = []
        for number, content in enumerate(contents):
            name = os.path.join(folder, f'{number}.pem')
            with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='ascii') as file:
                file.write(content)
            names.append(name)
        yield names
