"""WebSocket: methods that are called too early or too late (doc/threads.md, "What may be called from where").

While it is CONNECTING, they raise. Once it has been open, none of them ever raises for the state: a program that has
seen OPEN may go on, whatever happens to the connection in between.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import ends
import pytest
from ends import End
from files import Chunks
from support import TIMEOUT, Log, Waiter, client, echo_server, end, on_loop, raw_client, server

from ws import NotOpenError, WebSocket, timers

#: How the connection comes to be open no longer.
ENDINGS: dict[str, Callable[[WebSocket], object]] = {
    'CLOSING': lambda ws: on_loop(ws, ws.close),  # the peer does not answer
    'CLOSED': lambda ws: end(ws),
}
METHODS: dict[str, Callable[[WebSocket], object]] = {
    'send': lambda ws: ws.send('late'),
    'send bytes': lambda ws: ws.send(b'late', {'binary': True}),
    'send a file': lambda ws: ws.send(Chunks(b'late')),
    'send a fragment': lambda ws: ws.send('late', {'fin': False}),
    'ping': lambda ws: ws.ping(),
    'pong': lambda ws: ws.pong('late'),
    'pause': lambda ws: ws.pause(),
    'resume': lambda ws: ws.resume(),
}
WITH_CALLBACK: dict[str, Callable[[WebSocket, Any], object]] = {
    'send': lambda ws, told: ws.send('late', told),
    'send a file': lambda ws, told: ws.send(Chunks(b'late'), told),
    'ping': lambda ws, told: ws.ping('late', {}, False, told),
    'pong': lambda ws, told: ws.pong(told),
    'stream': lambda ws, told: ws.stream(told),
}


def call(where: str, ws: WebSocket, function: Callable[[], Any]) -> Any:
    return on_loop(ws, function) if where == 'loop' else function()


def nothing_new(this: End, ending: str) -> bool:
    """Whether the peer got at most a close frame."""
    got = b''
    this.sock.settimeout(0.02 if ending == 'CLOSING' else TIMEOUT)
    try:
        while True:
            piece = this.sock.recv(100)
            if not piece:
                break
            got += piece
    except OSError:
        pass
    return b'late' not in got and len(got) <= 8


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
@pytest.mark.parametrize('ending', ENDINGS)
def test_too_late_is_no_error(this: End, ending: str, where: str, switching: None) -> None:
    log = Log(this.ws, 'error')
    ENDINGS[ending](this.ws)
    for method in METHODS.values():
        call(where, this.ws, lambda method=method: method(this.ws))
    assert nothing_new(this, ending)
    assert log.nothing(0.01)


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
@pytest.mark.parametrize('ending', ENDINGS)
def test_a_callback_is_told_that_it_is_too_late(this: End, ending: str, where: str, switching: None) -> None:
    ENDINGS[ending](this.ws)
    for method in WITH_CALLBACK.values():
        told = Waiter()
        call(where, this.ws, lambda method=method, told=told: method(this.ws, told))
        [error] = told.get()
        assert isinstance(error, NotOpenError) and str(error) == 'not opened'
    assert nothing_new(this, ending)


@pytest.mark.parametrize('ending', ENDINGS)
def test_what_comes_too_late_is_counted(ending: str) -> None:
    """As in browsers and ws 8: for ever."""
    with ends.connection('server') as this:
        ENDINGS[ending](this.ws)
        before = on_loop(this.ws, lambda: this.ws.bufferedAmount)
        this.ws.send('Grüße')
        this.ws.send(b'x' * 100, lambda: None)
        this.ws.ping('abc')
        assert this.ws.bufferedAmount == before + 7 + 100 + 3
        assert on_loop(this.ws, lambda: this.ws.bufferedAmount) == before + 110
        with pytest.raises(TypeError, match='list'):
            this.ws.send([1])
        with pytest.raises(ValueError, match='125'):
            this.ws.ping('x' * 126)


def test_a_file_that_is_sent_too_late_is_closed() -> None:
    with ends.connection('server') as this:
        end(this.ws)
        file = Chunks(b'x')
        this.ws.send(file)
        file.closings.get()
        assert file.reads == 0


def test_a_client_that_never_was_open() -> None:
    """Once it is closed, nothing raises either, as in ws 8."""
    with echo_server() as wss:

        def connecting() -> WebSocket:
            ws = client(wss)
            for method in METHODS.values():
                with pytest.raises(NotOpenError, match=r'^not opened$'):
                    method(ws)
            return ws

        ws = on_loop(wss, connecting)  # which is held up for that long
        assert ws.bufferedAmount == 0
        end(ws)
        for method in METHODS.values():
            method(ws)
        assert ws.bufferedAmount == 4 * len('late')  # files have no size


# -- check, then send -------------------------------------------------------------------------------------------------


def test_check_then_send_never_raises(switching: None) -> None:
    """Clients come and go while other threads broadcast, as the documents show it."""
    problems: list[BaseException] = []
    done = threading.Event()
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda: ws.close()))

        def broadcast() -> None:
            try:
                while not done.wait(0.001):
                    for ws in wss.clients:
                        if ws.readyState == ws.OPEN:
                            ws.send('to all')
                            ws.ping()
                    for ws in wss.clients:
                        ws.send('to all')
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=broadcast) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(60):
            ws = client(wss)
            closed = Waiter()
            ws.on('close', closed)
            if number % 3:
                ws.on('open', lambda this: this.send('close me'))
            else:
                ws.on('message', lambda this: this.terminate())
            closed.get()
        done.set()
        for thread in threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
    assert problems == []


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_the_plain_loop_over_clients_reaches_all_that_are_open(where: str) -> None:
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        with raw_client(wss), raw_client(wss) as last:
            closing, _open = connected.get()[0], connected.get()[0]
            on_loop(closing, closing.close)

            def broadcast() -> None:
                for ws in wss.clients:
                    ws.send('to all')

            assert closing in wss.clients
            call(where, closing, broadcast)
            assert last.recv(100) == b'\x81\x06to all'


def test_a_heartbeat_is_not_held_up_by_those_that_are_closing() -> None:
    """As in doc/deployment.md and ws 8's README: who is dead is noticed in the second round."""
    with server(closeTimeout=TIMEOUT * 1000) as wss, contextlib.ExitStack() as stack:
        connected, ended = Waiter(), Waiter()
        wss.on('connection', connected)
        rounds: list[int] = []

        def beat() -> None:
            rounds.append(len(wss.clients))
            for ws in wss.clients:
                if ws.isAlive is False:
                    ws.terminate()
                    continue
                ws.isAlive = False
                ws.ping()

        for number in range(21):
            stack.enter_context(raw_client(wss))
            ws = connected.get()[0]
            ws.isAlive = True
            if number < 20:
                on_loop(ws, ws.close)  # which is not answered
        ws.on('close', lambda: ended(len(rounds)))
        interval = timers.setInterval(beat, 50)
        assert ended.get() == (2,)
        timers.clearInterval(interval)
