"""Tests W115 to W134 of ws 8's suite: close and terminate.

W117, W119, W120, W132 and W133 stand beside the tests of the events they are about.
"""

from __future__ import annotations

import socket
from typing import Any

from compatibility.peers import in_node, silence
from compatibility.ws8.clients import pair
from fakes import fake_server
from support import Log, Waiter, client, end, frames, raw_pair, read_all, server, url_of

from ws import HandshakeError, WebSocket
from ws.protocol.frames import build_frame

# -- while connecting --------------------------------------------------------------------------------------------------


def is_given_up(events: list[Any]) -> bool:
    """Whether that is all that happens to a client that is closed before it is open."""
    (kind, error), close = events
    text = 'WebSocket was closed before the connection was established'
    return (kind, type(error), str(error)) == ('error', HandshakeError, text) and close == ('close', 1006, '')


def ended_at_once(how: str, *arguments: Any) -> list[Any]:
    """The events of a client that is ended in the line after its making."""
    with server() as wss:

        def start() -> Log:
            ws = WebSocket(url_of(wss))
            getattr(ws, how)(*arguments)
            return Log(ws)

        return in_node(start).until('close')


def ended_before_the_answer(how: str, *arguments: Any) -> list[Any]:
    """The events of one that is ended while the server still thinks about it."""
    asked = Waiter()
    with server(verifyClient=lambda info, callback: asked(callback)) as wss:
        wss.on('connection', lambda: None)
        ws = client(wss)
        log = Log(ws)
        (answer,) = asked.get()
        getattr(ws, how)(*arguments)
        events = log.until('close')
        answer(True)
        assert log.nothing(0.05)
        return events


def ended_in_error(how: str) -> list[Any]:
    """The events of one that gets nonsense for an answer, and is ended when it hears of that."""

    def talk(sock: Any, head: bytes) -> None:
        sock.sendall(b'foo\r\n\r\n')
        read_all(sock)

    with fake_server(talk) as url:
        ws = WebSocket(url)
        ws.on('error', lambda: getattr(ws, how)())
        return Log(ws).until('close')


def test_w115_close_at_once() -> None:
    assert is_given_up(ended_at_once('close', 1001))


def test_w116_close_before_the_answer() -> None:
    assert is_given_up(ended_before_the_answer('close', 1001))


def test_w118_close_in_error_while_connecting() -> None:
    (kind, error), close = ended_in_error('close')
    assert (kind, type(error), close) == ('error', HandshakeError, ('close', 1006, ''))


def test_w129_terminate_at_once() -> None:
    assert is_given_up(ended_at_once('terminate'))


def test_w130_terminate_before_the_answer() -> None:
    assert is_given_up(ended_before_the_answer('terminate'))


def test_w131_terminate_in_error_while_connecting() -> None:
    (kind, error), close = ended_in_error('terminate')
    assert (kind, type(error), close) == ('error', HandshakeError, ('close', 1006, ''))


# -- codes and reasons -------------------------------------------------------------------------------------------------


def test_w121_a_code_is_sent_when_there_is_one() -> None:
    """``close()`` without a code sends 1000, as in 0.4.31; in ws 8 none. A frame without one is answered with one."""
    with raw_pair() as (ws, sock):
        ws.close()
        assert next(frames(sock)) == (True, 8, b'\x03\xe8')
    with raw_pair() as (ws, sock):
        log = Log(ws)
        sock.sendall(build_frame(8, b'', True, True))
        sock.shutdown(socket.SHUT_WR)
        assert next(frames(sock)) == (True, 8, b'')
        assert log.get() == ('close', 1005, '')


def closed_with(*arguments: Any) -> list[Any]:
    """Both ends' arguments of `close` if that was called with these by the client."""
    with pair() as (ws, peer):
        log, peer_log = Log(ws), Log(peer)
        ws.close(*arguments)
        return [*log.until('close'), *peer_log.until('close')]


def test_w122_a_code_without_a_reason() -> None:
    assert closed_with(1000) == [('close', 1000, '')] * 2


def test_w123_a_code_with_a_reason() -> None:
    assert closed_with(1000, 'some reason') == [('close', 1000, 'some reason')] * 2


def test_w125_code_1013() -> None:
    assert closed_with(1013) == [('close', 1013, '')] * 2


def test_w126_code_1014() -> None:
    assert closed_with(1014) == [('close', 1014, '')] * 2


# -- what was sent, how often, and how long ----------------------------------------------------------------------------


def test_w124_what_was_sent_before_arrives() -> None:
    with server(perMessageDeflate={'threshold': 0}) as wss:
        sent = Waiter()

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            for text in 'foo', 'bar', 'baz':
                ws.send(text, sent)
            ws.close()
            ws.close()

        events = Log(client(wss), 'message', 'close').until('close')
        assert [event[1] for event in events] == ['foo', 'bar', 'baz', 1000]
        assert [sent.get() for _ in range(3)] == [(None,)] * 3


def test_w127_close_when_it_is_closed() -> None:
    with pair() as (ws, peer):
        log = Log(ws)
        ws.on('close', lambda: ws.close())
        peer.close()
        assert log.get() == ('close', 1000, '')
        assert log.nothing(0.05)
        assert ws.readyState == ws.CLOSED


def test_w128_a_timer_is_set_for_the_closing_handshake() -> None:
    """At once, whether or not the close frame could be sent; by default it is one of 30 seconds."""
    with silence() as url:
        ws = WebSocket(url)
        assert ws.options.closeTimeout == 30000
        end(ws)
    with pair({'closeTimeout': 50}) as (ws, peer):
        ws.pause()
        log = Log(peer, 'close')
        peer.send(bytes(32 << 20))
        peer.close(1000, 'some reason')
        assert log.get() == ('close', 1006, '')
    with pair() as (ws, peer):
        assert end(ws, 'close', 1000, 'some reason') == (1000, 'some reason')


def test_w134_terminate_when_it_is_closed() -> None:
    with pair() as (ws, peer):
        log = Log(ws)
        ws.on('close', lambda: ws.terminate())
        peer.terminate()
        assert log.get() == ('close', 1006, '')
        assert log.nothing(0.05)
        assert ws.readyState == ws.CLOSED
