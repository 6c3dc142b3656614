"""Tests W001 to W013 of ws 8's suite: the constructor of WebSocket, its options, and the states."""

from __future__ import annotations

import pytest
from compatibility.peers import silence
from compatibility.ws8.clients import asked, deflated, told
from support import Log, end

from ws import ProtocolError, WebSocket
from ws.protocol.frames import build_frame


def test_w001_what_is_no_url_of_a_websocket_raises() -> None:
    """No scheme, another scheme, no path of a UNIX socket, a fragment; the texts begin as those of 0.4.31."""
    for address in 'foo', 'bad-scheme://websocket-echo.com', 'ws+unix:', 'wss://websocket-echo.com#foo':
        with pytest.raises(ValueError, match=r'^invalid url'):
            WebSocket(address)


def test_w002_a_sub_protocol_that_is_none_or_there_twice_raises() -> None:
    """``None`` is what is not given, as there ``undefined``: W006."""
    for protocols in '', 'a,b', ['a', 'a']:
        with pytest.raises(ValueError, match=r'^An invalid or duplicated subprotocol was specified'):
            WebSocket('ws://localhost', protocols)


def test_w004_http_is_a_scheme() -> None:
    _request, where = asked('http://localhost')
    assert (where.host, where.port, where.secure) == ('localhost', 80, False)


def test_w005_https_is_a_scheme() -> None:
    _request, where = asked('https://localhost')
    assert (where.host, where.port, where.secure) == ('localhost', 443, True)


def test_w006_options_as_the_third_argument() -> None:
    for protocols in None, []:
        request, _where = asked('ws://localhost', protocols, {'origin': 'here'})
        assert request.headers['origin'] == 'here'
        assert 'sec-websocket-protocol' not in request.headers


def fragments(number: int) -> bytes:
    return build_frame(1, b'', False) + build_frame(0, b'', False) * (number - 2) + build_frame(0, b'')


def compressed(size: int) -> bytes:
    return build_frame(0x42, deflated(bytes(size)))


def test_w007_the_limits_of_what_is_received() -> None:
    """Seen by what they do. ``maxBufferedChunks`` has no effect: chunks take no memory of their own here."""
    for make, limit, code in (fragments, 512, 1008), (compressed, 20480, 1009):
        with told(make(limit), make(limit + 1), deflate=True, maxFragments=512, maxPayload=20480) as ws:
            log = Log(ws, 'message', 'error', 'close')
            assert log.get()[0] == 'message'
            kind, error, close_code = log.get()
            assert (kind, type(error), close_code) == ('error', ProtocolError, code)
            log.until('close')


def test_w008_a_version_that_is_not_spoken_raises() -> None:
    with pytest.raises(ValueError, match=r'^unsupported protocol version$'):
        WebSocket('ws://localhost', {'protocolVersion': 1000})


def test_w011_close_timeout() -> None:
    with told(closeTimeout=50) as ws:
        Log(ws, 'open').get()
        assert end(ws, 'close') == (1006, '')


STATES = {'CONNECTING': 0, 'OPEN': 1, 'CLOSING': 2, 'CLOSED': 3}


def test_w012_the_states_are_attributes_of_the_class() -> None:
    assert STATES.keys() <= set(dir(WebSocket))
    assert {name: getattr(WebSocket, name) for name in STATES} == STATES


def test_w013_the_states_are_attributes_of_every_object() -> None:
    with silence() as url:
        ws = WebSocket(url)
        assert STATES.keys() <= set(dir(ws))
        assert {name: getattr(ws, name) for name in STATES} == STATES
        end(ws)
