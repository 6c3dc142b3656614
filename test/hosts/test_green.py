"""Programs patched by gevent and eventlet, where threads are green ones and blocking calls let others run."""

from __future__ import annotations

import signal

import pytest
from documents import free_port
from hosts.process import Hosts, greeting, gunicorn, joined, needs, page
from support import Log, Waiter, server, url_of

#: A program starts with one of these.
PATCHES = {
    'gevent': 'from gevent import monkey; monkey.patch_all()',
    'eventlet': 'import eventlet; eventlet.monkey_patch()',
}
GREEN = [pytest.param(PATCHES[name], id=name, marks=[pytest.mark.hosts, needs(name)]) for name in PATCHES]

CLIENT = """
    {patch}
    import queue
    import sys
    import threading
    import time
    from ws import WebSocket

    answers = queue.Queue()
    ws = WebSocket(sys.argv[1])
    ws.on('open', lambda: ws.send('question'))
    ws.on('message', lambda message: answers.put(message))
    ws.on('close', lambda code: print('closed with %d' % code))

    def tick():
        print('tick')

    threading.Timer(0.01, tick).start()
    print('the answer: %s' % answers.get())
    threading.Thread(target=ws.close).start()
"""

SERVER = """
    {patch}
    import threading
    import time
    from ws import WebSocketServer

    wss = WebSocketServer(port=0, host='127.0.0.1')

    def work(ws, message):
        time.sleep(float(message))
        ws.send('slept %s' % message)

    @wss.on('connection')
    def connection(ws):
        ws.on('message', lambda message: threading.Thread(target=work, args=[ws, message]).start())

    print('port', wss.address().port)
"""


ECHO = """
    {patch}
    from ws import WebSocketServer

    wss = WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
    print('port', wss.address().port)
"""


@pytest.mark.parametrize('patch', GREEN)
def test_a_client(hosts: Hosts, patch: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda message: connected(ws, message)))
        host = hosts.script(CLIENT.format(patch=patch), url_of(wss))
        ws, message = connected.get()
        assert message == 'question'
        host.prints('tick')  # the program's green threads run while it waits
        ws.send('42')
        host.prints('the answer: 42')
        host.prints('closed with 1000')
        assert host.ends() == 0
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output


RECONNECTING = """
    {patch}
    import sys
    import time
    from ws import ReconnectingWebSocket

    def url():
        time.sleep(0.01)
        return sys.argv[1]

    ws = ReconnectingWebSocket(url, minReconnectionDelay=5, jitter=0)
    ws.on('open', lambda: ws.send('here I am'))
    ws.on('message', lambda message: ws.close())
    ws.on('close', lambda code: print('closed with %d' % code))
    ws.send('waited')
"""


@pytest.mark.parametrize('patch', GREEN)
def test_a_client_that_reconnects(hosts: Hosts, patch: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda message: connected(ws, message)))
        host = hosts.script(RECONNECTING.format(patch=patch), url_of(wss))
        assert connected.get()[1] == 'waited'
        ws, message = connected.get()
        assert message == 'here I am'
        ws.close(4000)
        host.prints('closed with 4000')
        connected.get()[0].send('enough')
        host.prints('closed with 1000')
        assert host.ends() == 0
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output


@pytest.mark.parametrize('patch', GREEN)
def test_a_server(hosts: Hosts, patch: str) -> None:
    host = hosts.script(SERVER.format(patch=patch))
    port = int(host.prints(r'port (\d+)')[1])
    with joined(port) as (ws, log):
        ws.send('2')
        ws.send('0')
        assert log.get()[1] == 'slept 0'
        assert log.get()[1] == 'slept 2'
        host.interrupt()
        assert log.get() == ('close', 1001, '')
        assert host.ends() == -signal.SIGINT
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output


@pytest.mark.parametrize('patch', GREEN)
def test_a_thousand_messages_each_way(hosts: Hosts, patch: str) -> None:
    host = hosts.script(ECHO.format(patch=patch))
    port = int(host.prints(r'port (\d+)')[1])
    with joined(port) as (ws, log):
        for number in range(1000):
            ws.send(str(number))
        assert [log.get()[1] for _ in range(1000)] == [str(number) for number in range(1000)]


STREAM = """
    {patch}
    import sys
    import threading
    from ws import WebSocket, createWebSocketStream

    stream = createWebSocketStream(WebSocket(sys.argv[1]))

    def tick():
        print('tick')

    threading.Timer(0.01, tick).start()
    print('read: %s' % stream.readline())
    writer = threading.Thread(target=lambda: stream.write(bytes(10 << 20)) and stream.write(b'the last'))
    writer.start()
    threading.Timer(0.05, tick).start()
    writer.join()
    stream.flush()
    stream.timeout = 50
    try:
        stream.read(1)
    except TimeoutError:
        print('timed out')
    stream.close()
"""


@pytest.mark.parametrize('patch', GREEN)
def test_a_stream(hosts: Hosts, patch: str) -> None:
    """Who waits in a call of it lets the others run, the loop among them."""
    with server(maxPayload=0) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws, Log(ws, 'message', 'close')))
        host = hosts.script(STREAM.format(patch=patch), url_of(wss))
        ws, log = connected.get()
        ws.pause()
        host.prints('tick')
        ws.send('a line\n')
        host.prints("read: b'a line")
        host.prints('tick')  # the peer reads nothing
        ws.resume()
        assert len(log.get()[1]) == 10 << 20
        assert log.get()[1] == b'the last'
        host.prints('timed out')
        assert log.get() == ('close', 1000, '')
        assert host.ends() == 0
    assert 'Traceback' not in host.output
    assert 'Exception' not in host.output


PATCHED_LATE = """
    import ws
    {patch}

    ws.WebSocketServer(port=0, host='127.0.0.1')
"""


@pytest.mark.parametrize('patch', GREEN)
def test_patched_after_us(hosts: Hosts, patch: str) -> None:
    """What can't work is refused with one clear sentence."""
    host = hosts.script(PATCHED_LATE.format(patch=patch))
    assert host.ends() == 1
    last = host.output.rstrip().rpartition('\n')[2]
    assert 'patch' in last
    assert 'before' in last


THREADS_UNPATCHED = {
    'gevent': 'from gevent import monkey; monkey.patch_all(thread=False)',
    'eventlet': 'import eventlet; eventlet.monkey_patch(thread=False)',
}


@pytest.mark.parametrize(
    'patch',
    [pytest.param(THREADS_UNPATCHED[name], id=name, marks=[pytest.mark.hosts, needs(name)]) for name in PATCHES],
)
def test_threads_left_unpatched(hosts: Hosts, patch: str) -> None:
    host = hosts.script(f'{patch}\nimport ws\nws.WebSocketServer(port=0, host="127.0.0.1")\n')
    assert host.ends() == 1
    last = host.output.rstrip().rpartition('\n')[2]
    assert 'patch' in last
    assert 'thread' in last


APPLICATION = """
    import os
    from ws import WebSocketServer

    def application(environ, start_response):
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [b'page']

    wss = WebSocketServer(port={port}, host='127.0.0.1')
    wss.on('connection', lambda ws: ws.send('hello'))
"""


@pytest.mark.hosts
@needs('gunicorn')
@needs('gevent')
def test_gunicorn_with_gevent(hosts: Hosts) -> None:
    with free_port() as http, free_port() as ws:
        hosts.file('application.py', APPLICATION.format(port=ws))
        host = gunicorn(hosts, http, '--worker-class', 'gevent', 'application')
        assert page(http) == 'page'
        assert greeting(ws) == 'hello'
        with joined(ws) as (_ws, log):
            host.signal(signal.SIGTERM)
            assert log.until('close')[-1] == ('close', 1001, '')
            assert host.ends() == 0
    assert 'Traceback' not in host.output
