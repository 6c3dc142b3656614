"""uWSGI ends as it does without us. Only with --enable-threads does it let any thread but its own run."""

from __future__ import annotations

import os
import signal

import pytest
from documents import free_port
from hosts.process import BIN, Host, Hosts, joined, needs, page, seconds
from support import until_at_rest

pytestmark = [pytest.mark.hosts, needs('uwsgi', 'uwsgi'), pytest.mark.timeout(120)]

#: How much longer, in seconds, it may take to end: open connections take leave, for half a second at most.
MORE = 1.5

APPLICATION = """
    def application(environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [b'page']

    if {ws}:
        from ws import WebSocketServer
        wss = WebSocketServer(port={ws}, host='127.0.0.1')
        wss.on('connection', lambda ws: ws.send('hello'))
"""

# Each worker loads the application for itself.
MASTER = ('--master', '--lazy-apps')


def start(hosts: Hosts, *options: str, http: int, ws: int) -> Host:
    application = hosts.file('application.py', APPLICATION.format(ws=ws))
    return hosts.start(
        BIN / 'uwsgi',
        *('--http-socket', f'127.0.0.1:{http}', '--wsgi-file', application, '--die-on-term', '--need-app'),
        *options,
    )


def until_idle(host: Host) -> None:
    """A worker that is still busy with a request when it is ended runs no exit functions: that is uWSGI's doing."""
    pid = host.prints(r'spawned uWSGI worker 1 [^:]*\(pid: (\d+)')[1]
    for thread in os.listdir(f'/proc/{pid}/task'):
        until_at_rest(f'{pid}/task/{thread}')


def end(host: Host) -> int:
    host.signal(signal.SIGTERM)
    return host.ends()


def without(hosts: Hosts, *options: str) -> tuple[int, float]:
    """The status it ends with without us, and how long that takes."""
    statuses = []
    with free_port() as port:
        host = start(hosts, *options, http=port, ws=0)
        assert page(port) == 'page'
        took = seconds(lambda: statuses.append(end(host)))
    return statuses[0], took


@pytest.mark.parametrize('master', [(), MASTER], ids=['one process', 'master'])
def test_term(hosts: Hosts, master: tuple[str, ...]) -> None:
    status, least = without(hosts, *master, '--enable-threads')
    with free_port() as http, free_port() as port:
        host = start(hosts, *master, '--enable-threads', http=http, ws=port)
        with joined(port) as (_ws, log):
            assert log.until('message')[-1][1] == 'hello'
            assert page(http) == 'page'
            until_idle(host)
            assert seconds(lambda: ends(host, status)) < least + MORE
            assert log.until('close')[-1] == ('close', 1001, '')
    assert 'Traceback' not in host.output


@pytest.mark.parametrize('master', [(), MASTER], ids=['one process', 'master'])
def test_term_where_no_thread_runs(hosts: Hosts, master: tuple[str, ...]) -> None:
    status, least = without(hosts, *master)
    with free_port() as http, free_port() as port:
        host = start(hosts, *master, http=http, ws=port)
        assert page(http) == 'page'
        assert seconds(lambda: ends(host, status)) < least + MORE
    assert 'Traceback' not in host.output


def ends(host: Host, status: int) -> None:
    assert end(host) == status
