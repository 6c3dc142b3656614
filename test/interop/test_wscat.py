"""wscat in front of Node's servers, and the wscats of Node in front of ours."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import ROOT, free_port
from interop.peers import HERE, WS_0, WS_8, Peer
from support import TIMEOUT, Log, Waiter, echo_server, server, url_of
from window import CTRL_C, ENTER, Window, python

from ws import WebSocket, WebSocketServer

pytestmark = pytest.mark.interop

CONNECTED = 'Connected (press CTRL+C to quit)'


# -- ours, in front of Node's servers ----------------------------------------------------------------------------------

only_node = pytest.mark.parametrize('peer', [WS_8, WS_0], indirect=True, ids=str)


@only_node
def test_typing_to_their_server(peer: Peer) -> None:
    with python('-m', 'ws', '-c', peer.url('/wscat?echo'), '--slash', '-P') as window:
        window.shows(CONNECTED, '>')
        window.type('¡Hola!' + ENTER)
        window.shows(CONNECTED, '> ¡Hola!', '< ¡Hola!', '>')
        window.type('/ping 1' + ENTER)
        window.until(lambda: window.lines()[-2:] == ['< Received pong (data: "1")', '>'])
        window.type(CTRL_C)
        window.ends()
    assert [peer.next('/wscat')[0] for _ in range(3)] == ['open', 'ping', 'close']


@only_node
def test_their_server_sends_binary_messages_and_closes(peer: Peer) -> None:
    with python('-m', 'ws', '-c', peer.url('/wscat-binary')) as window:
        window.shows(CONNECTED, '>')
        peer.tell('send', '/wscat-binary', b'\0\xff')
        window.until(lambda: window.lines()[1:3] == ['< binary, 2 bytes:', '  0000  00 ff' + 44 * ' ' + '..'])
        window.type('half')
        window.until(lambda: window.lines()[-1] == '> half')
        peer.tell('send', '/wscat-binary', 'incoming')
        window.until(lambda: window.lines()[-2:] == ['< incoming', '> half'])
        peer.tell('close', '/wscat-binary', 3001, 'enough')
        window.until(lambda: window.lines()[-1] == 'Disconnected (code: 3001, reason: "enough")')
        window.ends(1)
    while peer.next('/wscat-binary')[0] != 'close':
        pass


@only_node
def test_pipes_and_tls_to_their_server(peer: Peer) -> None:
    command = [sys.executable, str(ROOT / 'bin' / 'wscat'), '-c', peer.url('/wscat-pipe?echo', secure=True)]
    options = ['--ca', str(peer.certificates.ca), '-w', '2']
    result = subprocess.run(
        [*command, *options],
        input='one\ntwo\n',
        capture_output=True,
        encoding='utf-8',
        timeout=TIMEOUT,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, 'one\ntwo\n', '')
    assert [peer.next('/wscat-pipe')[0] for _ in range(2)] == ['open', 'close']


# -- Node's, in front of our server ------------------------------------------------------------------------------------

TODAYS = HERE / 'node' / 'node_modules' / 'wscat' / 'bin' / 'wscat'
OLD = HERE / 'node' / 'node_modules' / 'ws-0.4.31' / 'bin' / 'wscat'


@contextlib.contextmanager
def theirs(program: Path, *arguments: str) -> Iterator[Window]:
    """A wscat of Node's in a window."""
    if shutil.which('node') is None or not program.exists():
        (pytest.fail if os.environ.get('CI') == 'true' else pytest.skip)(f'{program} or node was not found')
    with Window('/usr/bin/env', 'node', '--no-deprecation', str(program), *arguments) as window:
        yield window


@contextlib.contextmanager
def calling(program: Path, wss: WebSocketServer, *arguments: str) -> Iterator[tuple[Window, WebSocket, Log]]:
    """The same, connected to `wss`; with the server's end and the log of its events."""
    connections = Waiter()
    wss.on('connection', lambda ws: connections(ws, Log(ws, 'message', 'ping', 'pong', 'close')))
    with theirs(program, '-c', url_of(wss), *arguments) as window:
        yield (window, *connections.get())


def comes_to_show(window: Window, *texts: str) -> None:
    def shown() -> bool:
        return all(text in '\n'.join(window.lines()) for text in texts)

    window.until(shown, lambda: f'it shows {window.lines()}')


@pytest.mark.parametrize('program', [TODAYS, OLD], ids=['wscat 6', 'wscat 0.4.31'])
def test_their_wscat_and_our_server(program: Path) -> None:
    with echo_server() as wss, calling(program, wss) as (window, ws, log):
        comes_to_show(window, 'onnected (press CTRL+C to quit)')
        window.type('¡Hola!' + ENTER)
        assert log.get()[:2] == ('message', '¡Hola!')
        comes_to_show(window, '< ¡Hola!')
        ws.send('something')
        comes_to_show(window, '< something')
        ws.close(1001, 'later')
        assert log.get()[:2] == ('close', 1001)
        assert window.process.wait(TIMEOUT) == 0


def test_their_options_and_our_server() -> None:
    requests = Waiter()
    arguments = ('-H', 'X-Header:one', '--auth', 'me:secret', '-s', 'first', '-s', 'second', '-o', 'http://example.org')
    with server() as wss:
        wss.on('connection', lambda ws, request: requests(request.headers))
        with calling(TODAYS, wss, *arguments, '--slash', '-P') as (window, ws, log):
            headers = requests.get()[0]
            assert headers['x-header'] == 'one'
            assert headers['authorization'] == 'Basic bWU6c2VjcmV0'
            assert headers['sec-websocket-protocol'] == 'first,second'
            assert headers['origin'] == 'http://example.org'
            comes_to_show(window, CONNECTED)
            window.type('/ping one' + ENTER)
            assert log.get()[:2] == ('ping', b'one')
            comes_to_show(window, 'Received pong (data: "one")')
            ws.ping('two')
            comes_to_show(window, 'Received ping (data: "two")')
            assert log.get()[:2] == ('pong', b'two')
            window.type('/close 4000 done' + ENTER)
            assert log.get() == ('close', 4000, 'done')


def test_their_wscat_executes() -> None:
    with echo_server() as wss, calling(TODAYS, wss, '-x', 'one', '-x', 'two', '-w', '2') as (window, _, log):
        assert [log.get()[:2] for _ in range(3)] == [('message', 'one'), ('message', 'two'), ('close', 1005)]
        assert window.process.wait(TIMEOUT) == 0
        comes_to_show(window, 'one', 'two')


# -- one in front of the other -----------------------------------------------------------------------------------------


def test_our_wscat_listens_to_theirs() -> None:
    with python('-m', 'ws', '-l', '0') as listening:
        listening.until(lambda: listening.lines()[0].startswith('Listening on port '))
        port = listening.lines()[0].split()[3]
        with theirs(TODAYS, '-c', f'127.0.0.1:{port}') as calling:
            talk(listening, calling)
            calling.type(CTRL_C)
            listening.until(lambda: listening.lines()[-1].startswith('Disconnected'))
        listening.type(CTRL_C)
        listening.ends()


def test_their_wscat_listens_to_ours() -> None:
    with free_port() as port, theirs(TODAYS, '-l', str(port)) as listening:
        comes_to_show(listening, f'Listening on port {port}')
        with python('-m', 'ws', '-c', f'localhost:{port}') as calling:
            talk(listening, calling)
            listening.type(CTRL_C)
            calling.until(lambda: calling.lines()[-1].startswith('Disconnected'))


def talk(listening: Window, calling: Window) -> None:
    comes_to_show(calling, CONNECTED)
    comes_to_show(listening, 'Client connected')
    calling.type('from the client' + ENTER)
    comes_to_show(listening, '< from the client')
    listening.type('from the server' + ENTER)
    comes_to_show(calling, '< from the server')
