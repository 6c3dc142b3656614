"""TLS of clients: context, servername, checkServerIdentity, versions, and what they tell the server."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import pytest
import trustme
from support import TIMEOUT, Log, Waiter, echo_server, end, read_all, server, url_of, wait_for

from ws import WebSocket, WebSocketServer


class Site(NamedTuple):
    authority: trustme.CA
    ca: bytes
    server: dict[str, bytes]


@pytest.fixture(scope='module')
def site() -> Site:
    """For localhost, and 127.0.0.1, and chat.example."""
    authority = trustme.CA()
    issued = authority.issue_cert('localhost', '127.0.0.1', 'chat.example')
    pair = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
    return Site(authority, authority.cert_pem.bytes(), pair)


@pytest.fixture
def wss(site: Site) -> Iterator[WebSocketServer]:
    with echo_server(**site.server) as made:
        yield made


def secure(wss: WebSocketServer, host: str = '127.0.0.1', **options: Any) -> WebSocket:
    port = wss.address().port  # type: ignore[union-attr]
    return WebSocket(f'wss://{host}:{port}', lookup=lambda name: '127.0.0.1', closeTimeout=2000, **options)


def echoes(ws: WebSocket) -> None:
    log = Log(ws, 'open', 'message', 'error')
    assert log.get() == ('open',)
    ws.send('hi')
    assert log.get()[:2] == ('message', 'hi')
    end(ws)


def failure(ws: WebSocket) -> BaseException:
    (kind, error), close = Log(ws, 'open', 'error', 'close').until('close')
    assert (kind, close) == ('error', ('close', 1006, ''))
    assert isinstance(error, BaseException)
    return error


class Hello(NamedTuple):
    """What a client says before there is any encryption."""

    server_name: Optional[str]
    protocol: Optional[str]
    version: Optional[str]


@contextlib.contextmanager
def listener(site: Site, protocols: list[str], **limits: Any) -> Iterator[tuple[int, Waiter]]:
    """A TLS server of Python's for one connection, and what it learns from the client's hello."""
    heard, names = Waiter(), Waiter()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    site.authority.issue_cert('localhost', '127.0.0.1', 'chat.example').configure_cert(context)
    context.set_alpn_protocols(protocols)
    context.sni_callback = lambda connection, name, default: names(name)
    for name, value in limits.items():
        setattr(context, name, value)

    def serve() -> None:
        sock, _ = listening.accept()
        sock.settimeout(TIMEOUT)
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as connection:
            (name,) = names.get()
            heard(Hello(name, connection.selected_alpn_protocol(), connection.version()))
            read_all(connection)

    with socket.create_server(('127.0.0.1', 0)) as listening:
        listening.settimeout(TIMEOUT)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], heard
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def hello_of(site: Site, host: str, protocols: list[str], **options: Any) -> Hello:
    with listener(site, protocols) as (port, heard):
        ws = WebSocket(f'wss://{host}:{port}', {'lookup': lambda name: '127.0.0.1', **options})
        (hello,) = heard.get()
        assert isinstance(hello, Hello)
        ws.terminate()
        return hello


# -- what the server is told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('host', 'options', 'name'),
    [
        ('chat.example', {}, 'chat.example'),
        ('chat.example.', {}, 'chat.example'),
        ('127.0.0.1', {}, None),
        ('127.0.0.1', {'servername': 'localhost'}, 'localhost'),
        ('other.example', {'servername': 'chat.example'}, 'chat.example'),
        ('127.0.0.1', {'servername': ''}, None),
        ('chat.example', {'servername': '', 'rejectUnauthorized': False}, None),
        ('chat.example', {'servername': '', 'checkServerIdentity': lambda name, certificate: None}, None),
    ],
)
def test_the_name_it_is_told(site: Site, host: str, options: Any, name: Optional[str]) -> None:
    assert hello_of(site, host, ['http/1.1'], ca=site.ca, **options).server_name == name


def test_http_1_1_is_what_it_is_told_to_speak(site: Site) -> None:
    assert hello_of(site, 'localhost', ['http/1.1'], ca=site.ca).protocol == 'http/1.1'
    assert hello_of(site, 'localhost', ['h2', 'http/1.1'], ca=site.ca).protocol == 'http/1.1'
    assert hello_of(site, 'localhost', ['h2'], ca=site.ca).protocol is None


@pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
def test_versions(site: Site, version: str) -> None:
    assert hello_of(site, 'localhost', [], ca=site.ca, minVersion=version, maxVersion=version).version == version


def test_a_server_of_another_version(site: Site) -> None:
    with listener(site, [], maximum_version=ssl.TLSVersion.TLSv1_2) as (port, _):
        error = failure(WebSocket(f'wss://127.0.0.1:{port}', ca=site.ca, minVersion='TLSv1.3'))
        assert isinstance(error, ssl.SSLError)


# -- servername -------------------------------------------------------------------------------------------------------


def test_the_name_that_is_verified(wss: WebSocketServer, site: Site) -> None:
    echoes(secure(wss, 'other.example', ca=site.ca, servername='chat.example'))
    error = failure(secure(wss, 'chat.example', ca=site.ca, servername='other.example'))
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert 'other.example' in str(error)
    echoes(secure(wss, '127.0.0.1', ca=site.ca, servername=''))  # by its address


def test_none_leaves_nothing_to_verify() -> None:
    for options in {}, {'context': ssl.create_default_context()}:  # type: ignore[var-annotated]
        with pytest.raises(ValueError, match=r"^servername '' leaves no name to verify the server by: "):
            WebSocket('wss://chat.example', options, servername='')
    error = failure(WebSocket('wss://127.0.0.1:1', servername=''))
    assert isinstance(error, ConnectionRefusedError)


def test_a_name_that_is_none(wss: WebSocketServer, site: Site) -> None:
    assert isinstance(failure(secure(wss, ca=site.ca, servername='.example')), ValueError)


# -- checkServerIdentity ----------------------------------------------------------------------------------------------


def test_it_is_asked_in_place_of_the_usual_check(wss: WebSocketServer, site: Site) -> None:
    asked = Waiter()
    ws = secure(wss, 'other.example', ca=site.ca, checkServerIdentity=asked)
    echoes(ws)
    name, certificate = asked.get()
    assert name == 'other.example'
    assert ('DNS', 'chat.example') in certificate['subjectAltName']
    assert 'DNS:chat.example' in certificate.subjectaltname
    assert certificate.raw == ssl.PEM_cert_to_DER_cert(site.server['cert'].decode())
    echoes(secure(wss, ca=site.ca, servername='chat.example', checkServerIdentity=asked))
    assert asked.get()[0] == 'chat.example'


def test_what_it_returns_is_the_error_and_nothing_is_sent(site: Site) -> None:
    class NotMine(Exception):
        pass

    with server(**site.server) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        objection = NotMine('another key')
        assert failure(secure(wss, ca=site.ca, checkServerIdentity=lambda name: objection)) is objection
        assert wss.metrics().connectionsTotal == 0


def test_what_it_raises_is_the_error(wss: WebSocketServer, site: Site) -> None:
    def check(name: str, certificate: Any) -> None:
        raise LookupError(certificate.fingerprint256)

    error = failure(secure(wss, ca=site.ca, checkServerIdentity=check))
    assert isinstance(error, LookupError)
    assert len(str(error)) == 95


@pytest.mark.parametrize('answer', [True, False, 'wrong'])
def test_what_is_no_answer_is_no_consent(wss: WebSocketServer, site: Site, answer: Any) -> None:
    error = failure(secure(wss, ca=site.ca, checkServerIdentity=lambda: answer))
    assert isinstance(error, TypeError)
    assert str(error).startswith('checkServerIdentity must return None, or an exception that says what is wrong, not ')


def test_the_authority_is_verified_all_the_same(wss: WebSocketServer) -> None:
    error = failure(secure(wss, checkServerIdentity=lambda name: pytest.fail('asked')))
    assert isinstance(error, ssl.SSLCertVerificationError)


def test_without_verification_nobody_is_asked(wss: WebSocketServer) -> None:
    echoes(secure(wss, rejectUnauthorized=False, checkServerIdentity=lambda name: ValueError('asked')))


def test_it_may_give_up(wss: WebSocketServer, site: Site) -> None:
    closing: list[WebSocket] = []
    begin = threading.Event()

    def check(name: str) -> None:
        begin.wait(TIMEOUT)
        closing[0].terminate()

    closing.append(secure(wss, ca=site.ca, checkServerIdentity=check))
    log = Log(closing[0], 'open', 'error', 'close')
    begin.set()
    assert [event[0] for event in log.until('close')] == ['error', 'close']  # given up while connecting
    assert log.nothing(0.02)


def test_also_of_what_an_agent_has_made(wss: WebSocketServer, site: Site) -> None:
    context = ssl.create_default_context()
    site.authority.configure_trust(context)

    def agent(request: Any, options: Any) -> socket.socket:
        sock = socket.create_connection((options.host, options.port), timeout=TIMEOUT)
        return context.wrap_socket(sock, server_hostname=options.host)

    asked = Waiter()
    echoes(WebSocket(url_of(wss, scheme='wss'), agent=agent, checkServerIdentity=asked))
    assert asked.get()[1].issuer
    ws = WebSocket(url_of(wss, scheme='wss'), agent=agent, checkServerIdentity=lambda: ValueError('another key'))
    assert str(failure(ws)) == 'another key'


# -- context ----------------------------------------------------------------------------------------------------------


def test_a_context_as_it_is(wss: WebSocketServer, site: Site) -> None:
    context = ssl.create_default_context()
    site.authority.configure_trust(context)
    before = context.verify_mode, context.check_hostname, context.minimum_version, context.maximum_version
    echoes(secure(wss, context=context))
    assert isinstance(failure(secure(wss, 'other.example', context=context)), ssl.SSLCertVerificationError)
    echoes(secure(wss, 'other.example', context=context, servername='chat.example'))
    assert (context.verify_mode, context.check_hostname, context.minimum_version, context.maximum_version) == before
    assert isinstance(failure(secure(wss, context=ssl.create_default_context())), ssl.SSLCertVerificationError)


def test_a_context_and_a_check_verify_both(wss: WebSocketServer, site: Site) -> None:
    context = ssl.create_default_context()
    site.authority.configure_trust(context)
    error = failure(secure(wss, context=context, checkServerIdentity=lambda: ValueError('another key')))
    assert str(error) == 'another key'
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pinned.check_hostname, pinned.verify_mode = False, ssl.CERT_NONE
    asked = Waiter()
    echoes(secure(wss, context=pinned, checkServerIdentity=asked))
    assert asked.get()[1].raw == ssl.PEM_cert_to_DER_cert(site.server['cert'].decode())


def test_no_context_renegotiates() -> None:
    """A write would have to wait for what the peer sends."""
    context = ssl.create_default_context()
    failure(WebSocket('wss://127.0.0.1:1', context=context))
    assert context.options & ssl.OP_NO_RENEGOTIATION


# -- the socket -------------------------------------------------------------------------------------------------------


def test_the_certificate_of_a_server(wss: WebSocketServer, site: Site) -> None:
    for options, verified in ({'ca': site.ca}, True), ({'rejectUnauthorized': False}, False):
        ws = secure(wss, **options)  # type: ignore[arg-type]
        wait_for(ws, 'open')
        sock = ws._socket
        assert sock is not None and sock.authorized is verified
        assert sock.authorizationError == (None if verified else 'UNABLE_TO_GET_ISSUER_CERT')
        certificate = sock.getPeerCertificate()
        assert certificate.raw == ssl.PEM_cert_to_DER_cert(site.server['cert'].decode())
        assert ('subject' in certificate) is verified
        end(ws)
        assert not sock.getPeerCertificate() and not sock.authorized
