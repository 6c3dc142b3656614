"""Connections that come back, with servers that come and go on one port; and addresses that are asked for."""

from __future__ import annotations

import itertools
import queue
import socket
import threading
import time
from typing import Any

import pytest
from documents import free_port
from hops import hops, opened
from reconnecting.clients import NEVER, collect, reconnecting, stop, url_at
from support import TIMEOUT, Log, Waiter, echo_server, server, until, url_of, wait_for

from ws import CLOSED, CONNECTING, HandshakeError, NotOpenError, ReconnectingWebSocket
from ws.client.request import ClientRequest

# -- coming back ------------------------------------------------------------------------------------------------------


def test_twenty_restarts_in_order_and_without_loss_of_what_waited() -> None:
    """What is sent while nobody is there waits; what has arrived is not sent again."""
    numbers = itertools.count()
    with free_port() as port, reconnecting(url_at(port)) as ws:
        told = Waiter()
        sent = 0

        def send(count: int) -> None:
            nonlocal sent
            for number in itertools.islice(numbers, count):
                ws.send(str(number), lambda error, number=number: told(number, error))
                sent += 1

        received = []
        log = Log(ws, 'open', 'close')
        for restart in range(20):
            send(3)  # nobody is there
            with server(port=port) as wss:
                seen = collect(wss)
                assert seen.get()[0] == 'connection'
                received += [seen.get()[1] for _ in range(3)]
                send(2)
                received += [seen.get()[1] for _ in range(2)]
                assert seen.nothing(0)
                log.until('open')
                if restart % 2:
                    for connection in wss.clients:
                        connection.terminate()
                # else it is told to go away
            assert log.get()[1] == (1006 if restart % 2 else 1001)
        assert received == [str(number) for number in range(sent)]
        assert sorted(told.get() for _ in range(sent)) == [(number, None) for number in range(sent)]
        assert told.nothing(0)


def test_nothing_is_doubled_while_threads_send_and_servers_vanish() -> None:
    """At most once, in order for each thread, and each callback is called exactly once."""
    received: list[str] = []
    answers: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
    enough = threading.Event()
    counts = [0, 0]

    def produce(name: int) -> None:
        while not enough.is_set():
            text = f'{name}:{counts[name]}'
            counts[name] += 1
            ws.send(text, lambda error, text=text: answers.put((text, error is None)))
            time.sleep(0.0002)  # or the two would only fill the memory

    with free_port() as port, reconnecting(url_at(port)) as ws:
        threads = [threading.Thread(target=produce, args=[name]) for name in (0, 1)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            with server(port=port) as wss:
                wss.on('connection', lambda peer: peer.on('message', received.append))
                before = len(received)
                until(lambda before=before: len(received) > before + 10)
                for connection in wss.clients:
                    connection.terminate()
        enough.set()
        for thread in threads:
            thread.join()
        stop(ws)
    told = [answers.get(timeout=TIMEOUT) for _ in range(sum(counts))]
    assert answers.empty()
    assert len({text for text, _ in told}) == len(told)
    assert len(set(received)) == len(received)
    for name in (0, 1):
        mine = [int(text.split(':')[1]) for text in received if text.startswith(f'{name}:')]
        assert mine == sorted(mine)
    assert not {text for text, sent in told if not sent} & set(received)


def test_refused_connections_are_tried_again() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        log = Log(ws)
        for retry in range(3):
            error, close = log.until('close')
            assert error[0] == 'error' and isinstance(error[1], ConnectionRefusedError)
            assert close == ('close', 1006, '')
            until(lambda retry=retry: ws.retryCount > retry)
            assert ws.readyState == CONNECTING and ws.shouldReconnect
        with server(port=port):
            log.until('open')


def test_a_refusing_server_is_tried_again_until_somebody_gives_up() -> None:
    def refuse(info: Any, answer: Any) -> None:
        answer(False, 401, 'Unauthorized')

    with server(verifyClient=refuse) as wss, reconnecting(url_of(wss)) as ws:
        seen = Waiter()

        @ws.on('error')
        def failed(error: HandshakeError) -> None:
            seen(error.status)
            if ws.retryCount == 2:
                ws.close()

        ws.on('close', lambda code: seen(code, ws.readyState))
        expected = [(401,), (1006, CONNECTING)] * 2 + [(401,), (1006, CLOSED)]
        assert [seen.get() for _ in expected] == expected
        assert ws.retryCount == 2


def test_dead_hosts_are_given_connection_timeout() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(TIMEOUT)
        with reconnecting(url_at(listener.getsockname()[1]), connectionTimeout=30) as ws:
            log = Log(ws)
            for _ in range(2):
                error, close = log.until('close')
                assert isinstance(error[1], HandshakeError) and 'timed out' in str(error[1])
                assert close[1] == 1006
                listener.accept()[0].close()


def test_the_shorter_of_both_timeouts_counts() -> None:
    with socket.create_server(('127.0.0.1', 0)) as listener:
        url = url_at(listener.getsockname()[1])
        for options in ({'connectionTimeout': 0, 'handshakeTimeout': 30}, {'handshakeTimeout': 30}):
            with reconnecting(url, **options) as ws:
                assert 'timed out' in str(wait_for(ws, 'error')[0])
        with reconnecting(url, connectionTimeout=0, handshakeTimeout=0) as ws:
            errors = Waiter()
            ws.on('error', errors)
            assert errors.nothing()


def test_max_retries() -> None:
    with free_port() as port, reconnecting(url_at(port), maxRetries=2, startClosed=True) as ws:
        log = Log(ws)
        states: list[int] = []
        ws.on('close', lambda: states.append(ws.readyState))
        ws.reconnect()
        for _ in range(3):
            log.until('close')
        until(lambda: len(states) == 3)
        assert states == [CONNECTING, CONNECTING, CLOSED]
        assert log.nothing(0.05)
        assert (ws.retryCount, ws.shouldReconnect) == (2, False)
        with echo_server(port=port) as wss:
            ws.reconnect()
            log.until('open')
            assert ws.retryCount == 0
            assert wss.clients


def test_callbacks_of_what_is_dropped_come_before_the_last_close() -> None:
    with free_port() as port, reconnecting(url_at(port), maxRetries=0, startClosed=True) as ws:
        seen = Waiter()
        ws.send('x', lambda error: seen(type(error)))
        ws.on('error', lambda: None)
        ws.on('close', seen)
        ws.reconnect()
        assert [seen.get()[0] for _ in range(2)] == [NotOpenError, 1006]


@pytest.mark.parametrize(('uptime', 'lives'), [(0, True), (NEVER, False)])
def test_a_connection_that_lasted_counts_as_a_fresh_start(uptime: float, lives: bool) -> None:
    with server() as wss, reconnecting(url_of(wss), minUptime=uptime, maxRetries=1) as ws:
        log = Log(ws)
        log.until('open')
        for connection in wss.clients:
            connection.terminate()
        log.until('open')
        assert ws.retryCount == (0 if lives else 1)
        for connection in wss.clients:
            connection.terminate()
        log.until('close')
        if lives:
            log.until('open')
        else:
            until(lambda: ws.readyState == CLOSED)


@pytest.mark.parametrize(
    'codes', [[1000, 4001], (code for code in (4001,)), lambda code: code == 4001, lambda code, reason: reason == 'go']
)
def test_terminal_codes(codes: Any) -> None:
    with server() as wss, reconnecting(url_of(wss), terminalCodes=codes) as ws:
        seen, log = collect(wss), Log(ws)
        seen.get()[1].close(4000, 'come again')
        assert log.until('close')[-1] == ('close', 4000, 'come again')
        seen.get()[1].close(4001, 'go')
        assert log.until('close')[-1] == ('close', 4001, 'go')
        until(lambda: ws.readyState == CLOSED)
        assert not ws.shouldReconnect
        assert seen.nothing(0.05)


def test_terminal_codes_that_raise_are_reported_and_do_not_end_it(reported: list[BaseException]) -> None:
    def raises(code: int) -> bool:
        raise ArithmeticError(code)

    with server() as wss, reconnecting(url_of(wss), terminalCodes=raises) as ws:
        seen = collect(wss)
        seen.get()[1].close(4000)
        seen.get()
        assert isinstance(reported.pop(), ArithmeticError)
        assert ws.shouldReconnect


def test_any_close_code_is_followed_by_another_attempt_unless_told_otherwise() -> None:
    with server() as wss, reconnecting(url_of(wss)):
        seen = collect(wss)
        for code in (1000, 1001, 1008, 4999):
            seen.get()[1].close(code)
        seen.get()


# -- URLs that are asked for ------------------------------------------------------------------------------------------


def test_the_url_is_asked_anew_each_time_and_not_on_the_loop_thread() -> None:
    threads: list[str] = []

    with server() as wss:
        seen = collect(wss)
        numbers = itertools.count()

        def url() -> str:
            threads.append(threading.current_thread().name)
            return url_of(wss, f'/{next(numbers)}')

        with reconnecting(url) as ws:
            assert ws.url is None or ws.url.endswith('/0')
            for number in range(3):
                peer = seen.get()[1]
                assert peer.upgradeReq.url == f'/{number}'
                peer.close()
            until(lambda: str(ws.url).endswith('/3'))
        assert set(threads) == {'ws-url'}


def test_sub_protocols_are_asked_for_too() -> None:
    numbers = itertools.count()
    with server(handleProtocols=lambda protocols: protocols[0]) as wss:
        seen = collect(wss)
        with reconnecting(url_of(wss), lambda: [f'v{next(numbers)}']) as ws:
            for number in range(2):
                wait_for(ws, 'open')
                assert ws.protocol == f'v{number}'
                seen.get()[1].close()
            wait_for(ws, 'open')
        with reconnecting(url_of(wss), protocols=lambda: 'chat') as ws:
            wait_for(ws, 'open')
            assert ws.protocol == 'chat'


def test_a_url_function_that_raises(reported: list[BaseException]) -> None:
    answers = Waiter()

    def url() -> str:
        raise LookupError('no token')

    with reconnecting(url) as ws:
        ws.on('close', answers)
        log = Log(ws)
        error, close = log.until('close')
        assert (str(error[1]), close) == ('no token', ('close', 1006, ''))
        assert error[1].__traceback__.tb_frame.f_code.co_name in ('url', '<listcomp>', '_ask')
        ws.removeAllListeners('error')
        answers.get()
        answers.get()
        until(lambda: reported)  # it is the program's
    assert all(isinstance(error, LookupError) for error in reported)
    reported.clear()


@pytest.mark.parametrize('answer', [None, 5, '', 'nothing', 'http//', 'ws://', b'ws://127.0.0.1', object()])
def test_a_url_function_that_returns_rubbish(answer: Any) -> None:
    answers = iter([answer, answer])
    with server() as wss, reconnecting(lambda: next(answers, url_of(wss))) as ws:
        log = Log(ws)
        for _ in range(2):
            error, close = log.until('close')
            assert isinstance(error[1], (TypeError, ValueError))
            assert close[1] == 1006
        log.until('open')


@pytest.mark.parametrize('answer', [5, [5], b'x', {'a': 1}, ['a b']])
def test_a_protocols_function_that_returns_rubbish(answer: Any) -> None:
    answers = iter([answer])
    with server() as wss, reconnecting(url_of(wss), lambda: next(answers, None)) as ws:
        log = Log(ws)
        error, close = log.until('close')
        assert isinstance(error[1], (TypeError, ValueError))
        assert close[1] == 1006
        log.until('open')


def test_a_url_function_that_blocks_holds_up_nobody_and_is_given_up() -> None:
    release = threading.Event()
    answers = iter([lambda: release.wait(TIMEOUT)])

    with echo_server() as wss:

        def url() -> str:
            next(answers, lambda: None)()
            return url_of(wss)

        with reconnecting(url, connectionTimeout=50) as ws, reconnecting(url_of(wss)) as other:
            log = Log(ws)
            wait_for(other, 'open')
            other.send('x')
            assert wait_for(other, 'message')[0] == 'x'
            error, close = log.until('close')
            assert isinstance(error[1], HandshakeError) and 'timed out' in str(error[1])
            assert close[1] == 1006
            log.until('open')  # by another thread
            release.set()
            assert log.nothing(0.05)


# -- opening handshakes -----------------------------------------------------------------------------------------------


def test_redirects_are_followed_anew_each_time() -> None:
    options = {'followRedirects': True, 'startClosed': True}
    with hops('/there', opened, '/elsewhere', opened) as peer, reconnecting(peer.url(), **options) as ws:
        log = Log(ws, 'redirect', 'upgrade', 'open', 'close')
        seen = Waiter()
        ws.on('redirect', lambda: seen(ws.url))
        ws.on('upgrade', lambda response: seen(ws.upgradeRes is response, ws.url))
        ws.reconnect()
        for path in ('/there', '/elsewhere'):
            assert [event[0] for event in log.until('close')] == ['redirect', 'upgrade', 'open', 'close']
            assert seen.get() == (peer.url(path),)
            assert seen.get() == (True, peer.url(path))
    assert peer.targets()[:4] == ['/', '/there', '/', '/elsewhere']


def test_who_finishes_the_request_is_given_what_reconnects() -> None:
    given = Waiter()
    with server() as wss, reconnecting(url_of(wss), finishRequest=lambda request, ws: (given(ws), request.end())) as ws:
        wait_for(ws, 'open')
        assert given.get() == (ws,)
        assert ws._socket is not None and ws._socket.remotePort == wss.address().port
    with server() as wss, reconnecting(url_of(wss), finishRequest=lambda this, request: this.close()) as ws:
        assert wait_for(ws, 'close') == (1006, '')
        assert ws.readyState == CLOSED
    with pytest.raises(TypeError, match='finishRequest'):
        ReconnectingWebSocket('ws://localhost', finishRequest='no function')


def test_a_request_that_was_answered_may_be_given_up() -> None:
    busy = b'HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy'
    with hops(busy, opened) as peer, reconnecting(peer.url(), startClosed=True) as ws:
        log = Log(ws, 'unexpected-response', 'open', 'error', 'close')
        ws.on('unexpected-response', lambda request: request.abort())
        ws.reconnect()
        assert [event[0] for event in log.until('close')] == ['unexpected-response', 'close']
        assert [event[0] for event in log.until('close')] == ['open', 'close']


def test_the_binary_type_is_set_while_it_connects() -> None:
    connecting, requests = Waiter(), Waiter()

    def finish(request: ClientRequest) -> None:
        requests(request)
        connecting()

    with server() as wss:
        wss.on('connection', lambda ws: (ws.send(b'ab', fin=False), ws.send(b'c')))
        with reconnecting(url_of(wss), finishRequest=finish) as ws:
            connecting.get()
            ws.binaryType = 'fragments'
            requests.get()[0].end()
            assert wait_for(ws, 'message')[0] == [b'ab', b'c']


def test_what_was_kept_is_handed_over_by_the_binary_type_of_then() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.send(b'one'), ws.send('two'), ws.ping()))
        with reconnecting(url_of(wss)) as ws:
            wait_for(ws, 'ping')
            ws.binaryType = 'arraybuffer'
            log = Log(ws, 'message')
            one, two = log.get()[1], log.get()[1]
            assert (one, type(one), two) == (b'one', bytearray, 'two')
