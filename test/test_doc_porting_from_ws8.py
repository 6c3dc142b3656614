"""What doc/porting-from-node.md says to those who come from ws 8 is so, row by row."""

from __future__ import annotations

import io
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from hops import hops, opened, outcome
from loop_timers import held_up
from porting_tables import code_in, rows, run_python
from support import (
    HANDSHAKE,
    TIMEOUT,
    Log,
    Waiter,
    client,
    end,
    frames,
    open_pair,
    raw_connection,
    raw_pair,
    read_all,
    server,
    url_of,
    wait_for,
)

from ws import HandshakeError, NotOpenError, ProtocolError, WebSocket, WebSocketServer

FROM_8 = {row[0]: row[3] for row in rows('Coming from ws 8')}
_checks_of_8: dict[str, Callable[[str], None]] = {}


def coming(name: str) -> Callable[[Callable[[str], None]], Callable[[str], None]]:
    """Decorates the check of a row: it gets the code of the last column."""

    def decorate(function: Callable[[str], None]) -> Callable[[str], None]:
        _checks_of_8[name] = function
        return function

    return decorate


@coming('texts of errors')
def _(code: str) -> None:
    with server(verifyClient=lambda info: False) as wss:
        wss.on('connection', lambda: None)  # else it would wait for somebody to listen
        error = wait_for(client(wss), 'error')[0]
    assert str(error) == 'unexpected server response (401)'
    assert run_python(code, {'HandshakeError': HandshakeError, 'error': error})


@coming('codes of errors')
def _(code: str) -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws)
        sock.sendall(b'\x85\x80\x00\x00\x00\x00')
        _event, error, close_code = log.get()
    assert (error.code, error.closeCode) == ('WS_ERR_INVALID_OPCODE', close_code)
    assert run_python(code, {'ProtocolError': ProtocolError, 'error': error})


@coming('`ws.url`')
def _(_code: str) -> None:
    with server() as wss:
        address = url_of(wss, '')
        ws = WebSocket(address)
        assert ws.url == address
        end(ws)


@coming('`Origin` of a client')
def _(code: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda _ws, request: connected(request.headers.get('origin')))
        names = {'WebSocket': WebSocket, 'url': url_of(wss)}
        for program, expected in ('WebSocket(url)', f'127.0.0.1:{wss.address().port}'), (code, None):
            ws = run_python(program, names)
            assert connected.get() == (expected,)
            end(ws)


REFUSED = b'HTTP/1.1 429 Too Many\r\nContent-Length: 5\r\n\r\nlater'


@coming('the response in `unexpected-response`')
def _(code: str) -> None:
    printed = Waiter()
    with hops(REFUSED) as peer:
        with held_up():
            ws = WebSocket(peer.url())
            run_python(code, {'ws': ws, 'print': printed})
        assert printed.get() == (b'later',)
        end(ws)


@coming('`unexpected-response`, and nobody ends the connection')
def _(code: str) -> None:
    with hops(REFUSED, REFUSED) as peer:
        with held_up():
            ws = WebSocket(peer.url(), handshakeTimeout=200)
            ws.on('unexpected-response', lambda: None)
        seen = outcome(ws)
        assert (seen.events, str(seen.error)) == (['error', 'close'], 'Opening handshake has timed out')
        with held_up():
            ws = WebSocket(peer.url())
            run_python(code, {'ws': ws})
        assert outcome(ws, 'close').events == ['close']


@coming('a redirect to `/path` on a UNIX socket')
def _(_code: str) -> None:
    with tempfile.TemporaryDirectory() as folder, hops('/path', opened, path=f'{folder}/s') as peer:
        assert outcome(WebSocket(f'ws+unix:{folder}/s', followRedirects=True)).events == ['open', 'close']
        assert peer.targets() == ['/', '/path']


@coming('a redirect to an address with a backslash in its path, or a tab')
def _(_code: str) -> None:
    for location in '/a\\b', '/a\tb':
        with hops(location) as peer:
            assert str(outcome(WebSocket(peer.url(), followRedirects=True)).error).startswith('invalid url')


@coming('`Set-Cookie`')
def _(code: str) -> None:
    printed = Waiter()
    with server() as wss:
        wss.on('headers', lambda lines: lines.append('Set-Cookie: a=b; Path=/'))
        wss.on('connection', lambda: None)
        ws = client(wss)
        run_python(code, {'ws': ws, 'print': printed})
        assert printed.get() == ('b',)
        end(ws)


@coming('`send`, `ping`, `pong` while connecting')
def _(code: str) -> None:
    with server() as wss:
        ws = client(wss)
        told = Waiter()
        ws.ping(told)
        with pytest.raises(NotOpenError, match='not opened'):
            run_python(code, {'ws': ws})
        assert isinstance(told.get()[0], NotOpenError)
        end(ws)


@coming('`pause()`, `resume()` while connecting')
def _(code: str) -> None:
    with server() as wss:
        ws = client(wss)
        run_python(code, {'ws': ws})
        for method in ws.pause, ws.resume:
            with pytest.raises(NotOpenError, match='not opened'):
                method()
        end(ws)


def received(code: str) -> Any:
    with open_pair() as (ws, peer):
        log = Log(peer)
        run_python(code, {'ws': ws})
        return log.get()[1]


@coming('`send()` without data')
def _(code: str) -> None:
    assert received('ws.send()') == ''
    assert received(code) == b''


@coming('`close()` without a code')
def _(_code: str) -> None:
    with open_pair() as (ws, peer):
        log = Log(peer)
        ws.close()
        assert log.get() == ('close', 1000, '')


@coming("messages after one's own `close()`")
def _(_code: str) -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws)
        ws.close()
        next(frames(sock))
        sock.sendall(b'\x81\x81\x00\x00\x00\x00x' + b'\x88\x82\x00\x00\x00\x00\x03\xe8')
        sock.shutdown(socket.SHUT_WR)
        assert log.get() == ('close', 1000, '')


@coming('`event.wasClean`')
def _(code: str) -> None:
    with open_pair() as (ws, peer):
        events = Waiter()
        ws.onclose = lambda event: events(event)
        peer.close(4000)
        (event,) = events.get()
        assert not event.wasClean
        assert run_python(code, {'event': event})


@coming('`event.type` of a message')
def _(_code: str) -> None:
    with open_pair() as (ws, peer):
        events = Waiter()
        ws.onmessage = lambda event: events(event.type)
        peer.send('text')
        peer.send(b'binary')
        assert [events.get()[0], events.get()[0]] == ['Text', 'Binary']


@coming('an unknown `binaryType`')
def _(_code: str) -> None:
    with open_pair() as (ws, _), pytest.raises(ValueError):
        ws.binaryType = 'text'  # type: ignore[assignment]


@coming("a message of `binaryType` `'arraybuffer'` or `'blob'`")
def _(_code: str) -> None:
    for binary_type, kind in ('arraybuffer', bytearray), ('blob', io.BytesIO):
        with open_pair() as (ws, peer):
            ws.binaryType = binary_type  # type: ignore[assignment]
            peer.send(b'x')
            assert type(wait_for(ws, 'message')[0]) is kind


@coming('`finishRequest`')
def _(code: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws, request: connected(request.headers['x-port'], ws._socket.remotePort))
        ws = run_python(code, {'WebSocket': WebSocket, 'url': url_of(wss)})
        told, port = connected.get()
        assert told == str(port)
        end(ws)


@coming('a Blob for `ping` or `pong`')
def _(code: str) -> None:
    with open_pair() as (ws, _):
        file = io.BytesIO(b'hi')
        with pytest.raises(TypeError):
            ws.ping(file)  # type: ignore[arg-type]
        run_python(code, {'ws': ws, 'file': file})
        assert wait_for(ws, 'pong')[0] == b'hi'


def made(code: str) -> Any:
    """What the code makes, on a free port."""
    wss = run_python(code.replace('8080', '0'), {'WebSocketServer': WebSocketServer})
    wss.on('connection', lambda: None)  # else it would wait for somebody to listen
    return wss


def close(wss: WebSocketServer) -> None:
    closed = Waiter()
    wss.close(closed)
    closed.get()


@coming('`host` of a server')
def _(code: str) -> None:
    for program, address in ('WebSocketServer(port=8080)', '0.0.0.0'), (code, '::'):
        wss = made(program)
        assert wss.address().address == address
        close(wss)


@coming('`requestCert` with `rejectUnauthorized: false`')
def _(_code: str) -> None:
    authority, stranger = trustme.CA(), trustme.CA().issue_cert('eve')
    issued = authority.issue_cert('127.0.0.1')
    pair = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
    wrong = {'cert': stranger.cert_chain_pems[0].bytes(), 'key': stranger.private_key_pem.bytes()}
    ca = authority.cert_pem.bytes()
    with server(**pair, ca=ca, requestCert=True, rejectUnauthorized=False) as wss:
        wss.on('connection', lambda: None)
        assert Log(WebSocket(url_of(wss, scheme='wss'), ca=ca, **wrong)).get()[0] == 'error'
        ws = WebSocket(url_of(wss, scheme='wss'), ca=ca)
        wait_for(ws, 'open')
        end(ws)


@coming("`servername: ''`")
def _(_code: str) -> None:
    with pytest.raises(ValueError, match=r'^servername'):
        WebSocket('wss://localhost', servername='')


@coming('`minVersion`, `maxVersion`')
def _(_code: str) -> None:
    with pytest.raises(ValueError, match=r"^minVersion must be 'TLSv1\.2' or 'TLSv1\.3', not 'TLSv1'$"):
        WebSocket('wss://localhost', minVersion='TLSv1')


@coming('`socketPath`')
def _(_code: str) -> None:
    error = wait_for(WebSocket('ws://localhost', socketPath='/no/such/socket'), 'error')[0]
    assert isinstance(error, FileNotFoundError)


@coming('two of `port`, `server` and `noServer`')
def _(_code: str) -> None:
    wss = made('WebSocketServer(port=8080, noServer=True)')
    assert wss.address().port
    close(wss)


@coming('`wss.clients`')
def _(code: str) -> None:
    for tracking, expected in (True, []), (False, None):
        with server(clientTracking=tracking) as wss:
            assert wss.clients == []
            assert run_python(code, {'wss': wss}) == expected


@coming('Hixie-76')
def _(code: str) -> None:
    for program, hixie in ('WebSocketServer(port=8080)', True), (code, False):
        wss = made(program)
        with socket.create_connection(('127.0.0.1', wss.address().port), TIMEOUT) as sock:
            sock.sendall(
                b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: x\r\n'
                b'Sec-WebSocket-Key1: 3e6b263  4 17 80\r\nSec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90\r\n\r\n'
                b'WjN}|M(6'
            )
            assert sock.recv(4096).split()[1] == (b'101' if hixie else b'401')
        close(wss)


@coming('`handleProtocols`')
def _(code: str) -> None:
    wss = made(code)
    ws = WebSocket(f'ws://127.0.0.1:{wss.address().port}', ['a', 'b'])
    wait_for(ws, 'open')
    assert ws.protocol == 'b'
    end(ws)
    close(wss)


@coming('`wsClientError`')
def _(code: str) -> None:
    for path, answers in (None, b'HTTP/1.1 405 No'), ('/a', b'HTTP/1.1 400 Bad Request'):
        with server(path=path) as wss:
            wss.on('connection', lambda: None)
            run_python(code, {'wss': wss})
            with raw_connection(wss) as sock:
                sock.sendall(HANDSHAKE.replace(b'GET', b'PUT') % b'/')
                assert read_all(sock).startswith(answers)


def test_every_row_with_code_has_a_check() -> None:
    assert {name for name, code in FROM_8.items() if '`' in code} <= set(_checks_of_8) <= set(FROM_8)


@pytest.mark.parametrize('name', _checks_of_8)
def test_coming_from_ws_8(name: str) -> None:
    _checks_of_8[name](code_in(FROM_8[name]) if FROM_8[name] else '')
