"""Connections through a proxy: a little one of ours, which does connect, and some that do something else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Optional

import pytest
from support import TIMEOUT, read_all, read_head

from ws.net.proxy import MAX_HEAD, Proxy, ProxyError, connect_through, parse_proxy

Serve = Callable[[socket.socket], object]


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """Has `serve` called with one connection, which is closed thereafter; the port to connect to."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(TIMEOUT)

        def run() -> None:
            with listener.accept()[0] as sock:
                sock.settimeout(TIMEOUT)
                serve(sock)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


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

    with serving(echo) as target, serving(serve) as port:
        sock = connect_through(f'http://127.0.0.1:{port}', '127.0.0.1', target, TIMEOUT)
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
    with serving(answering(b'HTTP/1.0 200\n\nmore')) as port:
        sock = connect_through(f'127.0.0.1:{port}', 'host', 80, TIMEOUT)
        with sock:
            assert read_all(sock) == b'more'


@pytest.mark.parametrize(
    ('user', 'credentials'),
    [('me:secret', b'me:secret'), ('me', b'me:'), ('m%40:%C3%BC:@x', 'm@:ü:@x'.encode()), (':', b':')],
)
def test_credentials(user: str, credentials: bytes) -> None:
    requests: list[bytes] = []
    with serving(answering(b'HTTP/1.1 200 OK\r\n\r\n', requests)) as port:
        connect_through(f'http://{user}@127.0.0.1:{port}/', '::1', 443, TIMEOUT).close()
    assert requests[0].split(b'\r\n') == [
        b'CONNECT [::1]:443 HTTP/1.1',
        b'Host: [::1]:443',
        b'Proxy-Authorization: Basic ' + b64encode(credentials),
        b'',
        b'',
    ]


@pytest.mark.parametrize(
    ('answer', 'complaint'),
    [
        (b'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', 'the proxy refused: 407 Proxy Authentication Required'),
        (b'HTTP/1.1 502\r\n\r\n', 'the proxy refused: 502'),
        (b'HTTP/1.1 301 Moved\r\nLocation: http://x\r\n\r\n', 'the proxy refused: 301 Moved'),
        (b'HTTP/1.1 403 \x1b[2J\r\n\r\n', 'the proxy does not speak HTTP'),
        (b'', 'the proxy closed the connection before it answered'),
        (b'HTTP/1.1 200 OK\r\n', 'the proxy closed the connection before it answered'),
        (b'SSH-2.0-OpenSSH\r\n', 'the proxy does not speak HTTP'),
        (b'HTTP/1.1 2000 OK\r\n\r\n', 'the proxy does not speak HTTP'),
        (b'HTTP/1.1 200 OK\r\nX: ' + MAX_HEAD * b'x', f'the answer of the proxy is longer than {MAX_HEAD} bytes'),
    ],
)
def test_other_answers(answer: bytes, complaint: str) -> None:
    with serving(answering(answer)) as port, pytest.raises(ProxyError) as caught:
        connect_through(f'127.0.0.1:{port}', 'host', 80, TIMEOUT)
    assert str(caught.value) == complaint


def test_a_proxy_that_takes_its_time() -> None:
    def serve(sock: socket.socket) -> None:
        read_head(sock)
        with contextlib.suppress(OSError):
            for byte in chain(b'HTTP/1.1 200 OK\r\nX: ', repeat(0x78)):  # each soon after the other
                sock.sendall(bytes([byte]))
                time.sleep(0.02)

    with serving(serve) as port, pytest.raises(ProxyError) as caught:
        connect_through(f'127.0.0.1:{port}', 'host', 80, 0.3)
    assert str(caught.value) == 'the proxy did not answer in time'


def test_no_proxy() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProxyError) as caught:
        connect_through(f'127.0.0.1:{port}', 'host', 80, TIMEOUT)
    assert str(caught.value) == f'the proxy 127.0.0.1:{port} is out of reach: Connection refused'


@pytest.mark.parametrize(
    ('url', 'proxy'),
    [
        ('host', Proxy('host', 80, None)),
        ('http://host:', Proxy('host', 80, None)),
        ('HTTP://host:3128/', Proxy('host', 3128, None)),
        ('[::1]:3128', Proxy('::1', 3128, None)),
        ('127.0.0.1:3128', Proxy('127.0.0.1', 3128, None)),
    ],
)
def test_urls(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    'url',
    [
        '',
        'https://host',
        'socks5://host',
        'http://',
        'host:x',
        'host:0',
        'host:65536',
        'host/path',
        'a b',
        '::1',
        'host?q',
    ],
)
def test_what_is_no_url_of_a_proxy(url: str) -> None:
    with pytest.raises(ValueError, match='invalid proxy'):
        parse_proxy(url)


@pytest.mark.parametrize('host', ['a b', 'a\r\nb', 'ü', ''])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match='invalid host'):
        connect_through('127.0.0.1', host, 80, TIMEOUT)
