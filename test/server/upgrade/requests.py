"""Requests, and what becomes of them, for the tests of this folder."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from support import HANDSHAKE, Waiter, on_loop, raw_connection, read_all

from ws import WebSocketServer

REQUEST = HANDSHAKE % b'/'


def with_header(line: bytes) -> bytes:
    return REQUEST.replace(b'\r\n\r\n', b'\r\n' + line + b'\r\n\r\n')


def text_frame(text: bytes) -> bytes:
    """A masked one; the mask changes nothing."""
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b'\xfe' + struct.pack('!H', len(text))
    return b'\x81' + length + b'\0\0\0\0' + text


def answer(wss: WebSocketServer, request: bytes = REQUEST) -> bytes:
    """All that the server says to a client that then only waits."""
    with raw_connection(wss) as sock:
        sock.sendall(request)
        return read_all(sock)


def nobody_connects(wss: WebSocketServer) -> None:
    wss.on('connection', lambda: pytest.fail('connected'))


class Later:
    """A verifyClient that leaves the answer to the test."""

    def __init__(self) -> None:
        self.asked = Waiter()

    def __call__(self, info: Any, callback: Callable[..., None]) -> None:
        self.asked(callback)

    def get(self) -> Callable[..., None]:
        """The callback of the next client."""
        callback: Callable[..., None] = self.asked.get()[0]
        return callback


def fail(*args: Any) -> None:
    raise LookupError('of verifyClient')


def verify_thread_is_done(wss: WebSocketServer) -> None:
    """What was handed to the loop before has been done."""
    on_loop(wss, lambda: None)
