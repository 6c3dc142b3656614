"""doc/security.md: its examples do what they say, nginx and HAProxy pass WebSockets on, its limits are the code's."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from documents import Checks, Runner, connect, free_port, port_of
from fakes import accept
from hops import hops
from proxies import running
from support import TIMEOUT, Log, Waiter, read_all, server

from ws import HandshakeError, WebSocket
from ws.options import CLIENT_OPTIONS, SERVER_OPTIONS
from ws.protocol.body import MAX_BODY
from ws.protocol.http import MAX_HEAD, MAX_HEADERS, MAX_TARGET
from ws.server.opening import REST_LIMIT

SECURITY = Checks('doc/security.md')
TEXT = SECURITY.document.path.read_text(encoding='utf-8')
CONFIGURATIONS = {block.language: block.code for block in SECURITY.document.blocks}


@pytest.mark.parametrize('name', SECURITY.names())
def test_example(name: str, tmp_path: Path) -> None:
    SECURITY.run(name, tmp_path)


def test_its_limits_are_those_of_the_code() -> None:
    lines = TEXT.partition('\n## Limits\n')[2].partition('\n## ')[0].splitlines()
    rows = {tuple(cell.strip() for cell in line.split('|')[2:4]) for line in lines if line.startswith('|')}
    handshake = SERVER_OPTIONS['handshakeTimeout'] // 1000, CLIENT_OPTIONS['handshakeTimeout'] // 1000
    assert rows == {
        ('Option', 'Default'),
        ('---', '---'),
        ('`maxPayload`', f'{SERVER_OPTIONS["maxPayload"] >> 20} MiB'),
        ('`maxFragments`', str(SERVER_OPTIONS['maxFragments'])),
        ('`handshakeTimeout`', '{} s on servers, {} s on clients'.format(*handshake)),
        ('`closeTimeout`', f'{SERVER_OPTIONS["closeTimeout"] // 1000} s'),
        ('', f'{MAX_HEAD >> 10} KiB'),
        ('', str(MAX_HEADERS)),
        ('', f'{MAX_TARGET >> 10} KiB'),
        ('', f'{REST_LIMIT >> 10} KiB'),
        ('', 'the latest'),
        ('`backlog`', str(SERVER_OPTIONS['backlog'])),
        ('', f'{MAX_BODY >> 10} KiB'),
        ('`maxRedirects`', str(CLIENT_OPTIONS['maxRedirects'])),
        ('`maxBufferedAmount`', 'off'),
    }


def test_credentials_are_not_shown() -> None:
    with server() as wss:
        ws = WebSocket(f'ws://ann:secret@127.0.0.1:{port_of(wss)}/?@')
        assert repr(ws) == f'<WebSocket ws://127.0.0.1:{port_of(wss)}/?@ CONNECTING>'
        Log(ws).until('open')
        ws.terminate()


@SECURITY.check('Who connects: origins and cross-site hijacking')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port, origin='https://example.org')
    assert log.until('message')[-1][1] == 'welcome'
    for options in {'origin': 'https://evil.example'}, {'headers': {'Origin': []}}:
        _ws, log = connect(port, **options)  # type: ignore[arg-type]
        assert str(log.get()[1]) == 'unexpected server response (401)'
    program.stops()


@SECURITY.check('Clients that read slowly')
def _(run: Runner) -> None:
    program, port = run.serve()
    slow, slow_log = connect(port)
    slow_log.until('open')
    slow.pause()
    fast, fast_log = connect(port)
    fast_log.until('open')
    message = b'x' * (1 << 20)
    for _ in range(32):  # more than the buffers of the system hold, and then the limit
        fast.send(message)
        assert fast_log.get()[1] == message
    slow.resume()
    assert slow_log.until('close')[-1] == ('close', 1006, '')
    fast.send('still here')
    assert fast_log.get()[1] == 'still here'
    program.stops()


@SECURITY.check('TLS')
def _(run: Runner) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert('127.0.0.1')
    certificate.private_key_pem.write_to_path(str(run.folder / 'key.pem'))
    with (run.folder / 'cert.pem').open('wb') as file:
        for pem in certificate.cert_chain_pems:
            file.write(pem.bytes())
    program, port = run.serve()
    ws = WebSocket(f'wss://127.0.0.1:{port}/', ca=authority.cert_pem.bytes())
    assert Log(ws).until('message')[-1][1] == 'encrypted'
    program.stops()


def socket_to(port: int) -> socket.socket:
    return socket.create_connection(('127.0.0.1', port), TIMEOUT)


@SECURITY.check('Clients')
def _(run: Runner) -> None:
    with hops('http://127.0.0.1:PORT/there', accept) as peer:
        run.start(peer.port).ends()
        assert len(peer.heads) == 2
    with hops('ws://127.0.0.2:PORT/') as peer:
        run.start(peer.port).ends('not there: socket hang up')


@SECURITY.check('Hixie-76')
def _(run: Runner) -> None:
    program, port = run.serve()
    _ws, log = connect(port)
    assert log.until('message')[-1][1] == 'at least version 8'
    with socket_to(port) as sock:
        sock.sendall(
            b'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n'
            b'Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:ds[4U'
        )
        assert read_all(sock).startswith(b'HTTP/1.1 401 ')
    program.stops()


# -- proxies ----------------------------------------------------------------------------------------------------------


def command_for(kind: str, configuration: str, port: int, backend: int, folder: Path) -> list[str]:
    """Starts a proxy that listens on `port`, as the document says but for the ports and for where it writes to."""
    configuration = configuration.replace('127.0.0.1:8080', f'127.0.0.1:{backend}')
    file = folder / f'{kind}.cfg'
    if kind == 'haproxy':
        file.write_text(configuration.replace('bind :80', f'bind 127.0.0.1:{port}'))
        return ['haproxy', '-db', '-f', str(file)]
    paths = ''.join(
        f'{name}_temp_path {folder}/{name};' for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')
    )
    configuration = configuration.replace('listen 80', f'listen 127.0.0.1:{port}')
    file.write_text(configuration.replace('http {', f'http {{ access_log off; {paths}', 1))
    settings = f'daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;'
    return ['nginx', '-e', f'{folder}/log', '-p', str(folder), '-c', str(file), '-g', settings]


@contextlib.contextmanager
def proxy(kind: str, backend: int, folder: Path) -> Iterator[int]:
    """The proxy of a document's configuration; yields its port."""
    with free_port() as port, running(command_for(kind, CONFIGURATIONS[kind], port, backend, folder), port):
        yield port


@pytest.mark.parametrize('kind', ['nginx', 'haproxy'])
def test_behind_a_proxy(kind: str, tmp_path: Path) -> None:
    with server() as wss:
        connections = Waiter()
        wss.on('connection', lambda ws, request: (ws.on('message', lambda m: ws.send(m)), connections(ws, request)))
        with proxy(kind, port_of(wss), tmp_path) as port:
            ws, log = connect(port, '/socket?query', headers={'X-Forwarded-For': '192.0.2.1'}, protocol='chat')
            log.until('open')
            peer, request = connections.get()
            assert request.url == '/socket?query'
            assert request.headers['x-forwarded-for'] == '127.0.0.1'  # and not what the client claims
            assert request.headers['host'] == f'127.0.0.1:{port}'
            for message in 'text', b'\0' * 100_000:
                ws.send(message)
                assert log.get()[1] == message
            ws.ping('still there?')
            assert log.get()[:2] == ('pong', b'still there?')
            closed = Waiter()
            peer.on('close', closed)
            ws.close(3000, 'enough')
            assert closed.get() == (3000, 'enough')
            assert log.get() == ('close', 3000, 'enough')

            _ws, log = connect(port, '/elsewhere')
            assert isinstance(log.get()[1], HandshakeError)
