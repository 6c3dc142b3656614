"""Heads, parsed at once, for the tests of this folder."""

from __future__ import annotations

import pytest

from ws.errors import HandshakeError
from ws.protocol.http import Request, RequestParser, Response, ResponseParser

REQUEST = (
    b'GET /chat?x=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n'
    b'Cookie: a=1\r\nX-Own: \xe9t\xe9\r\ncookie: b=2\r\n\r\n'
)
RESPONSE = b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'


def parse_request(data: bytes) -> Request:
    request = RequestParser().feed(data)
    assert request is not None
    return request


def parse_response(data: bytes) -> Response:
    response = ResponseParser().feed(data)
    assert response is not None
    return response


def request_with(*lines: bytes) -> bytes:
    return b'\r\n'.join((b'GET / HTTP/1.1', *lines)) + b'\r\n\r\n'


def request_error(data: bytes) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        RequestParser().feed(data)
    return caught.value
