"""What users do first with a package they have installed, and with nothing but that: the program that README.md begins
with, wscat at both ends, `python -m ws`. Whether it must have the accelerator is the argument."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import ws

TIMEOUT = 30
WSCAT = str(Path(sysconfig.get_path('scripts'), 'wscat'))


def main(accelerator: str) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    metadata = importlib.metadata.metadata('node-ws')
    folder = Path(ws.__file__).parent
    assert 'site-packages' in folder.parts, folder
    assert (folder / 'py.typed').exists()
    assert str(ws.speedups) == accelerator, f'ws.speedups is {ws.speedups}'
    for command in ([WSCAT], [sys.executable, '-m', 'ws']):
        assert output_of(*command, '--version').strip() == ws.__version__ == metadata['Version']
    first_program(metadata.get_payload())
    wscat_against_itself()


def first_program(description: str) -> None:
    code = re.search(r'```python\n(.*?)```', description, re.DOTALL)[1]
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    Path('first.py').write_text(code.replace('8080', str(port)), encoding='utf-8')
    with running(sys.executable, '-u', '-X', 'utf8', '-W', 'error', 'first.py') as server:
        until_it_listens(port, server)
        assert output_of(WSCAT, '-c', f'localhost:{port}', '-x', 'Grüße', '-w', '0.5') == 'something\n'
        assert server.stdout.readline() == 'received: Grüße\n'


def wscat_against_itself() -> None:
    for program in ([WSCAT], [sys.executable, '-m', 'ws']):
        with running(*program, '-l', '0', '-v') as server:
            port = re.search(r'port (\d+)', server.stderr.readline())[1]
            with running(*program, '-c', f'localhost:{port}') as client:
                says(client, 'question', server)
                says(server, 'answer', client)


def says(one: subprocess.Popen[str], text: str, other: subprocess.Popen[str]) -> None:
    one.stdin.write(f'{text}\n')
    one.stdin.flush()
    assert other.stdout.readline() == f'{text}\n', other.stderr.read()


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """What Ctrl-C ends without a word."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, encoding='utf-8') as process:
        try:
            yield process
            process.terminate() if sys.platform == 'win32' else process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=TIMEOUT)
            assert (output, errors.count('Traceback')) == ('', 0), (output, errors)
        finally:
            process.kill()


def until_it_listens(port: int, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), TIMEOUT).close()
            return
        except ConnectionRefusedError:
            assert server.poll() is None, server.stderr.read()
            assert time.monotonic() < deadline, 'does not listen'
            time.sleep(0.02)


def output_of(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding='utf-8', timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, ''), (command, done)
    return done.stdout


main(sys.argv[1])
