"""Certificates as programs know them that come from Node."""

from __future__ import annotations

import hashlib
from typing import Any, Optional, Union

from ..options import Options

#: Python's names for what stands in a subject, and OpenSSL's, which are Node's. Others are the same in both.
_SHORT_NAMES = {
    'commonName': 'CN',
    'countryName': 'C',
    'domainComponent': 'DC',
    'localityName': 'L',
    'organizationName': 'O',
    'organizationalUnitName': 'OU',
    'stateOrProvinceName': 'ST',
    'userId': 'UID',
}


class Certificate(Options):
    """What ``getPeerCertificate`` returns, and ``checkServerIdentity`` gets. Beside these items, there is what
    ``getpeercert()`` of :mod:`ssl` has. Of a certificate that nobody has verified there are only the last three; it is
    empty if there is none.
    """

    __slots__ = ()
    #: By short names: ``CN``, ``O``, ``OU``. A list of what is there more than once.
    subject: Options
    issuer: Options
    #: ``'DNS:example.org, IP Address:192.0.2.1'``
    subjectaltname: str
    valid_from: str
    valid_to: str
    serialNumber: str
    #: In DER.
    raw: bytes
    #: SHA-1 and SHA-256 of `raw`: ``'AB:CD:…'``.
    fingerprint: str
    fingerprint256: str


def describe_certificate(decoded: Optional[dict[str, Any]], der: Optional[bytes]) -> Certificate:
    """What ``getpeercert()`` of :mod:`ssl` says of a certificate, with ``subject`` and ``issuer`` as Node has them, and
    what Node has besides. Of one that nobody has verified there is only ``raw`` and the fingerprints; of none, nothing.
    """
    if not der:
        return Certificate()
    found = Certificate(decoded or {})
    for who in ('subject', 'issuer'):
        if who in found:
            found[who] = _name(found[who])
    for ours, pythons in ('valid_from', 'notBefore'), ('valid_to', 'notAfter'):
        if pythons in found:
            found[ours] = found[pythons]
    if 'subjectAltName' in found:
        found['subjectaltname'] = ', '.join(f'{kind}:{name}' for kind, name in found['subjectAltName'])
    found.update(raw=der, fingerprint=_fingerprint('sha1', der), fingerprint256=_fingerprint('sha256', der))
    return found


def _name(parts: tuple[tuple[tuple[str, str], ...], ...]) -> Options:
    """``{'CN': 'ann', 'OU': ['a', 'b']}``: a list of what is there more than once."""
    name = Options()
    for key, value in (pair for part in parts for pair in part):
        short = _SHORT_NAMES.get(key, key)
        name[short] = value if short not in name else [*_listed(name[short]), value]
    return name


def _listed(value: Union[str, list[str]]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _fingerprint(algorithm: str, der: bytes) -> str:
    return hashlib.new(algorithm, der).digest().hex(':').upper()
