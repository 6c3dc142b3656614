"""The examples and the demo, run as their docstrings say."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documents import ROOT, Child, child, connect
from support import Log

from ws import WebSocket

EXAMPLES = ROOT / 'examples'

Start = Callable[..., 'tuple[Child, int]']


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts an example on a port that the system chooses; returns it with that port."""
    children = []

    def start(name: str, *arguments: object) -> tuple[Child, int]:
        started = child(EXAMPLES / name, *arguments, 0)
        children.append(started)
        example = started.__enter__()
        port = re.search(r':(\d+)$', example.line())
        assert port is not None
        return example, int(port[1])

    yield start
    for started in children:
        started.__exit__(None, None, None)


def test_demo() -> None:
    started = time.monotonic()
    with child(EXAMPLES / 'demo.py') as demo:
        first = demo.line()
        assert re.fullmatch(r'A server on ws://127\.0\.0\.1:\d+', first)
        lines: list[str] = []
        while not lines or not lines[-1].startswith('Everything'):
            lines.append(demo.line())
        demo.ends()
    assert time.monotonic() - started < 5  # a fraction of a second, where nothing else runs

    def heard(receiver: str) -> list[str]:
        return [line for line in lines if f'-> {receiver}' in line]

    assert lines[-1] == 'Everything is closed, so the program ends.'
    assert heard('server') == [
        ' alice -> server  comes in',
        ' alice -> server  Hello, server!',
        ' alice -> server  12 bytes of binary data: [1.5, 2.5, 3.5]',
        ' alice -> server  ping: Still there?',
        '   bob -> server  comes in',
        '   bob -> server  To all: lunch is ready.',
        '   bob -> server  goodbye: 1000 Off to lunch.',
        ' alice -> server  goodbye: 1001 That was the demo.',
    ]
    assert heard('alice') == [
        'server -> alice   Hello, alice!',
        'server -> alice   The sum is 7.5.',
        'server -> alice   pong: Still there?',
        'server -> alice   To all: lunch is ready.',
        'server -> alice   goodbye: 1001 That was the demo.',
    ]
    assert heard('bob') == ['server -> bob     To all: lunch is ready.']
    assert len(lines) == len(heard('server') + heard('alice') + heard('bob')) + 1


def echoes(ws: WebSocket, log: Log) -> None:
    """What is sent comes back as it was."""
    log.until('open')
    ws.send('¡Hola!')
    ws.send(array('f', [1.5, 2.5]))
    text, binary = log.get(), log.get()
    assert text[:2] == ('message', '¡Hola!')
    assert not text[2].binary
    assert binary[:2] == ('message', array('f', [1.5, 2.5]).tobytes())
    assert binary[2].binary


def test_echo(start: Start) -> None:
    example, port = start('echo.py')
    ws, log = connect(port)
    echoes(ws, log)
    example.stops()
    assert log.get() == ('close', 1001, '')


def test_broadcast(start: Start) -> None:
    example, port = start('broadcast.py')
    clients = [connect(port), connect(port)]
    for _, log in clients:
        log.until('open')
    clients[0][0].send('to everybody')
    for _, log in clients:
        assert log.get()[:2] == ('message', 'to everybody')
    example.stops()
    for _, log in clients:
        assert log.get() == ('close', 1001, '')


def echoes_over_tls(start: Start, folder: Path, ca: str) -> None:
    example, port = start('tls.py', folder / 'certificate.pem', folder / 'key.pem')
    ws = WebSocket(f'wss://localhost:{port}', ca=ca)
    log = Log(ws)
    echoes(ws, log)
    example.stops()
    assert log.get() == ('close', 1001, '')


def test_tls(start: Start, tmp_path: Path) -> None:
    trustme = pytest.importorskip('trustme')
    authority = trustme.CA()
    issued = authority.issue_cert('localhost')
    issued.cert_chain_pems[0].write_to_path(tmp_path / 'certificate.pem')
    issued.private_key_pem.write_to_path(tmp_path / 'key.pem')
    echoes_over_tls(start, tmp_path, authority.cert_pem.bytes().decode())


@pytest.mark.skipif(shutil.which('openssl') is None, reason='openssl was not found')
def test_tls_with_the_certificate_its_docstring_makes(start: Start, tmp_path: Path) -> None:
    docstring = (EXAMPLES / 'tls.py').read_text(encoding='utf-8').split('"""')[1]
    command = re.search(r'openssl .*\n.*', docstring)
    assert command is not None
    subprocess.run(['sh', '-c', command[0]], cwd=tmp_path, check=True, capture_output=True)
    echoes_over_tls(start, tmp_path, (tmp_path / 'certificate.pem').read_text())


def test_tls_says_what_it_needs() -> None:
    with child(EXAMPLES / 'tls.py') as example:
        assert example.wait() == 1
        assert example.errors() == 'usage: python examples/tls.py certificate.pem key.pem [port]\n'


@pytest.mark.parametrize('path', sorted(EXAMPLES.glob('*.py')), ids=lambda path: path.name)
def test_each_says_how_it_is_started_and_is_tested(path: Path) -> None:
    docstring = path.read_text(encoding='utf-8').split('"""')[1]
    assert f'python examples/{path.name}' in docstring or f'make {path.stem}' in docstring
    assert f'test_{path.stem}' in globals()
