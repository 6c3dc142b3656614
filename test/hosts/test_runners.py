"""pytest and unittest end with their own status, whatever a test left open."""

from __future__ import annotations

import pytest
from hosts.process import Host, Hosts
from support import Log, Waiter, server, url_of

LEFT_OPEN = {
    'server': 'WebSocketServer(port=0, host="127.0.0.1")',
    'client': 'WebSocket(URL)',
    'timer': 'setInterval(lambda: None, 10)',
}
OUTCOMES = {'green': (True, 0), 'red': (False, 1)}

PYTEST = """
    from ws import WebSocket, WebSocketServer
    from ws.timers import setInterval

    URL = {url!r}

    def test_that_leaves_something_open():
        {leave}
        assert {passes}
"""
UNITTEST = """
    import unittest
    from ws import WebSocket, WebSocketServer
    from ws.timers import setInterval

    URL = {url!r}

    class Test(unittest.TestCase):
        def test_that_leaves_something_open(self):
            {leave}
            assert {passes}

    if __name__ == '__main__':
        unittest.main()
"""


@pytest.fixture(params=['pytest', 'unittest', 'unittest.main()'])
def runner(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def run(hosts: Hosts, runner: str, **parts: object) -> Host:
    script = hosts.file('test_it.py', (PYTEST if runner == 'pytest' else UNITTEST).format(**parts))
    if runner == 'unittest.main()':
        return hosts.python(script)
    options = ('-q', '-p', 'no:cacheprovider') if runner == 'pytest' else ('-v',)
    return hosts.python('-m', runner, *options, 'test_it.py')


@pytest.mark.parametrize('outcome', OUTCOMES)
@pytest.mark.parametrize('what', LEFT_OPEN)
def test_what_a_test_leaves_open(hosts: Hosts, runner: str, what: str, outcome: str) -> None:
    passes, status = OUTCOMES[outcome]
    with server() as wss:
        wss.on('connection', lambda: None)
        host = run(hosts, runner, url=url_of(wss), leave=LEFT_OPEN[what], passes=passes)
        assert host.ends() == status
    assert ('AssertionError' in host.output) == (not passes)


def test_the_peer_of_a_client_left_open_is_told(hosts: Hosts, runner: str) -> None:
    leave = 'opened = __import__("threading").Event(); WebSocket(URL).on("open", opened.set); opened.wait()'
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(Log(ws)))
        host = run(hosts, runner, url=url_of(wss), leave=leave, passes=True)
        assert connected.get()[0].until('close')[-1] == ('close', 1001, '')
        assert host.ends() == 0
