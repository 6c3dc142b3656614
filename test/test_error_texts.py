"""``str(error)`` is Node's: the text of 0.4.31 where that has one for the same, else that of ws 8.

Where neither has one, as for what Node itself finds wrong, the text is ours, and not here.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from support import Waiter, no_server, open_pair, read_all, server, wait_for

from ws import WebSocket, WebSocketServer
from ws.protocol import hixie, receiver
from ws.protocol.extensions import parse_extensions
from ws.protocol.handshake import ClientHandshake, accept_key
from ws.protocol.http import Headers, Response
from ws.protocol.permessage_deflate import DeflateOptions, accept_offer
from ws.protocol.url import parse_url

SOURCES = {'0.4.31': 'ws-0.4.31', 'ws 8': 'ws'}
PACKAGES = Path(__file__).resolve().parent / 'interop' / 'node' / 'node_modules'


class Row(NamedTuple):
    text: str
    source: str
    find_out: Callable[[], str]
    #: What stands in the source, where the text has something in it that varies.
    literal: Optional[str] = None


# -- how they come about ----------------------------------------------------------------------------------------------


def raised(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return str(error)
    raise AssertionError('it raised nothing')


def answered(
    status: int = 101, protocols: tuple[str, ...] = (), deflate: bool = False, **headers: str
) -> Callable[[], str]:
    """What a client says to this answer to its handshake."""

    def find_out() -> str:
        options = DeflateOptions() if deflate else None
        handshake = ClientHandshake(address=parse_url('ws://host'), protocols=protocols, deflate=options)
        right = {'upgrade': 'websocket', 'connection': 'Upgrade', 'sec-websocket-accept': accept_key(handshake.key)}
        given = {**right, **{name.replace('_', '-'): value for name, value in headers.items()}}
        return raised(lambda: handshake.check(Response(status, '', '1.1', Headers(given), [])))

    return find_out


def received(data: bytes, **limits: Any) -> Callable[[], str]:
    """What a receiver says to these frames."""

    def find_out() -> str:
        errors: list[str] = []
        reader = receiver.Receiver(**limits)
        reader.onerror = lambda error, code: errors.append(str(error))
        reader.add(data)
        [error] = errors
        return error

    return find_out


def refused(request: bytes, **options: Any) -> Callable[[], str]:
    """The body of a server's refusal."""

    def find_out() -> str:
        with server(**options) as wss:
            wss.on('connection', lambda: pytest.fail('connected'))
            address = wss.address()
            with socket.create_connection((address.address, address.port), 20) as sock:  # type: ignore[union-attr]
                sock.sendall(request)
                return read_all(sock).partition(b'\r\n\r\n')[2].decode()

    return find_out


def of_an_open_one(call: Callable[[WebSocket], object]) -> Callable[[], str]:
    def find_out() -> str:
        with open_pair() as (ws, _):
            return raised(lambda: call(ws))

    return find_out


def not_open() -> str:
    ws = WebSocket('ws://127.0.0.1:1')
    wait_for(ws, 'error')
    told = Waiter()
    ws.send('x', told)
    return str(told.get()[0])


def late_answer() -> str:
    """That of a server that says nothing."""
    with socket.create_server(('127.0.0.1', 0)) as silent:
        ws = WebSocket(f'ws://127.0.0.1:{silent.getsockname()[1]}', handshakeTimeout=30)
        return str(wait_for(ws, 'error')[0])


def given_up() -> str:
    with socket.create_server(('127.0.0.1', 0)) as silent:
        ws = WebSocket(f'ws://127.0.0.1:{silent.getsockname()[1]}')
        ws.close()
        return str(wait_for(ws, 'error')[0])


def same_path_twice() -> str:
    with HTTPServer(('127.0.0.1', 0), BaseHTTPRequestHandler) as httpd:
        first = WebSocketServer({'server': httpd, 'path': '/a'})
        try:
            return raised(lambda: WebSocketServer({'server': httpd, 'path': '/a'}))
        finally:
            first.close()


def closed_twice() -> str:
    wss = WebSocketServer(noServer=True)
    closed = Waiter()
    wss.close(closed)
    assert closed.get() == ()
    wss.close(closed)
    return str(closed.get()[0])


def upgraded_twice() -> str:
    near, far = socket.socketpair()
    environ = {'REQUEST_METHOD': 'GET', 'SCRIPT_NAME': '', 'PATH_INFO': '/'}
    with near, far, no_server() as wss:
        wss.handleUpgrade(environ, far, b'')
        return raised(lambda: wss.handleUpgrade(environ, far, b''))


def address_of_no_server() -> str:
    with no_server() as wss:
        return raised(wss.address)


def hixie_text() -> str:
    errors: list[str] = []
    reader = hixie.Receiver(100)
    reader.onerror = lambda error, code: errors.append(str(error))
    reader.add(b'x')
    return errors[0]


def request(**changes: Optional[str]) -> bytes:
    lines = {
        'Host': '127.0.0.1',
        'Upgrade': 'websocket',
        'Connection': 'Upgrade',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    lines.update({name.replace('_', '-'): value for name, value in changes.items() if value is not None})
    return b'GET / HTTP/1.1\r\n' + ''.join(f'{name}: {value}\r\n' for name, value in lines.items()).encode() + b'\r\n'


def parsed(header: str) -> Callable[[], str]:
    return lambda: raised(lambda: parse_extensions(header))


def offered(header: str, **options: Any) -> Callable[[], str]:
    return lambda: raised(lambda: accept_offer(DeflateOptions(**options), parse_extensions(header)))


TABLE = [
    # constructors
    Row('invalid url', '0.4.31', lambda: raised(lambda: WebSocket('nowhere'))),
    Row('unsupported protocol version', '0.4.31', lambda: raised(lambda: WebSocket('ws://h', protocolVersion=7))),
    Row('`port` or a `server` must be provided', '0.4.31', lambda: raised(WebSocketServer)),
    Row('two instances of WebSocketServer cannot listen on the same http server path', '0.4.31', same_path_twice),
    # the opening handshake, a client
    Row('unexpected server response (401)', '0.4.31', answered(401), 'unexpected server response ('),
    Row('invalid server key', '0.4.31', answered(sec_websocket_accept='x')),
    Row('server sent a subprotocol even though none requested', '0.4.31', answered(sec_websocket_protocol='a')),
    Row('server sent no subprotocol even though requested', '0.4.31', answered(protocols=('a',))),
    Row('server responded with an invalid protocol', '0.4.31', answered(protocols=('a',), sec_websocket_protocol='b')),
    Row('Invalid Upgrade header', 'ws 8', answered(upgrade='h2c')),
    Row(
        'Server sent a Sec-WebSocket-Extensions header but no extension was requested',
        'ws 8',
        answered(sec_websocket_extensions='permessage-deflate'),
    ),
    Row(
        'Server indicated an extension that was not requested',
        'ws 8',
        answered(deflate=True, sec_websocket_extensions='x'),
    ),
    Row('Invalid Sec-WebSocket-Extensions header', 'ws 8', answered(deflate=True, sec_websocket_extensions='')),
    Row('Opening handshake has timed out', 'ws 8', late_answer),
    Row('WebSocket was closed before the connection was established', 'ws 8', given_up),
    # the opening handshake, a server
    Row('Invalid HTTP method', 'ws 8', refused(request().replace(b'GET', b'PUT'))),
    Row('Invalid Upgrade header', 'ws 8', refused(request(Upgrade='h2c'))),
    Row('Missing or invalid Sec-WebSocket-Key header', 'ws 8', refused(request(Sec_WebSocket_Key='x'))),
    Row('Missing or invalid Sec-WebSocket-Version header', 'ws 8', refused(request(Sec_WebSocket_Version='12'))),
    Row('Invalid Sec-WebSocket-Protocol header', 'ws 8', refused(request(Sec_WebSocket_Protocol='a,a'))),
    Row(
        'Invalid or unacceptable Sec-WebSocket-Extensions header',
        'ws 8',
        refused(request(Sec_WebSocket_Extensions='permessage-deflate; x'), perMessageDeflate=True),
    ),
    # methods
    Row('not opened', '0.4.31', not_open),
    Row('callback must be provided', '0.4.31', of_an_open_one(lambda ws: ws.stream())),
    Row('first argument must be a valid error code number', '0.4.31', of_an_open_one(lambda ws: ws.close(1004))),
    Row(
        'Second argument must be a string or a Uint8Array',
        'ws 8',
        of_an_open_one(lambda ws: ws.close(1000, 5)),  # type: ignore[arg-type]
    ),
    Row('The message must not be greater than 123 bytes', 'ws 8', of_an_open_one(lambda ws: ws.close(1000, 'x' * 124))),
    Row('The data size must not be greater than 125 bytes', 'ws 8', of_an_open_one(lambda ws: ws.ping('x' * 126))),
    Row('The server is not running', 'ws 8', closed_twice),
    Row('The server is operating in "noServer" mode', 'ws 8', address_of_no_server),
    Row(
        'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration',
        'ws 8',
        upgraded_twice,
    ),
    # frames
    Row('reserved fields must be empty', '0.4.31', received(b'\x91\0')),
    Row('continuation frame cannot follow current opcode', '0.4.31', received(b'\x80\0')),
    Row(
        'data frames after the initial data frame must have opcode 0',
        '0.4.31',
        received(b'\x01\0\x81\0'),
    ),
    Row('no handler for opcode 3', '0.4.31', received(b'\x83\0'), 'no handler for opcode '),
    Row(
        'packets with length spanning more than 32 bit is currently not supported',
        '0.4.31',
        received(b'\x82\x7f\0\0\0\x01\0\0\0\0'),
    ),
    Row('invalid utf8 sequence', '0.4.31', received(b'\x81\x01\xff')),
    Row('fragmented close is not supported', '0.4.31', received(b'\x08\0')),
    Row('fragmented ping is not supported', '0.4.31', received(b'\x09\0')),
    Row('fragmented pong is not supported', '0.4.31', received(b'\x0a\0')),
    Row('control frames cannot have more than 125 bytes of data', '0.4.31', received(b'\x89\x7e\0\x7e')),
    Row('close packets with data must be at least two bytes long', '0.4.31', received(b'\x88\x01x')),
    Row('invalid error code', '0.4.31', received(b'\x88\x02\x03\xec')),
    Row('payload must start with 0x00 byte', '0.4.31', hixie_text),
    Row('Invalid WebSocket frame: MASK must be set', 'ws 8', received(b'\x81\0', masked=True), 'MASK must be set'),
    Row(
        'Invalid WebSocket frame: MASK must be clear',
        'ws 8',
        received(b'\x81\x80\0\0\0\0', masked=False),
        'MASK must be clear',
    ),
    Row('Max payload size exceeded', 'ws 8', received(b'\x82\x02ab', max_payload=1)),
    Row('Too many message fragments', 'ws 8', received(b'\x01\0\0\0\0\0', max_fragments=2)),
    # headers of extensions
    Row('Unexpected character at index 1', 'ws 8', parsed('a@'), 'Unexpected character at index '),
    Row('Unexpected end of input', 'ws 8', parsed('a;')),
    Row('Unknown parameter "x"', 'ws 8', offered('permessage-deflate; x'), 'Unknown parameter "'),
    Row(
        'Parameter "server_no_context_takeover" must have only a single value',
        'ws 8',
        offered('permessage-deflate; server_no_context_takeover; server_no_context_takeover'),
        '" must have only a single value',
    ),
    Row(
        'Invalid value for parameter "server_max_window_bits": 5',
        'ws 8',
        offered('permessage-deflate; server_max_window_bits=5'),
        'Invalid value for parameter "',
    ),
]


def exact(row: Row) -> bool:
    """What a constructor raises may say more, behind it."""
    return not row.text.startswith(('invalid url', 'unsupported'))


@pytest.mark.parametrize('row', TABLE, ids=[row.text for row in TABLE])
def test_the_text(row: Row) -> None:
    text = row.find_out()
    assert text == row.text if exact(row) else text.startswith(row.text)


def program_of(package: str) -> str:
    """All of it, with the strings that stand in several parts put together."""
    files = sorted((PACKAGES / package / 'lib').glob('*.js'))
    return re.sub(r"['`]\s*\+\s*['`]", '', '\n'.join(file.read_text(encoding='utf-8') for file in files))


@pytest.mark.interop
@pytest.mark.parametrize('row', TABLE, ids=[row.text for row in TABLE])
def test_it_is_in_the_package(row: Row) -> None:
    literal = row.literal or row.text
    assert literal in program_of(SOURCES[row.source])
    if row.source == 'ws 8':
        assert literal not in program_of(SOURCES['0.4.31'])
