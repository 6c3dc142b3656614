"""Tests S032 to S048 of ws 8's suite, but for S046: handleUpgrade, and requests that are refused."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest
from compatibility.peers import KEY, VERSION, Pages, header_lines, hixie_request, http_server, status
from support import TIMEOUT, Log, Waiter, end, no_server, raw_connection, read_all, read_head, server, wait_for

from ws import WebSocket, WebSocketServer

# -- handleUpgrade ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def upgrading(upgrade: Callable[[Pages], None]) -> Iterator[str]:
    """The URL of an HTTP server of the program's own that hands each request to `upgrade`."""

    class Handler(Pages):
        def do_GET(self) -> None:
            upgrade(self)

    with http_server(Handler) as httpd:
        yield f'ws://127.0.0.1:{httpd.server_port}/'


def greet(ws: WebSocket) -> None:
    ws.send('hello')
    ws.close()


def is_greeted(url: str) -> bool:
    log = Log(WebSocket(url), 'message', 'close')
    event, data, flags = log.get()
    return (event, data, bool(flags), log.get()) == ('message', 'hello', False, ('close', 1000, ''))


def test_s032_an_http_server_of_the_programs_own() -> None:
    with no_server() as wss:

        def upgrade(handler: Pages) -> None:
            wss.handleUpgrade(handler, handler.connection, b'', greet)

        with upgrading(upgrade) as url:
            assert is_greeted(url)


def test_s033_another_path() -> None:
    assert refusal(KEY, VERSION, path='/ws')[0] == 400


def test_s034_hixie_76() -> None:
    """Differs: 400 there. As in 0.4.31 it is spoken, unless the option ``disableHixie`` is set."""
    for options, code in ({}, 101), ({'disableHixie': True}, 401):
        with server(**options) as wss:
            wss.on('connection', lambda: None)
            with hixie_request(wss) as sock:
                assert status(sock) == code


def relay(one: socket.socket, other: socket.socket) -> None:
    """Hand on what comes on either of them, until both have ended."""
    peers = {one: other, other: one}
    reading = [one, other]
    while reading:
        for sock in select.select(reading, [], [], TIMEOUT)[0]:
            data = sock.recv(65536)
            if data:
                peers[sock].sendall(data)
            else:
                reading.remove(sock)
                with contextlib.suppress(OSError):  # it has ended on both sides
                    peers[sock].shutdown(socket.SHUT_WR)


def test_s035_a_socket_that_is_not_the_requests() -> None:
    """Something stands between the connection and the WebSocket."""
    with no_server() as wss:

        def upgrade(handler: Pages) -> None:
            near, far = socket.socketpair()
            with near, far:
                wss.handleUpgrade(handler, near, b'', greet)
                relay(handler.connection, far)

        with upgrading(upgrade) as url:
            assert is_greeted(url)


def test_s036_the_same_socket_twice() -> None:
    text = (
        '^server.handleUpgrade\\(\\) was called more than once with the same socket, '
        'possibly due to a misconfiguration$'
    )
    with no_server() as wss:
        raised = Waiter()

        def upgrade(handler: Pages) -> None:
            wss.handleUpgrade(handler, handler.connection, b'', lambda ws: None)
            with pytest.raises(ValueError, match=text):
                wss.handleUpgrade(handler, handler.connection, b'', lambda ws: None)
            raised()

        with upgrading(upgrade) as url:
            ws = WebSocket(url)
            wait_for(ws, 'open')
            raised.get()
            assert end(ws, 'close') == (1000, '')


# -- requests that are refused ----------------------------------------------------------------------------------------

UPGRADE = ('Connection: Upgrade', 'Upgrade: websocket')


def refusal_of(wss: WebSocketServer, head: list[str]) -> tuple[int, dict[str, str], str]:
    """The status, the headers and the body that a server answers with; it must tell nobody of a connection."""
    connections = Log(wss, 'connection')
    with raw_connection(wss) as sock:
        sock.sendall('\r\n'.join([*head, '', '']).encode())
        answer, _, body = read_all(sock).partition(b'\r\n\r\n')
    assert connections.nothing(0)
    return int(answer.split()[1]), header_lines(answer + b'\r\n\r\n'), body.decode()


def refusal(
    *lines: str, method: str = 'GET', upgrade: tuple[str, ...] = UPGRADE, **options: Any
) -> tuple[int, dict[str, str], str]:
    with server(**options) as wss:
        return refusal_of(wss, [f'{method} / HTTP/1.1', 'Host: localhost', *upgrade, *lines])


def text_of(*lines: str, **options: Any) -> str:
    """What the body of a refusal with 400 says."""
    code, _, text = refusal(*lines, **options)
    assert code == 400
    return text


def test_s037_another_method() -> None:
    code, _, text = refusal(method='POST')
    assert (code, text) == (405, 'Invalid HTTP method')


def asking(url: str) -> socket.socket:
    address = urlsplit(url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port), TIMEOUT)


def test_s038_an_upgrade_header_that_is_not_there() -> None:
    """Better: 400 and 'Invalid Upgrade header' there; 426 tells the client, or who opens the page, what is missing.

    There it is lost among more headers than Node is told to read; here that many are refused, and none gets lost.
    """
    with no_server() as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with upgrading(lambda handler: wss.handleUpgrade(handler, handler.connection, b'')) as url, asking(url) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\nfoo: bar\r\n\r\n')
            assert status(sock) == 426
            assert read_all(sock) == b'Upgrade Required'
    assert refusal(*['foo: bar'] * 200)[0] == 431


def test_s039_another_upgrade() -> None:
    assert text_of(upgrade=('Connection: Upgrade', 'Upgrade: foo')) == 'Invalid Upgrade header'


WRONG_KEY = 'Missing or invalid Sec-WebSocket-Key header'


def test_s040_no_key() -> None:
    assert text_of() == WRONG_KEY


def test_s041_a_key_that_is_too_short() -> None:
    assert text_of('Sec-WebSocket-Key: P5l8BJcZwRc=') == WRONG_KEY


def refused_for_its_version(*lines: str) -> bool:
    code, headers, text = refusal(KEY, *lines)
    assert (code, text) == (400, 'Missing or invalid Sec-WebSocket-Version header')
    return headers['sec-websocket-version'] == '13, 8'


def test_s042_no_version() -> None:
    assert refused_for_its_version()


def test_s043_another_version() -> None:
    assert refused_for_its_version('Sec-WebSocket-Version: 12')


def test_s044_a_wrong_sub_protocol() -> None:
    assert text_of(KEY, VERSION, 'Sec-WebSocket-Protocol: foo;bar') == 'Invalid Sec-WebSocket-Protocol header'


def test_s045_a_wrong_extension() -> None:
    extensions = 'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=foo'
    text = text_of(KEY, VERSION, extensions, perMessageDeflate=True)
    assert text == 'Invalid or unacceptable Sec-WebSocket-Extensions header'


def test_s047_a_server_that_closes() -> None:
    with no_server() as wss:

        def upgrade(handler: Pages) -> None:
            wss.close()
            wss.handleUpgrade(handler, handler.connection, b'', lambda ws: pytest.fail('connected'))

        with upgrading(upgrade) as url:
            (error,) = wait_for(WebSocket(url), 'error')
            assert error.status == 503


def test_s048_an_extension_that_nobody_knows() -> None:
    """It is passed over."""
    with server(perMessageDeflate=True) as wss:
        extensions = Waiter()
        wss.on('connection', lambda ws: (extensions(ws.extensions), ws.close()))
        with raw_connection(wss) as sock:
            lines = [*UPGRADE, KEY, VERSION, 'Sec-WebSocket-Extensions: foo; bar']
            sock.sendall('\r\n'.join(['GET / HTTP/1.1', 'Host: localhost', *lines, '', '']).encode())
            assert 'sec-websocket-extensions' not in header_lines(read_head(sock))
            assert sock.recv(1) == b'\x88'
        assert extensions.get() == ('',)
