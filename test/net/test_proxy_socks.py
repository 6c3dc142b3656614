"""Connections through a SOCKS proxy: little ones of ours, which say what they are told to."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Optional

import pytest
from proxies import Serve, listening
from support import TIMEOUT

from ws import ProxyError
from ws.net import proxy_socks
from ws.net.proxy import parse_proxy
from ws.net.proxy_socks import connect_by_socks
from ws.net.resolver import Endpoint

pytest.importorskip('python_socks')

NO_AUTHENTICATION = b'\5\0'
CONNECTED = b'\5\0\0\1\x7f\0\0\1\0\x50'
REFUSED = b'\5\5\0\1\0\0\0\0\0\0'


def connect(proxy: str, host: str, port: int, seconds: float = TIMEOUT) -> socket.socket:
    return connect_by_socks(parse_proxy(proxy), host, port, time.monotonic() + seconds)


def answering(answer: bytes, requests: Optional[list[bytes]] = None, hello: bytes = NO_AUTHENTICATION) -> Serve:
    """A SOCKS 5 proxy that says `hello`, and that to the request."""

    def serve(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(hello)
        if hello == NO_AUTHENTICATION:
            request = sock.recv(500)
            if requests is not None:
                requests.append(request)
            sock.sendall(answer)

    return serve


def addresses(*found: str) -> Callable[..., list[Endpoint]]:
    """A look-up that has found these, of both families."""

    def look_up(host: str, port: int) -> list[Endpoint]:
        assert host == 'host.example'
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [Endpoint(families[':' in address], (address, port)) for address in found]

    return look_up


@pytest.mark.parametrize(
    ('scheme', 'host', 'target'),
    [
        ('socks5h', 'host.example', b'\3\x0chost.example'),
        ('socks5h', '192.0.2.1', b'\1\xc0\0\2\1'),
        ('socks5h', '::1', b'\4' + 15 * b'\0' + b'\1'),
        ('socks5', 'host.example', b'\4' + 15 * b'\0' + b'\1'),
        ('socks5', '192.0.2.1', b'\1\xc0\0\2\1'),
    ],
)
def test_socks_5(monkeypatch: pytest.MonkeyPatch, scheme: str, host: str, target: bytes) -> None:
    if host == 'host.example':
        monkeypatch.setattr(proxy_socks, 'look_up', addresses('::1', '192.0.2.1'))
    requests: list[bytes] = []
    with listening(answering(CONNECTED, requests)) as port:
        connect(f'{scheme}://127.0.0.1:{port}', host, 443).close()
    assert requests == [b'\5\1\0' + target + b'\x01\xbb']  # RFC 1928 section 4


@pytest.mark.parametrize(
    ('scheme', 'host', 'target'),
    [
        ('socks4', '192.0.2.1', b'\xc0\0\2\1me\0'),
        ('socks4', 'host.example', b'\xc0\0\2\1me\0'),
        ('socks4a', '192.0.2.1', b'\xc0\0\2\1me\0'),
        ('socks4a', 'host.example', b'\0\0\0\1me\0host.example\0'),
    ],
)
def test_socks_4(monkeypatch: pytest.MonkeyPatch, scheme: str, host: str, target: bytes) -> None:
    if host == 'host.example':
        monkeypatch.setattr(proxy_socks, 'look_up', addresses('::1', '192.0.2.1'))
    requests: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        requests.append(sock.recv(100))
        sock.sendall(b'\0\x5a\0\0\0\0\0\0')

    with listening(serve) as port:
        connect(f'{scheme}://me@127.0.0.1:{port}', host, 443).close()
    assert requests == [b'\4\1\x01\xbb' + target]


@pytest.mark.parametrize('host', ['::1', 'host.example'])
@pytest.mark.parametrize('scheme', ['socks4', 'socks4a'])
def test_socks_4_knows_no_ipv6(monkeypatch: pytest.MonkeyPatch, scheme: str, host: str) -> None:
    if host == 'host.example':
        monkeypatch.setattr(proxy_socks, 'look_up', addresses('::1'))
        if scheme == 'socks4a':
            return
    with pytest.raises(ProxyError) as caught:
        connect(f'{scheme}://127.0.0.1:1', host, 80)
    assert str(caught.value) == f'SOCKS 4 does not support IPv6, and {host} has no other addresses'


def test_credentials() -> None:
    seen: list[bytes] = []

    def serve(sock: socket.socket) -> None:
        seen.append(sock.recv(100))
        sock.sendall(b'\5\2')
        seen.append(sock.recv(100))
        sock.sendall(b'\1\0')
        sock.recv(100)
        sock.sendall(CONNECTED)

    with listening(serve) as port:
        connect(f'socks5h://me:se%3Acret@127.0.0.1:{port}', 'host.example', 80).close()
    assert seen == [b'\5\2\0\2', b'\1\2me\7se:cret']  # RFC 1929 section 2


@pytest.mark.parametrize(
    ('serve', 'status', 'text'),
    [
        (answering(REFUSED), 5, 'the proxy refused: Connection refused by destination host'),
        (answering(b'\5\2\0\1\0\0\0\0\0\0'), 2, 'the proxy refused: Connection not allowed by ruleset'),
        (
            answering(b'', hello=b'\5\xff'),
            None,
            'the proxy did not connect: No acceptable authentication methods were offered',
        ),
        (answering(b'', hello=b'HT'), None, 'the proxy did not connect: Unexpected SOCKS version number: 72'),
        (
            answering(b'HTTP/1.1 400 Bad Request\r\n\r\n'),
            None,
            'the proxy did not connect: Unexpected SOCKS version number: ',
        ),
        (answering(b''), None, 'the proxy did not connect: '),
        (answering(CONNECTED[:5]), None, 'the proxy did not connect: '),
        (lambda sock: sock.recv(100) and None, None, 'the proxy did not connect: '),
    ],
)
def test_other_answers(serve: Serve, status: Optional[int], text: str) -> None:
    with listening(serve) as port, pytest.raises(ProxyError) as caught:
        connect(f'socks5h://me:secret@127.0.0.1:{port}', 'host.example', 80)
    assert str(caught.value).startswith(text)
    assert (caught.value.status, 'secret' in str(caught.value)) == (status, False)


def test_a_proxy_that_never_answers() -> None:
    with listening(lambda sock: sock.recv(100) and sock.recv(1)) as port, pytest.raises(ProxyError) as caught:
        connect(f'socks5h://127.0.0.1:{port}', 'host.example', 80, 0.1)
    assert str(caught.value) == 'the proxy did not answer in time'


def test_no_proxy() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProxyError) as caught:
        connect(f'socks5h://127.0.0.1:{port}', 'host.example', 80)
    assert str(caught.value) == f'the proxy 127.0.0.1:{port} is out of reach: Connection refused'


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(socket.gaierror, match=r'nobody\.invalid'):
        connect('socks5://127.0.0.1:1', 'nobody.invalid', 80)


@pytest.mark.parametrize(('last', 'connects'), [(CONNECTED, True), (REFUSED, False)])
def test_of_several_addresses_each_is_tried(monkeypatch: pytest.MonkeyPatch, last: bytes, connects: bool) -> None:
    monkeypatch.setattr(proxy_socks, 'look_up', addresses('::1', '192.0.2.1'))
    requests: list[bytes] = []
    serves = [answering(REFUSED, requests), answering(last, requests)]
    with listening(*serves) as port:
        if connects:
            connect(f'socks5://127.0.0.1:{port}', 'host.example', 80).close()
        else:
            with pytest.raises(ProxyError):
                connect(f'socks5://127.0.0.1:{port}', 'host.example', 80)
    assert [request[3] for request in requests] == [4, 1]
