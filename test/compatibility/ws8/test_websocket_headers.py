"""Tests W157 to W164 of ws 8's suite: the header lines of a client's request.

W158 is in the test of the option ``auth``, W165 in that of ``finishRequest``.
"""

from __future__ import annotations

from base64 import b64encode

import pytest
from compatibility.ws8.clients import asked


def basic(userinfo: str) -> str:
    return 'Basic ' + b64encode(userinfo.encode()).decode()


def test_w157_user_and_password_of_the_address() -> None:
    request, _ = asked('ws://test:testpass@localhost')
    assert request.headers['authorization'] == basic('test:testpass')


@pytest.mark.filterwarnings('ignore:WebSocket has no option')
def test_w159_user_and_password_of_the_address_are_preferred() -> None:
    request, _ = asked('ws://baz:qux@localhost', auth='foo:bar')
    assert request.headers['authorization'] == basic('baz:qux')


def test_w160_other_headers() -> None:
    request, _ = asked('ws://localhost', {'headers': {'Cookie': 'foo=bar'}})
    assert request.headers['cookie'] == 'foo=bar'


def test_w161_the_usual_port_does_not_stand_in_the_host_header() -> None:
    for address, host in (
        ('wss://localhost:8443', 'localhost:8443'),
        ('wss://localhost:443', 'localhost'),
        ('ws://localhost:88', 'localhost:88'),
        ('ws://localhost:80', 'localhost'),
    ):
        assert asked(address)[0].headers['host'] == host


def test_w162_the_origin_header_by_default() -> None:
    """Host and port, which tests of 0.4.31 ask for. In ws 8 there is none; here, if it is taken out."""
    assert asked('ws://localhost:8080')[0].headers['origin'] == 'localhost:8080'
    assert 'origin' not in asked('ws://localhost:8080', headers={'Origin': []})[0].headers


def test_w163_another_origin() -> None:
    request, _ = asked('ws://localhost', origin='https://example.com:8000')
    assert request.headers['origin'] == 'https://example.com:8000'


def test_w164_another_origin_in_version_8() -> None:
    request, _ = asked('ws://localhost', origin='https://example.com:8000', protocolVersion=8)
    assert request.headers['sec-websocket-origin'] == 'https://example.com:8000'
