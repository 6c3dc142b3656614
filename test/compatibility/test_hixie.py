"""Items 131 to 141 of the original's suite: opening handshakes of Hixie-76."""

from __future__ import annotations

from typing import Any

from compatibility.peers import KEY1, KEY2, NONCE, hixie_request, status
from support import Log, Waiter, read_head, server

from ws import WebSocket


def refusal(*lines: str, keys: tuple[str, ...] = (KEY1, KEY2), **options: Any) -> int:
    """The status that refuses a request with these keys; nobody must hear of it."""
    with server(**options) as wss:
        connections = Log(wss, 'connection')
        with hixie_request(wss, *lines, keys=keys) as sock:
            code = status(sock)
        assert connections.nothing(0)
        return code


def connects(*lines: str, **options: Any) -> bool:
    """Whether a right request becomes a connection."""
    with server(**options) as wss:
        connections = Log(wss, 'connection')
        with hixie_request(wss, *lines) as sock:
            assert status(sock) == 101
            return isinstance(connections.get()[1], WebSocket)


def test_131_hixie_disabled() -> None:
    assert refusal(disableHixie=True) == 401


def test_132_only_the_first_key() -> None:
    assert refusal(keys=(KEY1,)) == 400


def test_133_only_the_second_key() -> None:
    assert refusal(keys=(KEY2,)) == 400


def test_134_a_right_request() -> None:
    with server() as wss:
        connections = Log(wss, 'connection')
        with hixie_request(wss) as sock:
            assert read_head(sock).startswith(b'HTTP/1.1 101 ')
            assert sock.recv(16, 0).hex() == '6e603965426b397a245238704f745662'
            assert connections.get()[1].protocolVersion == 'hixie-76'


ORIGIN = 'Origin: http://foobar.com'


def test_135_verify_client_refuses() -> None:
    assert refusal(ORIGIN, verifyClient=lambda info: False) == 401


def test_136_verify_client_accepts() -> None:
    assert connects(ORIGIN, verifyClient=lambda info: True)


def info_of(*lines: str) -> Any:
    """What ``verifyClient`` is given."""
    infos = Waiter()
    assert connects(*lines, verifyClient=lambda info: infos(info) is None)
    return infos.get()[0]


def test_137_info_origin() -> None:
    assert info_of(ORIGIN).origin == 'http://foobar.com'


def test_138_info_req() -> None:
    assert info_of(ORIGIN).req.headers['sec-websocket-key1'] == '3e6b263  4 17 80'


def test_139_verify_client_refuses_by_callback() -> None:
    assert refusal(ORIGIN, verifyClient=lambda info, callback: callback(False)) == 401


def test_140_verify_client_accepts_by_callback() -> None:
    assert connects(ORIGIN, verifyClient=lambda info, callback: callback(True))


def test_141_a_message_behind_the_nonce() -> None:
    with server() as wss:
        messages = Waiter()
        wss.on('connection', lambda ws: ws.on('message', lambda message: messages(message)))
        with hixie_request(wss, body=NONCE + b'\0Hello\xff'):
            assert messages.get() == ('Hello',)
