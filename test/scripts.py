"""Scripts as processes of their own, for tests of how a process lives and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from support import PYTHONPATH, until_at_rest

#: How long a script may take.
SECONDS = 20

#: The beginning of one with an HTTP server, and a server on its port.
SITE = """
    import sys, threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from ws import WebSocketServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)
        def log_message(self, *args):
            pass

    httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=httpd.serve_forever, args=[0.01], daemon=True).start()
    wss = WebSocketServer(server=httpd)
    wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
"""

#: On these, no thread or process can be started once the main thread has ended; fixed in 3.12.2 (gh-113964).
needs_late_threads = pytest.mark.skipif(
    (3, 12, 0) <= sys.version_info[:3] < (3, 12, 2), reason='CPython 3.12.0 and 3.12.1 start no thread that late'
)


#: Has the system give Ctrl-C to another thread, as it may at any time. The main one goes on waiting, as it does if
#: the signal comes just before.
MASKED = """
    import signal, threading
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
"""


class Script:
    """A Python script in a process of its own, with what it printed."""

    def __init__(self, code: str, *arguments: str, flags: tuple[str, ...] = ()) -> None:
        environment = {**os.environ, 'PYTHONPATH': PYTHONPATH, 'PYTHONUNBUFFERED': '', 'PYTHONFAULTHANDLER': '1'}
        self.process = subprocess.Popen(
            [sys.executable, *flags, '-c', textwrap.dedent(code), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            # Linux shares out time among sessions. Without the GIL, CPython 3.13 gives the rest of its time away dozens
            # of times for each class that it makes: where others of its session are busy, `import ws` may take 20 s.
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def interrupt(self) -> None:
        """Press Ctrl-C, when it has come to rest."""
        until_at_rest(self.process.pid)
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Status, standard output and standard error, once it has ended by itself."""
        try:
            output, errors = self.process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # at which it tells where its threads are
            output, errors = self.process.communicate(timeout=SECONDS)
            pytest.fail(f'it did not end after {SECONDS} s, and had printed\n{output}{errors}')
        return self.process.returncode, output, errors

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        print(*self.process.communicate())  # for whoever reads why a test failed


class Scripts:
    def __init__(self) -> None:
        self.started: list[Script] = []

    def __call__(self, code: str, *arguments: str, flags: tuple[str, ...] = ()) -> Script:
        self.started.append(Script(code, *arguments, flags=flags))
        return self.started[-1]


@pytest.fixture
def script() -> Iterator[Scripts]:
    scripts = Scripts()
    yield scripts
    for started in scripts.started:
        started.kill()
