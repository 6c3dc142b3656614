"""What the tests use of the package trustme, by the program openssl, for Pythons that have no package cryptography.

It stands last in sys.path, so it counts only where the real one is missing.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Optional, Union

DAYS = '3650'
_AUTHORITY = ('basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature,keyCertSign,cRLSign')
_numbers = itertools.count(1)


class Blob:
    """Some PEM."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def bytes(self) -> bytes:
        return self._data

    def write_to_path(self, path: Union[str, os.PathLike[str]], append: bool = False) -> None:
        with open(path, 'ab' if append else 'wb') as file:
            file.write(self._data)


class LeafCert:
    """A certificate for names, with its key and those that have signed it."""

    def __init__(self, private_key_pem: bytes, server_cert_pem: bytes, chain_to_ca: list[bytes]) -> None:
        self.private_key_pem = Blob(private_key_pem)
        self.cert_chain_pems = [Blob(pem) for pem in (server_cert_pem, *chain_to_ca)]
        self.private_key_and_cert_chain_pem = Blob(b''.join((private_key_pem, server_cert_pem, *chain_to_ca)))

    def configure_cert(self, context: ssl.SSLContext) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'pem')
            self.private_key_and_cert_chain_pem.write_to_path(path)
            context.load_cert_chain(path)


class CA:
    """An authority; `parent` has signed it, or it itself."""

    def __init__(self, parent: Optional[CA] = None, organization_name: str = 'A test', **others: Any) -> None:
        self._parent = parent
        subject = f'/O={organization_name}/OU=Testing CA #{next(_numbers)}'
        key, certificate = _make(subject, _AUTHORITY, parent)
        self.private_key_pem = Blob(key)
        self.cert_pem = Blob(certificate)

    def create_child_ca(self) -> CA:
        return CA(self)

    def issue_cert(
        self, *identities: str, common_name: Optional[str] = None, organization_name: str = 'A test', **others: Any
    ) -> LeafCert:
        subject = f'/O={organization_name}/OU=Testing cert #{next(_numbers)}' + (
            f'/CN={common_name}' if common_name else ''
        )
        names = ','.join(map(_alternative_name, identities))
        extensions = (
            'basicConstraints=critical,CA:FALSE',
            'keyUsage=critical,digitalSignature,keyEncipherment',
            'extendedKeyUsage=serverAuth,clientAuth',
            f'subjectAltName=critical,{names}',
        )
        key, certificate = _make(subject, extensions, self)
        return LeafCert(key, certificate, self._chain())

    issue_server_cert = issue_cert

    def _chain(self) -> list[bytes]:
        """Those between a certificate and the one that is trusted."""
        return [] if self._parent is None else [self.cert_pem.bytes(), *self._parent._chain()]

    def configure_trust(self, context: ssl.SSLContext) -> None:
        context.load_verify_locations(cadata=self.cert_pem.bytes().decode('ascii'))


def _alternative_name(identity: str) -> str:
    if '@' in identity:
        return f'email:{identity}'
    try:
        ipaddress.ip_address(identity)
    except ValueError:
        return f'DNS:{identity}'
    return f'IP:{identity}'


def _make(subject: str, extensions: tuple[str, ...], authority: Optional[CA]) -> tuple[bytes, bytes]:
    """A key and its certificate, in PEM."""
    with tempfile.TemporaryDirectory() as folder:
        command = ['openssl', 'req', '-x509', '-config', 'config', '-subj', subject, '-days', DAYS, '-keyout', 'key']
        command += ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-out', 'certificate']
        Path(folder, 'config').write_text('[req]\ndistinguished_name = name\n[name]\n')
        for extension in ('subjectKeyIdentifier=hash', *extensions):
            command += ['-addext', extension]
        if authority is not None:
            authority.private_key_pem.write_to_path(Path(folder, 'its key'))
            authority.cert_pem.write_to_path(Path(folder, 'its certificate'))
            command += ['-CA', 'its certificate', '-CAkey', 'its key', '-addext', 'authorityKeyIdentifier=keyid']
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
        return Path(folder, 'key').read_bytes(), Path(folder, 'certificate').read_bytes()
