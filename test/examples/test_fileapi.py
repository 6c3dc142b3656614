"""examples/fileapi: what is dropped arrives as it was, and nothing gets out of the folder."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import DevTools, Page
from documents import Child, connect
from support import Log, end, until

from ws import WebSocket

Start = Callable[..., 'tuple[Child, int]']

SCRIPT = 'fileapi/server.py'


def files_below(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in folder.rglob('*'):
        # The server may take a file away between the two looks.
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    return tmp_path / 'uploads'


@pytest.fixture
def holiday(tmp_path: Path) -> Path:
    """A folder to send."""
    folder = tmp_path / 'source' / 'holiday'
    (folder / 'the beach' / 'deep').mkdir(parents=True)
    chance = random.Random(1)
    contents = {
        'readme.txt': b'What we have seen.\n',
        'empty.txt': b'',
        'the beach/çöp kutusu ☃.bin': chance.randbytes(3_000_001),
        'the beach/deep/exactly.bin': chance.randbytes(2 * 256 * 1024),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1_500_000_000, 1_500_000_000))
    return folder


# -- in the browser ---------------------------------------------------------------------------------------------------


def all_done(page: Page, text: str) -> None:
    page.shows('#all-text', text)
    page.until('document.querySelector("#all").dataset.state === "done"')


def drop_it(page: Page, folder: Path) -> None:
    page.drop('#drop', folder)


def choose_it(page: Page, folder: Path) -> None:
    page.choose('#folder', folder)


@pytest.mark.browser
@pytest.mark.parametrize('give', [drop_it, choose_it])
def test_a_folder(
    give: Callable[[Page, Path], None], start: Start, browser: DevTools, holiday: Path, uploads: Path
) -> None:
    example, port = start(SCRIPT, '--folder', uploads)
    page = browser.open(f'http://127.0.0.1:{port}')
    page.shows('#state', 'Connected')
    give(page, holiday)
    all_done(page, '4 of 4 files · 3.5 MB of 3.5 MB')
    assert page.evaluate('document.querySelectorAll("li[data-state=done]").length') == 4
    assert page.evaluate('[...document.querySelectorAll("progress")].every((bar) => bar.value === bar.max)')
    assert page.fits_a_phone()
    assert files_below(uploads / 'holiday') == files_below(holiday)
    assert {path.stat().st_mtime for path in uploads.rglob('*.*')} == {1_500_000_000}

    shown = example.line()
    while 'MB in all' not in shown or float(shown.split()[2]) < 3.5:
        shown = example.line()
    assert re.fullmatch(r' +\d+\.\d\d MB/s +3\.52 MB in all', shown)

    # And files without a folder, of which one replaces what is there.
    (holiday / 'readme.txt').write_text('Second edition')
    page.choose('#files', holiday / 'readme.txt', holiday / 'empty.txt')
    all_done(page, '6 of 6 files')
    assert (uploads / 'readme.txt').read_text() == 'Second edition'
    example.signal(signal.SIGINT)
    assert (example.wait(), example.errors()) == (0, '')


@pytest.mark.browser
def test_what_is_refused_does_not_stop_the_others(
    start: Start, browser: DevTools, holiday: Path, uploads: Path
) -> None:
    (holiday / 'back\\slash.txt').write_text('no')
    example, port = start(SCRIPT, '--folder', uploads)
    page = browser.open(f'http://127.0.0.1:{port}')
    page.drop('#drop', holiday)
    all_done(page, '4 of 5 files, 1 refused · 3.5 MB of 3.5 MB')
    page.shows('li[data-state=refused]', 'Refused: there is a backslash in the path')
    (holiday / 'back\\slash.txt').unlink()
    assert files_below(uploads / 'holiday') == files_below(holiday)
    shown = example.line()
    while not shown.startswith('Refused'):
        shown = example.line()
    assert shown == "Refused: 'holiday/back\\\\slash.txt', there is a backslash in the path"


@pytest.mark.browser
def test_on_a_phone(start: Start, browser: DevTools, holiday: Path, uploads: Path) -> None:
    """There is one button, for files."""
    page = browser.open(f'http://127.0.0.1:{start(SCRIPT, "--folder", uploads)[1]}')
    assert page.text('#drop').replace('\n\n', '\n').split('\n') == [
        'Drop a folder or files here',
        'Choose files',
        'Choose a folder',
    ]
    page.on_a_phone()
    assert page.text('#drop') == 'Choose files'
    button = page.evaluate('document.querySelector("#files").getBoundingClientRect().toJSON()')
    assert button['width'] > 250
    assert button['height'] >= 44

    assert page.opens_chooser('#files')
    page.choose('#files', holiday / 'readme.txt', holiday / 'the beach' / 'deep' / 'exactly.bin')
    all_done(page, '2 of 2 files · 524 kB of 524 kB')
    assert page.evaluate('[...document.querySelectorAll("progress")].every((bar) => bar.value === bar.max)')
    page.shows('#ended', '2 of 2 files')
    assert set(files_below(uploads)) == {'readme.txt', 'exactly.bin'}


@pytest.mark.browser
def test_the_line_breaks(start: Start, browser: DevTools, tmp_path: Path, uploads: Path) -> None:
    big = tmp_path / 'big.bin'
    with big.open('wb') as file:
        file.truncate(40_000_000)
    example, port = start(SCRIPT, '--folder', uploads)
    page = browser.open(f'http://127.0.0.1:{port}')
    page.drop('#drop', big)
    page.until('document.querySelector("li progress")?.value > 0')
    example.signal_at_once(signal.SIGSTOP)
    assert page.evaluate('document.querySelector("li").dataset.state') == 'running'
    example.discard()
    page.shows('#state', 'trying again in 2 s')  # the first attempt has failed
    bar = "getComputedStyle(document.querySelector('li progress')).getPropertyValue('--bar')"
    grey = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--soft')")
    assert page.evaluate(bar) == grey
    start(SCRIPT, '--folder', uploads, port=port)
    page.until(f'{bar} !== "{grey}"')
    all_done(page, '1 of 1 file · 40.0 MB of 40.0 MB')
    assert (uploads / 'big.bin').stat().st_size == 40_000_000


# -- its server -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sender(start: Start, uploads: Path) -> Callable[[], tuple[WebSocket, Log]]:
    """Connects somebody who is no browser, and sends what he wants."""
    port = start(SCRIPT, '--folder', uploads)[1]

    def sender() -> tuple[WebSocket, Log]:
        ws, log = connect(port)
        log.until('open')
        return ws, log

    return sender


Sender = Callable[[], 'tuple[WebSocket, Log]']


def header(path: object, size: object = 5, modified: object = 1_500_000_000_000) -> str:
    return json.dumps({'path': path, 'size': size, 'modified': modified})


def answer(log: Log) -> Any:
    event, *arguments = log.get()
    assert event == 'message', (event, arguments)
    return json.loads(arguments[0])


def check_it_goes_on(ws: WebSocket, log: Log, uploads: Path) -> None:
    """The next file is taken, and nothing but that is there, in the folder or around it."""
    ws.send(b'passed over')
    ws.send(header('good/file.txt'))
    ws.send(b'good!')
    assert [answer(log), answer(log)] == [{'received': 0}, {'received': 5}]
    assert files_below(uploads) == {'good/file.txt': b'good!'}
    end(ws)


OUT = 'the path leads out of the folder'
ABSOLUTE = 'the path is absolute'
CONTROL = 'there is a control character in the path'
BACKSLASH = 'there is a backslash in the path'
LONG = 'the path is too long'
MISSING = 'a name in the path is missing'
NOT_UNDERSTOOD = 'the header is not understood'

PATHS = {
    '../out.txt': OUT,
    'a/../../out.txt': OUT,
    'a/b/..': OUT,
    '..': OUT,
    '/etc/out.txt': ABSOLUTE,
    '//server/out.txt': ABSOLUTE,
    'C:/out.txt': ABSOLUTE,
    'c:out.txt': ABSOLUTE,
    'a/C:/out.txt': ABSOLUTE,
    '..\\out.txt': BACKSLASH,
    '\\\\server\\out.txt': BACKSLASH,
    'a\0.txt': CONTROL,
    'a\x1b[2J.txt': CONTROL,
    'a\n.txt': CONTROL,
    'x' * 256: LONG,
    'ü' * 128: LONG,
    'dir/' * 300 + 'x': LONG,
    '': MISSING,
    '.': MISSING,
    'a//b': MISSING,
    'a/': MISSING,
    './a': MISSING,
}


@pytest.mark.parametrize('path', PATHS, ids=lambda path: ascii(path)[:20])
def test_paths(path: str, sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(header(path))
    assert answer(log) == {'refused': PATHS[path]}
    check_it_goes_on(ws, log, uploads)
    assert not list(uploads.parent.rglob('out.txt'))


HEADERS = [
    *['', 'x', '[]', '7', 'null', '{}', '"path"', '[' * 5000, '{"path": "a", "size": 5}', '{"path": "a", "size": NaN}'],
    *[header(7), header(None), header(['a']), header('a', '5'), header('a', 5.0), header('a', True), header('a', None)],
    *[header('\ud800'), header('a', 5, None), '{"path": "a", "modified": 0, "size": %s}' % ('9' * 5000)],
]


@pytest.mark.parametrize('text', HEADERS, ids=lambda text: ascii(text)[:40])
def test_headers(text: str, sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(text)
    assert answer(log)['refused'] in (NOT_UNDERSTOOD, 'no file has such a size or time')
    check_it_goes_on(ws, log, uploads)


@pytest.mark.parametrize('text', [header('a', -1), header('a', 5, 10**15), header('a', 5, -(10**15)), ' ' * 9000])
def test_numbers(text: str, sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(text)
    assert answer(log)['refused'] in ('no file has such a size or time', 'the header is too long')
    check_it_goes_on(ws, log, uploads)


def test_symbolic_links(sender: Sender, uploads: Path, tmp_path: Path) -> None:
    outside = tmp_path / 'outside'
    (outside / 'sub').mkdir(parents=True)
    (outside / 'file.txt').write_text('untouched')
    (uploads / 'inside').mkdir()
    links = {
        'out': outside,
        'file.txt': outside / 'file.txt',
        'dangling': tmp_path / 'nowhere',
        'in': uploads / 'inside',
    }
    for name, target in links.items():
        (uploads / name).symlink_to(target)
    (uploads / 'circle').symlink_to(uploads / 'circle')

    ws, log = sender()
    for path in 'out/x', 'out/sub/x', 'dangling/x', 'inside/../out/x':
        ws.send(header(path))
        assert answer(log) == {'refused': OUT}
    ws.send(header('circle/x'))
    assert 'refused' in answer(log)
    assert not (tmp_path / 'nowhere').exists()

    # A link in the place of the file is replaced, and not followed; one that stays inside is as good as a folder.
    for path in 'file.txt', 'in/x':
        ws.send(header(path))
        ws.send(b'12345')
        assert [answer(log), answer(log)] == [{'received': 0}, {'received': 5}]
    assert not (uploads / 'file.txt').is_symlink()
    assert files_below(outside) == {'file.txt': b'untouched'}
    assert (uploads / 'inside' / 'x').read_bytes() == b'12345'
    end(ws)


def test_more_bytes_than_announced(sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(header('a.txt'))
    ws.send(b'123')
    ws.send(b'456')
    assert [answer(log) for _ in range(3)] == [
        {'received': 0},
        {'received': 3},
        {'refused': 'there are more bytes than announced'},
    ]
    check_it_goes_on(ws, log, uploads)


def test_bytes_that_nobody_announced(sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(b'123')
    assert answer(log) == {'refused': 'no file was announced'}
    check_it_goes_on(ws, log, uploads)


def test_what_is_in_the_way(sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(header('good/file.txt', 0))
    assert answer(log) == {'received': 0}
    ws.send(header('good/file.txt/inside'))  # a folder in the place of a file
    assert 'refused' in answer(log)
    ws.send(header('good', 0))  # a file in the place of a folder
    assert 'refused' in answer(log)
    check_it_goes_on(ws, log, uploads)


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_what_is_not_complete_is_removed(how: str, sender: Sender, uploads: Path) -> None:
    ws, log = sender()
    ws.send(header('replaced.txt'))
    ws.send(b'whole')
    ws.send(header('replaced.txt'))
    ws.send(b'par')
    assert [answer(log) for _ in range(4)][-1] == {'received': 3}
    assert len(files_below(uploads)) == 2
    end(ws, how)
    until(lambda: files_below(uploads) == {'replaced.txt': b'whole'})


def test_other_pages_are_kept_out(start: Start, uploads: Path) -> None:
    _, port = start(SCRIPT, '--folder', uploads)
    _, log = connect(port, origin='http://elsewhere.example')
    assert str(log.get()[1]) == 'unexpected server response (401)'
    log.until('close')
