"""Flask's reloader and Django's: somebody edits a file, and the new code answers as soon as it does without us."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from documents import free_port
from hosts.process import Host, Hosts, greeting, joined, page, until, until_greeting

#: How much longer, in seconds, a reload may take: open connections take leave, for half a second at most.
MORE = 2.0
#: When, in seconds, somebody who sees nothing happen saves the file again.
AGAIN = 4.0

pytestmark = pytest.mark.timeout(120)

FLASK = """
    import os
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule('/', 'index', lambda: 'old')

    def serve():
        from ws import WebSocketServer
        wss = WebSocketServer(port={ws}, host='127.0.0.1')
        wss.on('connection', lambda ws: ws.send('old'))

    if os.environ.get('WERKZEUG_RUN_MAIN') and {ws}:
        serve()
    app.run(debug=True, port={http})
"""

# Flask's own app.run() makes its server itself. This is what it does.
FLASK_ON_ONE_PORT = """
    from flask import Flask
    from werkzeug._reloader import run_with_reloader
    from werkzeug.serving import make_server

    app = Flask(__name__)
    app.add_url_rule('/', 'index', lambda: 'old')

    def main():
        server = make_server('127.0.0.1', {http}, app, threaded=True)
        if {ws}:
            from ws import WebSocketServer
            wss = WebSocketServer(server=server)
            wss.on('connection', lambda ws: ws.send('old'))
        server.serve_forever()

    run_with_reloader(main)
"""

DJANGO = """
    import os
    import sys
    from django.conf import settings
    from django.core.management import execute_from_command_line
    from django.http import HttpResponse
    from django.urls import path

    settings.configure(DEBUG=True, ROOT_URLCONF=__name__, SECRET_KEY='secret')
    urlpatterns = [path('', lambda request: HttpResponse('old'))]

    def serve():
        from ws import WebSocketServer
        wss = WebSocketServer(port={ws}, host='127.0.0.1')
        wss.on('connection', lambda ws: ws.send('old'))

    if os.environ.get('RUN_MAIN') and {ws}:
        serve()
    execute_from_command_line([sys.argv[0], 'runserver', '127.0.0.1:{http}'])
"""


def start(hosts: Hosts, program: str, **ports: int) -> tuple[Host, Path]:
    path = hosts.file(f'program{ports["ws"]}.py', program.format(**ports))
    return hosts.python(path), path


def reload(host: Host, path: Path, port: int) -> float:
    """Edit the program; returns how long it takes, in seconds, from when the reloader says that it has seen that until
    the new code answers."""
    path.write_text(path.read_text().replace("'old'", "'new'"))
    saved = time.monotonic()

    def seen() -> bool:
        nonlocal saved
        if time.monotonic() > saved + AGAIN:  # Django had not looked at the file before, and takes it for the old one
            path.touch()
            saved = time.monotonic()
        return ', reloading' in host.output

    until(seen)
    began = time.monotonic()
    until(lambda: page(port) == 'new', every=0.05)
    return time.monotonic() - began


@pytest.mark.parametrize('program', [FLASK, DJANGO], ids=['Flask', 'Django'])
def test_an_edit_with_a_server_on_a_port_of_its_own(hosts: Hosts, program: str) -> None:
    with free_port() as http, free_port() as ws, without(hosts, program) as least:
        host, path = start(hosts, program, http=http, ws=ws)
        assert page(http) == 'old'
        with joined(ws) as (_ws, log):
            took = reload(host, path, http)
            assert log.until('close')[-1] == ('close', 1001, '')
        until_greeting(ws, 'new')
        assert took < least() + MORE


def test_an_edit_with_a_server_on_flasks_port(hosts: Hosts) -> None:
    with free_port() as port, without(hosts, FLASK_ON_ONE_PORT) as least:
        host, path = start(hosts, FLASK_ON_ONE_PORT, http=port, ws=1)
        assert page(port) == 'old'
        with joined(port) as (_ws, log):
            took = reload(host, path, port)
            assert log.until('close')[-1] == ('close', 1001, '')
        assert greeting(port) == 'new'
        assert took < least() + MORE


@contextlib.contextmanager
def without(hosts: Hosts, program: str) -> Iterator[Callable[[], float]]:
    """How long a reload takes without us, on the same machine at the same time."""

    def measure() -> float:
        host, path = start(hosts, program, http=port, ws=0)
        assert page(port) == 'old'
        return reload(host, path, port)

    with free_port() as port, ThreadPoolExecutor() as pool:
        yield pool.submit(measure).result


@pytest.mark.parametrize('program', [FLASK, DJANGO], ids=['Flask', 'Django'])
def test_ctrl_c_once(hosts: Hosts, program: str) -> None:
    with free_port() as http, free_port() as ws:
        host, _path = start(hosts, program, http=http, ws=ws)
        assert page(http) == 'old'
        with joined(ws) as (_ws, log):
            host.interrupt()
            assert log.until('close')[-1] == ('close', 1001, '')
            host.ends()
            assert 'Traceback' not in host.output
            assert 'Exception' not in host.output
