"""The processes of a run, each on one core, and what the kernel (Linux's /proc) knows about them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

START_TIMEOUT = 20  # seconds


class Failed(Exception):
    """A process ended early or said something unexpected."""


class Process:
    """A child process on one core, or on any (None), killed at the end of the ``with`` block."""

    def __init__(
        self,
        command: list[str],
        core: Optional[int],
        folder: Path,
        environment: Optional[dict[str, str]] = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._errors = tempfile.TemporaryFile('w+')  # noqa: SIM115 closed by kill()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            pass_fds=pass_fds,
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
        )
        self.pid = self._process.pid
        self._proc = Path('/proc', str(self.pid))

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def errors(self) -> str:
        """What it wrote to its standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def last_error(self) -> str:
        """The last line it wrote to its standard error, or nothing."""
        return self.errors().strip().rpartition('\n')[2]

    def read_line(self, timeout: float) -> str:
        readable, _, _ = select.select([self._process.stdout], [], [], timeout)
        line = self._process.stdout.readline() if readable else ''
        if not line:
            raise Failed(self.last_error() or f'no answer within {timeout:g} s')
        return line

    def write_line(self, line: str) -> None:
        self._process.stdin.write(line + '\n')
        self._process.stdin.flush()

    def answer(self, timeout: float) -> dict[str, float]:
        """The line of JSON it prints next."""
        result: dict[str, float] = json.loads(self.read_line(timeout))
        return result

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far, also of those that have ended."""
        return process_time(self.pid)

    def status(self, field: str) -> int:
        """A number of /proc/PID/status: ``VmRSS`` in KiB, or ``Threads``."""
        for line in self._proc.joinpath('status').read_text().splitlines():
            name, _, value = line.partition(':')
            if name == field:
                return int(value.split()[0])
        raise KeyError(field)

    def listens_on(self, port: int) -> bool:
        """Whether a listening TCP socket with this port is one of its descriptors."""
        inodes = set()
        for table in ('tcp', 'tcp6'):
            for line in self._proc.joinpath('net', table).read_text().splitlines()[1:]:
                _, local, _, state, *rest = line.split()
                if state == '0A' and int(local.rpartition(':')[2], 16) == port:
                    inodes.add(f'socket:[{rest[5]}]')
        return any(os.readlink(path) in inodes for path in self._proc.joinpath('fd').iterdir())


class Server(Process):
    """A server; ``port`` is what it prints when it listens."""

    def __init__(
        self, command: list[str], core: int, folder: Path, environment: Optional[dict[str, str]] = None
    ) -> None:
        super().__init__(command, core, folder, environment)
        try:
            self.port = int(self.read_line(START_TIMEOUT))
            if not self.listens_on(self.port):
                raise Failed(f'port {self.port} belongs to another process')
        except BaseException:
            self.kill()
            raise


class Load(Process):
    """The load generator; see load.c."""

    def run_phase(self, seconds: float) -> dict[str, float]:
        self.write_line(str(seconds))
        return self.answer(seconds + 30)


def process_time(pid: int) -> float:
    """CPU seconds of a process, by its clock: to the nanosecond, where /proc/PID/stat counts in hundredths."""
    clock = ~pid << 3 | 2  # as clock_getcpuclockid(3) makes it
    return time.clock_gettime(clock)


class Contention:
    """How much of the time others used the processors: other processes, and other virtual machines.

    What no process is charged for is not seen: the kernel's own threads work for ours as well.
    """

    def __init__(self, *ours: Process) -> None:
        self._ours = {os.getpid(), *(process.pid for process in ours)}
        self._started = time.monotonic()
        self._used_before = self._used()

    def share(self) -> float:
        """Of the time since it was made: 1 is one processor, all the time."""
        return max(self._used() - self._used_before, 0) / (time.monotonic() - self._started)

    def _used(self) -> float:
        used = _stolen_seconds()
        for path in Path('/proc').iterdir():
            if path.name.isdecimal() and int(path.name) not in self._ours:
                try:
                    used += _seconds_of(path)
                except OSError:
                    pass  # it has ended; its parent has its time
        return used


TICKS_PER_SECOND = os.sysconf('SC_CLK_TCK')
KERNEL_THREADS = 2  # their parent, kthreadd, and its own process id


def _seconds_of(path: Path) -> float:
    """CPU time of a process and of its children that have ended."""
    fields = path.joinpath('stat').read_text().rpartition(')')[2].split()
    if KERNEL_THREADS in (int(path.name), int(fields[1])):
        return 0
    return process_time(int(path.name)) + (int(fields[13]) + int(fields[14])) / TICKS_PER_SECOND


def _stolen_seconds() -> float:
    """What the hypervisor took so far."""
    return int(Path('/proc/stat').read_text().split('\n', 1)[0].split()[8]) / TICKS_PER_SECOND


def settings_argument(**settings: Any) -> str:
    """The argument of the servers and clients; see servers/common.py and clients/common.py."""
    return json.dumps(settings)
