"""Connections through an HTTP proxy: a little one of ours, which does connect, and some that do something else."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from base64 import b64encode
from itertools import chain, repeat
from typing import Any, Optional

import pytest
import trustme
from proxies import Serve, listening
from support import TIMEOUT, read_all, read_head

from ws import ProxyError
from ws.net import proxy_http
from ws.net.proxy import parse_proxy
from ws.net.proxy_http import MAX_HEAD, connect_by_http
from ws.net.resolver import Endpoint


def connect(proxy: str, host: str, port: int, seconds: float = TIMEOUT, **options: Any) -> socket.socket:
    return connect_by_http(parse_proxy(proxy), host, port, time.monotonic() + seconds, **options)


def echo(sock: socket.socket) -> None:
    sock.sendall(sock.recv(100))


def test_connecting() -> None:
    requests = []

    def serve(sock: socket.socket) -> None:
        requests.append(read_head(sock))
        with socket.create_connection(('127.0.0.1', target), TIMEOUT) as further:
            sock.sendall(b'HTTP/1.1 200 Connection established\r\nX-Header: x\r\n\r\n')
            further.sendall(sock.recv(100))
            sock.sendall(further.recv(100))

    with listening(echo) as target, listening(serve) as port:
        sock = connect(f'http://127.0.0.1:{port}', '127.0.0.1', target)
        with sock:
            assert sock.gettimeout() is None
            sock.sendall(b'hello')
            assert read_all(sock) == b'hello'
    assert requests == [b'CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n' % (target, target)]


def answering(answer: bytes, requests: Optional[list[bytes]] = None) -> Serve:
    def serve(sock: socket.socket) -> None:
        head = read_head(sock)
        if requests is not None:
            requests.append(head)
        with contextlib.suppress(ConnectionError):  # who does not like the beginning need not read the end
            sock.sendall(answer)

    return serve


def test_nothing_is_taken_that_comes_after_the_head() -> None:
    with listening(answering(b'HTTP/1.0 200\n\nmore')) as port:
        sock = connect(f'127.0.0.1:{port}', 'host', 80)
        with sock:
            assert read_all(sock) == b'more'


@pytest.mark.parametrize(
    ('user', 'credentials'),
    [('me:secret', b'me:secret'), ('me', b'me:'), ('m%40:%C3%BC:@x', 'm@:ü:@x'.encode()), (':', b':')],
)
def test_credentials(user: str, credentials: bytes) -> None:
    requests: list[bytes] = []
    with listening(answering(b'HTTP/1.1 200 OK\r\n\r\n', requests)) as port:
        connect(f'http://{user}@127.0.0.1:{port}/', '::1', 443).close()
    assert requests[0].split(b'\r\n') == [
        b'CONNECT [::1]:443 HTTP/1.1',
        b'Host: [::1]:443',
        b'Proxy-Authorization: Basic ' + b64encode(credentials),
        b'',
        b'',
    ]


@pytest.mark.parametrize(
    ('answer', 'status', 'complaint'),
    [
        (b'HTTP/1.1 407 Authenticate\r\n\r\n', 407, 'the proxy refused: 407 Authenticate'),
        (b'HTTP/1.1 502\r\n\r\n', 502, 'the proxy refused: 502'),
        (b'HTTP/1.1 301 Moved\r\nLocation: http://x\r\n\r\n', 301, 'the proxy refused: 301 Moved'),
        (b'HTTP/1.1 403 verw\xe4hrt\r\n\r\n', 403, 'the proxy refused: 403 verw\\xe4hrt'),
        (b'HTTP/1.1 403 \x1b[2J\r\n\r\n', None, 'the proxy does not speak HTTP'),
        (b'', None, 'the proxy closed the connection before it answered'),
        (b'HTTP/1.1 200 OK\r\n', None, 'the proxy closed the connection before it answered'),
        (b'SSH-2.0-OpenSSH\r\n', None, 'the proxy does not speak HTTP'),
        (b'HTTP/1.1 2000 OK\r\n\r\n', None, 'the proxy does not speak HTTP'),
        (
            b'HTTP/1.1 200 OK\r\nX: ' + MAX_HEAD * b'x',
            None,
            f'the answer of the proxy is longer than {MAX_HEAD} bytes',
        ),
    ],
)
def test_other_answers(answer: bytes, status: Optional[int], complaint: str) -> None:
    with listening(answering(answer)) as port, pytest.raises(ProxyError) as caught:
        connect(f'127.0.0.1:{port}', 'host', 80)
    assert str(caught.value) == complaint
    assert caught.value.status == status


def test_a_proxy_that_takes_its_time() -> None:
    def serve(sock: socket.socket) -> None:
        read_head(sock)
        with contextlib.suppress(OSError):
            for byte in chain(b'HTTP/1.1 200 OK\r\nX: ', repeat(0x78)):  # each soon after the other
                sock.sendall(bytes([byte]))
                time.sleep(0.02)

    with listening(serve) as port, pytest.raises(ProxyError) as caught:
        connect(f'127.0.0.1:{port}', 'host', 80, 0.3)
    assert str(caught.value) == 'the proxy did not answer in time'


def test_no_proxy() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProxyError) as caught:
        connect(f'127.0.0.1:{port}', 'host', 80)
    assert str(caught.value) == f'the proxy 127.0.0.1:{port} is out of reach: Connection refused'


@pytest.mark.parametrize('host', ['a b', 'a\r\nb', 'ü', ''])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match='invalid host'):
        connect('127.0.0.1', host, 80)


def test_a_proxy_that_never_answers() -> None:
    with listening(lambda sock: sock.recv(1000) and sock.recv(1)) as port, pytest.raises(ProxyError) as caught:
        connect(f'127.0.0.1:{port}', 'host', 80, 0.1)
    assert str(caught.value) == 'the proxy did not answer in time'


def test_a_name_of_a_proxy_that_nobody_knows() -> None:
    with pytest.raises(ProxyError) as caught:
        connect('http://me:secret@nobody.invalid:3128', 'host', 80)
    assert str(caught.value).startswith('the proxy nobody.invalid:3128 is out of reach: ')
    assert 'secret' not in str(caught.value)


def test_a_proxy_of_whose_addresses_the_first_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue of a socket that listens and accepts nobody is full: it answers no more than a host that is off."""
    with contextlib.ExitStack() as stack:
        dead = stack.enter_context(socket.create_server(('127.0.0.1', 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(dead.getsockname())
        port = stack.enter_context(listening(answering(b'HTTP/1.1 200 OK\r\n\r\n')))
        addresses = [Endpoint(socket.AF_INET, dead.getsockname()), Endpoint(socket.AF_INET, ('127.0.0.1', port))]
        monkeypatch.setattr(proxy_http, 'look_up', lambda host, port: addresses)
        monkeypatch.setattr(proxy_http, '_PATIENCE', 0.1)
        connect('proxy', 'host', 80).close()


# -- TLS to the proxy -------------------------------------------------------------------------------------------------


def contexts(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A proxy's, whose certificate is for `name`, and one of a client who trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(name).configure_cert(server)
    authority.configure_trust(client)
    return server, client


def secured(context: ssl.SSLContext, serve: Serve) -> Serve:
    def serve_secured(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as wrapped:
            serve(wrapped)

    return serve_secured


@pytest.mark.parametrize('dot', ['', '.'])
def test_tls_to_the_proxy(monkeypatch: pytest.MonkeyPatch, dot: str) -> None:
    """The dot at the end of a name is in no certificate."""
    look_up = proxy_http.look_up
    monkeypatch.setattr(proxy_http, 'look_up', lambda host, port: look_up(host.strip('.'), port))
    server, client = contexts('localhost')
    with listening(secured(server, answering(b'HTTP/1.1 200 OK\r\n\r\nmore'))) as port:
        sock = connect(f'https://localhost{dot}:{port}', 'host', 80, context=client)
        with sock:
            assert isinstance(sock, ssl.SSLSocket)
            assert sock.gettimeout() is None
            assert sock.recv(10) == b'more'


def test_the_proxy_s_certificate_is_verified() -> None:
    server, client = contexts('another.example')
    with listening(secured(server, answering(b''))) as port, pytest.raises(ProxyError) as caught:
        connect(f'https://localhost:{port}', 'host', 80, context=client)
    start = f'TLS to the proxy localhost:{port} failed: certificate verify failed: '
    assert str(caught.value).startswith(start)
    assert 'localhost' in str(caught.value)[len(start) :]


def test_a_proxy_without_tls() -> None:
    with listening(lambda sock: sock.sendall(b'HTTP/1.1 400 No\r\n\r\n')) as port:
        with pytest.raises(ProxyError) as caught:
            connect(f'https://localhost:{port}', 'host', 80, context=contexts('x')[1])
        assert str(caught.value).startswith(f'TLS to the proxy localhost:{port} failed: ')


def test_a_proxy_that_does_not_shake_hands() -> None:
    with listening(lambda sock: read_all(sock)) as port, pytest.raises(ProxyError) as caught:
        connect(f'https://localhost:{port}', 'host', 80, 0.1, context=contexts('x')[1])
    assert str(caught.value) == 'the proxy did not answer in time'
