"""Addresses to listen on, and calls to who listens there."""

from __future__ import annotations

import socket

from support import TIMEOUT

from ws.net.resolver import Endpoint, look_up_literal


def endpoints(host: str = '127.0.0.1', port: int = 0) -> list[Endpoint]:
    found = look_up_literal(host, port)
    assert found is not None
    return found


def call(sock: socket.socket) -> socket.socket:
    return socket.create_connection(sock.getsockname()[:2], timeout=TIMEOUT)
