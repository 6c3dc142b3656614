"""TLS of servers: client certificates, names, versions, what they agree to speak; against OpenSSL's own client, too."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
import trustme
from support import HANDSHAKE, TIMEOUT, Log, Waiter, end, read_all, read_head, server, url_of, wait_for

from ws import WebSocket, WebSocketServer


class Authority(NamedTuple):
    """One that has issued certificates for a server and a client, as options."""

    itself: trustme.CA
    ca: bytes
    server: dict[str, bytes]
    client: dict[str, bytes]


def _pair(issued: trustme.LeafCert) -> dict[str, bytes]:
    return {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}


def _authority() -> Authority:
    ca = trustme.CA()
    ann = ca.issue_cert('ann@example.org', common_name='ann', organization_name='Friends')
    return Authority(ca, ca.cert_pem.bytes(), _pair(ca.issue_cert('localhost', '127.0.0.1')), _pair(ann))


@pytest.fixture(scope='module')
def authority() -> Authority:
    return _authority()


@pytest.fixture(scope='module')
def stranger() -> Authority:
    """Another one, whom the server does not know."""
    return _authority()


def outcome(wss: WebSocketServer, authority: Authority, **options: Any) -> Any:
    """'open', or the error."""
    ws = WebSocket(url_of(wss, scheme='wss'), ca=authority.ca, closeTimeout=2000, **options)
    event = Log(ws, 'open', 'error').get()
    if event[0] == 'open':
        end(ws)
        return 'open'
    wait_for(ws, 'close')
    return event[1]


# -- client certificates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
def test_who_shows_a_certificate_is_let_in_and_known(authority: Authority, version: str) -> None:
    known = Waiter()

    def verify(info: Any) -> bool:
        known(info.req.socket.authorized, info.req.socket.authorizationError, info.req.socket.getPeerCertificate())
        return True

    with server(**authority.server, ca=authority.ca, requestCert=True, maxVersion=version, verifyClient=verify) as wss:
        wss.on('connection', lambda ws: known(ws._socket.getPeerCertificate().subject.CN))
        assert outcome(wss, authority, **authority.client) == 'open'
        authorized, problem, certificate = known.get()
        assert (authorized, problem) == (True, None)
        assert (certificate.subject.CN, certificate.subject.O) == ('ann', 'Friends')
        assert certificate.subjectaltname == 'email:ann@example.org'
        assert certificate.raw == ssl.PEM_cert_to_DER_cert(authority.client['cert'].decode())
        assert known.get() == ('ann',)


@pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
@pytest.mark.parametrize('who', ['nobody', 'a stranger'])
def test_others_are_refused(authority: Authority, stranger: Authority, version: str, who: str) -> None:
    with server(**authority.server, ca=authority.ca, requestCert=True, maxVersion=version) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        error = outcome(wss, authority, **(stranger.client if who == 'a stranger' else {}))
        assert isinstance(error, (ssl.SSLError, ConnectionResetError))
        assert (wss.metrics().connectionsTotal, wss.metrics().refused) == (0, {})


def test_one_of_several_authorities_will_do(authority: Authority, stranger: Authority) -> None:
    with server(**authority.server, ca=[stranger.ca, authority.ca], requestCert=True) as wss:
        wss.on('connection', print)
        assert outcome(wss, authority, **stranger.client) == 'open'
        assert outcome(wss, authority, **authority.client) == 'open'


def test_who_shows_none_may_be_let_in_and_who_shows_a_wrong_one_is_not(
    authority: Authority, stranger: Authority
) -> None:
    known = Waiter()
    options: dict[str, Any] = {'ca': authority.ca, 'requestCert': True, 'rejectUnauthorized': False}
    with server(**authority.server, **options) as wss:

        def connection(ws: Any, request: Any) -> None:
            known(request.socket.authorized, request.socket.authorizationError, request.socket.getPeerCertificate())

        wss.on('connection', connection)
        assert outcome(wss, authority) == 'open'
        assert known.get() == (False, 'UNABLE_TO_GET_ISSUER_CERT', {})
        assert outcome(wss, authority, **authority.client) == 'open'
        authorized, problem, certificate = known.get()
        assert (authorized, problem, certificate.subject.CN) == (True, None, 'ann')
        assert outcome(wss, authority, **stranger.client) != 'open'
        assert known.nothing(0)


def test_without_tls_there_is_no_certificate() -> None:
    with server() as wss:
        seen = Waiter()
        wss.on('connection', lambda ws: seen(ws._socket.getPeerCertificate(), ws._socket.authorizationError))
        ws = WebSocket(url_of(wss))
        assert seen.get() == ({}, None)
        end(ws)


def test_nobody_is_asked_for_one_by_default(authority: Authority) -> None:
    with server(**authority.server, ca=authority.ca) as wss:
        seen = Waiter()
        wss.on('connection', lambda ws: seen(ws._socket.authorized, dict(ws._socket.getPeerCertificate())))
        assert outcome(wss, authority, **authority.client) == 'open'
        assert seen.get() == (False, {})


# -- names ------------------------------------------------------------------------------------------------------------


class Names(NamedTuple):
    authority: Authority
    contexts: dict[str, ssl.SSLContext]


@pytest.fixture(scope='module')
def names(authority: Authority) -> Names:
    contexts = {}
    for name in ('one.example', 'two.example'):
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.itself.issue_cert(name).configure_cert(contexts[name])
    return Names(authority, contexts)


@contextlib.contextmanager
def by_name(names: Names, function: Callable[..., Any]) -> Iterator[WebSocketServer]:
    with server(**names.authority.server, SNICallback=function) as wss:
        wss.on('connection', print)
        yield wss


def shown_to(wss: WebSocketServer, name: Optional[str]) -> str:
    """The names in the certificate that a client is shown that asks for `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = wss.address()
    sock = socket.create_connection((address.address, address.port), TIMEOUT)  # type: ignore[union-attr]
    with sock, context.wrap_socket(sock, server_hostname=name) as connection:
        der = connection.getpeercert(True) or b''
        connection.sendall(HANDSHAKE % b'/')
        assert read_head(connection).startswith(b'HTTP/1.1 101 ')
    return next(known for known in (b'one.example', b'two.example', b'localhost') if known in der).decode()


@pytest.mark.parametrize('how', ['returned', 'called back'])
def test_each_name_has_its_certificate(names: Names, how: str) -> None:
    asked = Waiter()

    def returns(name: str) -> Optional[ssl.SSLContext]:
        asked(name)
        return names.contexts.get(name)

    def calls_back(name: str, callback: Any) -> None:
        callback(None, returns(name))

    with by_name(names, returns if how == 'returned' else calls_back) as wss:
        assert shown_to(wss, 'one.example') == 'one.example'
        assert shown_to(wss, 'two.example') == 'two.example'
        assert shown_to(wss, 'other.example') == 'localhost'
        assert shown_to(wss, None) == 'localhost'
        assert [asked.get()[0] for _ in range(3)] == ['one.example', 'two.example', 'other.example']
        assert asked.nothing(0)  # as in Node, who names nobody is not asked for
        port = wss.address().port  # type: ignore[union-attr]
        ws = WebSocket(f'wss://two.example:{port}', ca=names.authority.ca, lookup=lambda name: '127.0.0.1')
        wait_for(ws, 'open')
        end(ws)


def test_a_name_may_be_refused(names: Names) -> None:
    with by_name(names, lambda name, callback: callback(LookupError('unknown'))) as wss:
        error = outcome(wss, names.authority, servername='localhost')
        assert isinstance(error, ssl.SSLError)
        assert 'UNRECOGNIZED_NAME' in str(error).upper().replace(' ', '_')
        assert outcome(wss, names.authority) == 'open'  # no name


def _raises(name: str) -> None:
    raise LookupError(name)


@pytest.mark.parametrize(
    ('function', 'kind'),
    [(_raises, LookupError), (lambda name: 'a context', TypeError), (lambda name, callback: None, RuntimeError)],
)
def test_what_a_callback_does_wrong_is_reported(
    names: Names, function: Any, kind: type[BaseException], reported: list[BaseException]
) -> None:
    with by_name(names, function) as wss:
        assert isinstance(outcome(wss, names.authority, servername='localhost'), ssl.SSLError)
        assert [type(error) for error in reported] == [kind]
        reported.clear()
        assert outcome(wss, names.authority) == 'open'


def test_names_and_client_certificates(names: Names) -> None:
    """Each context has its own authorities."""
    authority = names.authority
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.itself.issue_cert('one.example').configure_cert(trusting)
    trusting.load_verify_locations(cadata=authority.ca.decode())
    chosen = {'one.example': trusting, 'two.example': names.contexts['two.example']}
    with server(**authority.server, ca=authority.ca, requestCert=True, SNICallback=chosen.get) as wss:
        known = Waiter()
        wss.on('connection', lambda ws: known(ws._socket.authorized, ws._socket.getPeerCertificate().subject.CN))
        assert outcome(wss, authority, **authority.client, servername='one.example') == 'open'
        assert known.get() == (True, 'ann')
        assert outcome(wss, authority, **authority.client, servername='two.example') != 'open'
        assert outcome(wss, authority, servername='one.example') != 'open'
        assert outcome(wss, authority, **authority.client) == 'open'


# -- context ----------------------------------------------------------------------------------------------------------


def test_a_context_as_it_is(authority: Authority, stranger: Authority) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.itself.issue_cert('127.0.0.1').configure_cert(context)
    authority.itself.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with server(context=context) as wss:
        wss.on('connection', print)
        assert outcome(wss, authority, **authority.client) == 'open'
        assert outcome(wss, authority, **stranger.client) != 'open'
        assert context.options & ssl.OP_NO_RENEGOTIATION


# -- versions and protocols, as OpenSSL's client sees them ------------------------------------------------------------

needs_openssl = pytest.mark.skipif(shutil.which('openssl') is None, reason='no openssl')


def s_client(wss: WebSocketServer, *arguments: object, text: str = '') -> str:
    """What ``openssl s_client`` says of a connection that it makes, sends `text` over, and ends."""
    port = wss.address().port  # type: ignore[union-attr]
    command = ['openssl', 's_client', '-connect', f'127.0.0.1:{port}', *map(str, arguments)]
    ended = subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False
    )
    return ended.stdout


@needs_openssl
def test_versions(authority: Authority) -> None:
    for limits, taken, refused in (
        ({'minVersion': 'TLSv1.3'}, '-tls1_3', '-tls1_2'),
        ({'maxVersion': 'TLSv1.2'}, '-tls1_2', '-tls1_3'),
    ):
        with server(**authority.server, **limits) as wss:
            wss.on('connection', print)
            assert 'Cipher is (NONE)' not in s_client(wss, taken)
            assert 'Cipher is (NONE)' in s_client(wss, refused)


@needs_openssl
@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_sessions_are_resumed(authority: Authority, tmp_path: Path, version: str) -> None:
    kept, request = tmp_path / 'session', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
    with server(**authority.server) as wss:
        wss.on('connection', print)
        assert '\nNew, TLSv1' in s_client(wss, version, '-sess_out', kept, '-ign_eof', text=request)
        assert '\nReused, TLSv1' in s_client(wss, version, '-sess_in', kept, '-ign_eof', text=request)


@needs_openssl
def test_http_1_1_is_agreed_upon(authority: Authority) -> None:
    with server(**authority.server) as wss:
        wss.on('connection', print)
        assert 'ALPN protocol: http/1.1' in s_client(wss, '-alpn', 'h2,http/1.1')
        for others in (['-alpn', 'h2'], []):
            assert 'No ALPN negotiated' in s_client(wss, *others)


def test_who_speaks_http_2_all_the_same_is_told(authority: Authority) -> None:
    context = ssl.create_default_context(cadata=authority.ca.decode())
    context.set_alpn_protocols(['h2'])
    with server(**authority.server) as wss:
        address = wss.address()
        sock = socket.create_connection((address.address, address.port), TIMEOUT)  # type: ignore[union-attr]
        with sock, context.wrap_socket(sock, server_hostname='localhost') as connection:
            assert connection.selected_alpn_protocol() is None
            connection.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
            assert read_all(connection).startswith(b'HTTP/1.1 ')
        assert list(wss.metrics().refused) in ([400], [505])


@needs_openssl
def test_a_client_certificate_by_openssl(authority: Authority, tmp_path: Path) -> None:
    for name, content in authority.client.items():
        (tmp_path / name).write_bytes(content)
    with server(**authority.server, ca=authority.ca, requestCert=True, maxVersion='TLSv1.2') as wss:
        wss.on('connection', print)
        shown = s_client(wss, '-cert', tmp_path / 'cert', '-key', tmp_path / 'key')
        assert 'Cipher is (NONE)' not in shown and 'alert' not in shown
        assert 'handshake failure' in s_client(wss)


@needs_openssl
def test_names_by_openssl(names: Names) -> None:
    with by_name(names, names.contexts.get) as wss:
        shown = s_client(wss, '-servername', 'two.example', '-showcerts')
        pem = shown[shown.index('-----BEGIN') : shown.index('-----END')] + '-----END CERTIFICATE-----\n'
        assert b'two.example' in ssl.PEM_cert_to_DER_cert(pem)
