"""A connection that does no harm, beside one that does: it sends a few bytes, waits for the echo, and again, and
remembers the longest it waited. That is how long anybody else had to wait.

    python -m load.bystander PORT

prints a line when it has begun, and its figures in JSON when its standard input ends. It is a process of its own, and
knows nothing of the library: what it measures is the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import statistics
import sys
import time
from pathlib import Path

from process import START_TIMEOUT, Process

HANDSHAKE = (
    b'GET /echo/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
)
#: A masked frame of 8 bytes, and the frame that answers it.
QUESTION = b'\x81\x89\0\0\0\0!echo him'
ANSWER = b'\x81\x09!echo him'
#: Seconds between an answer and the next question: the server has other things to do.
PAUSE = 0.001

TEST = Path(__file__).resolve().parents[1]
BENCH = TEST.parent / 'bench'


class Bystander(Process):
    """The process, for those who start it: ``with Bystander(port) as it: …; figures = it.finish()``."""

    def __init__(self, port: int, core: int) -> None:
        environment = {'PYTHONPATH': os.pathsep.join([str(TEST), str(BENCH)])}
        super().__init__([sys.executable, '-m', 'load.bystander', str(port)], core, TEST, environment)
        try:
            self.read_line(START_TIMEOUT)
        except BaseException:
            self.kill()
            raise

    def finish(self, timeout: float = 60) -> dict[str, float]:
        """``longest`` and ``median``, in milliseconds; ``overslept``, the longest that this machine let the bystander
        itself wait; how many ``echoes`` came; ``lost``: 1 if the connection ended, or the last one never came."""
        with contextlib.suppress(BrokenPipeError):  # its connection is lost, so it has ended, and told why
            self.write_line('')
        return self.answer(timeout)


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(('127.0.0.1', port), 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HANDSHAKE)
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        piece = sock.recv(1)
        if not piece:
            raise ConnectionError(f'no connection: {head!r}')
        head += piece
    if not head.startswith(b'HTTP/1.1 101 '):
        raise ConnectionError(f'no connection: {head!r}')
    return sock


def echo(sock: socket.socket, stop: object, patience: float) -> tuple[float, bool]:
    """How many seconds one echo took, and whether it came. Waits no longer than `patience` once told to stop."""
    started = time.perf_counter()
    deadline = None
    sock.sendall(QUESTION)
    answer = b''
    while len(answer) < len(ANSWER):
        timeout = None if deadline is None else deadline - time.perf_counter()
        if timeout is not None and timeout <= 0:
            return time.perf_counter() - started, False
        readable, _, _ = select.select([sock] if deadline is not None else [sock, stop], [], [], timeout)
        if sock in readable:
            piece = sock.recv(len(ANSWER) - len(answer))
            if not piece:
                return time.perf_counter() - started, False
            answer += piece
        elif readable:
            deadline = time.perf_counter() + patience
    return time.perf_counter() - started, answer == ANSWER


def watch(port: int, patience: float = 30) -> dict[str, float]:
    times: list[float] = []
    overslept = 0.0
    lost = False
    with connect(port) as sock:
        print('begun', flush=True)
        while not lost:
            started = time.perf_counter()
            if select.select([sys.stdin], [], [], PAUSE)[0]:
                break
            overslept = max(overslept, time.perf_counter() - started - PAUSE)
            try:
                took, came = echo(sock, sys.stdin, patience)
            except OSError:
                lost = True
                break
            times.append(took)
            lost = not came
    return {
        'longest': max(times, default=0) * 1000,
        'overslept': overslept * 1000,
        'median': statistics.median(times or [0]) * 1000,
        'echoes': len(times),
        'lost': int(lost),
    }


if __name__ == '__main__':
    print(json.dumps(watch(int(sys.argv[1]))), flush=True)
