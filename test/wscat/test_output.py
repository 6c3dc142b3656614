"""What is written where: times, and the file of --output."""

from __future__ import annotations

import os
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support import Waiter, server, url_of
from terminals import CONNECTED, run, typing_to
from window import CTRL_D, ENTER, python

from ws import WebSocket

TIME = r'\d\d:\d\d:\d\d\.\d{3}'


def say(ws: WebSocket) -> None:
    ws.send('{"one": 1}')
    ws.send(b'\0\xff')
    ws.send('two\nlines')
    ws.close()


# -- times -------------------------------------------------------------------------------------------------------------


def test_times_on_a_terminal() -> None:
    with server() as wss, typing_to(wss, '-t', '-P') as (window, ws, log):
        window.type('hello' + ENTER)
        assert log.get()[1] == 'hello'
        ws.send('one\ntwo')
        ws.ping('x')
        window.until(lambda: len(window.lines()) == 6 and window.lines()[5] == '>')
        lines = window.lines()
        assert re.fullmatch(rf'{TIME} {re.escape(CONNECTED)}', lines[0])
        assert lines[1] == '> hello'
        assert re.fullmatch(rf'{TIME} < one', lines[2])
        assert lines[3] == ' ' * 15 + 'two'
        assert re.fullmatch(rf'{TIME} < Received ping \(data: "x"\)', lines[4])
        window.type(CTRL_D)
        window.ends()
        assert re.fullmatch(rf'{TIME} Disconnected .*', window.lines()[5])


def test_times_in_a_pipe() -> None:
    before = datetime.now().astimezone() - timedelta(milliseconds=1)
    with server() as wss:
        wss.on('connection', say)
        result = run(url_of(wss), '--timestamps', '-w', '-1', '-v')
    assert result.status == 0
    first, second, third = re.fullmatch(rb'(\S+ \{"one": 1\}\n)(\0\xff)(\S+ two\nlines\n)', result.bytes).groups()  # type: ignore[union-attr]
    for line in (first, third):
        assert before <= datetime.fromisoformat(line.split()[0].decode()) <= datetime.now().astimezone()
    assert second == b'\0\xff'
    for error in result.errors.splitlines():
        assert re.match(rf'\d{{4}}-\d\d-\d\dT{TIME}[+-]\d\d:\d\d \* ', error)


def test_times_of_errors() -> None:
    result = run('127.0.0.1:1', '-t')
    assert re.fullmatch(rf'\S+T{TIME}\S+ error: Connection refused: .*\n', result.errors)


# -- the file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('options', 'content'), [
    ([], b'{"one": 1}\n\0\xfftwo\nlines\n'),
    (['--json', '-t'], b'{"one": 1}\n\0\xfftwo\nlines\n'),
    (['--raw'], b'{"one": 1}\0\xfftwo\nlines'),
])  # fmt: skip
def test_messages_are_written_to_a_file(options: list[str], content: bytes, tmp_path: Path) -> None:
    (tmp_path / 'messages').write_text('what was there before')
    with server() as wss:
        wss.on('connection', say)
        result = run(url_of(wss), '-w', '-1', '--output', str(tmp_path / 'messages'), *options)
    assert (tmp_path / 'messages').read_bytes() == content
    assert result.status == 0
    assert b'two\nlines' in result.bytes


def test_each_is_there_at_once(tmp_path: Path) -> None:
    with server() as wss, typing_to(wss, '--output', str(tmp_path / 'messages')) as (window, ws, _):
        window.type('what is sent is not written' + ENTER)
        ws.send('\x1b[2J')
        window.until(lambda: '< \\x1b[2J' in window.lines())
        assert (tmp_path / 'messages').read_bytes() == b'\x1b[2J\n'


def test_what_a_server_receives(tmp_path: Path) -> None:
    with python('-m', 'ws', '-l', '0', '--output', str(tmp_path / 'messages')) as window:
        window.until(lambda: window.lines()[0].startswith('Listening on port '))
        port = window.lines()[0].split()[3]
        assert run(f'127.0.0.1:{port}', '-x', 'one', '-w', '0').status == 0
        window.until(lambda: '< one' in window.lines())
        assert (tmp_path / 'messages').read_bytes() == b'one\n'


def test_a_file_that_can_not_be_opened(tmp_path: Path) -> None:
    path = str(tmp_path / 'nowhere' / 'messages')
    assert run('x', '--output', path) == (2, '', f'error: --output: {path}: No such file or directory\n')


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no /dev/full')
def test_a_file_that_takes_no_more() -> None:
    closed = Waiter()
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send('one'), ws.on('close', closed)))
        result = run(url_of(wss), '-w', '-1', '--output', '/dev/full')
        assert closed.get() == (1000, '')
    assert (result.status, result.errors) == (1, 'error: --output: /dev/full: No space left on device\n')
