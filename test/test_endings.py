"""What becomes of what is open when the main thread ends (doc/threads.md, "How long the program lives").

Every ending there is, in every way to run a program, as real child processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import PYTHONPATH, Log, until_at_rest

from ws import WebSocket

SECONDS = 20

#: Opens a server, waits for a client, and goes on as `ending` says.
PROGRAM = """
import sys, threading
from ws import WebSocketServer

wss = WebSocketServer(port=0, host='127.0.0.1')
connected = threading.Event()
wss.on('connection', lambda ws: (ws.on('message', lambda message: ws.send(message)), connected.set()))
print(wss.address().port, flush=True)
connected.wait()
"""


class Program:
    def __init__(self, arguments: list[str], folder: Path, stdin: str = '', environment: str = '') -> None:
        variables = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [environment, PYTHONPATH]))}
        self._input = folder / 'input'
        self._input.write_text(stdin)
        with self._input.open() as file:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=folder,
                env=variables,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def connect(self) -> tuple[WebSocket, Log]:
        assert self.process.stdout is not None
        ws = WebSocket(f'ws://127.0.0.1:{self.process.stdout.readline().strip()}')
        log = Log(ws, 'open', 'message', 'close')
        log.until('open')
        return ws, log

    def lives(self) -> None:
        """The main thread has ended, and it serves until Ctrl-C."""
        ws, log = self.connect()
        until_at_rest(self.process.pid)
        ws.send('still there?')
        assert log.get()[:2] == ('message', 'still there?')
        self.process.send_signal(signal.SIGINT)
        assert log.get() == ('close', 1001, '')
        assert self.process.communicate(timeout=SECONDS)[1] == ''
        assert self.process.returncode == -signal.SIGINT

    def ends(self, status: int, errors: str = '') -> None:
        """The main thread has ended, the client is told, and that is the status."""
        _ws, log = self.connect()
        assert log.get() == ('close', 1001, '')
        written = self.process.communicate(timeout=SECONDS)[1]
        assert self.process.returncode == status, written
        assert written.strip().endswith(errors) and bool(written) is bool(errors), written

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Programs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Program] = []

    def __call__(self, *arguments: str, stdin: str = '', environment: str = '') -> Program:
        self.started.append(Program(list(arguments), self.folder, stdin, environment))
        return self.started[-1]

    def write(self, name: str, code: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return str(path)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(tmp_path)
    yield programs
    for program in programs.started:
        program.kill()


def _as_file(programs: Programs, code: str) -> Program:
    return programs(programs.write('program.py', code))


def _as_module(programs: Programs, code: str) -> Program:
    programs.write('program.py', code)
    return programs('-m', 'program')


def _as_package(programs: Programs, code: str) -> Program:
    programs.write('package/__init__.py', '')
    programs.write('package/__main__.py', code)
    return programs('-m', 'package')


def _as_folder(programs: Programs, code: str) -> Program:
    programs.write('folder/__main__.py', code)
    return programs('folder')


def _as_archive(programs: Programs, code: str) -> Program:
    with zipfile.ZipFile(programs.folder / 'program.zip', 'w') as archive:
        archive.writestr('__main__.py', code)
    return programs('program.zip')


def _as_argument(programs: Programs, code: str) -> Program:
    return programs('-c', code)


def _as_input(programs: Programs, code: str) -> Program:
    return programs(stdin=code)


def _after_an_import_at_start(programs: Programs, code: str) -> Program:
    """When ws is imported, there is no main module yet."""
    programs.write('site/sitecustomize.py', 'import ws')
    return programs(programs.write('program.py', code), environment=str(programs.folder / 'site'))


def _imported_in_a_thread(programs: Programs, code: str) -> Program:
    first = (
        'import threading\nthread = threading.Thread(target=lambda: __import__("ws"))\nthread.start()\nthread.join()\n'
    )
    return programs(programs.write('program.py', first + code))


def _profiled(programs: Programs, code: str) -> Program:
    return programs('-m', 'cProfile', '-o', 'profile', programs.write('program.py', code))


def _by_exec(programs: Programs, code: str) -> Program:
    programs.write('inner.py', code)
    return programs(programs.write('program.py', 'exec(compile(open("inner.py").read(), "inner.py", "exec"))'))


def _by_runpy(programs: Programs, code: str) -> Program:
    programs.write('inner.py', code)
    return programs(programs.write('program.py', 'import runpy\nrunpy.run_path("inner.py", run_name="__main__")'))


WAYS = [
    _as_file,
    _as_module,
    _as_package,
    _as_folder,
    _as_archive,
    _as_argument,
    _as_input,
    _after_an_import_at_start,
    _imported_in_a_thread,
    _profiled,
    _by_exec,
    _by_runpy,
]
of_every_way = pytest.mark.parametrize('way', WAYS, ids=lambda way: way.__name__.strip('_'))


@of_every_way
def test_the_last_line(programs: Programs, way: object) -> None:
    way(programs, PROGRAM).lives()  # type: ignore[operator]


@of_every_way
def test_sys_exit(programs: Programs, way: object) -> None:
    # A profiler has caught it, and ends as usual.
    way(programs, PROGRAM + 'sys.exit(3)\n').ends(0 if way is _profiled else 3)  # type: ignore[operator]


@of_every_way
def test_an_exception(programs: Programs, way: object) -> None:
    way(programs, PROGRAM + 'raise LookupError("broken")\n').ends(1, 'LookupError: broken')  # type: ignore[operator]


@pytest.mark.parametrize(
    ('ending', 'status', 'errors'),
    [
        ('sys.exit()', 0, ''),
        ('raise SystemExit("a reason")', 1, 'a reason'),
        ('def main(): return 0\n\nif __name__ == "__main__":\n    sys.exit(main())', 0, ''),
        ('def main(): sys.exit(5)\n\nmain()', 5, ''),
        ('try:\n    sys.exit(2)\nfinally:\n    print()', 2, ''),
        ('with connected._cond:\n    sys.exit(2)', 2, ''),
        ('for number in range(3):\n    if number: exit(4)', 4, ''),
        ('exec("sys.exit(6)")', 6, ''),
        ('class Broken:\n    sys.exit(7)', 7, ''),
        ('import nowhere', 1, "ModuleNotFoundError: No module named 'nowhere'"),
        ('raise KeyboardInterrupt', -signal.SIGINT, 'KeyboardInterrupt'),
    ],
)
def test_other_ends(programs: Programs, ending: str, status: int, errors: str) -> None:
    _as_file(programs, PROGRAM + ending).ends(status, errors)


@pytest.mark.parametrize(
    'last',
    [
        'for number in range(3): pass',
        'while True: break',
        'if wss is None: print()',
        'with connected._cond: pass',
        'try: int("x")\nexcept ValueError: pass',
        'try: pass\nfinally: print()',
        'try: sys.exit(1)\nexcept SystemExit: pass',
        'def unused(): sys.exit(1)',
        'exec("wss")',
        'import json',
        'sys.last_value = ValueError("an old one"); sys.ps1 = "> "',
        'class Last: pass',
    ],
)
def test_other_last_lines(programs: Programs, last: str) -> None:
    _as_file(programs, PROGRAM + last).lives()


def test_a_prompt_follows(programs: Programs) -> None:
    """`python -i`: a person is there to say when it ends."""
    program = programs('-i', programs.write('program.py', PROGRAM), stdin='print("typed")\n')
    program.ends(0, '>>>')


def test_a_prompt_is_asked_for(programs: Programs) -> None:
    ending = 'import os\nos.environ["PYTHONINSPECT"] = "1"\n'
    programs(programs.write('program.py', PROGRAM + ending)).ends(0)


def test_ctrl_c_that_the_program_has_caught(programs: Programs) -> None:
    """As web servers do that run on the main thread: once is enough."""
    waits = 'try: threading.Event().wait()\nexcept KeyboardInterrupt: pass\n'
    program = _as_file(programs, PROGRAM + waits)
    _ws, log = program.connect()
    until_at_rest(program.process.pid)
    program.process.send_signal(signal.SIGINT)
    assert log.get() == ('close', 1001, '')
    assert program.process.communicate(timeout=SECONDS) == ('', '')
    assert program.process.returncode == 0


def test_a_signal_that_means_something_else(programs: Programs) -> None:
    """Who has a handler of his own for Ctrl-C decides what it means."""
    handler = (
        'import signal, threading\n'
        'asked = threading.Event()\n'
        'signal.signal(signal.SIGINT, lambda *_: wss.close() if asked.is_set() else asked.set())\n'
    )
    program = _as_file(programs, handler + PROGRAM + 'asked.wait()\n')
    ws, log = program.connect()
    until_at_rest(program.process.pid)
    program.process.send_signal(signal.SIGINT)
    until_at_rest(program.process.pid)
    ws.send('still there?')
    assert log.get()[:2] == ('message', 'still there?')
    program.process.send_signal(signal.SIGINT)
    assert log.get() == ('close', 1001, '')
    assert program.process.communicate(timeout=SECONDS) == ('', '')
    assert program.process.returncode == 0
