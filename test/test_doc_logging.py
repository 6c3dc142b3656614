"""doc/logging.md has every line that the code logs, as it is logged, and no other; its examples do what they say."""

from __future__ import annotations

import ast
import contextlib
import errno
import logging
import os
import re
import socket
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from documents import ROOT, Checks, Runner, connect
from hops import hops, opened, outcome
from support import (
    HANDSHAKE,
    Log,
    Waiter,
    client,
    end,
    frames,
    on_loop,
    raw_client,
    raw_connection,
    read_all,
    server,
    until,
    url_of,
)

from ws import ReconnectingWebSocket, WebSocket

LOGGING = Checks('doc/logging.md')
TEXT = LOGGING.document.path.read_text(encoding='utf-8')

Line = tuple[str, str, str]  # logger, level, message


@pytest.mark.parametrize('name', LOGGING.names())
def test_example(name: str, tmp_path: Path) -> None:
    LOGGING.run(name, tmp_path)


# -- every line -------------------------------------------------------------------------------------------------------


def documented() -> set[Line]:
    lines = set()
    for logger in 'ws', 'ws.handshake':
        section = TEXT.partition(f'\n## {logger}\n')[2].partition('\n## ')[0]
        rows = re.findall(r'^\| `(\w+)` \| `(.+?)` \|', section, re.MULTILINE)
        lines |= {(logger, level, message) for level, message in rows}
    return lines


ROOMS = ROOT / 'ws' / 'rooms'


def in_the_code(paths: Optional[Iterable[Path]] = None) -> set[tuple[str, str]]:
    """Level and text, as it stands there, of each line; without those of rooms, if nobody asks for them."""
    found = set()
    for path in paths or (path for path in (ROOT / 'ws').rglob('*.py') if ROOMS not in path.parents):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called.startswith('_log.') and called != '_log.isEnabledFor' and isinstance(node.args[0], ast.Constant):
                found.add((called.partition('.')[2].upper(), node.args[0].value))
            elif called == '_log_visibly':
                found.add(('WARNING', ast.literal_eval(node.args[0])))
    return found


def usual(message: str) -> str:
    """`message` with the ports and times of the document."""
    message = re.sub(r'from 127\.0\.0\.1:\d+|^127\.0\.0\.1:\d+(?= (refused|failed|left))', _client, message)
    message = re.sub(r'127\.0\.0\.1:(?!51234)\d+', '127.0.0.1:8080', message)
    message = re.sub(r'after \d+\.\d{3} s', 'after 12.345 s', message)
    return re.sub(r' \(_ssl\.c:\d+\)', '', message)


def _client(match: re.Match[str]) -> str:
    return match[0].rpartition(':')[0] + ':51234'


class Collected(logging.Handler):
    """What is logged, as it is at that moment: states change."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[Line, str]] = []  # with the text in the code

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(((record.name, record.levelname, usual(record.getMessage())), record.msg))


@contextlib.contextmanager
def collected(level: int) -> Iterator[Collected]:
    logger, handler = logging.getLogger('ws'), Collected()
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield handler
    finally:
        logger.setLevel(logging.NOTSET)
        logger.removeHandler(handler)


def test_every_line_is_there() -> None:
    with collected(logging.DEBUG) as log:
        run_out_of_descriptors()
        break_a_limit()
        read_nothing()
        be_silent()
        leave_a_close_frame_unanswered()
        converse()
        be_refused()
        be_refused_again_and_again()
        leave()
        speak_no_tls()
        redirect()
    assert documented() - {line for line, _ in log.lines} == set()
    assert in_the_code() == {(line[1], text) for line, text in log.lines}
    assert in_the_code() == {(line[1], text) for line, text in log.lines if line in documented()}


def test_every_line_of_rooms_is_there() -> None:
    """They come about in test/rooms."""
    section = TEXT.partition('\n## ws.rooms\n')[2].partition('\n## ')[0]
    rows = re.findall(r'^\| `(\w+)` \| `(.+?)` \|', section, re.MULTILINE)
    lines = in_the_code(ROOMS.glob('*.py'))
    assert len(rows) == len(lines) > 0
    for level, text in lines:
        pattern = re.sub(r'%(\\\.\d+)?[rs]', '.+', re.escape(text))
        assert any(level == row[0] and re.fullmatch(pattern, row[1]) for row in rows), text


def run_out_of_descriptors() -> None:
    with server() as wss:
        assert wss._listener is not None
        error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        on_loop(wss, lambda: wss._listener._run_out(error))  # type: ignore[union-attr]


@contextlib.contextmanager
def closing(**options: Any) -> Iterator[socket.socket]:
    """A plain client, whose connection is closed with a code when this is left."""
    with server(**options) as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: ws.on('close', closed))
        with raw_client(wss) as sock:
            yield sock
            closed.get()


def break_a_limit() -> None:
    with closing(maxPayload=1000) as sock:
        sock.sendall(b'\x81\xfe\x07\xff')


def read_nothing() -> None:
    with server(maxBufferedAmount=1000) as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: (ws.on('close', closed), ws.send(bytes(32 << 20))))
        with raw_client(wss):
            closed.get()


def be_silent() -> None:
    with closing(pingInterval=20, pingTimeout=50) as sock:
        assert len(list(frames(sock))) == 1


def leave_a_close_frame_unanswered() -> None:
    with server(closeTimeout=50) as wss:
        closed = Waiter()
        wss.on('connection', lambda ws: (ws.on('close', closed), ws.close()))
        with raw_client(wss):
            closed.get()


def converse() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send('welcome, stranger'), ws.on('message', lambda: ws.close(1000, 'bye'))))
        ws = client(wss, '/chat?room=1', headers={'Authorization': 'Basic secret'}, perMessageDeflate=False)
        log = Log(ws)
        log.until('message')
        ws.send('hello, server')
        log.until('close')
        ws = client(wss, '/chat?room=1')
        Log(ws).until('open')
        end(ws, 'close')


@contextlib.contextmanager
def stranger(**options: Any) -> Iterator[socket.socket]:
    """A connection to a server, without a handshake."""
    with server(**options) as wss:
        wss.on('connection', lambda: None)  # else it would wait for somebody to hear of them
        with raw_connection(wss) as sock:
            yield sock


def be_refused() -> None:
    with stranger() as sock:
        sock.sendall(HANDSHAKE.replace(b'dGhl', b'') % b'/chat?token=secret')
        assert read_all(sock).startswith(b'HTTP/1.1 400 ')


def be_refused_again_and_again() -> None:
    with server(verifyClient=lambda info: False) as wss:
        ws = ReconnectingWebSocket(url_of(wss, '/chat'), minReconnectionDelay=5, jitter=0)
        closed = Waiter()
        ws.on('close', closed)
        closed.get()
        closed.get()
        end(ws)


def leave() -> None:
    with stranger() as sock:
        sock.sendall(b'GET /')
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b''


def speak_no_tls() -> None:
    issued = trustme.CA().issue_cert('127.0.0.1')
    key, cert = issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes()
    with stranger(key=key, cert=cert) as sock:
        sock.sendall(HANDSHAKE % b'/')
        read_all(sock)


def redirect() -> None:
    with hops('/chat?room=1', opened) as peer:
        outcome(WebSocket(peer.url(host='ann:secret@127.0.0.1'), followRedirects=True))


# -- what else it says ------------------------------------------------------------------------------------------------


def test_a_stranger_can_not_forge_a_line() -> None:
    with collected(logging.DEBUG) as log:
        with closing() as sock:
            sock.sendall(b'\x88\x8e\0\0\0\0\x03\xe8x\n\x1b[31mforge')
            assert len(list(frames(sock))) == 1
        for target in b'/x\x1b[31m', b'/' + b'x' * 4000:
            with stranger(path='/') as sock:
                sock.sendall(HANDSHAKE % target)
                read_all(sock)
    messages = [line[2] for line, _ in log.lines]
    assert [message for message in messages if not message.isprintable()] == []
    assert any(message.endswith(f'path /{"x" * 199}') for message in messages)
    assert any(r"close 1000 'x\n\x1b[31mforge'" in message for message in messages)


def test_each_refusal_has_one_line() -> None:
    with collected(logging.INFO) as log, stranger(handshakeTimeout=50) as sock:
        sock.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n')
        assert read_all(sock).startswith(b'HTTP/1.1 408 ')
    [(line, _)] = log.lines
    assert line == ('ws.handshake', 'INFO', '127.0.0.1:51234 refused: 408 Request Timeout, path -')


@LOGGING.check('Switching logs on')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, '/elsewhere')
    log.until('close')
    program.signal(2)
    program.wait()
    assert re.search(
        r'^[\d-]+ [\d:,]+ INFO ws\.handshake: 127\.0\.0\.1:\d+ refused: 400 Bad Request, path /elsewhere$',
        program.errors(),
        re.MULTILINE,
    )


@LOGGING.check('Metrics')
def _(run: Runner) -> None:
    program, port = run.serve()

    def page() -> dict[str, float]:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics') as response:
            assert response.headers['Content-Type'].startswith('text/plain; version=0.0.4')
            lines = response.read().decode().splitlines()
        return {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith('#')}

    ws, log = connect(port, '/socket')
    log.until('open')
    _ws, other_log = connect(port, '/socket', headers={'Sec-WebSocket-Key': 'x'})
    other_log.until('close')
    ws.send('hello')
    log.until('message')
    until(lambda: page()['ws_sent_bytes_total'])  # they are counted once the system has them, so it may be faster
    values = page()
    assert values['ws_connections'] == values['ws_connections_total'] == 1
    assert values['ws_refused_total{status="400"}'] == 1
    assert (values['ws_received_messages_total'], values['ws_sent_messages_total']) == (1, 1)
    assert (values['ws_received_bytes_total'], values['ws_sent_bytes_total']) == (11, 7)
    end(ws)
    program.signal(2)
    program.wait()
