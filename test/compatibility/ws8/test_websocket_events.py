"""Tests W036 to W044 of ws 8's suite: the events of a WebSocket, and how often there is an error.

Where ws 8 sends a Blob whose file has changed, an open file is sent here whose ``read`` raises.
"""

from __future__ import annotations

import threading
from typing import Any

from compatibility.ws8.clients import WRONG, pair
from fakes import accept, fake_server
from files import Blocked, Chunks
from streams import reset
from support import TIMEOUT, Log, Waiter, client, raw_pair, read_all, server

from ws import ProtocolError, WebSocket
from ws.protocol.frames import build_frame


def test_w036_an_error() -> None:
    with pair() as (ws, peer):
        log, peer_log = Log(ws), Log(peer)
        peer._socket.write(WRONG)  # type: ignore[union-attr]
        kind, error, code = log.get()
        assert (kind, type(error), code) == ('error', ProtocolError, 1002)
        assert str(error) == 'no handler for opcode 5'
        assert error.code == 'WS_ERR_INVALID_OPCODE'
        assert log.get() == ('close', 1006, '')
        assert peer_log.get() == ('close', 1002, '')


def test_w037_an_error_of_a_file() -> None:
    with pair() as (_, peer):
        log = Log(peer)
        peer.send(Chunks(b'half of it', OSError('it has changed')))
        kind, error = log.get()
        assert (kind, type(error), str(error)) == ('error', OSError, 'it has changed')
        assert log.until('close')[:-1] == []


def test_w038_no_second_error_for_a_file() -> None:
    with pair({'perMessageDeflate': True}, perMessageDeflate={'threshold': 0}) as (ws, peer):
        log, begun, release = Log(ws), threading.Event(), threading.Event()

        def fail() -> None:
            begun.set()
            release.wait(TIMEOUT)
            raise OSError('it has changed')

        ws.send('foo')
        ws.send(Chunks(b'half of it', fail))
        assert begun.wait(TIMEOUT)
        peer._socket.write(WRONG)  # type: ignore[union-attr]
        assert isinstance(log.get()[1], ProtocolError)
        release.set()
        assert [event[0] for event in log.until('close')] == ['close']
        assert log.nothing(0.05)


def test_w039_no_second_error_for_a_frame() -> None:
    failed = threading.Event()

    def talk(sock: Any, head: bytes) -> None:
        sock.sendall(accept(head, 'Sec-WebSocket-Extensions: permessage-deflate'))
        assert failed.wait(TIMEOUT)
        sock.sendall(build_frame(0x41, b'\0') * 5 + WRONG)
        read_all(sock)

    with fake_server(talk) as url:
        ws = WebSocket(url)
        log = Log(ws, 'error', 'close')
        ws.on('error', lambda: failed.set())
        ws.on('open', lambda: ws.send(Chunks(b'half of it', OSError('it has changed'))))
        (kind, error), close = log.until('close')
        assert (kind, type(error), close) == ('error', OSError, ('close', 1006, ''))


def test_w040_no_error_after_close() -> None:
    """The callback has it."""
    with pair() as (ws, peer):
        log, told = Log(ws), Waiter()
        file = Blocked()
        ws.send(file, told)
        file.begun.get()
        peer._socket.end()  # type: ignore[union-attr]
        assert log.get() == ('close', 1006, '')
        file.release.set()
        (error,) = told.get()
        assert isinstance(error, Exception)
        assert log.nothing(0.05)


def test_w041_an_error_of_the_socket() -> None:
    """ws 8 leaves it to those who listen to the socket. Here it is an `error`, too, as 0.4.31 documents, if that has a
    listener; without one all is as in ws 8."""
    for events in ['close'], ['error', 'close']:
        with raw_pair() as (ws, sock):
            log, of_socket = Log(ws, *events), Waiter()
            ws._socket.on('error', of_socket)  # type: ignore[union-attr]
            reset(sock)
            (error,) = of_socket.get()
            assert isinstance(error, ConnectionResetError)
            seen = log.until('close')
            assert [event[0] for event in seen] == events
            assert seen[-1] == ('close', 1006, '')


def test_w043_a_ping() -> None:
    with server() as wss:
        wss.on('connection', lambda peer: (peer.ping(), peer.close()))
        log = Log(client(wss))
        assert log.until('ping')[-1][1] == b''
        log.until('close')


def test_w044_a_pong() -> None:
    with server() as wss:
        wss.on('connection', lambda peer: (peer.pong(), peer.close()))
        log = Log(client(wss))
        assert log.until('pong')[-1][1] == b''
        log.until('close')
