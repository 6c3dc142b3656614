"""doc/wscat.md: its commands are run, and what it says of options and statuses is what usage.py says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from documents import ROOT, Document, free_port, port_of
from support import TIMEOUT, Log, Waiter, echo_server, server
from terminals import run
from window import CTRL_C, CTRL_D, ENTER, UP, python

from ws import WebSocket
from ws.wscat.options import make_parser
from ws.wscat.usage import STATUSES, all_options

DOCUMENT = Document('doc/wscat.md')
TEXT = DOCUMENT.path.read_text(encoding='utf-8')

Check = Callable[[str, Path], None]
CHECKS: dict[str, Check] = {}


def check(command: str) -> Callable[[Check], Check]:
    def decorate(function: Check) -> Check:
        CHECKS[command] = function
        return function

    return decorate


def commands() -> list[str]:
    return [line for block in DOCUMENT.blocks for line in block.code.splitlines()]


@pytest.mark.parametrize('command', list(dict.fromkeys([*commands(), *CHECKS])))
def test_command(command: str, tmp_path: Path) -> None:
    assert command in CHECKS, 'no test runs it'
    assert command in commands(), 'it is there no longer'
    CHECKS[command](command, tmp_path)


def arguments(command: str, port: int) -> list[str]:
    """Those for the same, on this port."""
    program, *rest = shlex.split(command.replace('localhost:8080', f'127.0.0.1:{port}').replace('8080', str(port)))
    assert program == 'wscat'
    return rest


def in_bash(command: str, folder: Path, port: int = 0) -> str:
    """What it prints."""
    rest = command.replace('localhost:8080', f'127.0.0.1:{port}')
    return in_shell('bash', f'wscat() {{ "{sys.executable}" -m ws "$@"; }}\n{rest}', folder)


def in_shell(shell: str, script: str, folder: Path) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f'{shell} was not found')
    result = subprocess.run(
        [shell, '-c', script],
        cwd=folder, capture_output=True, encoding='utf-8', timeout=TIMEOUT, stdin=subprocess.DEVNULL,
        env={'PYTHONPATH': str(ROOT), 'PATH': '/usr/bin:/bin', 'HOME': str(folder)},
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, '')
    return result.stdout


@check('wscat localhost:8080')
def _(command: str, folder: Path) -> None:
    with echo_server() as wss, python('-m', 'ws', *arguments(command, port_of(wss))) as window:
        window.type('hello' + ENTER)
        window.until(lambda: window.lines()[-3:] == ['> hello', '< hello', '>'])
        window.type(CTRL_D)
        window.ends()


@check('wscat localhost:8080 --history')
def _(command: str, folder: Path) -> None:
    with echo_server() as wss:
        for keys in ('hello' + ENTER, UP + ENTER):
            with python('-m', 'ws', *arguments(command, port_of(wss)), env={'HOME': str(folder)}) as window:
                window.type(keys)
                window.until(lambda: window.lines()[-3:] == ['> hello', '< hello', '>'])
    assert (folder / '.local/state/wscat/history').read_text() == 'hello\n'


def patient(command: str) -> str:
    """A loaded machine may need more than half a second for an answer."""
    return command.replace('-w 0.5', '-w 2')


@check('wscat localhost:8080 -x hello -w 0.5')
def _(command: str, folder: Path) -> None:
    with echo_server() as wss:
        assert in_bash(patient(command), folder, port_of(wss)) == 'hello\n'


@check('wscat localhost:8080 -w 0.5 <questions.txt >answers.txt')
def _(command: str, folder: Path) -> None:
    (folder / 'questions.txt').write_text('one\ntwo\n')
    with echo_server() as wss:
        assert in_bash(patient(command), folder, port_of(wss)) == ''
    assert (folder / 'answers.txt').read_text() == 'one\ntwo\n'


@check('wscat localhost:8080 --reconnect --ping-interval 30')
def _(command: str, folder: Path) -> None:
    """More in test/wscat/test_reconnect.py."""
    with server() as wss:
        connections = Waiter()
        wss.on('connection', lambda ws: connections(ws))
        with python('-m', 'ws', *arguments(command, port_of(wss))) as window:
            connections.get()[0].close(1012)
            connections.get()
            window.until(lambda: 'Connected again' in window.lines())
            window.type(CTRL_C)
            window.ends()


@check('wscat localhost:8080 --timestamps --output messages.txt')
def _(command: str, folder: Path) -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send('one'), ws.send(b'\0'), ws.close()))
        shown = in_bash(command, folder, port_of(wss))
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\S+ one\n\0', shown)
    assert (folder / 'messages.txt').read_bytes() == b'one\n\0'


@check('wscat wss://localhost:8080 --ca examples/ssl/certificate.pem -H @headers.txt')
def _(command: str, folder: Path) -> None:
    authority = trustme.CA()
    (folder / 'examples' / 'ssl').mkdir(parents=True)
    authority.cert_pem.write_to_path(folder / 'examples' / 'ssl' / 'certificate.pem')
    (folder / 'headers.txt').write_text('# a comment\n\nCookie: secret\n')
    issued = authority.issue_cert('127.0.0.1')
    cookies = Waiter()
    with server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        wss.on('connection', lambda ws, request: (cookies(request.headers['cookie']), ws.close()))
        in_bash(command, folder, port_of(wss))
    assert cookies.get() == ('secret',)


@check('wscat -l 8080 --host 127.0.0.1')
def _(command: str, folder: Path) -> None:
    with free_port() as port, python('-m', 'ws', *arguments(command, port)) as window:
        window.shows(f'Listening on port {port} of 127.0.0.1 (press CTRL+C to quit)')
        first = WebSocket(f'ws://127.0.0.1:{port}')
        Log(first).until('open')
        assert Log(WebSocket(f'ws://127.0.0.1:{port}')).until('close')[-1][1] == 1013
        window.type(CTRL_C)
        window.ends()


@check('wscat --bench localhost:8080 --connections 100')
def _(command: str, folder: Path) -> None:
    with echo_server() as wss:
        shown = in_bash(f'{command} --messages 1000', folder, port_of(wss))
    assert 'Connections  100 opened, 0 failed, 0 lost' in shown
    assert 'Messages     1,000 sent, 1,000 came back, 0 missing' in shown
    for row in ('Latency', 'Opening'):
        assert f'\n{row} ' in shown


@check('source <(wscat --completion bash)')
def _(command: str, folder: Path) -> None:
    assert in_bash(f'{command}; complete -p wscat', folder) == 'complete -F _wscat wscat\n'


@check('source <(wscat --completion zsh)')
def _(command: str, folder: Path) -> None:
    program = f'wscat() {{ "{sys.executable}" -m ws "$@" }}'
    script = f'{program}; autoload -Uz compinit; compinit -u -D; {command}; print $_comps[wscat]'
    shown = in_shell('zsh', script, folder)
    assert shown == '_wscat\n'


@check('wscat --completion fish | source')
def _(command: str, folder: Path) -> None:
    program = f'function wscat; {sys.executable} -m ws $argv; end'
    assert '--reconnect' in in_shell('fish', f'{program}; {command}; complete -C "wscat --recon"', folder)


# -- words -------------------------------------------------------------------------------------------------------------


def rows(first_cell: str) -> list[tuple[str, str]]:
    """Of the tables whose head begins with that."""
    found = re.findall(rf'^\| {first_cell} \|.*\n\|[-|]+\n((?:\|.*\n)+)', TEXT, re.MULTILINE)
    return [tuple(line.strip('| ').split(' | ', 1)) for table in found for line in table.splitlines()]  # type: ignore[misc]


def test_options_exist() -> None:
    flags = {flag for option in all_options() for flag in option.flags}
    assert set(re.findall(r'(?<![\w-])--?[a-z][a-z-]*', TEXT)) - flags == set()


def test_defaults() -> None:
    parser = make_parser()
    with_defaults = {
        option.strip('`'): float(found[1])
        for option, text in rows('option')
        if (found := re.search(r'\((\d+)\)$', text))
    }
    assert with_defaults == {
        name: parser.get_default(name[2:].replace('-', '_'))
        for name in ('--connections', '--duration', '--size', '--in-flight')
    }
    assert parser.get_default('wait') == 2


def test_statuses() -> None:
    """What they are is tested in test/wscat/test_ending.py and others."""
    assert [status for status, _ in rows('status')] == ['0', '1', '2', '130, 143']
    assert [status for status, _ in STATUSES] == ['0', '1', '2', '130']


def test_the_manual_page_can_be_piped() -> None:
    assert run('--man').output.startswith('.TH WSCAT 1 ')
