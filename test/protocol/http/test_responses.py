"""Heads of responses: parsed strictly."""

from __future__ import annotations

import re

import pytest
from protocol.http.heads import RESPONSE, parse_response

from ws.errors import HandshakeError
from ws.protocol.http import MAX_HEAD, MAX_HEADERS, MAX_INTERIM, ResponseParser


def response_error(data: bytes) -> str:
    with pytest.raises(HandshakeError) as caught:
        ResponseParser().feed(data)
    assert caught.value.status is None, 'the peer named no status'
    assert str(caught.value).startswith('invalid server response: ')
    return str(caught.value)


def test_response_has_the_attributes_of_node() -> None:
    parser = ResponseParser()
    response = parser.feed(RESPONSE + b'\x81\x00')
    assert response is not None
    assert response.statusCode == 101
    assert response.statusMessage == 'Switching Protocols'
    assert response.httpVersion == '1.1'
    assert response.headers == {'upgrade': 'websocket', 'connection': 'Upgrade'}
    assert response.rawHeaders == ['Upgrade', 'websocket', 'Connection', 'Upgrade']
    assert parser.rest == b'\x81\x00'


@pytest.mark.parametrize(
    ('line', 'status', 'reason'),
    [
        (b'HTTP/1.1 200 OK', 200, 'OK'),
        (b'HTTP/1.0 404 Not Found', 404, 'Not Found'),
        (b'HTTP/1.1 401', 401, ''),
        (b'HTTP/1.1 401 ', 401, ''),
        (b'HTTP/1.1 999 Request\tdenied \xe9', 999, 'Request\tdenied é'),
    ],
)
def test_status_lines(line: bytes, status: int, reason: str) -> None:
    response = parse_response(line + b'\r\n\r\n')
    assert (response.statusCode, response.statusMessage) == (status, reason)
    assert response.httpVersion == line[5:8].decode()


@pytest.mark.parametrize(
    'line',
    [
        b'HTTP/1.1',
        b'HTTP/1. 200 OK',
        b'HTTP/1.1  200 OK',
        b'HTTP/1.1 20 OK',
        b'HTTP/1.1 2000 OK',
        b'HTTP/1.1 099 OK',
        b'HTTP/1.1 \xb2\xb2\xb2 OK',
        b'HTTP/1.1 200OK',
        b'HTTP/1.11 200 OK',
        b'HTTP/1.x 200 OK',
    ],
)
def test_malformed_status_lines(line: bytes) -> None:
    assert 'invalid status line' in response_error(line + b'\r\n\r\n')


def test_long_status_lines_are_shown_in_part() -> None:
    assert len(response_error(b'HTTP/1.1 ' + b'\xff' * 1000 + b'\r\n\r\n')) < 300


@pytest.mark.parametrize(
    'data',
    [
        b'S',
        b'SSH-2.0-OpenSSH_9.2\r\n',
        b'\x15\x03\x01\x00\x02\x02\x0a',
        b'HTTP/2',
        b'http/1.1',
        b'\r\n',
        b'\x81\x05Hello',
    ],
)
def test_a_peer_that_speaks_something_else_is_refused_at_once(data: bytes) -> None:
    assert response_error(data) == f'invalid server response: not HTTP/1.1 but {data!r}'


@pytest.mark.parametrize('cut', range(1, 8))
def test_a_peer_that_speaks_something_else_in_small_pieces(cut: int) -> None:
    parser = ResponseParser()
    assert parser.feed(b'HTTP/1.'[: cut - 1]) is None
    with pytest.raises(HandshakeError, match=re.escape(f'{b"HTTP/1."[: cut - 1] + b"?"!r}')):
        parser.feed(b'?')


def test_what_is_shown_of_another_protocol_is_short() -> None:
    assert len(response_error(b'\x00' * 100_000)) < 300


@pytest.mark.parametrize(
    ('line', 'text'),
    [
        (b'X: a\nb', 'invalid byte 0x0a at offset 19'),
        (b' folded', 'invalid header line 1'),
        (b'Content-Length: a', 'invalid Content-Length header'),
        (b'Content-Length: 1\r\nContent-Length: 1', 'duplicate content-length header'),
        (b'Sec-WebSocket-Accept: a\r\nSec-WebSocket-Accept: a', 'duplicate sec-websocket-accept header'),
        (b'\r\n'.join([b'X: a'] * (MAX_HEADERS + 1)), f'more than {MAX_HEADERS} headers'),
        (b'X: ' + b'a' * MAX_HEAD, f'head is longer than {MAX_HEAD} bytes'),
    ],
)
def test_malformed_responses_say_what_is_wrong(line: bytes, text: str) -> None:
    assert response_error(b'HTTP/1.1 101 \r\n' + line + b'\r\n\r\n') == f'invalid server response: {text}'


@pytest.mark.parametrize('name', ['location', 'retry-after', 'server'])
def test_of_a_response_too_the_first_is_kept(name: str) -> None:
    response = parse_response(f'HTTP/1.1 302 Found\r\n{name}: a\r\n{name}: b\r\n\r\n'.encode())
    assert response.headers == {name: 'a'}


def test_versions_may_be_repeated_in_a_response() -> None:
    """RFC 6455 section 4.4 shows them so."""
    response = parse_response(b'HTTP/1.1 426 \r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8, 7\r\n\r\n')
    assert response.headers['sec-websocket-version'] == '13, 8, 7'


@pytest.mark.parametrize('interim', [b'HTTP/1.1 100 Continue\r\n\r\n', b'HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n'])
@pytest.mark.parametrize('size', [1, 1000])
def test_interim_responses_are_passed_over(interim: bytes, size: int) -> None:
    parser = ResponseParser()
    data = interim * 3 + RESPONSE
    responses = [parser.feed(data[at : at + size]) for at in range(0, len(data), size)]
    assert responses[:-1] == [None] * (len(responses) - 1)
    assert responses[-1] is not None
    assert responses[-1].statusCode == 101
    assert responses[-1].headers == {'upgrade': 'websocket', 'connection': 'Upgrade'}
    assert parser.rest == b''


@pytest.mark.parametrize('size', [1, 10_000])
def test_too_many_interim_responses(size: int) -> None:
    interim = b'HTTP/1.1 100 Continue\r\n\r\n'
    parser = ResponseParser()
    data = interim * (MAX_INTERIM + 1)
    assert ResponseParser().feed(interim * MAX_INTERIM + RESPONSE) is not None
    with pytest.raises(HandshakeError, match=f'^invalid server response: more than {MAX_INTERIM} interim responses$'):
        for at in range(0, len(data), size):
            assert parser.feed(data[at : at + size]) is None


def test_nothing_is_left_of_an_interim_response() -> None:
    parser = ResponseParser()
    assert parser.feed(b'HTTP/1.1 100 \r\n\r\nHTTP') is None
    assert parser.rest == b''


# -- Set-Cookie -------------------------------------------------------------------------------------------------------


def test_cookies_of_a_response() -> None:
    head = b'HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/; HttpOnly\r\nset-cookie: c="d e"\r\nSet-Cookie: a=z\r\n'
    response = ResponseParser().feed(head + b'Set-Cookie: nothing\r\nX: y=z\r\n\r\n')
    assert response is not None
    assert response.cookies == {'a': 'z', 'c': 'd e'}
