"""Both kinds of streams over TLS, and a peer of theirs, for the tests of this folder."""

from __future__ import annotations

import socket
import ssl

import pytest

from ws.net.tls import TLSStream
from ws.net.tls_socket import TLSSocketStream

#: Of our own, and over a socket that somebody else has wrapped.
BOTH_KINDS = pytest.mark.parametrize('kind', [TLSStream, TLSSocketStream])


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
