"""The contexts that PEM and PKCS#12 options describe."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from scripts import Scripts
from streams import in_thread, tcp_pair
from support import PYTHONPATH, TIMEOUT

from ws.net.tls_context import client_context, server_context


@pytest.fixture(scope='module')
def certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert('localhost')


def chain_of(certificate: trustme.LeafCert) -> bytes:
    return b''.join(pem.bytes() for pem in certificate.cert_chain_pems)


def encrypted_key(certificate: trustme.LeafCert, passphrase: bytes) -> bytes:
    serialization = pytest.importorskip('cryptography.hazmat.primitives.serialization')
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )


def authorities_of(context: ssl.SSLContext) -> int:
    return len(context.get_ca_certs())


def shakes_hands(server: ssl.SSLContext, client: ssl.SSLContext, host: str = 'localhost') -> bool:
    near, far = tcp_pair()

    def serve() -> None:
        try:
            server.wrap_socket(near, server_side=True).close()
        except OSError:
            near.close()

    with in_thread(serve):
        try:
            with client.wrap_socket(far, server_hostname=host) as sock:
                sock.do_handshake()
            return True
        except ssl.SSLError:
            return False
        finally:
            far.close()


@pytest.mark.parametrize('kind', [bytes, str, bytearray])
def test_pem_may_be_text_or_bytes(authority: trustme.CA, certificate: trustme.LeafCert, kind: type) -> None:
    def given(pem: bytes) -> Any:
        return pem.decode() if kind is str else kind(pem)

    server = server_context(given(chain_of(certificate)), given(certificate.private_key_pem.bytes()))
    client = client_context(ca=given(authority.cert_pem.bytes()))
    assert shakes_hands(server, client)
    assert not shakes_hands(server, client, host='other.example')
    assert not shakes_hands(server, client_context())
    assert shakes_hands(server, client_context(reject_unauthorized=False))
    assert shakes_hands(server, client_context(ca=given(trustme.CA().cert_pem.bytes()), reject_unauthorized=False))


def test_several_authorities(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    other = trustme.CA()
    server = server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    pems = [other.cert_pem.bytes(), authority.cert_pem.bytes()]
    many: list[Any] = [pems, tuple(pems), [pem.decode() for pem in pems], [pems[0], pems[1].decode()], b'\n'.join(pems)]
    for given in many:
        context = client_context(ca=given)
        assert authorities_of(context) == 2  # and not the system's
        assert shakes_hands(server, context)
    assert not shakes_hands(server, client_context(ca=[other.cert_pem.bytes()]))


@pytest.mark.parametrize('kind', [bytes, str])
def test_authorities_may_have_comments_in_any_language(authority: trustme.CA, kind: type) -> None:
    """The bundles that people pass have them."""
    pem = '# Issuer: F\u0151tan\u00fas\u00edtv\u00e1ny\n' + authority.cert_pem.bytes().decode()
    given = pem if kind is str else pem.encode()
    assert authorities_of(client_context(ca=given)) == 1


@pytest.mark.parametrize('none', ['', b'', [], ()])
def test_no_authority_is_not_any_authority(none: Any) -> None:
    with pytest.raises(ValueError, match='ca'):
        client_context(ca=none)


@pytest.mark.parametrize('given', [5, [5], {'a': 1}, object()])
def test_other_types_are_refused(given: Any, certificate: trustme.LeafCert) -> None:
    wanted = r'must be a str or bytes, the contents of a PEM file, or the pathlib\.Path of one'
    with pytest.raises(TypeError, match=f'^ca {wanted}, or a list of these, not (int|dict|object)$'):
        client_context(ca=given)
    with pytest.raises(TypeError, match=f'^cert {wanted}, not (int|list|dict|object)$'):
        server_context(given, certificate.private_key_pem.bytes())
    with pytest.raises(TypeError, match=f'^key {wanted}, not (int|list|dict|object)$'):
        client_context(cert=chain_of(certificate), key=given)
    with pytest.raises(TypeError, match=r'^passphrase must be a str or bytes, not '):
        server_context(chain_of(certificate), certificate.private_key_pem.bytes(), given)
    with pytest.raises(TypeError, match=r'^ciphers must be a str, not '):
        client_context(ciphers=given)


@pytest.mark.parametrize('name', ['cert.pem', '/etc/ssl/private', './key', 'C:\\keys\\key.pem', 'a certificate.crt'])
@pytest.mark.parametrize('kind', [str, str.encode])
def test_a_file_name_is_no_contents(name: str, kind: Any, certificate: trustme.LeafCert) -> None:
    chain, key, given = chain_of(certificate), certificate.private_key_pem.bytes(), kind(name)
    text = r'must be the contents of a PEM file; if it is a name, give pathlib\.Path\(name\)'
    with pytest.raises(ValueError, match=f'^ca {text}$'):
        client_context(ca=given)
    with pytest.raises(ValueError, match=f'^ca {text}$'):
        client_context(ca=[chain, given])
    for make in (client_context, server_context):
        with pytest.raises(ValueError, match=f'^cert {text}$'):
            make(cert=given, key=key)
        with pytest.raises(ValueError, match=f'^key {text}$'):
            make(cert=chain, key=given)


def test_a_path_is_read(authority: trustme.CA, certificate: trustme.LeafCert, tmp_path: Path) -> None:
    ca, cert, key = (tmp_path / name for name in ('ca', 'cert', 'key'))
    authority.cert_pem.write_to_path(ca)
    cert.write_bytes(chain_of(certificate))
    certificate.private_key_pem.write_to_path(key)
    assert authorities_of(client_context(ca=ca)) == authorities_of(client_context(ca=[ca])) == 1
    assert shakes_hands(server_context(cert, key), client_context(ca=ca))
    pfx = tmp_path / 'pfx'
    pfx.write_bytes(pfx_of(certificate, b'secret'))
    assert shakes_hands(server_context(pfx=pfx, passphrase='secret'), client_context(ca=ca))


@pytest.mark.parametrize('option', ['ca', 'cert', 'key', 'pfx'])
def test_a_path_to_nowhere(option: str, certificate: trustme.LeafCert, tmp_path: Path) -> None:
    if option == 'pfx':
        pytest.importorskip('cryptography')
    given = {'cert': chain_of(certificate), 'key': certificate.private_key_pem.bytes()} if option != 'pfx' else {}
    with pytest.raises(FileNotFoundError, match='nowhere'):
        client_context(**{**given, option: tmp_path / 'nowhere'})


def test_rubbish_is_refused(certificate: trustme.LeafCert) -> None:
    with pytest.raises(ssl.SSLError):
        client_context(ca='no certificate')
    with pytest.raises(ssl.SSLError):
        server_context('no certificate', certificate.private_key_pem.bytes())
    with pytest.raises(ssl.SSLError):
        server_context(chain_of(certificate), trustme.CA().issue_cert('localhost').private_key_pem.bytes())


def test_certificate_and_key_belong_together(certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
    for cert, private_key in ((chain, None), (None, key)):
        with pytest.raises(ValueError, match='cert and key belong together'):
            client_context(cert=cert, key=private_key)
        with pytest.raises(ValueError, match='cert and key belong together'):
            server_context(cert, private_key)


def test_a_client_s_certificate(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3, the client's handshake ends before it is refused
    ca, chain, key = authority.cert_pem.bytes(), chain_of(certificate), certificate.private_key_pem.bytes()
    assert shakes_hands(server, client_context(ca=ca, cert=chain, key=key))
    assert not shakes_hands(server, client_context(ca=ca))


def test_an_encrypted_key(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), encrypted_key(certificate, b'secret')
    for passphrase in (b'secret', 'secret'):
        server = server_context(chain, key, passphrase)
        assert shakes_hands(server, client_context(ca=authority.cert_pem.bytes()))
        client_context(cert=chain, key=key, passphrase=passphrase)
    for wrong in (b'wrong', '', None):
        with pytest.raises(ssl.SSLError):
            server_context(chain, key, wrong)
    with pytest.raises(ValueError):
        server_context(chain, key, 'x' * 5000)


def test_a_passphrase_for_a_key_that_needs_none_does_no_harm(certificate: trustme.LeafCert) -> None:
    server_context(chain_of(certificate), certificate.private_key_pem.bytes(), 'not needed')


def pfx_of(certificate: trustme.LeafCert, passphrase: Optional[bytes] = None, leave_out: str = '') -> bytes:
    serialization = pytest.importorskip('cryptography.hazmat.primitives.serialization')
    pkcs12 = pytest.importorskip('cryptography.hazmat.primitives.serialization.pkcs12')
    load_pem_x509_certificate = pytest.importorskip('cryptography.x509').load_pem_x509_certificate
    certs = [load_pem_x509_certificate(pem.bytes()) for pem in certificate.cert_chain_pems]
    key: Any = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(
        b'name',
        None if leave_out == 'key' else key,
        None if leave_out == 'certificate' else certs[0],
        certs[1:] if leave_out != 'certificate' else None,
        encryption,
    )


@pytest.mark.parametrize('passphrase', [None, 'secret', b'secret', 'grün'])
def test_pfx(passphrase: Any) -> None:
    """With the certificates in between: the peer knows the root only."""
    root = trustme.CA()
    certificate = root.create_child_ca().issue_cert('localhost')
    pfx = pfx_of(certificate, passphrase.encode() if isinstance(passphrase, str) else passphrase)
    ca = root.cert_pem.bytes()
    assert shakes_hands(server_context(pfx=pfx, passphrase=passphrase), client_context(ca=ca))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    root.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3, the client's handshake ends before it is refused
    assert shakes_hands(server, client_context(ca=ca, pfx=bytearray(pfx), passphrase=passphrase))
    assert not shakes_hands(server, client_context(ca=ca))


@pytest.mark.skipif(shutil.which('openssl') is None, reason='there is no openssl command')
def test_pfx_made_by_openssl(certificate: trustme.LeafCert, authority: trustme.CA, tmp_path: Path) -> None:
    pytest.importorskip('cryptography')
    for name, pem in (('cert', chain_of(certificate)), ('key', certificate.private_key_pem.bytes())):
        (tmp_path / name).write_bytes(pem)
    command = 'openssl pkcs12 -export -in cert -inkey key -out pfx -passout pass:secret'
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=TIMEOUT)
    context = server_context(pfx=(tmp_path / 'pfx').read_bytes(), passphrase='secret')
    assert shakes_hands(context, client_context(ca=authority.cert_pem.bytes()))


@pytest.mark.parametrize('make', [client_context, server_context])
class TestPfxThatCannotBeUsed:
    @pytest.mark.parametrize('wrong', [None, '', 'wrong', b'wrong'])
    def test_wrong_passphrase(self, certificate: trustme.LeafCert, make: Any, wrong: Any) -> None:
        with pytest.raises(ValueError, match=r'^pfx cannot be opened: '):
            make(pfx=pfx_of(certificate, b'secret'), passphrase=wrong)

    @pytest.mark.parametrize('rubbish', [b'', b'rubbish', bytes(1000), bytearray(b'x')])
    def test_rubbish(self, make: Any, rubbish: Any) -> None:
        pytest.importorskip('cryptography')
        with pytest.raises(ValueError, match=r'^pfx cannot be opened: '):
            make(pfx=rubbish)

    @pytest.mark.parametrize('given', ['file.pfx', 5, [b'']])
    def test_other_types(self, make: Any, given: Any) -> None:
        text = r'^pfx must be bytes, the contents of a PKCS#12 file, or the pathlib\.Path of one, not '
        with pytest.raises(TypeError, match=text + f'{type(given).__name__}$'):
            make(pfx=given)

    @pytest.mark.parametrize('missing', ['key', 'certificate'])
    def test_half_of_it(self, certificate: trustme.LeafCert, make: Any, missing: str) -> None:
        with pytest.raises(ValueError, match=f'^pfx holds no {missing}$'):
            make(pfx=pfx_of(certificate, b'secret', leave_out=missing), passphrase='secret')

    def test_with_cert_or_key(self, certificate: trustme.LeafCert, make: Any) -> None:
        chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
        for both in ({'cert': chain}, {'key': key}, {'cert': chain, 'key': key}):
            with pytest.raises(ValueError, match=r'^pfx takes the place of cert and key'):
                make(pfx=pfx_of(certificate), **both)

    def test_without_the_package(
        self, certificate: trustme.LeafCert, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pfx = pfx_of(certificate)
        monkeypatch.setitem(sys.modules, 'cryptography.hazmat.primitives.serialization', None)
        with pytest.raises(ModuleNotFoundError, match=r'pip install cryptography; .* openssl pkcs12 -in FILE -nodes'):
            make(pfx=pfx)


def test_the_package_for_pfx_is_imported_only_when_it_is_used(script: Scripts) -> None:
    child = script('import sys, ws; sys.exit("cryptography" in sys.modules)')
    assert child.end() == (0, '', '')


def test_nobody_is_asked_for_a_passphrase(certificate: trustme.LeafCert) -> None:
    """OpenSSL would, and stop the whole process."""
    script = """
        import ssl, sys
        from ws.net.tls_context import server_context

        try:
            server_context(sys.argv[1], sys.argv[2])
        except ssl.SSLError:
            print('refused')
    """
    child = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script), chain_of(certificate), encrypted_key(certificate, b'secret')],
        input='secret\n',
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        start_new_session=True,  # no terminal: it would ask on stderr, and read the answer from stdin
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )
    assert (child.stdout, child.stderr) == ('refused\n', '')


def test_keys_do_not_stay_on_the_disk(
    certificate: trustme.LeafCert, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    modes: list[int] = []
    load = ssl.SSLContext.load_cert_chain

    def look(self: ssl.SSLContext, cert: str, key: str, password: Any) -> None:
        modes.extend(os.stat(name).st_mode & 0o777 for name in (cert, key, os.path.dirname(key)))
        load(self, cert, key, password)

    monkeypatch.setattr(ssl.SSLContext, 'load_cert_chain', look)
    server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    with pytest.raises(ssl.SSLError):
        server_context('rubbish', 'rubbish')
    assert modes == [0o600, 0o600, 0o700] * 2
    assert list(tmp_path.iterdir()) == []


def test_ciphers(authority: trustme.CA, certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
    server = server_context(chain, key, ciphers='ECDHE-ECDSA-AES128-GCM-SHA256')
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    ca = authority.cert_pem.bytes()
    assert shakes_hands(server, client_context(ca=ca))
    assert not shakes_hands(server, client_context(ca=ca, ciphers='ECDHE-ECDSA-AES256-GCM-SHA384'))
    with pytest.raises(ssl.SSLError):
        client_context(ciphers='no such thing')


def test_the_usual_contexts_are_made_once() -> None:
    """Reading the system's authorities takes long."""
    strict, lax = client_context(), client_context(reject_unauthorized=False)
    assert client_context() is strict
    assert client_context(reject_unauthorized=False) is lax
    assert strict.verify_mode is ssl.CERT_REQUIRED and strict.check_hostname
    assert lax.verify_mode is ssl.CERT_NONE and not lax.check_hostname


def test_old_versions_are_refused(certificate: trustme.LeafCert) -> None:
    server = server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    for context in (server, client_context(), client_context(ciphers='HIGH')):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2  # RFC 8996


def test_no_context_renegotiates(certificate: trustme.LeafCert) -> None:
    """A write would have to wait for what the peer sends."""
    server = server_context(chain_of(certificate), certificate.private_key_pem.bytes())
    for context in (server, client_context(), client_context(ciphers='HIGH')):
        assert context.options & ssl.OP_NO_RENEGOTIATION


def test_threads_may_make_contexts_at_once(certificate: trustme.LeafCert) -> None:
    chain, key = chain_of(certificate), certificate.private_key_pem.bytes()
    problems: list[BaseException] = []

    def make() -> None:
        try:
            for _ in range(5):
                server_context(chain, key)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
