"""Test B001 of ws 8's suite: memory that nobody has written to never gets into a message."""

from __future__ import annotations

from compatibility.ws8.recording import received, recording

from ws.protocol.masking import join_masked


def test_b001_no_more_than_what_came() -> None:
    """There, two pieces of 4 bytes are joined in a buffer of 6; here nobody can ask for that. What a frame announces
    and does not bring is waited for, and is in no message."""
    assert join_masked([b'\1\2', b'\3\4'], [None, None]) == b'\1\2\3\4'
    receiver, seen = recording()
    receiver.add(b'\x82\x06\1\2')
    receiver.add(b'\3\4')
    assert seen == []
    receiver.add(b'\5\6')
    assert seen == [('binary', b'\1\2\3\4\5\6')]
    assert received(b'\x02\x02\1\2', b'\x80\x02\3\4') == [('binary', b'\1\2\3\4')]
