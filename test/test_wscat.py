"""wscat as its users meet it: in a terminal, typing and reading the screen, and in a pipe."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from documents import ROOT
from support import TIMEOUT, Log, Waiter, echo_server, read_head, server, url_of
from window import CTRL_A, CTRL_C, CTRL_D, CTRL_K, CTRL_Z, DOWN, ENTER, LEFT, UP, Window, python

from ws import WebSocket, WebSocketServer, wscat
from ws.protocol.handshake import accept_key
from ws.protocol.http import build_head

CONNECTED = 'Connected (press CTRL+C to quit)'


@contextlib.contextmanager
def typing_to(wss: WebSocketServer, *options: str, **window: Any) -> Iterator[tuple[Window, WebSocket, Log]]:
    """wscat in a window, connected to `wss`; the server's end of the connection, and the log of its events."""
    connections = Waiter()
    wss.on('connection', lambda ws: connections(ws, Log(ws, 'message', 'ping', 'pong', 'close')))
    with python('-m', 'ws', '-c', url_of(wss), *options, **window) as terminal:
        ws, log = connections.get()
        yield terminal, ws, log


def test_a_conversation() -> None:
    with echo_server() as wss, typing_to(wss) as (window, _, _):
        window.shows(CONNECTED, '>', cursor=(1, 2))
        window.type('hello' + ENTER)
        window.shows(CONNECTED, '> hello', '< hello', '>', cursor=(3, 2))
        window.type('¡Hola, 日本! 👋' + ENTER)
        window.until(lambda: window.lines()[-2:] == ['< ¡Hola, 日本! 👋', '>'])
        assert [window.colour(row) for row in (0, 1, 2)] == ['green', 'default', 'blue']


def test_what_is_being_typed_survives_what_comes_in() -> None:
    with server() as wss, typing_to(wss) as (window, ws, log):
        window.type('hel world' + 5 * LEFT + LEFT)
        window.shows(CONNECTED, '> hel world', cursor=(1, 5))
        ws.send('one\ntwo')
        window.shows(CONNECTED, '< one', '  two', '> hel world', cursor=(3, 5))
        window.type('lo,')
        window.shows(CONNECTED, '< one', '  two', '> hello, world', cursor=(3, 8))
        ws.send('three')
        window.type(ENTER)
        assert log.get()[:2] == ('message', 'hello, world')
        window.until(lambda: sorted(window.lines()[3:5]) == ['< three', '> hello, world'])


def test_a_line_longer_than_the_window_survives_what_comes_in() -> None:
    with server() as wss, typing_to(wss, columns=20) as (window, ws, log):
        window.until(lambda: window.lines()[-1] == '>')
        first = window.lines()
        window.type('0123456789' * 5)
        typed = ['> 012345678901234567', '89012345678901234567', '890123456789']
        window.shows(*first[:-1], *typed, cursor=(len(first) + 1, 12))
        ws.send('incoming')
        window.shows(*first[:-1], '< incoming', *typed, cursor=(len(first) + 2, 12))
        window.type(8 * '.')  # to the end of the row
        window.shows(*first[:-1], '< incoming', *typed[:2], typed[2] + 8 * '.', cursor=(len(first) + 3, 0))
        ws.send('again')
        window.type(CTRL_A)
        window.shows(*first[:-1], '< incoming', '< again', *typed[:2], typed[2] + 8 * '.', cursor=(len(first) + 1, 2))
        window.type(ENTER)
        assert log.get()[:2] == ('message', '0123456789' * 5 + 8 * '.')


def test_the_window_may_change_its_size() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.type('0123456789')
        window.shows(CONNECTED, '> 0123456789')
        window.resize(100, 24)
        window.type(40 * '.')
        ws.send('incoming')
        window.shows(CONNECTED, '< incoming', '> 0123456789' + 40 * '.')


def test_history_survives_what_comes_in() -> None:
    with server() as wss, typing_to(wss) as (window, ws, log):
        for line in ('one', 'two', 'two'):
            window.type(line + ENTER)
            assert log.get()[1] == line
        window.type('new' + UP + UP)
        window.until(lambda: window.lines()[-1] == '> one')
        ws.send('incoming')
        window.until(lambda: window.lines()[-2:] == ['< incoming', '> one'])
        window.type(DOWN)
        window.until(lambda: window.lines()[-1] == '> two')
        window.type(DOWN)
        window.until(lambda: window.lines()[-1] == '> new')
        window.type(UP + CTRL_A + CTRL_K + 'three' + ENTER)
        assert log.get()[1] == 'three'


class RawServer:
    """Takes one connection, and does nothing but what it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._listener.settimeout(TIMEOUT)
        self._sock: Optional[socket.socket] = None
        self.address = f'127.0.0.1:{self._listener.getsockname()[1]}'

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *details: object) -> None:
        self._listener.close()
        if self._sock is not None:
            self._sock.close()

    def take(self) -> bytes:
        """Accept the connection; returns the head of its request."""
        self._sock = self._listener.accept()[0]
        self._sock.settimeout(TIMEOUT)
        return read_head(self._sock)

    def answer(self, request: bytes, more: bytes = b'') -> None:
        """Open the WebSocket connection."""
        key = request.split(b'Sec-WebSocket-Key: ')[1].split(b'\r\n')[0].decode()
        lines = ['Upgrade: websocket', 'Connection: Upgrade', f'Sec-WebSocket-Accept: {accept_key(key)}']
        self.send(build_head('HTTP/1.1 101 Switching Protocols', lines) + more)

    def send(self, data: bytes) -> None:
        assert self._sock is not None
        self._sock.sendall(data)

    def frame(self) -> tuple[int, bytes]:
        """The first byte and the payload of the next short frame."""
        assert self._sock is not None
        first, length = self._sock.recv(2, socket.MSG_WAITALL)
        rest = self._sock.recv((length & 0x7F) + 4, socket.MSG_WAITALL)
        return first, bytes(byte ^ rest[number % 4] for number, byte in enumerate(rest[4:]))


def test_what_is_typed_before_the_connection_is_open_is_kept() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        request = peer.take()
        window.type('early' + ENTER + 'later')
        peer.answer(request)
        assert peer.frame() == (0x81, b'early')
        window.shows(CONNECTED, '> early', '> later')


def test_control_characters_are_shown_and_not_obeyed() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        ws.send('\x1b[2J\x1b]0;title\x07\rA\tB\x7f\x9b31m\u202eC\u2028D\0')
        window.shows(CONNECTED, '< \\x1b[2J\\x1b]0;title\\x07\\rA    B\\x7f\\x9b31m\\u202eC\\u2028D\\x00', '>')
        assert b'\x1b[2J\x1b]0' not in window.output
        ws.close(4000, 'bye\x1b[2J')
        window.shows(
            CONNECTED,
            '< \\x1b[2J\\x1b]0;title\\x07\\rA    B\\x7f\\x9b31m\\u202eC\\u2028D\\x00',
            'Disconnected (code: 4000, reason: "bye\\x1b[2J")',
        )
        window.ends(1)


def test_binary_messages_are_shown_in_hexadecimal_digits() -> None:
    with server() as wss, typing_to(wss, columns=80) as (window, ws, _):
        ws.send(b'\x00\x01\x1b[2Jhello, world!\xff')
        ws.send(bytes(1025))
        window.until(lambda: '  and 1 bytes more' in window.lines())
        lines = window.lines()
        assert lines[-2] == '  and 1 bytes more'
        assert lines[-3] == '  03f0  ' + 16 * '00 ' + ' ' + 16 * '.'
    with server() as wss, typing_to(wss, columns=80) as (window, ws, _):
        ws.send(b'\x00\x01\x1b[2Jhello, world!\xff')
        window.shows(
            CONNECTED,
            '< binary, 20 bytes:',
            '  0000  00 01 1b 5b 32 4a 68 65 6c 6c 6f 2c 20 77 6f 72  ...[2Jhello, wor',
            '  0010  6c 64 21 ff                                      ld!.',
            '>',
        )


def test_typing_binary_messages() -> None:
    with server() as wss, typing_to(wss, '--binary') as (window, _, log):
        window.type('é' + ENTER)
        assert log.get()[:2] == ('message', 'é'.encode())


def test_colours_can_be_turned_off() -> None:
    for options, env in ((['--no-color'], {}), ([], {'NO_COLOR': '1'})):
        with server() as wss, typing_to(wss, *options, env=env) as (window, ws, _):
            ws.send('incoming')
            window.shows(CONNECTED, '< incoming', '>')
            assert b'\x1b[3' not in window.output


@pytest.mark.parametrize(('encoding', 'typed', 'shown'), [('ascii', 'a', '\\u20ac\\xfc'), ('latin-1', 'ü', '\\u20acü')])
def test_terminals_of_other_encodings(encoding: str, typed: str, shown: str) -> None:
    with server() as wss, typing_to(wss, env={'PYTHONIOENCODING': encoding}) as (window, ws, log):
        window.type(typed + ENTER, encoding)
        assert log.get()[1] == typed
        ws.send('€ü')
        window.until(lambda: f'< {shown}'.encode(encoding) in window.output)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('key', [CTRL_C, CTRL_D])
def test_ctrl_c_and_ctrl_d_close_the_connection(key: str) -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.shows(CONNECTED, '>')
        window.type(key)
        assert log.get() == ('close', 1000, '')
        window.shows(CONNECTED, 'Disconnected (code: 1000, reason: "")')
        window.ends()


def test_ctrl_d_in_a_line_deletes() -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.type('abc' + CTRL_A + CTRL_D + ENTER)
        assert log.get()[1] == 'bc'


def test_ctrl_c_does_not_wait_long_for_the_peer() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.answer(peer.take())
        window.shows(CONNECTED, '>')
        started = time.monotonic()
        window.type(CTRL_C)
        assert peer.frame() == (0x88, b'\x03\xe8')
        window.ends()
        assert 1 < time.monotonic() - started < 10


def test_a_second_ctrl_c_does_not_wait() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.answer(peer.take())
        window.shows(CONNECTED, '>')
        window.type('half' + CTRL_C)
        assert peer.frame() == (0x88, b'\x03\xe8')
        window.type(CTRL_C)
        window.ends(-signal.SIGINT)
        window.shows(CONNECTED)


@pytest.mark.parametrize('key', [CTRL_C, CTRL_D])
def test_giving_up_before_the_connection_is_open(key: str) -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.take()
        window.type(key)
        window.ends()
        window.shows('')


@pytest.mark.parametrize(('code', 'status'), [(1000, 0), (1001, 0), (1011, 1), (3000, 1), (4999, 1)])
def test_when_the_peer_closes(code: int, status: int) -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.shows(CONNECTED, '>')
        ws.close(code, 'because')
        window.shows(CONNECTED, f'Disconnected (code: {code}, reason: "because")')
        window.ends(status)


def test_when_the_peer_closes_without_a_code() -> None:
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.answer(peer.take(), b'\x88\0')
        assert peer.frame() == (0x88, b'')
        window.shows(CONNECTED, 'Disconnected (code: 1005, reason: "")')
        peer.__exit__()
        window.ends()


def test_when_the_connection_breaks() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.shows(CONNECTED, '>')
        ws.terminate()
        window.shows(CONNECTED, 'Disconnected (code: 1006, reason: "")')
        window.ends(1)


def test_when_the_peer_breaks_the_protocol() -> None:
    with server() as wss, typing_to(wss) as (window, ws, _):
        window.shows(CONNECTED, '>')
        ws._loop.call(ws._socket.write, b'\xff\xff')
        window.shows(CONNECTED, 'error: reserved fields must be empty', 'Disconnected (code: 1006, reason: "")')
        assert window.colour(1) == 'brown'  # that is yellow
        window.ends(1)


def test_ctrl_z_gives_the_terminal_back() -> None:
    with server() as wss, typing_to(wss) as (window, ws, log):
        window.type('half')
        window.shows(CONNECTED, '> half')
        window.type(CTRL_Z)
        window.stopped()
        window.shows(CONNECTED)
        ws.send('meanwhile')
        window.goes_on()
        window.shows(CONNECTED, '< meanwhile', '> half')
        window.type(' and half' + ENTER)
        assert log.get()[1] == 'half and half'
