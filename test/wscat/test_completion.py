"""Completions, in the shells themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import TIMEOUT
from terminals import run
from window import CTRL_U, ENTER, Window

from ws.wscat.completion import completion
from ws.wscat.usage import SHELLS, all_options

TAB = '\t'


@pytest.mark.parametrize('shell', SHELLS)
def test_it_is_printed(shell: str) -> None:
    assert run('--completion', shell) == (0, completion(shell), '')


def test_another_shell() -> None:
    result = run('--completion', 'tcsh')
    assert result.status == 2
    assert result.errors.startswith("error: argument --completion: invalid choice: 'tcsh'")


# -- bash and zsh, where somebody types --------------------------------------------------------------------------------

_START = {
    'bash': ['bash', '--norc', '--noprofile', '-i'],
    'zsh': ['zsh', '-f', '-i'],
}
_CLEAR = r"printf '\033[H\033[2J'"
_PREPARE = {
    'bash': "bind 'set bell-style none'; PS1='% '; source completion",
    'zsh': "PS1='%% '; unsetopt beep; LISTMAX=1000; autoload -Uz compinit; compinit -u -D; source ./completion",
}


@pytest.fixture(scope='module', params=list(_START))
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A shell that knows our completions, in a folder with two files."""
    shell = request.param
    tmp_path = tmp_path_factory.mktemp(shell)
    if shutil.which(shell) is None:
        pytest.skip(f'{shell} was not found')
    (tmp_path / 'completion').write_text(completion(shell))
    (tmp_path / 'my file.pem').touch()
    (tmp_path / 'headers.txt').touch()
    environment = {'HOME': str(tmp_path), 'ZDOTDIR': str(tmp_path)}
    with Window('/usr/bin/env', '-C', str(tmp_path), *_START[shell], columns=110, env=environment) as window:
        window.until(lambda: window.lines()[-1] != '')
        window.type(f'{_PREPARE[shell]}; {_CLEAR}{ENTER}')
        yield window


@pytest.fixture
def window(shell: Window) -> Window:
    """The same, with nothing typed."""
    shell.until(lambda: any(line.startswith('%') for line in shell.lines()))
    shell.type(f'{CTRL_U} {_CLEAR}{ENTER}')
    shell.until(lambda: shell.lines() == ['%'])
    return shell


def comes_to(window: Window, line: str) -> None:
    """What is being typed is completed to that, the word with or without a blank after it."""
    window.until(lambda: window.lines()[-1] == f'% {line}', lambda: f'it shows {window.lines()}')


def test_an_option(window: Window) -> None:
    window.type('wscat --recon' + TAB)
    comes_to(window, 'wscat --reconnect')


def test_a_list_of_options(window: Window) -> None:
    window.type('wscat --co' + TAB + TAB)
    window.until(
        lambda: (
            {'--color', '--connect', '--completion', '--connections'} - {'--color'}
            <= set(re.findall(r'--[\w-]+', '\n'.join(window.lines()[1:])))
        )
    )


def test_a_file(window: Window) -> None:
    window.type('wscat --ca my' + TAB)
    comes_to(window, 'wscat --ca my\\ file.pem')


def test_a_file_of_headers(window: Window) -> None:
    window.type('wscat -H @head' + TAB)
    comes_to(window, 'wscat -H @headers.txt')


def test_one_of_several(window: Window) -> None:
    window.type('wscat --completion z' + TAB)
    comes_to(window, 'wscat --completion zsh')


def test_behind_an_equals_sign(window: Window) -> None:
    window.type('wscat --completion=z' + TAB)
    comes_to(window, 'wscat --completion=zsh')


def test_nothing(window: Window) -> None:
    window.type('wscat -x head' + TAB + '!')
    comes_to(window, 'wscat -x head!')


# -- fish, which can be asked ------------------------------------------------------------------------------------------


def fish(line: str, folder: Path) -> list[str]:
    """What fish offers, without the explanations."""
    if shutil.which('fish') is None:
        pytest.skip('fish was not found')
    (folder / 'completion').write_text(completion('fish'))
    result = subprocess.run(
        ['fish', '--no-config', '-c', f'source completion; complete -C {line!r}'],
        cwd=folder, capture_output=True, encoding='utf-8', timeout=TIMEOUT,
        env={'HOME': str(folder), 'PATH': '/usr/bin:/bin'},
    )  # fmt: skip
    assert result.stderr == ''
    return [offered.partition('\t')[0] for offered in result.stdout.splitlines()]


def test_fish(tmp_path: Path) -> None:
    (tmp_path / 'my.pem').touch()
    (tmp_path / 'headers.txt').touch()
    assert fish('wscat --', tmp_path) == sorted(option.name for option in all_options())
    assert fish('wscat --recon', tmp_path) == ['--reconnect']
    assert fish('wscat --ca m', tmp_path) == ['my.pem']
    assert fish('wscat -H @h', tmp_path) == ['@headers.txt']
    assert fish('wscat --completion ', tmp_path) == sorted(SHELLS)
    assert fish('wscat -x h', tmp_path) == []
