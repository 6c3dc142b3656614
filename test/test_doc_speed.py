"""doc/speed.md and the rooms in CONTRIBUTING.md tell what is there."""

from __future__ import annotations

import re
from pathlib import Path

from peers import OURS, OURS_OPTIONS, SERVERS

import ws

ROOT = Path(__file__).resolve().parent.parent
SPEED = (ROOT / 'doc' / 'speed.md').read_text()
CONTRIBUTING = (ROOT / 'CONTRIBUTING.md').read_text()
PACKAGE = Path(ws.__file__).parent


def test_those_it_names_are_measured() -> None:
    names = {peer.name for peer in SERVERS}
    for peer in ('picows', 'node', 'aiohttp-uvloop', 'websockets-uvloop', 'tornado', 'uvicorn'):
        assert peer in names
        assert peer.partition('-')[0] in SPEED.lower()
    assert f'`{OURS}` and\n`{OURS_OPTIONS}`' in SPEED


def test_the_plot_is_there() -> None:
    for target in re.findall(r'\]\(([^)]+)\)', SPEED):
        assert (ROOT / 'doc' / target).is_file()


def test_the_rooms_that_are_named_are_there() -> None:
    rooms = re.findall(r'^\| ((?:`[\w/.]+`(?:, )?)+) \|', CONTRIBUTING, re.MULTILINE)
    named = {name for cell in rooms for name in re.findall('`([^`]+)`', cell)}
    sources = {path.name for path in (PACKAGE / '_native').glob('*.[ch]')}
    assert sources <= named
    for name in named - sources:
        assert (PACKAGE / name).exists(), name


def test_the_c_is_as_little_as_is_said() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in (PACKAGE / '_native').glob('*.[ch]')}
    assert max(lines.values()) <= 300
    assert sum(lines.values()) <= 800
