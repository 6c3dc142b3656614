"""Where threads are green, signals come to whichever runs. What their handlers raise is not for the loop."""

from __future__ import annotations

import os
import re
import signal

import pytest
from hosts.process import Host, Hosts, joined, needs
from hosts.test_green import ECHO, GREEN, PATCHES

#: Works all the time once somebody asks for something, and says so for each thing.
SERVER = """
    {patch}
    import hashlib
    import os
    import signal
    import sys
    import time
    from ws import WebSocketServer

    wss = WebSocketServer(port=0, host='127.0.0.1')

    @wss.on('connection')
    def connection(ws):
        @ws.on('message')
        def message(text):
            hashlib.sha256(b'0' * 200000).digest()
            if text == 'Ctrl-C':
                ws.send('comes')
                os.kill(os.getpid(), signal.SIGINT)  # Python calls the handler here
            elif text == 'TERM':
                os.kill(os.getpid(), signal.SIGTERM)
            elif text == 'exit':
                sys.exit(5)
            ws.send(text)

"""
PORT = """
    print('port', wss.address().port)
"""


def start(hosts: Hosts, patch: str, rest: str = '') -> tuple[Host, int]:
    host = hosts.script((SERVER + PORT).format(patch=patch) + rest)
    return host, int(host.prints(r'port (\d+)')[1])


#: What gevent prints, before it ends the program, of a Ctrl-C that comes while its own loop is in code of gevent's: no
#: frame is anybody else's.
_GEVENT_S_OWN = re.compile(
    r'^Traceback .*\n(  File ".*[\\/]gevent[\\/].*\n(    .*\n)*)+KeyboardInterrupt\n.*GeventSelector.* fail\n',
    re.MULTILINE,
)


def complains_of_nothing(host: Host) -> None:
    output = _GEVENT_S_OWN.sub('', host.output)
    assert 'Traceback' not in output
    assert 'Exception' not in output


@pytest.mark.parametrize('patch', GREEN)
@pytest.mark.parametrize('received', [20, 21, 22])
def test_ctrl_c_at_a_busy_server(hosts: Hosts, patch: str, received: int) -> None:
    host, port = start(hosts, patch)
    with joined(port) as (ws, log):
        for _ in range(3000):
            ws.send('more')
        for _ in range(received):
            assert log.get()[:2] == ('message', 'more')
        os.kill(host.pid, signal.SIGINT)
        assert host.ends() == -signal.SIGINT
    complains_of_nothing(host)


@pytest.mark.parametrize('patch', GREEN)
def test_ctrl_c_within_a_listener(hosts: Hosts, patch: str) -> None:
    """The listener goes no further. It has not failed: nobody is told 1011."""
    host, port = start(hosts, patch)
    with joined(port) as (ws, log):
        ws.send('Ctrl-C')
        assert log.get()[:2] == ('message', 'comes')
        assert log.get() == ('close', 1001, '')
        assert host.ends() == -signal.SIGINT
    complains_of_nothing(host)


CATCHES = """
    for _ in range(2):
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print('caught')
"""


@pytest.mark.parametrize('patch', GREEN)
def test_the_program_catches_it_wherever_it_is(hosts: Hosts, patch: str) -> None:
    """It goes on, and so do its connections, until its last line."""
    host, port = start(hosts, patch, CATCHES)
    with joined(port) as (ws, log):
        ws.send('Ctrl-C')
        assert log.get()[:2] == ('message', 'comes')
        host.prints('caught')
        ws.send('still there?')
        assert log.get()[:2] == ('message', 'still there?')
        ws.send('Ctrl-C')
        assert log.get()[:2] == ('message', 'comes')
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 0
    complains_of_nothing(host)


EXITS = """
    def stop(number, frame):
        sys.exit(3)

    signal.signal(signal.SIGTERM, stop)
"""
RAISES = """
    class Stop(Exception):
        pass

    class Service:
        def stop(self, *details):
            raise Stop

    signal.signal(signal.SIGTERM, Service().stop)
    try:
        time.sleep(60)
    except Stop:
        sys.exit(3)
"""


@pytest.mark.parametrize('patch', GREEN)
@pytest.mark.parametrize('rest', [EXITS, RAISES], ids=['after the last line', 'before it'])
def test_a_handler_that_raises(hosts: Hosts, patch: str, rest: str) -> None:
    host, port = start(hosts, patch, rest)
    with joined(port) as (ws, log):
        ws.send('TERM')
        assert log.get() == ('close', 1001, '')
    assert host.ends() == 3
    complains_of_nothing(host)


@pytest.mark.parametrize('patch', GREEN)
def test_a_listener_that_exits(hosts: Hosts, patch: str) -> None:
    """As in any program: that is no way to end it."""
    host, port = start(hosts, patch)
    with joined(port) as (ws, log):
        ws.send('exit')
        assert log.get()[:2] == ('close', 1011)
    host.prints('RuntimeError: sys.exit\\(\\) in a listener')
    assert host.status is None


# -- what is thrown to the loop's greenlet -----------------------------------------------------------------------------

TIMEOUT_LEFT = """
    import gevent

    wss.on('connection', lambda ws: gevent.Timeout(0.05).start())
    wss.on('connection', lambda ws: gevent.spawn_later(0.1, ws.send, 'later'))
"""


@pytest.mark.hosts
@needs('gevent')
def test_a_timeout_that_a_listener_leaves_behind(hosts: Hosts) -> None:
    """It is reported when it comes, and the loop goes on."""
    host = hosts.script((ECHO + TIMEOUT_LEFT).format(patch=PATCHES['gevent']))
    port = int(host.prints(r'port (\d+)')[1])
    with joined(port) as (ws, log):
        assert log.get()[1] == 'later'
        ws.send('still there?')
        assert log.get()[1] == 'still there?'
    host.prints('gevent.timeout.Timeout: 0.05 seconds')


WAITS = """
    from gevent.timeout import Timeout
    from ws.timers import setTimeout

    def interrupt(frame, event, argument):
        if event == {event!r} and frame.f_code is Timeout.{method}.__code__:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)  # Python calls the handler here

    @wss.on('connection')
    def prepare(ws):
        setTimeout(lambda: print('later'), 300)
        sys.setprofile(interrupt)
"""


@pytest.mark.hosts
@needs('gevent')
@pytest.mark.parametrize(
    ('event', 'method'), [('call', '__init__'), ('return', 'start'), ('call', '__enter__'), ('call', '__exit__')]
)
def test_ctrl_c_while_a_wait_begins_or_ends(hosts: Hosts, event: str, method: str) -> None:
    """Nothing is left of the time limit of that wait, which would come in the middle of what follows."""
    host, port = start(hosts, PATCHES['gevent'], WAITS.format(event=event, method=method) + CATCHES)
    with joined(port) as (ws, log):
        host.prints('caught')
        host.prints('later')
        ws.send('still there?')
        assert log.get()[:2] == ('message', 'still there?')
        os.kill(host.pid, signal.SIGINT)
        assert host.ends() == 0
    complains_of_nothing(host)


KILLED = """
    import gc
    import gevent

    def kill():
        gevent.killall([one for one in gc.get_objects() if isinstance(one, gevent.Greenlet) and one is not killer])
        print('killed them')

    killer = gevent.spawn_later(0.1, kill)
"""


@pytest.mark.hosts
@needs('gevent')
def test_the_loop_is_killed(hosts: Hosts) -> None:
    """With all greenlets: nobody waits for the loop any longer, neither who has killed it nor the program."""
    host = hosts.script((ECHO + KILLED).format(patch=PATCHES['gevent']))
    host.prints('killed them')
    assert host.ends() == 0
