"""WebSocketServer with many connections."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from support import HANDSHAKE, PYTHONPATH, TIMEOUT, Waiter, client, echo_server, on_loop

from ws import WebSocket

IDLE = """
import os, resource, sys, threading
from ws import WebSocketServer

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)

def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * resource.getpagesize()

wss = WebSocketServer(port=0, host='127.0.0.1', backlog=4096)
total = int(sys.argv[2])
before = []

def on_connection(ws):
    ws.on('message', lambda message: ws.send(message))
    if len(wss.clients) == 100:
        before.append(resident())
    if len(wss.clients) == total + 100:
        print(resident() - before[0], threading.active_count(), flush=True)

wss.on('connection', on_connection)
print(wss.address().port, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc')
def test_five_thousand_idle_connections() -> None:
    """One thread more than without, and less than 8 KiB of resident memory each."""
    import resource

    total = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * total + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f'{needed} descriptors are needed, {hard} allowed')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    child = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(IDLE), str(needed), str(total)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, 'PYTHONPATH': PYTHONPATH},
    )
    socks: list[socket.socket] = []
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        for _ in range(total + 100):
            socks.append(socket.create_connection(('127.0.0.1', port), timeout=TIMEOUT))
            socks[-1].sendall(HANDSHAKE % b'/')
        memory, threads = (int(word) for word in child.stdout.readline().split())
        assert threads == 2  # the main thread and the loop's
        assert memory / total < 8192, f'{memory / total:.0f} bytes each'
    finally:
        for sock in socks:
            sock.close()
        child.kill()
        child.communicate()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_three_hundred_at_once() -> None:
    """Many more than one turn of the loop accepts."""
    with echo_server() as wss:
        answers = Waiter()
        opened = threading.Semaphore(0)

        def connect() -> list[WebSocket]:
            made = []
            for number in range(300):
                ws = client(wss)
                ws.on('open', lambda this, number=number: (opened.release(), this.send(str(number))))
                ws.on('message', lambda this, text: (answers(text), this.close()))
                made.append(ws)
            return made

        on_loop(wss, connect)
        assert {answers.get()[0] for _ in range(300)} == {str(number) for number in range(300)}
