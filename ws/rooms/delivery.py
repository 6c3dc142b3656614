"""One message to many connections: its frame is built once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Optional

from ..protocol.frames import BINARY, FIN, TEXT, build_header
from ..protocol.sender import LARGE, message_frame
from ..websocket import WebSocket


class Message(NamedTuple):
    """What is sent to each of them."""

    payload: bytes
    binary: bool
    compress: bool

    def pieces(self) -> tuple[bytes, ...]:
        """What a connection writes that neither masks nor compresses it. Large data is not copied to follow its
        header."""
        if len(self.payload) < LARGE:
            return (message_frame(self.payload, self.binary),)
        return build_header(FIN | (BINARY if self.binary else TEXT), len(self.payload), False), self.payload


def deliver(message: Message, members: Iterable[WebSocket], limit: int) -> None:
    """Send `message` to those of `members` that are open, on the loop thread.

    If more than `limit` bytes (0: any number) are waiting for a member by now, it does not read, and its connection
    ends.
    """
    pieces: Optional[tuple[bytes, ...]] = None
    for ws in members:
        outgoing = ws._outgoing
        if outgoing is None or outgoing.over:
            continue
        if limit and outgoing.is_behind(limit):
            ws._on_overrun()
            continue
        stream = outgoing.direct
        if stream is None:
            outgoing.hand_in(message.payload, message.binary, True, not ws._is_server, None, message.compress)
            continue
        if pieces is None:
            pieces = message.pieces()
        outgoing.sent_directly += 1
        for piece in pieces:
            room_for_more = stream.write(piece)
        if not room_for_more:
            outgoing.may_go_on()
