"""Those of ws 8's tests that are about the way to a server: W063, W155 and W158."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from typing import Any

import trustme
from support import TIMEOUT, Waiter, server, wait_for

from ws import WebSocket


def test_w063_create_connection_connects_in_our_place() -> None:
    with server(path='/foo') as wss:
        heard, asked = Waiter(), Waiter()
        wss.on('connection', lambda ws, request: heard(request.headers['host']))
        port = wss.address().port  # type: ignore[union-attr]

        def createConnection(options: Any) -> socket.socket:
            asked(options.host, options.port)  # the port is a number here
            return socket.create_connection(('127.0.0.1', port), TIMEOUT)

        ws = WebSocket('ws://google.com:22/foo', {'createConnection': createConnection})
        wait_for(ws, 'open')
        assert asked.get() == ('google.com', 22)
        assert heard.get() == ('google.com:22',)
        assert ws.url == 'ws://google.com:22/foo'
        ws.close()
        wait_for(ws, 'close')


def test_w155_no_server_name_is_told() -> None:
    """There it is seen in what TLS is given; here, in what a server hears."""
    authority, heard = trustme.CA(), Waiter()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('127.0.0.1', 'localhost').configure_cert(context)
    context.sni_callback = lambda connection, name, default: heard(name)
    with server(context=context) as wss:
        wss.on('connection', lambda: None)
        port = wss.address().port  # type: ignore[union-attr]
        for options, name in ({'servername': ''}, None), ({'servername': 'localhost'}, 'localhost'):
            ws = WebSocket(f'wss://127.0.0.1:{port}', {'ca': authority.cert_pem.bytes(), **options})
            wait_for(ws, 'open')
            assert heard.get() == (name,)
            ws.terminate()


def authorization_of(address: str, **options: Any) -> Any:
    """The header that an agent sees."""
    seen, done = Waiter(), threading.Event()

    def agent(request: Any, wanted: Any) -> socket.socket:
        seen(request.headers.get('authorization'))
        done.wait(TIMEOUT)
        raise ConnectionRefusedError

    ws = WebSocket(address, {'agent': agent, **options})
    (header,) = seen.get()
    ws.terminate()
    done.set()
    return header


def basic(credentials: str) -> str:
    return 'Basic ' + b64encode(credentials.encode()).decode()


def test_w158_user_and_password_as_an_option() -> None:
    assert authorization_of('ws://localhost', auth='user:pass') == basic('user:pass')
