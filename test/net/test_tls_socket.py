"""Streams over TLS sockets of others: what OpenSSL wants and when, and what its owner still does to the socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from streams import Contexts, Driver, Received, TLSEnds, tcp_pair, tls_sockets
from support import Waiter, until

from ws.net.stream import Stream
from ws.net.tls_socket import TLSSocketStream, is_kept_open, keep_from_owner, keep_open


@pytest.fixture
def ends(driver: Driver, tls_contexts: Contexts) -> Iterator[TLSEnds]:
    ends = TLSEnds(driver, tls_contexts, TLSSocketStream)
    yield ends
    ends.destroy(driver)


# -- what OpenSSL wants -----------------------------------------------------------------------------------------------


class Moody:
    """An SSLSocket that wants something else first."""

    def __init__(self, sock: ssl.SSLSocket, method: str, error: type[ssl.SSLError], times: int) -> None:
        self._sock = sock
        self._method = method
        self._error = error
        self._times = times
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return self._want if name == self._method else getattr(self._sock, name)

    def _want(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error(0, 'not yet')
        return getattr(self._sock, self._method)(*arguments)


def make_moody(driver: Driver, stream: Stream, method: str, error: type[ssl.SSLError], times: int) -> Moody:
    moody = Moody(stream._sock, method, error, times)  # type: ignore[arg-type]
    driver(setattr, stream, '_sock', moody)
    return moody


def test_reading_that_must_write_first_goes_on_when_it_can(driver: Driver, ends: TLSEnds) -> None:
    ends.shake(driver)
    moody = make_moody(driver, ends.server, 'read', ssl.SSLWantWriteError, 3)
    driver(ends.client.write, b'hello')
    assert ends.at_server.bytes(5) == b'hello'
    driver(ends.client.write, b'again')
    assert ends.at_server.bytes(5) == b'again'
    calls = moody.calls
    driver.turns(5)
    assert moody.calls == calls


def test_reading_that_must_write_first_is_no_busy_loop(driver: Driver, tls_contexts: Contexts) -> None:
    """A peer that asks for key updates and reads nothing: data waits to be read, and nothing can be written."""
    sock, peer = tls_sockets(tls_contexts, *tcp_pair(4096))
    stream = TLSSocketStream(driver.loop, sock)
    received = Received(stream)
    driver(stream.resume)
    calls = [0]

    class Updating:
        def read(self, size: int) -> bytes:
            calls[0] += 1
            with contextlib.suppress(BlockingIOError):
                while True:
                    socket.socket.send(sock, b'key update')
            raise ssl.SSLWantWriteError(0, 'not yet')

        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

    driver(setattr, stream, '_sock', Updating())
    peer.sendall(b'hello')
    until(lambda: calls[0])
    assert Waiter().nothing(0.1)
    assert calls[0] < 100  # more than one, as the peer's kernel takes some
    driver(stream.destroy)
    received.until('close')
    peer.close()


def test_writing_that_must_read_first_goes_on_when_it_can(driver: Driver, ends: TLSEnds) -> None:
    ends.shake(driver)
    driver(ends.server.pause)
    moody = make_moody(driver, ends.server, 'write', ssl.SSLWantReadError, 1)
    answer = Waiter()
    driver(ends.server.write, b'hello', answer)
    driver.turns(5)
    assert moody.calls == 1
    driver(ends.client.write, b'what it waits for')
    assert answer.get() == (None,)
    assert ends.at_client.bytes(5) == b'hello'
    assert ends.at_server.data == bytearray()  # paused is paused
    driver(ends.server.resume)
    assert ends.at_server.bytes(17) == b'what it waits for'


def test_an_unfinished_write_is_repeated_with_the_same_data(driver: Driver, ends: TLSEnds) -> None:
    """OpenSSL demands that; what was queued meanwhile comes behind it."""
    ends.shake(driver)
    sock = ends.server._sock
    written: list[bytes] = []

    class Demanding:
        def write(self, data: Any) -> int:
            written.append(bytes(data))
            if len(written) < 3:
                raise ssl.SSLWantWriteError(0, 'not yet')
            return sock.write(data)  # type: ignore[attr-defined,no-any-return]

        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

    driver(setattr, ends.server, '_sock', Demanding())
    for data in (b'one', b'two', b'three'):
        driver(ends.server.write, data)
    assert ends.at_client.bytes(11) == b'onetwothree'
    assert written[:3] == [b'one'] * 3


def test_small_writes_are_encrypted_together_and_large_ones_in_parts(driver: Driver, ends: TLSEnds) -> None:
    """OpenSSL comes back from a write only when it is complete, or when the kernel takes no more."""
    ends.shake(driver)
    moody = make_moody(driver, ends.server, 'write', ssl.SSLError, 0)

    def write_all() -> None:
        for _ in range(100):
            ends.server.write(b'x' * 100)
        ends.server.write(bytes(200_000))

    driver(write_all)
    assert ends.at_client.bytes(210_000) == b'x' * 10_000 + bytes(200_000)
    assert 1 + 3 <= moody.calls <= 1 + 3 * 2  # each is repeated at most once, if the kernel was full


# -- endings ----------------------------------------------------------------------------------------------------------


def test_an_end_that_the_kernel_has_no_room_for_is_an_end_nevertheless(
    driver: Driver, ends: TLSEnds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwrap(sock: ssl.SSLSocket) -> None:
        raise ssl.SSLWantWriteError(0, 'not yet')

    ends.shake(driver)
    with monkeypatch.context() as patch:
        patch.setattr(ssl.SSLSocket, 'unwrap', unwrap)
        driver(ends.server.end)
        ends.at_client.until('end')  # without close_notify
    driver(ends.client.end)
    ends.at_server.until('close')


def test_an_end_while_the_peer_is_sending_resets_nothing(driver: Driver, ends: TLSEnds) -> None:
    """A server that ends the connection because a message is too large: the reason must reach the client."""
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
    assert sent.get() == (None,)  # all of it was taken, and thrown away
    assert not ends.server.closed
    driver(ends.client.end)
    for end in (ends.at_server, ends.at_client):
        end.until('close')
        assert end.error is None


# -- what others have done with the socket before, and know of it afterwards ------------------------------------------


def test_what_openssl_had_decrypted_for_somebody_else_is_read(driver: Driver, tls_contexts: Contexts) -> None:
    sock, peer = tls_sockets(tls_contexts, *tcp_pair())
    with peer:
        peer.sendall(b'xdecrypted')
        assert sock.recv(1) == b'x'
        stream = TLSSocketStream(driver.loop, sock)
        received = Received(stream)
        driver(lambda: (stream.resume(), stream.pause(), stream.resume()))
        assert received.bytes(9) == b'decrypted'
        peer.sendall(b'and on')
        assert received.bytes(6) == b'and on'
        driver(stream.destroy)


def test_whoever_else_has_a_socket_that_is_kept_open_closes_it_in_vain(driver: Driver, tls_contexts: Contexts) -> None:
    """Until the stream is closed, or without a stream until the second one has closed it."""
    for with_stream in (True, False):
        near, far = tcp_pair()
        sock = tls_contexts[0].wrap_socket(near, server_side=True, do_handshake_on_connect=False)
        keep_open(sock)
        assert is_kept_open(sock) and not is_kept_open(far)
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        assert sock.fileno() >= 0
        if with_stream:
            stream = TLSSocketStream(driver.loop, sock)
            driver(stream.destroy)
        else:
            sock.close()
        assert sock.fileno() < 0
        assert far.recv(1) == b''
        far.close()


def test_a_stream_is_the_last_owner_of_its_socket(driver: Driver, tls_contexts: Contexts) -> None:
    near, far = tcp_pair()
    sock = tls_contexts[0].wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    keep_open(sock)
    driver(TLSSocketStream(driver.loop, sock).destroy)
    assert sock.fileno() < 0
    sock.close()
    assert far.recv(1) == b''
    far.close()


def test_an_owner_who_still_uses_his_socket_finds_the_peer_gone(driver: Driver, tls_contexts: Contexts) -> None:
    sock, peer = tls_sockets(tls_contexts, *tcp_pair())
    file = sock.makefile('rb')
    keep_from_owner(sock)
    stream = TLSSocketStream(driver.loop, sock)
    received = Received(stream)
    driver(stream.resume)
    with peer:
        peer.sendall(b'hello')
        assert received.bytes(5) == b'hello'
        assert sock.recv(100) == b'' and file.read() == b''
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                sock.sendall(b'response')
        sock.settimeout(5)
        sock.setblocking(True)
        sock.shutdown(socket.SHUT_RDWR)
        file.close()
        for _ in range(3):
            sock.close()
        assert is_kept_open(sock)
        driver(stream.write, b'answer')
        assert peer.recv(100) == b'answer'
        peer.sendall(b'more')
        assert received.bytes(4) == b'more'
        driver(stream.destroy)
        assert peer.recv(100) == b''
    assert sock.fileno() < 0
    with pytest.raises(BrokenPipeError):
        sock.sendall(b'response')
