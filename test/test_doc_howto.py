"""Every program of doc/howto.md does what the text around it says."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from documents import Checks, Runner, connect
from support import Log

from ws import WebSocket

HOWTO = Checks('doc/howto.md')


@pytest.mark.parametrize('name', HOWTO.names())
def test_example(name: str, tmp_path: Path) -> None:
    HOWTO.run(name, tmp_path)


def joined(port: int) -> tuple[WebSocket, Log]:
    ws, log = connect(port)
    log.until('open')
    return ws, log


@HOWTO.check('JSON messages')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = joined(port)
    ws.send(json.dumps({'numbers': [1, 2, 3]}))
    assert json.loads(log.get()[1]) == {'total': 6}
    for nonsense in '{', '[]', '{"numbers": 1}', '{}':
        ws, log = joined(port)
        ws.send(nonsense)
        assert log.get() == ('close', 1007, 'not what I understand')
    program.stops()


@HOWTO.check('Questions and answers')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    questions = [json.loads(log.get()[1]) for _ in range(2)]
    assert [question['question'] for question in questions] == ['what is it?', 'who is it?']
    for question in reversed(questions):
        ws.send(json.dumps({'id': question['id'], 'answer': question['question'].partition(' ')[0]}))
    program.ends('the second answer: who', 'the first answer: what')


@HOWTO.check('At regular times')
def _(run: Runner) -> None:
    run.replace('tick, 1000', 'tick, 10')
    program, port = run.serve()
    _ws, log = connect(port)
    for _ in range(2):
        assert re.fullmatch(r'\d\d:\d\d:\d\d', log.until('message')[-1][1])
    program.stops()


@HOWTO.check('Uploads')
def _(run: Runner) -> None:
    data = os.urandom(300000)
    program, port = run.serve()
    ws, log = joined(port)
    for start in range(0, len(data), 100000):
        ws.send(data[start : start + 100000])
    ws.close(1000)
    assert program.line() == 'received 300000 bytes'
    assert (run.folder / 'upload.bin').read_bytes() == data
    log.until('close')
    program.stops()


@HOWTO.check('A token in the first message')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = joined(port)
    ws.send('ann:a long secret')
    assert log.get()[1] == 'welcome, ann'
    ws.send('hello')
    assert log.get()[1] == 'ann says: hello'
    for wrong in 'ann:guessed', 'ben:a long secret', 'ann':
        ws, log = joined(port)
        ws.send(wrong)
        assert log.get() == ('close', 1008, 'who are you?')
    program.stops()
    run.replace('5000', '50')
    program, port = run.serve()
    ws, log = joined(port)
    assert log.get()[:2] == ('close', 1006)
    program.stops()


@HOWTO.check('So many messages a second')
def _(run: Runner) -> None:
    program, port = run.serve()
    ws, log = joined(port)
    for number in range(100):
        ws.send(number)
    *echoes, end = log.until('close')
    assert 10 <= len(echoes) < 100
    assert end == ('close', 1008, 'too many messages')
    program.stops()
