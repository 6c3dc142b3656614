"""What a message costs in this package itself, in nanoseconds: the kernel's part is taken off.

bench/.venv/bin/python bench/core.py           (with WS_NO_SPEEDUPS=1: without the accelerator)
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from frames import masked_frame

from ws import WebSocket, speedups
from ws.connection import HandedOver
from ws.net.lifetime import get_loop
from ws.net.poller import READ
from ws.net.stream import Stream
from ws.protocol.http import Headers, Request

REPEATS, ROUNDS = 20, 500
PEERS = 100  # of a broadcast


def connection() -> tuple[WebSocket, Stream, socket.socket]:
    """A server's end of a connection; its stream; the peer's socket. On the loop thread."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    stream = Stream(get_loop(), ours)
    ws = WebSocket(HandedOver(Request('GET', '/', '1.1', Headers(), []), stream, b''), None, {})
    return ws, stream, theirs


def beyond(ours: Callable[[], object], kernel: Callable[[], object], count: int) -> float:
    """Nanoseconds that `ours` takes longer than `kernel`, for each of `count` things that both do.

    The least time of each counts, and they take turns: whatever else the machine does makes them slower, never faster.
    """
    least = {ours: float('inf'), kernel: float('inf')}
    for _ in range(ROUNDS):
        for function in least:
            start = time.perf_counter_ns()
            for _ in range(REPEATS):
                function()
            least[function] = min(least[function], time.perf_counter_ns() - start)
    return (least[ours] - least[kernel]) / REPEATS / count


def echo(listener: Callable[[WebSocket], Callable[..., Any]], in_flight: int) -> float:
    ws, stream, theirs = connection()
    sock = stream._sock
    ws.on('message', listener(ws))
    get_loop()._run_deferred()
    frames = masked_frame(0x82, bytes(64), b'abcd') * in_flight
    answer = (b'\x82\x40' + bytes(64)) * in_flight
    loop = get_loop()

    def ours() -> None:
        theirs.send(frames)
        missing = len(answer)
        while missing:
            stream.on_event(READ)
            loop._flush_dirty()
            missing -= len(theirs.recv(131072))

    def kernel() -> None:
        theirs.send(frames)
        sock.recv(8192)
        sock.send(answer)
        theirs.recv(131072)

    result = beyond(ours, kernel, in_flight)
    ws.terminate()
    theirs.close()
    return result


def broadcast(send: Callable[[WebSocket, str], object]) -> float:
    """For each delivery."""
    connections = [connection() for _ in range(PEERS)]
    loop = get_loop()
    loop._run_deferred()
    answer = b'\x81\x40' + b'x' * 64
    count = 0

    def ours() -> None:
        nonlocal count
        count += 1
        message = 'x' * 60 + str(1000 + count % 9000)  # another object each time
        for ws, _, _ in connections:
            send(ws, message)
        loop._flush_dirty()
        for _, _, theirs in connections:
            theirs.recv(131072)

    def kernel() -> None:
        for _, stream, _ in connections:
            stream._sock.send(answer)
        for _, _, theirs in connections:
            theirs.recv(131072)

    result = beyond(ours, kernel, PEERS)
    for ws, _, theirs in connections:
        ws.terminate()
        theirs.close()
    return result


def plain(ws: WebSocket) -> Callable[..., Any]:
    return lambda message: ws.send(message)


def with_options(ws: WebSocket) -> Callable[..., Any]:
    return lambda message, flags: ws.send(message, {'binary': flags.binary})


def measure() -> None:
    print(f'accelerator: {speedups}')
    for name, listener in (('send(message)', plain), ("send(data, {'binary': flags.binary})", with_options)):
        for in_flight in (1, 64):
            print(f'{echo(listener, in_flight):6.0f} ns  echo of 64 B, {in_flight:2} in flight, {name}')
    print(f'{broadcast(lambda ws, message: ws.send(message)):6.0f} ns  delivery of a broadcast, send(message)')
    options: Callable[[WebSocket, str], object] = lambda ws, message: ws.send(message, {'binary': False})  # noqa: E731
    print(f'{broadcast(options):6.0f} ns  delivery of a broadcast, with options')


def main() -> None:
    done = threading.Event()

    def run() -> None:
        try:
            measure()
        finally:
            done.set()

    get_loop().call(run)
    done.wait()


if __name__ == '__main__':
    main()
