"""When the loop itself fails, what is open ends with an error, and nobody waits for a thread that is gone."""

from __future__ import annotations

import socket
import sys

import pytest
from scripts import Scripts
from support import Log, Waiter, client, echo_server, end, server, url_of, wait_for

from ws import WebSocket
from ws.net.lifetime import get_loop
from ws.timers import setTimeout


def break_the_loop() -> None:
    """Once, in the next turn."""
    loop = get_loop()

    def turn() -> None:
        del loop._turn  # type: ignore[method-assign]
        raise MemoryError('no more')

    loop.call(lambda: setattr(loop, '_turn', turn))


def test_everything_ends_with_the_error_and_a_new_beginning_is_possible(reported: list[BaseException]) -> None:
    connected, passed = Waiter(), Waiter()
    with server() as wss, socket.create_server(('127.0.0.1', 0)) as silent:
        server_log = Log(wss, 'error', 'close')
        wss.on('connection', lambda ws: connected(Log(ws, 'error', 'close')))
        url = url_of(wss)
        open_log = Log(client(wss), 'open', 'error', 'close')
        open_log.until('open')
        peer_log = connected.get()[0]
        connecting_log = Log(WebSocket(f'ws://127.0.0.1:{silent.getsockname()[1]}'), 'error', 'close')
        setTimeout(passed, 50)
        break_the_loop()
        for log in (open_log, peer_log, connecting_log):
            event, error = log.get()[:2]
            assert (event, str(error)) == ('error', 'no more')
            assert log.get() == ('close', 1006, '')
        assert [server_log.get()[0] for _ in range(2)] == ['error', 'close']
        assert [str(error) for error in reported] == ['no more']
        reported.clear()
        assert passed.get() == ()
        log = Log(WebSocket(url))
        assert isinstance(log.get()[1], ConnectionRefusedError)
        log.until('close')
    with echo_server() as wss:
        ws = client(wss)
        wait_for(ws, 'open')
        end(ws)


@pytest.mark.skipif(sys.platform == 'win32', reason='no limit to set')
@pytest.mark.parametrize('runs', [False, True])
def test_without_descriptors_there_is_an_error_event(script: Scripts, runs: bool) -> None:
    """Whether the loop runs already or not; and as soon as there are some again, all is well."""
    code = f"""if True:
        import errno, os, queue, resource
        from ws import WebSocket, WebSocketServer
        from ws.timers import setTimeout

        if {runs}:
            setTimeout(lambda: None, 200)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, limit[1]))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        events = queue.SimpleQueue()
        client = WebSocket('ws://127.0.0.1:9')
        wss = WebSocketServer(port=0, host='127.0.0.1')
        for one in client, wss:
            one.on('error', events.put)
        client.on('close', events.put)
        told = [events.get(timeout=10) for _ in range(3)]  # of two objects, in whatever order
        assert sorted(getattr(event, 'errno', event) for event in told) == [errno.EMFILE, errno.EMFILE, 1006]
        for fd in taken:
            os.close(fd)
        wss = WebSocketServer(port=0, host='127.0.0.1')
        wss.on('connection', lambda ws: ws.send('hello'))
        client = WebSocket(f'ws://127.0.0.1:{{wss.address().port}}')
        client.on('message', events.put)
        assert events.get(timeout=10) == 'hello'
        wss.close()
    """
    assert script(code, flags=('-W', 'error')).end() == (0, '', '')
