"""Tests W150 to W156 of ws 8's suite: TLS. W155 is in the test of ``servername``."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from compatibility.certificates import Certificates
from compatibility.peers import http_server, on_http
from support import Log, Waiter

from ws import WebSocket, WebSocketServer


@pytest.fixture(scope='module')
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def https(certificates: Certificates) -> Iterator[tuple[str, WebSocketServer]]:
    """A server on the port of an HTTPS server, and its address without the scheme."""
    with http_server(context=certificates.context()) as httpd, on_http(httpd) as wss:
        httpd.handle_error = lambda *arguments: None  # type: ignore[method-assign]  # it prints failed handshakes
        yield f'://localhost:{httpd.server_port}', wss


def test_w150_a_server_with_tls(https: tuple[str, WebSocketServer]) -> None:
    address, wss = https
    connected = Waiter()
    wss.on('connection', connected)
    ws = WebSocket('wss' + address, rejectUnauthorized=False)
    ws.on('open', ws.close)
    assert Log(ws).until('close')[-1] == ('close', 1000, '')
    connected.get()


def test_w151_a_client_with_a_certificate(certificates: Certificates) -> None:
    authorized = Waiter()

    def verify(info: Any) -> bool:
        authorized(info.req.client.authorized)
        return True

    context = certificates.context(ssl.CERT_OPTIONAL)
    with http_server(context=context) as httpd, on_http(httpd, verifyClient=verify) as wss:
        wss.on('connection', lambda peer: peer.on('close', authorized))
        ws = WebSocket(f'wss://localhost:{httpd.server_port}', **certificates.client, rejectUnauthorized=False)
        ws.on('open', ws.close)
        assert authorized.get() == (True,)
        assert authorized.get() == (1000, '')


def test_w152_a_client_without_tls(https: tuple[str, WebSocketServer]) -> None:
    address, _ = https
    events = Log(WebSocket('ws' + address, rejectUnauthorized=False)).until('close')
    assert [event[0] for event in events] == ['error', 'close']


def test_w153_text_over_tls(https: tuple[str, WebSocketServer]) -> None:
    address, wss = https
    received = Waiter()
    wss.on('connection', lambda peer: peer.on('message', received))
    ws = WebSocket('wss' + address, rejectUnauthorized=False)
    ws.on('open', lambda: (ws.send('foobar'), ws.close()))
    data, flags = received.get()
    assert (data, flags.binary) == ('foobar', False)
    Log(ws).until('close')


def test_w154_much_over_tls(https: tuple[str, WebSocketServer]) -> None:
    address, wss = https
    data = os.urandom(5 << 20)
    wss.on('connection', lambda peer: peer.on('message', lambda data: (peer.send(data), peer.close())))
    ws = WebSocket('wss' + address, rejectUnauthorized=False)
    log = Log(ws, 'message', 'close')
    ws.on('open', lambda: ws.send(data))
    kind, received, flags = log.get()
    assert (kind, received == data, flags.binary) == ('message', True, True)
    log.until('close')


def test_w156_one_error_when_the_ends_have_nothing_in_common(certificates: Certificates) -> None:
    """There it is the version; one cipher each does the same."""
    context = certificates.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers('ECDHE-ECDSA-AES256-GCM-SHA384')
    with http_server(context=context) as httpd, on_http(httpd):
        httpd.handle_error = lambda *arguments: None  # type: ignore[method-assign]
        ws = WebSocket(
            f'wss://localhost:{httpd.server_port}', ciphers='ECDHE-ECDSA-AES128-GCM-SHA256', rejectUnauthorized=False
        )
        log = Log(ws)
        (kind, error), close = log.until('close')
        assert (kind, isinstance(error, ssl.SSLError), close) == ('error', True, ('close', 1006, ''))
        assert log.nothing(0.05)
