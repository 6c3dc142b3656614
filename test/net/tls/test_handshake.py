"""Streams over TLS: handshakes."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import time
import weakref
from typing import Any, Optional

import pytest
import trustme
from net.tls.peers import Peer
from streams import Contexts, Driver, Received, TLSEnds, client_stream, in_thread, receive, reset, server_stream
from support import Waiter, until

from ws.net.tls import TLSStream
from ws.net.tls_context import client_context


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
