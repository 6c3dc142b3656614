"""Pings are answered, and connections end as those who end them say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from interop.peers import AIOHTTP, WEBSOCKETS, WS_0, WS_8, Ends, Peer

from ws import WebSocket

pytestmark = pytest.mark.interop

Connect = Callable[..., AbstractContextManager[Ends]]

PAYLOADS = [b'', b'payload', b'\x00\xff', b'x' * 125]

#: Arguments of close(): with and without a reason, the longest one (RFC 6455 section 5.5), one outside ASCII.
CLOSINGS = [(1000,), (1000, 'done'), (1001, 'går bort 🚪'), (3000, 'x' * 123), (4999, 'the last code')]
CLOSING_IDS = ['1000 alone', '1000', '1001', '3000', '4999']


def test_pings(connect: Connect, peer: Peer) -> None:
    with connect() as (ours, theirs):
        for payload in PAYLOADS:
            ours.ws.ping(payload)
            assert ours.next() == ('pong', payload)
            if peer.kind is not WEBSOCKETS:  # it answers, but tells nobody
                assert theirs.next() == ('ping', payload)
            theirs.ping(payload)
            assert ours.next() == ('ping', payload)
            assert theirs.next() == ('pong', payload)


def test_pongs_nobody_asked_for(connect: Connect, peer: Peer) -> None:
    with connect() as (ours, theirs):
        for payload in PAYLOADS:
            theirs.pong(payload)
            assert ours.next() == ('pong', payload)
            ours.ws.pong(payload)
            ours.ws.send('after it')
            if peer.kind is not WEBSOCKETS:  # as above
                assert theirs.next() == ('pong', payload)
            assert theirs.next() == ('message', 'after it')


@pytest.mark.parametrize('closing', CLOSINGS, ids=CLOSING_IDS)
def test_they_close(connect: Connect, peer: Peer, closing: tuple[Any, ...]) -> None:
    code, reason = (*closing, '')[:2]
    with connect() as (ours, theirs):
        theirs.close(*closing)
        assert ours.next() == ('close', code, reason)
        assert ours.ws.readyState == WebSocket.CLOSED
        # Our answer echoes both. 0.4.31 never looks at it and reports its own; aiohttp's server does not wait for it.
        if peer.kind is not AIOHTTP:
            assert theirs.next() == ('close', code, reason)


@pytest.mark.parametrize('closing', CLOSINGS, ids=CLOSING_IDS)
def test_we_close(connect: Connect, peer: Peer, closing: tuple[Any, ...]) -> None:
    code, reason = (*closing, '')[:2]
    with connect() as (ours, theirs):
        ours.ws.close(*closing)
        assert theirs.next() == ('close', code, reason)
        # aiohttp answers any code with 1000, and what the peer says is what counts.
        assert ours.next() == ('close', *((1000, '') if peer.kind is AIOHTTP else (code, reason)))


def test_they_close_without_a_code(connect: Connect, peer: Peer) -> None:
    with connect() as (ours, theirs):
        theirs.close()
        # Only ws 8 sends a frame without a code then, the others 1000. Our answer is the same.
        code = 1005 if peer.kind is WS_8 else 1000
        assert ours.next() == ('close', code, '')
        assert theirs.next() == ('close', code, '')


def test_we_close_without_a_code(connect: Connect) -> None:
    with connect() as (ours, theirs):
        ours.ws.close()
        assert theirs.next() == ('close', 1000, '')
        assert ours.next() == ('close', 1000, '')


def test_both_close_at_once(connect: Connect) -> None:
    with connect() as (ours, theirs):
        theirs.close(3001)
        ours.ws.close(3002)
        event, code, _ = ours.next()
        assert event == 'close'
        assert code in (3001, 3002, 1000)  # their own, or their answer to ours, which is 1000 from aiohttp
        assert theirs.next()[0] == 'close'


@pytest.mark.parametrize('size', [5, 1 << 20])
def test_what_was_sent_before_the_close_arrives(connect: Connect, size: int) -> None:
    message = 'words' * (size // 5)
    with connect() as (ours, theirs):
        ours.ws.send(message)
        ours.ws.close()
        assert theirs.next() == ('message', message)
    with connect() as (ours, theirs):
        theirs.send(message)
        theirs.close(3000)
        assert ours.next() == ('message', message)
        assert ours.next() == ('close', 3000, '')


def test_they_vanish(connect: Connect) -> None:
    with connect() as (ours, theirs):
        theirs.vanish()
        assert ours.next() == ('close', 1006, '')


def test_we_vanish(connect: Connect, peer: Peer) -> None:
    with connect() as (ours, theirs):
        ours.ws.terminate()
        assert ours.next() == ('close', 1006, '')
        assert theirs.next() == ('close', 1000 if peer.kind is WS_0 else 1006, '')  # 0.4.31 knows no 1006
