"""gunicorn: its workers are gone as soon as they are without us, clients are told, and new workers serve."""

from __future__ import annotations

import signal

import pytest
from documents import free_port
from hosts.process import Host, Hosts, exists, greeting, joined, needs, page, seconds, until

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
    hosts.file('gunicorn.conf.py', CONFIGURATION)
    host = hosts.python(
        *('-m', 'gunicorn', '--bind', f'127.0.0.1:{http}', '--no-control-socket'),
        *('--worker-class', 'gthread', '--threads', '4', '--workers', str(workers), *options, 'application'),
    )
    return host, booted(host, workers)


def booted(host: Host, number: int) -> set[str]:
    return {host.prints(r'Booting worker with pid: (\d+)')[1] for _ in range(number)}


@pytest.mark.parametrize('in_a_view', [False, True], ids=['own port', 'view'])
@pytest.mark.parametrize('preload', [(), ('--preload',)], ids=['', 'preload'])
@pytest.mark.parametrize('workers', [1, 2])
def test_term(hosts: Hosts, workers: int, preload: tuple[str, ...], in_a_view: bool) -> None:
    with free_port() as http, free_port() as ws:
        host, processes = start(hosts, workers, *preload, http=http, ws=ws)
        assert page(http) in processes
        place = (http, '/socket') if in_a_view else (ws, '/')
        with joined(*place) as (_ws, log):
            assert log.until('message')[-1][1] in processes
            host.signal(signal.SIGTERM)
            assert seconds(lambda: host.ends()) < GONE
            assert log.until('close')[-1] == ('close', 1001, '')
    complains_of_nothing(host)


@pytest.mark.parametrize('in_a_view', [False, True], ids=['own port', 'view'])
@pytest.mark.parametrize('preload', [(), ('--preload',)], ids=['', 'preload'])
@pytest.mark.parametrize('workers', [1, 2])
def test_hup(hosts: Hosts, workers: int, preload: tuple[str, ...], in_a_view: bool) -> None:
    with free_port() as http, free_port() as ws:
        host, old = start(hosts, workers, *preload, http=http, ws=ws)
        place = (http, '/socket') if in_a_view else (ws, '/')
        with joined(*place) as (_ws, log):
            assert log.until('message')[-1][1] in old
            host.signal(signal.SIGHUP)
            new = booted(host, workers)
            assert seconds(lambda: until(lambda: not any(map(exists, old)))) < GONE
            assert log.until('close')[-1] == ('close', 1001, '')
        assert page(http) in new
        assert greeting(*place) in new
        host.signal(signal.SIGTERM)
        assert host.ends() == 0
    complains_of_nothing(host)


def complains_of_nothing(host: Host) -> None:
    assert '[ERROR]' not in host.output
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output
