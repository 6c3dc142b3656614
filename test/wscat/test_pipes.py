"""wscat between pipes, and its errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from documents import ROOT
from support import TIMEOUT, Log, Waiter, echo_server, server, url_of
from terminals import RawServer, run
from window import python

from ws import WebSocket

# -- pipes -------------------------------------------------------------------------------------------------------------


def test_piped_lines_are_sent_and_answers_awaited() -> None:
    data = 'one\n\ntwo\r\nü\nno end of line'.encode()
    with echo_server() as wss:
        assert run('-c', url_of(wss), '-w', '1.5', data=data) == (0, 'one\n\ntwo\nü\nno end of line\n', '')


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
                ws._loop.call_later(700 * number, ws.send, str(number))

        wss.on('connection', lambda ws: ws.on('message', lambda: answer(ws)))
        assert run('-c', url_of(wss), '-w', '2', data=b'count') == (0, '0\n1\n2\n3\n4\n', '')


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
        assert run('-c', url_of(wss), '-x', 'one', '-x', 'two', '-w', '1.5', data=b'not sent') == (0, 'one\ntwo\n', '')


@pytest.mark.parametrize(('arguments', 'errors'), [(['-x', 'go'], 'Disconnected (code: 1000, reason: "")\n'), ([], '')])
def test_waiting_without_end_ends_when_the_peer_closes(arguments: list[str], errors: str) -> None:
    with server() as wss:
        wss.on(
            'connection',
            lambda ws: ws.on('message', lambda: ws._loop.call_later(500, lambda: (ws.send('done'), ws.close()))),
        )
        assert run('-c', url_of(wss), '-w', '-1', *arguments, data=b'go') == (0, 'done\n', errors)


def test_binary_messages_pass_through_pipes_as_they_are() -> None:
    data = bytes(range(256)) * 2000
    with echo_server() as wss:
        result = run('-c', url_of(wss), '--binary', '-w', '1.5', data=data)
        assert (result.bytes, result.status, result.errors) == (data, 0, '')


def test_execute_binary_messages() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data: ws.send(repr(data))))
        assert run('-c', url_of(wss), '--binary', '-x', 'ü', '-w', '1.5') == (0, "b'\\xc3\\xbc'\n", '')


def test_raw_adds_and_drops_nothing() -> None:
    with echo_server() as wss:
        data = 'one\r\n\x1b[2J\n\nü'.encode()
        result = run('-c', url_of(wss), '--raw', '-w', '1.5', data=data)
        assert (result.bytes, result.status, result.errors) == (data, 0, '')


def test_control_characters_pass_through_pipes() -> None:
    with echo_server() as wss:
        assert run('-c', url_of(wss), '-x', '\x1b[2J', '-w', '1.5') == (0, '\x1b[2J\n', '')


def test_json_in_pipes() -> None:
    with echo_server() as wss:
        result = run('-c', url_of(wss), '--json', '-w', '1.5', data=b'{"a":\n1}\n\n"\\ud800 \\u00fc"\n')
        assert result == (0, '{\n  "a": 1\n}\n"\\ud800 ü"\n', '')


def test_text_that_is_no_json_is_shown_as_it_is() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send('{"a":1'), ws.send('[' * 100_000), ws.close()))
        result = run('-c', url_of(wss), '--json', '-w', '-1')
        assert result == (0, '{"a":1\n' + '[' * 100_000 + '\n', '')


def test_broken_json_in_a_pipe_is_an_error() -> None:
    with echo_server() as wss:
        result = run('-c', url_of(wss), '--json', '-w', '1.5', data=b'[1,]\n[2]\n[3')
        assert (result.status, result.output) == (1, '[\n  2\n]\n')
        first, second = result.errors.splitlines()
        assert first.startswith('error: not JSON: ')
        assert second == 'error: not JSON: it is incomplete'


def test_input_that_is_no_text_is_an_error() -> None:
    with echo_server() as wss:
        result = run('-c', url_of(wss), '-w', '1.5', data=b'\xff\xfe\n')
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
        [sys.executable, '-m', 'ws', '-l', '0', '-v', '-w', '1.5'],
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
        (['-c', 'x', '--max-redirects', '-1'], 'maxRedirects must not be negative: -1'),
        (['-c', 'x', '--max-redirects', 'x'], "argument --max-redirects: invalid int value: 'x'"),
        (['-l', 'x'], "argument -l/--listen: invalid int value: 'x'"),
        (['-l', '70000'], '--listen: port must be from 0 to 65535, not 70000'),
        (['-l', '0', '--no-check'], '--no-check works with --connect only'),
        (['-l', '0', '-H', 'a:b'], '--header works with --connect only'),
        (['-c', 'x', '--proxy', 'ftp://a:b@x'], "--proxy: invalid proxy '...@x': it must be like "),
        (['-l', '0', '-L'], '--location works with --connect only'),
        (['-l', '0', '--max-redirects'], '--max-redirects works with --connect only'),
        (['-c', 'ws+unix:/x', '--proxy', 'x'], '--proxy: there is none to a UNIX socket'),
        (['-c', 'x', '--nonsense'], 'unrecognized arguments: --nonsense'),
        (['-c', 'x', '--exec', 'x'], 'unrecognized arguments: --exec'),
        (['-c'], 'argument -c/--connect: expected one argument'),
        (['-c', 'x', '-x', '\udcff'], '--execute: the message is not text'),
    ],
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = run(*arguments, start_new_session=True)
    assert (result.status, result.output) == (2, '')
    # Python 3.13.5 shows a wrong choice as it was written, earlier ones as what it was taken for.
    assert result.errors.replace("choice: '9'", 'choice: 9').startswith(f'error: {complaint}')
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
