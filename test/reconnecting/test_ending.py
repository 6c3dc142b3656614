"""How a WebSocket that connects again ends, and how it begins once more."""

from __future__ import annotations

import socket
import threading
import weakref
from typing import Any

import pytest
from documents import free_port
from fakes import accept, fake_server
from reconnecting.clients import FAST, NEVER, collect, reconnecting, stop, url_at
from support import TIMEOUT, Log, Waiter, echo_server, on_loop, server, until, url_of, wait_for

from ws import CLOSED, CLOSING, CONNECTING, OPEN, ReconnectingWebSocket, WebSocketError

# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_ended_while_it_waits(call: Any, how: str) -> None:
    with free_port() as port:
        ws = ReconnectingWebSocket(url_at(port), {**FAST, 'minReconnectionDelay': NEVER, 'maxReconnectionDelay': NEVER})
        log = Log(ws)
        log.until('close')
        until(lambda: ws.retryCount == 1)
        call(ws, getattr(ws, how))
        assert log.get() == ('close', 1006, '')
        assert ws.readyState == CLOSED
        assert log.nothing(0.05)


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_ended_while_it_connects(call: Any, how: str) -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(TIMEOUT)
        ws = ReconnectingWebSocket(url_at(listener.getsockname()[1]), FAST)
        log = Log(ws)
        with listener.accept()[0] as sock:
            call(ws, getattr(ws, how))
            assert log.until('close')[-1] == ('close', 1006, '')
            assert ws.readyState == CLOSED
            sock.settimeout(TIMEOUT)
            while sock.recv(4096):
                pass
        assert log.nothing(0.05)


@pytest.mark.parametrize(('how', 'code'), [('close', 1000), ('terminate', 1006)])
def test_ended_while_it_is_open(call: Any, how: str, code: int) -> None:
    with server() as wss:
        ws = ReconnectingWebSocket(url_of(wss), FAST)
        log = Log(ws)
        log.until('open')
        call(ws, getattr(ws, how))
        assert log.get() == ('close', code, '')
        assert ws.readyState == CLOSED
        assert log.nothing(0.05)


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_ended_while_the_url_is_asked(call: Any, how: str) -> None:
    asked, answer = threading.Event(), threading.Event()

    def url() -> str:
        asked.set()
        assert answer.wait(TIMEOUT)
        return 'ws://127.0.0.1:1'

    ws = ReconnectingWebSocket(url, FAST)
    log = Log(ws)
    assert asked.wait(TIMEOUT)
    assert ws.readyState == CONNECTING
    call(ws, getattr(ws, how))
    assert log.get() == ('close', 1006, '')
    assert ws.readyState == CLOSED
    answer.set()
    assert log.nothing(0.05)


def test_ended_before_it_began() -> None:
    class Hasty(ReconnectingWebSocket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.close()

    def on_the_loop() -> Log:
        return Log(Hasty('ws://127.0.0.1:1', FAST))

    assert Log(Hasty('ws://127.0.0.1:1', FAST)).get() == ('close', 1006, '')
    with server() as wss:
        log = on_loop(wss, on_the_loop)
        assert log.get() == ('close', 1006, '')
        assert log.nothing(0.05)


def test_closed_at_once_in_the_listener_that_made_it() -> None:
    with server() as wss:

        def on_the_loop() -> Log:
            ws = ReconnectingWebSocket(url_of(wss), FAST)
            ws.close()
            return Log(ws)

        log = on_loop(wss, on_the_loop)
        assert log.get() == ('close', 1006, '')
        assert log.nothing(0.05)


def test_closed_in_its_close_listener() -> None:
    with server() as wss:
        seen = collect(wss)
        ws = ReconnectingWebSocket(url_of(wss), {**FAST, 'startClosed': True})
        ws.on('close', lambda code: code == 4000 and ws.close())
        log = Log(ws)
        ws.reconnect()  # now that nothing has to wait for listeners
        log.until('open')
        seen.get()[1].close(4000)
        assert log.get() == ('close', 4000, '')
        until(lambda: ws.readyState == CLOSED)
        assert log.nothing(0.05)


def test_closing_twice_and_terminating_while_closing() -> None:
    ended = threading.Event()

    def silent(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        ended.wait(TIMEOUT)

    with fake_server(silent) as url:
        ws = ReconnectingWebSocket(url, FAST)
        log = Log(ws)
        log.until('open')
        ws.close()
        until(lambda: ws.readyState == CLOSING)
        ws.close(4000)
        assert log.nothing(0.05)
        ws.terminate()
        assert log.get() == ('close', 1006, '')
        ws.close()
        ws.terminate()
        assert log.nothing(0.05)
        ended.set()


def test_a_wrong_code_or_reason_raises_and_changes_nothing() -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        wait_for(ws, 'open')
        for arguments in ((1,), (1006,), (1000, 'x' * 124), (1000, 3)):
            for method in (ws.close, ws.reconnect):
                with pytest.raises(WebSocketError):
                    method(*arguments)
        assert ws.readyState == OPEN


def test_nothing_refers_to_it_after_the_end() -> None:
    with echo_server() as wss:
        ws = ReconnectingWebSocket(lambda: url_of(wss), FAST)
        wait_for(ws, 'open')
        ws.send('x', lambda: None)
        stop(ws)
        gone = weakref.ref(ws)
        del ws
        until(lambda: gone() is None)


# -- reconnect() and startClosed --------------------------------------------------------------------------------------


def test_reconnect_while_it_is_open(call: Any) -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        seen, log = collect(wss), Log(ws)
        log.until('open')
        peer = seen.get()[1]
        codes = Waiter()
        peer.on('close', codes)
        call(ws, lambda: ws.reconnect(4000, 'anew'))
        assert log.get() == ('close', 4000, 'anew')
        assert log.get() == ('open',)
        assert codes.get() == (4000, 'anew')
        seen.get()
        assert log.nothing(0.05)


def test_reconnect_while_it_waits(call: Any) -> None:
    slow = {'minReconnectionDelay': NEVER, 'maxReconnectionDelay': NEVER}
    with free_port() as port, reconnecting(url_at(port), **slow) as ws:
        log = Log(ws)
        log.until('close')
        until(lambda: ws.retryCount == 1)
        with server(port=port):
            call(ws, ws.reconnect)
            assert log.get() == ('open',)
            assert ws.retryCount == 0


def test_reconnect_while_it_connects_or_asks(call: Any) -> None:
    release = threading.Event()
    with socket.create_server(('127.0.0.1', 0)) as silent, server() as wss:
        urls = iter([url_at(silent.getsockname()[1]), None, url_of(wss)])
        asked = threading.Event()

        def url() -> Any:
            answer = next(urls)
            if answer is None:
                asked.set()
                release.wait(TIMEOUT)
            return answer

        with reconnecting(url) as ws:
            log = Log(ws)
            until(lambda: ws.url is not None)
            call(ws, ws.reconnect)
            assert log.get() == ('close', 1000, '')
            assert asked.wait(TIMEOUT)
            call(ws, ws.reconnect)
            log.until('open')
            release.set()


def test_reconnect_after_the_end(call: Any) -> None:
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        log = Log(ws)
        for _ in range(3):
            log.until('open')
            assert stop(ws, 'close') == (1000, '')
            log.until('close')
            call(ws, ws.reconnect)
        log.until('open')
        ws.send('x')
        assert log.get()[1] == 'x'


def test_reconnect_in_its_own_listeners() -> None:
    with server() as wss, reconnecting(url_of(wss), minReconnectionDelay=NEVER, maxReconnectionDelay=NEVER) as ws:
        seen = collect(wss)
        ws.on('close', lambda: ws.reconnect())
        for code in (1000, 4000):
            seen.get()[1].close(code)
        seen.get()
        ws.removeAllListeners('close')
        ended = Waiter()
        ws.on('close', lambda this: ended() if this.readyState == CLOSED else None)
        ws.close()
        ended.get()


def test_close_and_reconnect_at_once() -> None:
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        log = Log(ws)
        log.until('open')
        for _ in range(20):
            ws.close()
            ws.reconnect()
            ws.send('x')
            assert [event[0] for event in log.until('message')].count('open') == 1


def test_the_process_is_kept_from_the_call_of_reconnect_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another thread, while the loop thread is about to end it."""
    released: list[Any] = []
    with echo_server() as wss, reconnecting(url_of(wss)) as ws:
        release = ws._loop.release
        monkeypatch.setattr(ws._loop, 'release', lambda handle: (released.append(handle), release(handle)))

        @ws.once('close')
        def closed() -> None:
            thread = threading.Thread(target=ws.reconnect)
            thread.start()
            thread.join()

        log = Log(ws)
        log.until('open')
        ws.close()
        log.until('open')
        assert ws not in released


def test_start_closed() -> None:
    with echo_server() as wss:
        threads = threading.active_count()
        ws = ReconnectingWebSocket(url_of(wss), {**FAST, 'startClosed': True})
        assert (ws.readyState, ws.shouldReconnect, threading.active_count()) == (CLOSED, False, threads)
        log = Log(ws)
        ws.close()
        ws.send('waited')
        assert log.nothing(0.05)
        ws.reconnect()
        assert log.get() == ('open',)
        assert log.get()[1] == 'waited'
        stop(ws)


def test_listeners_attached_just_after_reconnect() -> None:
    with echo_server() as wss:
        ws = ReconnectingWebSocket(url_of(wss), {**FAST, 'startClosed': True})
        ws.reconnect()
        until(lambda: ws.readyState == OPEN)
        wait_for(ws, 'open')
        stop(ws)
