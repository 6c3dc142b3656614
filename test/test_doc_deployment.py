"""The programs of doc/deployment.md, started in their hosts with the commands that stand there.

A block of Python or of a configuration begins with the name of its file. Ports are others, chosen by the system.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest
import trustme
from documents import Block, Document, free_port
from hosts.conftest import hosts  # noqa: F401  # a fixture
from hosts.process import (
    AS_PROCESS_1,
    BIN,
    Host,
    Hosts,
    can_be_process_1,
    child_of,
    greeting,
    joined,
    needs,
    page,
    until,
    until_greeting,
    until_listening,
)
from hosts.test_uwsgi import until_idle
from support import TIMEOUT, Log, Waiter

from ws import WebSocket, speedups

DEPLOYMENT = Document('doc/deployment.md')
PATH = f'{BIN}:{os.environ["PATH"]}'

pytestmark = pytest.mark.timeout(360)


class Section:
    """The programs of one section, in a folder, and the hosts that its commands start."""

    def __init__(self, heading: str, folder: Hosts, ports: dict[str, int]) -> None:
        self.hosts = folder
        self._ports = ports
        #: Where web pages are, and WebSockets.
        self.pages, self.sockets = ports['8000'], ports['8080']
        #: What its commands are to be run by, and their environment.
        self.around: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self._commands: list[str] = []
        for block in DEPLOYMENT.blocks:
            if re.fullmatch(re.escape(heading) + r'( \(\d+\))?', block.name):
                self._take(block)

    def _take(self, block: Block) -> None:
        code = self._with_ports(block.code)
        if block.language == 'sh':
            self._commands += code.splitlines()
        else:
            name = code.partition('\n')[0].removeprefix('# ')
            self.hosts.file(name, code)

    def _with_ports(self, text: str) -> str:
        text = text.replace('localhost:', '127.0.0.1:')
        return re.sub('8000|8080|8081', lambda port: str(self._ports[port[0]]), text)

    def code(self, name: str) -> str:
        """A file without the line that names it."""
        return (self.hosts.folder / name).read_text().partition('\n')[2]

    def run(self) -> Host:
        """Run the commands; returns the process of the last one."""
        for command in self._commands:
            host = self._start(command.removesuffix(' &'))
            if command != self._commands[-1] and not command.endswith(' &'):
                assert host.ends(300) == 0, host.output
        return host

    def _start(self, command: str) -> Host:
        program, *arguments = shlex.split(command)
        path = shutil.which(program, path=PATH) or self.hosts.folder / program
        return self.hosts.start(*self.around, path, *arguments, PATH=PATH)


#: Heading -> what finds out that its programs do what the text says, and the marks of that test.
CHECKS: dict[str, tuple[Callable[[Section], None], tuple[pytest.MarkDecorator, ...]]] = {}


def check(heading: str, *marks: pytest.MarkDecorator) -> Callable[[Callable[[Section], None]], None]:
    def decorate(function: Callable[[Section], None]) -> None:
        assert heading not in CHECKS
        CHECKS[heading] = function, marks

    return decorate


def needs_host(package: str, program: Optional[str] = None) -> tuple[pytest.MarkDecorator, pytest.MarkDecorator]:
    return pytest.mark.hosts, needs(package, program)


def post(section: Section) -> None:
    request = urllib.request.Request(f'http://127.0.0.1:{section.pages}/notify', b'news', method='POST')
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        assert response.read().startswith(b'told')


def notified(section: Section, *clients: Log) -> None:
    """What is posted to a page arrives at clients."""
    post(section)
    for client in clients:
        assert client.get()[1] == 'news'


def serves(section: Section, *place: Any) -> None:
    """Pages and WebSockets, and they know each other."""
    until_listening(section.pages)
    with joined(*place) as (_ws, log):
        assert log.get()[1] == 'welcome'
        notified(section, log)


def complains_of_nothing(host: Host) -> None:
    for word in 'Traceback', 'Exception', '[ERROR]':
        assert word not in host.output


@check('How a program ends')
def _(section: Section) -> None:
    host = section.run()
    with joined(section.sockets) as (ws, log):
        ws.send('enough')
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 3
    assert host.output == ''


def edited(section: Section, name: str) -> None:
    """Clients are told, and the new code answers."""
    with joined(section.pages, '/socket') as (ws, log):
        assert log.get()[1] == 'welcome'
        text = (section.hosts.folder / name).read_text().replace('welcome', 'welcome back')
        closed = Waiter()
        ws.on('close', closed)
        while True:
            section.hosts.file(name, text)
            if not closed.nothing(8):  # else Django had not looked at the file before, and takes it for the old one
                break
        assert log.get() == ('close', 1001, '')
    until_greeting(section.pages, 'welcome back', '/socket')


@check("Flask's development server")
def _(section: Section) -> None:
    host = section.run()
    serves(section, section.pages, '/socket')
    edited(section, 'app.py')
    host.interrupt()
    host.ends()


@check("Django's development server")
def _(section: Section) -> None:
    host = section.run()
    with joined(section.pages, '/socket') as (_ws, log):
        assert log.get()[1] == 'welcome'
        assert page(section.pages, '/notify?text=news') == 'told 1\n'
        assert log.get()[1] == 'news'
    edited(section, 'manage.py')
    host.interrupt()
    host.ends()


@check('gunicorn', *needs_host('gunicorn'))
def _(section: Section) -> None:
    host = section.run()
    serves(section, section.pages, '/socket')
    with joined(section.pages, '/socket') as (_ws, log):
        assert log.get()[1] == 'welcome'
        host.signal(signal.SIGHUP)
        assert log.get() == ('close', 1001, '')
    with joined(section.pages, '/socket') as (_ws, log):
        assert log.get()[1] == 'welcome'
        host.signal(signal.SIGTERM)
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 0
    complains_of_nothing(host)


@check('gunicorn with several workers', *needs_host('gunicorn'))
def _(section: Section) -> None:
    host = section.run()
    until(lambda: host.output.count('Booting worker') == 2)
    with contextlib.ExitStack() as clients:
        logs = [clients.enter_context(joined(section.pages, '/socket'))[1] for _ in range(10)]
        for log in logs:
            assert log.get()[1] == 'welcome'
        until(lambda: reaches_all(section, logs))  # each worker connects to the hub in its own time
        notified(section, *logs)
    host.signal(signal.SIGTERM)
    assert host.ends() == 0


def reaches_all(section: Section, clients: list[Log]) -> bool:
    """Whether what is posted arrives at every client; nothing of it is left afterwards."""
    post(section)
    missed = [client for client in clients if client.nothing(1)]
    return not missed


@check('uWSGI', *needs_host('uwsgi', 'uwsgi'))
def _(section: Section) -> None:
    host = section.run()
    serves(section, section.sockets)
    with joined(section.sockets) as (_ws, log):
        assert log.get()[1] == 'welcome'
        until_idle(host)
        host.signal(signal.SIGTERM)
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 0
    complains_of_nothing(host)


@check('waitress', *needs_host('waitress'))
def _(section: Section) -> None:
    host = section.run()
    serves(section, section.sockets)
    host.interrupt()
    host.ends()
    complains_of_nothing(host)


def stops_at_sigterm(host: Host, pid: int, port: int) -> None:
    with joined(port) as (_ws, log):
        assert log.get()[1] == 'welcome'
        os.kill(pid, signal.SIGTERM)
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 0
    complains_of_nothing(host)


@check('systemd', pytest.mark.skipif(shutil.which('systemd-socket-activate') is None, reason='systemd is not there'))
def _(section: Section) -> None:
    host = section.run()
    stops_at_sigterm(host, host.pid, section.sockets)


@pytest.mark.skipif(shutil.which('systemd-analyze') is None, reason='systemd is not there')
def test_the_units(hosts: Hosts) -> None:  # noqa: F811
    """systemd has nothing to complain of, but that there is no such program here."""
    section = Section('systemd', hosts, {'8000': 8000, '8080': 8080, '8081': 8081})
    unit = hosts.folder / 'app.service'
    unit.write_text(unit.read_text().replace('/usr/bin/python3', sys.executable))
    host = section.hosts.start('systemd-analyze', 'verify', unit, hosts.folder / 'app.socket')
    assert (host.ends(), host.output) == (0, '')


def certified(folder: Path, authority: trustme.CA, name: str) -> None:
    """What certbot leaves in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    issued = authority.issue_cert(name)
    issued.private_key_pem.write_to_path(folder / 'privkey.pem')
    (folder / 'fullchain.pem').write_bytes(b''.join(pem.bytes() for pem in issued.cert_chain_pems))


def secure_greeting(port: int, name: str, public: trustme.CA, member: trustme.LeafCert) -> Any:
    """The message, or the error, that a client with that certificate gets."""
    ws = WebSocket(
        f'wss://{name}:{port}',
        ca=public.cert_pem.bytes(),
        cert=member.cert_chain_pems[0].bytes(),
        key=member.private_key_pem.bytes(),
        lookup=lambda host: '127.0.0.1',
    )
    event = Log(ws, 'message', 'error').get()
    ws.terminate()
    return event[1]


@check('TLS without a proxy')
def _(section: Section) -> None:
    section._commands = [command.replace('/etc/letsencrypt/live', 'live') for command in section._commands]
    folder = section.hosts.folder
    section.hosts.file('app.py', (folder / 'app.py').read_text().replace('3600 * 1000', '10'))
    public, company = trustme.CA(), trustme.CA()
    company.cert_pem.write_to_path(folder / 'company-ca.pem')
    names = 'one.example', 'two.example'
    for name in names:
        certified(folder / 'live' / name, public, name)
    section.run()
    until_listening(section.sockets)
    member = company.issue_cert('ann@example.org', common_name='ann')
    for name in names:
        assert secure_greeting(section.sockets, name, public, member) == 'hello, ann'
    stranger = trustme.CA().issue_cert('ann@example.org', common_name='ann')
    assert isinstance(secure_greeting(section.sockets, 'one.example', public, stranger), Exception)
    renewed = trustme.CA()
    certified(folder / 'live' / 'two.example', renewed, 'two.example')
    until(lambda: secure_greeting(section.sockets, 'two.example', renewed, member) == 'hello, ann')


@check('A container', pytest.mark.skipif(not can_be_process_1(), reason='no process numbers of its own to be had'))
def _(section: Section) -> None:
    section.around = AS_PROCESS_1
    host = section.run()
    stops_at_sigterm(host, child_of(host), section.sockets)


@check('Jupyter', *needs_host('nbclient'))
def _(section: Section) -> None:
    cells = [section.code(name) for name in ('cell 1', 'cell 2', 'cell 1', 'cell 2')]
    host = section.hosts.script(NOTEBOOK, json.dumps(cells), IPYTHONDIR=str(section.hosts.folder))
    assert host.ends() == 0
    assert host.output.endswith('HELLO\nHELLO\nthe kernel has ended\n')


# What a notebook's server does: runs a kernel, gives it the cells, and shuts it down.
NOTEBOOK = """
    import json
    import sys

    import nbformat
    from nbclient import NotebookClient

    cells = [nbformat.v4.new_code_cell(code) for code in json.loads(sys.argv[1])]
    client = NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name='python3', timeout=30)
    # Over UNIX sockets: the ports that Jupyter finds free may be somebody else's when the kernel comes to bind them.
    client.create_kernel_manager().transport = 'ipc'
    client.execute()
    for cell in cells:
        for output in cell.outputs:
            print(output.get('text', ''), end='')
    print('the kernel has ended')
"""


@check('IPython', *needs_host('IPython'))
def _(section: Section) -> None:
    section.environment = {'IPYTHONDIR': str(section.hosts.folder), 'TERM': 'dumb'}
    host = section.run()
    host.types(section.code('typed at the prompt'))
    with joined(section.sockets) as (_ws, log):
        assert log.get()[1] == 'welcome'
        host.types('exit\n')
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 0


@check('pytest')
def _(section: Section) -> None:
    host = section.run()
    assert host.ends() == 0
    assert '1 passed' in host.output


@check('unittest')
def _(section: Section) -> None:
    host = section.run()
    assert host.ends() == 0
    assert 'Ran 1 test' in host.output


@check('gevent', *needs_host('gevent'))
def _(section: Section) -> None:
    host = section.run()
    with joined(section.sockets) as (ws, log):
        for number in range(3):
            ws.send(str(number))
        assert sorted(log.get()[1] for _ in range(3)) == ['got 0', 'got 1', 'got 2']
        host.interrupt()
        assert log.get() == ('close', 1001, '')
    assert host.ends() == -signal.SIGINT
    complains_of_nothing(host)


@check('PyInstaller', pytest.mark.slow, *needs_host('PyInstaller'))
def _(section: Section) -> None:
    host = section.run()
    assert greeting(section.sockets) == f'speedups: {speedups}'
    host.interrupt()
    host.ends()
    complains_of_nothing(host)


@check('multiprocessing')
def _(section: Section) -> None:
    host = section.run()
    with joined(section.sockets) as (ws, log):
        for number in '35', '143', '97':
            ws.send(number)
        assert sorted(log.get()[1] for _ in range(3)) == ['11', '5', '97']
        host.interrupt()
        assert log.get() == ('close', 1001, '')
    host.ends()


def parameters() -> list[Any]:
    """All sections that have programs, and checks whose section is gone."""
    headings = [block.name for block in DEPLOYMENT.blocks if block.name in DEPLOYMENT.headings]
    return [
        pytest.param(heading, marks=CHECKS[heading][1] if heading in CHECKS else ())
        for heading in dict.fromkeys([*headings, *CHECKS])
    ]


@pytest.mark.parametrize('heading', parameters())
def test_section(heading: str, hosts: Hosts) -> None:  # noqa: F811
    assert heading in CHECKS, f'no test runs the programs of {heading!r}'
    assert heading in DEPLOYMENT.headings, f'doc/deployment.md has no section {heading!r} any longer'
    with free_port() as first, free_port() as second, free_port() as third:
        CHECKS[heading][0](Section(heading, hosts, {'8000': first, '8080': second, '8081': third}))
