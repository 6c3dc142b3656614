"""When the loop itself fails, what is open ends with an error, and nobody waits for a thread that is gone."""

from __future__ import annotations

import socket

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
