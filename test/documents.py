"""The documents as a reader meets them: their code is run as it stands there, and their links are followed.

One thing is replaced in the code: the documents say port 8080, and a test says which port that is this time.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from support import PYTHONPATH, TIMEOUT, Log, Waiter, server, until_at_rest

from ws import WebSocket, WebSocketServer

ROOT = Path(__file__).resolve().parent.parent

_heading = re.compile(r'(#+) (.+)').fullmatch
_fence = re.compile(r'```(\w*)').fullmatch
_links = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)').findall
_drop_inline_code = re.compile('`[^`]*`').sub


class Block(NamedTuple):
    """A block of code. Its name is the heading it stands under, with a number if it is not the first one there."""

    name: str
    language: str
    code: str


class Document:
    """A Markdown file of the repository."""

    def __init__(self, path: str) -> None:
        self.path = ROOT / path
        self.blocks: list[Block] = []
        self.headings: list[str] = []
        self.links: list[str] = []
        self._seen: Counter[tuple[str, str]] = Counter()
        self._parse(iter(self.path.read_text(encoding='utf-8').splitlines()))

    def _parse(self, lines: Iterator[str]) -> None:
        for line in lines:
            heading, fence = _heading(line), _fence(line)
            if heading:
                self.headings.append(heading[2])
            elif fence:
                self._add_block(fence[1], list(iter(lines.__next__, '```')))
            else:
                assert '```' not in line, f'{self.path.name}: no well-formed start of a code block: {line}'
                self.links += _links(_drop_inline_code('', line))

    def _add_block(self, language: str, lines: list[str]) -> None:
        heading = self.headings[-1]
        self._seen[heading, language] += 1
        number = self._seen[heading, language]
        name = heading if number == 1 else f'{heading} ({number})'
        self.blocks.append(Block(name, language, '\n'.join(lines) + '\n'))

    def anchors(self) -> set[str]:
        """What GitHub makes of the headings."""
        return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in self.headings}


class Checks:
    """Says for each Python block of a document how to find out that it does what the text says."""

    def __init__(self, path: str) -> None:
        self.document = Document(path)
        self.blocks = {block.name: block for block in self.document.blocks if block.language == 'python'}
        self.functions: dict[str, Callable[[Runner], None]] = {}

    def check(self, name: str) -> Callable[[Callable[[Runner], None]], Callable[[Runner], None]]:
        """Decorates the check of the block called `name`."""

        def decorate(function: Callable[[Runner], None]) -> Callable[[Runner], None]:
            assert name not in self.functions
            self.functions[name] = function
            return function

        return decorate

    def names(self) -> list[str]:
        """Those of all blocks, and of checks whose block is gone."""
        return list(dict.fromkeys([*self.blocks, *self.functions]))

    def run(self, name: str, folder: Path) -> None:
        """Run the check of the block called `name`."""
        assert name in self.functions, f'no test runs the block {name!r} of {self.document.path.name}'
        assert name in self.blocks, f'{self.document.path.name} has no block {name!r} any longer'
        with Runner(self.blocks[name].code, folder) as run:
            self.functions[name](run)


class Child:
    """A script, Python or JavaScript, that runs as a process of its own."""

    def __init__(self, script: Path, *arguments: object, options: tuple[str, ...] = ('-W', 'error')) -> None:
        environment = {**os.environ, 'PYTHONPATH': PYTHONPATH, 'PYTHONUNBUFFERED': '1', 'PYTHONIOENCODING': 'utf-8'}
        environment['PYTHONFAULTHANDLER'] = '1'
        environment['NODE_PATH'] = str(ROOT / 'test' / 'interop' / 'node' / 'node_modules')
        # What has the API of ws 0.4 uses what Node has deprecated since.
        program = ['node', '--no-deprecation'] if script.suffix == '.js' else [sys.executable, *options]
        with _sigint_not_ignored():
            self._process = subprocess.Popen(
                [*program, str(script), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding='utf-8',
                env=environment,
                cwd=script.parent,
                start_new_session=True,  # for the reason that scripts.Script has
            )
        self._lines: queue.SimpleQueue[Optional[str]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip('\n'))
        self._lines.put(None)

    def line(self) -> str:
        """The next line it prints."""
        try:
            line = self._lines.get(timeout=TIMEOUT)
        except queue.Empty:
            raise AssertionError(f'printed nothing within {TIMEOUT} s') from None
        assert line is not None, f'ended: {self.errors()}'
        return line

    def errors(self) -> str:
        """What it wrote to stderr, once it has ended."""
        assert self._process.stderr is not None
        return self._process.stderr.read()

    def wait(self) -> int:
        """The status it ends with, by itself."""
        try:
            return self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # at which Python tells where its threads are
            self._process.wait(TIMEOUT)
            raise AssertionError(f'it did not end within {TIMEOUT} s: {self.errors()}') from None

    def ends(self, *lines: str, status: int = 0) -> None:
        """It ends by itself, with that status and nothing to complain of, and `lines` are the last it prints."""
        returned = self.wait()
        assert (returned, self.errors()) == (status, '')
        assert tuple(iter(self._lines.get, None)) == lines

    def stops(self, status: int = -signal.SIGINT) -> None:
        """A person presses Ctrl-C, and it ends at once and quietly: killed by it, which is 130 in a shell."""
        self.signal(signal.SIGINT)
        self.ends(status=status)

    def signal(self, number: int) -> None:
        """Send it that signal, when it has come to rest: a person would not be quicker."""
        until_at_rest(self._process.pid)
        self.signal_at_once(number)

    def signal_at_once(self, number: int) -> None:
        self._process.send_signal(number)

    def until_it_listens(self, port: int) -> None:
        """Return when it accepts connections to `port`."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            assert self._process.poll() is None, f'ended: {self.errors()}'
            try:
                socket.create_connection(('127.0.0.1', port), TIMEOUT).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    def discard(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


@contextlib.contextmanager
def _sigint_not_ignored() -> Iterator[None]:
    """A shell's background jobs ignore SIGINT, and what they start would inherit that."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def child(script: Path, *arguments: object, options: tuple[str, ...] = ('-W', 'error')) -> Iterator[Child]:
    """A script that is not left running."""
    started = Child(script, *arguments, options=options)
    try:
        yield started
    finally:
        started.discard()


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """A port of this machine on which nobody listens; nobody else is given it meanwhile.

    On Linux, a child can listen on it although it is bound here, as both do so with SO_REUSEADDR.
    """
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
        if sys.platform != 'linux':
            sock.close()
        yield port


class Runner:
    """Runs one block of code, against whatever peers its check sets up."""

    def __init__(self, code: str, folder: Path, name: str = 'block.py') -> None:
        self._code = code
        #: Where it runs.
        self.folder = folder
        self._script = folder / name
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Runner:
        self._exits.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._exits.close()

    def replace(self, text: str, by: str) -> None:
        """Change what the block says of this machine."""
        assert text in self._code
        self._code = self._code.replace(text, by)

    def start(self, port: int, options: tuple[str, ...] = ('-W', 'error')) -> Child:
        """Start the block, with `port` for the 8080 in it."""
        self._script.write_text(
            self._code.replace('localhost:8080', f'127.0.0.1:{port}').replace('8080', str(port)), encoding='utf-8'
        )
        return self._exits.enter_context(child(self._script, options=options))

    def serve(self) -> tuple[Child, int]:
        """Start the block, which is a server; returns it once it listens, and its port."""
        port = self._exits.enter_context(free_port())
        started = self.start(port)
        started.until_it_listens(port)
        return started, port

    def call(self) -> tuple[Child, Waiter]:
        """Start the block, which is a client of the server that this gives it.

        Each connection goes to the waiter as ``(ws, request, log)``, with the log of its events.
        """
        wss = self._exits.enter_context(server())
        connections = Waiter()
        wss.on('connection', lambda ws, request: connections(ws, request, Log(ws, 'message', 'ping', 'close')))
        return self.start(port_of(wss)), connections


def port_of(wss: WebSocketServer) -> int:
    address = wss.address()
    assert address is not None
    port: int = address.port
    return port


def connect(port: int, path: str = '/', **options: Any) -> tuple[WebSocket, Log]:
    """A client, with the log of its events."""
    ws = WebSocket(f'ws://127.0.0.1:{port}{path}', **options)
    return ws, Log(ws)
