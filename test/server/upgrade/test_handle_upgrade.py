"""What becomes of a request: handleUpgrade."""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from server.upgrade.requests import REQUEST, Later, fail, nobody_connects, text_frame, with_header
from sites import LOCAL, Pages, serving
from support import HANDSHAKE, TIMEOUT, Log, Waiter, end, no_server, on_loop, read_all, read_head, until, wait_for_end

from ws import WebSocket, WebSocketServer, delivery
from ws.protocol.http import Request, RequestParser


def parsed(path: str = '/', line: bytes = b'X: y') -> Request:
    request = RequestParser().feed(with_header(line).replace(b' / ', f' {path} '.encode()))
    assert request is not None
    return request


ENVIRON = {
    'REQUEST_METHOD': 'GET',
    'PATH_INFO': '/',
    'SERVER_PROTOCOL': 'HTTP/1.1',
    'HTTP_HOST': 'localhost',
    'HTTP_UPGRADE': 'websocket',
    'HTTP_CONNECTION': 'Upgrade',
    'HTTP_SEC_WEBSOCKET_VERSION': '13',
    'HTTP_SEC_WEBSOCKET_KEY': 'dGhlIHNhbXBsZSBub25jZQ==',
}


@contextlib.contextmanager
def pair(kind: str, certificate: dict[str, bytes], folder: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket, and the other end: 'plain', 'unix' or 'tls'."""
    if kind == 'unix':
        here, there = socket.socketpair()
        here.settimeout(TIMEOUT)
        with here, there:
            yield here, there
        return
    with socket.create_server(('127.0.0.1', 0)) as listener:
        here = socket.create_connection(listener.getsockname(), timeout=TIMEOUT)
        there = listener.accept()[0]
    with here, there:
        if kind == 'plain':
            yield here, there
            return
        (folder / 'pem').write_bytes(certificate['key'] + certificate['cert'])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / 'pem')
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        accepted: list[ssl.SSLSocket] = []
        thread = threading.Thread(target=lambda: accepted.append(context.wrap_socket(there, server_side=True)))
        thread.start()
        with trusting.wrap_socket(here) as wrapped:
            thread.join()
            # The other end is nobody's to close but the server's: whether it does is what is tested.
            yield wrapped, accepted[0]


each_kind = pytest.mark.parametrize('kind', ['plain', 'unix', 'tls'])


@pytest.mark.loop
@each_kind
@pytest.mark.parametrize('thread', ['loop', 'other'])
def test_handle_upgrade(kind: str, thread: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    """Item 111. From any thread; what was read beyond the request comes first, and at the end the socket is closed."""
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        nobody_connects(wss)
        connected, messages = Waiter(), Waiter()

        def on_connected(ws: WebSocket, request: Request) -> None:
            ws.on('message', lambda message, flags: (messages(message), ws.send(message)))
            connected(ws, request, threading.current_thread().name)

        here.sendall(text_frame(b'two'))
        upgrade = functools.partial(wss.handleUpgrade, parsed('/chat'), there, text_frame(b'one'), on_connected)
        if thread == 'loop':
            on_loop(wss, upgrade)
        else:
            upgrade()
        ws, request, name = connected.get()
        assert name == 'ws' and request is ws.upgradeReq and request.connection is ws._socket
        assert (request.url, wss.clients) == ('/chat', [ws])
        assert read_head(here).startswith(b'HTTP/1.1 101 ')
        assert [messages.get()[0], messages.get()[0]] == ['one', 'two']
        assert ws.bytesReceived == 18
        end(ws)
        assert read_all(here) == b'\x81\x03one\x81\x03two'
        assert there.fileno() == -1
        assert wss.clients == []


@each_kind
def test_a_socket_is_taken_once(kind: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        connected = Waiter()
        wss.handleUpgrade(parsed(), there, b'', connected)
        with pytest.raises(ValueError, match='was called more than once with the same socket'):
            wss.handleUpgrade(parsed(), there, b'', connected)
        ws = connected.get()[0]
        assert read_head(here).startswith(b'HTTP/1.1 101 ')
        ws.send('still there')
        assert here.recv(100) == b'\x81\x0bstill there'
        end(ws)
        assert connected.nothing(0)


@each_kind
@pytest.mark.parametrize(
    ('request_', 'head', 'callback', 'error', 'text'),
    [
        (None, b'', print, TypeError, 'WSGI environ'),
        (parsed(), 'text', print, TypeError, 'head'),
        (parsed(), 5, print, TypeError, 'head'),
        (parsed(), b'', 5, TypeError, 'callback'),
        (parsed(), b'', 'x', TypeError, 'callback'),
    ],
)
def test_wrong_arguments_leave_the_socket_alone(
    request_: Any, head: Any, callback: Any, error: Any, text: str, kind: str, certificate: Any, tmp_path: Path
) -> None:
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        with pytest.raises(error, match=text):
            wss.handleUpgrade(request_, there, head, callback)
        there.sendall(b'unharmed')
        assert here.recv(100) == b'unharmed'
        there.close()
        assert here.recv(100) == b''


@pytest.mark.parametrize('junk', [None, 'x', 5, object()])
def test_what_is_no_socket(junk: Any) -> None:
    with no_server() as wss, pytest.raises(TypeError, match='must be a socket, not'):
        wss.handleUpgrade(parsed(), junk, b'', print)


def test_a_closed_socket() -> None:
    sock = socket.socket()
    sock.close()
    with no_server() as wss, pytest.raises(ValueError, match='closed'):
        wss.handleUpgrade(parsed(), sock, b'', print)


@each_kind
@pytest.mark.parametrize('how', ['end', 'reset'])
def test_a_client_that_is_gone(kind: str, how: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    """As in ws 8, nobody is told of it."""
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        nobody_connects(wss)
        if how == 'reset' and kind != 'unix':
            here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        here.close()
        wss.handleUpgrade(parsed(), there, None, lambda ws: pytest.fail('connected'))
        assert there.fileno() == -1
        on_loop(wss, lambda: None)


def test_a_client_that_has_sent_something_and_gone(tmp_path: Path) -> None:
    """What it sent counts."""
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        here.sendall(text_frame(b'last words'))
        here.close()
        log = Waiter()
        wss.handleUpgrade(parsed(), there, None, lambda ws: (ws.on('message', log), ws.on('close', log)))
        assert log.get()[0] == 'last words'
        assert log.get() == (1006, '')


@each_kind
def test_a_request_that_is_malformed_is_answered(kind: str, certificate: dict[str, bytes], tmp_path: Path) -> None:
    with no_server() as wss, pair(kind, certificate, tmp_path) as (here, there):
        nobody_connects(wss)
        environ = {**ENVIRON, 'HTTP_X': 'a\r\nEvil: b'}
        wss.handleUpgrade(environ, there, b'', lambda ws: pytest.fail('connected'))
        answer = read_all(here)
        assert answer.startswith(b'HTTP/1.1 400 Bad Request\r\n')
        assert answer.endswith(b'invalid character in request')
        here.close()
        until(lambda: not wss._openings)


@each_kind
@pytest.mark.parametrize('state', ['closing', 'closed', 'on the way'])
def test_handle_upgrade_on_a_closed_server(
    kind: str, state: str, certificate: dict[str, bytes], tmp_path: Path
) -> None:
    wss = WebSocketServer(noServer=True)
    closed = Waiter()
    with pair(kind, certificate, tmp_path) as (here, there):
        upgrade = functools.partial(wss.handleUpgrade, parsed(), there, b'', lambda ws: pytest.fail('connected'))
        if state == 'on the way':
            on_loop(
                wss,
                lambda: (threading.Thread(target=upgrade).start(), until(lambda: wss._loop._inbox), wss.close(closed)),
            )
        else:
            wss.close(closed)
            if state == 'closed':
                closed.get()
            upgrade()
        assert read_all(here).startswith(b'HTTP/1.1 503 Service Unavailable\r\n')
        until(lambda: there.fileno() == -1)
    if state != 'closed':
        closed.get()


def test_a_client_that_reads_nothing_does_not_hold_up_a_closed_server(tmp_path: Path) -> None:
    wss = WebSocketServer(noServer=True)
    wait_for_end(wss)
    with pair('plain', {}, tmp_path) as (_here, there):
        there.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                there.send(bytes(65536))
        wss.handleUpgrade(parsed(), there, b'', print)


def test_handle_upgrade_refuses_as_the_server_does(tmp_path: Path) -> None:
    verify = Later()
    for options, request, status in (
        ({'path': '/chat'}, parsed('/other'), b'400 '),
        ({}, RequestParser().feed(REQUEST.replace(b'websocket', b'h2c')), b'400 '),
        ({'verifyClient': lambda: False}, parsed(), b'401 '),
        ({'verifyClient': verify, 'handshakeTimeout': 50}, parsed(), b'408 '),
        ({'handleProtocols': lambda: False}, parsed(), b'404 '),
    ):
        with no_server(**options) as wss, pair('plain', {}, tmp_path) as (here, there):
            wss.handleUpgrade(request, there, b'', lambda: pytest.fail('connected'))
            assert read_all(here).startswith(b'HTTP/1.1 ' + status)
            here.close()
            until(lambda wss=wss: not wss._openings)


def test_a_callback_that_raises_closes_its_connection(tmp_path: Path, reported: list[BaseException]) -> None:
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        wss.handleUpgrade(parsed(), there, b'', fail)
        read_head(here)
        assert here.recv(100) == b'\x88\x02\x03\xf3'
        assert isinstance(reported.pop(), LookupError)


def test_the_headers_event_of_handle_upgrade(tmp_path: Path) -> None:
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        wss.on('headers', lambda this, lines, request: lines.append(f'X: {request.url} {this is wss}'))
        wss.handleUpgrade(parsed('/p'), there, b'', lambda: None)
        assert b'\r\nX: /p True\r\n' in read_head(here)


def test_the_environ_of_a_server_we_do_not_know(tmp_path: Path) -> None:
    with no_server() as wss, pair('plain', {}, tmp_path) as (here, there):
        connected = Waiter()
        wss.handleUpgrade({**ENVIRON, 'QUERY_STRING': 'a=1', 'HTTP_ORIGIN': 'o'}, there, b'', connected)
        assert read_head(here).startswith(b'HTTP/1.1 101 ')
        request = connected.get()[1]
        assert (request.url, request.headers['Origin'], request.connection.encrypted) == ('/?a=1', 'o', False)


def test_a_handler_that_hands_over_by_itself() -> None:
    """Also one that keeps connections alive, without a word in its log."""
    connected = Waiter()
    with no_server() as wss:

        class Handler(Pages):
            def do_GET(self) -> None:
                if self.headers['Upgrade'] is None:
                    super().do_GET()
                else:
                    wss.handleUpgrade(self, self.connection, b'', connected)

        with serving(HTTPServer(LOCAL, Handler)) as site:
            with site.connection() as sock:
                sock.sendall(HANDSHAKE % b'/chat')
                ws, request = connected.get()
                assert request.url == '/chat'
                assert read_head(sock).startswith(b'HTTP/1.1 101 ')
                assert site.has_page('/page')
                ws.send('hello')
                assert sock.recv(100) == b'\x81\x05hello'
            assert site.errors.nothing(0)


@contextlib.contextmanager
def handing_over(hand_over: Callable[[Any], object]) -> Iterator[Any]:
    """A site whose handler keeps connections alive, and calls `hand_over` with itself for a WebSocket."""

    class Handler(Pages):
        def do_GET(self) -> None:
            if self.headers['Upgrade'] is None:
                super().do_GET()
            else:
                hand_over(self)

    with serving(HTTPServer(LOCAL, Handler)) as site:
        yield site
        assert site.errors.nothing(0)


@pytest.mark.parametrize('form', ['with its socket', 'without'])
def test_what_a_handler_has_read_ahead_is_not_lost(form: str) -> None:
    connected, messages = Waiter(), Waiter()

    def on_connected(ws: WebSocket) -> None:
        ws.on('message', messages)
        connected(ws)

    def hand_over(handler: Any) -> None:
        if form == 'without':
            wss.handleUpgrade(handler, on_connected)
        else:
            wss.handleUpgrade(handler, handler.connection, b'', on_connected)

    with no_server() as wss, handing_over(hand_over) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/' + text_frame(b'one') + text_frame(b'two') + text_frame(b'three')[:4])
        connected.get()
        assert site.has_page('/page')  # the handler has let go of it
        sock.sendall(text_frame(b'three')[4:])
        assert [messages.get()[0] for _ in range(3)] == ['one', 'two', 'three']


def test_what_was_read_already_comes_before_what_a_handler_has_read_ahead() -> None:
    messages = Waiter()

    def hand_over(handler: Any) -> None:
        head = handler.rfile.read(len(text_frame(b'one')))
        wss.handleUpgrade(handler, None, head, lambda ws: ws.on('message', messages))

    with no_server() as wss, handing_over(hand_over) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/' + text_frame(b'one') + text_frame(b'two'))
        assert [messages.get()[0] for _ in range(2)] == ['one', 'two']


def test_a_malformed_request_of_a_handler_is_answered() -> None:
    done = Waiter()
    with no_server() as wss, handing_over(lambda handler: done(wss.handleUpgrade(handler))) as site:
        nobody_connects(wss)
        with site.connection() as sock:
            sock.sendall(with_header(b'no header line'))
            assert read_all(sock).startswith(b'HTTP/1.1 400 Bad Request\r\n')
        assert done.get() == (None,)


def test_without_a_callback_it_is_the_connection_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every connection, late listeners lose nothing."""
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with no_server() as wss, handing_over(wss.handleUpgrade) as site, site.connection() as sock:
        sock.sendall(HANDSHAKE % b'/chat' + text_frame(b'early'))
        until(lambda: wss._admission.waiting)
        connected, messages = Waiter(), Waiter()
        wss.on('connection/chat', lambda ws: connected('first', ws))
        wss.on('connection', lambda ws, request: (connected('then', ws, request.url), ws.on('message', messages)))
        first, then = connected.get(), connected.get()
        assert (first[0], then[0], then[2]) == ('first', 'then', '/chat')
        assert first[1] is then[1]
        assert messages.get()[0] == 'early'


def test_a_request_needs_its_socket() -> None:
    with no_server() as wss, pytest.raises(TypeError, match='socket must be a socket, not NoneType'):
        wss.handleUpgrade(parsed())


def test_close_of_a_server_without_a_port(tmp_path: Path) -> None:
    wss = WebSocketServer(noServer=True, path='/')
    log = Log(wss, 'listening', 'close')
    with pair('plain', {}, tmp_path) as (here, there):
        connected = Waiter()
        wss.handleUpgrade(parsed(), there, b'', connected)
        connected.get()
        read_head(here)
        wss.close(3000, 'done')
        assert here.recv(100) == b'\x88\x06\x0b\xb8done'
        here.sendall(b'\x88\x86\0\0\0\0\x0b\xb8done')
        assert here.recv(100) == b''
    assert log.get() == ('close',)
