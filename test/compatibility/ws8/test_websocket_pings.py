"""Tests W081 to W099 of ws 8's suite: pause and resume, ping and pong."""

from __future__ import annotations

from typing import Any

import pytest
from compatibility.peers import silence
from compatibility.ws8.clients import pair
from compatibility.ws8.too_late import callbacks_know_that_it_is_too_late, counts_what_comes_too_late
from support import Log, Waiter, end, on_loop

from ws import NotOpenError, WebSocket

# -- pause and resume --------------------------------------------------------------------------------------------------


def raises_before_open_and_nothing_after_the_end(method: str) -> None:
    with silence() as url:
        ws = WebSocket(url)
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            getattr(ws, method)()
        end(ws)
        assert ws.readyState == ws.CLOSED
        getattr(ws, method)()


def test_w081_pause_when_it_is_not_open() -> None:
    """Before `open` ws 8 does nothing, and goes on reading; here it raises, as in 0.4.31."""
    raises_before_open_and_nothing_after_the_end('pause')


def test_w082_pause_stops_reading() -> None:
    with pair() as (ws, peer):
        log = Log(peer)
        on_loop(peer, peer.pause)
        before = peer.bytesReceived
        ws.send('hi')
        assert log.nothing()
        assert peer.bytesReceived == before
        peer.terminate()
        assert log.get() == ('close', 1006, '')


def test_w098_resume_when_it_is_not_open() -> None:
    """As `pause`, W081."""
    raises_before_open_and_nothing_after_the_end('resume')


def test_w099_resume_goes_on_reading() -> None:
    with pair() as (ws, peer):
        log = Log(peer)
        on_loop(peer, peer.pause)
        ws.send('hi')
        assert log.nothing(0.05)
        peer.resume()
        assert log.get()[:2] == ('message', 'hi')


# -- ping and pong, not open -------------------------------------------------------------------------------------------


def raises_before_open(method: str, *data: Any) -> None:
    """ws 8 raises even if there is a callback; here that is told, as 0.4.31 does it for ``send``."""
    with silence() as url:
        ws = WebSocket(url)
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            getattr(ws, method)(*data)
        told = Waiter()
        getattr(ws, method)(*data, told)
        assert isinstance(told.get()[0], NotOpenError)
        assert ws.bufferedAmount == 0
        end(ws)


def test_w083_a_ping_before_open() -> None:
    raises_before_open('ping')


def test_w090_a_pong_before_open() -> None:
    raises_before_open('pong')


def test_w084_pings_that_come_too_late_are_counted() -> None:
    counts_what_comes_too_late('ping')


def test_w091_pongs_that_come_too_late_are_counted() -> None:
    counts_what_comes_too_late('pong')


def test_w085_the_callback_of_a_ping_that_comes_too_late() -> None:
    callbacks_know_that_it_is_too_late('ping')


def test_w092_the_callback_of_a_pong_that_comes_too_late() -> None:
    callbacks_know_that_it_is_too_late('pong')


# -- ping and pong -----------------------------------------------------------------------------------------------------


def sent_twice(method: str, first: tuple[Any, ...], second: tuple[Any, ...]) -> list[bytes]:
    """What the peer gets if the second is sent in the callback of the first, and then `close` is called."""
    with pair() as (ws, peer):
        log = Log(peer)

        def again(error: Any) -> None:
            getattr(ws, method)(*second)
            ws.close()

        getattr(ws, method)(*first, again)
        *events, close = log.until('close')
        assert close[0] == 'close'
        assert {event[0] for event in events} == {method}
        return [event[1] for event in events]


def test_w086_pings_without_data() -> None:
    assert sent_twice('ping', (), ()) == [b'', b'']


def test_w087_pings_with_data() -> None:
    assert sent_twice('ping', ('hi',), ('hi', True)) == [b'hi', b'hi']


def test_w088_a_number_as_data_of_a_ping() -> None:
    assert sent_twice('ping', (0,), (0,)) == [b'0', b'0']


def raises_for_much_data(method: str) -> None:
    with pair() as (ws, _):
        with pytest.raises(ValueError, match=r'^The data size must not be greater than 125 bytes$'):
            getattr(ws, method)(bytes(126))
        assert ws.readyState == ws.OPEN


def test_w089_too_much_data_for_a_ping() -> None:
    raises_for_much_data('ping')


def test_w093_pongs_without_data() -> None:
    assert sent_twice('pong', (), ()) == [b'', b'']


def test_w094_pongs_with_data() -> None:
    assert sent_twice('pong', ('hi',), ('hi', True)) == [b'hi', b'hi']


def test_w095_a_number_as_data_of_a_pong() -> None:
    assert sent_twice('pong', (0,), (0,)) == [b'0', b'0']


def test_w096_too_much_data_for_a_pong() -> None:
    raises_for_much_data('pong')


def test_w097_a_ping_is_answered() -> None:
    with pair() as (ws, peer):
        log, peer_log = Log(ws), Log(peer)
        ws.ping(b'hi')
        assert peer_log.get()[:2] == ('ping', b'hi')
        assert log.get()[:2] == ('pong', b'hi')
