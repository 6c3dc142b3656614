"""PyInstaller: what it makes of a program runs, with the accelerator if that is there."""

from __future__ import annotations

import pytest
from documents import ROOT
from hosts.process import Hosts, needs

import ws

PROGRAM = """
    import ws

    wss = ws.WebSocketServer(port=0, host='127.0.0.1')
    wss.on('connection', lambda peer: peer.send('hello'))
    client = ws.WebSocket('ws://127.0.0.1:%d' % wss.address().port)
    client.on('message', lambda message: (print(message, ws.speedups), wss.close()))
"""


@pytest.mark.hosts
@pytest.mark.slow
@pytest.mark.timeout(300)
@needs('PyInstaller')
def test_one_folder(hosts: Hosts) -> None:
    script = hosts.file('program.py', PROGRAM)
    builder = hosts.python('-m', 'PyInstaller', '--onedir', '--log-level', 'WARN', '--paths', ROOT, script)
    assert builder.ends(240) == 0, builder.output
    program = hosts.start(hosts.folder / 'dist' / 'program' / 'program')
    assert program.ends() == 0
    assert program.output == f'hello {ws.speedups}\n'
