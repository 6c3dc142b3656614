"""A Redis server of one's own, that can be killed, stopped and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from documents import free_port
from support import TIMEOUT, until

SERVER, CLI = shutil.which('redis-server'), shutil.which('redis-cli')


class RedisServer:
    """Keeps nothing from one start to the next, but its place in a cluster."""

    def __init__(self, port: int, folder: Path, *options: str) -> None:
        self.port = port
        self.url = f'redis://127.0.0.1:{port}'
        self._folder = folder
        self._arguments = ['--port', str(port), '--bind', '127.0.0.1', '--save', '', *options]
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        assert SERVER is not None
        # Sanitizers are for our code alone.
        environment = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}
        self._process = subprocess.Popen(
            [SERVER, *self._arguments],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + TIMEOUT
        while True:
            with contextlib.suppress(Exception), self.client() as client:
                client.ping()
                return
            assert self._process.poll() is None and time.monotonic() < deadline, 'redis-server does not start'
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """With SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(TIMEOUT)
            self._process = None

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        import redis

        with contextlib.closing(redis.Redis.from_url(self.url, protocol=2)) as client:
            yield client

    def ask(self, *command: str) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def id(self) -> str:
        """Its name in a cluster."""
        return bytes(self.ask('CLUSTER', 'MYID')).decode()


class RedisCluster:
    """Three nodes that share the slots, and a replica of the first."""

    def __init__(self, nodes: list[RedisServer], replica: RedisServer, bus_ports: list[int]) -> None:
        self.nodes = nodes
        self.replica = replica
        self._bus_ports = bus_ports

    def create(self) -> None:
        for node in [*self.nodes, self.replica]:
            node.start()
        assert CLI is not None
        addresses = [f'127.0.0.1:{node.port}' for node in self.nodes]
        subprocess.run(
            [CLI, '--cluster', 'create', *addresses, '--cluster-yes'], check=True, capture_output=True, timeout=TIMEOUT
        )
        first = self.nodes[0]
        self.replica.ask('CLUSTER', 'MEET', '127.0.0.1', str(first.port), str(self._bus_ports[0]))
        until(lambda: self._can_follow(first))
        until(self._is_complete)
        until(lambda: self.replica.ask('INFO', 'replication')['master_link_status'] == 'up')

    def _can_follow(self, node: RedisServer) -> bool:
        """It does, once it has heard of that node."""
        import redis

        with contextlib.suppress(redis.ResponseError):
            return bool(self.replica.ask('CLUSTER', 'REPLICATE', node.id()))
        return False

    def _is_complete(self) -> bool:
        told = [node.ask('CLUSTER', 'INFO') for node in [*self.nodes, self.replica]]
        return all(b'cluster_state:ok' in text and b'cluster_known_nodes:4\r\n' in text for text in told)

    def owner_of(self, channel: str) -> RedisServer:
        """Among the nodes, as the last of them sees it."""
        slot = self.slot_of(channel)
        [port] = [first[1] for start, end, first, *_ in self.nodes[-1].ask('CLUSTER', 'SLOTS') if start <= slot <= end]
        return next(node for node in [*self.nodes, self.replica] if node.port == port)

    def slot_of(self, channel: str) -> int:
        slot: int = self.nodes[-1].ask('CLUSTER', 'KEYSLOT', channel)
        return slot

    def move(self, channel: str, to: RedisServer) -> None:
        """Its slot, and whatever else is in there. In these steps the new owner's claim is the newest."""
        slot, old = str(self.slot_of(channel)), self.owner_of(channel)
        to.ask('CLUSTER', 'SETSLOT', slot, 'IMPORTING', old.id())
        old.ask('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id())
        for node in sorted(self.nodes, key=lambda node: node is not to):
            node.ask('CLUSTER', 'SETSLOT', slot, 'NODE', to.id())


def _can_have_redis() -> None:
    """Skips the test where there is none, or no redis-py."""
    pytest.importorskip('redis', reason='no tests with Redis: the package redis is not there')
    if SERVER is None:
        pytest.skip('no tests with Redis: redis-server was not found')
    if sys.platform != 'linux':
        pytest.skip('no tests with Redis: it can be given a port that is kept for it on Linux only')


@contextlib.contextmanager
def redis_cluster(folder: Path) -> Iterator[RedisCluster]:
    _can_have_redis()
    if CLI is None:
        pytest.skip('no tests with a cluster of Redis: redis-cli was not found')
    with contextlib.ExitStack() as stack:
        bus_ports = [stack.enter_context(free_port()) for _ in range(4)]
        servers = []
        for number, bus_port in enumerate(bus_ports):
            own = folder / str(number)
            own.mkdir()
            options = ['--cluster-enabled', 'yes', '--cluster-port', str(bus_port), '--repl-diskless-sync-delay', '0']
            servers.append(RedisServer(stack.enter_context(free_port()), own, *options))
            stack.callback(servers[-1].kill)
        cluster = RedisCluster(servers[:3], servers[3], bus_ports)
        cluster.create()
        yield cluster


@contextlib.contextmanager
def redis_server(folder: Path, *options: str, started: bool = True) -> Iterator[RedisServer]:
    """Skips the test where there is none, or no redis-py."""
    _can_have_redis()
    with free_port() as port:
        server = RedisServer(port, folder, *options)
        try:
            if started:
                server.start()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    """Redis answers nothing meanwhile, and closes nothing."""
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)
