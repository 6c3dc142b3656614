"""``ProxyAgent``: through little proxies of ours, and through squid, Dante and microsocks."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest
import trustme
from proxies import KNOWN, Squid, connect_proxy, dante, listening, microsocks, proxy_variables, relay, squid
from support import TIMEOUT, Log, Waiter, client, echo_server, end, read_all, read_head, server, until, url_of, wait_for

from ws import ProxyAgent, ProxyError, WebSocket, WebSocketServer
from ws.client import connecting
from ws.net import pipe
from ws.net.workers import Workers

CONTEXT = ssl.create_default_context()
OPTIONS: dict[str, Any] = {'closeTimeout': 2000}


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope='module')
def ca(authority: trustme.CA) -> bytes:
    pem: bytes = authority.cert_pem.bytes()
    return pem


@pytest.fixture(scope='module')
def through_squid(authority: trustme.CA) -> Iterator[Squid]:
    with squid(authority) as running:
        yield running


@pytest.fixture(scope='module')
def through_dante() -> Iterator[str]:
    with dante() as address:
        yield address


@pytest.fixture(scope='module')
def through_microsocks() -> Iterator[str]:
    with microsocks() as address:
        yield address


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    """In which there is no word of a proxy, yet."""
    with proxy_variables() as patch:
        yield patch


def tls(authority: trustme.CA, name: str = 'localhost') -> dict[str, Any]:
    """Options of a server with a certificate for `name`."""
    issued = authority.issue_cert(name)
    return {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}


def tls_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    return context


def echoes(ws: WebSocket) -> None:
    log = Log(ws, 'open', 'message', 'error')
    assert log.get() == ('open',)
    for message in 'hi', b'\0' * 100_000:
        ws.send(message)
        assert log.get()[:2] == ('message', message)
    assert end(ws, 'close', 1000) == (1000, '')


def fails(ws: WebSocket) -> Any:
    """What the ``error`` event has."""
    log = Log(ws)
    name, error = log.get()
    assert name == 'error'
    assert log.get() == ('close', 1006, '')
    return error


def named(wss: WebSocketServer, scheme: str = 'ws') -> str:
    """The server's URL with a name in it."""
    return url_of(wss, scheme=scheme).replace('127.0.0.1', 'localhost')


# -- through little proxies -------------------------------------------------------------------------------------------


def test_http() -> None:
    with connect_proxy() as proxy, echo_server() as wss:
        agent = ProxyAgent(f'http://me:secret@{proxy.address}')
        for url in url_of(wss), named(wss):
            echoes(WebSocket(url, agent=agent, **OPTIONS))
        targets = [url.partition('://')[2].strip('/') for url in (url_of(wss), named(wss))]
        assert proxy.requests == [(target, 'Basic bWU6c2VjcmV0') for target in targets]


def test_ipv6() -> None:
    with connect_proxy() as proxy, echo_server(host='::1') as wss:
        wait_for(wss, 'listening')
        port = wss.address().port  # type: ignore[union-attr]
        echoes(WebSocket(f'ws://[::1]:{port}', agent=ProxyAgent(proxy.address), **OPTIONS))
        assert proxy.requests == [(f'[::1]:{port}', '')]


@pytest.mark.parametrize('secure', [False, True])
def test_tls_to_the_proxy_and_in_it(authority: trustme.CA, ca: bytes, secure: bool) -> None:
    material = tls(authority) if secure else {}
    with connect_proxy(tls_context(authority)) as proxy, echo_server(**material) as wss:
        agent = ProxyAgent(f'https://localhost:{proxy.address.partition(":")[2]}', ca=ca)
        ws = WebSocket(named(wss, 'wss' if secure else 'ws'), agent=agent, ca=ca, **OPTIONS)
        wait_for(ws, 'open')
        assert ws._socket is not None
        # That of the server: what is between us and the proxy says nothing of it.
        assert (ws._socket.encrypted, ws._socket.authorized) == (secure, secure)
        echoes_while_open(ws)


def echoes_while_open(ws: WebSocket) -> None:
    log = Log(ws, 'message')
    ws.send('hi')
    assert log.get()[1] == 'hi'
    assert end(ws, 'close', 1000) == (1000, '')


def test_what_the_server_sees_of_wss_is_encrypted_for_the_proxy(authority: trustme.CA, ca: bytes) -> None:
    """The proxy, whose TLS has ended, finds TLS in what it passes on."""
    seen = Waiter()

    def serve(sock: socket.socket) -> None:
        with tls_context(authority).wrap_socket(sock, server_side=True) as wrapped:
            read_head(wrapped)
            wrapped.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
            seen(wrapped.recv(3))

    with listening(serve) as port:
        agent = ProxyAgent(f'https://localhost:{port}', ca=ca)
        assert fails(WebSocket('wss://host.example', agent=agent, ca=ca)) is not None
        assert seen.get() == (b'\x16\x03\x01',)  # a ClientHello (RFC 8446 section 5.1)


@pytest.mark.parametrize('kind', ['http', 'https'])
def test_the_server_s_certificate_is_checked_against_its_name(authority: trustme.CA, ca: bytes, kind: str) -> None:
    context = tls_context(authority) if kind == 'https' else None
    with connect_proxy(context) as proxy, echo_server(**tls(authority, 'another.example')) as wss:
        agent = ProxyAgent(f'{kind}://localhost:{proxy.address.partition(":")[2]}', ca=ca)
        error = fails(WebSocket(named(wss, 'wss'), agent=agent, ca=ca))
        assert isinstance(error, ssl.SSLCertVerificationError)
        assert len(proxy.requests) == 1


@pytest.mark.parametrize('options', ['ca', 'context', 'rejectUnauthorized'])
def test_options_for_tls_to_the_proxy(authority: trustme.CA, ca: bytes, options: str) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    given: dict[str, Any] = {'ca': ca, 'context': context, 'rejectUnauthorized': False}
    with connect_proxy(tls_context(authority)) as proxy, echo_server() as wss:
        url = f'https://localhost:{proxy.address.partition(":")[2]}'
        error = fails(client(wss, agent=ProxyAgent(url)))
        assert isinstance(error, ProxyError)
        assert 'certificate verify failed' in str(error)
        echoes(client(wss, agent=ProxyAgent(url, {options: given[options]})))  # type: ignore[misc]


def test_many_at_once(authority: trustme.CA, ca: bytes) -> None:
    with connect_proxy(tls_context(authority)) as proxy, echo_server(**tls(authority)) as wss:
        agent = ProxyAgent(f'https://localhost:{proxy.address.partition(":")[2]}', ca=ca)
        logs = []
        for number in range(20):
            ws = WebSocket(named(wss, 'wss'), agent=agent, ca=ca, **OPTIONS)
            logs.append(Log(ws, 'message', 'close', 'error'))
            ws.on('message', lambda ws=ws: ws.close())
            ws.on('open', lambda ws=ws, number=number: ws.send(str(number)))
        for number, log in enumerate(logs):
            events = log.until('close')
            assert [event[1] for event in events] == [str(number), 1000]


# -- proxies that fail ------------------------------------------------------------------------------------------------


def answering(answer: bytes) -> Callable[[socket.socket], object]:
    def serve(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer)

    return serve


@pytest.mark.parametrize(
    ('answer', 'status', 'text'),
    [
        (b'HTTP/1.1 407 Who are you?\r\n\r\n', 407, 'the proxy refused: 407 Who are you?'),
        (b'HTTP/1.1 502 Bad Gateway\r\n\r\n', 502, 'the proxy refused: 502 Bad Gateway'),
        (b'', None, 'the proxy closed the connection before it answered'),
        (b'SSH-2.0-OpenSSH_9\r\n', None, 'the proxy does not speak HTTP'),
    ],
)
def test_a_proxy_that_does_not_connect(answer: bytes, status: Optional[int], text: str) -> None:
    with listening(answering(answer)) as port:
        error = fails(WebSocket('ws://host.example', agent=ProxyAgent(f'http://me:secret@127.0.0.1:{port}')))
        assert isinstance(error, ProxyError)
        assert isinstance(error, OSError)
        assert (str(error), error.status) == (text, status)


def test_no_proxy() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    error = fails(WebSocket('ws://host.example', agent=ProxyAgent(f'http://me:secret@127.0.0.1:{port}')))
    assert str(error) == f'the proxy 127.0.0.1:{port} is out of reach: Connection refused'
    assert error.status is None


@pytest.mark.parametrize('scheme', ['http', 'https', 'socks5h'])
def test_a_proxy_that_never_answers_frees_its_place(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    skip_without_socks(scheme)
    monkeypatch.setattr(connecting, '_agents', Workers('ws-agent', 1))
    with listening(read_all) as port:
        ws = WebSocket('ws://host.example', agent=ProxyAgent(f'{scheme}://127.0.0.1:{port}'), handshakeTimeout=2000)
        assert str(fails(ws)) == 'Opening handshake has timed out'
        with connect_proxy() as proxy, echo_server() as wss:
            echoes(client(wss, agent=ProxyAgent(proxy.address)))
        until(lambda: not any(thread.name == 'ws-agent' for thread in threading.enumerate()))


@pytest.mark.parametrize('kind', ['http', 'https'])
def test_the_connection_through_the_proxy_breaks(authority: trustme.CA, ca: bytes, kind: str) -> None:
    context = tls_context(authority) if kind == 'https' else None
    with connect_proxy(context) as proxy, server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        agent = ProxyAgent(f'{kind}://localhost:{proxy.address.partition(":")[2]}', ca=ca)
        for cut in (lambda peer: peer.terminate(), lambda _: socket.socket.shutdown(proxy.sockets[-1], 2)):
            log = Log(client(wss, agent=agent))
            log.until('open')
            cut(connected.get()[0])
            assert log.until('close')[-1] == ('close', 1006, '')


@pytest.mark.parametrize('how', ['terminate', 'timeout'])
def test_who_gives_up_leaves_no_connection_through_an_https_proxy(
    authority: trustme.CA, ca: bytes, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The far end, which does not answer, has to end all the same."""
    monkeypatch.setattr(pipe, 'LINGER', 100)
    asked, release = Waiter(), threading.Event()

    def serve(sock: socket.socket) -> None:
        with tls_context(authority).wrap_socket(sock, server_side=True) as wrapped:
            read_head(wrapped)
            wrapped.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
            read_head(wrapped)
            asked()
            release.wait(TIMEOUT)

    with listening(serve) as port:
        agent = ProxyAgent(f'https://localhost:{port}', ca=ca)
        ws = WebSocket('ws://host.example', agent=agent, handshakeTimeout=3000 if how == 'timeout' else 0)
        log = Log(ws)
        asked.get()
        if how == 'terminate':
            ws.terminate()
        assert log.until('close')[-1] == ('close', 1006, '')
        until(lambda: not any(thread.name == 'ws' for thread in threading.enumerate()))
        release.set()


# -- through real ones ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('scheme', ['ws', 'wss'])
@pytest.mark.parametrize('kind', ['http', 'https'])
def test_squid(through_squid: Squid, authority: trustme.CA, ca: bytes, kind: str, scheme: str) -> None:
    with echo_server(**(tls(authority) if scheme == 'wss' else {})) as wss:
        agent = ProxyAgent(f'{kind}://{KNOWN}@{getattr(through_squid, kind)}', ca=ca)
        echoes(WebSocket(named(wss, scheme), agent=agent, ca=ca, **OPTIONS))


@pytest.mark.parametrize('kind', ['http', 'https'])
@pytest.mark.parametrize('credentials', ['', 'me:wrong@'])
def test_squid_refuses_strangers(through_squid: Squid, ca: bytes, kind: str, credentials: str) -> None:
    with server() as wss:
        agent = ProxyAgent(f'{kind}://{credentials}{getattr(through_squid, kind)}', ca=ca)
        error = fails(client(wss, agent=agent))
        assert isinstance(error, ProxyError)
        assert (error.status, str(error)) == (407, 'the proxy refused: 407 Proxy Authentication Required')


def test_squid_does_not_reach_the_server(through_squid: Squid) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    agent = ProxyAgent(f'http://{KNOWN}@{through_squid.http}')
    error = fails(WebSocket(f'ws://127.0.0.1:{port}', agent=agent))
    assert error.status == 503


def test_many_through_squid(through_squid: Squid, authority: trustme.CA, ca: bytes) -> None:
    with echo_server(**tls(authority)) as wss:
        agents = [
            ProxyAgent(f'http://{KNOWN}@{through_squid.http}'),
            ProxyAgent(f'https://{KNOWN}@{through_squid.https}', ca=ca),
        ]
        clients = []
        for number in range(20):
            ws = WebSocket(named(wss, 'wss'), agent=agents[number % 2], ca=ca, **OPTIONS)
            clients.append((ws, Log(ws, 'open', 'error')))
        for _, log in clients:
            assert log.get() == ('open',)
        for ws, _ in clients:
            echoes_while_open(ws)


def skip_without_socks(scheme: str = 'socks') -> None:
    if scheme.startswith('socks'):
        pytest.importorskip('python_socks')


@pytest.mark.parametrize('kind', ['socks5', 'socks5h'])
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_microsocks(through_microsocks: str, authority: trustme.CA, ca: bytes, kind: str, scheme: str) -> None:
    skip_without_socks()
    with echo_server(**(tls(authority) if scheme == 'wss' else {})) as wss:
        agent = ProxyAgent(f'{kind}://{KNOWN}@{through_microsocks}')
        echoes(WebSocket(named(wss, scheme), agent=agent, ca=ca, **OPTIONS))


@pytest.mark.parametrize('credentials', ['', 'me:wrong@'])
def test_microsocks_refuses_strangers(through_microsocks: str, credentials: str) -> None:
    skip_without_socks()
    with server() as wss:
        error = fails(client(wss, agent=ProxyAgent(f'socks5h://{credentials}{through_microsocks}')))
        assert isinstance(error, ProxyError)
        assert str(error).startswith('the proxy did not connect: ')
        assert 'wrong' not in str(error)


@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_socks4a(authority: trustme.CA, ca: bytes, scheme: str) -> None:
    """Dante knows version 4 without names, and microsocks none of it."""
    skip_without_socks()
    names = Waiter()

    def serve(sock: socket.socket) -> None:
        request = sock.recv(100)
        port, ip, name = request[2:4], request[4:8], request[8:].split(b'\0')[1]
        names(ip, name)
        with socket.create_connection((name, int.from_bytes(port, 'big')), TIMEOUT) as target:
            sock.sendall(b'\0\x5a\0\0\0\0\0\0')
            relay(sock, target)

    with listening(serve) as port, echo_server(**(tls(authority) if scheme == 'wss' else {})) as wss:
        agent = ProxyAgent(f'socks4a://127.0.0.1:{port}')
        echoes(WebSocket(named(wss, scheme), agent=agent, ca=ca, **OPTIONS))
        assert names.get() == (b'\0\0\0\1', b'localhost')


@pytest.mark.parametrize('kind', ['socks4', 'socks5', 'socks5h'])
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_dante(through_dante: str, authority: trustme.CA, ca: bytes, kind: str, scheme: str) -> None:
    skip_without_socks()
    with echo_server(**(tls(authority) if scheme == 'wss' else {})) as wss:
        agent = ProxyAgent(f'{kind}://{through_dante}')
        echoes(WebSocket(named(wss, scheme), agent=agent, ca=ca, **OPTIONS))


@pytest.mark.parametrize('kind', ['socks4', 'socks5h'])
def test_dante_does_not_reach_the_server(through_dante: str, kind: str) -> None:
    skip_without_socks()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    error = fails(WebSocket(f'ws://127.0.0.1:{port}', agent=ProxyAgent(f'{kind}://{through_dante}')))
    assert isinstance(error, ProxyError)
    assert error.status == {'socks4': 91, 'socks5h': 5}[kind]  # RFC 1928 section 6: connection refused


def test_the_server_s_certificate_is_checked_behind_socks(through_dante: str, authority: trustme.CA, ca: bytes) -> None:
    skip_without_socks()
    with echo_server(**tls(authority, 'another.example')) as wss:
        error = fails(WebSocket(named(wss, 'wss'), agent=ProxyAgent(f'socks5h://{through_dante}'), ca=ca))
        assert isinstance(error, ssl.SSLCertVerificationError)


# -- from the environment ---------------------------------------------------------------------------------------------


def test_the_environment_is_asked_for_each_connection(environment: pytest.MonkeyPatch) -> None:
    agent = ProxyAgent.from_environment()
    with connect_proxy() as proxy, echo_server() as wss:
        echoes(client(wss, agent=agent))
        assert proxy.requests == []
        environment.setenv('http_proxy', f'http://{proxy.address}')
        echoes(client(wss, agent=agent))
        assert len(proxy.requests) == 1
        environment.setenv('no_proxy', '127.0.0.0/8')
        echoes(client(wss, agent=agent))
        assert len(proxy.requests) == 1


def test_the_environment_s_proxy_for_wss(environment: pytest.MonkeyPatch, authority: trustme.CA, ca: bytes) -> None:
    with connect_proxy(tls_context(authority)) as proxy, echo_server(**tls(authority)) as wss:
        environment.setenv('HTTPS_PROXY', f'https://localhost:{proxy.address.partition(":")[2]}')
        agent = ProxyAgent.from_environment(ca=ca)
        echoes(WebSocket(named(wss, 'wss'), agent=agent, ca=ca, **OPTIONS))
        assert len(proxy.requests) == 1


def test_the_environment_names_no_proxy(environment: pytest.MonkeyPatch) -> None:
    environment.setenv('all_proxy', 'socks://me:secret@host')
    error = fails(WebSocket('ws://host.example', agent=ProxyAgent.from_environment()))
    assert isinstance(error, ProxyError)
    assert str(error) == 'the environment variable all_proxy must be like http://user:password@host:port'


def test_who_gives_up_before_the_environment_was_asked(environment: pytest.MonkeyPatch) -> None:
    entered, release = Waiter(), threading.Event()
    inner = ProxyAgent.from_environment()

    def agent(request: Any, options: Any) -> socket.socket:
        entered()
        release.wait(TIMEOUT)
        return inner.addRequest(request, options)

    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        log = Log(ws := client(wss, agent=agent))
        entered.get()
        ws.terminate()
        assert log.until('close')[-1] == ('close', 1006, '')
        release.set()
        assert connected.nothing()


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='no UNIX sockets')
def test_unix_sockets(environment: pytest.MonkeyPatch, tmp_path: Any) -> None:
    environment.setenv('all_proxy', 'http://127.0.0.1:1')
    path = tmp_path / 'socket'
    with echo_server(port=None, host=None, socketPath=path) as wss:
        wait_for(wss, 'listening')
        echoes(WebSocket(f'ws+unix:{path}', agent=ProxyAgent.from_environment(), **OPTIONS))
        error = fails(WebSocket(f'ws+unix:{path}', agent=ProxyAgent('127.0.0.1:1')))
        assert str(error) == 'a UNIX socket cannot be reached through a proxy'


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('url', [5, None, b'http://proxy', ['http://proxy']])
def test_what_is_no_url(url: Any) -> None:
    with pytest.raises(TypeError, match='url must be a str, not '):
        ProxyAgent(url)


@pytest.mark.parametrize('make', [lambda **options: ProxyAgent('https://host', **options), ProxyAgent.from_environment])
@pytest.mark.parametrize(
    ('options', 'kind', 'text'),
    [
        ({'ca': 5}, TypeError, 'ca must be'),
        ({'ca': 'ca.pem'}, ValueError, 'ca must be the contents'),
        ({'context': 'x'}, TypeError, 'context must be an ssl.SSLContext, not str'),
        ({'rejectUnauthorized': 1}, TypeError, 'rejectUnauthorized must be a bool'),
        ({'context': ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, ValueError, 'context must be one for clients'),
        ({'context': CONTEXT, 'ca': 'x'}, ValueError, 'context takes the place of ca'),
        (
            {'context': CONTEXT, 'rejectUnauthorized': False},
            ValueError,
            'context takes the place of rejectUnauthorized',
        ),
    ],
)
def test_options_that_are_wrong(make: Any, options: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        make(**options)


def test_options_that_are_unknown() -> None:
    for make in (
        lambda: ProxyAgent('host', rejectUnauthorised=False),
        lambda: ProxyAgent.from_environment(rejectUnauthorised=False),
    ):  # type: ignore[call-arg]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            make()
        assert [str(warning.message) for warning in caught] == [
            "ProxyAgent has no option 'rejectUnauthorised': ignored; did you mean 'rejectUnauthorized'?"
        ]
        assert caught[0].filename == __file__


def test_nothing_shows_the_credentials() -> None:
    agent = ProxyAgent('http://me:secret@host:3128')
    assert repr(agent) == '<ProxyAgent http://host:3128>'
    assert repr(ProxyAgent.from_environment()) == '<ProxyAgent.from_environment>'
    assert 'secret' not in repr(vars(agent))


def test_without_python_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'python_socks', None)
    with pytest.raises(ModuleNotFoundError) as caught:
        ProxyAgent('socks5h://host')
    assert str(caught.value) == "a SOCKS proxy needs the package python-socks: pip install 'node-ws[socks]'"
    assert caught.value.name == 'python_socks'
