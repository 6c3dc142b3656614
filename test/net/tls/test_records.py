"""Streams over TLS: records, and what peers ask for."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from typing import IO, Any

import pytest
from net.tls.peers import BOTH_KINDS, Peer
from streams import Contexts, Driver, Received, TLSEnds, server_stream, tcp_pair
from support import TIMEOUT, Waiter

from ws.net import tls
from ws.net.stream import Stream
from ws.net.tls_socket import TLSSocketStream

# -- records ----------------------------------------------------------------------------------------------------------


def test_what_has_come_in_is_handed_on_in_one_piece(driver: Driver, ends: TLSEnds) -> None:
    ends.shake(driver)
    pieces: list[int] = []
    on_data = ends.server.on_data

    def count(data: bytes) -> None:
        pieces.append(len(data))
        on_data(data)

    driver(setattr, ends.server, 'on_data', count)
    driver(ends.client.write, bytes(65536) + b'a head')
    assert ends.at_server.bytes(65542)[-6:] == b'a head'
    assert pieces == [65542]
    assert ends.server.bytes_read == 65542


def test_many_small_writes_are_one_record(driver: Driver, ends: TLSEnds, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.shake(driver)
    sizes: list[int] = []
    send = tls.send

    def counted(handle: Any, data: Any) -> int:
        sizes.append(len(data))
        return int(send(handle, data))

    monkeypatch.setattr(tls, 'send', counted)

    def write_all() -> None:
        for _ in range(100):
            ends.server.write(b'x' * 100)

    driver(write_all)
    assert ends.at_client.bytes(10_000) == b'x' * 10_000
    assert len(sizes) == 1 and 10_000 < sizes[0] < 10_100
    driver(ends.server.write, bytes(500_000))
    ends.at_client.bytes(500_000)
    assert len(sizes) < 30 and max(sizes) < 90_000  # what waits encrypted, waits twice


@pytest.mark.parametrize('most', [1, 100, 17_000])
def test_whatever_the_kernel_takes(driver: Driver, ends: TLSEnds, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Of the handshake, of data, of the end."""
    send = tls.send
    monkeypatch.setattr(tls, 'send', lambda handle, data: send(handle, data[:most]) if most else 0)
    ends.shake(driver)
    answers = Waiter()
    large = os.urandom(200 * most)
    driver(lambda: [ends.server.write(data, answers) for data in (b'small', large, b'last')])
    driver(ends.client.write, b'question')
    assert ends.at_client.bytes(9 + len(large)) == b'small' + large + b'last'
    assert ends.at_server.bytes(8) == b'question'
    for _ in range(3):
        assert answers.get() == (None,)
    assert driver(lambda: (ends.server.queued, ends.server.stalled)) == (0, False)


def test_connections_do_not_get_in_each_other_s_way(driver: Driver, tls_contexts: Contexts) -> None:
    """They share what OpenSSL reads from and writes to, also where one has received a part of a record, or rubbish."""
    streams, received, peers, socks, shaken = [], [], [], [], Waiter()
    for _ in range(8):
        near, far = tcp_pair()
        streams.append(server_stream(driver, tls_contexts, near))
        received.append(Received(streams[-1]))
        peers.append(Peer(tls_contexts[1], far))
        socks.append(far)
        driver(streams[-1].handshake, shaken)
    for peer in peers:
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.do_handshake()
    hellos = [peer.encrypted() for peer in peers]
    for half in (slice(0, 100), slice(100, None)):
        for sock, hello in zip(socks, hellos):
            sock.sendall(hello[half])
            driver.turns()
    socks[0].sendall(b'rubbish\r\n')
    received[0].until('close')
    for peer, stream in list(zip(peers, streams))[1:]:
        peer.shake()
        peer.send()
        shaken.get()
        driver(stream.resume)
    records = []
    for number, peer in enumerate(peers[1:], 1):
        peer.tls.write(b'%d' % number * 1000)
        records.append(peer.encrypted())
    for part in (slice(0, 3), slice(3, 500), slice(500, None)):
        for sock, record in zip(socks[1:], records):
            sock.sendall(record[part])
            driver.turns()
    for number, end in enumerate(received[1:], 1):
        assert end.bytes(1000) == b'%d' % number * 1000
    for stream, sock in zip(streams, socks):
        driver(stream.destroy)
        sock.close()


@pytest.mark.parametrize('what', ['destroy', 'write', 'end'])
def test_a_destructor_may_use_another_connection(driver: Driver, tls_contexts: Contexts, what: str) -> None:
    """The collector may call it in the middle of anything."""
    reader, other = TLSEnds(driver, tls_contexts), TLSEnds(driver, tls_contexts)
    for ends in (reader, other):
        ends.shake(driver)
    tls = reader.server._tls

    class Collected:
        """Stands for OpenSSL, with a destructor that runs before it reads."""

        def read(self, size: int) -> bytes:
            if reader.server._tls is tls:
                return tls.read(size)
            reader.server._tls = tls
            if what == 'destroy':
                other.server.destroy()
            elif what == 'write':
                other.server.write(b'x' * 100_000)
            else:
                other.server.end()
                other.server.flush()
            return tls.read(size)

    driver(setattr, reader.server, '_tls', Collected())
    driver(reader.client.write, b'y' * 40_000)
    assert reader.at_server.bytes(40_000) == b'y' * 40_000
    if what == 'write':
        assert other.at_client.bytes(100_000) == b'x' * 100_000
    else:
        other.at_client.until('end')
    driver(reader.server.write, b'z' * 40_000)
    assert reader.at_client.bytes(40_000) == b'z' * 40_000
    for ends in (reader, other):
        ends.destroy(driver)


def test_what_fails_leaves_nothing_to_other_connections(
    driver: Driver, tls_contexts: Contexts, ends: TLSEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('threading.excepthook', lambda _: None)
    ends.shake(driver)

    class Broken:
        def read(self, size: int) -> bytes:
            raise MemoryError

    driver(setattr, ends.server, '_tls', Broken())
    driver(ends.client.write, b'data')
    ends.at_server.until('close')
    others = TLSEnds(driver, tls_contexts)
    others.shake(driver)
    others.destroy(driver)


def test_what_came_before_a_broken_record_is_handed_on(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream, peer = server_stream(driver, tls_contexts, pair[0]), Peer(tls_contexts[1], pair[1])
    received = Received(stream)
    driver.loop.call(stream.handshake, stream.resume)
    peer.shake()
    peer.send()
    peer.tls.write(b'fine')
    pair[1].sendall(peer.encrypted() + b'\x17\x03\x03\x00\x20' + bytes(32))
    received.until('close')
    assert (received.happened, received.data) == (['data', 'close'], b'fine')
    assert isinstance(received.error, ssl.SSLError)
    with pytest.raises(ssl.SSLError, match=r'(?i)alert'):
        peer._incoming.write(pair[1].recv(1000))
        peer.tls.read(1)


def test_what_is_behind_the_end_is_ignored(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    """RFC 8446 section 6.1."""
    stream, peer = server_stream(driver, tls_contexts, pair[0]), Peer(tls_contexts[1], pair[1])
    received = Received(stream)
    driver.loop.call(stream.handshake, stream.resume)
    peer.shake()
    peer.send()
    peer.tls.write(b'last')
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.unwrap()
    pair[1].sendall(peer.encrypted() + b'behind it')
    received.until('end')
    assert (received.happened, received.data) == (['data', 'end'], b'last')
    others = TLSEnds(driver, tls_contexts)  # find nothing of it, either
    others.shake(driver)
    others.destroy(driver)
    driver(stream.end)
    received.until('close')
    assert received.error is None


def test_a_peer_s_close_notify_after_ours_is_enough(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    """It need not close the TCP connection first."""
    stream, peer = server_stream(driver, tls_contexts, pair[0]), Peer(tls_contexts[1], pair[1])
    received, shaken = Received(stream), Waiter()
    driver.loop.call(stream.handshake, shaken)
    peer.shake()
    peer.send()
    shaken.get()
    driver(stream.resume)
    driver(stream.end)
    peer._incoming.write(pair[1].recv(1000))
    peer.tls.unwrap()
    peer.send()
    received.until('close')
    assert (received.happened, received.error) == (['end', 'close'], None)


def test_what_openssl_fails_to_write_reaches_no_other_connection(
    driver: Driver, tls_contexts: Contexts, ends: TLSEnds
) -> None:
    ends.shake(driver)
    outgoing = ends.server._outgoing  # type: ignore[union-attr]

    class Broken:
        def write(self, data: Any) -> int:
            outgoing.write(b'half of it')
            raise ssl.SSLError('broken')

    driver(setattr, ends.server, '_tls', Broken())
    answer = Waiter()
    driver(ends.server.write, b'data', answer)
    (error,) = answer.get()
    assert isinstance(error, ssl.SSLError)
    others = TLSEnds(driver, tls_contexts)
    others.shake(driver)
    others.destroy(driver)


def test_a_peer_that_asks_and_does_not_read_is_cut_off(driver: Driver, tls_contexts: Contexts) -> None:
    """For key updates, say: each is to be answered."""
    near, far = tcp_pair(4096)
    stream, peer = server_stream(driver, tls_contexts, near), Peer(tls_contexts[1], far)
    received, shaken = Received(stream), Waiter()
    driver.loop.call(stream.handshake, shaken)
    peer.shake()
    peer.send()
    shaken.get()
    driver(stream.resume)
    most = [0]

    class Asked:
        def read(self, size: int) -> bytes:
            most[0] = max(most[0], len(stream._unsent))
            stream._outgoing.write(stream._incoming.read())
            raise ssl.SSLWantReadError(0, 'the rest is still to come')

    driver(setattr, stream, '_tls', Asked())
    with pytest.raises(OSError):
        for _ in range(100):
            far.sendall(bytes(1 << 16))
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)
    assert 1 << 16 < most[0] < 1 << 18
    far.close()


# -- what peers ask for -----------------------------------------------------------------------------------------------


def accepted(driver: Driver, contexts: Contexts, listener: socket.socket, kind: type[Stream]) -> Stream:
    sock = listener.accept()[0]
    if kind is TLSSocketStream:
        return TLSSocketStream(driver.loop, contexts[0].wrap_socket(sock, server_side=True))
    stream, shaken = server_stream(driver, contexts, sock), Waiter()
    driver(stream.handshake, shaken)
    shaken.get()
    return stream


def read_line(output: IO[bytes], text: bytes) -> None:
    """Read up to the line with `text`."""
    while True:
        line = output.readline()
        assert line, f'no {text!r}'
        if text in line:
            return


@pytest.mark.skipif(shutil.which('openssl') is None, reason='there is no openssl command')
@BOTH_KINDS
def test_a_key_update_of_the_peer_s(driver: Driver, tls_contexts: Contexts, kind: type[Stream]) -> None:
    """It asks for one of ours, which OpenSSL sends while it reads."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        peer = subprocess.Popen(
            ['openssl', 's_client', '-tls1_3', '-connect', f'127.0.0.1:{listener.getsockname()[1]}'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with peer:
            assert peer.stdin is not None and peer.stdout is not None
            listener.settimeout(TIMEOUT)
            stream = accepted(driver, tls_contexts, listener, kind)
            received = Received(stream)
            driver(stream.resume)
            for number in range(3):
                peer.stdin.write(b'K\n')  # asks for a key update
                peer.stdin.flush()
                read_line(peer.stdout, b'KEYUPDATE')
                peer.stdin.write(b'message %d\n' % number)
                peer.stdin.flush()
                assert received.bytes(10) == b'message %d\n' % number
                driver(stream.write, b'answer %d\n' % number)
                read_line(peer.stdout, b'answer %d' % number)
            driver(stream.destroy)
