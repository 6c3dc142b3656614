"""doc/inside.md and its drawing tell how the package is built: every module is drawn, and imports go downwards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ws

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path(ws.__file__).parent
INSIDE = (ROOT / 'doc' / 'inside.md').read_text(encoding='utf-8')
DRAWING = (ROOT / 'doc' / 'inside.svg').read_text(encoding='utf-8')

#: What the drawing has, from top to bottom. What stands side by side is in one line.
FLOORS = [
    ['__init__', 'rooms', 'wscat', 'duplex', 'text_stream', 'websocket_stream'],
    ['reconnecting_websocket', 'reconnecting'],
    ['websocket_server', 'serving', 'server'],
    ['websocket'],
    ['connection', 'client'],
    ['receiving', 'sending', 'sender', 'streams'],
    ['delivery', 'event_target', 'pool', 'heartbeat', 'metrics'],
    ['protocol', 'net'],
    ['_native'],
]
#: And below them, what every floor may import.
FOR_EVERYBODY = ['events', 'errors', 'options', 'typing', 'timers', 'forks']
NOT_DRAWN = {'__main__', '_attaching'}


def drawn() -> list[str]:
    names = ' '.join(re.findall(r'class="name">([^<]+)<', DRAWING))
    return re.findall(r'(\w+)(?:\.py|/)', names)


def test_every_module_is_drawn() -> None:
    there = {path.stem for path in PACKAGE.glob('*.py')} | {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert set(drawn()) == there - NOT_DRAWN


def test_from_top_to_bottom() -> None:
    assert drawn() == [name for floor in FLOORS for name in floor] + FOR_EVERYBODY


def imports(path: Path) -> Iterator[str]:
    """The modules and rooms of the package that a module imports when it runs."""
    depth = len(path.relative_to(PACKAGE).parts)
    for node in running(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.partition('.')[0]] if node.module else [alias.name for alias in node.names]


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.dump(node.test):
            continue
        yield node
        yield from running(node)


def test_imports_go_downwards() -> None:
    floor_of = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    upwards = []
    for path in PACKAGE.rglob('*.py'):
        room = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
        upwards += [
            f'{path.relative_to(PACKAGE)} imports {name}'
            for name in imports(path)
            if room in floor_of and name in floor_of and floor_of[name] < floor_of[room]
        ]
    assert upwards == []


def test_protocol_and_net_do_not_know_each_other() -> None:
    for room, other in ('protocol', 'net'), ('net', 'protocol'):
        for path in (PACKAGE / room).glob('*.py'):
            assert other not in imports(path), path


def test_what_it_names_is_there() -> None:
    sources = '\n'.join(path.read_text(encoding='utf-8') for path in PACKAGE.rglob('*.py'))
    for name in re.findall(r'`(?:\w+\.)?(\w+)`', INSIDE):
        assert re.search(rf'\b{name}\b', sources), name
