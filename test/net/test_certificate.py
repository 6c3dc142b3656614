"""Certificates as Node shows them."""

from __future__ import annotations

import datetime
import hashlib
import ssl

import pytest
import trustme
from streams import in_thread, tcp_pair

from ws.net.certificate import describe_certificate


def test_none() -> None:
    assert describe_certificate(None, None) == {}
    assert not describe_certificate({}, b'')


def test_of_one_that_nobody_has_verified_there_is_little() -> None:
    shown = describe_certificate({}, b'der')
    assert shown == {
        'raw': b'der',
        'fingerprint': hashlib.sha1(b'der').digest().hex(':').upper(),
        'fingerprint256': hashlib.sha256(b'der').digest().hex(':').upper(),
    }


@pytest.fixture(scope='module')
def decoded() -> tuple[dict[str, object], bytes]:
    """What Python says of a certificate of its peer's."""
    pytest.importorskip('cryptography')
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority = trustme.CA(organization_name='An Authority')
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        (x509.NameOID.COUNTRY_NAME, 'DE'),
        (x509.NameOID.ORGANIZATION_NAME, 'An Organization'),
        (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, 'one'),
        (x509.NameOID.ORGANIZATIONAL_UNIT_NAME, 'two'),
        (x509.NameOID.COMMON_NAME, 'ann'),
        (x509.NameOID.EMAIL_ADDRESS, 'ann@example.org'),
    ]
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signing = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(*name) for name in names]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(0xABCDEF)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName('ann.example'), x509.DNSName('b.example')]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)  # type: ignore[arg-type]
        .sign(signing, hashes.SHA256())  # type: ignore[arg-type]
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = made.public_bytes(serialization.Encoding.PEM)
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, *plain)
    trustme.LeafCert(private, pem, []).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    near, far = tcp_pair()
    with in_thread(lambda: server.wrap_socket(near, server_side=True)) as shaken:
        sock = client.wrap_socket(far, server_hostname='ann.example')
        shaken().close()
        with sock:
            return sock.getpeercert() or {}, sock.getpeercert(True) or b''


def test_one_by_nodes_names_and_pythons(decoded: tuple[dict[str, object], bytes]) -> None:
    pythons, der = decoded
    shown = describe_certificate(*decoded)
    assert shown.subject == {
        'C': 'DE', 'O': 'An Organization', 'OU': ['one', 'two'], 'CN': 'ann', 'emailAddress': 'ann@example.org'
    }  # fmt: skip
    assert (shown.subject.CN, shown.issuer.O) == ('ann', 'An Authority')
    assert shown.serialNumber == 'ABCDEF'
    assert shown.subjectaltname == 'DNS:ann.example, DNS:b.example'
    assert shown.valid_to == pythons['notAfter'] and shown.valid_from == pythons['notBefore']
    assert shown.raw == der
    assert len(shown.fingerprint256) == 95
    assert pythons.keys() <= shown.keys()
    assert pythons['subject'] != shown.subject  # what Python said is not written to
