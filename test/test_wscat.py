"""wscat as its users meet it: in a terminal, typing and reading the screen, and in a pipe."""

from __future__ import annotations

import base64
import configparser
import contextlib
import os
import re
import shutil
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
from cryptography.hazmat.primitives import serialization
from documents import ROOT
from proxies import connect_proxy
from support import TIMEOUT, Log, Waiter, echo_server, read_head, server, url_of
from window import CTRL_A, CTRL_C, CTRL_D, CTRL_K, CTRL_Z, DOWN, ENTER, LEFT, UP, Window, python

from ws import WebSocket, WebSocketServer, wscat
from ws.protocol.handshake import accept_key
from ws.protocol.http import build_head
from ws.wscat.options import HELP, make_parser

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

    def __init__(self, context: Optional[ssl.SSLContext] = None) -> None:
        self._context = context
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
        sock = self._listener.accept()[0]
        sock.settimeout(TIMEOUT)
        self._sock = self._context.wrap_socket(sock, server_side=True) if self._context else sock
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
        first, length = self._read(2)
        key, payload = self._read(4), self._read(length & 0x7F)
        return first, bytes(byte ^ key[number % 4] for number, byte in enumerate(payload))

    def _read(self, size: int) -> bytes:
        assert self._sock is not None
        data = b''
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            assert piece, f'the connection ended after {data!r}'
            data += piece
        return data

    def subject(self) -> str:
        """Whom the client's certificate is for."""
        assert isinstance(self._sock, ssl.SSLSocket)
        certificate = self._sock.getpeercert()
        assert certificate is not None
        return certificate['subjectAltName'][0][1]


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
        ws.close(4000, 'bye\x1b[2J\n')
        window.shows(
            CONNECTED,
            '< \\x1b[2J\\x1b]0;title\\x07\\rA    B\\x7f\\x9b31m\\u202eC\\u2028D\\x00',
            'Disconnected (code: 4000, reason: "bye\\x1b[2J\\n")',
        )
        window.ends(1)


def test_binary_messages_are_shown_in_hexadecimal_digits() -> None:
    with server() as wss, typing_to(wss, columns=80) as (window, ws, _):
        ws.send(b'\x00\x01\x1b[2Jhello, world!\xff')
        ws.send(bytes(1025))
        window.until(lambda: '  and 1 byte more' in window.lines())
        lines = window.lines()
        assert lines[-2] == '  and 1 byte more'
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


# -- what can be typed -------------------------------------------------------------------------------------------------


def test_slash_commands() -> None:
    with server() as wss, typing_to(wss, '--slash', '-P') as (window, ws, log):
        window.type('/ping one two' + ENTER)
        assert log.get()[:2] == ('ping', b'one two')
        window.shows(CONNECTED, '> /ping one two', '< Received pong (data: "one two")', '>')
        window.type('/pong' + ENTER)
        assert log.get()[:2] == ('pong', b'')
        ws.ping('x\x1b')
        window.until(lambda: window.lines()[-2:] == ['< Received ping (data: "x\\x1b")', '>'])
        assert log.get()[:2] == ('pong', b'x\x1b')
        for line, complaint in (
            ('/nonsense', 'Unrecognized slash command.'),
            ('/close 999', '999 is no close code that may be sent'),
            ('/close ' + 6000 * '9', 'is no close code that may be sent'),
            ('/close soon', "'soon' is no close code"),
            ('/close 1000 ' + 124 * 'x', 'The message must not be greater than 123 bytes'),
            ('/ping ' + 126 * 'x', 'The data size must not be greater than 125 bytes'),
        ):
            window.type(line + ENTER)
            window.until(lambda: complaint in ''.join(window.lines()), lambda: str(window.lines()))  # noqa: B023
        window.type('no command' + ENTER)
        assert log.get()[:2] == ('message', 'no command')
        window.type('/close 4000 so long' + ENTER)
        assert log.get() == ('close', 4000, 'so long')
        window.until(lambda: window.lines()[-1] == 'Disconnected (code: 4000, reason: "so long")')
        window.ends()


def test_a_slash_is_a_character_like_others() -> None:
    with server() as wss, typing_to(wss) as (window, _, log):
        window.type('/close' + ENTER)
        assert log.get()[:2] == ('message', '/close')


def test_json_is_typed_in_several_lines_and_laid_out() -> None:
    with echo_server() as wss, typing_to(wss, '--json') as (window, _, log):
        window.type('{"a":' + ENTER + ENTER + '[1, "]ü"]}' + ENTER)
        assert log.get()[1] == '{"a":\n\n[1, "]ü"]}'
        answer = ['< {', '    "a": [', '      1,', '      "]ü"', '    ]', '  }']
        window.shows(CONNECTED, '> {"a":', '.', '. [1, "]ü"]}', *answer, '>')
        window.type(ENTER + '[1,]' + ENTER)
        window.until(lambda: 'error: not JSON: ' in '\n'.join(window.lines()[-3:]) and window.lines()[-1] == '>')
        window.type('"no longer [1"' + ENTER)
        assert log.get()[1] == '"no longer [1"'


def test_a_terminal_without_abilities() -> None:
    with server() as wss, typing_to(wss, env={'TERM': 'dumb'}) as (window, ws, log):
        window.shows(CONNECTED)
        window.type('hello' + ENTER)
        assert log.get()[1] == 'hello'
        ws.send('a\x1b')
        window.shows(CONNECTED, 'hello', '< a\\x1b')
        assert b'\x1b' not in window.output
        window.type(CTRL_D)
        assert log.get() == ('close', 1000, '')
        window.ends()


def test_without_termios() -> None:
    """As on Windows."""
    program = "import sys; sys.modules['termios'] = None; from ws.wscat import main; sys.exit(main())"
    with echo_server() as wss, python('-c', program, '-c', url_of(wss)) as window:
        window.shows(CONNECTED)
        window.type('hello' + ENTER)
        window.shows(CONNECTED, 'hello', '< hello')
        window.type(CTRL_D)
        window.ends()


def test_raw_on_a_terminal() -> None:
    with server() as wss, typing_to(wss, '--raw') as (window, ws, log):
        window.type('hello' + ENTER)
        assert log.get()[1] == 'hello\n'
        ws.send('a\x1b[1mb')
        ws.send(b'c')
        window.until(lambda: window.output == b'hello\r\na\x1b[1mbc')
        window.type(CTRL_D)
        assert log.get() == ('close', 1000, '')
        window.ends()


# -- listening ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listening(*options: str) -> Iterator[tuple[Window, str]]:
    """wscat in a window, listening; the URL of it."""
    with python('-m', 'ws', '-l', '0', *options) as window:
        window.until(lambda: window.lines()[0].startswith('Listening on port '))
        port = window.lines()[0].split()[3]
        window.shows(f'Listening on port {port} (press CTRL+C to quit)')
        yield window, f'ws://127.0.0.1:{port}'


def test_listening() -> None:
    with listening() as (window, url):
        first = window.lines()[0]
        client = WebSocket(url)
        log = Log(client)
        log.until('open')
        window.shows(first, 'Client connected', '>')
        client.send('hello')
        window.shows(first, 'Client connected', '< hello', '>')
        window.type('hello, too' + ENTER)
        assert log.get()[:2] == ('message', 'hello, too')

        second = Log(WebSocket(url))
        assert second.until('close')[-1] == ('close', 1013, 'wscat talks to one client at a time')

        client.close(3000, 'bye')
        said = [first, 'Client connected', '< hello', '> hello, too', 'Disconnected (code: 3000, reason: "bye")']
        window.shows(*said)

        third = Log(WebSocket(url))
        third.until('open')
        window.shows(*said, 'Client connected', '>')
        window.type(CTRL_D)
        assert third.get() == ('close', 1000, '')
        window.ends()


def test_listening_goes_on_when_a_client_breaks_the_protocol() -> None:
    with listening() as (window, url):
        client = WebSocket(url)
        client.on('open', lambda: client._socket.write(b'\xff\xff'))
        log = Log(client)
        assert log.until('close')[-1] == ('close', 1002, '')
        window.until(lambda: window.lines()[-1] == 'Disconnected (code: 1006, reason: "")')
        assert 'error: reserved fields must be empty' in window.lines()
        window.type(CTRL_C)
        window.ends()


@pytest.mark.parametrize('key', [CTRL_C, CTRL_D])
def test_listening_without_a_client_ends(key: str) -> None:
    with listening() as (window, _):
        window.type(key)
        window.ends()


# -- pipes -------------------------------------------------------------------------------------------------------------


class Result:
    """How a wscat in pipes has ended."""

    def __init__(self, finished: subprocess.CompletedProcess[bytes]) -> None:
        self.status = finished.returncode
        self.bytes = finished.stdout
        self.output = finished.stdout.decode(errors='replace')
        self.errors = finished.stderr.decode()

    def __eq__(self, other: object) -> bool:
        return (self.status, self.output, self.errors) == other

    def __repr__(self) -> str:
        return repr((self.status, self.output, self.errors))


def run(*arguments: str, data: Optional[bytes] = b'', **options: Any) -> Result:
    """Run wscat to its end, with these arguments and this standard input."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-W', 'error', '-m', 'ws', *arguments]
    return Result(subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT, env=environment, **options))


def test_piped_lines_are_sent_and_answers_awaited() -> None:
    data = 'one\n\ntwo\r\nü\nno end of line'.encode()
    with echo_server() as wss:
        assert run('-c', url_of(wss), '-w', '0.5', data=data) == (0, 'one\n\ntwo\nü\nno end of line\n', '')


def test_piped_input_waits_for_the_connection() -> None:
    received = Waiter()
    with RawServer() as peer:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ws', '-c', peer.address, '-w', '0'],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT,
        )  # fmt: skip
        with process:
            assert process.stdin is not None
            process.stdin.write(b'one\ntwo\n')
            process.stdin.close()
            request = peer.take()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            peer.answer(request)
            received(peer.frame(), peer.frame(), peer.frame())
            peer.__exit__()
            assert process.wait(TIMEOUT) == 0
    assert received.get() == ((0x81, b'one'), (0x81, b'two'), (0x88, b'\x03\xe8'))


def test_answers_that_come_one_after_another_are_awaited() -> None:
    with server() as wss:

        def answer(ws: WebSocket) -> None:
            for number in range(5):
                ws._loop.call_later(300 * number, ws.send, str(number))

        wss.on('connection', lambda ws: ws.on('message', lambda: answer(ws)))
        assert run('-c', url_of(wss), '-w', '1', data=b'count') == (0, '0\n1\n2\n3\n4\n', '')


def test_execute_waits_for_so_long_and_no_longer() -> None:
    with server() as wss:
        wss.on('connection', tick)
        started = time.monotonic()
        result = run('-c', url_of(wss), '-x', 'go', '-w', '0.5')
        assert time.monotonic() - started < 10
        assert result.output.startswith('tick\n')
        assert (result.status, result.errors) == (0, '')


def tick(ws: WebSocket) -> None:
    """Send something every 100 ms."""
    if ws.readyState == ws.OPEN:
        ws.send('tick')
        ws._loop.call_later(100, tick, ws)


def test_execute_several_messages() -> None:
    with echo_server() as wss:
        assert run('-c', url_of(wss), '-x', 'one', '-x', 'two', '-w', '0.3', data=b'not sent') == (0, 'one\ntwo\n', '')


@pytest.mark.parametrize('arguments', [['-x', 'go'], []])
def test_waiting_without_end_ends_when_the_peer_closes(arguments: list[str]) -> None:
    with server() as wss:
        wss.on(
            'connection',
            lambda ws: ws.on('message', lambda: ws._loop.call_later(500, lambda: (ws.send('done'), ws.close()))),
        )
        assert run('-c', url_of(wss), '-w', '-1', *arguments, data=b'go') == (0, 'done\n', '')


def test_binary_messages_pass_through_pipes_as_they_are() -> None:
    data = bytes(range(256)) * 2000
    with echo_server() as wss:
        result = run('-c', url_of(wss), '--binary', '-w', '0.5', data=data)
        assert (result.bytes, result.status, result.errors) == (data, 0, '')


def test_execute_binary_messages() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data: ws.send(repr(data))))
        assert run('-c', url_of(wss), '--binary', '-x', 'ü', '-w', '0.3') == (0, "b'\\xc3\\xbc'\n", '')


def test_raw_adds_and_drops_nothing() -> None:
    with echo_server() as wss:
        data = 'one\r\n\x1b[2J\n\nü'.encode()
        result = run('-c', url_of(wss), '--raw', '-w', '0.3', data=data)
        assert (result.bytes, result.status, result.errors) == (data, 0, '')


def test_control_characters_pass_through_pipes() -> None:
    with echo_server() as wss:
        assert run('-c', url_of(wss), '-x', '\x1b[2J', '-w', '0.3') == (0, '\x1b[2J\n', '')


def test_json_in_pipes() -> None:
    with echo_server() as wss:
        result = run('-c', url_of(wss), '--json', '-w', '0.3', data=b'{"a":\n1}\n\n"\\ud800 \\u00fc"\n')
        assert result == (0, '{\n  "a": 1\n}\n"\\ud800 ü"\n', '')


def test_text_that_is_no_json_is_shown_as_it_is() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send('{"a":1'), ws.send('[' * 100_000), ws.close()))
        result = run('-c', url_of(wss), '--json', '-w', '-1')
        assert result == (0, '{"a":1\n' + '[' * 100_000 + '\n', '')


def test_broken_json_in_a_pipe_is_an_error() -> None:
    with echo_server() as wss:
        result = run('-c', url_of(wss), '--json', '-w', '0.3', data=b'[1,]\n[2]\n[3')
        assert (result.status, result.output) == (1, '[\n  2\n]\n')
        first, second = result.errors.splitlines()
        assert first.startswith('error: not JSON: ')
        assert second == 'error: not JSON: it is incomplete'


def test_input_that_is_no_text_is_an_error() -> None:
    with echo_server() as wss:
        result = run('-c', url_of(wss), '-w', '0.3', data=b'\xff\xfe\n')
        assert result == (1, '', 'error: standard input is not UTF-8 text; --binary sends it as it is\n')


def test_input_that_could_not_be_sent_is_an_error(tmp_path: Path) -> None:
    (tmp_path / 'input').write_bytes(b'line\n' * 2_000_000)
    with server() as wss, open(tmp_path / 'input', 'rb') as file:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.close(1000)))
        result = run('-c', url_of(wss), '-w', '10', data=None, stdin=file)
        assert result == (1, '', 'error: the connection was closed before everything was sent\n')


def test_a_pipe_in_which_nothing_comes_is_no_input() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.close(1000))
        process = subprocess.Popen([sys.executable, '-m', 'ws', '-c', url_of(wss)], cwd=ROOT, stdin=subprocess.PIPE)
        with process:
            assert process.wait(TIMEOUT) == 0


def test_much_input_and_much_output() -> None:
    data = b''.join(b'%d\n' % number for number in range(30_000))
    with echo_server() as wss:
        result = run('-c', url_of(wss), '-w', '2', data=data)
        assert (result.bytes, result.status, result.errors) == (data, 0, '')


def test_a_pipe_that_nobody_reads_any_longer_ends_it_quietly() -> None:
    with server() as wss:
        ended = Waiter()
        wss.on('connection', lambda ws: (tick(ws), ws.on('close', ended)))
        command = f"'{sys.executable}' -m ws -c {url_of(wss)} -w -1 -x go | head -n 1; echo ${{PIPESTATUS[0]}}"
        result = subprocess.run(
            ['bash', '-c', command], cwd=ROOT, capture_output=True, timeout=TIMEOUT, encoding='utf-8'
        )
        assert (result.stdout, result.stderr) == ('tick\n0\n', '')
        assert ended.get() == (1000, '')


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no /dev/full')
def test_output_that_can_not_be_written_is_an_error() -> None:
    with echo_server() as wss, open('/dev/full', 'wb') as full:
        result = subprocess.run(
            [sys.executable, '-m', 'ws', '-c', url_of(wss), '-x', 'hello'],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT, encoding='utf-8',
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (1, 'error: standard output: No space left on device\n')


@pytest.mark.parametrize('closed', ['<&-', '>&-', '2>&-', '<&- >&- 2>&-'])
def test_closed_standard_streams(closed: str) -> None:
    with server() as wss:
        received = Waiter()
        wss.on('connection', lambda ws: ws.on('message', received))
        command = f"'{sys.executable}' -m ws -c {url_of(wss)} -x hello -w 0 {closed}"
        assert subprocess.run(['bash', '-c', command], cwd=ROOT, capture_output=True, timeout=TIMEOUT).returncode == 0
        assert received.get()[0] == 'hello'


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 0), (signal.SIGTERM, 0)])
def test_signals_close_the_connection(number: int, status: int) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(Log(ws, 'message', 'close')))
        process = subprocess.Popen(
            [sys.executable, '-m', 'ws', '-c', url_of(wss), '-w', '-1', '-x', 'go'],
            cwd=ROOT, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:
            log = connected.get()[0]
            log.get()
            process.send_signal(number)
            assert log.get() == ('close', 1000, '')
            assert process.wait(TIMEOUT) == status
            assert process.stderr is not None
            assert process.stderr.read() == b''


def test_piped_input_goes_to_the_client_that_comes() -> None:
    process = subprocess.Popen(
        [sys.executable, '-m', 'ws', '-l', '0', '-v', '-w', '0.3'],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(b'one\ntwo\n')
        process.stdin.close()
        port = process.stderr.readline().split()[4].decode()
        client = WebSocket(f'ws://127.0.0.1:{port}')
        log = Log(client)
        assert [event[:2] for event in (log.get(), log.get(), log.get())] == [
            ('open',), ('message', 'one'), ('message', 'two'),
        ]  # fmt: skip
        client.send('three')
        assert log.get() == ('close', 1000, '')
        assert process.stdout.read() == b'three\n'
        assert b'* < GET / HTTP/1.1\n' in process.stderr.read()
        assert process.wait(TIMEOUT) == 0


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (['-c', 'x', '-l', '1'], 'use either --listen or --connect'),
        (['-c', 'ftp://x'], 'invalid url: scheme must be ws, wss, http, https or ws+unix, not ftp'),
        (['-c', 'a b'], "invalid url: character ' ' at position 6"),
        (['-c', ''], 'invalid url'),
        (['-c', 'x', '-p', '9'], 'argument -p/--protocol: invalid choice: 9 (choose from 8, 13)'),
        (['-c', 'x', '-p', 'x'], "argument -p/--protocol: invalid int value: 'x'"),
        (['-c', 'x', '-w', 'x'], "argument -w/--wait: 'x' is no number of seconds"),
        (['-c', 'x', '-w', 'nan'], "argument -w/--wait: 'nan' is no number of seconds"),
        (['-c', 'x', '-H', 'name'], "--header: 'name' is not like NAME:VALUE"),
        (['-c', 'x', '-H', 'a b: c'], "invalid header name 'a b'"),
        (['-c', 'x', '-H', 'a: b\nc'], "invalid character in header line 'a: b\\nc'"),
        (['-c', 'x', '-s', 'a b'], "An invalid or duplicated subprotocol was specified: 'a b'"),
        (['-c', 'x', '--ca', '/nowhere'], '--ca: /nowhere: No such file or directory'),
        (['-c', 'wss://x', '--ca', str(ROOT / 'LICENSE')], '--ca, --cert, --key or --passphrase: '),
        (['-c', 'x', '--passphrase'], '--passphrase: there is no terminal to ask for it'),
        (['-c', 'x', '-L'], '--location: redirects can not be followed yet'),
        (['-c', 'x', '--max-redirects', '3'], '--location: redirects can not be followed yet'),
        (['-l', 'x'], "argument -l/--listen: invalid int value: 'x'"),
        (['-l', '70000'], '--listen: port must be from 0 to 65535, not 70000'),
        (['-l', '0', '--no-check'], '--no-check works with --connect only'),
        (['-l', '0', '-H', 'a:b'], '--header works with --connect only'),
        (['-c', 'x', '--proxy', 'socks5://x'], "--proxy: invalid proxy 'socks5://x': it must be like "),
        (['-c', 'ws+unix:/x', '--proxy', 'x'], '--proxy: there is none to a UNIX socket'),
        (['-c', 'x', '--nonsense'], 'unrecognized arguments: --nonsense'),
        (['-c', 'x', '--exec', 'x'], 'unrecognized arguments: --exec x'),
        (['-c'], 'argument -c/--connect: expected one argument'),
        (['-c', 'x', '-x', '\udcff'], '--execute: the message is not text'),
    ],
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = run(*arguments, start_new_session=True)
    assert (result.status, result.output) == (2, '')
    assert result.errors.startswith(f'error: {complaint}')
    assert result.errors.count('\n') == 1


def test_errors_of_connecting() -> None:
    with RawServer() as peer:
        address = peer.address
    assert run('-c', address) == (1, '', f'error: Connection refused: {address}\n')
    with server() as wss:
        result = run('-c', url_of(wss).replace('ws:', 'wss:'))
        assert (result.status, result.output) == (1, '')
        assert result.errors.startswith('error: ') and result.errors.count('\n') == 1
        port = url_of(wss).rpartition(':')[2].strip('/')
        result = run('-l', port)
        assert result == (1, '', f'error: Address already in use: 0.0.0.0:{port}\n')
    with RawServer() as peer, python('-m', 'ws', '-c', peer.address) as window:
        peer.take()
        peer.send(b'HTTP/1.1 401 Unauthorized\r\n\r\n')
        window.shows('error: unexpected server response (401)')
        window.ends(1)


@pytest.mark.parametrize(('code', 'status', 'errors'), [
    (1000, 0, ''),
    (1001, 0, ''),
    (1011, 1, 'error: disconnected (code: 1011, reason: "\\x1b[2J")\n'),
    (3000, 1, 'error: disconnected (code: 3000, reason: "\\x1b[2J")\n'),
])  # fmt: skip
def test_when_the_peer_closes_in_pipes(code: int, status: int, errors: str) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.close(code, '\x1b[2J'))
        assert run('-c', url_of(wss), '-w', '-1') == (status, '', errors)


# -- the handshake -----------------------------------------------------------------------------------------------------


def request_of(*arguments: str) -> tuple[str, Any]:
    """The target and the headers of wscat's request with these arguments."""
    with server() as wss:
        requests = Waiter()
        wss.on('connection', lambda ws, request: (requests(request.url, request.headers), ws.close()))
        arguments = tuple(argument.replace('URL', url_of(wss).partition('://')[2]) for argument in arguments)
        assert run(*arguments) == (0, '', '')
        found: tuple[str, Any] = requests.get()
        return found


def test_headers() -> None:
    url, headers = request_of(
        *('-c', 'URLpath?q', '-o', 'https://example.org', '--host', 'example.com', '--auth', 'me:sécret'),
        *('-H', 'X-One: 1', '-H', 'x-one:2', '-H', 'Cookie: a=b:c', '-H', 'authorization: overridden'),
        *('-s', 'one', '-s', 'two, three'),
    )
    assert url == '/path?q'
    assert headers['origin'] == 'https://example.org'
    assert headers['host'] == 'example.com'
    assert headers['authorization'] == 'Basic ' + base64.b64encode('me:sécret'.encode()).decode()
    assert headers['x-one'] == '1, 2'
    assert headers['cookie'] == 'a=b:c'
    assert headers['sec-websocket-protocol'] == 'one, two, three'
    assert headers['sec-websocket-version'] == '13'


def test_protocol_version_8() -> None:
    assert request_of('-c', 'ws://URL', '-p', '8')[1]['sec-websocket-version'] == '8'


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    issued = authority.issue_cert('localhost')
    with echo_server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        url = url_of(wss, scheme='wss').replace('127.0.0.1', 'localhost')
        wait = ('-x', 'hello', '-w', '0.3')
        assert run('-c', url, '--ca', str(tmp_path / 'ca.pem'), *wait) == (0, 'hello\n', '')
        assert run('-c', url, '-n', *wait) == (0, 'hello\n', '')
        result = run('-c', url, *wait)
        assert (result.status, result.output) == (1, '')
        assert result.errors.startswith('error: certificate verify failed: ')
        assert result.errors.count('\n') == 1


@pytest.mark.parametrize('asked', [True, False])
def test_a_certificate_of_the_client(authority: trustme.CA, tmp_path: Path, asked: bool) -> None:
    issued = authority.issue_cert('client.example')
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b'secret'),
    )
    (tmp_path / 'key.pem').write_bytes(encrypted)
    issued.cert_chain_pems[0].write_to_path(tmp_path / 'cert.pem')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('127.0.0.1').configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    arguments = ['--cert', str(tmp_path / 'cert.pem'), '--key', str(tmp_path / 'key.pem'), '-n', '--passphrase']
    with (
        RawServer(context) as peer,
        python('-m', 'ws', '-c', f'wss://{peer.address}', *arguments, *([] if asked else ['secret'])) as window,
    ):
        if asked:
            window.shows('Passphrase:')
            window.type('secret' + ENTER)
        peer.answer(peer.take())
        said = ['Passphrase:'] if asked else []
        window.shows(*said, CONNECTED, '>')
        window.type('hello' + ENTER)
        assert peer.frame() == (0x81, b'hello')
        assert peer.subject() == 'client.example'


def test_proxies() -> None:
    with connect_proxy() as proxy, echo_server() as wss:
        target = url_of(wss).partition('://')[2].strip('/')
        wait = ('-x', 'hello', '-w', '0.3')
        assert run('-c', target, '--proxy', proxy.address, *wait) == (0, 'hello\n', '')
        assert run('-c', target, '--proxy', f'http://me:secret@{proxy.address}', *wait) == (0, 'hello\n', '')
        assert proxy.requests == [(target, ''), (target, 'Basic bWU6c2VjcmV0')]
        with RawServer() as nobody:
            gone = nobody.address
        assert run('-c', gone, '--proxy', proxy.address) == (1, '', 'error: the proxy refused: 502 Bad Gateway\n')
        result = run('-c', target, '--proxy', gone)
        assert result == (1, '', f'error: the proxy {gone} is out of reach: Connection refused\n')


def test_tls_through_a_proxy(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    issued = authority.issue_cert('localhost')
    with connect_proxy() as proxy:
        with echo_server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
            url = url_of(wss, scheme='wss').replace('127.0.0.1', 'localhost')
            ca = ('--ca', str(tmp_path / 'ca.pem'))
            assert run('-c', url, '--proxy', proxy.address, *ca, '-x', 'hello', '-w', '0.3') == (0, 'hello\n', '')
        assert proxy.requests[0][0].startswith('localhost:')


def test_verbose() -> None:
    with server() as wss:

        def answer(this: WebSocket) -> None:
            this.send('hello')
            this.send(b'\0')
            this.ping('1')
            this.close(1000, 'bye')

        wss.on('connection', lambda ws: ws.on('message', answer))
        result = run('-c', url_of(wss), '-x', 'ü', '-v', '-w', '-1', '--auth', 'me:secret', '-H', 'Cookie: secret')
    assert (result.status, result.bytes) == (0, b'hello\n\0')
    lines = result.errors.splitlines()
    assert lines[0] == '* > GET / HTTP/1.1'
    assert '* > Sec-WebSocket-Version: 13' in lines
    assert '* > Authorization: ...' in lines
    assert '* > Cookie: ...' in lines
    answer = lines.index('* < HTTP/1.1 101 Switching Protocols')
    assert '* < Upgrade: websocket' in lines[answer:]
    assert '* > text, 2 bytes' in lines
    frames = ['* < text, 5 bytes', '* < binary, 1 byte', '* < ping, 1 byte']
    assert [line for line in lines if line in frames] == frames
    assert lines[-2:] == ['* closed by the peer', '* Disconnected (code: 1000, reason: "bye")']


def test_verbose_shows_a_refusal() -> None:
    with server(path='/there') as wss:
        result = run('-c', url_of(wss), '-v')
    lines = result.errors.splitlines()
    assert '* < HTTP/1.1 400 Bad Request' in lines
    assert '* < Connection: close' in lines
    assert lines[-1] == 'error: unexpected server response (400)'
    assert result.status == 1


def test_pings_and_pongs_in_pipes() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.ping('one'), ws.pong('two'), ws.close()))
        result = run('-c', url_of(wss), '-P', '-w', '-1')
    assert result == (0, '', '< Received ping (data: "one")\n< Received pong (data: "two")\n')


# -- the program -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('command', [[sys.executable, '-m', 'ws'], [sys.executable, str(ROOT / 'bin' / 'wscat')]])
def test_it_is_one_program(command: list[str], tmp_path: Path) -> None:
    def output_of(*arguments: str) -> str:
        result = subprocess.run(
            [*command, *arguments], cwd=ROOT, capture_output=True, encoding='utf-8', timeout=TIMEOUT, check=True
        )
        assert result.stderr == ''
        return result.stdout

    assert output_of() == output_of('-h') == output_of('--help') == HELP
    assert output_of('-V') == output_of('--version')
    with echo_server() as wss:
        assert output_of('-c', url_of(wss), '-x', 'hello', '-w', '0.3') == 'hello\n'


@pytest.mark.parametrize('has_venv', [True, False])
def test_a_checkout_whose_packages_are_in_its_virtual_environment(has_venv: bool, tmp_path: Path) -> None:
    (tmp_path / 'bin').mkdir()
    shutil.copy(ROOT / 'bin' / 'wscat', tmp_path / 'bin')
    (tmp_path / 'ws').symlink_to(ROOT / 'ws')
    if has_venv:
        (tmp_path / '.venv').symlink_to(sys.prefix)
    program = tmp_path / 'bin' / 'wscat'
    assert os.access(program, os.X_OK)
    # Without site-packages.
    result = subprocess.run([sys.executable, '-I', '-S', program, '-h'], capture_output=True, encoding='utf-8')
    complaint = 'error: wscat needs the Python package pyee: pip install pyee, or make demo\n'
    expected = (0, HELP, '') if has_venv else (1, '', complaint)
    assert (result.returncode, result.stdout, result.stderr) == expected


def test_the_installed_command(metadata: configparser.ConfigParser) -> None:
    assert metadata['options.entry_points']['console_scripts'].split() == ['wscat', '=', 'ws.wscat:main']
    assert callable(wscat.main)


def test_version(metadata: configparser.ConfigParser) -> None:
    assert wscat.version() == metadata['metadata']['version']


@pytest.fixture
def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    return parser


def test_the_help_names_every_option() -> None:
    for action in make_parser()._actions:
        assert re.search(rf'^ {{2,6}}{", ".join(action.option_strings)}\b', HELP, re.MULTILINE), action.option_strings
    options = re.findall(r'^ {2,6}(?:(-\w), )?(--[a-z-]+)', HELP, re.MULTILINE)
    assert len(options) == len(make_parser()._actions)
    assert max(map(len, HELP.splitlines())) <= 120


def test_help_that_nobody_reads_to_its_end() -> None:
    command = f"'{sys.executable}' -m ws -h | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(['bash', '-c', command], cwd=ROOT, capture_output=True, encoding='utf-8', timeout=TIMEOUT)
    assert (result.stdout, result.stderr) == ('0\n', '')
