"""Tests W100 to W114 of ws 8's suite: send.

Where those call ``close`` in the line after ``send`` and wait for the answer, it is called here when the answer is
there: what comes after one's own ``close`` is not emitted, see W171.
"""

from __future__ import annotations

import array
import io
from typing import Any

import pytest
from compatibility.peers import silence
from compatibility.ws8.clients import pair
from compatibility.ws8.too_late import callbacks_know_that_it_is_too_late, counts_what_comes_too_late
from files import Blocked
from support import Log, Waiter, client, end, on_loop, server

from ws import NotOpenError, ProtocolError, WebSocket


def test_w100_send_before_open() -> None:
    """ws 8 raises even if there is a callback; here that is told, which a test of 0.4.31 asks for."""
    with silence() as url:
        ws = WebSocket(url)
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            ws.send('hi')
        told = Waiter()
        ws.send('hi', told)
        assert isinstance(told.get()[0], NotOpenError)
        end(ws)


def test_w101_what_is_sent_too_late_is_counted() -> None:
    counts_what_comes_too_late('send')


def test_w102_the_callback_of_what_is_sent_too_late() -> None:
    callbacks_know_that_it_is_too_late('send', 'hi')


# -- data --------------------------------------------------------------------------------------------------------------


def echo(*messages: Any) -> list[tuple[Any, bool]]:
    """What comes back of these messages, sent in a listener one behind the other, and whether it is binary data."""
    with server() as wss:
        wss.on('connection', lambda ws: ws.on('message', lambda data, flags: ws.send(data, {'binary': flags})))
        ws = client(wss)
        log = Log(ws)
        ws.on('open', lambda: [ws.send(message) for message in messages])
        log.until('open')
        events = [log.get() for _ in messages]
        end(ws)
        return [(data, flags.binary) for _, data, flags in events]


NUMBERS = array.array('f', (number / 5 for number in range(1024 * 1024)))


def test_w103_a_big_binary_message() -> None:
    assert echo(NUMBERS) == [(NUMBERS.tobytes(), True)]


def test_w104_text() -> None:
    assert echo('hi') == [('hi', False)]


def test_w106_a_number_is_sent_as_text() -> None:
    assert echo(0) == [('0', False)]


def test_w107_a_part_of_an_array() -> None:
    assert echo(memoryview(NUMBERS)[2:5]) == [(NUMBERS[2:5].tobytes(), True)]


def test_w108_an_array() -> None:
    assert echo(NUMBERS[:5]) == [(NUMBERS[:5].tobytes(), True)]


def test_w109_bytes() -> None:
    assert echo(b'foobar') == [(b'foobar', True)]


def test_w110_files() -> None:
    """In the place of Blobs. ``close`` would not wait for them, as in 0.4.31."""
    assert echo(io.BytesIO(b'foo'), io.BytesIO(b'bar')) == [(b'foo', True), (b'bar', True)]


def test_w113_no_data() -> None:
    """An empty text, which a test of 0.4.31 asks for; in ws 8 it is empty binary data."""
    assert echo(None) == [('', False)]
    with pair() as (ws, peer):
        log = Log(peer)
        ws.send()
        kind, data, flags = log.get()
        assert (kind, data, flags.binary) == ('message', '', False)


# -- callbacks and options ---------------------------------------------------------------------------------------------


def test_w111_the_callback_when_all_is_written() -> None:
    with pair() as (ws, _):
        told = Waiter()
        ws.send('hi', told)
        assert told.get() == (None,)


def test_w112_the_callbacks_when_the_connection_is_terminated() -> None:
    with pair() as (ws, peer):
        closed, told = Log(peer, 'message', 'close'), Waiter()
        file = Blocked()

        def sending(name: str) -> Any:
            return lambda error: told(name, type(error), ws.readyState)

        def send_and_leave() -> None:
            ws.send(file, sending('file'))
            ws.send('bar')
            ws.send('baz', sending('baz'))
            ws.terminate()

        on_loop(ws, send_and_leave)
        assert told.get() == ('file', NotOpenError, ws.CLOSING)
        assert told.get() == ('baz', NotOpenError, ws.CLOSING)
        assert closed.get() == ('close', 1006, '')
        file.release.set()
        assert told.nothing(0.05)


def test_w114_without_a_mask() -> None:
    """A server takes nothing without one."""
    with pair() as (ws, peer):
        log, peer_log = Log(ws), Log(peer)
        ws.send('hi', {'mask': False})
        kind, error, code = peer_log.get()
        assert (kind, type(error), code) == ('error', ProtocolError, 1002)
        assert str(error) == 'Invalid WebSocket frame: MASK must be set'
        assert peer_log.get() == ('close', 1006, '')
        assert log.get() == ('close', 1002, '')
