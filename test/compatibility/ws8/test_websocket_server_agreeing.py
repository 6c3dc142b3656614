"""Tests S049 to S060 of ws 8's suite, but for S057: verifyClient, the event headers, compression."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import trustme
from compatibility.peers import KEY, VERSION, header_lines, http_server, on_http, request
from support import Log, Waiter, client, end, read_head, server, wait_for

from ws import WebSocket, timers
from ws.protocol.frames import build_frame

# -- verifyClient -----------------------------------------------------------------------------------------------------


def refusal(verifyClient: Any) -> tuple[int, dict[str, str]]:
    """The status and the headers for a client of version 8 that this refuses."""
    with server(verifyClient=verifyClient) as wss:
        connections = Log(wss, 'connection')
        with request(wss, KEY, 'Sec-WebSocket-Version: 8') as sock:
            head = read_head(sock)
        assert connections.nothing(0)
        return int(head.split()[1]), header_lines(head)


def answering(*answer: Any) -> Any:
    """A ``verifyClient`` that gives that answer a moment later."""
    return lambda info, callback: timers.setImmediate(callback, *answer) and None


def test_s049_refused_at_once() -> None:
    assert refusal(lambda info: False)[0] == 401


def test_s050_accepted_at_once() -> None:
    """With what it is told about a request over TLS."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    infos = Waiter()

    def verifyClient(info: Any) -> bool:
        infos(info.origin, info.req.headers['foo'], info.secure)
        return True

    with http_server(context=context) as httpd, on_http(httpd, verifyClient=verifyClient) as wss:
        ws = WebSocket(
            f'wss://localhost:{httpd.server_port}',
            headers={'Origin': 'https://example.com', 'foo': 'bar'},
            rejectUnauthorized=False,
        )
        wait_for(wss, 'connection')
        assert infos.get() == ('https://example.com', 'bar', True)
        end(ws)


def test_s051_accepted_later() -> None:
    with server(verifyClient=answering(True)) as wss:
        ws = client(wss)
        wait_for(wss, 'connection')
        end(ws)


def test_s052_refused_later() -> None:
    assert refusal(answering(False))[0] == 401


def test_s053_refused_with_a_status() -> None:
    assert refusal(answering(False, 404))[0] == 404


def test_s054_refused_with_headers() -> None:
    code, headers = refusal(answering(False, 503, '', {'Retry-After': 120}))
    assert (code, headers['retry-after']) == (503, '120')


def test_s055_a_client_that_leaves_meanwhile() -> None:
    """There it has sent a FIN, and could still be written to; here the connection ends with that."""
    told = Waiter()

    def verifyClient(info: Any, callback: Any) -> None:
        assert info.req.socket.writable
        info.req.socket.on('close', lambda: (callback(True), told()))

    with server(verifyClient=verifyClient) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with request(wss, KEY, VERSION) as sock:
            sock.shutdown(socket.SHUT_WR)
            told.get()
            assert sock.recv(1) == b''


# -- what comes with the request, and goes with the answer ------------------------------------------------------------


def test_s056_a_message_in_one_packet_with_the_request() -> None:
    with server() as wss:
        messages = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda data, flags: messages(data, bool(flags))))
        with request(wss, KEY, VERSION, body=build_frame(1, b'Hello', mask=True)):
            assert messages.get() == ('Hello', False)


def test_s058_the_event_headers() -> None:
    with server() as wss:
        wss.on('connection', lambda: None)
        told = Waiter()
        wss.on('headers', lambda lines, request: told(lines[:3], request.url))
        ws = client(wss, '?foo=bar')
        lines, url = told.get()
        assert lines == ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
        assert url == '/?foo=bar'
        end(ws)


# -- compression ------------------------------------------------------------------------------------------------------


def test_s059_no_compression_by_default() -> None:
    with server() as wss:
        told = Waiter()
        wss.on('connection', lambda ws, request: told(request.headers['sec-websocket-extensions'], ws.extensions))
        ws = client(wss)
        assert told.get() == ('permessage-deflate; client_max_window_bits', '')
        end(ws)


def test_s060_compression_with_options() -> None:
    with server(perMessageDeflate={'clientMaxWindowBits': 8}) as wss:
        wss.on('connection', lambda: None)
        offer = 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits'
        with request(wss, KEY, VERSION, offer) as sock:
            answer = header_lines(read_head(sock))
        assert answer['sec-websocket-extensions'] == 'permessage-deflate; client_max_window_bits=8'
