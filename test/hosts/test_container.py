"""The program of a container is process 1, to which the kernel delivers only signals that it has a handler for."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from hosts.process import AS_PROCESS_1, Host, Hosts, can_be_process_1, child_of, joined
from support import until_at_rest

pytestmark = pytest.mark.skipif(not can_be_process_1(), reason='no process numbers of its own can be had here')

SERVE = """
    import signal
    import sys
    from ws import WebSocketServer

    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
    {handler}
    print('port', wss.address().port)
"""
ON_TERM = 'signal.signal(signal.SIGTERM, lambda *_: {})'


def start(hosts: Hosts, handler: str = '') -> tuple[Host, int]:
    """The server as process 1, and its port."""
    script = hosts.file('script.py', SERVE.format(handler=handler))
    host = hosts.start(*AS_PROCESS_1, sys.executable, script)
    return host, int(host.prints(r'port (\d+)')[1])


@pytest.mark.parametrize(
    ('number', 'handler', 'status'),
    [
        (signal.SIGINT, '', 0),  # it can't kill itself by the signal
        (signal.SIGTERM, ON_TERM.format('wss.close()'), 0),
        (signal.SIGTERM, ON_TERM.format('sys.exit(3)'), 3),
    ],
    ids=['Ctrl-C', 'close at SIGTERM', 'exit at SIGTERM'],
)
def test_the_end(hosts: Hosts, number: int, handler: str, status: int) -> None:
    host, port = start(hosts, handler)
    with joined(port) as (_ws, log):
        until_at_rest(child_of(host))
        os.kill(child_of(host), number)
        assert log.until('close')[-1] == ('close', 1001, '')
    assert host.ends() == status
    assert 'Traceback' not in host.output


def test_without_a_handler_sigterm_does_nothing(hosts: Hosts) -> None:
    host, port = start(hosts)
    with joined(port) as (ws, log):
        os.kill(child_of(host), signal.SIGTERM)
        ws.send('still there?')
        assert log.until('message')[-1][1] == 'still there?'
