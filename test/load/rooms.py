"""Rooms of four servers on two machines, with Redis on a third: who is in a room hears everything once and in order.

    python -m load.rooms [SECONDS] [--clients N] [--rooms N] [--rate N] [--calm] [--flask-socketio]

The machines are network namespaces (machines.py). Members talk all the time (rooms_clients.py). First nothing happens:
that part has the figures. Then a server is killed and started again, and Redis is, and another server, and Redis once
more: what was said meanwhile between those who have lost each other may be lost, and everything else must have arrived;
and who is present must be known again. In the end, each room says as much as it can. Ends with status 1 if something
went wrong. With ``--flask-socketio``, the servers are bench/servers/socketio_server.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import redis
from load.bystander import BENCH, TEST
from load.machines import Machine, check, enter, with_us
from load.rooms_clients import (
    Crowd,
    Interruption,
    Language,
    Ledger,
    Member,
    Phase,
    Plain,
    Rush,
    SocketIO,
    Talk,
    percentile,
)
from process import Process

from ws import timers

MACHINES, SERVERS = 2, 4
PORT, REDIS_PORT = 8000, 6379  # nobody else is in these namespaces
#: Seconds that whatever must happen may take.
PATIENCE = 90
#: Shares of the time: until memory is looked at first; the part that has the figures; what follows an interruption.
WARM_UP, STEADY, AFTER = 0.1, 0.4, 0.08
#: Seconds: how long Redis is away, how long each room says as much as it can, and after how long a server that is not
#: heard is gone; and their share of the time at most.
OUTAGE, RUSH, PRESENCE, SHARE = 10, 20, 5, 0.1
#: But no shorter than this, on a machine that does other things, too.
PRESENCE_AT_LEAST = 0.6
#: What may be more at the end: KiB, and a share.
MORE_MEMORY, MORE_OF_IT = 8192, 0.1
SOCKETIO_PYTHON = BENCH / '.venv-rooms' / 'bin' / 'python'


class Ours:
    name = 'ws'
    language: Language = Plain()
    command = (sys.executable, '-m', 'load.rooms_server')
    knows_presence = True

    @staticmethod
    def channels(rooms: int) -> list[str]:
        """Those that each server has subscribed to when it hears everything."""
        return ['ws:processes', *(f'ws:room:{number}' for number in range(rooms))]


class FlaskSocketIO:
    name = 'Flask-SocketIO'
    language: Language = SocketIO()
    command = (str(SOCKETIO_PYTHON), str(BENCH / 'servers' / 'socketio_server.py'))
    knows_presence = False

    @staticmethod
    def channels(rooms: int) -> list[str]:
        return ['flask-socketio']


class Service:
    """A process that can be killed and started again: a server, or Redis."""

    def __init__(self, name: str, command: list[str], address: tuple[str, int]) -> None:
        self.name = name
        self.address = address
        self._command = command
        self._process: Optional[Process] = None
        #: What it has taken when it had been there for a while.
        self.at_first: dict[str, int] = {}

    def start(self) -> None:
        self._process = Process(self._command, None, TEST, {'PYTHONPATH': os.pathsep.join(sys.path)})

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(self.address, 1):
            return True
        assert self._process is not None
        self._process.status('VmRSS')  # raises if it has ended
        return False

    def kill(self) -> None:
        """With SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            self.at_first = {}

    def ask(self, question: str) -> Any:
        assert self._process is not None
        self._process.write_line(question)
        return self._process.answer(PATIENCE)

    def cpu(self) -> float:
        assert self._process is not None
        return self._process.cpu_seconds()

    def taken(self) -> dict[str, int]:
        """``memory`` in KiB, ``descriptors``, ``threads``."""
        assert self._process is not None
        status = self._process.status
        descriptors = len(os.listdir(f'/proc/{self._process.pid}/fd'))
        return {'memory': status('VmRSS'), 'descriptors': descriptors, 'threads': status('Threads')}


def until(condition: Callable[[], Any]) -> float:
    """Seconds until it holds. Raises TimeoutError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE:
            raise TimeoutError(f'{condition.__name__}: not within {PATIENCE} s')
        time.sleep(0.1)
    return time.monotonic() - started


class Run:
    def __init__(self, arguments: argparse.Namespace, machines: list[Machine], folder: Path) -> None:
        self._kind = arguments.kind
        self._clients = arguments.clients
        self._rooms = arguments.rooms
        self._seconds = arguments.seconds
        self._presence = max(PRESENCE_AT_LEAST, self._at_most(PRESENCE))
        self.redis = Service('redis', with_us(*redis_command(folder)), ('127.0.0.1', REDIS_PORT))
        self.servers = [self._server(number, machines[number % MACHINES]) for number in range(SERVERS)]
        self.ledger = Ledger(self._clients, self._rooms, self.server_of)
        self.crowd = Crowd(self.ledger, arguments.size)
        self._interruptions: list[Interruption] = []
        threading.excepthook = lambda arguments: self.ledger.faults(f'reported: {arguments.exc_value!r}')

    def _at_most(self, seconds: float) -> float:
        return min(seconds, SHARE * self._seconds)

    def _server(self, number: int, machine: Machine) -> Service:
        settings = {
            'host': machine.address,
            'port': PORT + number,
            'redis': f'redis://{machine.gateway}:{REDIS_PORT}',
            'presenceTimeout': self._presence * 1000,
        }
        command = machine.command(*with_us(*self._kind.command, json.dumps(settings)))
        return Service(f'server {number}', command, (machine.address, PORT + number))

    def server_of(self, member: int) -> int:
        """Each room has members at every server."""
        return (member // self._rooms + member) % SERVERS

    def room_of(self, member: int) -> str:
        return str(member % self._rooms)

    # -- from beginning to end ---------------------------------------------------------------------------------------

    def start(self) -> None:
        services = [self.redis, *self.servers]
        for service in services:
            service.start()
        for service in services:
            until(service.listens)
        started = time.monotonic()
        for number in range(self._clients):
            host, port = self.servers[self.server_of(number)].address
            language = self._kind.language
            self.crowd.members.append(Member(number, self.room_of(number), host, port, language, self.crowd))
        until(self.crowd.are_in)
        say(f'{self._clients} clients in {self._rooms} rooms after {time.monotonic() - started:.1f} s')
        until(self.is_linked)
        self._say_who_is_present()

    def end(self) -> None:
        self.crowd.close()
        for service in [*self.servers, self.redis]:
            service.kill()

    def is_linked(self) -> bool:
        """Whether every server hears everything."""
        with contextlib.suppress(redis.RedisError), redis.Redis(port=REDIS_PORT) as client:
            channels = self._kind.channels(self._rooms)
            return all(number == SERVERS for _, number in client.pubsub_numsub(*channels))
        return False

    # -- who is present ----------------------------------------------------------------------------------------------

    def until_present(self, without: Optional[int] = None) -> float:
        """Seconds until every server but that one knows who is in each room: all but those of that one."""

        def is_known() -> bool:
            others = [server for number, server in enumerate(self.servers) if number != without]
            return all(server.ask('present') == expected for server in others)

        expected: dict[str, list[int]] = {}
        for member in range(self._clients):
            if self.server_of(member) != without:
                expected.setdefault(self.room_of(member), []).append(member)
        return until(is_known)

    def _say_who_is_present(self) -> None:
        if self._kind.knows_presence:
            say(f'  everybody is present {self.until_present():.1f} s later')

    # -- what happens to it ------------------------------------------------------------------------------------------

    def kill_server(self, number: int) -> None:
        server = self.servers[number]
        what = f'kill -9 of {server.name}'
        with self._interruption(what, lambda *two: number in two):
            server.kill()
            if self._kind.knows_presence:
                say(f'{what}: its members are gone for the others after {self.until_present(without=number):.1f} s')
            else:
                time.sleep(self._presence)
            server.start()
            until(server.listens)
            say(f'{what}: its members are back {until(self.crowd.are_in):.1f} s after its restart')
        self._say_who_is_present()

    def kill_redis(self) -> None:
        what = f'kill -9 of Redis, number {1 + sum("Redis" in each.what for each in self._interruptions)}'
        with self._interruption(what, lambda one, other: one != other):
            self.redis.kill()
            time.sleep(self._at_most(OUTAGE))
            self.redis.start()
            back = until(self.is_linked)
        say(f'{what}: away for {self._at_most(OUTAGE):.1f} s, all servers linked again after {back:.1f} s')
        self._say_who_is_present()

    @contextlib.contextmanager
    def _interruption(self, what: str, between: Callable[[int, int], bool]) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
            until(self.is_linked)
        except TimeoutError as error:
            self.ledger.faults(f'{what}: {error}')
        self._interruptions.append(Interruption(what, began, time.monotonic(), between))

    # -- what it shows -----------------------------------------------------------------------------------------------

    def measure(self, what: str, seconds: float) -> None:
        services = [*self.servers, self.redis]
        before, own, phase = [service.cpu() for service in services], time.process_time(), Phase()
        self.ledger.phase = phase
        time.sleep(seconds)
        self.ledger.phase = Phase()
        took = time.monotonic() - phase.began
        cpu = {service.name: service.cpu() - first for service, first in zip(services, before)}
        cpu['clients'] = time.process_time() - own
        deliveries = phase.deliveries()
        say(f'{what}, {took:.0f} s: {phase.sent / took:,.0f} messages a second, {deliveries / took:,.0f} deliveries')
        for where, latencies in ('the same server', phase.same), ('another server', phase.other):
            parts = ', '.join(f'{name} {percentile(latencies, share):.1f}' for name, share in PERCENTILES)
            say(f'  latency at {where}, ms: {parts}')
        per_delivery = sum(cpu[server.name] for server in self.servers) / max(deliveries, 1) * 1e6
        say(f'  CPU, of one core: {", ".join(f"{name} {used / took:.1%}" for name, used in cpu.items())}')
        say(f'  CPU of the servers: {per_delivery:.1f} us for each delivery')

    def look_at_first(self) -> None:
        """What the processes have taken by now is what they may take."""
        for service in [*self.servers, self.redis]:
            if not service.at_first:
                service.at_first = service.taken()

    def look_at_last(self) -> None:
        for service in [*self.servers, self.redis]:
            first, last = service.at_first, service.taken()
            say(f'{service.name}: ' + ', '.join(f'{last[what]} {what} (at first {first[what]})' for what in first))
            if last['memory'] > first['memory'] * (1 + MORE_OF_IT) + MORE_MEMORY:
                self.ledger.faults(f'{service.name} has grown')
            if last['descriptors'] > first['descriptors'] or last['threads'] > first['threads']:
                self.ledger.faults(f'{service.name} has left something open')

    def until_quiet(self) -> None:
        """Nothing has come for a second."""
        count = -1
        while count != (count := self.ledger.phase.deliveries()):
            time.sleep(1)

    def rush(self) -> None:
        rooms = [self.crowd.members[room :: self._rooms] for room in range(self._rooms)]
        rush = Rush(self.crowd, rooms)
        timers.setTimeout(rush.start, 0)
        self.measure(f'as fast as it goes, a message in each of {self._rooms} rooms', self._at_most(RUSH))
        rush.stop()
        self.until_quiet()

    def judge(self) -> int:
        self.ledger.finish()
        for what, number in self.ledger.judge(self._interruptions).items():
            say(f'{what}: {number} deliveries lost')
        for kind, number in self.ledger.counts.items():
            say(f'{number} deliveries {kind}')
        faults = self.ledger.faults
        for text in faults.texts:
            say(f'  FAULT: {text}')
        say(f'{faults.number} faults')
        return faults.number


PERCENTILES = ('p50', 0.5), ('p90', 0.9), ('p99', 0.99), ('p99.9', 0.999), ('most', 1.0)


def redis_command(folder: Path) -> list[str]:
    options = f'--port {REDIS_PORT} --bind 0.0.0.0 --protected-mode no --logfile /dev/null --dir {folder}'
    return ['redis-server', *options.split(), '--save', '']


def play(run: Run, seconds: float, rate: float, calm: bool) -> int:
    kills = (lambda: run.kill_server(0)), run.kill_redis, (lambda: run.kill_server(1)), run.kill_redis
    started = time.monotonic()
    run.start()
    talk = Talk(run.crowd.members, rate)
    try:
        time.sleep(WARM_UP * seconds)
        run.look_at_first()
        run.measure('nothing happens', STEADY * seconds)
        for interrupt in () if calm else kills:
            interrupt()
            time.sleep(AFTER * seconds)
            run.look_at_first()
        time.sleep(max(0, started + seconds - time.monotonic()))
    finally:
        talk.stop()
    say(f'messages were {talk.late * 1000:.0f} ms late at most')
    run.until_quiet()
    run.look_at_last()
    run.rush()
    return run.judge()


def say(text: str) -> None:
    print(text, flush=True)


def why_not(kind: Any) -> Optional[str]:
    if shutil.which('redis-server') is None:
        return 'redis-server was not found'
    if kind is FlaskSocketIO and not SOCKETIO_PYTHON.exists():
        return f'{SOCKETIO_PYTHON} is not there'
    return check()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('seconds', nargs='?', type=float, default=600)
    parser.add_argument('--clients', type=int, default=2000)
    parser.add_argument('--rooms', type=int, default=200)
    parser.add_argument('--rate', type=float, default=200, help='messages a second')
    parser.add_argument('--size', type=int, default=100, help='characters of a message')
    parser.add_argument('--calm', action='store_true', help='kill nobody')
    parser.add_argument('--flask-socketio', action='store_const', const=FlaskSocketIO, default=Ours, dest='kind')
    arguments = parser.parse_args()
    problem = why_not(arguments.kind)
    if problem is not None:
        say(f'SKIPPED: rooms under load: {problem}')
        return 0
    enter('load.rooms')
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='rooms-')))
        machines = [stack.enter_context(Machine(number)) for number in range(1, MACHINES + 1)]
        run = Run(arguments, machines, folder)
        stack.callback(run.end)
        say(f'{arguments.kind.name}: {SERVERS} servers on {MACHINES} machines')
        return 1 if play(run, arguments.seconds, arguments.rate, arguments.calm) else 0


if __name__ == '__main__':
    sys.exit(main())
