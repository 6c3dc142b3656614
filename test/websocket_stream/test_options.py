"""A WebSocket as a stream: its arguments."""

from __future__ import annotations

import io
from typing import Any

import pytest
from support import open_pair
from websocket_stream.pairs import stream_and_peer

from ws import createWebSocketStream


@pytest.mark.parametrize(
    ('options', 'kind', 'text'),
    [
        ({'readableHighWaterMark': -1}, ValueError, 'readableHighWaterMark must not be negative'),
        ({'writableHighWaterMark': 1.5}, TypeError, 'writableHighWaterMark must be an int'),
        ({'highWaterMark': '5'}, TypeError, 'highWaterMark must be an int'),
        ({'timeout': -1}, ValueError, 'timeout must be a number of milliseconds'),
        ({'encoding': 5}, TypeError, 'encoding must be a str'),
        ({'encoding': 'nonsense'}, LookupError, 'nonsense'),
        ({'encoding': 'hex'}, LookupError, 'not a text encoding'),
        ({'encoding': 'latin-1', 'decodeStrings': False}, ValueError, 'text messages are UTF-8, not latin-1'),
        ({'encoding': 'utf-8', 'readableObjectMode': True}, ValueError, 'exclude each other'),
        ({'decodeStrings': 1}, TypeError, 'decodeStrings must be a bool'),
        ({'readableObjectMode': 1}, TypeError, 'readableObjectMode must be a bool'),
        (5, TypeError, 'the options of createWebSocketStream must be a dict'),
    ],
)
def test_wrong_options(options: Any, kind: type[Exception], text: str) -> None:
    with open_pair() as (ws, _):
        with pytest.raises(kind, match=text):
            createWebSocketStream(ws, options)
        assert ws.eventNames() == []


def test_something_else_than_a_websocket() -> None:
    with pytest.raises(TypeError, match='ws must be a WebSocket, not str'):
        createWebSocketStream('ws://localhost')  # type: ignore[call-overload]


def test_an_unknown_option_gets_a_warning_about_that_line() -> None:
    with open_pair() as (ws, _):
        told = "createWebSocketStream has no option 'highWatermark'.*'highWaterMark'"
        with pytest.warns(UserWarning, match=told) as caught:
            createWebSocketStream(ws, {'highWatermark': 5})
        assert caught[0].filename == __file__


def test_the_timeout_is_looked_at_when_it_is_set() -> None:
    with stream_and_peer(timeout=20) as (stream, _):
        assert stream.timeout == 20
        with pytest.raises(TypeError, match='timeout must be a number of milliseconds'):
            stream.timeout = None  # type: ignore[assignment]
        assert stream.timeout == 20


def test_what_no_stream_over_a_network_has() -> None:
    with stream_and_peer() as (stream, _):
        for call in (stream.fileno, stream.tell, stream.truncate, lambda: stream.seek(0)):
            with pytest.raises(io.UnsupportedOperation):
                call()
        assert not stream.seekable()
        assert not stream.isatty()
        assert repr(stream) == f'<WebSocketStream of {stream._ws!r}>'
