"""The thread contract (doc/threads.md): listeners that misbehave."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
from support import TIMEOUT, Log, Waiter, client, echo_server, end, server, until, wait_for

from ws import WebSocket


def test_a_listener_that_raises_harms_nobody_else(reported: list[BaseException]) -> None:
    with server() as wss:

        def on_connection(ws: WebSocket) -> None:
            ws.on('message', lambda message: 1 // int(message))
            ws.on('message', lambda message: ws.send('second listener'))

        wss.on('connection', on_connection)
        good, bad = client(wss), client(wss)
        good_log, bad_log = Log(good, 'open', 'message', 'close'), Log(bad, 'open', 'message', 'close')
        good_log.until('open')
        bad_log.until('open')
        bad.send('0')
        assert bad_log.get()[1] == 'second listener'  # the others hear the event, too
        assert bad_log.get() == ('close', 1011, '')
        good.send('1')
        assert good_log.get()[:2] == ('message', 'second listener')
        assert [type(error) for error in reported] == [ZeroDivisionError]
        reported.clear()


@pytest.mark.parametrize('event', ['open', 'connection', 'close', 'callback', 'listening'])
def test_wherever_it_raises_the_loop_goes_on(event: str, reported: list[BaseException]) -> None:
    def fail(*_: Any) -> None:
        raise LookupError(event)

    with echo_server() as wss:
        if event in ('connection', 'listening'):
            wss.on(event, fail)
        ws = client(wss)
        if event in ('open', 'close'):
            ws.on(event, fail)
        log = Log(ws, 'open', 'error', 'close')
        if event in ('listening', 'close', 'callback'):
            log.until('open')
            ws.send('x', fail if event == 'callback' else None)
        if event in ('listening', 'close'):
            ws.close()
        ending = log.until('close')[-1]
        assert ending == ('close', 1000 if event in ('listening', 'close') else 1011, '')
        until(lambda: bool(reported))
        assert [str(error) for error in reported] == [event]
        reported.clear()
        if event == 'connection':
            wss.removeListener('connection', fail)
        other = client(wss)
        wait_for(other, 'open')  # the server is unharmed


def test_a_headers_listener_that_raises_refuses_the_connection(reported: list[BaseException]) -> None:
    with echo_server() as wss:
        wss.once('headers', lambda: 1 // 0)
        log = Log(client(wss))
        assert str(log.get()[1]) == 'unexpected server response (500)'
        assert log.get() == ('close', 1006, '')
        assert isinstance(reported.pop(), ZeroDivisionError)
        other = client(wss)
        wait_for(other, 'open')
        end(other)


def test_what_the_user_emits_raises_to_the_user() -> None:
    with server() as wss:
        wss.on('custom', lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            wss.emit('custom')


def test_sys_exit_in_a_listener_is_reported_not_swallowed(reported: list[BaseException]) -> None:
    with server() as wss:
        wss.on('connection', lambda: sys.exit(3))
        ws = client(wss)
        assert wait_for(ws, 'close')[0] == 1011
        assert 'sys.exit' in str(reported.pop())


def test_a_listener_that_closes_the_socket_hears_no_more() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: [ws.send(str(number)) for number in range(10)])
        ws = client(wss)
        heard: list[str] = []
        ws.on('open', lambda: None)
        ws.on('message', lambda this, message: (heard.append(message), this.close()))
        assert wait_for(ws, 'close') == (1000, '')
        assert heard == ['0']


def test_a_listener_that_terminates_the_socket_hears_no_more() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: [ws.send(str(number)) for number in range(10)])
        ws = client(wss)
        heard: list[str] = []
        ws.on('open', lambda: None)
        ws.on('message', lambda this, message: (heard.append(message), this.terminate()))
        assert wait_for(ws, 'close') == (1006, '')
        assert heard == ['0']


def test_a_listener_may_remove_itself() -> None:
    with echo_server() as wss:
        ws = client(wss)
        log = Log(ws, 'open', 'message')
        heard: list[str] = []

        def once_only(message: str) -> None:
            heard.append(message)
            ws.off('message', once_only)

        ws.on('message', once_only)
        log.until('open')
        for text in 'abc':
            ws.send(text)
        for _ in range(3):
            log.until('message')
        assert heard == ['a']


@pytest.mark.loop
def test_a_listener_that_blocks_holds_up_the_others_and_nothing_is_lost() -> None:
    with echo_server() as wss:
        release = threading.Event()
        blocking, other = client(wss), client(wss)
        blocked = Waiter()
        blocking.on('message', lambda: (blocked(), release.wait(TIMEOUT)))
        log = Log(other, 'open', 'message')
        wait_for(blocking, 'open')
        log.until('open')
        blocking.send('block')
        blocked.get()
        other.send('wait')
        assert log.nothing(0.1)
        release.set()
        assert log.until('message')[-1][1] == 'wait'
