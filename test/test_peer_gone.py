"""WebSocket: what becomes of a connection, and of what is still to go out over it, when one end simply leaves."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from typing import Any

import ends
import pytest
from ends import End
from streams import reset
from support import TIMEOUT, Log, Waiter, on_loop, raw_client, read_all, server, until

from ws import ProtocolError, WebSocket
from ws.net.poller import READ
from ws.protocol.frames import build_frame


def block(ws: WebSocket) -> threading.Event:
    """Hold the loop thread up until the event returned is set."""
    blocked, release = threading.Event(), threading.Event()
    ws._loop.call(lambda: (blocked.set(), release.wait(TIMEOUT)))
    assert blocked.wait(TIMEOUT)
    return release


def arrived(ws: WebSocket) -> None:
    """Wait until something can be read from the connection, be it its end."""
    assert ws._stream is not None
    select.select([ws._stream._fd], [], [], TIMEOUT)


# -- a reset ----------------------------------------------------------------------------------------------------------


def write_into_the_void(ws: WebSocket) -> None:
    """Have a write notice, on the loop thread and before anything is read, that the peer is gone."""
    stream = ws._stream
    assert stream is not None
    deadline = time.monotonic() + TIMEOUT
    while not stream._ended and not stream.closed and time.monotonic() < deadline:
        ws.send('x')
        stream.flush()
    assert stream._ended or stream.closed


@pytest.mark.parametrize('listens', [True, False])
def test_a_reset_that_a_write_notices(this: End, listens: bool, switching: None) -> None:
    """As one that reading notices: `error`, if it is heard, then `close`."""
    ws = this.ws
    log = Log(ws, 'error', 'close') if listens else Log(ws, 'close')
    on_loop(ws, lambda: (this.reset(), write_into_the_void(ws)))
    events = log.until('close')
    assert [isinstance(event[1], OSError) for event in events[:-1]] == [True] * listens
    assert events[-1] == ('close', 1006, '')
    assert log.nothing(0.02)


def test_a_reset_behind_a_close_frame_that_a_write_notices(this: End, switching: None) -> None:
    """What had come before it counts."""
    ws = this.ws
    log = Log(ws, 'message', 'error', 'close')
    ws.send('never read')
    select.select([socket.socket.fileno(this.sock)], [], [], TIMEOUT)

    def reset_behind_a_close_frame() -> None:
        this.sock.sendall(this.text('last') + this.close_frame())
        this.sock.close()  # with our message unread, that is an RST behind it
        write_into_the_void(ws)

    on_loop(ws, reset_behind_a_close_frame)
    assert log.get()[:2] == ('message', 'last')
    assert log.get() == ('close', 1005 if this.kind == 'hixie' else 3000, '')
    assert log.nothing(0.02)


# The ssl module of some versions takes a reset that an SSLSocket reads for an ordinary end.
def test_a_reset_that_reading_notices(this: End, switching: None) -> None:
    log = Log(this.ws, 'error', 'close')
    this.reset()
    check_reset(this, log.until('close'))


def check_reset(this: End, events: list[Any]) -> None:
    *errors, close = events
    assert [isinstance(error[1], OSError) for error in errors] == [True] or this.kind == 'client tls socket'
    assert close == ('close', 1006, '')


def test_a_reset_in_place_of_the_answer_to_close(this: End, switching: None) -> None:
    log = Log(this.ws, 'error', 'close')
    this.ws.close()
    assert this.sock.recv(1)  # of the close frame
    this.reset()
    check_reset(this, log.until('close'))


# -- protocol errors after close() ------------------------------------------------------------------------------------


@pytest.mark.parametrize('listens', [True, False])
def test_a_protocol_error_after_close(this: End, listens: bool, switching: None) -> None:
    log = Log(this.ws, 'error', 'close') if listens else Log(this.ws, 'close')
    on_loop(this.ws, this.ws.close)
    this.sock.sendall(this.wrong())
    if listens:
        kind, error, code = log.get()
        assert (kind, type(error), code) == ('error', ProtocolError, 1002)
    with contextlib.suppress(OSError):
        read_all(this.sock)
    this.sock.close()
    assert log.get() == ('close', 1006, '')
    assert log.nothing(0.02)


def test_one_error_is_enough(this: End, switching: None) -> None:
    """The peer breaks a rule, and then the connection."""
    log = Log(this.ws, 'error', 'close')
    this.sock.sendall(this.wrong())
    assert isinstance(log.get()[1], ProtocolError)
    this.reset()
    assert log.get() == ('close', 1006, '')


# -- terminate() behind send() ----------------------------------------------------------------------------------------


def read_end(this: End) -> bytes:
    """What arrives, up to the end, however abrupt that is."""
    data = bytearray()
    with contextlib.suppress(OSError):
        while True:
            piece = this.sock.recv(65536)
            if not piece:
                break
            data += piece
    return bytes(data)


@pytest.mark.parametrize('where', ['loop', 'elsewhere'])
def test_what_was_sent_before_terminate_arrives(this: End, where: str, switching: None) -> None:
    log = Log(this.ws, 'error', 'close')
    told = Waiter()

    def say_and_leave() -> None:
        this.ws.send('sorry', {'mask': False}, told)
        this.ws.terminate()

    on_loop(this.ws, say_and_leave) if where == 'loop' else say_and_leave()
    assert read_end(this) == this.sent('sorry')
    assert told.get() == (None,)
    assert log.get() == ('close', 1006, '')
    assert log.nothing(0.02)


def test_what_was_sent_before_terminate_in_a_message_listener_arrives(this: End, switching: None) -> None:
    told = Waiter()
    this.ws.on('message', lambda: (this.ws.send('sorry', {'mask': False}, told), this.ws.terminate()))
    this.sock.sendall(this.text('x'))
    assert read_end(this) == this.sent('sorry')
    assert told.get() == (None,)


@pytest.mark.parametrize('tls', [False, True])
def test_a_client_that_is_terminated_in_the_connection_listener(tls: bool, switching: None) -> None:
    """It gets the answer to its handshake, and what was sent behind it."""
    told = Waiter()
    with server(**(ends.tls_options() if tls else {})) as wss:
        wss.on('connection', lambda ws: (ws.send('sorry', told), ws.terminate()))
        with ends.our_client(wss) as ws:
            log = Log(ws)
            assert log.get() == ('open',)
            assert log.get()[:2] == ('message', 'sorry')
            assert log.until('close')[-1] == ('close', 1006, '')
            assert told.get() == (None,)


def test_terminate_waits_for_nobody(this: End, switching: None) -> None:
    """Of what the kernel takes no more of, the callbacks get an error."""
    answers = Waiter()

    def send_much_and_leave() -> None:
        for _ in range(200):
            this.ws.send(b'x' * 100_000, answers)
        this.ws.terminate()

    closed = Waiter()
    this.ws.on('close', closed)
    on_loop(this.ws, send_much_and_leave)
    taken = [answers.get()[0] is None for _ in range(200)]
    assert taken == sorted(taken, reverse=True) and not taken[-1]
    assert closed.get() == (1006, '')


def test_terminate_after_a_reset_is_no_error(this: End, switching: None) -> None:
    log = Log(this.ws, 'error', 'close')
    on_loop(this.ws, lambda: (this.reset(), this.ws.send('x'), this.ws.terminate()))
    assert log.get() == ('close', 1006, '')
    assert log.nothing(0.02)


# -- gone at once -----------------------------------------------------------------------------------------------------


@pytest.mark.loop
def test_each_close_comes_when_its_client_leaves_the_list() -> None:
    """A server that ends when the last one has left must not see all of them gone in the `close` of the first."""
    with server() as wss:
        peers, left = Waiter(), Waiter()
        wss.on('connection', peers)
        with raw_client(wss) as one, raw_client(wss) as another:
            clients = [peers.get()[0], peers.get()[0]]
            for ws in clients:
                ws.on('close', lambda: left(len(wss.clients)))

            def one_turn() -> None:
                for sock in (one, another):
                    sock.shutdown(socket.SHUT_WR)
                for ws in clients:
                    arrived(ws)
                    ws._stream.on_event(READ)

            on_loop(wss, one_turn)
            assert [left.get(), left.get()] == [(1,), (0,)]


@pytest.mark.parametrize('how', ['finish', 'reset'])
def test_who_is_gone_is_no_client_any_more(how: str, switching: None) -> None:
    """Already for the next listener of the same turn."""
    with server() as wss:
        peers = Waiter()
        wss.on('connection', peers)
        with raw_client(wss) as gone, raw_client(wss) as other:
            lost, innocent = peers.get()[0], peers.get()[0]
            log = Log(lost, 'close')
            seen = Waiter()

            @innocent.on('message')
            def message() -> None:
                seen(list(wss.clients))
                for ws in wss.clients:
                    ws.send('to all')

            def one_turn() -> None:
                """Both have something to read, as one poll tells."""
                if how == 'finish':
                    gone.shutdown(socket.SHUT_WR)
                else:
                    reset(gone)
                other.sendall(build_frame(1, b'x', True, True))
                for ws in (lost, innocent):
                    arrived(ws)
                    ws._stream.on_event(READ)

            on_loop(innocent, one_turn)
            assert seen.get() == ([innocent],)
            assert other.recv(100) == b'\x81\x06to all'
            assert log.get() == ('close', 1006, '')


# An SSLSocket takes the end of the peer for the end of both.
@pytest.mark.parametrize('kind', [kind for kind in ends.KINDS if kind != 'client tls socket'])
def test_a_peer_that_has_finished_and_is_slow_to_read(kind: str, switching: None) -> None:
    """`close` does not wait until what is queued has gone; that goes out in the background."""
    with ends.connection(kind, closeTimeout=2 * TIMEOUT * 1000) as this:
        answers = Waiter()
        log = Log(this.ws, 'error', 'close')
        on_loop(this.ws, lambda: [this.ws.send(b'x' * 500_000, {'mask': False}, answers) for _ in range(40)])
        this.finish()
        assert log.get() == ('close', 1006, '')  # which else came after closeTimeout
        assert this.ws.readyState == WebSocket.CLOSED
        assert this.ws in this.ws._loop._handles  # the process must not end yet
        assert len(read_end(this)) > 40 * 500_000
        assert [answers.get() for _ in range(40)] == [(None,)] * 40
        assert log.nothing(0.02)
        until(lambda: this.ws not in this.ws._loop._handles)


def test_a_peer_that_has_finished_and_never_reads(this: End) -> None:
    """The socket is closed after closeTimeout all the same."""
    on_loop(this.ws, lambda: [this.ws.send(b'x' * 500_000) for _ in range(40)])
    closed = Waiter()
    this.ws.on('close', closed)
    this.finish()
    assert closed.get() == (1006, '')
    until(lambda: this.ws._stream.closed)


def test_messages_before_the_end_are_delivered(this: End, switching: None) -> None:
    log = Log(this.ws, 'message', 'close')
    release = block(this.ws)
    this.sock.sendall(b''.join(this.text(str(number)) for number in range(500)))
    this.finish()
    release.set()
    assert [log.get()[1] for _ in range(500)] == [str(number) for number in range(500)]
    assert log.get() == ('close', 1006, '')


@pytest.mark.parametrize('kind', ['server', 'server tls', 'client tls', 'client tls socket'])
def test_messages_before_the_end_wait_for_resume(kind: str) -> None:
    """Also if the end has been read together with them: TLS has one of its own."""
    with ends.connection(kind) as this:
        log = Log(this.ws, 'message', 'close')
        this.ws.once('message', lambda: this.ws.pause())
        release = block(this.ws)
        this.sock.sendall(b''.join(this.text(str(number)) for number in range(3)))
        if 'tls' in kind:
            this.sock.settimeout(0)
            with contextlib.suppress(OSError):
                this.sock.unwrap()  # sends close_notify
        else:
            this.finish()
        arrived(this.ws)
        release.set()
        assert log.get()[1] == '0'
        assert log.nothing(0.05)
        this.ws.resume()
        assert [log.get()[1] for _ in range(2)] == ['1', '2']
        assert log.get() == ('close', 1006, '')


# -- its name ---------------------------------------------------------------------------------------------------------


@pytest.mark.loop
@pytest.mark.parametrize('how', ['finish', 'reset', 'terminate'])
def test_the_peer_keeps_its_name(this: End, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """In every event, in log lines and to the end."""
    ws = this.ws
    seen = Waiter()

    def note(event: str) -> None:
        assert ws._socket is not None
        seen(event, (ws._socket.remoteAddress, ws._socket.remotePort), repr(ws))

    caplog.set_level(logging.DEBUG, 'ws')
    ws.on('message', lambda: note('message'))
    ws.on('close', lambda: note('close'))
    release = block(ws)
    this.sock.sendall(this.text('x'))
    arrived(ws)
    ws.terminate() if how == 'terminate' else getattr(this, how)()
    until(lambda: how != 'reset' or not has_peer(ws))
    release.set()
    for event, state in (('message', 'OPEN'), ('close', 'CLOSED')):
        named = f'from {this.name[0]}:{this.name[1]} {state}' if this.is_server else f'{ws.url} {state}'
        assert seen.get() == (event, this.name[:2], f'<WebSocket {named}>')
    [line] = [record.getMessage() for record in caplog.records if ': close 1006' in record.getMessage()]
    assert line.startswith(repr(ws))


def has_peer(ws: WebSocket) -> bool:
    """Whether the system still knows whom it is connected to."""
    try:
        return ws._stream is not None and bool(ws._stream._sock.getpeername())
    except OSError:
        return False
