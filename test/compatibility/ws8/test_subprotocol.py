"""Tests U001 to U008 of ws 8's suite: the header Sec-WebSocket-Protocol, as a server reads it in a request.

What raises there, with a text that only the program sees, is a refusal here, with the text that the client gets from
both.
"""

from __future__ import annotations

import pytest
from support import HANDSHAKE

from ws import HandshakeError
from ws.protocol.handshake import check_request
from ws.protocol.http import RequestParser


def offered(header: str) -> list[str]:
    """The sub-protocols that a request with this header offers."""
    head = (HANDSHAKE % b'/')[:-2] + f'Sec-WebSocket-Protocol:{header}\r\n\r\n'.encode()
    request = RequestParser().feed(head)
    assert request is not None
    return check_request(request).protocols


def refuses(*headers: str) -> bool:
    """Whether a server refuses each of them."""
    for header in headers:
        with pytest.raises(HandshakeError, match=r'^Invalid Sec-WebSocket-Protocol header$') as caught:
            offered(header)
        assert caught.value.status == 400
    return True


def test_u001_one() -> None:
    assert offered('foo') == ['foo']


def test_u002_several() -> None:
    assert offered('foo,bar,baz') == ['foo', 'bar', 'baz']


def test_u003_blanks() -> None:
    assert offered('foo , bar\t, \tbaz\t ,  qux\t\t,norf') == ['foo', 'bar', 'baz', 'qux', 'norf']


def test_u004_an_empty_name() -> None:
    assert refuses(',', 'foo,,', 'foo,  ,')


def test_u005_a_name_that_comes_twice() -> None:
    assert refuses('foo,foo,bar', 'foo,bar,foo')


def test_u006_a_blank_in_the_wrong_place() -> None:
    """One before the first name is none of the header's value: see X008."""
    assert refuses('f oo')
    assert offered(' foo') == ['foo']


def test_u007_a_character_that_no_token_has() -> None:
    assert refuses('f@o', r'f\oo', 'foo,b@r')


def test_u008_an_early_end() -> None:
    """One blank behind the last name is none of the value, either."""
    assert refuses('foo, ', 'foo,bar,')
    assert offered('foo ') == ['foo']
    assert offered('foo,bar ') == ['foo', 'bar']
