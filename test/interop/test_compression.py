"""Compressed messages arrive as they were sent, whoever sent them and whatever was agreed upon."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from interop.peers import WEBSOCKETS, WS_8, Ends, Ours, Peer, call_us, calling, our_server
from support import Waiter

pytestmark = pytest.mark.interop
with_both = pytest.mark.parametrize('peer', [WS_8, WEBSOCKETS], indirect=True, ids=str)

TEXT = json.dumps([{'number': number, 'name': 'Grüße, 世界 🎉'} for number in range(300)], ensure_ascii=False)
NOISE = random.Random(7692).randbytes(70_000)
MESSAGES: list[Any] = [TEXT, '', TEXT, b'', 'ü', NOISE, TEXT.encode(), NOISE, 'x' * 1_000_000, TEXT]

SETTINGS: list[dict[str, Any]] = [
    {},
    {'serverNoContextTakeover': True},
    {'clientNoContextTakeover': True},
    {'serverNoContextTakeover': True, 'clientNoContextTakeover': True, 'threshold': 0},
    {'serverMaxWindowBits': 9},
    {'clientMaxWindowBits': 9},
    {'serverMaxWindowBits': 10, 'clientMaxWindowBits': 12, 'clientNoContextTakeover': True},
    {'serverMaxWindowBits': 8},
    {'clientMaxWindowBits': 8},
    {'clientMaxWindowBits': False},
]


@contextlib.contextmanager
def connection(role: str, peer: Peer, ours: dict[str, Any], theirs: dict[str, Any], query: str = '') -> Iterator[Ends]:
    """A connection between us, in that `role`, and the peer, each with options of its own."""
    if role == 'client':
        if peer.kind is WS_8:
            query += f'&deflate={quote(json.dumps(theirs))}'
        with calling(peer, query, perMessageDeflate=ours) as ends:
            assert ends.ours.next() == ('open',)
            assert ends.theirs.next()[0] == 'open'
            yield ends
        return
    with our_server(peer, perMessageDeflate=ours) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(Ours(ws)))
        their_end = call_us(peer, wss, query, deflate=theirs)
        [our_end] = connected.get()
        assert their_end.next()[0] == 'open'
        yield Ends(our_end, their_end)


@pytest.fixture(params=['client', 'server'], ids=['our client', 'our server'])
def role(request: pytest.FixtureRequest) -> Any:
    return request.param


#: Who may be set to what: `websockets` has no window of 8 bits, and its server no options.
AGREEMENTS = [
    (peer, role, whose, settings)
    for peer in (WS_8, WEBSOCKETS)
    for role in ('client', 'server')
    for whose in ('ours', 'theirs')
    for settings in SETTINGS
    if peer is WS_8 or (8 not in settings.values() and (role, whose) != ('client', 'theirs'))
]


@pytest.mark.parametrize('peer, role, whose, settings', AGREEMENTS, indirect=['peer', 'role'], ids=str)
def test_both_ways(role: str, peer: Peer, settings: dict[str, Any], whose: str) -> None:
    ours, theirs = (settings, {}) if whose == 'ours' else ({}, settings)
    with connection(role, peer, ours, theirs) as (our_end, their_end):
        assert our_end.ws.extensions == 'permessage-deflate'
        for message in MESSAGES:
            our_end.ws.send(message)
            their_end.send(message)
        for message in MESSAGES:
            for end in (their_end, our_end):
                event, received = end.next()
                same = (event, received) == ('message', message)  # apart: pytest would print both
                assert same, f'{len(message)} became {event} {len(received)}'
        size = sum(len(message.encode() if isinstance(message, str) else message) for message in MESSAGES)
        assert our_end.ws.bytesReceived < size / 4


@with_both
def test_what_is_not_to_be_compressed(role: str, peer: Peer) -> None:
    with connection(role, peer, {}, {}) as (our_end, their_end):
        for compress in (True, False, True, False):
            our_end.ws.send(TEXT, {'compress': compress})
        for _ in range(4):
            assert their_end.next() == ('message', TEXT)


def supply(end: Ours, pieces: list[str]) -> None:
    waiting = list(pieces)
    end.ws.stream(lambda error, send: error or send(waiting.pop(0), not waiting))


@with_both
@pytest.mark.parametrize('no_context', [False, True], ids=['with context', 'without context'])
def test_fragments(role: str, peer: Peer, no_context: bool) -> None:
    settings = {'serverNoContextTakeover': no_context, 'clientNoContextTakeover': no_context}
    pieces = ['ö', 'ne ' * 1000, TEXT, 'x']
    with connection(role, peer, settings, {}) as (our_end, their_end):
        for _ in range(2):
            their_end.send_fragments(pieces, False)
            assert our_end.next() == ('message', ''.join(pieces))

        for _ in range(2):
            supply(our_end, pieces)
            assert their_end.next() == ('message', ''.join(pieces))
            our_end.ws.send(TEXT)
            assert their_end.next() == ('message', TEXT)
