"""gunicorn: its workers are gone as soon as they are without us, clients are told, and new workers serve."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator

import pytest
from documents import free_port
from hosts.process import Host, Hosts, exists, gunicorn, joined, needs, once_in_three, page, seconds, until

pytestmark = [pytest.mark.hosts, needs('gunicorn'), pytest.mark.timeout(180)]

#: How long, in seconds, a worker may take to end. A second of it is gunicorn's own, which looks so often.
GONE = 2.0

# Has WebSockets on a port of their own, where each worker listens, and in a view. What it answers is the process.
APPLICATION = """
    import os
    from ws import WebSocketServer

    def greet(ws):
        ws.send(str(os.getpid()))

    view = WebSocketServer(noServer=True)
    view.on('connection', greet)

    def application(environ, start_response):
        if environ['PATH_INFO'] == '/socket':
            return view.handleUpgrade(environ)(environ, start_response)
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [b'%d' % os.getpid()]

    def serve():
        wss = WebSocketServer(port={port}, host='127.0.0.1', reusePort=True)
        wss.on('connection', greet)
"""
CONFIGURATION = """
    def post_worker_init(worker):
        import application
        application.serve()
"""


def start(hosts: Hosts, workers: int, *options: str, http: int, ws: int) -> tuple[Host, set[str]]:
    """gunicorn with the application, and the processes of its workers."""
    hosts.file('application.py', APPLICATION.format(port=ws))
    options = ('--worker-class', 'gthread', '--threads', '4', '--workers', str(workers), *options)
    host = gunicorn(hosts, http, *options, 'application', configuration=CONFIGURATION)
    return host, booted(host, workers)


def booted(host: Host, number: int) -> set[str]:
    return {host.prints(r'Booting worker with pid: (\d+)')[1] for _ in range(number)}


@contextlib.contextmanager
def told(http: int, ws: int, processes: set[str]) -> Iterator[None]:
    """One client on the server's own port, one in the view: these processes serve them, and tell them of their end."""
    with joined(ws) as (_, own), joined(http, '/socket') as (_, view):
        for log in own, view:
            assert log.until('message')[-1][1] in processes
        yield
        for log in own, view:
            assert log.until('close')[-1] == ('close', 1001, '')


@pytest.mark.parametrize('preload', [(), ('--preload',)], ids=['', 'preload'])
@pytest.mark.parametrize('workers', [1, 2])
def test_hup_and_term(hosts: Hosts, workers: int, preload: tuple[str, ...]) -> None:
    assert once_in_three(lambda: restart_and_end(hosts, workers, *preload) < GONE)


def restart_and_end(hosts: Hosts, workers: int, *options: str) -> float:
    """How long workers took to end, at most."""
    with free_port() as http, free_port() as ws:
        host, old = start(hosts, workers, *options, http=http, ws=ws)
        assert page(http) in old
        with told(http, ws, old):
            host.signal(signal.SIGHUP)
            new = booted(host, workers)
            at_hup = seconds(lambda: until(lambda: not any(map(exists, old))))
        assert page(http) in new
        with told(http, ws, new):
            host.signal(signal.SIGTERM)
            at_term = seconds(host.ends)
        assert host.status == 0
    complains_of_nothing(host)
    return max(at_hup, at_term)


def complains_of_nothing(host: Host) -> None:
    # Older versions tell workers each second to end, and complain if one dies of it in its last moment: without us too.
    output = re.sub(r'\[ERROR\] Worker \(pid:\d+\) was sent SIGTERM!', '', host.output)
    assert '[ERROR]' not in output
    assert 'Traceback' not in output
    assert 'Exception' not in output
