"""Items 84 to 92 of the original's suite: TLS, what a connection supports, and the headers of a client."""

from __future__ import annotations

import os
import ssl
from typing import Any

import pytest
from compatibility.certificates import Certificates
from compatibility.peers import hixie_request, http_server, on_http, peer
from support import Log, Waiter, end, server, wait_for

from ws import WebSocket


@pytest.fixture(scope='module')
def certificates() -> Certificates:
    return Certificates()


# -- TLS --------------------------------------------------------------------------------------------------------------


def test_084_a_server_on_an_https_server(certificates: Certificates) -> None:
    with http_server(context=certificates.context()) as httpd, on_http(httpd) as wss:
        connections = Log(wss, 'connection')
        ws = WebSocket(f'wss://localhost:{httpd.server_port}', {'ca': certificates.ca})
        connections.get()
        end(ws)


def test_085_a_client_with_a_certificate(certificates: Certificates) -> None:
    authorized = Waiter()

    def verifyClient(info: Any) -> bool:
        authorized(info.req.client.authorized)
        return True

    context = certificates.context(ssl.CERT_OPTIONAL)
    with http_server(context=context) as httpd, on_http(httpd, verifyClient=verifyClient) as wss:
        connections = Log(wss, 'connection')
        ws = WebSocket(f'wss://localhost:{httpd.server_port}', {'ca': certificates.ca, **certificates.client})
        connections.get()
        assert authorized.get() == (True,)
        end(ws)


def test_086_a_plain_client_of_a_tls_server(certificates: Certificates) -> None:
    with http_server(context=certificates.context()) as httpd, on_http(httpd):
        httpd.handle_error = lambda *args: None  # type: ignore[method-assign]  # it prints the failed handshake
        ws = WebSocket(f'ws://localhost:{httpd.server_port}', {'rejectUnauthorized': False})
        log = Log(ws)
        assert [event for event, *_ in log.until('close')] == ['error', 'close']
        ws.terminate()
        assert log.nothing(0)


def test_087_text_over_tls(certificates: Certificates) -> None:
    with http_server(context=certificates.context()) as httpd, on_http(httpd) as wss:
        received = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda message: received(message)))
        ws = WebSocket(f'wss://localhost:{httpd.server_port}', {'ca': certificates.ca})
        ws.on('open', lambda: ws.send('foobar'))
        assert received.get() == ('foobar',)
        end(ws)


def test_088_much_over_tls(certificates: Certificates) -> None:
    with http_server(context=certificates.context()) as httpd, on_http(httpd) as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message, {'binary': True})))
        data = os.urandom(5 * 1024 * 1024)
        ws = WebSocket(f'wss://localhost:{httpd.server_port}', {'ca': certificates.ca})
        ws.on('open', lambda: ws.send(data, {'binary': True}))
        assert wait_for(ws, 'message')[0] == data
        end(ws)


# -- what a connection supports ---------------------------------------------------------------------------------------


def test_089_hybi_supports_binary() -> None:
    with server() as wss:
        supports = Waiter()
        wss.on('connection', lambda ws: supports(ws.supports.binary))
        ws = WebSocket(f'ws://127.0.0.1:{wss.address().port}')  # type: ignore[union-attr]
        assert supports.get() == (True,)
        end(ws)


def test_090_hixie_does_not_support_binary() -> None:
    with server() as wss:
        supports = Waiter()
        wss.on('connection', lambda ws: supports(ws.supports.binary))
        with hixie_request(wss, body=b'WjN}|M(6'):
            assert supports.get() == (False,)


# -- headers ----------------------------------------------------------------------------------------------------------


def test_091_the_host_header() -> None:
    with peer() as mini:
        ws = WebSocket(f'ws://localhost:{mini.port}')
        (headers,) = mini.headers.get()
        assert headers['host'] == f'localhost:{mini.port}'
        end(ws)


def test_092_the_origin_header() -> None:
    with peer() as mini:
        ws = WebSocket(f'ws://localhost:{mini.port}')
        (headers,) = mini.headers.get()
        assert headers['origin'] == f'localhost:{mini.port}'
        end(ws)
