"""Streams over TLS: handshakes, records, answers, endings."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import socket
import ssl
import subprocess
import time
import weakref
from collections.abc import Iterator
from typing import IO, Any, Optional

import pytest
import trustme
from streams import (
    Contexts,
    Driver,
    Received,
    TLSEnds,
    client_stream,
    in_thread,
    receive,
    reset,
    server_stream,
    tcp_pair,
    unix_pair,
)
from support import TIMEOUT, Waiter, until

from ws.net import tls
from ws.net.stream import Stream
from ws.net.tls import TLSStream
from ws.net.tls_context import client_context
from ws.net.tls_socket import TLSSocketStream

#: Of our own, and over a socket that somebody else has wrapped.
BOTH_KINDS = pytest.mark.parametrize('kind', [TLSStream, TLSSocketStream])


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = tcp_pair()
    yield near, far
    near.close()
    far.close()


@pytest.fixture
def kind() -> type[Stream]:
    return TLSStream


@pytest.fixture
def ends(driver: Driver, tls_contexts: Contexts, kind: type[Stream]) -> Iterator[TLSEnds]:
    ends = TLSEnds(driver, tls_contexts, kind)
    yield ends
    ends.destroy(driver)


# -- the handshake ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_two_streams_shake_hands(
    driver: Driver, tls_contexts: Contexts, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    ends = TLSEnds(driver, (tls_contexts[0], context))
    ends.shake(driver)
    assert not ends.server.handshaking and not ends.client.handshaking
    assert ends.server.encrypted
    driver(ends.client.write, b'from the client')
    driver(ends.server.write, b'from the server')
    assert ends.at_server.bytes(15) == b'from the client'
    assert ends.at_client.bytes(15) == b'from the server'
    driver(ends.client.destroy)
    ends.at_server.until('end')
    driver(ends.server.destroy)


def test_before_the_first_byte_there_is_nothing_of_tls(
    driver: Driver, authority: trustme.CA, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    """It would take more than forty kilobytes; whoever connects and is silent takes none."""

    class Counting(ssl.SSLContext):
        made = 0

        def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
            self.made += 1
            return super().wrap_bio(*arguments, **keywords)

    context = Counting(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    stream = server_stream(driver, (context, tls_contexts[1]), pair[0])
    received, shaken = Received(stream), Waiter()
    driver(stream.handshake, shaken)
    driver.turns(3)
    assert (context.made, stream.handshaking, stream.authorized) == (0, True, False)
    with in_thread(lambda: tls_contexts[1].wrap_socket(pair[1], server_hostname='localhost').close()):
        shaken.get()
    assert context.made == 1
    driver(stream.destroy)
    received.until('close')


@pytest.mark.parametrize('how', ['close', 'reset', 'destroy'])
def test_a_client_that_never_says_a_word(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket], how: str
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    driver(stream.handshake, Waiter())
    if how == 'close':
        pair[1].close()
    elif how == 'reset':
        reset(pair[1])
    else:
        driver(stream.destroy)
    received.until('close')
    assert isinstance(received.error, {'close': ssl.SSLEOFError, 'reset': OSError, 'destroy': type(None)}[how])
    assert stream.closed and not stream.authorized and not driver.loop._pollables


def test_what_comes_right_behind_the_handshake_is_not_lost(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)

    def talk() -> None:
        with tls_contexts[1].wrap_socket(pair[1], server_hostname='localhost') as peer:
            peer.sendall(b'early')
            assert receive(peer, 6) == b'answer'

    with in_thread(talk):
        driver(stream.handshake, stream.resume)
        assert received.bytes(5) == b'early'
        driver(stream.write, b'answer')
    driver(stream.destroy)


class Peer:
    """A client that says itself when it sends what OpenSSL wants to send."""

    def __init__(self, context: ssl.SSLContext, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname='localhost')

    def shake(self) -> None:
        """Shake hands, and keep the last of it."""
        while True:
            try:
                self.tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                self.send()
                self._incoming.write(self._sock.recv(65536))

    def encrypted(self) -> bytes:
        return self._outgoing.read()

    def send(self) -> None:
        self._sock.sendall(self.encrypted())


@pytest.mark.parametrize('paused', [False, True])
def test_what_comes_together_with_the_end_of_the_handshake_is_not_lost(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket], paused: bool
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received, shaken = Received(stream), Waiter()
    peer = Peer(tls_contexts[1], pair[1])
    driver.loop.call(stream.handshake, shaken if paused else lambda: (stream.resume(), shaken()))
    peer.shake()
    peer.tls.write(b'early')
    peer.send()
    shaken.get()
    if paused:
        driver.turns(3)
        assert not received.data
        driver(lambda: (stream.resume(), stream.pause(), stream.resume()))
    assert received.bytes(5) == b'early'
    peer.tls.write(b'and on')
    peer.send()
    assert received.bytes(6) == b'and on'
    driver(stream.destroy)


def test_a_client_that_stalls_costs_nothing_and_can_be_destroyed(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received, shaken = Received(stream), Waiter()
    driver(stream.handshake, shaken)
    pair[1].sendall(b'\x16\x03\x01\x02\x00\x01')  # the beginning of a ClientHello
    driver.turns(3)
    used = driver(time.thread_time)
    assert shaken.nothing(0.1)
    assert driver(time.thread_time) - used < 0.03
    assert stream.handshaking and not stream.closed
    driver(stream.destroy)
    received.until('close')
    assert (received.happened, received.error) == (['close'], None)
    assert not stream.handshaking
    assert not driver.loop._pollables
    assert pair[1].recv(1) == b''


@pytest.mark.parametrize('rubbish', [b'GET / HTTP/1.1\r\n\r\n', b'\0' * 100, b'\x16\x03\x01\x00\x02\x01\x00', b'\xff'])
def test_plain_text_on_a_tls_port(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket], rubbish: bytes
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received, shaken = Received(stream), Waiter()
    driver(stream.handshake, shaken)
    pair[1].sendall(rubbish)
    with contextlib.suppress(OSError):  # reset already
        pair[1].shutdown(socket.SHUT_WR)
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)
    assert received.happened == ['close']
    assert shaken.nothing(0)
    assert not driver.loop._pollables


def test_a_peer_that_leaves_during_the_handshake(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    driver(stream.handshake, Waiter())
    pair[1].close()
    received.until('close')
    assert isinstance(received.error, OSError)


def test_a_server_that_speaks_no_tls(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = client_stream(driver, tls_contexts[1], pair[0])
    received = Received(stream)
    driver(stream.handshake, Waiter())
    pair[1].sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)


@pytest.mark.parametrize(
    ('host', 'trusting', 'problem'),
    [('other.example', True, 'mismatch'), ('localhost', False, 'CERTIFICATE_VERIFY_FAILED'), ('127.0.0.1', True, None)],
)
def test_certificates_are_verified(
    driver: Driver,
    tls_contexts: Contexts,
    pair: tuple[socket.socket, socket.socket],
    host: str,
    trusting: bool,
    problem: Optional[str],
) -> None:
    server = server_stream(driver, tls_contexts, pair[0])
    context = tls_contexts[1] if trusting else client_context()
    client = client_stream(driver, context, pair[1], host)
    received, server_received, shaken = Received(client), Received(server), Waiter()
    driver.loop.call(server.handshake, server.resume)
    driver(client.handshake, shaken)
    if problem is None:
        shaken.get()
        driver(client.destroy)
        server_received.until('end')
        driver(server.destroy)
    else:
        received.until('close')
        assert isinstance(received.error, ssl.SSLCertVerificationError)
        assert problem in str(received.error)
        server_received.until('close')
        assert isinstance(server_received.error, ssl.SSLError)
        assert 'ALERT' in str(server_received.error)


def test_destroyed_by_what_the_handshake_calls(driver: Driver, ends: TLSEnds) -> None:
    driver.loop.call(ends.server.handshake, ends.server.destroy)
    driver.loop.call(ends.client.handshake, Waiter())
    ends.at_server.until('close')
    assert ends.at_server.happened == ['close']


def test_a_handshake_that_fails_keeps_nothing_alive(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    class Owner:
        def __init__(self, stream: TLSStream) -> None:
            self.stream = stream
            stream.on_close = self.on_close

        def on_close(self, error: Optional[Exception]) -> None:
            closed()

        def on_handshake(self) -> None:
            self.stream.resume()

    closed = Waiter()
    gc.collect()
    gc.disable()
    try:
        owner = Owner(server_stream(driver, tls_contexts, pair[0]))
        gone = weakref.ref(owner)
        driver(owner.stream.handshake, owner.on_handshake)
        del owner
        pair[1].sendall(b'no TLS at all\r\n\r\n')
        closed.get()
        driver.turns()
        until(lambda: gone() is None)
    finally:
        gc.enable()


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


# -- endings ----------------------------------------------------------------------------------------------------------


@BOTH_KINDS
def test_both_ends_say_goodbye(driver: Driver, ends: TLSEnds) -> None:
    ends.shake(driver)
    driver(ends.server.write, b'last')
    driver(ends.server.end)
    ends.at_client.until('end')
    assert ends.at_client.data == b'last'
    driver(ends.client.end)
    for end in (ends.at_client, ends.at_server):
        end.until('close')
        assert end.error is None
    assert ends.at_server.happened == ['end', 'close']
    assert ends.at_client.happened == ['data', 'end', 'close']


def test_our_end_is_no_truncation_to_the_peer(
    driver: Driver, tls_contexts: Contexts, pair: tuple[socket.socket, socket.socket]
) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    with in_thread(tls_contexts[1].wrap_socket, pair[1], False, True, False, 'localhost') as peer:
        shaken = Waiter()  # the peer has finished before it: its last words may still be on their way to us
        driver(stream.handshake, shaken)
        shaken.get()
    driver(stream.resume)
    with peer() as sock:
        driver(stream.end)
        assert sock.recv(1) == b''  # raises for an end without close_notify, suppress_ragged_eofs being False
    received.until('close')
    assert received.error is None


@BOTH_KINDS
def test_an_end_that_the_kernel_has_no_room_for_is_an_end_nevertheless(
    driver: Driver, ends: TLSEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends.shake(driver)
    with monkeypatch.context() as patch:
        patch.setattr(tls, 'send', lambda handle, data: 0)
        driver(ends.server.end)
        ends.at_client.until('end')  # without close_notify
    driver(ends.client.end)
    ends.at_server.until('close')


def test_an_end_while_the_peer_is_sending_loses_nothing(driver: Driver, ends: TLSEnds) -> None:
    """Our close_notify ends our direction only (RFC 8446 section 6.1)."""
    ends.shake(driver)
    on_data = ends.server.on_data
    ended: list[None] = []

    def on_first_data(data: bytes) -> None:
        on_data(data)
        if not ended:
            ended.append(None)
            ends.server.write(b'too much')
            ends.server.end()

    driver(setattr, ends.server, 'on_data', on_first_data)
    sent = Waiter()
    driver(ends.client.write, bytes(1 << 23), sent)
    ends.at_client.until('end')
    assert ends.at_client.data == b'too much'
    assert sent.get() == (None,)
    assert not ends.server.closed
    driver(ends.client.end)
    for end in (ends.at_server, ends.at_client):
        end.until('close')
        assert end.error is None
    assert len(ends.at_server.data) == 1 << 23


def test_a_peer_that_goes_on_after_our_end_is_no_busy_loop(driver: Driver, ends: TLSEnds) -> None:
    ends.shake(driver)
    driver(ends.client.write, bytes(1 << 20))
    driver(ends.server.end)
    ends.at_client.until('end')
    driver.turns(50)
    used = driver(time.thread_time)
    assert Waiter().nothing(0.1)
    assert driver(time.thread_time) - used < 0.03
    driver(ends.client.destroy)
    ends.at_server.until('close')


def test_tls_errors_end_the_stream(driver: Driver, tls_contexts: Contexts, pair: Any) -> None:
    stream = server_stream(driver, tls_contexts, pair[0])
    received = Received(stream)
    number = pair[1].fileno()
    with in_thread(tls_contexts[1].wrap_socket, pair[1], False, True, True, 'localhost') as peer:
        driver(stream.handshake, stream.resume)
    peer().sendall(b'fine')
    assert received.bytes(4) == b'fine'
    os.write(number, b'\x17\x03\x03\x00\x20' + bytes(32))  # a record that was not encrypted with our keys
    received.until('close')
    assert isinstance(received.error, ssl.SSLError)
    peer().close()


def test_over_a_unix_socket(driver: Driver, tls_contexts: Contexts) -> None:
    near, far = unix_pair()
    server, client = server_stream(driver, tls_contexts, near), client_stream(driver, tls_contexts[1], far)
    received, shaken = Received(server), Waiter()
    driver.loop.call(server.handshake, shaken)
    driver.loop.call(client.handshake, shaken)
    shaken.get(), shaken.get()
    driver(server.resume)
    driver(client.write, b'hello')
    assert received.bytes(5) == b'hello'
    driver(client.destroy)
    driver(server.destroy)


@BOTH_KINDS
def test_authorized_tells_whether_the_peer_was_verified(
    driver: Driver, tls_contexts: Contexts, authority: trustme.CA, kind: type[Stream]
) -> None:
    """Server and client are asked in turn; only a certificate that was verified counts."""
    both = ssl.create_default_context()
    authority.configure_trust(both)
    authority.issue_cert('client').configure_cert(both)
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(asking)
    authority.configure_trust(asking)
    asking.verify_mode = ssl.CERT_REQUIRED
    for server, client, verified in (
        (tls_contexts[0], tls_contexts[1], (False, True)),
        (tls_contexts[0], client_context(reject_unauthorized=False), (False, False)),
        (asking, both, (True, True)),
    ):
        ends = TLSEnds(driver, (server, client), kind)
        if kind is TLSStream:
            assert not ends.server.authorized and not ends.client.authorized
        ends.shake(driver)
        assert driver(lambda ends=ends: (ends.server.authorized, ends.client.authorized)) == verified
        for stream in (ends.server, ends.client):
            driver(stream.destroy)
            assert not stream.authorized
