"""Streams over TLS: endings."""

from __future__ import annotations

import os
import socket
import ssl
import time
from typing import Any

import pytest
import trustme
from net.tls.peers import BOTH_KINDS
from streams import Contexts, Driver, Received, TLSEnds, client_stream, in_thread, server_stream, unix_pair
from support import Waiter

from ws.net import tls
from ws.net.stream import Stream
from ws.net.tls import TLSStream
from ws.net.tls_context import client_context


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
