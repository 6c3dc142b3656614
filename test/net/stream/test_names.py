"""Streams: names, and options of their sockets."""

from __future__ import annotations

import socket

from streams import Driver, Received, tcp_pair, unix_pair

from ws.net.stream import Stream


def test_the_peer_s_name(driver: Driver) -> None:
    near, far = tcp_pair()
    stream = Stream(driver.loop, near)
    assert (stream.remoteAddress, stream.remotePort) == far.getsockname()
    assert (stream.localAddress, stream.localPort) == far.getpeername()
    assert stream.encrypted is False
    driver(stream.destroy)
    assert (stream.remoteAddress, stream.remotePort) == far.getsockname()  # to the end
    assert (stream.localAddress, stream.localPort) == (None, None)
    far.close()


def test_a_unix_peer_has_a_path_at_most(driver: Driver) -> None:
    near, far = unix_pair()
    stream = Stream(driver.loop, near)
    assert (stream.remoteAddress, stream.remotePort) == ('', None)
    driver(stream.destroy)
    far.close()


def test_small_segments_are_not_held_back(driver: Driver) -> None:
    near, far = tcp_pair()
    stream = Stream(driver.loop, near)
    assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert near.getblocking() is False
    driver(stream.destroy)
    far.close()


def test_abandon_closes_the_descriptor_and_tells_nobody(driver: Driver) -> None:
    near, far = unix_pair()
    stream = Stream(driver.loop, near)
    received = Received(stream)
    stream.abandon()
    assert near.fileno() == -1 and stream.closed
    driver(stream.destroy)
    assert received.happened == []
    assert far.recv(1) == b''
    far.close()
