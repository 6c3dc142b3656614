"""Clients over TLS and UNIX sockets."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

import pytest
from fakes import accept
from support import (
    TIMEOUT,
    Log,
    Waiter,
    client,
    echo_server,
    end,
    read_all,
    read_head,
    server,
    url_of,
    wait_for,
)

from ws import WebSocket, WebSocketServer
from ws.protocol.frames import build_frame

# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def authority() -> Any:
    return pytest.importorskip('trustme').CA()


@pytest.fixture(scope='module')
def certificate(authority: Any) -> dict[str, bytes]:
    issued = authority.issue_cert('localhost', '127.0.0.1')
    return {
        'cert': b''.join(blob.bytes() for blob in issued.cert_chain_pems),
        'key': issued.private_key_pem.bytes(),
    }


def test_tls(authority: Any, certificate: dict[str, bytes]) -> None:
    """Items 84, 87 and 88."""
    with echo_server(**certificate) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = WebSocket(url_of(wss, scheme='wss'), {'ca': authority.cert_pem.bytes()})
        log = Log(ws)
        assert log.get() == ('open',)
        assert connected.get()[1].connection.encrypted is True
        ws.send('text over TLS')
        assert log.get()[1] == 'text over TLS'
        data = bytes(range(256)) * (5 << 12)
        ws.send(data)
        assert log.get()[1] == data
        ws.close(3000, 'bye')
        assert log.get() == ('close', 3000, 'bye')


def test_tls_with_pfx(authority: Any) -> None:
    serialization = pytest.importorskip('cryptography.hazmat.primitives.serialization')
    pkcs12 = pytest.importorskip('cryptography.hazmat.primitives.serialization.pkcs12')
    x509 = pytest.importorskip('cryptography.x509')
    issued = authority.issue_cert('localhost', '127.0.0.1')
    pfx = pkcs12.serialize_key_and_certificates(
        None,
        serialization.load_pem_private_key(issued.private_key_pem.bytes(), None),
        x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()),
        None,
        serialization.BestAvailableEncryption(b'secret'),
    )
    with echo_server(pfx=pfx, passphrase='secret') as wss:
        options = {'ca': authority.cert_pem.bytes(), 'pfx': pfx, 'passphrase': 'secret'}
        ws = WebSocket(url_of(wss, scheme='wss'), options)
        log = Log(ws)
        assert log.get() == ('open',)
        ws.send('text over TLS')
        assert log.get()[1] == 'text over TLS'
        end(ws)
    with pytest.raises(ValueError, match=r'^pfx cannot be opened'):
        WebSocket('wss://127.0.0.1:1', pfx=pfx)
    with pytest.raises(ValueError, match=r'^pfx cannot be opened'):
        WebSocketServer(port=0, pfx=pfx, passphrase='wrong')


def test_tls_certificates_are_verified(certificate: dict[str, bytes]) -> None:
    with echo_server(**certificate) as wss:
        log = Log(WebSocket(url_of(wss, scheme='wss')))
        kind, error = log.get()
        assert kind == 'error' and 'CERTIFICATE_VERIFY_FAILED' in str(error)
        assert log.get() == ('close', 1006, '')
        ws = WebSocket(url_of(wss, scheme='wss'), rejectUnauthorized=False)
        wait_for(ws, 'open')
        end(ws)


def test_tls_host_names_are_verified(authority: Any) -> None:
    issued = authority.issue_cert('example.org')
    options = {'cert': issued.cert_chain_pems[0].bytes().decode(), 'key': issued.private_key_pem.bytes().decode()}
    with echo_server(**options) as wss:
        log = Log(WebSocket(url_of(wss, scheme='wss'), ca=[authority.cert_pem.bytes().decode()]))
        kind, error = log.get()
        assert kind == 'error' and '127.0.0.1' in str(error)
        assert log.get() == ('close', 1006, '')


def test_plain_to_tls_and_the_other_way_round(certificate: dict[str, bytes]) -> None:
    """Item 86."""
    with echo_server(**certificate) as wss:
        log = Log(WebSocket(url_of(wss), rejectUnauthorized=False))
        assert log.get()[0] == 'error'
        assert log.get() == ('close', 1006, '')
    with echo_server() as wss:
        log = Log(WebSocket(url_of(wss, scheme='wss'), rejectUnauthorized=False))
        assert log.get()[0] == 'error'
        assert log.get() == ('close', 1006, '')


def test_tls_options_that_make_no_sense_raise(certificate: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match='cert and key'):
        WebSocket('wss://127.0.0.1:1', cert=certificate['cert'])
    with pytest.raises(OSError, match='PEM'):
        WebSocket('wss://127.0.0.1:1', cert='not PEM', key='neither')
    with pytest.raises(OSError, match=r'(?i)cipher'):
        WebSocket('wss://127.0.0.1:1', ciphers='NO-SUCH-CIPHER')


# -- UNIX sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, 'AF_UNIX'), reason='this platform has no UNIX sockets')
def test_a_unix_socket(tmp_path: Any) -> None:
    path = str(tmp_path / 's')
    heads: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(TIMEOUT)

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(TIMEOUT)
            heads.append(read_head(sock))
            sock.sendall(accept(heads[0]) + build_frame(1, b'hello') + b'\x88\x00')
            read_all(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    log = Log(WebSocket(f'ws+unix:{path}:/chat?x=1'))
    assert [event[:2] for event in log.until('close')] == [('open',), ('message', 'hello'), ('close', 1005)]
    thread.join(TIMEOUT)
    listener.close()
    assert heads[0].startswith(b'GET /chat?x=1 HTTP/1.1\r\n')


def test_a_unix_socket_that_is_not_there(tmp_path: Any) -> None:
    log = Log(WebSocket(f'ws+unix:{tmp_path}/none:/'))
    assert isinstance(log.get()[1], FileNotFoundError)
    assert log.get() == ('close', 1006, '')


def test_the_flags_of_a_message_may_be_the_options_of_its_echo() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data, flags: ws.send(data, flags)))
        ws = client(wss)
        log = Log(ws, 'open', 'message')
        log.until('open')
        for data in 'text', b'binary':
            ws.send(data)
            assert log.get()[1] == data
        end(ws)


def test_the_log_of_a_handshake_knows_only_one_line_end(caplog: pytest.LogCaptureFixture) -> None:
    """Python's splitlines knows more of them, which may stand in a header."""
    with server() as wss, caplog.at_level(logging.DEBUG, 'ws.handshake'):
        ws = client(wss, headers={'X-Name': 'a\x85b'})
        Log(ws).until('open')
        end(ws)
    assert '> X-Name: a\x85b' in caplog.messages
