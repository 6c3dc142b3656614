"""pytest and unittest end with their own status, whatever tests left open."""

from __future__ import annotations

import textwrap

import pytest
from hosts.process import Host, Hosts
from support import Log, Waiter, server, url_of

OUTCOMES = {'green': (True, 0), 'red': (False, 1)}

IMPORTS = """
    import threading
    import unittest
    from ws import WebSocket, WebSocketServer
    from ws.timers import setInterval
"""
#: Functions for pytest, methods for unittest.
TESTS = """
def test_that_leaves_a_server_open({self}):
    WebSocketServer(port=0, host='127.0.0.1')
    assert {passes}

def test_that_leaves_a_client_open({self}):
    opened = threading.Event()
    WebSocket({url!r}).on('open', opened.set)
    opened.wait()
    assert {passes}

def test_that_leaves_a_timer_set({self}):
    setInterval(lambda: None, 10)
    assert {passes}
"""


@pytest.fixture(params=['pytest', 'unittest', 'unittest.main()'])
def runner(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def run(hosts: Hosts, runner: str, passes: bool, url: str) -> Host:
    if runner == 'pytest':
        hosts.file('test_it.py', textwrap.dedent(IMPORTS) + TESTS.format(self='', passes=passes, url=url))
        return hosts.python('-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'test_it.py')
    methods = textwrap.indent(TESTS.format(self='self', passes=passes, url=url), '    ')
    main = 'unittest.main()' if runner == 'unittest.main()' else ''
    script = hosts.file('test_it.py', f'{textwrap.dedent(IMPORTS)}\nclass Test(unittest.TestCase):{methods}\n{main}\n')
    return hosts.python(script) if main else hosts.python('-m', 'unittest', '-v', 'test_it.py')


@pytest.mark.parametrize('outcome', OUTCOMES)
def test_what_tests_leave_open(hosts: Hosts, runner: str, outcome: str) -> None:
    """It does not keep the process, and the peer is told."""
    passes, status = OUTCOMES[outcome]
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(Log(ws)))
        host = run(hosts, runner, passes, url_of(wss))
        assert connected.get()[0].until('close')[-1] == ('close', 1001, '')
        assert host.ends() == status
    assert ('AssertionError' in host.output) == (not passes)
    assert ('3 passed' if runner == 'pytest' else 'Ran 3 tests') in host.output or not passes
