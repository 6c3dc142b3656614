"""A process with a WebSocket that connects again: what keeps it, and what ends it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from documents import Child, child, free_port
from reconnecting.clients import url_at
from support import Waiter, echo_server, server, url_of

from ws import CLOSED


def script(folder: Path, code: str) -> Path:
    file = folder / 'program.py'
    head = 'import sys\nfrom ws import ReconnectingWebSocket\nFAST = {"minReconnectionDelay": 5, "jitter": 0}\n'
    file.write_text(head + code, encoding='utf-8')
    return file


def running(folder: Path, code: str, *arguments: object) -> contextlib.AbstractContextManager[Child]:
    return child(script(folder, code), *arguments)


def test_the_process_lives_on_without_a_connection_and_ends_by_itself(tmp_path: Path) -> None:
    program = """
ws = ReconnectingWebSocket(sys.argv[1], FAST, maxReconnectionDelay=20)
ws.on('error', lambda error: None)
ws.on('close', lambda code: print('close', code, flush=True))
ws.on('message', lambda message: ws.close())
"""
    with free_port() as port, running(tmp_path, program, url_at(port)) as host:
        assert [host.line() for _ in range(3)] == ['close 1006'] * 3
        with server(port=port) as wss:
            wss.on('connection', lambda peer: peer.send('enough'))
            while (line := host.line()) == 'close 1006':
                pass
            assert line == 'close 1000'
            host.ends()


def test_a_last_error_that_nobody_heard_is_the_status(tmp_path: Path) -> None:
    program = 'ReconnectingWebSocket(sys.argv[1], FAST, maxRetries=1)\n'
    with free_port() as port, running(tmp_path, program, url_at(port)) as host:
        assert host.wait() == 1
        assert host.errors().count('Traceback') == 1


WAITS = """
from ws.timers import setTimeout
ws = ReconnectingWebSocket(sys.argv[1], minReconnectionDelay=10**7, maxReconnectionDelay=10**7)
ws.once('close', lambda: setTimeout(print, 1, 'waits'))
"""


@pytest.mark.skipif(os.name == 'nt', reason='nobody can send Ctrl-C there')
def test_ctrl_c_while_it_waits(tmp_path: Path) -> None:
    with free_port() as port, running(tmp_path, WAITS, url_at(port)) as host:
        assert host.line() == 'waits'
        host.stops()


@pytest.mark.parametrize('end', ['sys.exit(3)', 'ws.unref()\nsys.stdin.read()'])
def test_other_ends_while_it_waits(tmp_path: Path, end: str) -> None:
    waits = WAITS.replace('lambda: ', 'lambda: done.set() or ')
    program = f'import threading\ndone = threading.Event()\n{waits}done.wait()\n{end}\n'
    with free_port() as port, running(tmp_path, program, url_at(port)) as host:
        assert host.wait() == (3 if 'exit' in end else 0)


def test_sys_exit_while_it_is_open_says_goodbye(tmp_path: Path) -> None:
    program = """
import threading
opened = threading.Event()
ws = ReconnectingWebSocket(sys.argv[1])
ws.on('open', opened.set)
opened.wait()
sys.exit(3)
"""
    with server() as wss:
        codes = Waiter()
        wss.on('connection', lambda ws: ws.on('close', codes))
        with running(tmp_path, program, url_of(wss)) as host:
            assert codes.get()[0] == 1001
            assert host.wait() == 3


def test_reconnect_as_the_last_line(tmp_path: Path) -> None:
    program = """
import threading
closed = threading.Event()
ws = ReconnectingWebSocket(sys.argv[1])
ws.on('open', lambda: ws.close())
ws.once('close', closed.set)
closed.wait()
ws.on('close', lambda: print('closed again'))
ws.close()
ws.reconnect()
"""
    with server() as wss, running(tmp_path, program, url_of(wss)) as host:
        host.ends('closed again')


def test_unref_holds_for_the_connection_too(tmp_path: Path) -> None:
    program = """
import threading
opened = threading.Event()
ws = ReconnectingWebSocket(sys.argv[1])
ws.on('open', opened.set)
opened.wait()
ws.unref()
"""
    with server() as wss, running(tmp_path, program, url_of(wss)) as host:
        host.ends()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this platform has no fork')
def test_the_child_of_a_fork_has_no_connection_and_may_make_its_own(tmp_path: Path) -> None:
    program = """
import os
import threading
import warnings
import ws

warnings.simplefilter('ignore')  # Python 3.12 warns of threads
opened = threading.Event()
rws = ReconnectingWebSocket(sys.argv[1])
rws.on('open', opened.set)
opened.wait()
if os.fork() == 0:
    print(rws.readyState, flush=True)
    rws.removeAllListeners()
    rws.on('message', lambda message: (print(message, flush=True), rws.close()))
    rws.reconnect()
    rws.send('child')
    ws.wait()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
rws.on('message', lambda message: rws.close())
rws.send('parent')
"""
    with echo_server() as wss, running(tmp_path, program, url_of(wss)) as host:
        assert [host.line() for _ in range(3)] == [str(CLOSED), 'child', '0']
        host.ends()
