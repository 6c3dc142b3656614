"""The weaknesses that other WebSocket libraries have published, and what shows that this one has none of them: each row
of the table in doc/security.md names tests, which exist. What no other test shows is here."""

from __future__ import annotations

import array
import ast
import functools
import re
import socket
import zlib
from pathlib import Path
from typing import Any

import pytest
from fakes import accept, fake_server
from support import HANDSHAKE, Log, Waiter, frames, raw_connection, raw_pair, read_all, read_head, server

from ws import HandshakeError, WebSocket, WebSocketError
from ws.protocol.frames import build_frame
from ws.protocol.handshake import check_request
from ws.protocol.http import RequestParser
from ws.protocol.receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent
CHAPTER = (ROOT / 'doc/security.md').read_text(encoding='utf-8').partition('\n## Advisories\n')[2].partition('\n## ')[0]
ROWS = [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in CHAPTER.splitlines()
    if line.startswith('|') and not line.startswith(('|---', '| Advisory'))
]
ID = re.compile(r'(CVE-\d{4}-\d{4,}|GHSA(-[a-z0-9]{4}){3}|PYSEC-\d{4}-\d+|npm:ws:\d+|ws [\d.]+)')


@functools.cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding='utf-8'))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize('row', ROWS, ids=[row[0].split()[0] for row in ROWS])
def test_each_row_names_tests_that_exist(row: list[str]) -> None:
    advisories, library, weakness, shown_by = row
    assert library
    assert weakness
    assert all(ID.fullmatch(advisory) for advisory in advisories.split(', ')), advisories
    tests = [re.fullmatch(r'`(test/[\w/]+\.py)::(test_\w+)`', test) for test in shown_by.split(', ')]
    assert all(test is not None and test[2] in names_in(test[1]) for test in tests), shown_by


def test_there_is_a_table() -> None:
    assert len(ROWS) >= 30
    assert len({row[0] for row in ROWS}) == len(ROWS)


OFFER = b'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n'

# -- what no other test shows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('reason', [array.array('H', [0x4142, 0x4344]), 5, [65]])
def test_what_is_no_reason_of_a_close_is_refused(reason: Any) -> None:
    """A number would be a size, and what has items of several bytes has two lengths. Nothing of it is sent."""
    with raw_pair() as (ws, sock):
        with pytest.raises(WebSocketError, match='must be a string'):
            ws.close(1000, reason)
        assert list(frames(sock)) == []


def test_the_reason_of_a_close_is_sent_whole_and_nothing_else() -> None:
    with raw_pair() as (ws, sock):
        ws.close(1000, memoryview(array.array('H', [0x4141] * 20)))  # type: ignore[arg-type]
        assert next(frames(sock)) == (True, 8, b'\x03\xe8' + b'A' * 40)


@pytest.mark.parametrize('length', [(1 << 63) - 1, (1 << 63) - 3, 1 << 63, (1 << 64) - 1])
def test_a_length_that_overflows_is_too_long(length: int) -> None:
    """A short fragment, and then one whose length makes the sum wrap around in 64 bits."""
    with raw_pair() as (ws, sock):
        errors = Waiter()
        ws.on('error', errors)
        sock.sendall(build_frame(2, b'four', False, True) + b'\x80\xff' + length.to_bytes(8, 'big') + b'abcd')
        assert errors.get()[1] == 1008
        assert read_all(sock) == b'\x88\x02\x03\xf0'


def test_a_frame_that_is_not_complete_counts_against_the_limit() -> None:
    """It is refused by its header, and of one within the limit no more is kept than has come."""
    errors: list[int] = []
    receiver = Receiver(True, 1000)
    receiver.onerror = lambda error, code: errors.append(code)
    receiver.add(b'\x02\xfe\x03\xe7abcd' + bytes(500))
    assert not errors
    receiver.add(bytes(499) + b'\x80\x82abcd')
    assert errors == [1009]


@pytest.mark.parametrize('compressed', [False, True])
def test_a_pause_in_a_listener_stops_what_has_arrived_with_it(compressed: bool) -> None:
    """Nothing is parsed or inflated ahead: neither empty messages nor those that are small as long as they wait."""
    message = bytearray(build_frame(2, zlib.compress(bytes(1 << 20), 9)[2:-4] if compressed else b'', True, True))
    message[0] |= 0x40 if compressed else 0
    with server(perMessageDeflate=True) as wss:
        received = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda data: (received(ws, len(data)), ws.pause())))
        with raw_connection(wss) as sock:
            sock.sendall(HANDSHAKE.replace(b'\r\n\r\n', b'\r\n' + OFFER) % b'/')
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            sock.sendall(message * 30)
            for _ in range(3):
                ws, size = received.get()
                assert size == (1 << 20 if compressed else 0)
                assert received.nothing()
                ws.resume()


@pytest.mark.parametrize('offered', [False, True])
def test_a_client_takes_no_compressed_frames_without_an_agreement(offered: bool) -> None:
    def answer(sock: socket.socket, head: bytes) -> None:
        assert (b'permessage-deflate' in head) == offered
        sock.sendall(accept(head) + b'\xc1\x07\xf2H\xcd\xc9\xc9\x07\x00')
        read_all(sock)

    with fake_server(answer) as url:
        events = Log(WebSocket(url, perMessageDeflate=offered)).until('close')
    assert [event[0] for event in events] == ['open', 'error', 'close']
    assert events[1][2] == 1002


def test_redirects_are_not_followed() -> None:
    """So no credentials, cookies or certificates go anywhere else."""
    with socket.create_server(('127.0.0.1', 0)) as elsewhere:
        elsewhere.settimeout(0)
        target = f'ws://127.0.0.1:{elsewhere.getsockname()[1]}/'

        def redirect(sock: socket.socket, head: bytes) -> None:
            assert b'\r\nAuthorization: Basic ' in head
            sock.sendall(f'HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n'.encode())

        with fake_server(redirect) as url:
            log = Log(WebSocket(url.replace('://', '://ann:secret@'), headers={'Cookie': 'a=b'}))
            assert [event[0] for event in log.until('close')] == ['error', 'close']
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


@pytest.mark.parametrize('name', ['Upgrade', 'Connection', 'Sec-WebSocket-Version', 'Sec-WebSocket-Key'])
@pytest.mark.parametrize('odd', ['{}\xa0', '\x85{}', '\xb2{}', '{}\xb3', '\xb5{}'])
def test_what_is_no_ascii_is_taken_for_nothing_that_is(name: str, odd: str) -> None:
    """No letter becomes another by a change of case, no digit of another script is a number, no other blank is cut."""
    values = {
        'Host': 'a',
        'Upgrade': 'websocket',
        'Connection': 'upgrade',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    values[name] = odd.format(values[name])
    lines = ''.join(f'{key}: {value}\r\n' for key, value in values.items())
    request = RequestParser().feed(f'GET / HTTP/1.1\r\n{lines}\r\n'.encode('latin-1'))
    assert request is not None
    with pytest.raises(HandshakeError):
        check_request(request)
