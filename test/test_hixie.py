"""Hixie-76 from end to end: connections over raw sockets, as the browsers of 2010 made them."""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
import trustme
from sites import LOCAL, Pages, serving
from support import (
    Log,
    Waiter,
    client,
    end,
    on_loop,
    raw_connection,
    read_all,
    read_head,
    server,
    until,
    wait_for,
)

from ws import WebSocket, WebSocketServer

#: Of the draft, and of the tests of Node's ws (section 5.1 of the facts): keys, nonce, answer.
VECTORS = [
    (b'4 @1  46546xW%0l 1 5', b'12998 5 Y3 1  .P00', b'^n:ds[4U', b"8jKS'y:G*Co,Wxa-"),
    (
        b'3e6b263  4 17 80',
        b'17  9 G`ZD9   2 2b 7X 3 /r90',
        b'WjN}|M(6',
        bytes.fromhex('6e603965426b397a245238704f745662'),
    ),
]
KEY1, KEY2, NONCE, ANSWER = VECTORS[1]


def head(key1: bytes = KEY1, key2: bytes = KEY2, lines: bytes = b'') -> bytes:
    return (
        b'GET /demo?x=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n'
        b'Origin: http://page\r\nSec-WebSocket-Key1: %b\r\nSec-WebSocket-Key2: %b\r\n%b\r\n' % (key1, key2, lines)
    )


REQUEST = head() + NONCE


def read(sock: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        data += sock.recv(size - len(data)) or pytest.fail(f'the connection ended after {data!r}')
    return data


def shake_hands(sock: socket.socket, request: bytes = REQUEST) -> bytes:
    sock.sendall(request)
    response = read_head(sock)
    assert response.startswith(b'HTTP/1.1 101 Switching Protocols\r\n')
    assert read(sock, 16) == ANSWER
    return response


def connected(wss: WebSocketServer) -> Callable[[], WebSocket]:
    """What waits for the next connection."""
    waiter = Waiter()
    wss.on('connection', lambda ws: waiter(ws, Log(ws, 'message', 'error', 'close')))
    return waiter.get


# -- the opening handshake --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('key1', 'key2', 'nonce', 'answer'), VECTORS)
def test_vectors(key1: bytes, key2: bytes, nonce: bytes, answer: bytes) -> None:
    """Item 134. Nothing but the answer follows the head."""
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            sock.sendall(head(key1, key2, b'Sec-WebSocket-Protocol: sample\r\n') + nonce)
            assert read_head(sock).decode().split('\r\n')[:-2] == [
                'HTTP/1.1 101 Switching Protocols',
                'Upgrade: WebSocket',
                'Connection: Upgrade',
                'Sec-WebSocket-Location: ws://example.com/demo?x=1',
                'Sec-WebSocket-Protocol: sample',
                'Sec-WebSocket-Origin: http://page',
            ]
            ws, _ = wait()
            assert (ws.protocolVersion, ws.protocol, ws.supports.binary) == ('hixie-76', 'sample', False)
            assert (ws.upgradeReq.url, ws.bytesReceived) == ('/demo?x=1', 0)
            ws.terminate()
            assert read_all(sock) == answer


def test_the_nonce_byte_by_byte() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            for byte in REQUEST + b'\0Hello\xff':
                sock.sendall(bytes([byte]))
            read_head(sock)
            assert read(sock, 16) == ANSWER
            assert wait()[1].get()[:2] == ('message', 'Hello')


@pytest.mark.parametrize('before', range(8))
def test_a_proxy_that_holds_back_the_nonce(before: int) -> None:
    """Until it has seen the head of the answer, what follows the head of the request is not its business."""
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            sock.sendall(head() + NONCE[:before])
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            sock.sendall(NONCE[before:] + b'\0Hello\xff')
            assert read(sock, 16) == ANSWER
            ws, log = wait()
            assert log.get()[1] == 'Hello'
            assert ws.bytesReceived == 7


def test_a_frame_behind_the_nonce() -> None:
    """Item 141."""
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock, REQUEST + b'\0Hello\xff\0more')
            ws, log = wait()
            assert log.get()[:2] == ('message', 'Hello')
            sock.sendall(b' of it\xff')
            assert log.get()[:2] == ('message', 'more of it')
            assert ws.bytesReceived == 19


@pytest.mark.parametrize(
    ('lines', 'location'),
    [
        (b'X-Forwarded-Host: outside:8080\r\n', 'ws://outside:8080/demo?x=1'),
        (b'X-Forwarded-Proto: https\r\n', 'wss://example.com/demo?x=1'),
        (b'X-Forwarded-Proto: https\r\nX-Forwarded-Host: o\r\n', 'wss://o/demo?x=1'),
        (b'X-Forwarded-Proto: http\r\n', 'ws://example.com/demo?x=1'),
    ],
)
def test_behind_a_proxy(lines: bytes, location: str) -> None:
    with server() as wss:
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            response = shake_hands(sock, head(lines=lines) + NONCE)
            assert f'\r\nSec-WebSocket-Location: {location}\r\n'.encode() in response


def test_over_tls() -> None:
    issued = trustme.CA().issue_cert('localhost')
    with server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        wait = connected(wss)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with raw_connection(wss) as plain, context.wrap_socket(plain) as sock:
            assert b'\r\nSec-WebSocket-Location: wss://example.com/' in shake_hands(sock, REQUEST + b'\0Hello\xff')
            ws, log = wait()
            assert log.get()[1] == 'Hello'
            ws.send('there')
            assert read(sock, 7) == b'\0there\xff'


def test_on_the_port_of_an_http_server() -> None:
    with serving(ThreadingHTTPServer(LOCAL, Pages)) as site:
        wss = WebSocketServer(server=site.httpd, path='/demo')
        wait = connected(wss)
        for cut in (len(REQUEST), len(REQUEST) - 3, len(head()), len(head()) - 2):
            with site.connection() as sock:
                sock.sendall(REQUEST[:cut])
                shake_hands(sock, REQUEST[cut:] + b'\0Hello\xff')
                assert wait()[1].get()[1] == 'Hello'
                assert site.has_page('/demo')
        closed = Waiter()
        wss.close(closed)
        closed.get()


@pytest.mark.parametrize(
    ('request_', 'status'),
    [
        (head().replace(b'Sec-WebSocket-Key2: ', b'X: '), b'400 '),  # item 132
        (head().replace(b'Sec-WebSocket-Key1: ', b'X: '), b'400 '),  # item 133
        (head(key1=b'123'), b'400 '),  # no space
        (head(key1=b' a b '), b'400 '),  # no digit
        (head(key1=b'1  1'), b'400 '),  # 11 by two
        (head(key2=b'9 ' + b'9' * 4000), b'400 '),
        (head(lines=b'Sec-WebSocket-Key1: 1 0\r\n'), b'400 '),
        (head().replace(b'GET', b'POST'), b'405 '),
        (head().replace(b'Host: example.com\r\n', b''), b'400 '),
        (head().replace(b'Connection: Upgrade', b'Connection: close'), b'400 '),
        (head().replace(b'Upgrade: WebSocket\r\n', b''), b'426 '),
        (head().replace(b'/demo', b'/other'), b'400 '),
        (head(lines=b'Content-Length: 8\r\n'), b'400 '),
        (head(lines=b'Transfer-Encoding: chunked\r\n'), b'400 '),
        (head().replace(b'example.com', b'a b'), b'400 '),
    ],
)
def test_a_request_that_is_refused(request_: bytes, status: bytes) -> None:
    with server(path='/demo') as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            sock.sendall(request_ + NONCE)
            assert read_all(sock).startswith(b'HTTP/1.1 ' + status)


def test_disable_hixie() -> None:
    """Item 131. Other versions are served."""
    with server(disableHixie=True) as wss:
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST)
            answer = read_all(sock)
            assert answer.startswith(b'HTTP/1.1 401 ') and b'Hixie support disabled' in answer
        wss.on('connection', lambda: None)
        ws = client(wss)
        wait_for(ws, 'open')
        end(ws)


def test_a_nonce_that_never_comes() -> None:
    with server(handshakeTimeout=2000) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST[:-1])
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            assert read_all(sock) == b''
        until(lambda: not wss._openings)


def test_a_client_that_leaves_before_its_nonce() -> None:
    with server() as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST[:-1])
            until(lambda: any(opening._on_more for opening in wss._openings))
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b''
        until(lambda: not wss._openings)


def test_closing_while_a_nonce_is_awaited() -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda: pytest.fail('connected'))
    with raw_connection(wss) as sock:
        sock.sendall(REQUEST[:-1])
        until(lambda: any(opening._on_more for opening in wss._openings))
        closed = Waiter()
        wss.close(closed)
        closed.get()
        assert read_head(sock).startswith(b'HTTP/1.1 101 ')
        assert read_all(sock) == b''


# -- what the user's functions have to say ----------------------------------------------------------------------------


@pytest.mark.parametrize('ok', [True, False])
@pytest.mark.parametrize('form', ['return', 'callback', 'later'])
def test_verify_client(ok: bool, form: str) -> None:
    """Items 135 to 140. Asked before the nonce has come, and it may come before the answer."""
    told = Waiter()

    def by_return(info: Any) -> bool:
        told(info)
        return ok

    def by_callback(info: Any, callback: Callable[..., None]) -> None:
        told(info, callback)
        if form == 'callback':
            callback(ok)

    with server(verifyClient=by_return if form == 'return' else by_callback) as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            sock.sendall(REQUEST[:-4])
            info, *callback = told.get()
            assert (info.origin, info.secure, info.req.headers['Sec-WebSocket-Key1']) == (
                'http://page', False, KEY1.decode(),
            )  # fmt: skip
            if ok:
                sock.sendall(REQUEST[-4:] + b'\0Hello\xff')
            if form == 'later':
                callback[0](ok)
            if ok:
                shake_hands(sock, b'')
                assert wait()[1].get()[1] == 'Hello'
            else:
                assert read_all(sock).startswith(b'HTTP/1.1 401 Unauthorized\r\n')


def test_neither_protocols_nor_headers_are_asked_for() -> None:
    with server(handleProtocols=lambda: pytest.fail('asked')) as wss:
        wss.on('headers', lambda: pytest.fail('told'))
        wss.on('connection', lambda: None)
        with raw_connection(wss) as sock:
            shake_hands(sock)


# -- messages ---------------------------------------------------------------------------------------------------------


def test_text_and_binary_both_ways() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, log = wait()
            sock.sendall(b'\0caf\xc3\xa9\xff' + b'\x80\x81\x00' + b'x' * 128 + b'\0\xff')
            assert [log.get()[1] for _ in range(3)] == ['caf\xe9', 'x' * 128, '']
            sent = Waiter()
            ws.send('caf\xe9', sent)
            ws.send(b'\xff\x00', sent)
            ws.send(b'y' * 20_000, {'binary': True, 'mask': True}, sent)
            ws.send('', sent)
            ws.send(b'text', {'binary': False}, sent)
            assert [sent.get() for _ in range(5)] == [(None,)] * 5
            expected = (
                b'\0caf\xc3\xa9\xff' + b'\x80\x02\xff\x00' + b'\x80\x81\x9c\x20' + b'y' * 20_000 + b'\0\xff\0text\xff'
            )
            assert read(sock, len(expected)) == expected
            until(lambda: not ws.bufferedAmount)


@pytest.mark.parametrize('on', ['loop', 'thread'])
def test_a_byte_that_cannot_be_sent_in_a_text(on: str, reported: list[BaseException]) -> None:
    """It is an error of that message alone."""
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, _ = wait()
            told = Waiter()
            if on == 'thread':
                ws.send(b'\xff', {'binary': False}, told)
                assert isinstance(told.get()[0], ValueError)
            else:
                with pytest.raises(ValueError, match='0xff'):
                    on_loop(wss, lambda: ws.send(b'\xff', {'binary': False}))
            ws.send('next')
            assert read(sock, 6) == b'\0next\xff'
            until(lambda: not ws.bufferedAmount)


def test_pings_and_pongs_do_nothing() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, _ = wait()
            told = Waiter()
            ws.ping()
            ws.ping('data', told)
            ws.pong('data', {'mask': True}, True, told)
            assert [told.get(), told.get()] == [(None,), (None,)]
            ws.send('all there is')
            assert read(sock, 14) == b'\0all there is\xff'


def test_a_message_in_pieces() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, _ = wait()
            pieces = ['one ', 'two ', 'three']

            def supply(error: Any, send: Any) -> None:
                if not error:
                    send(pieces.pop(0), not pieces)

            ws.stream(supply)
            ws.send('behind')
            assert read(sock, 23) == b'\0one two three\xff\0behind\xff'


@pytest.mark.parametrize('file', [io.StringIO('caf\xe9' * 100_000), io.BytesIO(b'bytes' * 100_000)])
def test_a_file(file: Any) -> None:
    content = file.getvalue()
    raw = content.encode() if isinstance(content, str) else content
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            told = Waiter()
            wait()[0].send(file, told)
            assert read(sock, len(raw) + 2) == b'\0' + raw + b'\xff'
            assert told.get() == (None,)


def test_a_file_that_these_frames_cannot_carry() -> None:
    """The peer would take what it got for the whole: the connection ends."""
    with server() as wss:
        wait = connected(wss)
        for content, seen in (
            (b'\xff', b'\0next\xff'),
            (b'x' * 262_144 + b'\xff', b'\0' + b'x' * 262_144 + b'\xff\xff\0'),
        ):
            with raw_connection(wss) as sock:
                shake_hands(sock)
                ws, log = wait()
                told = Waiter()
                ws.send(io.BytesIO(content), told)
                if len(content) == 1:
                    ws.send('next')
                assert read(sock, len(seen)) == seen
                assert isinstance(told.get()[0], ValueError)
            assert log.until('close')[-1] == ('close', 1006, '')


@pytest.mark.parametrize(
    'frames',
    [b'\0' + b'x' * 101, b'\x80\x65', b'\x80' + b'\xff' * 10, b'\0' + b'x' * 101 + b'\xff'],
)
def test_max_payload(frames: bytes) -> None:
    with server(maxPayload=100) as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock, REQUEST + b'\0' + b'x' * 100 + b'\xff')
            _, log = wait()
            assert len(log.get()[1]) == 100
            sock.sendall(frames)
            _, error, code = log.get()
            assert (str(error), code) == ('Max payload size exceeded', 1009)
            assert read_all(sock) == b'\xff\0'
        assert log.get() == ('close', 1006, '')


@pytest.mark.parametrize('frames', [b'\x01', b'Hello', b'\xff\x01', b'\x81\x05Hello'])
def test_what_is_no_frame(frames: bytes) -> None:
    """It harms this connection only."""
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as other, raw_connection(wss) as sock:
            shake_hands(other)
            _, other_log = wait()
            shake_hands(sock)
            _, log = wait()
            sock.sendall(frames)
            _, error, code = log.get()
            assert (str(error), code) == ('payload must start with 0x00 byte', 1002)
            assert read_all(sock) == b'\xff\0'
            sock.close()
            assert log.get() == ('close', 1006, '')
            other.sendall(b'\0unharmed\xff')
            assert other_log.get()[1] == 'unharmed'


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('chunks', [[b'\xff\0'], [b'\xff', b'\0'], [b'\0last\xff\xff\0']])
def test_the_client_closes(chunks: list[bytes]) -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, log = wait()
            for chunk in chunks:
                sock.sendall(chunk)
            assert read_all(sock) == b'\xff\0'
        if len(chunks[0]) > 2:
            assert log.get()[1] == 'last'
        assert log.get() == ('close', 1005, '')
        assert ws not in wss.clients


def test_the_server_closes() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, log = wait()
            ws.send('last')
            ws.close(3000, 'a reason there is no room for')
            assert read(sock, 8) == b'\0last\xff\xff\0'
            sock.sendall(b'\xff\0')
            assert read_all(sock) == b''
        assert log.get() == ('close', 1005, '')


def test_closing_in_the_middle_of_a_message() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            ws, log = wait()
            told = Waiter()
            ws.stream(lambda error, send: (told(error), error or (send('begun', False), ws.close())))
            assert read(sock, 9) == b'\0begun\xff\xff\0'
            assert told.get() == (None,)
            assert str(told.get()[0]) == 'not opened'
            sock.sendall(b'\xff\0')
        assert log.get()[0] == 'close'


def test_a_client_that_vanishes() -> None:
    with server() as wss:
        wait = connected(wss)
        with raw_connection(wss) as sock:
            shake_hands(sock)
            _, log = wait()
            sock.sendall(b'\0not all')
        assert log.get() == ('close', 1006, '')


def test_closing_the_server() -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1')
    wait = connected(wss)
    with raw_connection(wss) as sock:
        shake_hands(sock)
        wait()
        closed = Waiter()
        wss.close(1001, 'going', closed)
        assert read(sock, 2) == b'\xff\0'
        sock.sendall(b'\xff\0')
        assert read_all(sock) == b''
    assert closed.get() == ()
