"""A socket without TLS for what is said over a connection with TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import trustme
from support import TIMEOUT, read_all, until

from ws.net import pipe
from ws.net.lifetime import get_loop
from ws.net.pipe import plain_end

MUCH = bytes(range(256)) * 8192  # 2 MiB, more than all buffers on the way take


class Ends(NamedTuple):
    near: socket.socket
    #: The peer of the TLS connection.
    peer: ssl.SSLSocket


@pytest.fixture(scope='module')
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert('localhost').configure_cert(server)
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def ends(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Ends]:
    peers: list[ssl.SSLSocket] = []
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def accept() -> None:
            sock = listener.accept()[0]
            sock.settimeout(TIMEOUT)
            peers.append(contexts[0].wrap_socket(sock, server_side=True))

        thread = threading.Thread(target=accept)
        thread.start()
        sock = socket.create_connection(listener.getsockname(), TIMEOUT)
        secured = contexts[1].wrap_socket(sock, server_hostname='localhost')
        thread.join()
    near = plain_end(get_loop(), secured)
    near.settimeout(TIMEOUT)
    with near, peers[0]:
        yield Ends(near, peers[0])


def loop_has_ended() -> bool:
    return not any(thread.name == 'ws' for thread in threading.enumerate())


def test_both_directions(ends: Ends) -> None:
    ends.near.sendall(b'there')
    assert ends.peer.recv(100) == b'there'
    ends.peer.sendall(b'and back')
    assert ends.near.recv(100) == b'and back'


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_who_reads_slowly_holds_up_who_writes(ends: Ends, direction: str) -> None:
    writer, reader = (ends.near, ends.peer) if direction == 'out' else (ends.peer, ends.near)
    written = threading.Event()

    def write() -> None:
        writer.sendall(8 * MUCH)
        written.set()
        if direction == 'out':
            writer.shutdown(socket.SHUT_WR)
        else:
            ends.peer.unwrap()

    thread = threading.Thread(target=write)
    thread.start()
    assert not written.wait(0.3)
    received = bytearray()
    while len(received) < 8 * len(MUCH):
        received += reader.recv(65536)
    assert bytes(received) == 8 * MUCH
    assert reader.recv(1) == b''
    if direction == 'in':
        ends.near.close()
    thread.join()


def test_the_end_of_what_the_peer_sends(ends: Ends) -> None:
    ends.peer.sendall(b'last words')
    ends.peer.close()
    assert read_all(ends.near) == b'last words'
    ends.near.close()
    until(loop_has_ended)


@pytest.mark.parametrize('unread', [b'', b'nobody reads this'])
def test_the_end_of_the_near_one(ends: Ends, unread: bytes) -> None:
    ends.peer.sendall(unread)
    ends.near.sendall(b'last words')
    ends.near.close()
    assert read_all(ends.peer) == b'last words'
    ends.peer.close()
    until(loop_has_ended)


def test_a_peer_that_does_not_end(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, 'LINGER', 50)
    ends.near.close()
    until(loop_has_ended)


@pytest.mark.parametrize('direction', ['out', 'in'])
def test_an_end_in_the_middle_of_much(ends: Ends, direction: str) -> None:
    """Nobody is held up for ever by one who is gone."""
    writer, reader = (ends.near, ends.peer) if direction == 'out' else (ends.peer, ends.near)
    over = threading.Event()

    def write() -> None:
        with contextlib.suppress(ConnectionError):
            writer.sendall(8 * MUCH)
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not over.wait(0.3)
    reader.close()
    assert over.wait(TIMEOUT)
    thread.join()
    writer.close()
    until(loop_has_ended)
