"""Tests W046 to W064 of ws 8's suite: what a client takes for an answer, and what not.

W051 and W052 are in test_unexpected_response.py, W063 in the test of ``createConnection``.
"""

from __future__ import annotations

from compatibility.peers import silence
from compatibility.ws8.clients import failure, failure_of_answer
from fakes import accept, fake_server
from support import Log, server, url_of

from ws import WebSocket
from ws.protocol.http import MAX_HEADERS


def test_w046_an_upgrade_header_that_is_not_read() -> None:
    """It is missing, or behind so many others that nobody reads that far."""
    head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade'
    assert failure_of_answer(head=head) == 'Invalid Upgrade header'
    head += '\r\nX: y' * MAX_HEADERS + '\r\nUpgrade: websocket'
    assert 'header' in failure_of_answer(head=head)


def test_w047_another_upgrade_header() -> None:
    head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo'
    assert failure_of_answer(head=head) == 'Invalid Upgrade header'


def test_w048_another_accept_header() -> None:
    head = (
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
        'Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ=='
    )
    assert failure_of_answer(head=head) == 'invalid server key'


def test_w049_a_server_that_hangs_up() -> None:
    with fake_server(lambda sock, head: sock.sendall(accept(head))) as url:
        assert Log(WebSocket(url)).until('close') == [('open',), ('close', 1006, '')]


def test_w050_a_server_that_refuses() -> None:
    head = 'HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0'
    assert failure_of_answer(head=head) == 'unexpected server response (401)'


def test_w053_a_server_that_does_not_answer_in_time() -> None:
    with silence() as url:
        assert failure(url, handshakeTimeout=50) == 'Opening handshake has timed out'


def test_w054_an_extension_although_none_was_asked_for() -> None:
    found = failure_of_answer('Sec-WebSocket-Extensions: foo', perMessageDeflate=False)
    assert found == 'Server sent a Sec-WebSocket-Extensions header but no extension was requested'


def test_w055_a_header_for_extensions_that_is_none() -> None:
    found = failure_of_answer('Sec-WebSocket-Extensions: foo;=')
    assert found == 'Invalid Sec-WebSocket-Extensions header'


def test_w056_an_extension_with_a_wrong_parameter() -> None:
    found = failure_of_answer('Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=7')
    assert found == 'Invalid Sec-WebSocket-Extensions header'


def test_w057_another_extension() -> None:
    found = failure_of_answer('Sec-WebSocket-Extensions: foo')
    assert found == 'Server indicated an extension that was not requested'


def test_w058_another_extension_besides_the_one_that_was_asked_for() -> None:
    found = failure_of_answer('Sec-WebSocket-Extensions: permessage-deflate,foo')
    assert found == 'Server indicated an extension that was not requested'


def test_w059_a_sub_protocol_although_none_was_asked_for() -> None:
    with server() as wss:
        wss.on('headers', lambda lines: lines.append('Sec-WebSocket-Protocol: foo'))
        wss.on('connection', lambda: None)
        assert failure(url_of(wss)) == 'server sent a subprotocol even though none requested'


def test_w060_a_sub_protocol_that_was_not_offered() -> None:
    with server(handleProtocols=lambda protocols, request: 'baz') as wss:
        wss.on('connection', lambda: None)
        assert failure(url_of(wss), ['foo', 'bar']) == 'server responded with an invalid protocol'


def test_w061_an_empty_sub_protocol() -> None:
    """It counts as none: servers of 0.4.31 have such a header."""
    found = failure_of_answer('Sec-WebSocket-Protocol:', protocols=['foo', 'bar'])
    assert found == 'server sent no subprotocol even though requested'


def test_w062_no_sub_protocol_although_some_were_offered() -> None:
    with server(handleProtocols=lambda protocols, request: None) as wss:
        wss.on('connection', lambda: None)
        assert failure(url_of(wss), ['foo', 'bar']) == 'server sent no subprotocol even though requested'


def test_w064_a_redirect_is_not_followed_by_default() -> None:
    with silence() as elsewhere:
        head = f'HTTP/1.1 301 Moved Permanently\r\nLocation: {elsewhere}'
        assert failure_of_answer(head=head) == 'unexpected server response (301)'
