"""What the command line says of a connection: headers from files, keys and passphrases, addresses to listen on."""

from __future__ import annotations

import argparse
import re
import socket
from pathlib import Path

import pytest
import trustme
from support import Log
from terminals import run
from window import ENTER, python

from ws import WebSocket
from ws.wscat.connecting import client_options, faults_of_usage
from ws.wscat.options import UsageError, parse

# -- headers from a file -----------------------------------------------------------------------------------------------


def test_headers_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / 'headers'
    file.write_bytes('\ufeff# a comment\r\nCookie: id=42\r\n\r\n  # another: one\nX-Own:é: #1'.encode())
    options = parse(['x', '-H', 'X-Own: 0', '-H', f'@{file}', '-H', 'X-Own: 2'])
    assert client_options(options)['headers'] == {'X-Own': ['0', 'é: #1', '2'], 'Cookie': ['id=42']}


@pytest.mark.parametrize(('content', 'complaint'), [
    (b'# one\nsecret', '--header: line 2 of FILE is not like NAME:VALUE'),
    (b'\xff', '--header: FILE is not UTF-8 text'),
    (None, '--header: FILE: No such file or directory'),
])  # fmt: skip
def test_a_file_without_headers(content: bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / 'headers'
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        client_options(parse(['x', '-H', f'@{file}']))
    assert str(raised.value) == complaint.replace('FILE', str(file))


# -- passphrases -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=['PKCS8', 'TraditionalOpenSSL'])
def key_options(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Options for a key that is encrypted, with the passphrase 'secret', and its certificate."""
    issued = trustme.CA().issue_cert('client.example')
    serialization = pytest.importorskip('cryptography.hazmat.primitives.serialization')
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, request.param),
        serialization.BestAvailableEncryption(b'secret'),
    )
    (tmp_path / 'key.pem').write_bytes(encrypted)
    issued.cert_chain_pems[0].write_to_path(tmp_path / 'cert.pem')
    return ['--cert', str(tmp_path / 'cert.pem'), '--key', str(tmp_path / 'key.pem')]


def test_a_wrong_passphrase(key_options: list[str]) -> None:
    options = parse(['wss://localhost', *key_options, '--passphrase', 'wrong'])
    with pytest.raises(UsageError, match=f'^--passphrase: it is not the one of {key_options[-1]}$'):
        make(options)


def make(options: argparse.Namespace) -> None:
    """A client with these options."""
    with faults_of_usage(options):
        WebSocket(options.connect, client_options(options))


@pytest.mark.parametrize('mode', [[], ['--bench'], ['--reconnect']])
@pytest.mark.parametrize('key_options', ['PKCS8'], indirect=True)
def test_a_wrong_passphrase_in_each_mode(mode: list[str], key_options: list[str]) -> None:
    result = run('wss://localhost', *mode, *key_options, '--passphrase', 'wrong')
    assert result == (2, '', f'error: --passphrase: it is not the one of {key_options[-1]}\n')


@pytest.mark.parametrize('key_options', ['PKCS8'], indirect=True)
def test_a_wrong_passphrase_that_was_asked_for(key_options: list[str]) -> None:
    with python('-m', 'ws', 'wss://localhost', *key_options, '--passphrase', columns=200) as window:
        window.shows('Passphrase:')
        window.type('wrong' + ENTER)
        window.ends(2)
        assert window.lines() == ['Passphrase:', f'error: --passphrase: it is not the one of {key_options[-1]}']


def test_no_passphrase(key_options: list[str]) -> None:
    with pytest.raises(UsageError, match=f'^--key: {key_options[-1]} needs a passphrase: use --passphrase$'):
        make(parse(['wss://localhost', *key_options]))


def test_other_faults_of_a_key(key_options: list[str], tmp_path: Path) -> None:
    options = parse(['wss://localhost', *key_options, '--passphrase', 'secret'])
    another = trustme.CA().issue_cert('another.example').cert_chain_pems[0].bytes()
    for cert in (another, b'no certificate', b''):
        (tmp_path / 'cert.pem').write_bytes(cert)
        with pytest.raises(UsageError, match=r'^--ca, --cert, --key or --passphrase: '):
            make(options)


# -- where to listen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('host', 'address'), [('127.0.0.1', '127.0.0.1'), ('::1', '[::1]'), ('localhost', '')])
def test_an_address_to_listen_on(host: str, address: str) -> None:
    if host == '::1' and not has_ipv6():
        pytest.skip('there is no ::1')
    with python('-m', 'ws', '-l', '0', '--host', host) as window:
        window.until(lambda: window.lines()[0].startswith('Listening on port '))
        found = re.fullmatch(r'Listening on port (\d+) of (\S+) \(press CTRL\+C to quit\)', window.lines()[0])
        assert found is not None
        assert host in ('localhost', found[2])
        client = WebSocket(f'ws://{address or host}:{found[1]}')
        log = Log(client)
        log.until('open')
        client.close()
        log.until('close')


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(('::1', 0))
    except OSError:
        return False
    return True


def test_only_there() -> None:
    with python('-m', 'ws', '-l', '0', '--host', '127.0.0.2') as window:
        window.until(lambda: window.lines()[0].startswith('Listening on port '))
        port = window.lines()[0].split()[3]
        assert run(f'127.0.0.1:{port}') == (1, '', f'error: Connection refused: 127.0.0.1:{port}\n')
        assert run(f'127.0.0.2:{port}', '-w', '0') == (0, '', '')


def test_an_address_of_another_machine() -> None:
    result = run('-l', '0', '--host', '192.0.2.1')
    assert (result.status, result.output) == (1, '')
    assert result.errors.startswith('error: ')
