"""Every example of doc/threads.md does what the text around it says.

The rules themselves have tests of their own, in test_threads.py, test_late_listeners.py, test_raising_listeners.py,
test_lifetime.py and test_forks.py.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import Checks, Runner, connect, free_port
from support import HANDSHAKE, TIMEOUT, Waiter, read_head, server

from ws.delivery import KEEP_BYTES, KEEP_FOR, SETTLE_FOR
from ws.net.lifetime import GRACE
from ws.options import CLIENT_OPTIONS

THREADS = Checks('doc/threads.md')


@pytest.mark.parametrize('name', THREADS.names())
def test_example(name: str, tmp_path: Path) -> None:
    THREADS.run(name, tmp_path)


def test_its_figures_are_those_of_the_code() -> None:
    text = THREADS.document.path.read_text(encoding='utf-8')
    for figure in [
        f'**{SETTLE_FOR} milliseconds**',
        f'**{KEEP_BYTES // 1024} KiB**',
        f'`closeTimeout`, {CLIENT_OPTIONS["closeTimeout"] // 1000} seconds',
    ]:
        assert figure in text
    assert KEEP_FOR == 1000
    assert '**first second**' in text
    assert GRACE == 0.5
    assert 'half a second' in text


def starts_late_threads() -> None:
    """Skips what starts a thread after the script's last line, where Python can't (gh-113964)."""
    if (3, 12, 0) <= sys.version_info[:3] < (3, 12, 2):
        pytest.skip('CPython 3.12.0 and 3.12.1 start no thread that late')


@THREADS.check('The loop thread')
def _(run: Runner) -> None:
    with free_port() as port:
        program = run.start(port)
        assert program.line() == 'script: thread MainThread'
        assert program.line() == 'connection: thread ws'
        assert sorted([program.line(), program.line()]) == ['callback: thread ws', 'message: thread ws']
        program.ends()


@THREADS.check('What may be called from where')
def _(run: Runner) -> None:
    starts_late_threads()
    program, connections = run.call()
    ws, _request, log = connections.get()
    messages = [log.get()[1] for _ in range(200)]
    for name in 'ann', 'ben':
        assert [message for message in messages if name in message] == [f'{name} {number}' for number in range(100)]
    ws.close()
    program.ends()


@THREADS.check('What may be called from where (2)')
def _(run: Runner) -> None:
    starts_late_threads()
    program, port = run.serve()
    _ann, ann_hears = connect(port)
    assert ann_hears.until('message')[-1][1] == 'there are 1 of us'
    _ben, ben_hears = connect(port)
    assert ben_hears.until('message')[-1][1] == 'there are 2 of us'
    assert ann_hears.get()[1] == 'there are 2 of us'
    program.stops()


@THREADS.check('What may be called from where (3)')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[:2] == ('message', 'question')
    ws.send('42')
    assert log.get() == ('close', 1000, '')
    program.ends('the answer: 42')


@THREADS.check('What may be called from where (4)')
def _(run: Runner) -> None:
    starts_late_threads()
    program, port = run.serve()
    ws, log = connect(port)
    assert log.until('message')[-1][1] == b'your name?\n'
    ws.send('Ann\n')
    assert log.get()[1] == b'hello Ann\n'
    assert log.get() == ('close', 1000, '')
    program.stops()


@THREADS.check('Listeners that come late')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, _log = connections.get()
    ws.send('welcome')
    assert program.line() == 'open'
    assert program.line() == 'received: welcome'
    ws.close()
    program.ends()


@THREADS.check('Listeners that come late (2)')
def _(run: Runner) -> None:
    starts_late_threads()
    program, port = run.serve()
    with socket.create_connection(('127.0.0.1', port), TIMEOUT) as sock:
        sock.sendall(HANDSHAKE % b'/' + b'\x81\x85\0\0\0\0early')  # before anybody there could listen
        assert read_head(sock).startswith(b'HTTP/1.1 101 ')
        assert sock.recv(100) == b'\x81\x09got early'
    program.stops()


@THREADS.check('Listeners that raise')
def _(run: Runner) -> None:
    program, port = run.serve()
    good, good_log = connect(port)
    bad, bad_log = connect(port)
    bad_log.until('open')
    bad.send('x')
    assert bad_log.get() == ('close', 1011, '')
    good_log.until('open')
    good.send('41')
    assert good_log.get()[:2] == ('message', '42')
    program.signal(signal.SIGINT)
    assert program.wait() == -signal.SIGINT
    errors = program.errors()
    assert errors.startswith('Exception in thread ws:\nTraceback ')
    assert errors.endswith("ValueError: invalid literal for int() with base 10: 'x'\n")
    assert errors.count('Traceback') == 1
    assert good_log.get() == ('close', 1001, '')


@THREADS.check('Listeners that raise (2)')
def _(run: Runner) -> None:
    with free_port() as port:
        run.start(port).ends('reported: ConnectionRefusedError', status=1)


@THREADS.check('Work that takes long')
def _(run: Runner) -> None:
    starts_late_threads()
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    ws.send('2')
    ws.send('0')
    assert log.get()[1] == 'that took 0 s'
    assert log.get()[1] == 'that took 2 s'
    hasty, hasty_log = connect(port)
    hasty_log.until('open')
    hasty.send('2')
    hasty.close()
    hasty_log.until('close')
    assert program.line() == 'too late: not opened'
    ws.send('30')
    ws.send('0')
    assert log.get()[1] == 'that took 0 s'
    started = time.monotonic()
    program.stops()  # and doesn't wait for the pool
    assert time.monotonic() - started < 5
    assert log.get() == ('close', 1001, '')


@THREADS.check('Listeners on a pool')
def _(run: Runner) -> None:
    starts_late_threads()
    program, port = run.serve()
    (slow, slow_log), (quick, quick_log) = connect(port), connect(port)
    slow_log.until('open')
    quick_log.until('open')
    slow.send('2')
    slow.send('0')
    quick.send('0.1')
    assert quick_log.get()[1] == 'that took 0.1 s'
    assert slow_log.nothing(0)
    assert slow_log.get()[1] == 'that took 2 s'  # in its order
    assert slow_log.get()[1] == 'that took 0 s'
    slow.send('30')
    started = time.monotonic()
    program.stops()  # and doesn't wait for the pool
    assert time.monotonic() - started < 5
    assert quick_log.get() == ('close', 1001, '')


@THREADS.check('While another thread computes')
def _(run: Runner) -> None:
    with free_port() as port:
        run.start(port).ends('5 ms', '0.5 ms')


@THREADS.check('How long the program lives')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert program.line() == 'the last line'
    assert log.get()[:2] == ('message', 'that is all')
    ws.send('so long')
    assert log.get() == ('close', 1000, '')
    program.ends('closed with 1000')


@THREADS.check('How long the program lives (2)')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, _log = connections.get()
    ws.send('an answer')
    program.ends('an answer', status=3)


@THREADS.check('How long the program lives (3)')
def _(run: Runner) -> None:
    starts_late_threads()
    with free_port() as port:
        program = run.start(port)
        assert program.line() == 'the last line'
    with server(port=port) as wss:
        connections = Waiter()
        wss.on('connection', connections)
        connections.get()[0].terminate()  # so it comes again
        ws = connections.get()[0]
        ws.send('here I am')
        ws.close(1000)
        program.ends('here I am')


@THREADS.check('How long the program lives (4)')
def _(run: Runner) -> None:
    program, _connections = run.call()
    program.ends('the last line')


@THREADS.check('Ctrl-C and other signals')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'hello'
    program.signal(signal.SIGINT)
    program.ends('interrupted', 'the last line')
    assert log.get() == ('close', 1001, '')


@THREADS.check('Ctrl-C and other signals (2)')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'hello'
    program.signal(signal.SIGTERM)
    program.ends()
    assert log.get() == ('close', 1001, '')


@THREADS.check('fork')
def _(run: Runner) -> None:
    if not hasattr(os, 'fork'):
        pytest.skip('this platform has no fork')
    with free_port() as port:
        program = run.start(port, options=('-W', 'ignore'))  # Python 3.12 warns of fork, as the text says
        program.ends('the server in the child: None', 'hello from the parent')


@THREADS.check('In a Flask application')
def _(run: Runner) -> None:
    _program, port = run.serve()
    _ws, log = connect(port, '/socket')
    log.until('open')
    notify = urllib.request.Request(f'http://127.0.0.1:{port}/notify', b'news', method='POST')
    with urllib.request.urlopen(notify) as response:
        assert response.read() == b'told 1\n'
    assert log.get()[1] == 'news'


@THREADS.check('In a Django project')
def _(run: Runner) -> None:
    _program, port = run.serve()
    _ws, log = connect(port, '/socket')
    log.until('open')
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/notify?text=news') as response:
        assert response.read() == b'told 1\n'
    assert log.get()[1] == 'news'


@THREADS.check('Beside asyncio')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = connect(port)
    log.until('open')
    for question in ('6 * 7', '1 + 1'):
        ws.send(question)
    assert sorted(log.get()[1] for _ in range(2)) == ['the answer to 1 + 1', 'the answer to 6 * 7']
    ws.send('stop')
    assert log.get() == ('close', 1001, '')
    program.ends('closed')


@THREADS.check('In a desktop program')
def _(run: Runner) -> None:
    with display():
        program, connections = run.call()
        ws, _request, log = connections.get()
        assert log.get()[1] == 'the label says: connected'
        ws.send('hello')
        assert log.get()[1] == 'the label says: hello'
        ws.close()
        program.discard()


@contextlib.contextmanager
def display() -> Iterator[None]:
    """A screen for windows, if need be one that nobody sees."""
    pytest.importorskip('tkinter')
    if 'DISPLAY' in os.environ or sys.platform in ('darwin', 'win32'):
        yield
        return
    if shutil.which('Xvfb') is None:
        pytest.skip('no screen, and no Xvfb to make one')
    reader, writer = os.pipe()
    with os.fdopen(reader) as number, pytest.MonkeyPatch.context() as patch:
        arguments = ['Xvfb', '-displayfd', str(writer), '-nolisten', 'tcp', '-screen', '0', '640x480x24']
        server = subprocess.Popen(arguments, pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        try:
            patch.setenv('DISPLAY', ':' + number.readline().strip())
            yield
        finally:
            server.terminate()
            server.wait(TIMEOUT)


@THREADS.check('In a test')
def _(run: Runner) -> None:
    program = run.start(0)
    assert program.wait() == 0
    assert 'Ran 1 test in' in program.errors()
