"""What threads bring, and cost, with a GIL and without: each figure for each of the given Pythons, in turns.

    make bench-threads                                       (finds or builds both: see .ci/find-free-threaded)
    python bench/threads.py [--rounds N] PYTHON [PYTHON...]  (with this package, and bench/build/load)

Medians of the rounds, with the least and the greatest. What doc/scaling.md and doc/threads.md quote.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from frames import make_payloads, masked_frame, masked_frames
from process import Load, Server

BENCH = Path(__file__).resolve().parent
SENDERS, EACH, SIZE = 16, 20_000, 64
COMPUTERS = 2
HEAD = (
    b'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
)

PROGRAM = """
import sys, threading
from ws import WebSocketServer
job, senders, each, size, executor = sys.argv[1], *map(int, sys.argv[2:])
wss = WebSocketServer(port=0, host='127.0.0.1', executor=executor or None)
def send(ws):
    for _ in range(each):
        ws.send(bytes(size))
def compute(ws):
    number = 1
    for step in range(4_000_000):
        number = number * 31 + step & 0xFFFFFFFF
    ws.send(str(number))
def connection(ws):
    if job == 'send':
        ws.on('message', lambda: [threading.Thread(target=send, args=[ws]).start() for _ in range(senders)])
    elif job == 'compute':
        ws.on('message', lambda: compute(ws))
    else:
        ws.on('message', lambda data: ws.send(data))
wss.on('connection', connection)
wss.on('listening', lambda: print(wss.address().port, flush=True))
"""


class Measured(Server):
    """The program, on one core or on all of them."""

    def __init__(self, python: str, job: str, executor: int = 0, everywhere: bool = True) -> None:
        cores = os.sched_getaffinity(0)
        arguments = [job, *map(str, (SENDERS, EACH, SIZE, executor))]
        super().__init__([python, '-c', PROGRAM, *arguments], min(cores), BENCH.parent)
        if everywhere:
            for thread in Path('/proc', str(self.pid), 'task').iterdir():
                os.sched_setaffinity(int(thread.name), cores)


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(('127.0.0.1', port))
    sock.sendall(HEAD)
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        head += sock.recv(1)
    return sock


def senders(python: str) -> dict[str, float]:
    """Sixteen threads send over one connection."""
    with Measured(python, 'send') as measured, connect(measured.port) as sock:
        left = SENDERS * EACH * (2 + SIZE)
        started, cpu = time.monotonic(), measured.cpu_seconds()
        sock.sendall(masked_frame(0x81, b'go', b'mask'))
        while left:
            left -= len(sock.recv(min(left, 1 << 20)))
        seconds, cpu = time.monotonic() - started, measured.cpu_seconds() - cpu
    count = SENDERS * EACH
    return {
        f'{SENDERS} threads send: messages/s': count / seconds,
        f'{SENDERS} threads send: CPU s per 100,000': cpu * 100_000 / count,
    }


def computers(python: str) -> dict[str, float]:
    """Listeners that compute."""
    figures = {}
    for name, number, executor in [
        ('one listener computes', 1, 0),
        (f'{COMPUTERS} on the loop thread', COMPUTERS, 0),
        (f'{COMPUTERS} on a pool of {COMPUTERS}', COMPUTERS, COMPUTERS),
    ]:
        with Measured(python, 'compute', executor) as measured:
            socks = [connect(measured.port) for _ in range(number)]
            started = time.monotonic()
            for sock in socks:
                sock.sendall(masked_frame(0x81, b'go', b'mask'))
            waiting = set(socks)
            while waiting:
                for sock in select.select(waiting, [], [])[0]:
                    sock.recv(100)
                    waiting.discard(sock)
            figures[f'{name}: s'] = time.monotonic() - started
            for sock in socks:
                sock.close()
    return figures


def echoes(python: str) -> dict[str, float]:
    """One thread does all: what it costs that others could run."""
    figures = {}
    frames = BENCH / 'build' / 'threads.frames'
    for name, size, connections, in_flight in [
        ('1 connection, 64 B, 64 in flight', 64, 1, 64),
        ('100, 1 KiB × 8', 1024, 100, 8),
    ]:
        frames.write_bytes(masked_frames('binary', make_payloads('binary', size, 8), deflate=False))
        with Measured(python, 'echo', everywhere=False) as measured:
            command = ['build/load', str(measured.port), 'echo', str(frames), str(connections), str(in_flight)]
            with Load(command, max(os.sched_getaffinity(0)), BENCH) as load:
                load.answer(60)
                load.run_phase(0.5)
                before = measured.cpu_seconds()
                result = load.run_phase(2)
                cpu = measured.cpu_seconds() - before
                figures[f'echo, {name}: CPU s per 100,000'] = cpu * 100_000 / result['messages']
    return figures


SCENARIOS: list[Callable[[str], dict[str, float]]] = [senders, computers, echoes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('pythons', nargs='+')
    arguments = parser.parse_args()
    for python in arguments.pythons:
        about = (
            'import sys, ws; print(sys.version.split()[0], "GIL" if getattr(sys, "_is_gil_enabled", lambda: True)() '
        )
        about += 'else "no GIL", "" if ws.speedups else "no accelerator")'
        print(python, subprocess.run([python, '-c', about], check=True, capture_output=True, text=True).stdout.strip())
    figures: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(arguments.rounds):
        for scenario in SCENARIOS:
            for python in arguments.pythons:
                for name, figure in scenario(python).items():
                    figures[name][python].append(figure)
    for name, by_python in figures.items():
        print(name)
        for python in arguments.pythons:
            found = by_python[python]
            median, least, most = (
                f'{f(found):,.{0 if f(found) > 1000 else 3}f}' for f in (statistics.median, min, max)
            )
            print(f'    {median:>10} ({least} to {most})  {python}')


if __name__ == '__main__':
    main()
