"""Tests W010 and S007 of ws 8's suite: the option ``autoPong``, on a client and on a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support import Log, Waiter, client, raw_pair, server, wait_for

from ws import WebSocket
from ws.protocol.frames import build_frame


@contextmanager
def pair(of_server: dict[str, Any], **options: Any) -> Iterator[tuple[WebSocket, WebSocket]]:
    with server(**of_server) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, **options)
        wait_for(ws, 'open')
        yield ws, connected.get()[0]
        ws.terminate()


def pinged(by: WebSocket, other: WebSocket) -> None:
    """`other` does not answer: what comes next is the message that it sends for the ping."""
    log = Log(by, 'pong', 'message')
    other.on('ping', lambda data: other.send(b'ping ' + data))
    by.ping('x')
    assert log.get()[:2] == ('message', b'ping x')
    other.pong('by hand')
    assert log.get()[:2] == ('pong', b'by hand')


def test_w010_a_client_does_not_answer_by_itself() -> None:
    with pair({}, autoPong=False) as (ws, peer):
        pinged(peer, ws)


def test_s007_a_server_does_not_answer_by_itself() -> None:
    with pair({'autoPong': False}) as (ws, peer):
        pinged(ws, peer)


def test_by_default_both_answer() -> None:
    with pair({}) as (ws, peer):
        for by in ws, peer:
            pongs = Log(by, 'pong')
            by.ping('x')
            assert pongs.get()[1] == b'x'


def test_a_heartbeat_is_not_concerned() -> None:
    """It is the peer who answers its pings."""
    with raw_pair(autoPong=False, pingInterval=50) as (ws, sock):
        pongs = Log(ws, 'pong')
        assert sock.recv(2) == build_frame(9, b'')
        sock.sendall(build_frame(10, b'', True, True))
        assert pongs.get()[1] == b''
