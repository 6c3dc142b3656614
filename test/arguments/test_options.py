"""Options that are given wrongly, and what is said about it there and then."""

from __future__ import annotations

import http.server
import re
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
from arguments.warned import warnings_of
from support import end, server, url_of, wait_for

from ws import ReconnectingWebSocket, WebSocket, WebSocketServer
from ws.options import CLIENT_OPTIONS, RECONNECTING_OPTIONS, SERVER_OPTIONS

# -- options of the wrong type ----------------------------------------------------------------------------------------

PEM = 'a str or bytes, the contents of a PEM file, or the pathlib.Path of one'
NUMBER = 'a number of milliseconds'
CLIENT_TYPES: dict[str, tuple[str, list[Any]]] = {
    'protocol': ('a str', [['a'], b'a', 5]),
    'protocols': ('a str or a list of str', [b'a', 5, True]),
    'origin': ('a str', [b'o', 5, ['o']]),
    'host': ('a str', [b'h', 5]),
    'headers': ('a dict, or a list of pairs of a name and a value', [5, 'X: 1', b'X: 1']),
    'auth': ('a str', [5, b'a:b', ('a', 'b')]),
    'agent': ('callable, or have a method addRequest', [5, 'agent']),
    'createConnection': ('callable', [5, 'host']),
    'socketPath': ('a str', [5, b'/tmp/s', ['/tmp/s']]),
    'lookup': ('callable', [5, '127.0.0.1', {'host': '127.0.0.1'}]),
    'family': ('an int', ['4', 4.0, True]),
    'localAddress': ('a str', [5, b'127.0.0.1', ('127.0.0.1', 0)]),
    'localPort': ('an int', ['5', 1.5, True]),
    'ca': (f'{PEM}, or a list of these', [5, [5], {}]),
    'cert': (PEM, [5, ['a']]),
    'key': (PEM, [5, ['a']]),
    'pfx': ('bytes, the contents of a PKCS#12 file, or the pathlib.Path of one', [5, 'name.pfx']),
    'passphrase': ('a str or bytes', [5, ['a']]),
    'ciphers': ('a str', [5, b'ALL', ['ALL']]),
    'minVersion': ('a str', [5, ssl.TLSVersion.TLSv1_2, b'TLSv1.2']),
    'maxVersion': ('a str', [5, ssl.TLSVersion.TLSv1_2, b'TLSv1.2']),
    'rejectUnauthorized': ('a bool', [0, 'false', 1]),
    'servername': ('a str', [5, b'a', False]),
    'checkServerIdentity': ('callable', [5, True, 'name']),
    'context': ('an ssl.SSLContext', [5, {'ca': 'x'}, ssl.PROTOCOL_TLS_CLIENT]),
    'followRedirects': ('a bool', [1, 'yes']),
    'maxRedirects': ('an int', ['5', 1.5, True]),
    'finishRequest': ('callable', [True, 'f']),
    'generateMask': ('callable', [True, b'mask']),
}
RECONNECTING_TYPES: dict[str, tuple[str, list[Any]]] = {
    'minReconnectionDelay': (NUMBER, ['5', True]),
    'maxReconnectionDelay': (NUMBER, ['5', [5]]),
    'minUptime': (NUMBER, ['5', True]),
    'connectionTimeout': (NUMBER, ['5', True]),
    'jitter': ('a number', ['5', True]),
    'reconnectionDelayGrowFactor': ('a number', ['5', True]),
    'maxRetries': ('an int or math.inf', ['5', 1.5, True]),
    'maxEnqueuedMessages': ('an int or math.inf', ['5', 1.5, True]),
    'startClosed': ('a bool', [1, 'yes']),
    'terminalCodes': ('a list of int', [1000, '1000', b'1000', ['1000']]),
}
SERVER_TYPES: dict[str, tuple[str, list[Any]]] = {
    'host': ('a str', [b'h', 5]),
    'path': ('a str', [b'/', 5, ['/']]),
    'noServer': ('a bool', [1, 'yes']),
    'disableHixie': ('a bool', [1, 'false']),
    'clientTracking': ('a bool', [0, 'false']),
    'allowUnmasked': ('a bool', [1, 'false']),
    'WebSocket': ('the class of that name or a subclass of it', ['WebSocket', dict, WebSocketServer, print]),
    'backlog': ('an int', ['5', 1.5, True]),
    'verifyClient': ('callable', [True, 'f']),
    'handleProtocols': ('callable', [['a'], 'a']),
    'requestCert': ('a bool', [1, 'yes']),
    'SNICallback': ('callable', [5, {'localhost': 5}]),
    **{name: CLIENT_TYPES[name] for name in ('ca', 'cert', 'key', 'pfx', 'passphrase', 'ciphers')},
    **{name: CLIENT_TYPES[name] for name in ('minVersion', 'maxVersion', 'rejectUnauthorized', 'context')},
}
LISTENING_TYPES: dict[str, tuple[str, list[Any]]] = {
    'port': ('an int', [80.5, b'80', [80], True]),
    'socketPath': ('a str', [5, b'/tmp/s']),
    'socket': ('a socket', [5, 'socket']),
    'fd': ('an int', ['3', 1.5, True]),
    'server': ('an HTTP server based on socketserver.BaseServer', [5, 'server']),
    'reusePort': ('a bool', [1, 'yes']),
}
COMMON_TYPES: dict[str, tuple[str, list[Any]]] = {
    'executor': ('an int, or an Executor whose threads belong to this program', ['5', True, 1.5]),
    'handshakeTimeout': (NUMBER, ['5', True, [5]]),
    'autoPong': ('a bool', [0, 'false']),
    'closeTimeout': (NUMBER, ['5', True, [5]]),
    'pingInterval': (NUMBER, ['5', True, [5]]),
    'pingTimeout': (NUMBER, ['5', True, [5]]),
    'maxPayload': ('an int', ['5', 1.5, True]),
    'maxFragments': ('an int', ['5', 1.5, True]),
    'maxBufferedAmount': ('an int', ['5', 1.5, True]),
    'perMessageDeflate': ('a bool or a dict', [1, 'yes', ['level']]),
}


def wrong(*tables: dict[str, tuple[str, list[Any]]]) -> list[Any]:
    return [
        pytest.param(name, wanted, value, id=f'{name}={value!r}')
        for table in tables
        for name, (wanted, values) in table.items()
        for value in values
    ]


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(CLIENT_TYPES, COMMON_TYPES))
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_a_client_s_option_of_the_wrong_type(scheme: str, name: str, wanted: str, value: Any) -> None:
    url, text = f'{scheme}://127.0.0.1:1', re.escape(f'{name} must be {wanted}')
    with pytest.raises(TypeError, match=f'^{text}'):
        WebSocket(url, {name: value})
    with pytest.raises(TypeError, match=f'^{text}'):
        WebSocket(url, **{name: value})


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(CLIENT_TYPES, COMMON_TYPES, RECONNECTING_TYPES))
@pytest.mark.parametrize('url', ['ws://127.0.0.1:1', lambda: 'wss://127.0.0.1:1'], ids=['url', 'function'])
def test_an_option_of_the_wrong_type_of_a_client_that_reconnects(url: Any, name: str, wanted: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f'^{re.escape(f"{name} must be {wanted}")}'):
        ReconnectingWebSocket(url, {name: value})


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(SERVER_TYPES, COMMON_TYPES))
def test_a_server_s_option_of_the_wrong_type(name: str, wanted: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f'^{re.escape(f"{name} must be {wanted}")}'):
        WebSocketServer({'noServer': True, name: value})


@pytest.mark.parametrize(('name', 'wanted', 'value'), wrong(LISTENING_TYPES))
def test_where_to_listen_of_the_wrong_type(name: str, wanted: str, value: Any) -> None:
    port = {'port': 0, 'host': '127.0.0.1'} if name == 'reusePort' else {}
    with pytest.raises(TypeError, match=f'^{re.escape(f"{name} must be {wanted}")}'):
        WebSocketServer({**port, name: value})


def test_every_option_is_in_these_tables() -> None:
    assert {*CLIENT_TYPES, *COMMON_TYPES, 'protocolVersion'} == set(CLIENT_OPTIONS)
    assert {*CLIENT_TYPES, *COMMON_TYPES, 'protocolVersion', *RECONNECTING_TYPES} == set(RECONNECTING_OPTIONS)
    assert {*SERVER_TYPES, *LISTENING_TYPES, *COMMON_TYPES} == set(SERVER_OPTIONS)


def test_nothing_is_left_of_what_could_not_be_made() -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == 'ws']


# -- no server without TLS whose maker wanted some --------------------------------------------------------------------


@pytest.mark.parametrize(
    'name',
    [
        'certfile',
        'keyfile',
        'ssl',
        'ssl_context',
        'sslContext',
        'ssl_certfile',
        'tls',
        'https',
        'certs',
        'Key',
        'needClientCert',
    ],
)
def test_what_asks_for_tls_by_another_name(name: str) -> None:
    text = f'^WebSocketServer has no option {name!r}: for TLS it takes key and cert, the contents of PEM files or '
    for give in (lambda: WebSocketServer({'port': 0, name: 'x'}), lambda: WebSocketServer(port=0, **{name: 'x'})):
        with pytest.raises(TypeError, match=text):
            give()
    for off in (False, None):
        [warning] = warnings_of(lambda off=off: WebSocketServer({'noServer': True, name: off}).close())  # type: ignore[misc]
        assert 'ignored' in str(warning.message)


TLS_ALONE: dict[str, Any] = {
    'passphrase': 'secret',
    'ciphers': 'ALL',
    'ca': 'x',
    'minVersion': 'TLSv1.2',
    'maxVersion': 'TLSv1.3',
    'requestCert': True,
    'SNICallback': lambda name: None,
}


@pytest.mark.parametrize('name', TLS_ALONE)
def test_what_goes_with_tls_alone(name: str) -> None:
    with pytest.raises(ValueError, match=f'^{name} needs key and cert, or pfx$'):
        WebSocketServer({'port': 0, name: TLS_ALONE[name]})


# -- options that don't go together -----------------------------------------------------------------------------------


def context_for(side: str) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if side == 'servers' else ssl.PROTOCOL_TLS_CLIENT)


MATERIAL = {'ca': 'x', 'cert': 'x', 'key': 'x', 'pfx': b'x', 'passphrase': 'x', 'ciphers': 'ALL'}
BESIDE: dict[str, Any] = {**MATERIAL, 'minVersion': 'TLSv1.2', 'maxVersion': 'TLSv1.2', 'rejectUnauthorized': False}


@pytest.mark.parametrize('name', BESIDE)
@pytest.mark.parametrize('scheme', ['ws', 'wss'])
def test_a_context_takes_the_place_of_all_else_in_a_client(scheme: str, name: str) -> None:
    with pytest.raises(ValueError, match=f'^context takes the place of {name}: give only one of them$'):
        WebSocket(f'{scheme}://127.0.0.1:1', {'context': context_for('clients'), name: BESIDE[name]})


@pytest.mark.parametrize('name', [*BESIDE, 'requestCert', 'SNICallback'])
def test_and_in_a_server(name: str) -> None:
    given = {**BESIDE, **TLS_ALONE}[name]
    with pytest.raises(ValueError, match=f'^context takes the place of {name}: give only one of them$'):
        WebSocketServer({'port': 0, 'context': context_for('servers'), name: given})


def test_a_context_must_be_for_this_side() -> None:
    with pytest.raises(ValueError, match=r'^context must be one for clients'):
        WebSocket('wss://127.0.0.1:1', context=context_for('servers'))
    with pytest.raises(ValueError, match=r'^context must be one for servers'):
        WebSocketServer(port=0, context=context_for('clients'))


def test_client_certificates_need_authorities() -> None:
    """Those of the system sign certificates for anybody."""
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    pair = {'cert': issued.cert_chain_pems[0].bytes(), 'key': issued.private_key_pem.bytes()}
    with pytest.raises(ValueError, match=r'^requestCert needs ca, '):
        WebSocketServer(port=0, requestCert=True, **pair)
    for elsewhere in ({'noServer': True}, {'server': http.server.HTTPServer(('127.0.0.1', 0), None)}):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r'^TLS needs a port, path or socket of its own'):
            WebSocketServer({**elsewhere, **pair, 'requestCert': True, 'ca': authority.cert_pem.bytes()})
        if 'server' in elsewhere:
            elsewhere['server'].server_close()  # type: ignore[attr-defined]


@pytest.mark.parametrize('name', ['minVersion', 'maxVersion'])
def test_versions_of_tls_that_are_none(name: str) -> None:
    for version in ('TLSv1.1', 'TLSv1_2', 'SSLv3', ''):
        with pytest.raises(ValueError, match=f"^{name} must be 'TLSv1.2' or 'TLSv1.3', not {version!r}$"):
            WebSocket('wss://127.0.0.1:1', {name: version})
    with pytest.raises(ValueError, match=r'^minVersion TLSv1\.3 is above maxVersion TLSv1\.2$'):
        WebSocket('wss://127.0.0.1:1', minVersion='TLSv1.3', maxVersion='TLSv1.2')


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        ({'family': 5}, 'family must be 0, 4 or 6, not 5'),
        ({'family': -4}, 'family must not be negative: -4'),
        ({'localPort': 65536}, 'localPort must be from 0 to 65535, not 65536'),
        ({'localAddress': 'localhost'}, "localAddress must be an IP address, not 'localhost'"),
        ({'localAddress': ''}, "localAddress must be an IP address, not ''"),
        ({'localAddress': '127.0.0.1', 'family': 6}, 'localAddress is not of family 6: 127.0.0.1'),
        ({'localAddress': '::1', 'family': 4}, 'localAddress is not of family 4: ::1'),
        ({'socketPath': ''}, "socketPath must be the path of a UNIX socket, not ''"),
        ({'socketPath': '/a\0b'}, "socketPath must be the path of a UNIX socket, not '/a\\x00b'"),
        ({'agent': print, 'createConnection': print}, 'only one of agent and createConnection can make the connection'),
        ({'agent': print, 'family': 4}, 'family cannot go with agent, which makes the connection'),
        ({'agent': print, 'lookup': print}, 'lookup cannot go with agent, which makes the connection'),
        ({'createConnection': print, 'localPort': 1}, 'localPort cannot go with createConnection, which makes the con'),
    ],
)
def test_what_a_client_cannot_do(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=f'^{re.escape(text)}'):
        WebSocket('ws://127.0.0.1:1', options)


def test_one_unix_socket_is_enough() -> None:
    with pytest.raises(ValueError, match=r'^socketPath cannot go with a ws'):
        WebSocket('ws+unix:///run/app.sock', socketPath='/run/other.sock')


def test_files_of_tls_material(tmp_path: Path) -> None:
    """Named, they are refused, with the way out; as paths, they are read, on both sides."""
    authority = trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    ca, cert, key = (tmp_path / name for name in ('ca.pem', 'cert.pem', 'key.pem'))
    authority.cert_pem.write_to_path(ca)
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    for option in ('cert', 'key'):
        given = {'cert': cert, 'key': key, option: str({'cert': cert, 'key': key}[option])}
        with pytest.raises(ValueError, match=rf'^{option} must be the contents of a PEM file; .*pathlib\.Path'):
            WebSocketServer({'port': 0, **given})
    with pytest.raises(ValueError, match=r'^ca must be the contents of a PEM file; .*pathlib\.Path'):
        WebSocket('wss://127.0.0.1:1', ca=str(ca))
    with server(cert=cert, key=key) as wss:
        wss.on('connection', lambda ws: ws.send('encrypted'))
        ws = WebSocket(url_of(wss, scheme='wss'), ca=ca)
        assert wait_for(ws, 'message')[0] == 'encrypted'
        end(ws)
