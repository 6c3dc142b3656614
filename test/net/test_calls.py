"""The system calls on non-blocking sockets, in C and in Python."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ws._native import native
from ws.net import calls

WAYS = [(calls._socket_of, calls._recv, calls._send, calls._send_several)]
if hasattr(native, 'recv'):
    WAYS.append((socket.socket.fileno, native.recv, native.send, native.send_several))


@pytest.mark.parametrize(('handle_of', 'recv', 'send', 'send_several'), WAYS, ids=['Python', 'C'][: len(WAYS)])
class TestCalls:
    def test_there_and_back(self, handle_of: Any, recv: Any, send: Any, send_several: Any) -> None:
        one, other = socket.socketpair()
        with one, other:
            other.setblocking(False)
            assert recv(handle_of(other), 10) is None
            assert send(handle_of(one), memoryview(b'hello world')[:8]) == 8
            assert recv(handle_of(other), 5) == b'hello'
            assert recv(handle_of(other), 100_000) == b' wo'
            one.shutdown(socket.SHUT_WR)
            assert recv(handle_of(other), 5) == b''

    def test_several_buffers(self, handle_of: Any, recv: Any, send: Any, send_several: Any) -> None:
        one, other = socket.socketpair()
        with one, other:
            queue = [b'not this', b'one', memoryview(b'two, and more')[:3], b'']
            assert send_several(handle_of(one), queue, 1) == 6
            assert recv(handle_of(other), 100) == b'onetwo'
            assert send_several(handle_of(one), [b'x'] * 100, 0) == calls.BUFFERS_PER_CALL

    def test_a_full_socket_takes_nothing(self, handle_of: Any, recv: Any, send: Any, send_several: Any) -> None:
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            sent = []
            while not sent or sent[-1]:
                sent.append(send(handle_of(one), bytes(1 << 20)))
            assert len(sent) > 1
            assert send_several(handle_of(one), [b'x', b'y'], 0) == 0

    def test_errors(self, handle_of: Any, recv: Any, send: Any, send_several: Any) -> None:
        one, other = socket.socketpair()
        with one:
            other.close()
            for attempt in (lambda: send(handle_of(one), b'x'), lambda: send_several(handle_of(one), [b'x', b'y'], 0)):
                with pytest.raises(BrokenPipeError):
                    for _ in range(2):
                        attempt()
        for size in (5, 100_000):
            with pytest.raises((OSError, ValueError)):
                recv(handle_of(one), size)
