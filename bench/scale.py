"""How far it goes: a pool for the listeners, several processes on one port, very many connections in one process.

    bench/.venv/bin/python bench/scale.py pool|processes|many [NUMBER]

What doc/scaling.md quotes. `many` takes NUMBER connections (50,000), as far as the limit of open files goes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from frames import make_payloads, masked_frame, masked_frames
from measure import cores
from process import Load, Process, process_time

import ws
from ws import WebSocket

BENCH = Path(__file__).resolve().parent
SLEEP, THREADS, CLIENTS = 0.1, 200, 1000
HEAD = (
    b'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
)
AT_ONCE = 50  # connections that each process makes at the same time; all of them fewer than a backlog
HELD_BY_EACH = 10_000  # connections of each process with clients, from an address of its own
NOT_CONNECTIONS = 50  # descriptors for everything else
PATIENCE = 600  # seconds until something has failed: a virtual machine may take minutes
BROADCAST = b'\x81\x40' + b'x' * 64

SERVER = """
import json, sys, threading, time
from ws import WebSocketServer
given = json.loads(sys.argv[1])
wss = WebSocketServer(given['options'])
def connection(ws):
    if given['job'] == 'sleep':
        ws.on('message', lambda data: (time.sleep(given['seconds']), ws.send(data)))
    elif given['job'] == 'broadcast':
        ws.on('message', lambda data: [client.send(data) for client in wss.clients])
    else:
        ws.on('message', lambda data: ws.send(data))
wss.on('connection', connection)
wss.on('listening', lambda: print(wss.address().port, flush=True))
# It ends with whoever has started it.
threading.Thread(target=lambda: (sys.stdin.read(), wss.close()), daemon=True).start()
"""


class Server:
    def __init__(self, job: str, pass_fds: tuple[int, ...] = (), seconds: float = 0, **options: Any) -> None:
        given = json.dumps({'job': job, 'seconds': seconds, 'options': options})
        self.process = subprocess.Popen(
            [sys.executable, '-c', SERVER, given],
            env={**os.environ, 'PYTHONPATH': str(Path(ws.__file__).parents[1])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=pass_fds,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def cpu(self) -> float:
        return process_time(self.process.pid)

    def memory(self) -> int:
        """Resident, in KiB."""
        status = Path('/proc', str(self.process.pid), 'status').read_text()
        return int(status.partition('VmRSS:')[2].split()[0])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def server(job: str, **settings: Any) -> Iterator[Server]:
    started = Server(job, **settings)
    try:
        yield started
    finally:
        started.end()


def pool() -> None:
    """A thousand connections ask something whose answer takes 100 ms."""
    for name, options, number in [
        ('on the loop thread', {}, 20),
        (f'on {THREADS} threads', {'executor': THREADS}, CLIENTS),
    ]:
        with server('sleep', seconds=SLEEP, port=0, host='127.0.0.1', **options) as measured:
            seconds = time_of_answers(measured.port, number)
        print(f'{name}: {number} answers that take {SLEEP * 1000:.0f} ms each, after {seconds:.2f} s')


def time_of_answers(port: int, number: int) -> float:
    opened, answered = Latch(number), Latch(number)
    clients = []
    for _ in range(number):
        client = WebSocket(f'ws://127.0.0.1:{port}')
        client.on('open', opened)
        client.on('message', answered)
        clients.append(client)
    opened.wait()
    started = time.monotonic()
    for client in clients:
        client.send('x')
    answered.wait()
    took = time.monotonic() - started
    for client in clients:
        client.terminate()
    return took


class Latch:
    """Opens when it was called so many times."""

    def __init__(self, number: int) -> None:
        self._left = number
        self._done = threading.Event()

    def __call__(self, *args: Any) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()

    def wait(self) -> None:
        if not self._done.wait(120):
            raise SystemExit(f'{self._left} are missing')


def processes(seconds: float = 5) -> None:
    """One port, one and two workers, two cores; the load generator needs its part of them."""
    frames = BENCH / 'build' / 'scale.frames'
    frames.write_bytes(masked_frames('binary', make_payloads('binary', 1024, 8), deflate=False))
    for number in (1, 2):
        rates, costs = [], []
        for _ in range(3):
            with ExitStack() as stack:
                sock = stack.enter_context(socket.create_server(('127.0.0.1', 0), backlog=511))
                port = sock.getsockname()[1]
                options = {'fd': sock.fileno(), 'pass_fds': (sock.fileno(),)}
                workers = [stack.enter_context(server('echo', **options)) for _ in range(number)]
                command = ['build/load', str(port), 'echo', str(frames), '100', '8']
                load = stack.enter_context(Load(command, cores()[1], BENCH))
                os.sched_setaffinity(load.pid, os.sched_getaffinity(0))
                load.answer(60)
                load.run_phase(1)
                before = sum(worker.cpu() for worker in workers)
                result = load.run_phase(seconds)
                cpu = sum(worker.cpu() for worker in workers) - before
                rates.append(result['messages'] / result['seconds'])
                costs.append(cpu * 100_000 / result['messages'])
        rate, cost = statistics.median(rates), statistics.median(costs)
        print(f'{number} worker(s): {rate:,.0f} messages of 1 KiB a second, {cost:.2f} CPU s per 100,000')


def many(number: int) -> None:
    """So many connections in one process, and a broadcast to all."""
    possible = raise_limit(number + NOT_CONNECTIONS) - NOT_CONNECTIONS
    if possible < number:
        print(f'{possible} in the place of {number}, as no process may have more descriptors')
        number = possible
    with ExitStack() as stack:
        measured = stack.enter_context(server('broadcast', port=0, host='0.0.0.0', clientTracking=True))
        before = measured.memory()
        started, cpu = time.monotonic(), measured.cpu()
        holders = [
            stack.enter_context(Holder(measured.port, min(HELD_BY_EACH, number - first), address))
            for address, first in enumerate(range(0, number, HELD_BY_EACH), 1)
        ]
        for holder in holders:
            holder.read_line(PATIENCE)
        took = time.monotonic() - started
        print(f'{number} connections after {took:.1f} s, {measured.cpu() - cpu:.1f} s of them CPU time of the server;')
        print(f'{(measured.memory() - before) / number:.2f} KiB each; clients in {len(holders)} processes')
        for _ in range(3):
            for holder in holders:
                holder.write_line('receive')
                holder.read_line(PATIENCE)
            started, cpu = time.monotonic(), measured.cpu()
            holders[0].write_line('send')
            took = max(holder.answer(PATIENCE)['ended'] for holder in holders) - started
            print(f'a message to all of them after {took:.2f} s; {measured.cpu() - cpu:.2f} s of CPU time')


class Holder(Process):
    """A process with clients; see :func:`hold`."""

    def __init__(self, port: int, number: int, address: int) -> None:
        super().__init__([sys.executable, __file__, 'hold', str(number), str(port), str(address)], None, BENCH)


def hold(number: int, port: int, address: int) -> None:
    """Be `number` clients, from an address of their own: print a line when they are connected, and obey."""
    raise_limit(number + NOT_CONNECTIONS)
    socks = connect(port, number, f'127.0.0.{address}')
    print('connected', flush=True)
    for line in sys.stdin:
        if line == 'receive\n':
            receiver = Receiver(socks, len(BROADCAST))
            print('ready', flush=True)
            if address > 1:
                receiver.finish()
        else:
            socks[0].send(masked_frame(0x81, BROADCAST[2:], b'mask'))
            receiver.finish()


def raise_limit(wanted: int) -> int:
    """Of open files, for us and those we start; returns what it is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):  # that is for root
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def connect(port: int, number: int, address: str) -> list[socket.socket]:
    socks: list[socket.socket] = []
    while len(socks) < number:
        batch = []
        for _ in range(min(AT_ONCE, number - len(socks))):
            sock = socket.socket()
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port may serve other peers, too
            sock.bind((address, 0))
            sock.connect(('127.0.0.1', port))
            sock.sendall(HEAD)
            batch.append(sock)
        for sock in batch:
            head = b''
            while not head.endswith(b'\r\n\r\n'):
                head += sock.recv(4096)
            if not head.startswith(b'HTTP/1.1 101 '):
                raise SystemExit(head.decode())
        socks += batch
    return socks


class Receiver:
    """Waits until each of `socks` has received so many bytes, and prints when."""

    def __init__(self, socks: list[socket.socket], size: int) -> None:
        self._poll = select.epoll()
        self._left = {}
        for sock in socks:
            self._poll.register(sock.fileno(), select.EPOLLIN)
            self._left[sock.fileno()] = sock, size

    def finish(self) -> None:
        while self._left:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise SystemExit(f'{len(self._left)} received nothing')
            for fd, _ in ready:
                self._receive(fd)
        self._poll.close()
        print(json.dumps({'ended': time.monotonic()}), flush=True)

    def _receive(self, fd: int) -> None:
        sock, missing = self._left.pop(fd)
        missing -= len(sock.recv(missing))
        if missing:
            self._left[fd] = sock, missing
        else:
            self._poll.unregister(fd)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['pool', 'processes', 'many', 'hold'])
    parser.add_argument('number', nargs='?', type=int, default=50_000)
    parser.add_argument('holder', nargs='*', type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == 'many':
        many(arguments.number)
    elif arguments.what == 'hold':
        hold(arguments.number, *arguments.holder)
    else:
        {'pool': pool, 'processes': processes}[arguments.what]()


if __name__ == '__main__':
    main()
