"""Hixie-76, the server's side: the handshake. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.hixie.frames import events_of

from ws.errors import HandshakeError
from ws.protocol.hixie import NONCE_SIZE, VERSION, check_request, is_hixie
from ws.protocol.http import Headers, Request, RequestParser, ResponseParser, build_head

KEY1, KEY2, NONCE = '3e6b263  4 17 80', '17  9 G`ZD9   2 2b 7X 3 /r90', b'WjN}|M(6'
ANSWER = bytes.fromhex('6e603965426b397a245238704f745662')


def request(method: str = 'GET', url: str = '/chat?a=1', version: str = '1.1', **headers: Optional[str]) -> Request:
    """A request that is right, but for ``headers``: ``x_own='1'`` adds or replaces one, None takes it away."""
    given = {
        'host': 'example.com:8080',
        'upgrade': 'WebSocket',
        'connection': 'Upgrade',
        'sec-websocket-key1': KEY1,
        'sec-websocket-key2': KEY2,
        **{name.replace('_', '-'): value for name, value in headers.items()},
    }
    return Request(method, url, version, Headers({k: v for k, v in given.items() if v is not None}), [])


def refusal(message: Request) -> tuple[Optional[int], str]:
    with pytest.raises(HandshakeError) as caught:
        check_request(message)
    return caught.value.status, str(caught.value)


class TestIsHixie:
    def test_with_both_keys(self) -> None:
        assert is_hixie(request())

    @pytest.mark.parametrize('missing', ['sec_websocket_key1', 'sec_websocket_key2'])
    def test_with_one_key(self, missing: str) -> None:
        """[132] [133] It is refused as what it was meant to be."""
        assert is_hixie(request(**{missing: None}))

    def test_without(self) -> None:
        assert not is_hixie(request(sec_websocket_key1=None, sec_websocket_key2=None))

    def test_the_key_of_later_versions_counts_for_more(self) -> None:
        assert not is_hixie(request(sec_websocket_key='dGhlIHNhbXBsZSBub25jZQ=='))


class TestAnswer:
    @pytest.mark.parametrize(
        'key1, key2, nonce, answer',
        [
            ('4 @1  46546xW%0l 1 5', '12998 5 Y3 1  .P00', b'^n:ds[4U', b"8jKS'y:G*Co,Wxa-"),
            (KEY1, KEY2, NONCE, ANSWER),
        ],
    )
    def test_vectors(self, key1: str, key2: str, nonce: bytes, answer: bytes) -> None:
        handshake = check_request(request(sec_websocket_key1=key1, sec_websocket_key2=key2))
        assert handshake.answer(nonce) == answer

    @pytest.mark.parametrize('number', ['0 ', '0' * 9000 + '1 ', '4294967295 ', '42 94 9672 95'])
    def test_numbers_of_32_bits(self, number: str) -> None:
        """Leading zeros, too, however many a head can hold."""
        assert len(check_request(request(sec_websocket_key1=number)).answer(NONCE)) == 16

    @pytest.mark.parametrize('size', [0, 7, 9])
    def test_nonce_of_another_size(self, size: int) -> None:
        with pytest.raises(ValueError, match=f'^the nonce must be 8 bytes, not {size}$'):
            check_request(request()).answer(bytes(size))

    def test_behind_the_head_as_read_from_the_wire(self) -> None:
        """[134] [141] The nonce is what comes first behind the head, a frame may come with it."""
        lines = ['Host: localhost', 'Connection: Upgrade', 'Upgrade: WebSocket']
        lines += [f'Sec-WebSocket-Key1: {KEY1}', f'Sec-WebSocket-Key2: {KEY2}']
        parser = RequestParser()
        received = parser.feed(build_head('GET / HTTP/1.1', lines) + NONCE + b'\x00Hello\xff')
        assert received is not None
        assert is_hixie(received)
        assert check_request(received).answer(parser.rest[:NONCE_SIZE]) == ANSWER
        assert events_of(parser.rest[NONCE_SIZE:]) == [('text', 'Hello')]


class TestCheckRequest:
    def test_what_it_says(self) -> None:
        """[137] [138]"""
        handshake = check_request(request(origin='http://o', sec_websocket_protocol='a ,b'))
        assert handshake.version == VERSION == 'hixie-76'
        assert handshake.origin == 'http://o'
        assert handshake.protocol == 'a ,b'

    def test_what_it_does_not_say(self) -> None:
        handshake = check_request(request(sec_websocket_origin='http://o'))
        assert handshake.origin is None
        assert handshake.protocol is None

    @pytest.mark.parametrize('name', ['Sec-WebSocket-Key1', 'Sec-WebSocket-Key2'])
    def test_key_is_there(self, name: str) -> None:
        """[132] [133]"""
        without = request(**{name.lower().replace('-', '_'): None})
        assert refusal(without) == (400, f'Missing {name} header')

    @pytest.mark.parametrize('name', ['Sec-WebSocket-Key1', 'Sec-WebSocket-Key2'])
    @pytest.mark.parametrize(
        'key',
        [
            '',
            ' ',
            'a b',  # no digits
            '² ',
            '1234',  # no spaces
            '1234\t\xa0',
            '3  ',  # not divisible
            '12 345 6 7',
            '4294967296 ',  # more than 32 bits
            '10000000000 ',
            '9' * 9000 + ' ',
        ],
    )
    def test_key_hides_a_number(self, name: str, key: str) -> None:
        wrong = request(**{name.lower().replace('-', '_'): key})
        assert refusal(wrong) == (400, f'Invalid {name} header')

    def test_what_every_websocket_request_has(self) -> None:
        assert refusal(request(upgrade=None))[0] == 426
        assert refusal(request('POST'))[0] == 405
        assert refusal(request(host=None)) == (400, 'Missing Host header')
        assert refusal(request(connection='close')) == (400, 'Invalid Connection header')

    @given(st.dictionaries(st.sampled_from(['sec_websocket_key1', 'sec_websocket_key2']), st.text('0123456789 a²\xff')))
    def test_any_key_is_right_or_refused(self, headers: dict[str, str]) -> None:
        try:
            handshake = check_request(request(**headers))
        except HandshakeError as error:
            assert error.status == 400
        else:
            assert len(handshake.answer(NONCE)) == 16


class TestResponse:
    def test_lines_of_the_original(self) -> None:
        handshake = check_request(request(origin='http://o', sec_websocket_protocol='a ,b'))
        assert handshake.response_lines(False) == [
            'HTTP/1.1 101 Switching Protocols',
            'Upgrade: WebSocket',
            'Connection: Upgrade',
            'Sec-WebSocket-Location: ws://example.com:8080/chat?a=1',
            'Sec-WebSocket-Protocol: a ,b',
            'Sec-WebSocket-Origin: http://o',
        ]

    def test_no_protocol_and_no_origin(self) -> None:
        assert check_request(request()).response_lines(True)[3:] == [
            'Sec-WebSocket-Location: wss://example.com:8080/chat?a=1'
        ]

    @pytest.mark.parametrize(
        'host, proto, location',
        [
            ('outside', None, 'ws://outside/chat?a=1'),
            ('', 'http', 'ws://example.com:8080/chat?a=1'),
            ('outside', 'https', 'wss://outside/chat?a=1'),
            (None, 'HTTPS', 'ws://example.com:8080/chat?a=1'),
            (None, 'https, http', 'ws://example.com:8080/chat?a=1'),
        ],
    )
    def test_behind_a_proxy(self, host: Optional[str], proto: Optional[str], location: str) -> None:
        handshake = check_request(request(x_forwarded_host=host, x_forwarded_proto=proto))
        assert handshake.response_lines(False)[3] == f'Sec-WebSocket-Location: {location}'

    def test_lines_may_be_changed(self) -> None:
        handshake = check_request(request())
        handshake.response_lines(False).append('X: 1')
        assert 'X: 1' not in handshake.response_lines(False)

    @pytest.mark.parametrize('name', ['x_forwarded_host', 'origin', 'sec_websocket_protocol'])
    def test_nothing_can_be_smuggled_in(self, name: str) -> None:
        """No parser lets such a header through; and if one did, no head would be built."""
        lines = check_request(request(**{name: 'a\r\nEvil: 1'})).response_lines(False)
        with pytest.raises(ValueError, match='invalid character in header line'):
            build_head(lines[0], lines[1:])

    @given(
        st.sampled_from(['example.com', 'localhost:8080', '[::1]:80', '']),
        *[st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='\x7f'), min_size=1)] * 3,
        st.booleans(),
    )
    def test_any_head_comes_back_whole(self, host: str, forwarded: str, origin: str, protocol: str, tls: bool) -> None:
        given = request(host=host, x_forwarded_host=forwarded, origin=origin, sec_websocket_protocol=protocol)
        lines = check_request(given).response_lines(tls)
        response = ResponseParser().feed(build_head(lines[0], lines[1:]))
        assert response is not None
        assert response.statusCode == 101
        assert len(response.headers) == 5
        assert response.headers['sec-websocket-origin'] == origin
        assert response.headers['sec-websocket-protocol'] == protocol
        assert given.path in response.headers['sec-websocket-location']
