"""wscat --bench."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from documents import ROOT
from support import TIMEOUT, Waiter, echo_server, server, url_of
from terminals import RawServer, run
from window import CTRL_C, python

from ws.wscat.bench import plan_of
from ws.wscat.options import UsageError, parse


def test_a_table() -> None:
    with echo_server() as wss:
        url = url_of(wss)
        result = run('--bench', url, '--connections', '3', '--messages', '50')
    assert (result.status, result.errors) == (0, '')
    lines = result.output.splitlines()
    assert lines[0] == f'3 connections to {url}; text messages of 64 bytes, 1 in flight on each'
    assert lines[2] == 'Connections  3 opened, 0 failed, 0 lost'
    assert lines[3] == 'Messages     50 sent, 50 came back, 0 missing'
    assert lines[6].split() == ['p50', 'p90', 'p99', 'max']
    assert re.fullmatch(r'Latency( +[\d.]+ ms){4}', lines[7])


def test_json() -> None:
    with echo_server() as wss:
        address = url_of(wss).replace('ws://', 'me:secret@')
        options = ['--size', '10', '--in-flight', '5', '--binary', '--connections', '2']
        result = run('--bench', address, '--messages', '50', *options, '--json')
    assert (result.status, result.errors) == (0, '')
    found = json.loads(result.output)
    assert found['messages'] == {'sent': 50, 'returned': 50, 'missing': 0, 'others': 0}
    assert found['options'] == {
        'connections': 2, 'duration': 10.0, 'messages': 50, 'size': 10, 'inFlight': 5, 'rate': None, 'binary': True,
    }  # fmt: skip
    assert 'secret' not in result.output


def test_the_options_of_a_client(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    (tmp_path / 'headers').write_text('X-Secret: 1\n')
    issued = authority.issue_cert('localhost')
    headers = Waiter()
    with echo_server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        wss.on('connection', lambda ws, request: headers(request.headers))
        url = url_of(wss, scheme='wss').replace('127.0.0.1', 'localhost')
        options = ['--ca', str(tmp_path / 'ca.pem'), '-H', f'@{tmp_path / "headers"}', '-o', 'http://x', '-s', 'chat']
        result = run('--bench', url, '--connections', '1', '--messages', '1', *options)
    assert (result.status, result.errors) == (0, '')
    found = headers.get()[0]
    assert (found['x-secret'], found['origin'], found['sec-websocket-protocol']) == ('1', 'http://x', 'chat')


def test_a_server_that_is_no_echo_server() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.send('no\x1b')))
        result = run('--bench', url_of(wss), '--messages', '1')
    complaint = 'error: the server does not send back what it gets, but something else (text): no\\x1b\n'
    assert (result.status, result.errors) == (1, complaint)
    assert 'Messages     1 sent, 0 came back, 1 missing, 1 others came' in result.output


def test_nobody_is_there() -> None:
    with RawServer() as peer:
        address = peer.address
    result = run('--bench', address, '--connections', '2')
    assert (result.status, result.errors) == (1, 'error: no connection could be opened\n')
    assert f'          2  Connection refused: {address}' in result.output.splitlines()


def test_ctrl_c_shows_what_was_measured() -> None:
    with echo_server() as wss, python('-m', 'ws', '--bench', url_of(wss), '--duration', '1000') as window:
        window.shows('Measuring for 1000 s (press CTRL+C to end it early)')
        window.type(CTRL_C)
        window.ends()
        lines = window.lines()
        assert lines[-1] == 'Interrupted: this is what was measured until then.'
        assert any(line.startswith('Latency') for line in lines)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_connecting(number: int) -> None:
    with RawServer() as peer:
        process = subprocess.Popen(
            [sys.executable, '-m', 'ws', '--bench', peer.address, '--connections', '1'],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        peer.take()
        process.send_signal(number)
        assert process.communicate(timeout=TIMEOUT) == (b'', b'')
        assert process.returncode == -number


@pytest.mark.parametrize(('arguments', 'complaint'), [
    (['a b'], "invalid url: character ' ' at position 6"),
    (['a', '--in-flight', '11', '--size', '1'], '--size: 1 bytes are too few to tell 11 messages under way'),
    (['a', '--rate', '1', '--size', '4'], '--size: 4 bytes are too few to tell 100,000 messages under way'),
])  # fmt: skip
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = run('--bench', *arguments)
    assert (result.status, result.output) == (2, '')
    assert result.errors.startswith(f'error: {complaint}')


@pytest.mark.parametrize(
    'arguments',
    [['--in-flight', '10', '--size', '1'], ['--size', '0'], ['--rate', '1', '--size', '5'], ['--size', '1000000000']],
)
def test_sizes(arguments: list[str]) -> None:
    plan_of(parse(['--bench', 'a', *arguments]))


def test_too_small() -> None:
    with pytest.raises(UsageError):
        plan_of(parse(['--bench', 'a', '--in-flight', '2', '--size', '0']))
