"""Tests W014 to W035 of ws 8's suite: the attributes of a WebSocket, and what they are from its making to its end.

Where ws 8 asks whether an attribute is enumerable, it is asked here whether ``dir()``, and with it help and editors,
show it; where it may not be set, whether setting it raises. What 0.4.31 has as a plain attribute is one here, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from compatibility.peers import silence
from compatibility.ws8.clients import pair
from support import TIMEOUT, Log, Waiter, client, end, server, url_of

from ws import WebSocket


@pytest.fixture
def connecting() -> Iterator[WebSocket]:
    """A client that is CONNECTING for ever."""
    with silence() as url:
        ws = WebSocket(url)
        yield ws
        end(ws)


def is_read_only(ws: WebSocket, name: str) -> bool:
    with pytest.raises(AttributeError):
        setattr(ws, name, getattr(ws, name))
    return name in dir(ws)


# -- binaryType --------------------------------------------------------------------------------------------------------


def test_w014_the_binary_type_is_to_be_read_and_set(connecting: WebSocket) -> None:
    assert 'binaryType' in dir(connecting)
    connecting.binaryType = connecting.binaryType


# -- bufferedAmount ----------------------------------------------------------------------------------------------------


def test_w017_buffered_amount_is_to_be_read(connecting: WebSocket) -> None:
    assert is_read_only(connecting, 'bufferedAmount')


def test_w018_buffered_amount_is_0_at_first(connecting: WebSocket) -> None:
    assert connecting.bufferedAmount == 0


def test_w019_buffered_amount_is_0_in_open() -> None:
    with server() as wss:
        wss.on('connection', lambda ws: ws.close())
        ws = client(wss)
        seen = Waiter()
        ws.onopen = lambda: seen(ws.bufferedAmount)
        assert seen.get() == (0,)
        Log(ws).until('close')


def test_w020_buffered_amount_counts_what_has_still_to_be_compressed() -> None:
    """In ws 8 that is done by other threads; here by the loop, so there is only something to count elsewhere."""
    with pair({'perMessageDeflate': True}, perMessageDeflate={'threshold': 0}) as (ws, _):
        release = threading.Event()
        ws._loop.call(lambda: release.wait(TIMEOUT))
        told = Waiter()
        ws.send('foo')
        assert ws.bufferedAmount == 3
        ws.send('bar', lambda error: told(error, ws.bufferedAmount))
        assert ws.bufferedAmount == 6
        release.set()
        assert told.get() == (None, 0)


def test_w021_buffered_amount_counts_what_the_system_does_not_take() -> None:
    with server() as wss:
        seen = Waiter()

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            while ws.bufferedAmount == 0:
                ws.send(b'=' * 16384)
            seen(ws.bufferedAmount, ws._socket.bufferSize)  # type: ignore[union-attr]
            ws.close()

        log = Log(client(wss), 'message', 'close')
        amount, queued = seen.get()
        assert amount == queued > 0
        log.until('close')


# -- extensions --------------------------------------------------------------------------------------------------------


def test_w022_extensions_are_to_be_read(connecting: WebSocket) -> None:
    assert is_read_only(connecting, 'extensions')


def extensions(**options: Any) -> tuple[str, str, str]:
    """Those of a client that is CONNECTING, and of both ends of its connection."""
    with server(**options) as wss:
        opened, connected = Waiter(), Waiter()
        ws = client(wss)
        at_first = ws.extensions
        ws.on('open', lambda: opened(ws.extensions))
        wss.on('connection', lambda peer: (connected(peer.extensions), peer.close()))
        found = at_first, opened.get()[0], connected.get()[0]
        Log(ws).until('close')
        return found


def test_w023_no_extension() -> None:
    assert extensions() == ('', '', '')


def test_w024_an_extension() -> None:
    assert extensions(perMessageDeflate=True) == ('', 'permessage-deflate', 'permessage-deflate')


# -- isPaused ----------------------------------------------------------------------------------------------------------


def test_w025_whether_it_is_paused_is_to_be_read(connecting: WebSocket) -> None:
    assert is_read_only(connecting, 'isPaused')


# -- protocol ----------------------------------------------------------------------------------------------------------


def test_w027_the_protocol_is_to_be_seen(connecting: WebSocket) -> None:
    assert 'protocol' in dir(connecting)


def test_w028_the_protocol_that_the_server_has_chosen() -> None:
    with server() as wss:
        opened, connected = Waiter(), Waiter()
        wss.on('connection', lambda peer: connected(peer.protocol))
        ws = WebSocket(url_of(wss), 'foo')
        ws.on('open', lambda: opened(ws.protocol))
        assert opened.get() == connected.get() == ('foo',)
        end(ws)


# -- readyState --------------------------------------------------------------------------------------------------------


def test_w029_the_state_is_to_be_seen(connecting: WebSocket) -> None:
    assert 'readyState' in dir(connecting)


def test_w030_the_state_at_first(connecting: WebSocket) -> None:
    assert connecting.readyState == WebSocket.CONNECTING


def test_w031_the_state_in_open() -> None:
    with server() as wss:
        wss.on('connection', lambda: None)
        ws = client(wss)
        seen = Waiter()
        ws.on('open', lambda: (seen(ws.readyState), ws.close()))
        closed = Log(ws, 'close')
        assert seen.get() == (WebSocket.OPEN,)
        closed.get()


def test_w032_the_state_in_close_after_close() -> None:
    with pair() as (ws, _):
        seen = Waiter()
        ws.on('close', lambda: seen(ws.readyState))
        ws.close(1001)
        assert seen.get() == (WebSocket.CLOSED,)


def test_w033_the_state_in_close_after_terminate() -> None:
    with pair() as (ws, _):
        seen = Waiter()
        ws.on('close', lambda: seen(ws.readyState))
        ws.terminate()
        assert seen.get() == (WebSocket.CLOSED,)


# -- url ---------------------------------------------------------------------------------------------------------------


def test_w034_the_url_is_to_be_seen(connecting: WebSocket) -> None:
    assert 'url' in dir(connecting)


def test_w035_the_url() -> None:
    """As it was given, which a test of 0.4.31 asks for; ws 8 normalises it, and has ``ws:`` for ``http:``."""
    for scheme in 'ws', 'wss', 'http', 'https':
        with silence() as url:
            address = url.replace('ws', scheme)
            ws = WebSocket(address)
            assert ws.url == address
            end(ws)
