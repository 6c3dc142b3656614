"""gunicorn: its workers are gone as soon as they are without us, clients are told, and new workers serve."""

from __future__ import annotations

import signal

import pytest
from documents import free_port
from hosts.process import Host, Hosts, greeting, joined, needs, page, seconds, until
from support import Log

pytestmark = [pytest.mark.hosts, needs('gunicorn'), pytest.mark.timeout(180)]

#: How long, in seconds, a worker may take to end; on a machine that does other things, too.
GONE = 2.0
BUSY = 2.0

# Makes its WebSocket server in each worker. What it answers is its process, on both ports.
APPLICATION = """
    import os

    def application(environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [b'%d' % os.getpid()]

    def serve():
        from ws import WebSocketServer
        global wss
        wss = WebSocketServer(port={port}, host='127.0.0.1', reusePort=True)
        wss.on('connection', lambda ws: ws.send(str(os.getpid())))
"""
CONFIGURATION = """
    def post_worker_init(worker):
        import application
        application.serve()
"""


def start(hosts: Hosts, *options: str, http: int, ws: int) -> Host:
    hosts.file('application.py', APPLICATION.format(port=ws))
    hosts.file('gunicorn.conf.py', CONFIGURATION)
    bind = f'127.0.0.1:{http}'
    return hosts.python(
        *('-m', 'gunicorn', '--bind', bind, '--no-control-socket', '--worker-class', 'gthread', '--threads', '4'),
        *(*options, 'application'),
    )


def workers(host: Host, number: int) -> set[str]:
    return {host.prints(r'Booting worker with pid: (\d+)')[1] for _ in range(number)}


def exists(pid: str) -> bool:
    try:
        signal.pthread_kill  # noqa: B018
        import os

        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize('preload', [(), ('--preload',)], ids=['', 'preload'])
@pytest.mark.parametrize('number', [1, 2])
def test_term(hosts: Hosts, number: int, preload: tuple[str, ...]) -> None:
    with free_port() as http, free_port() as ws:
        host = start(hosts, *preload, '--workers', str(number), http=http, ws=ws)
        workers(host, number)
        page(http)
        with joined(ws) as (_ws, log):
            log.until('message')
            host.signal(signal.SIGTERM)
            assert seconds(lambda: told(log)) < GONE + BUSY
            assert host.ends(GONE + BUSY) == 0
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output


def told(log: Log) -> None:
    assert log.until('close')[-1] == ('close', 1001, '')
