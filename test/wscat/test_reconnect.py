"""wscat --reconnect, and pings that find out that the line is gone."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

from documents import ROOT, free_port
from support import TIMEOUT, Log, Waiter, server, url_of
from terminals import CONNECTED, RawServer, run
from window import CTRL_D, ENTER, python

from ws import WebSocket, WebSocketServer


@contextlib.contextmanager
def connections(wss: WebSocketServer) -> Iterator[Waiter]:
    """Each that comes, with the log of its events."""
    found = Waiter()
    wss.on('connection', lambda ws: found(ws, Log(ws, 'message', 'close')))
    yield found


def test_the_line_goes_and_comes_back() -> None:
    lost = 'Disconnected (code: 1001, reason: "restart"); connecting again'
    gates = Waiter()
    with (
        server(verifyClient=lambda info, callback: gates(callback)) as wss,
        connections(wss) as found,
        python('-m', 'ws', url_of(wss), '--reconnect') as window,
    ):
        gates.get()[0](True)
        ws, log = found.get()
        window.type('one' + ENTER)
        assert log.get()[:2] == ('message', 'one')
        window.shows(CONNECTED, '> one', '>')
        ws.close(1001, 'restart')
        window.shows(CONNECTED, '> one', lost)
        window.type('meanwhile' + ENTER)
        gates.get()[0](True)
        ws, log = found.get()
        assert log.get()[:2] == ('message', 'meanwhile')
        window.shows(CONNECTED, '> one', lost, 'Connected again', '> meanwhile', '>')
        window.type(CTRL_D)
        assert log.get() == ('close', 1000, '')
        window.until(lambda: window.lines()[-1] == 'Disconnected (code: 1000, reason: "")')
        window.ends()


def test_in_pipes_standard_error_says_so() -> None:
    with server() as wss, connections(wss) as found:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ws', url_of(wss), '--reconnect', '-w', '0.3'],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8',
        )  # fmt: skip
        with process:
            assert process.stdin is not None and process.stderr is not None and process.stdout is not None
            ws, _ = found.get()
            ws.send('before')
            ws.terminate()
            ws, log = found.get()
            assert process.stderr.readline() == 'Disconnected (code: 1006, reason: ""); connecting again\n'
            assert process.stderr.readline() == 'Connected again\n'
            process.stdin.write('one\n')
            process.stdin.close()
            assert log.get()[:2] == ('message', 'one')
            assert log.get() == ('close', 1000, '')
            assert (process.stdout.read(), process.stderr.read()) == ('before\n', '')
            assert process.wait(TIMEOUT) == 0


def test_a_message_to_execute_is_sent_once() -> None:
    with server() as wss, connections(wss) as found:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ws', url_of(wss), '--reconnect', '-x', 'once', '-w', '-1'],
            cwd=ROOT, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:
            ws, log = found.get()
            assert log.get()[:2] == ('message', 'once')
            ws.close(4000)
            ws, log = found.get()
            assert process.stderr is not None
            assert b'connecting again' in process.stderr.readline()
            assert process.stderr.readline() == b'Connected again\n'
            process.send_signal(signal.SIGTERM)
            assert log.get() == ('close', 1000, '')
            assert process.wait(TIMEOUT) == 0


def test_who_is_not_there_yet_is_waited_for() -> None:
    """What is wrong is said once."""
    with free_port() as port:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ws', f'127.0.0.1:{port}', '--reconnect', '-x', 'hello', '-w', '0'],
            cwd=ROOT, stderr=subprocess.PIPE, encoding='utf-8',
        )  # fmt: skip
        with process:
            assert process.stderr is not None
            refused = f'error: Connection refused: 127.0.0.1:{port}\n'
            assert process.stderr.readline() == refused
            with server(port=port) as wss, connections(wss) as found:
                _, log = found.get()
                assert log.get()[:2] == ('message', 'hello')
                assert process.wait(TIMEOUT) == 0
            assert process.stderr.read() == ''


def test_closing_by_command_is_for_good() -> None:
    arguments = ('-m', 'ws', '--reconnect', '--slash')
    with server() as wss, connections(wss) as found, python(*arguments, url_of(wss)) as window:
        _, log = found.get()
        window.type('/close 4000 enough' + ENTER)
        assert log.get() == ('close', 4000, 'enough')
        window.ends()
        assert window.lines()[-1] == 'Disconnected (code: 4000, reason: "enough")'


def test_wrong_usage_is_found_before() -> None:
    result = run('a b', '--reconnect')
    assert (result.status, result.errors) == (2, "error: invalid url: character ' ' at position 6\n")


# -- pings -------------------------------------------------------------------------------------------------------------


def test_pings_are_sent() -> None:
    with RawServer() as peer, python('-m', 'ws', peer.address, '--ping-interval', '0.1', '-P') as window:
        peer.answer(peer.take())
        assert peer.frame() == (0x89, b'')
        peer.send(b'\x8a\x00')
        window.shows(CONNECTED, '< Received pong (data: "")', '>')
        assert peer.frame() == (0x89, b'')


def test_a_server_sends_pings_too() -> None:
    with python('-m', 'ws', '-l', '0', '--ping-interval', '0.1') as window:
        window.until(lambda: window.lines()[0].startswith('Listening on port '))
        client = WebSocket(f'ws://127.0.0.1:{window.lines()[0].split()[3]}')
        log = Log(client, 'ping')
        assert log.get()[:2] == ('ping', b'')
        client.terminate()
