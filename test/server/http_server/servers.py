"""Kinds of servers, and what is said over their sockets, for the tests of this folder."""

from __future__ import annotations

import socket

import pytest
from sites import KEEP_ALIVE, SERVERS

each_server = pytest.mark.parametrize('site', list(SERVERS), indirect=True)
each_keep_alive = pytest.mark.parametrize('site', KEEP_ALIVE, indirect=True)
http_server = pytest.mark.parametrize('site', ['HTTPServer'], indirect=True)


def read(sock: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        assert chunk, f'the connection ended after {data!r}'
        data += chunk
    return data


def talk(a: socket.socket, b: socket.socket) -> None:
    """Data goes both ways."""
    a.sendall(b'ping')
    assert read(b, 4) == b'ping'
    b.sendall(b'pong')
    assert read(a, 4) == b'pong'
