"""Real hosts, each a child process, with whatever that starts in a process group of its own; what tests ask them."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Optional

import pytest
from documents import ROOT, connect
from support import PYTHONPATH, TIMEOUT, Log, until_at_rest

from ws import WebSocket

#: Programs that come with packages are beside the interpreter.
BIN = Path(sys.executable).parent

#: How long, in seconds, a host may take for what a person would wait for.
PATIENCE = 25.0


class Host:
    """A program at work: what it printed so far, on both of its outputs, and how it ended."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
            encoding='utf-8',
            errors='replace',
            start_new_session=True,
        )
        self.command = ' '.join(command)
        self.pid = self._process.pid
        self._output = ''
        self._seen = 0
        self._over = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._add(line, False)
        self._add('', True)

    def _add(self, text: str, over: bool) -> None:
        with self._changed:
            self._output += text
            self._over = over
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """All that it has printed."""
        with self._changed:
            return self._output

    def prints(self, pattern: str) -> re.Match[str]:
        """Wait until it prints that, after what was waited for before."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                match = re.compile(pattern, re.MULTILINE).search(self._output, self._seen)
                if match is not None:
                    self._seen = match.end()
                    return match
                left = deadline - time.monotonic()
                assert left > 0 and not self._over, f'it did not print {pattern!r}'
                self._changed.wait(left)

    def types(self, text: str) -> None:
        """Somebody types that."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def stops_typing(self) -> None:
        """The end of its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def interrupt(self) -> None:
        """Press Ctrl-C when it has come to rest. That goes to all processes of a terminal."""
        until_at_rest(self.pid)
        os.killpg(self.pid, signal.SIGINT)

    @property
    def status(self) -> Optional[int]:
        """What it ended with; None if it runs."""
        return self._process.poll()

    def ends(self, within: float = PATIENCE) -> int:
        """Its status, once it has ended by itself."""
        try:
            status = self._process.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(f'it still runs after {within} s')
        if self._nobody_left():
            self._reader.join()
        return status

    def _nobody_left(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def discard(self) -> None:
        """End it, and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # what was typed, and never read
                pipe.close()


class Hosts:
    """Starts hosts, in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Host] = []

    def file(self, name: str, code: str) -> Path:
        """Write a file, anew if it is there already."""
        path = self.folder / name
        path.write_text(textwrap.dedent(code), encoding='utf-8')
        return path

    def start(self, *command: object, **environment: str) -> Host:
        variables = {'PYTHONPATH': PYTHONPATH, 'PYTHONUNBUFFERED': '1', 'PYTHONIOENCODING': 'utf-8'}
        # Compiled files are told from stale ones by seconds and sizes, which an edit of a test's may not change.
        variables['PYTHONDONTWRITEBYTECODE'] = '1'
        self._started.append(Host([str(part) for part in command], self.folder, {**variables, **environment}))
        return self._started[-1]

    def python(self, *arguments: object, **environment: str) -> Host:
        """Start this Python: ``hosts.python('-m', 'gunicorn', …)``."""
        return self.start(sys.executable, *arguments, **environment)

    def script(self, code: str, *arguments: object, **environment: str) -> Host:
        """Start a script."""
        return self.python(self.file('script.py', code), *arguments, **environment)

    def discard(self) -> None:
        """End them all; pytest shows what they printed if the test has failed."""
        for host in self._started:
            host.discard()
            print(f'-- {host.command}: status {host.status}\n{host.output}')


def gunicorn(hosts: Hosts, port: int, *options: object, configuration: str = '') -> Host:
    """Start it there. Of its control socket nobody here has any use; older versions have neither that nor an option."""
    hosts.file('gunicorn.conf.py', textwrap.dedent(configuration) + 'control_socket_disable = True\n')
    return hosts.python('-m', 'gunicorn', '--bind', f'127.0.0.1:{port}', *options)


def needs(package: str, program: Optional[str] = None) -> pytest.MarkDecorator:
    """Marks tests of a host that test/hosts/requirements.txt brings, where it can be installed."""
    there = (BIN / program).exists() if program else importlib.util.find_spec(package) is not None
    return pytest.mark.skipif(not there, reason=f'{package} is not installed: make test tries to')


def find_python(version: str) -> str:
    """The interpreter of that version, or the test is skipped."""
    found = subprocess.run([ROOT / '.ci' / 'find-python', version], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f'Python {version} was not found')
    return found.stdout.strip()


#: Runs a program as process 1, as a container does.
AS_PROCESS_1 = ('unshare', '--pid', '--fork', '--kill-child')


@functools.cache
def can_be_process_1() -> bool:
    try:
        return subprocess.run([*AS_PROCESS_1, 'true'], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def child_of(host: Host) -> int:
    """The process that a host of one line has started."""
    found: list[str] = []

    def started() -> bool:
        found[:] = Path(f'/proc/{host.pid}/task/{host.pid}/children').read_text().split()
        return bool(found)

    until(started)
    return int(found[0])


def seconds(function: Callable[[], Any]) -> float:
    """How long that takes."""
    started = time.monotonic()
    function()
    return time.monotonic() - started


def once_in_three(is_quick: Callable[[], bool]) -> bool:
    """Whether it is so, tried three times: a machine that does other things as well may need longer now and then."""
    return any(is_quick() for _ in range(3))


def exists(process: str) -> bool:
    """Whether there is a process with that number."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    return True


def until(condition: Callable[[], Any], within: float = PATIENCE, every: float = 0.01) -> None:
    """Wait for what nothing tells."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f'it did not come to that within {within} s'
        time.sleep(every)


def until_listening(port: int) -> None:
    """Wait until somebody accepts connections there."""

    def accepts() -> bool:
        try:
            socket.create_connection(('127.0.0.1', port), TIMEOUT).close()
        except ConnectionRefusedError:
            return False
        return True

    until(accepts)


def page(port: int, path: str = '/') -> str:
    """What a web server says, once it says something."""
    answers: list[str] = []

    def answered() -> bool:
        with (
            contextlib.suppress(OSError, HTTPException),  # it starts, or starts anew in the middle of an answer
            urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=TIMEOUT) as response,
        ):
            answers.append(response.read().decode())
        return bool(answers)

    until(answered)
    return answers[0]


def until_page(port: int, text: str, path: str = '/') -> None:
    """Wait until a web server says that."""
    until(lambda: page(port, path) == text, every=0.05)


@contextlib.contextmanager
def joined(port: int, path: str = '/') -> Iterator[tuple[WebSocket, Log]]:
    """A client that is connected, as soon as somebody listens there; ended afterwards."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ws, log = connect(port, path)
        first = log.get()
        if first[0] == 'open':
            break
        log.until('close')
        assert time.monotonic() < deadline, f'nobody listens for WebSockets: {first}'
        time.sleep(0.02)
    try:
        yield ws, log
    finally:
        ws.terminate()


def greeting(port: int, path: str = '/') -> str:
    """The first message of a WebSocket server, once it listens."""
    with joined(port, path) as (_ws, log):
        message: str = log.until('message')[-1][1]
        return message


def until_greeting(port: int, text: str, path: str = '/') -> None:
    until(lambda: greeting(port, path) == text, every=0.05)
