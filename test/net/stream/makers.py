"""Streams of every kind, and the other ends of them, for the tests of this folder."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from typing import Any

import pytest
from streams import Driver, TLSEnds, server_stream, tcp_pair, tls_sockets, unix_pair
from support import TIMEOUT

from ws.net.stream import Stream
from ws.net.tls import TLSStream
from ws.net.tls_socket import TLSSocketStream

KINDS: dict[str, type[Stream]] = {'tcp': Stream, 'unix': Stream, 'tls': TLSStream, 'tls-socket': TLSSocketStream}


class Maker:
    """Makes pairs of one kind, and closes them at the end."""

    def __init__(self, kind: str, driver: Driver, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        self.kind = kind
        self._driver = driver
        self._contexts = contexts
        self._made: list[Any] = []

    def __call__(self, buffers: int = 0) -> tuple[Stream, Any]:
        near, far = unix_pair(buffers) if self.kind == 'unix' else tcp_pair(buffers)
        pair = self._encrypt(near, far) if self.kind.startswith('tls') else (Stream(self._driver.loop, near), far)
        self._made += pair
        return pair

    def _encrypt(self, near: socket.socket, far: socket.socket) -> tuple[Stream, socket.socket]:
        if self.kind == 'tls-socket':
            server, client = tls_sockets(self._contexts, near, far)
            return TLSSocketStream(self._driver.loop, server), client
        done = threading.Event()
        stream = server_stream(self._driver, self._contexts, near)
        self._driver.loop.call(stream.handshake, done.set)
        peer = self._contexts[1].wrap_socket(far, server_hostname='localhost')
        assert done.wait(TIMEOUT)
        return stream, peer

    def two_streams(self, buffers: int = 0) -> tuple[Stream, Stream]:
        """Both ends are streams of the same loop."""
        if self.kind.startswith('tls'):
            ends = TLSEnds(self._driver, self._contexts, KINDS[self.kind], buffers)
            ends.shake(self._driver)
            streams: tuple[Stream, Stream] = ends.streams
            self._driver(streams[0].pause), self._driver(streams[1].pause)
        else:
            near, far = unix_pair(buffers) if self.kind == 'unix' else tcp_pair(buffers)
            streams = Stream(self._driver.loop, near), Stream(self._driver.loop, far)
        self._made += streams
        return streams

    def close(self) -> None:
        for end in self._made:
            if isinstance(end, Stream):
                self._driver(end.destroy)
            else:
                end.close()


def of_kinds(*kinds: str) -> pytest.MarkDecorator:
    """For a test that `make` runs with these alone."""
    return pytest.mark.parametrize('make', kinds, indirect=True)


def pieces(seed: int, number: int, most: int) -> list[bytes]:
    generator = random.Random(seed)
    return [generator.randbytes(generator.randrange(1, most)) for _ in range(number)]
