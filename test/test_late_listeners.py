"""The thread contract (doc/threads.md): no event is lost to a listener that comes late."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from scripts import Scripts
from support import TIMEOUT, Log, Waiter, client, echo_server, end, on_loop, server, until, url_of, wait_for

from ws import WebSocket, WebSocketServer, delivery
from ws.delivery import SETTLE_FOR


@pytest.fixture
def hasty_switching() -> Iterator[None]:
    """Threads change places at nearly every bytecode: races that would take years show within seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# -- 3: no event is lost to a listener that comes late ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize('ends', [False, True], ids=['the client ends', 'the server ends in the same packet'])
def test_ten_thousand_connects_lose_nothing(hasty_switching: None, ends: bool) -> None:
    """Listeners attached in any order, in one go or now and then one by one, after random pauses of 0 to 100 ms; the
    server greets in the packet of its 101, and may end there, too."""
    total, workers = 10_000, 50
    problems: list[str] = []
    late: list[int] = []
    generator = random.Random(13)
    orders = [generator.sample(('open', 'message', 'error', 'close'), 4) for _ in range(total)]
    pauses = [generator.choice((0.0, 0.0, generator.random() / 10)) for _ in range(total)]
    slow = [generator.randrange(50) == 0 for _ in range(total)]  # attached in order, and one by one
    numbers = iter(range(total))

    def connect_one(number: int, address: str) -> None:
        events: list[str] = []
        ended = threading.Event()
        listeners: dict[str, Callable[..., object]] = {
            'open': lambda: events.append('open'),
            'message': lambda this, text: (events.append(text), ends or this.close()),
            'error': lambda error: events.append(repr(error)),
            'close': lambda: (events.append('close'), ended.set()),
        }
        made = time.monotonic()
        ws = WebSocket(address)
        time.sleep(pauses[number])
        order = ('open', 'message', 'error', 'close') if slow[number] else orders[number]
        gap, last = 0.0, time.monotonic()
        for event in order:
            ws.on(event, listeners[event])
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
            if slow[number]:
                time.sleep(pauses[number])
        in_one_go = slow[number] or gap < SETTLE_FOR / 1000
        if time.monotonic() > made + 1 or not in_one_go:  # the machine had no time for this thread: nothing is promised
            late.append(number)
            ws.terminate()
            return
        if not ended.wait(TIMEOUT) or events != ['open', 'hello', 'close']:
            problems.append(f'{number} ({order}, pause {pauses[number]:.3f}): {events}')

    def work(address: str) -> None:
        for number in numbers:
            connect_one(number, address)

    with server(backlog=1024) as wss:
        wss.on('connection', lambda ws: (ws.send('hello'), ends and ws.close()))
        address = url_of(wss)
        threads = [threading.Thread(target=work, args=(address,)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []
    assert len(late) < total / 10


def test_listeners_attached_while_it_is_looked_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread, that of `open` first: no message comes before it."""
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        ws = client(wss)
        log = Waiter()
        until(lambda: ws._kept is not None and len(ws._kept.waiting) == 2)
        until(lambda: ws._loop.awake >= ws._kept.settled)
        count, threads = ws.listenerCount, []

        def attach() -> None:
            ws.on('open', lambda: log('open'))
            ws.on('message', lambda message: log(message))

        def attach_after_the_first_look(event: str) -> int:
            found: int = count(event)
            if event == 'open' and not threads:
                threads.append(threading.Thread(target=attach))
                threads[0].start()
                threads[0].join(0.2)
            return found

        monkeypatch.setattr(ws, 'listenerCount', attach_after_the_first_look)
        ws._loop.call(ws._kept.hand_over)
        assert [log.get(), log.get()] == [('open',), ('hello',)]
        threads[0].join()
        end(ws)


def test_what_waits_is_handed_over_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'SETTLE_FOR', 500)
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with server() as wss:
        wss.on('connection', lambda ws: ([ws.send(str(i)) for i in range(5)], ws.close(1000, 'bye')))
        ws = client(wss)
        log = Waiter()
        until(lambda: ws.readyState == WebSocket.CLOSED)
        ws.on('close', lambda *args: log('close', *args))  # waits behind the others
        ws.on('message', lambda data: log(data))
        ws.on('open', lambda: log('open'))
        assert [log.get() for _ in range(7)] == [
            ('open',), ('0',), ('1',), ('2',), ('3',), ('4',), ('close', 1000, 'bye'),
        ]  # fmt: skip


def test_several_late_listeners_of_one_event_all_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attached in the same breath, they are there before what waits is handed over."""
    monkeypatch.setattr(delivery, 'SETTLE_FOR', 500)
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        ws = client(wss)
        until(lambda: ws._kept is not None and len(ws._kept.waiting) == 2)
        log = Waiter()
        ws.setMaxListeners(20)
        for number in range(20):
            ws.on('message', partial(log, number))
        assert [log.get()[0] for _ in range(20)] == list(range(20))
        end(ws, 'terminate')


def test_resuming_in_a_listener_calls_no_other_listener_in_the_middle_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'SETTLE_FOR', 500)
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        ws = client(wss)
        until(lambda: ws._kept is not None and len(ws._kept.waiting) == 2)
        log = Waiter()
        ws.on('message', lambda: log('message'))
        ws.on('open', lambda: (log('open'), ws.pause(), ws.resume(), log('opened')))
        assert [log.get()[0] for _ in range(3)] == ['open', 'opened', 'message']
        end(ws, 'terminate')


def test_what_waits_when_the_program_ends_is_handed_over(script: Scripts) -> None:
    code = """
        import sys
        from ws import WebSocket

        ws = WebSocket(sys.argv[1])
        while ws.readyState != ws.OPEN:
            pass
        ws.on('message', lambda: print('message'))
        ws.on('open', lambda: print('open'))
        sys.exit()
        """
    with server() as wss:
        wss.on('connection', lambda: None)
        assert script(code, url_of(wss)).end() == (0, 'open\n', '')


def test_events_with_a_listener_wait_behind_one_without_for_some_milliseconds_only() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        ws = client(wss)
        started = time.monotonic()
        message = Waiter()
        ws.on('message', message)
        assert message.get()[0] == 'hello'  # though nobody asked for `open` yet
        assert time.monotonic() - started < 0.9
        opened = Waiter()
        ws.on('open', opened)
        assert opened.get() == ()  # and it was not lost either
        end(ws, 'terminate')


def test_after_the_first_second_nothing_is_kept() -> None:
    with server() as wss:
        wss.on('connection', lambda: None)
        ws = client(wss)
        until(lambda: ws._kept is None)
        late = Waiter()
        ws.on('open', late)
        on_loop(ws, lambda: next(iter(wss.clients)).send('unheard'))
        pong = Waiter()
        ws.on('pong', pong)
        ws.ping()
        pong.get()
        ws.on('message', late)
        assert late.nothing()
        end(ws, 'terminate')


def test_reading_pauses_when_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with server() as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss)
        peer = connected.get()[0]
        for _ in range(64):
            peer.send(b'x' * 65536)
        until(lambda: ws._incoming._held)
        held = ws.bytesReceived
        assert Waiter().nothing(0.2)
        assert ws.bytesReceived == held < 1 << 20  # not the four megabytes that were sent
        count = Waiter()
        ws.on('open', lambda: None)
        ws.on('message', count)
        for _ in range(64):
            assert len(count.get()[0]) == 65536
        end(ws, 'close')


@pytest.mark.parametrize('seconds', [1.5, pytest.param(4.0, marks=pytest.mark.slow)])
def test_a_process_that_stands_still_loses_nothing(seconds: float, script: Scripts) -> None:
    """Stopped, or collecting garbage for longer than that second: the thread that listens stood still as well."""
    code = """
        import os, sys, threading
        from ws import WebSocket

        ws = WebSocket(sys.argv[1])
        while ws.readyState != ws.OPEN or not ws._kept.waiting:
            pass
        print('stop me', flush=True)
        sys.stdin.readline()
        threading.Event().wait(0.2)  # the loop gets its turn first
        ws.on('open', lambda: print('open'))
        ws.on('message', lambda message: (print(message), ws.close()))
        """
    with server() as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        child = script(code, url_of(wss))
        assert child.line() == 'stop me'
        child.process.send_signal(signal.SIGSTOP)
        assert Waiter().nothing(seconds)
        child.process.send_signal(signal.SIGCONT)
        assert child.process.communicate('\n', timeout=TIMEOUT) == ('open\nhello\n', '')


def test_objects_made_in_a_listener_keep_nothing() -> None:
    """There, the listeners are attached before the loop goes on."""
    with server() as wss:
        wss.on('connection', lambda: None)
        made = on_loop(wss, lambda: client(wss))
        assert made._kept is None
        until(lambda: made.readyState == WebSocket.OPEN)
        end(made, 'terminate')


def test_an_error_nobody_listens_to_is_reported(reported: list[BaseException]) -> None:
    with server() as wss:
        address = url_of(wss)
    ws = WebSocket(address)
    code, _ = wait_for(ws, 'close')
    assert code == 1006
    assert [type(error) for error in reported] == [ConnectionRefusedError]
    reported.clear()


def test_an_error_whose_listener_comes_late_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'SETTLE_FOR', 500)
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)
    with server() as wss:
        address = url_of(wss)
    ws = WebSocket(address)
    until(lambda: ws.readyState == WebSocket.CLOSED)
    log = Log(ws, 'error', 'close')
    error, close = log.get(), log.get()
    assert isinstance(error[1], ConnectionRefusedError)
    assert close == ('close', 1006, '')


def test_a_server_accepts_nobody_before_it_has_a_listener() -> None:
    with server() as wss:
        ws = client(wss)
        opened = Waiter()
        ws.on('open', opened)
        assert opened.nothing(0.1)
        connected = Waiter()
        wss.on('connection', connected)
        connected.get()
        opened.get()


def test_a_server_without_a_listener_accepts_after_a_second() -> None:
    with server() as wss:
        ws = client(wss)
        wait_for(ws, 'open')
        assert len(wss.clients) == 1


# -- 3: nor to an object that is not complete yet ---------------------------------------------------------------------


def test_nothing_happens_before_the_constructor_of_a_subclass_is_done(reported: list[BaseException]) -> None:
    class Client(WebSocket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.on('open', lambda: self.told())
            time.sleep(0.05)  # the loop thread would have connected long ago
            self.told = Waiter()

    with echo_server() as wss:
        ws = Client(url_of(wss))
        assert ws.told.get() == ()
        end(ws)


def test_a_constructor_may_end_what_it_makes() -> None:
    class Client(WebSocket):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.on('close', closed)
            self.terminate()
            until(lambda: self.readyState == self.CLOSED)

    class Server(WebSocketServer):
        def __init__(self) -> None:
            super().__init__(port=0, host='127.0.0.1')
            self.on('close', closed)
            self.close()
            until(lambda: self._closed)

    closed = Waiter()
    Client('ws://127.0.0.1:1')
    assert closed.get() == (1006, '')
    Server()
    assert closed.get() == ()


def test_the_listening_callback_knows_the_name_of_its_server() -> None:
    for _ in range(50):
        told = Waiter()
        wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'}, lambda: told(wss.address() is not None))  # noqa: B023
        assert told.get() == (True,)
        closed = Waiter()
        wss.close(closed)
        closed.get()


@pytest.mark.skipif(not hasattr(signal, 'setitimer'), reason='this platform has no interval timers')
def test_a_signal_handler_may_call_what_it_interrupts() -> None:
    """Python runs it between two bytecodes of the main thread, which may hold a lock just then."""
    with server() as wss:
        before = signal.signal(signal.SIGALRM, lambda *_: wss.unref())
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                wss.ref()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
