"""The two processes of a run, server and load generator, and what the kernel (Linux's /proc) knows about them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from pathlib import Path

TICKS_PER_SECOND = os.sysconf('SC_CLK_TCK')
START_TIMEOUT = 20  # seconds


class Failed(Exception):
    """A process ended early or said something unexpected."""


class Process:
    """A child process on one core, killed at the end of the ``with`` block."""

    def __init__(self, command: list[str], core: int, folder: Path) -> None:
        self._errors = tempfile.TemporaryFile('w+')  # noqa: SIM115 closed by kill()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        self._proc = Path('/proc', str(self._process.pid))

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def last_error(self) -> str:
        """The last line it wrote to its standard error, or nothing."""
        self._errors.seek(0)
        return self._errors.read().strip().rpartition('\n')[2]

    def read_line(self, timeout: float) -> str:
        readable, _, _ = select.select([self._process.stdout], [], [], timeout)
        line = self._process.stdout.readline() if readable else ''
        if not line:
            raise Failed(self.last_error() or f'no answer within {timeout:g} s')
        return line

    def write_line(self, line: str) -> None:
        self._process.stdin.write(line + '\n')
        self._process.stdin.flush()

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = self._proc.joinpath('stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def waited_seconds(self) -> float:
        """How long its threads were ready to run while something else had their core."""
        waits = [int(path.read_text().split()[1]) for path in self._proc.glob('task/*/schedstat')]
        return sum(waits) / 1e9

    def status(self, field: str) -> int:
        """A number of /proc/PID/status: ``VmRSS`` in KiB, or ``Threads``."""
        for line in self._proc.joinpath('status').read_text().splitlines():
            name, _, value = line.partition(':')
            if name == field:
                return int(value.split()[0])
        raise KeyError(field)


class Server(Process):
    """A server; ``port`` is what it prints when it listens."""

    def __init__(self, command: list[str], core: int, folder: Path) -> None:
        super().__init__(command, core, folder)
        try:
            self.port = int(self.read_line(START_TIMEOUT))
        except BaseException:
            self.kill()
            raise


class Load(Process):
    """The load generator; see load.c."""

    def answer(self, timeout: float) -> dict[str, float]:
        result: dict[str, float] = json.loads(self.read_line(timeout))
        return result

    def run_phase(self, seconds: float) -> dict[str, float]:
        self.write_line(str(seconds))
        return self.answer(seconds + 30)


def stolen_seconds(cores: set[int]) -> float:
    """What the hypervisor took from these cores so far."""
    names = {f'cpu{core}' for core in cores}
    lines = [line.split() for line in Path('/proc/stat').read_text().splitlines()]
    return sum(int(fields[8]) for fields in lines if fields[0] in names) / TICKS_PER_SECOND
