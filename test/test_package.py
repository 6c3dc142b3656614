"""What is shipped: the public names, the files, the metadata, and what an import brings along."""

from __future__ import annotations

import configparser
import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT

import ws

PUBLIC = [
    'ErrorCodes',
    'EventEmitter',
    'HandshakeError',
    'NotOpenError',
    'ProtocolError',
    'ProxyAgent',
    'ProxyError',
    'Receiver',
    'ReconnectingWebSocket',
    'Sender',
    'Server',
    'WebSocket',
    'WebSocketError',
    'WebSocketMessageStream',
    'WebSocketServer',
    'WebSocketStream',
    'WebSocketTextStream',
    'connect',
    'createConnection',
    'createServer',
    'createWebSocketStream',
    'timers',
    'wait',
]

#: Numbers, of which there is nothing to be said.
STATES = ['CLOSED', 'CLOSING', 'CONNECTING', 'OPEN']

#: Prints the modules that importing ws has loaded, and where from.
IMPORTS = """
import sys
before = set(sys.modules)
import ws
for name in sorted(set(sys.modules) - before):
    print(name, getattr(sys.modules[name], '__file__', None) or '')
"""


@pytest.fixture(scope='module')
def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    return parser


def test_public_names() -> None:
    assert sorted(ws.__all__) == sorted([*PUBLIC, *STATES])
    for name in PUBLIC:
        public = getattr(ws, name)
        assert getattr(public, '__module__', public.__name__ if name == 'timers' else '').startswith('ws.')


def test_star_import() -> None:
    names: dict[str, object] = {}
    exec('from ws import *', names)
    assert sorted(set(names) - {'__builtins__'}) == sorted([*PUBLIC, *STATES])


def test_the_public_classes_are_documented() -> None:
    for name in PUBLIC:
        assert getattr(ws, name).__doc__


def test_errors_have_one_root() -> None:
    for name in PUBLIC:
        if name.endswith('Error'):
            assert issubclass(getattr(ws, name), ws.WebSocketError)


@pytest.fixture(scope='module')
def imported() -> dict[str, str]:
    """The modules that ``import ws`` loads in a new process, with their files."""
    listed = subprocess.run(
        [sys.executable, '-W', 'error', '-c', IMPORTS], cwd=ROOT, capture_output=True, encoding='utf-8', check=True
    ).stdout
    return dict(line.split(' ', 1) for line in listed.splitlines())


def test_importing_needs_nothing_but_pyee(imported: dict[str, str]) -> None:
    packages = {name.partition('.')[0] for name, file in imported.items() if '-packages' in file}
    assert packages - {'ws'} <= {'pyee', 'typing_extensions'}
    assert 'pyee' in {name.partition('.')[0] for name in imported}  # else there was nothing to see


def test_rooms_are_imported_by_who_wants_them(imported: dict[str, str]) -> None:
    assert not [name for name in imported if name.startswith('ws.rooms')]


def test_importing_starts_no_thread_and_opens_nothing() -> None:
    program = (
        'import os, threading, ws\n'
        'assert threading.active_count() == 1, threading.enumerate()\n'
        'descriptors = "/proc/self/fd"\n'
        # standard input, output and error, and that of listdir itself
        'assert not os.path.isdir(descriptors) or len(os.listdir(descriptors)) == 4, os.listdir(descriptors)\n'
    )
    subprocess.run([sys.executable, '-c', program], cwd=ROOT, stdin=subprocess.DEVNULL, check=True, close_fds=True)


def test_dependencies_are_what_is_imported(metadata: configparser.ConfigParser) -> None:
    required = metadata['options']['install_requires'].split()
    assert [re.split('[<>=!~]', requirement)[0] for requirement in required] == ['pyee']


def test_types_are_shipped(metadata: configparser.ConfigParser) -> None:
    assert (Path(ws.__file__).parent / 'py.typed').is_file()
    assert metadata['options.package_data']['ws'].split() == ['py.typed']


def test_every_package_is_shipped(metadata: configparser.ConfigParser) -> None:
    included = metadata['options.packages.find']['include'].split()
    packages = {path.parent.relative_to(ROOT) for path in (ROOT / 'ws').rglob('*.py')}
    assert included == ['ws', 'ws.*']
    assert all((ROOT / package / '__init__.py').is_file() for package in packages)


def test_version(metadata: configparser.ConfigParser) -> None:
    assert metadata['metadata']['version'] == 'attr: ws.__version__'
    version = ws.__version__
    assert re.fullmatch(r'\d+\.\d+\.\d+', version)
    try:
        installed = importlib.metadata.version(metadata['metadata']['name'])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('the package is not installed here')
    assert installed == version


def test_supported_pythons(metadata: configparser.ConfigParser) -> None:
    listed = re.findall(r'Python :: (3\.\d+)$', metadata['metadata']['classifiers'], re.MULTILINE)
    assert metadata['options']['python_requires'] == f'>={listed[0]}'
    assert f'Python {listed[0]} or later' in (ROOT / 'README.md').read_text(encoding='utf-8')


def test_the_constructors_show_their_arguments() -> None:
    """In help() and in editors, although objects are made by a metaclass."""
    assert list(inspect.signature(ws.WebSocket).parameters) == ['address', 'protocols', 'options', 'keywords']
    assert list(inspect.signature(ws.WebSocketServer).parameters) == ['options', 'callback', 'keywords']
