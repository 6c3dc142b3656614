"""Frames of Hixie-76, for the tests of this folder."""

from __future__ import annotations

from hypothesis import strategies as st
from protocol.recording import BaseRecorder, Event, Feed, whole

from ws.protocol.hixie import Receiver

CLOSED = ('close', 1005, '')


def text_frame(text: str) -> bytes:
    return b'\x00' + text.encode() + b'\xff'


class Recorder(BaseRecorder):
    """The flags are not among the arguments: they say nothing here."""

    def __init__(self, **limits: int) -> None:
        super().__init__(Receiver(**limits))


def events_of(data: bytes, feed: Feed = whole, **limits: int) -> list[Event]:
    return Recorder(**limits).fed(data, feed)


texts = st.text(st.characters(exclude_categories=['Cs']), max_size=300)
