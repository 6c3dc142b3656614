"""Every example of README.md does what the text around it says; links and commands of all documents lead somewhere."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from array import array
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from documents import ROOT, Checks, Document, Runner, child, connect, free_port

from ws.options import CLIENT_OPTIONS, SERVER_OPTIONS

README = Checks('README.md')
DOCUMENTS = [
    *['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'],
    *(str(path.relative_to(ROOT)) for place in ('doc/*.md', 'examples/**/*.md') for path in sorted(ROOT.glob(place))),
]


@pytest.mark.parametrize('name', README.names())
def test_example(name: str, tmp_path: Path) -> None:
    README.run(name, tmp_path)


@README.check("ws: Node's WebSocket library for Python")
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    assert log.until('message')[-1][1] == 'something'
    ws.send('Grüße')
    assert program.line() == 'received: Grüße'
    program.stops()
    assert log.get() == ('close', 1001, '')


@README.check('Sending and receiving text data')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    event, data, flags = log.get()
    assert (event, data) == ('message', 'something')
    assert flags.masked
    assert not flags.binary
    ws.send('anything')
    assert program.line() == 'received: anything'
    ws.close()
    program.ends()


@README.check('Sending binary data')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    event, data, flags = log.get()
    assert (event, data) == ('message', array('f', [0, 0.5, 1, 1.5, 2]).tobytes())
    assert flags.masked
    assert flags.binary
    ws.close()
    program.ends()


@README.check('Setting up a server')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port, '/somewhere')
    assert log.until('message')[-1][1] == 'something'
    assert program.line() == 'somebody wants /somewhere'
    ws.send('hello')
    assert program.line() == 'received: hello'
    ws.close(4000)
    assert program.line() == 'closed with 4000'
    log.until('close')
    program.stops()


@README.check('Writing listeners')
def _(run: Runner) -> None:
    program, port = run.serve()
    clients = [connect(port), connect(port)]
    for number, (ws, log) in enumerate(clients, 1):
        log.until('open')
        for message in ['one', 'two', 'three'][:number]:
            ws.send(message)
            assert log.get()[:2] == ('message', message)
        assert program.line() == 'the first message'
    for number, (ws, log) in enumerate(clients, 1):
        ws.close(4000 + number)
        log.until('close')
        assert program.line() == f'{number} messages, then {4000 + number}'
    program.stops()


@README.check('Broadcasting')
def _(run: Runner) -> None:
    program, port = run.serve()
    ann, ann_hears = connect(port)
    assert ann_hears.until('message')[-1][1] == 'there are 1 of us'
    ben, ben_hears = connect(port)
    assert ben_hears.until('message')[-1][1] == 'there are 2 of us'
    assert ann_hears.get()[1] == 'there are 2 of us'
    ann.send('from ann')
    assert ben_hears.get()[1] == 'from ann'
    ben.send('from ben')
    assert ann_hears.get()[1] == 'from ben'  # and not, before it, her own
    program.stops()
    assert ann_hears.get() == ben_hears.get() == ('close', 1001, '')


@README.check('When sending fails')
def _(run: Runner) -> None:
    program, connections = run.call()
    _ws, _request, log = connections.get()
    assert log.get()[:2] == ('message', 'in time')
    assert log.get() == ('close', 1000, '')
    assert sorted(program.line() for _ in range(2)) == ['the first: None', 'the second: not opened']
    program.ends()


@README.check('When sending fails (2)')
def _(run: Runner) -> None:
    with free_port() as port:
        program = run.start(port)
        assert re.fullmatch(r'error: \[Errno \d+\] Connection refused.*', program.line())
        program.ends('closed with 1006')


@README.check('Echo demo')
def _(run: Runner) -> None:
    with child(ROOT / 'examples' / 'echo.py', '--port', 0) as server:
        port = int(server.line().rpartition(':')[2])
        program = run.start(port)
        assert program.line() == 'connected'
        assert re.fullmatch(r'round trip: \d+\.\d\d ms', program.line())
        program.ends('disconnected')
        server.stops()


@README.check('Waiting instead of listening')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == b'something\n'
    ws.send('anything\n')
    assert log.get() == ('close', 1000, '')
    program.ends('received: anything')


# -- commands ---------------------------------------------------------------------------------------------------------


def commands(path: str) -> list[str]:
    lines = [line for block in Document(path).blocks if block.language == 'sh' for line in block.code.splitlines()]
    return [re.sub(' +#.*', '', line) for line in lines]


def check_make(target: str) -> None:
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    assert re.search(rf'^{target}:', makefile, re.MULTILINE)


def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    return parser


def check_install(what: str) -> None:
    """Tried by `make wheels`."""
    assert what == metadata()['metadata']['name']


def check_extra(name: str) -> None:
    assert name in metadata()['options.extras_require']


def test_its_name() -> None:
    name = metadata()['metadata']['name']
    assert f'The distribution is called `{name}`' in (ROOT / 'README.md').read_text(encoding='utf-8')


def check_script(script: str) -> None:
    assert (ROOT / script).is_file()


def check_address(url: str) -> None:
    """Tried in test/examples."""


def check_saved(name: str) -> None:
    """The tutorial tells to save a program under this name. Run by test_doc_tutorial.py."""
    assert re.search(rf'as\s`{name}`', (ROOT / 'doc' / 'tutorial.md').read_text(encoding='utf-8'))


def check_script_of_ours(name: str) -> None:
    assert (ROOT / 'bin' / name).is_file()


def check_reference(name: str) -> None:
    """It names every option."""
    shown = subprocess.run(
        [sys.executable, '-m', 'pydoc', f'ws.{name}'], cwd=ROOT, capture_output=True, encoding='utf-8', check=True
    ).stdout
    options = {'WebSocket': CLIENT_OPTIONS, 'WebSocketServer': SERVER_OPTIONS}[name]
    assert [option for option in options if not re.search(rf'``{option}``', shown)] == []


def check_haproxy(configuration: str) -> None:
    """Run by test/examples/test_cluster.py, on ports of its own."""
    assert (ROOT / configuration).is_file()


COMMANDS = {
    r'make (\w+)': check_make,
    r'pip install (node-ws)': check_install,
    r"pip install '(?:\.|node-ws)\[(\w+)\]'": check_extra,
    r'\.venv/bin/python (examples/[\w/-]+\.py)(?: --redis redis://localhost:6379)?': check_script,
    r'\.venv/bin/python (examples/cluster/cluster\.py)(?: --workers 2| --port \d+)': check_script,
    r'\.venv/bin/python -m webbrowser (http://localhost:8080)': check_address,
    r'\.venv/bin/python -m pip install -q flask && \.venv/bin/python (examples/[\w/-]+\.py)': check_script,
    r'wscat -c (wss?://localhost:8080)( --ca examples/ssl/certificate.pem)?': check_address,
    r'haproxy -f (examples/cluster/haproxy\.cfg)': check_haproxy,
    r"wscat -c '(ws://localhost:8080)/lobby\?name=Ann'": check_address,
    r'\.venv/bin/python -m pydoc ws\.(\w+)': check_reference,
    r'make (docs-\w+)': check_make,
    r'python (\w+\.py)': check_saved,
    r'(wscat) -h': check_script_of_ours,
}


# Those of the others are run by their own tests.
OTHERS = [path for path in DOCUMENTS if path not in ('doc/deployment.md', 'doc/wscat.md')]


@pytest.mark.parametrize('command', sorted({command for path in OTHERS for command in commands(path)}))
def test_command(command: str) -> None:
    [(matched, check)] = [
        (match, check) for pattern, check in COMMANDS.items() if (match := re.fullmatch(pattern, command))
    ]
    check(matched[1])


def test_the_two_commands_stand_first() -> None:
    assert commands('README.md')[:2] == ['make demo', 'make test']


# -- links and form ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('path', DOCUMENTS)
def test_links(path: str) -> None:
    document = Document(path)
    for link in document.links:
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == 'https'
            continue
        target = (document.path.parent / parts.path) if parts.path else document.path
        assert target.exists(), f'{link}: no such file'
        if parts.fragment:
            assert parts.fragment in Document(str(target)).anchors(), f'{link}: no such heading'


@pytest.mark.parametrize('path', DOCUMENTS)
def test_every_block_is_of_a_kind_that_is_tested(path: str) -> None:
    assert {block.language for block in Document(path).blocks} <= {
        'python',
        'js',
        'html',
        'nginx',
        'haproxy',
        'ini',
        'sh',
        'text',
    }


@pytest.mark.parametrize('path', [path for path in DOCUMENTS if path.startswith('doc/')])
def test_every_document_has_its_test(path: str) -> None:
    assert (ROOT / 'test' / f'test_doc_{Path(path).stem.replace("-", "_")}.py').is_file()


def test_every_example_is_mentioned() -> None:
    folder = ROOT / 'examples'
    mentioned = set(Document('examples/README.md').links)
    for path in [*folder.glob('*.py'), *folder.glob('*/server.py')]:
        script = path.relative_to(folder)
        assert str(script) in mentioned or f'{script.parent}/README.md' in mentioned
