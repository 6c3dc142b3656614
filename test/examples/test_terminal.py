"""The demo, and the examples without a page: run as their docstrings say, also against Chromium and wscat."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from browser import DevTools
from documents import ROOT, Child, child, connect
from support import TIMEOUT, Log

from ws import WebSocket

EXAMPLES = ROOT / 'examples'

Start = Callable[..., 'tuple[Child, int]']


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


def echoes_over_tls(start: Start, folder: Path, authority: str) -> None:
    example, port = start('ssl/server.py', '--cert', folder / 'certificate.pem', '--key', folder / 'key.pem')
    ws = WebSocket(f'wss://localhost:{port}', ca=authority or (folder / 'certificate.pem').read_text())
    log = Log(ws)
    echoes(ws, log)
    example.stops()
    assert log.get() == ('close', 1001, '')


def test_ssl(start: Start, tmp_path: Path) -> None:
    trustme = pytest.importorskip('trustme')
    authority = trustme.CA()
    issued = authority.issue_cert('localhost')
    issued.cert_chain_pems[0].write_to_path(tmp_path / 'certificate.pem')
    issued.private_key_pem.write_to_path(tmp_path / 'key.pem')
    echoes_over_tls(start, tmp_path, authority.cert_pem.bytes().decode())


needs_openssl = pytest.mark.skipif(shutil.which('openssl') is None, reason='openssl was not found')


@needs_openssl
def test_ssl_makes_a_certificate_if_there_is_none(start: Start, tmp_path: Path) -> None:
    echoes_over_tls(start, tmp_path, '')
    made = (tmp_path / 'certificate.pem').read_text()
    echoes_over_tls(start, tmp_path, made)  # and keeps it


def test_ssl_replaces_no_certificate(tmp_path: Path) -> None:
    (tmp_path / 'key.pem').write_text('a key that somebody needs')
    options = ['--cert', tmp_path / 'certificate.pem', '--key', tmp_path / 'key.pem']
    with child(EXAMPLES / 'ssl' / 'server.py', *options) as example:
        assert example.wait() == 1
        assert 'certificate.pem' in example.errors()
    assert (tmp_path / 'key.pem').read_text() == 'a key that somebody needs'


# -- against others ---------------------------------------------------------------------------------------------------

#: In a page: connect, send a text and four bytes, and tell what comes back.
CONVERSE = """
new Promise((resolve, reject) => {
  const socket = new WebSocket('%s');
  const heard = [];
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { socket.send('¡Hola!'); socket.send(new Uint8Array([0, 1, 254, 255])); };
  socket.onmessage = ({data}) => {
    heard.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
    if (heard.length === 2) socket.close(1000);
  };
  socket.onclose = ({code, wasClean}) => resolve([...heard, code, wasClean]);
})
"""
CONVERSED = ['¡Hola!', [0, 1, 254, 255], 1000, True]


@pytest.mark.browser
@pytest.mark.parametrize('script', ['echo.py', 'broadcast.py'])
def test_in_chromium(script: str, start: Start, browser: DevTools) -> None:
    example, port = start(script)
    page = browser.open(f'http://localhost:{port}')
    assert page.evaluate(CONVERSE % f'ws://localhost:{port}') == CONVERSED
    example.stops()


@pytest.mark.browser
@needs_openssl
def test_ssl_in_chromium(start: Start, browser: DevTools, tmp_path: Path) -> None:
    example, port = start('ssl/server.py', '--cert', tmp_path / 'certificate.pem', '--key', tmp_path / 'key.pem')
    page = browser.open('about:blank')
    page.call('Security.setIgnoreCertificateErrors', ignore=True)
    page.go(f'https://localhost:{port}')
    assert page.evaluate(CONVERSE % f'wss://localhost:{port}') == CONVERSED
    example.stops()


def wscat(readme: str, port: int, certificate: Path, message: str = '¡Hola!') -> list[str]:
    """The lines that are shown by the first command for wscat in `readme`, with a message instead of a person."""
    command = re.search('^wscat (.*)$', readme, re.MULTILINE)
    assert command is not None
    options = shlex.split(
        command[1].replace('8080', str(port)).replace('examples/ssl/certificate.pem', str(certificate))
    )
    return shown_by('-m', 'ws', *options, '-x', message, '-w', '1.5')


def shown_by(*arguments: object, **environment: str) -> list[str]:
    """What a Python program shows, which ends well."""
    ran = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, 'PYTHONIOENCODING': 'utf-8', **environment},
        capture_output=True,
        encoding='utf-8',
        timeout=TIMEOUT,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_chat_with_wscat(start: Start, tmp_path: Path) -> None:
    example, port = start('chat/server.py')
    shown = wscat((EXAMPLES / 'chat' / 'README.md').read_text(encoding='utf-8'), port, tmp_path)
    history, *others = map(json.loads, shown)
    assert history == {'type': 'history', 'messages': []}
    people, said = sorted(others, key=lambda one: one['type'] == 'message')  # who came is told in its own time
    assert people == {'type': 'people', 'people': ['Ann'], 'came': 'Ann'}
    assert said['text'] == '¡Hola!'
    example.stops(status=0)


# -- the commands of README.md ----------------------------------------------------------------------------------------

README = (EXAMPLES / 'README.md').read_text(encoding='utf-8')
SECTIONS = dict(re.findall(r'^### (.+)\n([^#]*)', README, re.MULTILINE))
STARTS = re.compile(r'^\.venv/bin/python (?:.* && \.venv/bin/python )?examples/(\S+\.py)(.*)$', re.MULTILINE)


def begin(section: str, start: Start, folder: Path) -> int:
    """Run the first command that stands in a section, and return the port."""
    command = STARTS.search(SECTIONS[section])
    assert command is not None
    more: dict[str, list[object]] = {
        'ssl/server.py': ['--cert', folder / 'certificate.pem', '--key', folder / 'key.pem'],
        'fileapi/server.py': ['--folder', folder],
    }
    return start(command[1], *shlex.split(command[2]), *more.get(command[1], []))[1]


#: What is said to them by wscat, and what is answered.
WITH_WSCAT = {
    'echo.py': ('¡Hola!', '¡Hola!'),
    'broadcast.py': ('¡Hola!', '¡Hola!'),
    'ssl/server.py': ('¡Hola!', '¡Hola!'),
    'hub': ('["subscribe", "news"]', r'\["subscribe", "news"\]'),
    'cluster': ('¡Hola!', r'worker \d+\n¡Hola!'),
}


@pytest.mark.parametrize(
    'section', [pytest.param(name, marks=needs_openssl) if 'ssl' in name else name for name in WITH_WSCAT]
)
def test_commands_with_wscat(section: str, start: Start, tmp_path: Path) -> None:
    message, answer = WITH_WSCAT[section]
    port = begin(section, start, tmp_path)
    lines = wscat(SECTIONS[section], port, tmp_path / 'certificate.pem', message)
    assert re.fullmatch(answer, '\n'.join(lines))


#: The titles of their pages.
WITH_A_BROWSER = {
    'chat': 'Chat',
    'fileapi': 'Upload',
    'serverstats': 'Server statistics',
    'serverstats-flask': 'Server statistics',
}


@pytest.mark.parametrize('section', WITH_A_BROWSER)
def test_commands_with_a_browser(section: str, start: Start, tmp_path: Path) -> None:
    """With a simple one."""
    fetch = tmp_path / 'fetch.py'
    fetch.write_text('import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())')
    port = begin(section, start, tmp_path)
    assert '.venv/bin/python -m webbrowser http://localhost:8080\n' in SECTIONS[section]
    shown = shown_by(
        '-m', 'webbrowser', f'http://localhost:{port}', BROWSER=shlex.join([sys.executable, str(fetch), '%s'])
    )
    assert f'<title>{WITH_A_BROWSER[section]}</title>' in shown


def test_each_section_is_tried_and_has_its_picture() -> None:
    assert set(SECTIONS) == {'demo.py', *WITH_WSCAT, *WITH_A_BROWSER}
    for section, text in SECTIONS.items():
        assert f'](pictures/{section.split("/")[0].removesuffix(".py")}.png)' in text


# -- all of them ------------------------------------------------------------------------------------------------------

SCRIPTS = sorted(
    str(path.relative_to(EXAMPLES)) for pattern in ('*.py', '*/server.py') for path in EXAMPLES.glob(pattern)
)


@pytest.mark.parametrize('script', SCRIPTS)
def test_each_says_how_it_is_started(script: str) -> None:
    docstring = (EXAMPLES / script).read_text(encoding='utf-8').split('"""')[1]
    assert ('make demo' if script == 'demo.py' else f'python examples/{script}') in docstring
