"""Items 112 to 130, and 142 to 144, of the original's suite: opening handshakes of versions 8 and 13."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable
from typing import Any, Optional

import pytest
import trustme
from compatibility.peers import KEY, VERSION, http_server, on_http, request, status
from support import Log, Waiter, client, end, server, wait_for

from ws import WebSocket, timers

# -- requests that are refused ----------------------------------------------------------------------------------------


def refusal(*lines: str, **options: Any) -> int:
    """The status that refuses a request with these lines; nobody must hear of it."""
    with server(**options) as wss:
        connections = Log(wss, 'connection')
        with request(wss, *lines) as sock:
            code = status(sock)
        assert connections.nothing(0)
        return code


def test_112_without_a_key() -> None:
    assert refusal() == 400


def test_113_without_a_version() -> None:
    assert refusal(KEY) == 400


def test_114_with_an_unknown_version() -> None:
    assert refusal(KEY, 'Sec-WebSocket-Version: 12') == 400


ORIGIN = 'Origin: http://foobar.com'
VERSION_8 = ['Sec-WebSocket-Version: 8', 'Sec-WebSocket-Origin: http://foobar.com']


def test_115_verify_client_refuses() -> None:
    assert refusal(KEY, *VERSION_8, verifyClient=lambda info: False) == 401


# -- verifyClient -----------------------------------------------------------------------------------------------------


def connects(*lines: str, **options: Any) -> bool:
    """Whether a request with these lines becomes a connection."""
    with server(**options) as wss:
        connections = Log(wss, 'connection')
        with request(wss, *lines) as sock:
            assert status(sock) == 101
            return isinstance(connections.get()[1], WebSocket)


def test_116_verify_client_accepts() -> None:
    assert connects(KEY, VERSION, ORIGIN, verifyClient=lambda info: True)


def info_of(*lines: str) -> Any:
    """What ``verifyClient`` is given."""
    infos = Waiter()

    def verifyClient(info: Any) -> bool:
        infos(info)
        return True

    assert connects(*lines, verifyClient=verifyClient)
    return infos.get()[0]


def test_117_info_origin() -> None:
    assert info_of(KEY, VERSION, ORIGIN).origin == 'http://foobar.com'


def test_118_info_req() -> None:
    assert info_of(KEY, VERSION, ORIGIN).req.headers['sec-websocket-key'] == 'dGhlIHNhbXBsZSBub25jZQ=='


def test_119_info_secure_with_tls() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    infos = Waiter()
    with http_server(context=context) as httpd, on_http(httpd, verifyClient=lambda info: infos(info) is None) as wss:
        wss.on('connection', lambda ws: ws.close())
        ws = WebSocket(f'wss://localhost:{httpd.server_port}', {'ca': authority.cert_pem.bytes()})
        assert infos.get()[0].secure is True
        wait_for(ws, 'close')


def test_120_info_secure_without_tls() -> None:
    assert info_of(KEY, VERSION, ORIGIN).secure is False


def later(ok: bool) -> Callable[[Any, Any], None]:
    """A ``verifyClient`` that takes its time."""

    def verifyClient(info: Any, callback: Callable[[bool], None]) -> None:
        timers.setTimeout(callback, 5, ok)

    return verifyClient


def test_121_verify_client_refuses_later() -> None:
    assert refusal(KEY, *VERSION_8, verifyClient=later(False)) == 401


def test_122_verify_client_accepts_later() -> None:
    assert connects(KEY, VERSION, ORIGIN, verifyClient=later(True))


# -- what comes with the request --------------------------------------------------------------------------------------

#: 'Hello' as text; what is sent there is the unmasked one.
UNMASKED = b'\x81\x05Hello'
MASKED = b'\x81\x85\0\0\0\0Hello'


def first_event(frame: bytes, **options: Any) -> Any:
    """Of the connection whose client has sent a frame in the packet of its request."""
    with server(**options) as wss:
        happened = Waiter()

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            ws.on('message', lambda data: happened('message', data))
            ws.on('error', lambda error: happened('error', str(error)))

        with request(wss, KEY, VERSION, body=frame):
            return happened.get()


def test_123_a_frame_together_with_the_request() -> None:
    """Decision `unmasked frame to a server`: the option ``allowUnmasked`` is needed for the original's frame."""
    assert first_event(MASKED) == ('message', 'Hello')
    assert first_event(UNMASKED, allowUnmasked=True) == ('message', 'Hello')
    assert first_event(UNMASKED) == ('error', 'Invalid WebSocket frame: MASK must be set')


# -- sub-protocols ----------------------------------------------------------------------------------------------------


def outcome(handleProtocols: Optional[Callable[..., Any]] = None) -> Any:
    """Of a client that offers prot1 and prot2: the sub-protocol in use, or why there is none."""
    with server(handleProtocols=handleProtocols) as wss:
        wss.on('connection', lambda: None)
        ws = client(wss, protocol='prot1, prot2')
        event, *args = Log(ws, 'open', 'error').get()
        return ws.protocol if event == 'open' else str(args[0])


def test_124_the_first_protocol_by_default() -> None:
    assert outcome() == 'prot1'


def test_125_the_last_protocol() -> None:
    assert outcome(lambda protocols, callback: callback(True, protocols[-1])) == 'prot2'


def test_126_a_protocol_that_was_not_offered() -> None:
    assert outcome(lambda protocols, callback: callback(True, 'prot3')) == 'server responded with an invalid protocol'


def test_127_no_protocol() -> None:
    text = 'server sent no subprotocol even though requested'
    assert outcome(lambda protocols, callback: callback(True)) == text


def test_128_protocols_refused() -> None:
    assert outcome(lambda protocols, callback: callback(False)) == 'unexpected server response (404)'


def test_129_protocols_not_decided() -> None:
    protocols = 'Sec-WebSocket-Protocol: prot1, prot2'
    assert refusal(KEY, VERSION, protocols, handleProtocols=lambda protocols, callback: None) == 501


def test_130_much_text_there_and_back() -> None:
    with server() as wss:
        text = base64.b64encode(os.urandom(65 * 1024)).decode()
        received = Waiter()

        @wss.on('connection')
        def connection(serverClient: WebSocket) -> None:
            serverClient.on('message', lambda message: received(message))
            serverClient.send(text)

        ws = client(wss)
        ws.on('message', lambda message: ws.send(message))
        assert received.get() == (text,)
        end(ws)


# -- properties of a server's end -------------------------------------------------------------------------------------


@pytest.mark.parametrize('argument', ['option', 'second argument'])
def test_142_protocol(argument: str) -> None:
    """Decision `protocols` argument: it is sent, too."""
    with server() as wss:
        url = f'ws://127.0.0.1:{wss.address().port}'  # type: ignore[union-attr]
        ws = WebSocket(url, {'protocol': 'hi'}) if argument == 'option' else WebSocket(url, 'hi')
        assert wait_for(wss, 'connection')[0].protocol == 'hi'
        end(ws)


def test_143_protocol_version() -> None:
    with server() as wss:
        ws = client(wss, protocolVersion=8)
        assert wait_for(wss, 'connection')[0].protocolVersion == 8
        end(ws)


def test_144_upgrade_req() -> None:
    with server() as wss:
        ws = client(wss)
        assert wait_for(wss, 'connection')[0].upgradeReq.httpVersion == '1.1'
        end(ws)
