"""What it costs to paste into wscat on a terminal: how long until all is sent, and how much is written to the screen.

    .venv/bin/python bench/pastes.py [--limit SECONDS] [SIZE ...]

Beside Node's wscats, if `make node-peers` has installed them. Each program runs in a pseudo-terminal of 80 columns and
24 rows, connected to a server in this process. The paste ends with Enter, and comes as one line or as lines of 100
characters. The time ends when the server has all of it; everything that is written until the screen has been still for
half a second is counted.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import NamedTuple

from ws import WebSocket, WebSocketServer
from ws.options import Options

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / 'test' / 'interop' / 'node' / 'node_modules'
PROGRAMS = {
    'ws': [sys.executable, '-m', 'ws'],
    'wscat of today': ['node', '--no-deprecation', str(NODE / 'wscat' / 'bin' / 'wscat')],
    'wscat 0.4.31': ['node', '--no-deprecation', str(NODE / 'ws-0.4.31' / 'bin' / 'wscat')],
}
SIZES = (2_000, 20_000, 200_000, 2_000_000)
LINE = 100
STILL = 0.5


class Cost(NamedTuple):
    seconds: float
    written: int


class Listener:
    """A server that counts what it gets."""

    def __init__(self) -> None:
        self.connected = threading.Event()
        self.received = 0
        self._listening = threading.Event()
        self._server = WebSocketServer(port=0, maxPayload=1 << 30)
        self._server.on('connection', self._admit)
        self._server.on('listening', self._listening.set)
        self._listening.wait()
        address = self._server.address()
        assert isinstance(address, Options)
        self.url = f'ws://127.0.0.1:{address.port}'

    def _admit(self, ws: WebSocket) -> None:
        ws.on('message', self._count)
        self.connected.set()

    def _count(self, message: str) -> None:
        self.received += len(message)

    def close(self) -> None:
        self._server.close()


class Screen:
    """A pseudo-terminal with a program in it."""

    def __init__(self, command: list[str]) -> None:
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
        environment = {**os.environ, 'TERM': 'xterm', 'PYTHONPATH': str(ROOT)}
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment
        )
        os.close(slave)
        self.written = 0

    def type(self, data: bytes) -> bytes:
        """Returns what has not been taken yet."""
        readable, writable, _ = select.select([self._master], [self._master] if data else [], [], 0.05)
        if readable:
            self.written += len(os.read(self._master, 1 << 20))
        return data[os.write(self._master, data) :] if writable else data

    def is_still(self) -> None:
        """Read until nothing has come for a while."""
        while select.select([self._master], [], [], STILL)[0]:
            self.written += len(os.read(self._master, 1 << 20))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


def measure(command: list[str], data: bytes, limit: float) -> Cost:
    """Raises TimeoutError."""
    listener = Listener()
    screen = Screen([*command, '-c', listener.url])
    try:
        while not listener.connected.is_set():
            screen.type(b'')
        screen.is_still()
        screen.written = 0
        due = len(data) - data.count(b'\r')
        started = time.perf_counter()
        while data or listener.received < due:
            data = screen.type(data)
            if time.perf_counter() - started > limit:
                raise TimeoutError
        seconds = time.perf_counter() - started
        screen.is_still()
        return Cost(seconds, screen.written)
    finally:
        screen.close()
        listener.close()


def pastes(size: int) -> dict[str, bytes]:
    text = (b'0123456789' * (size // 10 + 1))[:size]
    lines = [text[place : place + LINE - 1] for place in range(0, size, LINE)]
    return {'one line': text + b'\r', 'many lines': b''.join(line + b'\r' for line in lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sizes', metavar='SIZE', type=int, nargs='*', help=f'in bytes (default: {SIZES})')
    parser.add_argument('--limit', type=float, default=60, help='how long to wait for each, in seconds (default: 60)')
    options = parser.parse_args()
    programs = {name: command for name, command in PROGRAMS.items() if Path(command[-1]).exists() or name == 'ws'}
    print('| paste | ' + ' | '.join(f'{name}: s | written' for name in programs) + ' |')
    print('|---|' + '---|---|' * len(programs))
    for size in options.sizes or SIZES:
        for kind, data in pastes(size).items():
            cells = []
            for command in programs.values():
                try:
                    cost = measure(command, data, options.limit)
                    cells.append(f'{cost.seconds:.2f} | {cost.written:,}')
                except TimeoutError:
                    cells.append(f'over {options.limit:g} | ')
            print(f'| {size:,} bytes, {kind} | ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
    main()
