"""Every program of doc/tutorial.md does what the text around it says, its pages in a browser."""

from __future__ import annotations

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import DevTools, Page
from documents import Checks, Child, Runner, connect, free_port
from examples.conftest import browser, chromium  # noqa: F401  # fixtures
from support import TIMEOUT, Log

from ws import WebSocket

TUTORIAL = Checks('doc/tutorial.md')
PAGES = {block.name: block.code for block in TUTORIAL.document.blocks if block.language == 'html'}


@pytest.mark.parametrize('name', TUTORIAL.names())
def test_example(name: str, tmp_path: Path) -> None:
    TUTORIAL.run(name, tmp_path)


def serve(run: Runner, name: str) -> tuple[Child, int]:
    """A server, beside the page that the tutorial has for it."""
    (run.folder / 'chat.html').write_text(PAGES[name], encoding='utf-8')
    return run.serve()


def interrupted(program: Child) -> None:
    program.signal(2)
    assert program.wait() != 0
    assert 'KeyboardInterrupt\n' in program.errors()


def joined(port: int) -> tuple[WebSocket, Log]:
    ws, log = connect(port)
    log.until('open')
    return ws, log


# -- the programs -----------------------------------------------------------------------------------------------------


@TUTORIAL.check('A first server')
def _(run: Runner) -> None:
    program, port = run.serve()
    assert program.line() == 'this is the last line'
    ws, log = joined(port)
    assert program.line() == 'somebody has come'
    ws.send('hello')
    assert program.line() == 'received: hello'
    assert log.get()[1] == 'you said: hello'
    ws.close()
    assert program.line() == 'somebody has left'
    program.stops()


@TUTORIAL.check('A first client')
def _(run: Runner) -> None:
    program, connections = run.call()
    ws, _request, log = connections.get()
    assert log.get()[1] == 'hello'
    ws.send('you said: hello')
    program.ends('you said: hello', 'closed with 1000')
    with free_port() as port:
        program = run.start(port)
        assert re.fullmatch(r'error: .*Connection refused.*', program.line())
        program.ends('closed with 1006')


@TUTORIAL.check('A page in the browser')
def _(run: Runner) -> None:
    program, port = serve(run, 'A page in the browser')
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/', timeout=TIMEOUT) as response:
        assert response.read().decode() == PAGES['A page in the browser']
    clients = [joined(port), joined(port)]
    clients[0][0].send('hello')
    for _ws, log in clients:
        assert log.get()[1] == 'hello'
    interrupted(program)


@TUTORIAL.check('Names, and who is there')
def _(run: Runner) -> None:
    program, port = serve(run, 'Names, and who is there')
    ann, ann_log = joined(port)
    ann.send(json.dumps({'name': 'Ann'}))
    assert json.loads(ann_log.get()[1]) == {'people': ['Ann']}
    ben, ben_log = joined(port)
    ben.send(json.dumps({'name': 'Ben'}))
    for log in ann_log, ben_log:
        assert json.loads(log.get()[1]) == {'people': ['Ann', 'Ben']}
    ben.send(json.dumps({'text': 'hello'}))
    for log in ann_log, ben_log:
        assert json.loads(log.get()[1]) == {'name': 'Ben', 'text': 'hello'}
    ben.send('nonsense')
    assert ben_log.get()[:2] == ('close', 1011)
    assert json.loads(ann_log.get()[1]) == {'people': ['Ann']}
    program.signal(2)
    assert program.wait() != 0
    errors = program.errors()
    assert 'JSONDecodeError' in errors
    assert 'KeyboardInterrupt\n' in errors


@TUTORIAL.check('Before others use it')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, origin=f'http://127.0.0.1:{port}')
    assert log.until('message')[-1][1] == 'welcome'
    _ws, log = connect(port, origin='https://elsewhere.example')
    assert str(log.get()[1]) == 'unexpected server response (401)'
    program.stops()


# -- the pages --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def chat(name: str, folder: Path) -> Iterator[tuple[Child, int]]:
    with Runner(TUTORIAL.blocks[name].code, folder) as run:
        program, port = serve(run, name)
        yield program, port
        program.signal(2)
        program.wait()


@pytest.mark.browser
def test_the_first_page(browser: DevTools, tmp_path: Path) -> None:  # noqa: F811
    with chat('A page in the browser', tmp_path) as (_program, port):
        pages = [browser.open(f'http://127.0.0.1:{port}/') for _ in range(2)]
        for page in pages:
            page.until('ws.readyState === WebSocket.OPEN')
        pages[0].type('#text', 'hello <b>Ben</b>')
        for page in pages:
            page.shows('#said', 'hello <b>Ben</b>')


def enters(browser: DevTools, port: int, name: str) -> Page:  # noqa: F811
    page = browser.open('about:blank')
    page.call('Page.enable')
    page.call('Page.addScriptToEvaluateOnNewDocument', source=f'window.prompt = () => {json.dumps(name)}')
    page.go(f'http://127.0.0.1:{port}/')
    return page


@pytest.mark.browser
def test_the_page_with_names(browser: DevTools, tmp_path: Path) -> None:  # noqa: F811
    with chat('Names, and who is there', tmp_path) as (program, port):
        pages = [enters(browser, port, name) for name in ('Ann', 'Ben')]
        for page in pages:
            page.shows('#people', 'Ann, Ben')
        pages[0].type('#text', 'hello')
        for page in pages:
            page.shows('#said', 'Ann: hello')
        program.signal(2)
        for page in pages:
            page.shows('#people', 'the connection is lost')
        program.wait()
        with Runner(TUTORIAL.blocks['Names, and who is there'].code, tmp_path, 'again.py') as run:
            run.start(port).until_it_listens(port)
            for page in pages:
                page.shows('#people', 'Ann, Ben')
