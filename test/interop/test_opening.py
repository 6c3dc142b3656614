"""Opening handshakes: what both ends learn from them, and how they fail."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Optional

import pytest
from interop.peers import AIOHTTP, WEBSOCKETS, WS_0, WS_8, Ends, Peer, call_us, called, calling, our_server
from support import Log

from ws import HandshakeError, WebSocket

pytestmark = pytest.mark.interop

Connect = Callable[..., AbstractContextManager[Ends]]


def only(*kinds: Any) -> Any:
    return pytest.mark.parametrize('peer', kinds, indirect=True, ids=str)


# -- headers -----------------------------------------------------------------------------------------------------------


def test_our_headers_arrive(peer: Peer) -> None:
    with calling(peer, headers={'X-Ours': 'one', 'Cookie': 'a=b; c="d"'}, origin='https://example.org') as (_, theirs):
        event, _, headers = theirs.next()
        assert event == 'open'
        assert headers['x-ours'] == 'one'
        assert headers['cookie'] == 'a=b; c="d"'
        assert headers['origin'] == 'https://example.org'
        assert headers['host'] == peer.url('').partition('://')[2]


def test_their_headers_arrive(peer: Peer) -> None:
    headers = {'X-Theirs': 'one', 'Cookie': 'a=b'}
    with called(peer, 'q=%C3%BC&r=1', headers=headers, origin='https://example.org') as (ours, theirs):
        assert theirs.next()[0] == 'open'
        request = ours.ws.upgradeReq
        assert request is not None
        assert request.url.endswith('?q=%C3%BC&r=1')
        assert request.headers['x-theirs'] == 'one'
        assert request.headers['cookie'] == 'a=b'
        assert request.headers['origin'] == 'https://example.org'


# -- sub-protocols -----------------------------------------------------------------------------------------------------


def test_they_choose_no_protocol_when_we_offer_none(peer: Peer) -> None:
    with calling(peer) as (ours, theirs):
        assert ours.next() == ('open',)
        assert theirs.next()[1] is None
        assert ours.ws.protocol is None


def test_they_choose_one_of_our_protocols(peer: Peer) -> None:
    with calling(peer, 'protocol=second', protocol='first, second') as (ours, theirs):
        assert ours.next() == ('open',)
        assert theirs.next()[1] == 'second'
        assert ours.ws.protocol == 'second'


REFUSALS = {
    '': 'server sent no subprotocol even though requested',
    'third': 'server responded with an invalid protocol',
}


@pytest.mark.parametrize('chosen', REFUSALS)
def test_they_refuse_our_protocols(peer: Peer, chosen: str) -> None:
    with calling(peer, f'protocol={chosen}', protocol='first, second') as (ours, _):
        event, error = ours.next()
        assert event == 'error'
        assert isinstance(error, HandshakeError)
        # aiohttp never sends a protocol that was not offered.
        assert str(error) == REFUSALS['' if peer.kind is AIOHTTP else chosen]
        assert ours.next() == ('close', 1006, '')


@only(WS_0, WEBSOCKETS)  # the others never do so
def test_they_choose_a_protocol_although_we_offer_none(peer: Peer) -> None:
    with calling(peer, 'protocol=first') as (ours, _):
        event, error = ours.next()
        assert (event, str(error)) == ('error', 'server sent a subprotocol even though none requested')
        assert ours.next() == ('close', 1006, '')


@pytest.mark.parametrize(('offered', 'chosen'), [(None, None), (['only'], 'only'), (['first', 'second'], 'first')])
def test_we_choose_among_their_protocols(peer: Peer, offered: Optional[list[str]], chosen: Optional[str]) -> None:
    options = {} if offered is None else {'protocols': offered}
    with called(peer, **options) as (ours, theirs):
        assert theirs.next()[:2] == ('open', chosen)
        assert ours.ws.protocol == chosen


# -- version 8 ---------------------------------------------------------------------------------------------------------


@only(WS_8, WS_0, AIOHTTP)
def test_they_speak_our_version_8(peer: Peer) -> None:
    with calling(peer, protocolVersion=8, origin='https://example.org') as (ours, theirs):
        assert ours.next() == ('open',)
        headers = theirs.next()[2]
        assert headers['sec-websocket-version'] == '8'
        assert headers['sec-websocket-origin'] == 'https://example.org'
        assert ours.ws.protocolVersion == 8
        ours.ws.send('eight')
        assert theirs.next() == ('message', 'eight')
        theirs.close(3008)
        assert ours.next() == ('close', 3008, '')


@only(WEBSOCKETS)
def test_they_refuse_our_version_8(peer: Peer) -> None:
    with calling(peer, protocolVersion=8) as (ours, _):
        event, error = ours.next()
        assert (event, str(error)) == ('error', 'unexpected server response (400)')
        assert ours.next() == ('close', 1006, '')


@only(WS_8, WS_0)  # whose key has 15 bytes then
def test_we_speak_their_version_8(peer: Peer) -> None:
    with called(peer, version=8, origin='https://example.org') as (ours, theirs):
        assert theirs.next()[0] == 'open'
        assert ours.ws.protocolVersion == 8
        assert ours.ws.upgradeReq is not None
        assert ours.ws.upgradeReq.headers['sec-websocket-origin'] == 'https://example.org'
        theirs.send('eight')
        assert ours.next() == ('message', 'eight')
        ours.ws.close(3008)
        assert ours.next() == ('close', 3008, '')


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_they_refuse_us(peer: Peer) -> None:
    with calling(peer, 'refuse') as (ours, _):
        event, error = ours.next()
        assert (event, str(error)) == ('error', 'unexpected server response (401)')
        assert isinstance(error, HandshakeError)
        assert error.status == 401
        assert ours.next() == ('close', 1006, '')
        assert ours.ws.readyState == WebSocket.CLOSED


def test_we_refuse_them(peer: Peer) -> None:
    with our_server(peer, path='/elsewhere') as wss:
        log = Log(wss, 'connection')
        event, message = call_us(peer, wss).next()
        assert event == 'error'
        assert '400' in message
        assert log.nothing(0)


# -- greetings ---------------------------------------------------------------------------------------------------------


# The peers in Node send it in the same packet as their answer.
@pytest.mark.parametrize('secure', [False, True], ids=['ws', 'wss'])
def test_they_greet(peer: Peer, secure: bool) -> None:
    with calling(peer, 'greeting=hello', secure=secure) as (ours, _):
        assert ours.next() == ('open',)
        assert ours.next() == ('message', 'hello')


@pytest.mark.parametrize('secure', [False, True], ids=['ws', 'wss'])
def test_we_greet(peer: Peer, secure: bool) -> None:
    with our_server(peer, secure=secure) as wss:
        wss.on('connection', lambda ws: ws.send('hello'))
        theirs = call_us(peer, wss)
        assert theirs.next()[0] == 'open'
        assert theirs.next() == ('message', 'hello')


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [0, 65536, 4 << 20])
def test_messages_over_tls(connect: Connect, size: int) -> None:
    message = bytes(range(256)) * (size // 256)
    with connect('echo', secure=True) as (ours, theirs):
        ours.ws.send('text')
        ours.ws.send(message)
        assert ours.next() == ('message', 'text')
        same = ours.next() == ('message', message)
        assert same
        ours.ws.close(3000, 'done')
        assert theirs.next() == ('close', 3000, 'done')
        assert ours.next()[0] == 'close'


def test_they_close_over_tls(connect: Connect) -> None:
    with connect(secure=True) as (ours, theirs):
        theirs.close(3000, 'done')
        assert ours.next() == ('close', 3000, 'done')


def test_they_vanish_over_tls(connect: Connect) -> None:
    with connect(secure=True) as (ours, theirs):
        theirs.vanish()
        assert ours.next() == ('close', 1006, '')


@pytest.mark.parametrize('options', [{'host': 'localhost'}, {'ca': None}], ids=['other name', 'unknown authority'])
def test_we_reject_their_certificate(peer: Peer, options: Any) -> None:
    with calling(peer, secure=True, **options) as (ours, _):
        event, error = ours.next()
        assert event == 'error'
        assert isinstance(error, ssl.SSLCertVerificationError)
        assert ours.next() == ('close', 1006, '')


def test_we_need_not_verify(peer: Peer) -> None:
    with calling(peer, secure=True, host='localhost', ca=None, rejectUnauthorized=False) as (ours, _):
        assert ours.next() == ('open',)


def test_they_reject_our_certificate(peer: Peer) -> None:
    with our_server(peer, secure=True) as wss:
        log = Log(wss, 'connection')
        assert call_us(peer, wss, host='localhost').next()[0] == 'error'
        assert log.nothing(0)
        assert call_us(peer, wss).next()[0] == 'open'  # it goes on
