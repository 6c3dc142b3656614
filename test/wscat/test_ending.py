"""How wscat ends before everything is done: signals, and what the peer says when it closes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT
from support import TIMEOUT, Log, Waiter, server, url_of
from terminals import RawServer, run
from window import CTRL_C, CTRL_D, ENTER, python

NOT_SENT = 'error: the connection was closed before everything was sent\n'
INTERRUPTED = 'error: interrupted before everything was sent\n'


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    pipes = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **options}
    command = [sys.executable, '-W', 'error', '-m', 'ws', *arguments]
    return subprocess.Popen(command, cwd=ROOT, encoding='utf-8', **pipes)


def ending(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its status, and what it has written."""
    output, errors = process.communicate(timeout=TIMEOUT)
    return process.returncode, output, errors


@pytest.mark.parametrize('options', [[], ['--reconnect']])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_connecting_ends_it_as_if_killed(number: int, options: list[str]) -> None:
    with RawServer() as peer, start('-c', peer.address, *options) as process:
        peer.take()
        process.send_signal(number)
        assert ending(process) == (-number, '', '')


def test_which_is_143_in_a_shell() -> None:
    """And 130; but what a script has start in the background has to ignore Ctrl-C."""
    command = f"'{sys.executable}' -m ws {{}} & echo $!; wait $!; echo $?"
    with RawServer() as peer:
        shell = subprocess.Popen(
            ['bash', '-c', command.format(peer.address)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding='utf-8',
        )  # fmt: skip
        with shell:
            assert shell.stdout is not None
            pid = int(shell.stdout.readline())
            peer.take()
            os.kill(pid, signal.SIGTERM)
            assert shell.stdout.read() == '143\n'


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_what_was_not_sent_is_an_error_when_interrupted(number: int) -> None:
    with RawServer() as peer, start('-c', peer.address, '-x', 'hello') as process:
        peer.take()
        process.send_signal(number)
        assert ending(process) == (1, '', INTERRUPTED)


def test_piped_input_that_was_not_sent_is_an_error_when_interrupted() -> None:
    with RawServer() as peer, start('-c', peer.address, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write('hello\n')
        process.stdin.flush()
        peer.take()
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 1
        assert process.stderr is not None
        assert process.stderr.read() == INTERRUPTED


def test_a_listener_whom_nobody_has_called_has_not_sent_its_message() -> None:
    with start('-l', '0', '-x', 'hello', '-v') as process:
        assert process.stderr is not None
        assert 'Listening' in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert ending(process) == (1, '', INTERRUPTED)


def test_a_pipe_in_which_nothing_comes_leaves_nothing_unsent() -> None:
    with server() as wss:
        connections = Waiter()
        wss.on('connection', lambda ws: connections(ws, Log(ws, 'close')))
        with start('-c', url_of(wss), stdin=subprocess.PIPE) as process:
            ws, log = connections.get()
            ws.send('hello')
            assert process.stdout is not None
            assert process.stdout.readline() == 'hello\n'
            process.send_signal(signal.SIGINT)
            assert log.get() == ('close', 1000, '')
            assert process.wait(TIMEOUT) == 0


def test_what_the_peer_has_not_read_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / 'input').write_bytes(b'line\n' * 2_000_000)
    with server() as wss, open(tmp_path / 'input', 'rb') as file:
        begun = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda: (ws.pause(), begun(ws))))
        with start('-c', url_of(wss), stdin=file) as process:
            ws = begun.get()[0]
            process.send_signal(signal.SIGINT)
            assert ending(process) == (1, '', INTERRUPTED)
            ws.terminate()


@pytest.mark.parametrize(('key', 'complaint'), [(CTRL_C, INTERRUPTED), (CTRL_D, NOT_SENT)])
def test_typed_lines_that_were_not_sent_are_an_error(key: str, complaint: str) -> None:
    with RawServer() as peer, python('-m', 'ws', peer.address) as window:
        peer.take()
        window.type('early' + ENTER)
        window.until_read()  # a Ctrl-C takes away what is not
        window.type(key)
        window.ends(1)
        window.shows(complaint.rstrip())


def test_a_second_sigterm_kills_it() -> None:
    with RawServer() as peer, start(peer.address, '-w', '-1', '-x', 'hello') as process:
        peer.answer(peer.take())
        assert peer.frame() == (0x81, b'hello')
        process.send_signal(signal.SIGTERM)
        assert peer.frame() == (0x88, b'\x03\xe8')  # to which there is no answer
        process.send_signal(signal.SIGTERM)
        assert ending(process) == (-signal.SIGTERM, '', '')


# -- the peer closes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('code', 'status', 'errors'), [
    (1000, 0, 'Disconnected (code: 1000, reason: "b\\x1b")\n'),
    (1001, 0, 'Disconnected (code: 1001, reason: "b\\x1b")\n'),
    (1011, 1, 'error: disconnected (code: 1011, reason: "b\\x1b")\n'),
    (4000, 1, 'error: disconnected (code: 4000, reason: "b\\x1b")\n'),
])  # fmt: skip
def test_the_peer_closes_after_execute(code: int, status: int, errors: str) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.close(code, 'b\x1b')))
        assert run(url_of(wss), '-x', 'hello', '-w', '-1') == (status, '', errors)


def test_the_code_is_shown_beside_what_was_not_sent(tmp_path: Path) -> None:
    (tmp_path / 'input').write_bytes(b'line\n' * 2_000_000)
    with server() as wss, open(tmp_path / 'input', 'rb') as file:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.close(4000, 'full')))
        result = run(url_of(wss), '-w', '10', data=None, stdin=file)
        told = 'error: disconnected (code: 4000, reason: "full")\n'
        assert (result.status, result.errors) in ((1, told), (1, NOT_SENT + told))


def test_a_connection_that_breaks_after_execute() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.terminate()))
        errors = 'error: disconnected (code: 1006, reason: "")\n'
        assert run(url_of(wss), '-x', 'hello', '-w', '-1') == (1, '', errors)


def test_a_peer_that_breaks_the_protocol_has_given_no_code() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws._stream.write(b'\xff\xff')))
        result = run(url_of(wss), '-x', 'hello', '-w', '-1')
        assert result == (1, '', 'error: reserved fields must be empty\n')
