"""wscat: the handshake, and the program itself."""

from __future__ import annotations

import base64
import configparser
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from documents import ROOT
from hops import hops, opened
from proxies import connect_proxy, dante
from support import TIMEOUT, Waiter, echo_server, server, url_of
from terminals import CONNECTED, RawServer, run
from window import ENTER, python

from ws import WebSocket, wscat
from ws.wscat.connecting import client_options
from ws.wscat.help import help_text
from ws.wscat.options import UsageError, parse

# -- the handshake -----------------------------------------------------------------------------------------------------


def request_of(*arguments: str) -> tuple[str, Any]:
    """The target and the headers of wscat's request with these arguments."""
    with server() as wss:
        requests = Waiter()
        wss.on('connection', lambda ws, request: (requests(request.url, request.headers), ws.close()))
        arguments = tuple(argument.replace('URL', url_of(wss).partition('://')[2]) for argument in arguments)
        assert run(*arguments) == (0, '', '')
        found: tuple[str, Any] = requests.get()
        return found


def test_headers() -> None:
    url, headers = request_of(
        *('-c', 'URLpath?q', '-o', 'https://example.org', '--host', 'example.com', '--auth', 'me:sécret'),
        *('-H', 'X-One: 1', '-H', 'x-one:2', '-H', 'Cookie: a=b:c', '-H', 'authorization: overridden'),
        *('-s', 'one', '-s', 'two, three'),
    )
    assert url == '/path?q'
    assert headers['origin'] == 'https://example.org'
    assert headers['host'] == 'example.com'
    assert headers['authorization'] == 'Basic ' + base64.b64encode('me:sécret'.encode()).decode()
    assert headers['x-one'] == '1, 2'
    assert headers['cookie'] == 'a=b:c'
    assert headers['sec-websocket-protocol'] == 'one, two, three'
    assert headers['sec-websocket-version'] == '13'


def test_protocol_version_8() -> None:
    assert request_of('-c', 'ws://URL', '-p', '8')[1]['sec-websocket-version'] == '8'


@pytest.fixture(scope='module')
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    issued = authority.issue_cert('localhost')
    with echo_server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
        url = url_of(wss, scheme='wss').replace('127.0.0.1', 'localhost')
        wait = ('-x', 'hello', '-w', '1.5')
        assert run('-c', url, '--ca', str(tmp_path / 'ca.pem'), *wait) == (0, 'hello\n', '')
        assert run('-c', url, '-n', *wait) == (0, 'hello\n', '')
        result = run('-c', url, *wait)
        assert (result.status, result.output) == (1, '')
        assert result.errors.startswith('error: certificate verify failed: ')
        assert result.errors.count('\n') == 1


@pytest.mark.parametrize('asked', [True, False])
def test_a_certificate_of_the_client(authority: trustme.CA, tmp_path: Path, asked: bool) -> None:
    serialization = pytest.importorskip('cryptography.hazmat.primitives.serialization')
    issued = authority.issue_cert('client.example')
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b'secret'),
    )
    (tmp_path / 'key.pem').write_bytes(encrypted)
    issued.cert_chain_pems[0].write_to_path(tmp_path / 'cert.pem')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('127.0.0.1').configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    arguments = ['--cert', str(tmp_path / 'cert.pem'), '--key', str(tmp_path / 'key.pem'), '-n', '--passphrase']
    with (
        RawServer(context) as peer,
        python('-m', 'ws', '-c', f'wss://{peer.address}', *arguments, *([] if asked else ['secret'])) as window,
    ):
        if asked:
            window.shows('Passphrase:')
            window.type('secret' + ENTER)
        peer.answer(peer.take())
        said = ['Passphrase:'] if asked else []
        window.shows(*said, CONNECTED, '>')
        window.type('hello' + ENTER)
        assert peer.frame() == (0x81, b'hello')
        assert peer.subject() == 'client.example'


def test_proxies() -> None:
    with connect_proxy() as proxy, echo_server() as wss:
        target = url_of(wss).partition('://')[2].strip('/')
        wait = ('-x', 'hello', '-w', '1.5')
        assert run('-c', target, '--proxy', proxy.address, *wait) == (0, 'hello\n', '')
        assert run('-c', target, '--proxy', f'http://me:secret@{proxy.address}', *wait) == (0, 'hello\n', '')
        assert proxy.requests == [(target, ''), (target, 'Basic bWU6c2VjcmV0')]
        with RawServer() as nobody:
            gone = nobody.address
        assert run('-c', gone, '--proxy', proxy.address) == (1, '', 'error: the proxy refused: 502 Bad Gateway\n')
        result = run('-c', target, '--proxy', gone)
        assert result == (1, '', f'error: the proxy {gone} is out of reach: Connection refused\n')


def test_tls_through_a_proxy(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    issued = authority.issue_cert('localhost')
    with connect_proxy() as proxy:
        with echo_server(cert=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes()) as wss:
            url = url_of(wss, scheme='wss').replace('127.0.0.1', 'localhost')
            ca = ('--ca', str(tmp_path / 'ca.pem'))
            assert run('-c', url, '--proxy', proxy.address, *ca, '-x', 'hello', '-w', '1.5') == (0, 'hello\n', '')
        assert proxy.requests[0][0].startswith('localhost:')


def test_tls_to_a_proxy(authority: trustme.CA, tmp_path: Path) -> None:
    """Its certificate is for the system to know; OpenSSL lets a variable say where to look."""
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    with connect_proxy(context) as proxy, echo_server() as wss:
        address = proxy.address.replace('127.0.0.1', 'localhost')
        arguments = ('-c', url_of(wss), '--proxy', f'https://{address}', '-x', 'hello', '-w', '1.5')
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv('SSL_CERT_FILE', str(tmp_path / 'ca.pem'))
            assert run(*arguments) == (0, 'hello\n', '')
        result = run(*arguments)
        assert (result.status, result.output) == (1, '')
        assert result.errors.startswith(f'error: TLS to the proxy {address} failed: certificate verify failed: ')


@pytest.mark.parametrize('scheme', ['socks4', 'socks5h'])
def test_socks_proxies(scheme: str) -> None:
    pytest.importorskip('python_socks')
    with dante() as address, echo_server() as wss:
        arguments = ('-c', url_of(wss), '--proxy', f'{scheme}://{address}', '-x', 'hello', '-w', '1.5')
        assert run(*arguments) == (0, 'hello\n', '')


def test_socks_proxies_need_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'python_socks', None)
    with pytest.raises(UsageError, match='--proxy: a SOCKS proxy needs the package python-socks'):
        client_options(parse(['-c', 'x', '--proxy', 'socks5h://x']))


def test_verbose() -> None:
    with server() as wss:

        def answer(this: WebSocket) -> None:
            this.send('hello')
            this.send(b'\0')
            this.ping('1')
            this.close(1000, 'bye')

        wss.on('connection', lambda ws: ws.on('message', answer))
        result = run('-c', url_of(wss), '-x', 'ü', '-v', '-w', '-1', '--auth', 'me:secret', '-H', 'Cookie: secret')
    assert (result.status, result.bytes) == (0, b'hello\n\0')
    lines = result.errors.splitlines()
    assert lines[0] == '* > GET / HTTP/1.1'
    assert '* > Sec-WebSocket-Version: 13' in lines
    assert '* > Authorization: ...' in lines
    assert '* > Cookie: ...' in lines
    answer = lines.index('* < HTTP/1.1 101 Switching Protocols')
    assert '* < Upgrade: websocket' in lines[answer:]
    assert '* > text, 2 bytes' in lines
    frames = ['* < text, 5 bytes', '* < binary, 1 byte', '* < ping, 1 byte']
    assert [line for line in lines if line in frames] == frames
    assert lines[-2:] == ['* closed by the peer', '* Disconnected (code: 1000, reason: "bye")']


def test_verbose_shows_a_refusal() -> None:
    with server(path='/there') as wss:
        result = run('-c', url_of(wss), '-v')
    lines = result.errors.splitlines()
    assert '* < HTTP/1.1 400 Bad Request' in lines
    assert '* < Connection: close' in lines
    assert lines[-1] == 'error: unexpected server response (400)'
    assert result.status == 1


def test_redirects_are_followed_and_shown() -> None:
    with hops('http://ann:secret@127.0.0.1:PORT/new', opened) as peer:
        result = run('-c', peer.url(), '-L', '-v', '-x', 'hello', '-w', '-1')
    lines = result.errors.splitlines()
    shown = [line for line in lines if '/new' in line]
    assert shown == [
        f'* < Location: http://127.0.0.1:{peer.port}/new',
        f'* redirected to ws://127.0.0.1:{peer.port}/new',
        '* > GET /new HTTP/1.1',
    ]
    assert peer.targets() == ['/', '/new']


def test_redirects_take_no_credentials_elsewhere() -> None:
    with hops(opened) as other, hops(other.url()) as peer:
        run('-c', peer.url(), '--location', '--auth', 'me:secret', '-H', 'Cookie: a=b', '-H', 'X-Own: 1', '-w', '-1')
        assert [other.sent(0, name) for name in ('Authorization', 'Cookie', 'X-Own')] == [None, None, '1']
        assert peer.sent(0, 'Cookie') == 'a=b'


@pytest.mark.parametrize('arguments', [['--max-redirects', '2'], ['--max-redirects']])
def test_redirects_have_a_limit(arguments: list[str]) -> None:
    limit = 2 if len(arguments) == 2 else 10
    with hops(*['/'] * (limit + 1)) as peer:
        assert run('-c', peer.url(), '-L', *arguments) == (1, '', 'error: Maximum redirects exceeded\n')
        assert len(peer.heads) == limit + 1


def test_pings_and_pongs_in_pipes() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: (ws.ping('one'), ws.pong('two'), ws.close()))
        result = run('-c', url_of(wss), '-P', '-w', '-1')
    assert result == (0, '', '< Received ping (data: "one")\n< Received pong (data: "two")\n')


# -- the program -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('command', [[sys.executable, '-m', 'ws'], [sys.executable, str(ROOT / 'bin' / 'wscat')]])
def test_it_is_one_program(command: list[str], tmp_path: Path) -> None:
    def output_of(*arguments: str) -> str:
        result = subprocess.run(
            [*command, *arguments], cwd=ROOT, capture_output=True, encoding='utf-8', timeout=TIMEOUT, check=True
        )
        assert result.stderr == ''
        return result.stdout

    assert output_of() == output_of('-h') == output_of('--help') == help_text()
    assert output_of('-V') == output_of('--version')
    with echo_server() as wss:
        assert output_of('-c', url_of(wss), '-x', 'hello', '-w', '1.5') == 'hello\n'


@pytest.mark.parametrize('has_venv', [True, False])
def test_a_checkout_whose_packages_are_in_its_virtual_environment(has_venv: bool, tmp_path: Path) -> None:
    (tmp_path / 'bin').mkdir()
    shutil.copy(ROOT / 'bin' / 'wscat', tmp_path / 'bin')
    (tmp_path / 'ws').symlink_to(ROOT / 'ws')
    if has_venv:
        (tmp_path / '.venv').symlink_to(sys.prefix)
    program = tmp_path / 'bin' / 'wscat'
    assert os.access(program, os.X_OK)
    # Without site-packages.
    result = subprocess.run([sys.executable, '-I', '-S', program, '-h'], capture_output=True, encoding='utf-8')
    complaint = 'error: wscat needs the Python package pyee: pip install pyee, or make demo\n'
    expected = (0, help_text(), '') if has_venv else (1, '', complaint)
    assert (result.returncode, result.stdout, result.stderr) == expected


def test_the_installed_command(metadata: configparser.ConfigParser) -> None:
    assert metadata['options.entry_points']['console_scripts'].split() == ['wscat', '=', 'ws.wscat:main']
    assert callable(wscat.main)


@pytest.fixture
def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    return parser


def test_help_that_nobody_reads_to_its_end() -> None:
    command = f"'{sys.executable}' -m ws -h | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(['bash', '-c', command], cwd=ROOT, capture_output=True, encoding='utf-8', timeout=TIMEOUT)
    assert (result.stdout, result.stderr) == ('0\n', '')
