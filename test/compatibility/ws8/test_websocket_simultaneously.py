"""Tests W181 to W184 of ws 8's suite: connections that end at both ends at once, or in the middle of much data."""

from __future__ import annotations

import socket
from typing import Any

from compatibility.ws8.clients import WRONG, pair
from support import Log, frames, on_loop, raw_pair

from ws import ProtocolError
from ws.protocol.frames import build_frame


def events_of_both(close: bool) -> list[list[Any]]:
    """What happens at either end if both send what is wrong; with `close`, they call that, too."""
    with pair() as ends:
        logs = [Log(ws) for ws in ends]

        def break_the_rules() -> None:
            for ws in ends:
                ws._socket.write(WRONG)  # type: ignore[union-attr]
                if close:
                    ws.close()

        on_loop(ends[0], break_the_rules)
        return [log.until('close') for log in logs]


def is_one_error(events: list[Any]) -> bool:
    (kind, error, code), close = events
    text = 'no handler for opcode 5'
    return (kind, type(error), str(error), code, close) == ('error', ProtocolError, text, 1002, ('close', 1006, ''))


def test_w181_errors_at_both_ends() -> None:
    assert all(is_one_error(events) for events in events_of_both(close=False))


def test_w182_errors_at_both_ends_which_are_closing() -> None:
    assert all(is_one_error(events) for events in events_of_both(close=True))


def test_w183_an_error_in_the_middle_of_much_data() -> None:
    """The rest of it is read and dropped, so that the end is seen."""
    with raw_pair(maxPayload=16384) as (ws, sock):
        log = Log(ws)
        sock.sendall(build_frame(2, bytes(16385), True, True) + bytes(1 << 20))
        kind, error, code = log.get()
        assert (kind, type(error), str(error), code) == ('error', ProtocolError, 'Max payload size exceeded', 1009)
        assert next(frames(sock)) == (True, 8, b'\x03\xf1')
        sock.close()
        assert log.get() == ('close', 1006, '')


def test_w184_a_close_frame_behind_much_data() -> None:
    with raw_pair() as (ws, sock):
        log = Log(ws, 'close')
        sock.sendall(build_frame(2, bytes(16384), True, True) + build_frame(8, b'', True, True))
        sock.shutdown(socket.SHUT_WR)
        assert log.get() == ('close', 1005, '')
