"""``ws._socket``, ``upgradeReq.connection`` and ``request.socket``: Node's net.Socket, as programs use it.

What its methods do by themselves is in net/test_face.py.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
import trustme
from support import Log, Waiter, client, end, open_pair, server, url_of, wait_for

from ws import WebSocket


def test_it_is_the_same_by_all_its_names() -> None:
    with open_pair() as (ws, peer):
        request = peer.upgradeReq
        assert request is not None
        assert peer._socket is request.connection is request.socket is request.client
        assert peer._socket is not None and ws._socket is not None and ws._socket is ws._socket
        assert (peer._socket.remoteAddress, peer._socket.remotePort) == tuple(ws._socket.address().values())[::2]  # type: ignore[union-attr]
        peer._socket.nick = 'ann'  # type: ignore[attr-defined]
        closed = Waiter()
        peer.on('close', lambda: closed(peer._socket.nick))  # type: ignore[union-attr]
        ws.close()
        assert closed.get() == ('ann',)


def test_it_costs_nothing_who_does_not_ask_for_it() -> None:
    def look(info: Any) -> bool:
        return bool(info.req.environ['REMOTE_ADDR']) and not info.secure

    with server(verifyClient=look) as wss:
        seen = Waiter()
        wss.on('connection', lambda ws: seen(ws, repr(ws)))
        ws = client(wss)
        peer, text = seen.get()
        wait_for(ws, 'open')
        assert peer._stream._face is None and ws._stream._face is None  # type: ignore[union-attr]
        assert '127.0.0.1' in text
        end(ws)


def test_there_is_none_before_there_is_a_connection() -> None:
    ws = WebSocket('ws://127.0.0.1:1')
    assert ws._socket is None
    wait_for(ws, 'error')
    assert ws._socket is None


def test_the_old_idioms() -> None:
    """Those of the programs that were ported."""
    with server() as wss:
        told = Waiter()

        @wss.on('connection')
        def connection(ws: Any) -> None:
            ws._socket.setKeepAlive(True, 5000)
            ws._socket.setNoDelay(True)
            ws._socket.setTimeout(60_000)
            ws._socket.on('error', lambda error: told('error', error))
            ws.upgradeReq.connection.on('close', lambda hadError: told('close', hadError))
            ws.name = ws._socket.remoteAddress + ':' + str(ws._socket.remotePort)
            told(ws.name, ws._socket.bufferSize, ws._socket.bytesRead > 100, ws._socket.writable, ws._socket.destroyed)

        ws = client(wss)
        wait_for(ws, 'open')
        name, waiting, read, writable, destroyed = told.get()
        assert name == f'127.0.0.1:{ws._socket.address().port}'  # type: ignore[union-attr]
        assert waiting > 0  # the answer to the handshake
        assert (read, writable, destroyed) == (True, True, False)
        [peer] = wss.clients
        assert peer._stream._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1  # type: ignore[union-attr]
        ws.close()
        assert told.get() == ('close', False)


@pytest.mark.parametrize('side', ['client', 'server'])
def test_destroying_it_ends_the_connection(side: str) -> None:
    with open_pair() as (ws, peer):
        log, peer_log = Log(ws, 'error', 'close'), Log(peer, 'error', 'close')
        (ws if side == 'client' else peer)._socket.destroy()  # type: ignore[union-attr]
        assert log.until('close')[-1] == ('close', 1006, '')
        assert peer_log.until('close')[-1] == ('close', 1006, '')


def test_a_timeout_that_ends_the_connection() -> None:
    with open_pair() as (ws, peer):
        log = Log(peer, 'message', 'close')
        assert ws._socket is not None
        ws._socket.setTimeout(50, lambda: ws.terminate())
        assert log.until('close') == [('close', 1006, '')]


def test_one_that_is_paused_in_the_connection_event_stays_so() -> None:
    with server() as wss:
        received, connected = Waiter(), Waiter()

        @wss.on('connection')
        def connection(ws: Any) -> None:
            ws._socket.pause()
            ws.on('message', lambda message: received(message))
            connected(ws)

        ws = client(wss)
        wait_for(ws, 'open')
        (peer,) = connected.get()
        ws.send('hello')
        assert received.nothing(0.05)
        peer._socket.resume()
        assert received.get() == ('hello',)
        end(ws)


def test_a_refusal_of_one_s_own() -> None:
    """In verifyClient: `socket.end(…)`, as in Node's recipes for the event `upgrade`."""

    def verify(info: Any, callback: Any) -> None:
        info.req.socket.end('HTTP/1.1 418 I am a teapot\r\nContent-Length: 0\r\n\r\n')

    with server(verifyClient=verify) as wss:
        wss.on('connection', lambda: pytest.fail('connected'))
        ws = client(wss)
        assert str(wait_for(ws, 'error')[0]) == 'unexpected server response (418)'
        wait_for(ws, 'close')


def test_with_tls() -> None:
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    pem = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
    with server(**pem) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws, request: connected(request.socket))
        ws = WebSocket(f'wss://127.0.0.1:{wss.address().port}', ca=authority.cert_pem.bytes())  # type: ignore[union-attr]
        (face,) = connected.get()
        closed = Waiter()
        face.on('close', closed)
        wait_for(ws, 'open')
        own = ws._socket
        assert own is not None and own.encrypted and own.authorized and face.encrypted and not face.authorized
        assert face.bytesRead == own.bytesWritten > 100  # as without TLS
        end(ws, 'close')
        assert closed.get() == (False,)


def test_its_certificate_is_asked_for_while_messages_come_and_go() -> None:
    """By other threads than the one that has OpenSSL decrypt them."""
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    with server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
        ws = WebSocket(url_of(wss, scheme='wss'), ca=authority.cert_pem.bytes())
        log = Log(ws, 'message')
        wait_for(ws, 'open')
        face = ws._socket
        assert face is not None
        shown, enough = [], threading.Event()

        def look() -> None:
            while not enough.is_set():
                shown.append((face.authorized, face.getPeerCertificate()))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for size in (1, 1000, 100_000):
            for _ in range(20):
                ws.send(bytes(size))
            for _ in range(20):
                assert log.get()[1] == bytes(size)
        enough.set()
        for thread in threads:
            thread.join()
        assert all(one == (True, face.getPeerCertificate()) for one in shown)
        end(ws)
