"""WebSocket: how connections end."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
from typing import Any

import ends
import pytest
from compatibility.peers import in_node, silence
from fakes import accept, fake_server
from support import TIMEOUT, Log, Waiter, client, echo_server, end, on_loop, read_all, until, wait_for

from ws import HandshakeError, WebSocket, WebSocketError, delivery
from ws.protocol.frames import build_frame


@pytest.mark.parametrize(
    ('args', 'seen', 'answer'),
    [
        ((), (1000, ''), (1000, '')),
        ((1000,), (1000, ''), (1000, '')),
        ((1000, 'some reason'), (1000, 'some reason'), (1000, 'some reason')),
        ((None, 'r'), (1000, 'r'), (1000, 'r')),
        ((1001, 'Grüße'), (1001, 'Grüße'), (1001, 'Grüße')),
        ((4999, b'x' * 123), (4999, 'x' * 123), (4999, 'x' * 123)),
    ],
)
@pytest.mark.parametrize('side', ['client', 'server'])
def test_close(pair: tuple[WebSocket, WebSocket], args: Any, seen: Any, answer: Any, side: str) -> None:
    """Items 74 to 77: both ends see the code and the reason."""
    this, other = pair if side == 'client' else pair[::-1]
    heard = Waiter()
    other.on('close', heard)
    assert end(this, 'close', *args) == answer
    assert heard.get() == seen


BAD_CODE = 'first argument must be a valid error code number'


@pytest.mark.parametrize('code', ['error', 1004, 1005, 1006, 999, 0, 2000, 5000, 1000.0, True])
@pytest.mark.parametrize('heard', [False, True])
@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_close_with_a_bad_code(pair: tuple[WebSocket, WebSocket], code: Any, heard: bool, where: str) -> None:
    """Items 72 and 73: it raises if nobody listens for errors, and the connection ends all the same."""
    ws, peer = pair
    log = Log(ws, 'error', 'close') if heard else Log(ws, 'close')
    peer_log = Log(peer, 'message', 'close')

    def close() -> None:
        ws.send('before')
        with contextlib.nullcontext() if heard else pytest.raises(WebSocketError, match=BAD_CODE):
            ws.close(code)

    on_loop(ws, close) if where == 'loop' else close()
    if heard:
        kind, error = log.get()
        assert (kind, str(error)) == ('error', BAD_CODE)
    assert log.get() == ('close', 1006, '')
    assert peer_log.get()[:2] == ('message', 'before')
    assert peer_log.get() == ('close', 1006, '')
    assert log.nothing(0.01)


@pytest.mark.parametrize(
    ('reason', 'text'),
    [
        ('x' * 124, '123 bytes'),
        ('ü' * 62, '123 bytes'),
        (b'x' * 124, '123 bytes'),
        (5, 'string'),
        (b'\xff', 'UTF-8'),
        ('\ud800', 'UTF-8'),
    ],
)
@pytest.mark.parametrize('side', ['client', 'server'])
def test_close_with_a_bad_reason(pair: tuple[WebSocket, WebSocket], reason: Any, text: str, side: str) -> None:
    this, other = pair if side == 'client' else pair[::-1]
    log, other_log = Log(this, 'close'), Log(other, 'close')
    with pytest.raises(WebSocketError, match=text):
        this.close(1000, reason)
    assert log.get() == other_log.get() == ('close', 1006, '')


@pytest.mark.parametrize('kind', ends.KINDS)
def test_close_with_a_bad_code_sends_what_is_queued_and_no_close_frame(kind: str) -> None:
    with ends.connection(kind) as this:
        log = Log(this.ws, 'error', 'close')
        this.ws.send('x' * 100_000, {'mask': False})
        this.ws.close(1006)
        assert read_all(this.sock) == this.sent('x' * 100_000)
        this.sock.close()
        assert [event[0] for event in log.until('close')] == ['error', 'close']


@pytest.mark.parametrize('heard', [False, True])
def test_close_with_a_bad_code_while_connecting(heard: bool) -> None:
    with echo_server() as wss:

        def connect_and_close() -> Log:
            ws = client(wss)
            log = Log(ws) if heard else Log(ws, 'open', 'close')
            with contextlib.nullcontext() if heard else pytest.raises(WebSocketError, match=BAD_CODE):
                ws.close(1)
            return log

        events = on_loop(wss, connect_and_close).until('close')
        assert [event[0] for event in events] == ['error'] * heard + ['close']
        assert events[-1] == ('close', 1006, '')


def test_close_with_a_bad_code_in_a_listener(pair: tuple[WebSocket, WebSocket], reported: list[BaseException]) -> None:
    """Both ends end, and the mistake is reported."""
    ws, peer = pair
    log, peer_log = Log(ws, 'close'), Log(peer, 'close')
    peer.on('message', lambda this: this.close(4))
    ws.send('x')
    assert log.get() == peer_log.get() == ('close', 1006, '')
    assert str(reported.pop()) == BAD_CODE


def test_nothing_is_said_after_close(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    log = Log(ws, 'error', 'close')
    release = threading.Event()
    ws._loop.call(lambda: release.wait(TIMEOUT))
    ws.terminate()
    ws.close(9999)  # an error, told too late
    ws.ping()
    release.set()
    assert log.get() == ('close', 1006, '')
    assert log.nothing(0.05)


def test_closing_twice_changes_nothing(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, _ = pair
    closed = Waiter()
    ws.on('close', closed)
    ws.close(1000, 'first')
    ws.close(1001, 'second')
    assert closed.get() == (1000, 'first')
    ws.close()
    assert closed.nothing(0.05)


GIVEN_UP = 'WebSocket was closed before the connection was established'


@pytest.mark.parametrize('method', ['close', 'terminate'])
@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
@pytest.mark.parametrize('listens', [True, False])
def test_ending_while_connecting(method: str, where: str, listens: bool) -> None:
    """Items 14, 15, 26 and 27: no `open`, one `close` with 1006; the listener may come after the call. `error` comes
    only if somebody listens, and is never reported."""
    with silence() as url:

        def connect_and_end() -> Log:
            ws = WebSocket(url)
            getattr(ws, method)()
            getattr(ws, method)()
            return Log(ws) if listens else Log(ws, 'open', 'close')

        events = (in_node(connect_and_end) if where == 'loop' else connect_and_end()).until('close')
        if listens:
            kind, error = events.pop(0)
            assert (kind, type(error), str(error)) == ('error', HandshakeError, GIVEN_UP)
        assert events == [('close', 1006, '')]


def test_the_state_when_an_attempt_is_given_up() -> None:
    with silence() as url:
        ws = WebSocket(url)
        seen = Waiter()
        ws.on('error', lambda: (ws.terminate(), seen(ws.readyState)))
        ws.on('close', lambda: seen(ws.readyState))
        ws.close()
        assert [seen.get()[0], seen.get()[0]] == [ws.CLOSING, ws.CLOSED]
        assert seen.nothing(0.02)


def test_the_end_of_the_process_is_no_error_of_who_is_connecting() -> None:
    with silence() as url:
        ws = WebSocket(url)
        log = Log(ws)
        ws._loop.call(ws.shutdown)
        assert log.get() == ('close', 1006, '')


def test_terminate(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    heard = Waiter()
    peer.on('close', heard)

    def terminate() -> int:
        ws.terminate()
        return ws.readyState

    closed = Waiter()
    ws.on('close', closed)
    assert on_loop(ws, terminate) == ws.CLOSING
    assert closed.get() == heard.get() == (1006, '')
    ws.terminate()
    assert ws.readyState == ws.CLOSED


def test_a_peer_that_never_answers_the_close() -> None:
    finished = threading.Event()

    def deaf(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        finished.wait(TIMEOUT)

    with fake_server(deaf) as url:
        ws = WebSocket(url, closeTimeout=100)
        wait_for(ws, 'open')
        assert end(ws, 'close', 1000) == (1006, '')
        finished.set()


@pytest.mark.parametrize('last', [b'\x88\x02\x03\xe8', b''], ids=['close frame', 'end of sending'])
def test_a_peer_that_never_ends_the_connection(last: bytes) -> None:
    """After its close frame, or after it has finished sending without reading what we still have to say."""
    finished = threading.Event()

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + last)
        if not last:
            sock.shutdown(socket.SHUT_WR)
        finished.wait(TIMEOUT)

    with fake_server(talk) as url:
        ws = WebSocket(url, closeTimeout=100)
        ws.on('open', lambda: [ws.send(b'x' * 65536) for _ in range(400)])
        closed = Waiter()
        ws.on('close', closed)
        assert closed.get() == ((1000, '') if last else (1006, ''))
        finished.set()


def test_a_reset_and_a_timeout_at_once_are_one_failure() -> None:
    blocked, reset = threading.Event(), threading.Event()

    def talk(sock: socket.socket, head: bytes) -> None:
        assert blocked.wait(TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        sock.close()
        reset.set()

    def block() -> None:
        blocked.set()
        reset.wait(TIMEOUT)
        threading.Event().wait(2)  # past the deadline: reset and timeout are found in the same turn

    with fake_server(talk) as url:
        ws = WebSocket(url, handshakeTimeout=2000)
        log = Log(ws)
        until(lambda: ws._opening is not None and ws._opening._exchange is not None and ws._opening._exchange._stream)
        ws._loop.call(block)
        assert [event[0] for event in log.until('close')] == ['error', 'close']
        assert log.nothing(0.05)


def test_a_late_listener_hears_of_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, 'SETTLE_FOR', 500)
    monkeypatch.setattr(delivery, 'KEEP_FOR', 20_000)

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head))
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    for listens in (True, False):  # and if nobody does, it is not reported: `close` says enough
        with fake_server(talk) as url:
            ws = WebSocket(url)
            opened = Waiter()
            ws.on('open', opened)
            opened.get()
            ws.send('x')
            until(lambda: ws.readyState == ws.CLOSED)  # noqa: B023  # called before the next round
            log = Log(ws, 'error', 'close') if listens else Log(ws, 'close')
            events = log.until('close')
            assert [type(event[1]) for event in events[:-1]] == ([ConnectionResetError] if listens else [])
            assert events[-1] == ('close', 1006, '')


def test_a_peer_that_vanishes_without_a_close_frame() -> None:
    with fake_server(lambda sock, head: sock.sendall(accept(head))) as url:
        log = Log(WebSocket(url))
        assert log.until('close') == [('open',), ('close', 1006, '')]


def test_a_peer_that_resets_the_connection() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + build_frame(1, b'last words'))
        sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    with fake_server(talk) as url:
        ws = WebSocket(url)
        log = Log(ws)
        assert [entry[0] for entry in (log.get(), log.get())] == ['open', 'message']
        ws.send('go on')
        events = log.until('close')
        assert events[-1] == ('close', 1006, '')
        assert [type(event[1]) for event in events[:-1]] in ([], [ConnectionResetError])


def test_a_close_frame_without_a_code() -> None:
    """RFC 6455 section 7.1.5: 1005, and never on the wire."""

    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + b'\x88\x00')
        answers.put_nowait(read_all(sock))

    answers: queue.Queue[bytes] = queue.Queue()
    with fake_server(talk) as url:
        log = Log(WebSocket(url))
        assert log.until('close') == [('open',), ('close', 1005, '')]
        answer = answers.get(timeout=TIMEOUT)
    assert answer[:2] == b'\x88\x80'  # masked, and as empty


def test_a_close_frame_behind_messages_and_a_fin() -> None:
    def talk(sock: socket.socket, head: bytes) -> None:
        sock.sendall(accept(head) + build_frame(1, b'1') + build_frame(1, b'2') + b'\x88\x05\x0b\xb8bye')
        sock.shutdown(socket.SHUT_WR)
        read_all(sock)

    with fake_server(talk) as url:
        events = Log(WebSocket(url)).until('close')
    assert [event[:3] if event[0] == 'close' else event[:2] for event in events] == [
        ('open',), ('message', '1'), ('message', '2'), ('close', 3000, 'bye'),
    ]  # fmt: skip


def test_what_is_queued_goes_out_before_the_close_frame(pair: tuple[WebSocket, WebSocket]) -> None:
    ws, peer = pair
    log = Log(peer, 'message', 'close')

    def send_all() -> None:
        for _ in range(50):
            ws.send(b'x' * 100_000)
        ws.close(1000, 'done')

    on_loop(ws, send_all)
    assert [len(log.get()[1]) for _ in range(50)] == [100_000] * 50
    assert log.get() == ('close', 1000, 'done')
