"""Client certificates, names and versions of TLS, with Node's ws 8 at the other end."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from interop.peers import HERE, WS_8
from support import TIMEOUT, Log, server, url_of

from ws import WebSocket

pytestmark = pytest.mark.interop

SCRIPT = HERE / 'node' / 'certificates.js'


@pytest.fixture(autouse=True, scope='module')
def node() -> None:
    missing = WS_8.missing()
    if missing is not None:
        give_up = pytest.fail if os.environ.get('CI') == 'true' else pytest.skip
        give_up(f'{missing} was not found')


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


def folder_with(folder: Path, authority: trustme.CA, *names: str, common_name: str) -> Path:
    issued = authority.issue_cert(*names, common_name=common_name)
    authority.cert_pem.write_to_path(folder / 'ca.pem')
    issued.cert_chain_pems[0].write_to_path(folder / 'cert.pem')
    issued.private_key_pem.write_to_path(folder / 'key.pem')
    return folder


def material(folder: Path) -> dict[str, Any]:
    return {name: folder / f'{name}.pem' for name in ('ca', 'cert', 'key')}


@pytest.fixture(scope='module')
def of_server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('server')
    return folder_with(folder, authority, 'localhost', '127.0.0.1', common_name='the server')


@pytest.fixture(scope='module')
def of_client(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with(tmp_path_factory.mktemp('client'), authority, 'ann@example.org', common_name='ann')


@pytest.fixture(scope='module')
def of_stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with(tmp_path_factory.mktemp('stranger'), trustme.CA(), 'eve@example.org', common_name='eve')


# -- their client -----------------------------------------------------------------------------------------------------


def their_client(folder: Path, url: str, **options: Any) -> Any:
    command = ['node', str(SCRIPT), str(folder), url, json.dumps(options)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return json.loads(ended.stdout)


@pytest.mark.parametrize('version', ['TLSv1.2', 'TLSv1.3'])
def test_their_client_with_a_certificate(of_server: Path, of_client: Path, of_stranger: Path, version: str) -> None:
    with server(**material(of_server), requestCert=True, minVersion='TLSv1.2') as wss:

        def connection(ws: Any, request: Any) -> None:
            ws.send(f'{request.socket.authorized} {request.socket.getPeerCertificate().subject.CN}')

        wss.on('connection', connection)
        url = url_of(wss, scheme='wss')
        assert their_client(of_client, url, maxVersion=version) == ['True ann', True, version]
        for folder, options in (of_client, {'anonymous': True}), (of_stranger, {'rejectUnauthorized': False}):
            kind, _ = their_client(folder, url, maxVersion=version, **options)
            assert kind == 'error'


def test_a_version_we_do_not_take(of_server: Path, of_client: Path) -> None:
    with server(**material(of_server), minVersion='TLSv1.3') as wss:
        wss.on('connection', lambda ws: ws.send('welcome'))
        url = url_of(wss, scheme='wss')
        assert their_client(of_client, url)[0] == 'welcome'
        assert their_client(of_client, url, maxVersion='TLSv1.2')[0] == 'error'


# -- their server -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def port(of_server: Path) -> Iterator[int]:
    """Of a server of theirs that asks for certificates."""
    process = subprocess.Popen(
        ['node', str(SCRIPT), str(of_server)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    with contextlib.closing(process.stdin), contextlib.closing(process.stdout):
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(TIMEOUT)


def told(port: int, host: str = 'localhost', **options: Any) -> Any:
    ws = WebSocket(f'wss://{host}:{port}', {'lookup': lambda name: '127.0.0.1', 'closeTimeout': 2000, **options})
    log = Log(ws, 'message', 'error', 'close')
    kind, what, *_ = log.get()
    ws.close()
    log.until('close')
    return json.loads(what) if kind == 'message' else what


def test_their_server_wants_a_certificate(port: int, of_client: Path, of_stranger: Path) -> None:
    assert told(port, **material(of_client)) == [True, 'ann', 'localhost', 'http/1.1']
    for options in ({}, material(of_stranger)):
        problem = told(port, **{**options, 'ca': of_client / 'ca.pem'})
        assert isinstance(problem, Exception)


def test_the_name_their_server_is_told(port: int, of_client: Path) -> None:
    options = {**material(of_client), 'servername': 'localhost'}
    assert told(port, 'other.example', **options)[2] == 'localhost'
    assert told(port, '127.0.0.1', **material(of_client))[2] is False
