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
from support import TIMEOUT

SERVER = shutil.which('redis-server')


class RedisServer:
    """Keeps nothing from one start to the next."""

    def __init__(self, port: int, folder: Path, *options: str) -> None:
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


@contextlib.contextmanager
def redis_server(folder: Path, *options: str, started: bool = True) -> Iterator[RedisServer]:
    """Skips the test where there is none, or no redis-py."""
    pytest.importorskip('redis', reason='no tests with Redis: the package redis is not there')
    if SERVER is None:
        pytest.skip('no tests with Redis: redis-server was not found')
    if sys.platform != 'linux':
        pytest.skip('no tests with Redis: it can be given a port that is kept for it on Linux only')
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
