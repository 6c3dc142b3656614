"""The file that keeps what was typed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT
from support import TIMEOUT

from ws.wscat import history
from ws.wscat.history import MAX_LENGTH, MAX_LINES, History, default_file


def complaining(text: str) -> None:
    raise AssertionError(text)


def opened(file: Path) -> History:
    return History(str(file), complaining)


def test_what_is_added_is_there_the_next_time(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    first = opened(file)
    assert first.load() == []
    first.add(['one', 'zwei 日本 \x1b'])
    first.add(['three'])
    assert opened(file).load() == ['one', 'zwei 日本 \x1b', 'three']


def test_what_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    opened(file).add([' secret', 'no \udcff text', (MAX_LENGTH + 1) * 'x', 'kept'])
    assert file.read_text() == 'kept\n'


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path / 'history').add(['one'])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'history').stat().st_mode) == 0o600


def test_two_sessions_at_the_same_time_keep_all_lines(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    first, second = opened(file), opened(file)
    first.load()
    second.load()
    first.add(['one'])
    second.add(['two'])
    first.add(['three'])
    assert opened(file).load() == ['one', 'two', 'three']


ADD_MANY = """
import sys
from ws.wscat.history import History

session = History(sys.argv[1], sys.exit)
session.load()
for number in range(300):
    session.add([f'{sys.argv[2]} {number}'])
"""


def test_many_processes_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    """Also while the file is being trimmed."""
    file = tmp_path / 'history'
    opened(file).add([f'old {number}' for number in range(2 * MAX_LINES)])
    processes = [subprocess.Popen([sys.executable, '-c', ADD_MANY, str(file), name], cwd=ROOT) for name in 'abc']
    assert [process.wait(TIMEOUT) for process in processes] == [0, 0, 0]
    lines = opened(file).load()
    assert len(lines) == MAX_LINES
    for name in 'abc':
        assert [line for line in lines if line.startswith(name)] == [f'{name} {number}' for number in range(300)]


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    session = opened(file)
    for first in range(0, 4 * MAX_LINES, 100):
        session.add([str(number) for number in range(first, first + 100)])
        assert len(file.read_text().split()) <= 2 * MAX_LINES
    assert opened(file).load() == [str(number) for number in range(3 * MAX_LINES, 4 * MAX_LINES)]
    assert len(file.read_text().split()) == MAX_LINES


def test_a_file_that_others_have_written(tmp_path: Path) -> None:
    file = tmp_path / 'history'
    file.write_bytes(b'one\n\n\xff\xfe\nunfinished')
    session = opened(file)
    assert session.load() == ['one', '\ufffd\ufffd', 'unfinished']
    session.add(['new'])
    assert file.read_bytes() == b'one\n\n\xff\xfe\nunfinished\nnew\n'


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('XDG_STATE_HOME', raising=False)
    assert default_file() == tmp_path / '.local/state/wscat/history'
    monkeypatch.setenv('XDG_STATE_HOME', 'relative')  # which the specification says to ignore
    assert default_file() == tmp_path / '.local/state/wscat/history'
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    History(None, complaining).add(['one'])
    assert (tmp_path / 'state/wscat/history').read_text() == 'one\n'
    assert stat.S_IMODE((tmp_path / 'state/wscat').stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ('kind', 'reason'),
    [('folder', 'Is a directory'), ('missing/file', 'No such file'), ('pipe', 'no ordinary file')],
)
def test_what_can_not_be_used_is_told_once(kind: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    warnings: list[str] = []
    session = History(str(tmp_path / kind), warnings.append)
    assert session.load() == []
    session.add(['one'])
    session.add(['two'])
    assert len(warnings) == 1
    assert warnings[0].startswith('no history is kept: ')
    assert reason in warnings[0]


def test_a_full_disk_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(28, 'No space left on device')

    warnings: list[str] = []
    session = History(str(tmp_path / 'history'), warnings.append)
    monkeypatch.setattr(history.os, 'write', full)
    session.add(['one'])
    session.add(['two'])
    assert warnings == ['no history is kept: No space left on device']


def test_a_file_that_somebody_else_holds_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, '_RETRIES', 3)
    warnings: list[str] = []
    with open(tmp_path / 'history', 'w') as file:
        history.fcntl.flock(file, history.fcntl.LOCK_EX)
        session = History(str(tmp_path / 'history'), warnings.append)
        assert session.load() == []
    assert warnings == ['no history is kept: another process has locked it']


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: Path) -> Path:
        raise RuntimeError('Could not determine home directory.')

    warnings: list[str] = []
    monkeypatch.delenv('XDG_STATE_HOME', raising=False)
    monkeypatch.setattr(Path, 'expanduser', nobody)
    assert History(None, warnings.append).load() == []
    assert warnings == ['no history is kept: Could not determine home directory.']
