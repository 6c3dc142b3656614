"""Items 166 and 167 of the original's suite: outgoing frames."""

from __future__ import annotations

from ws import Sender


class Socket:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


def test_166_masking_leaves_the_callers_bytes_alone() -> None:
    socket = Socket()
    data = bytearray([1, 2, 3, 4, 5])
    Sender(socket).frameAndSend(2, data, True, True)
    assert data == bytearray([1, 2, 3, 4, 5])
    assert b''.join(socket.written)[:2] == b'\x82\x85'


def test_167_masking_leaves_the_callers_text_alone() -> None:
    socket = Socket()
    text = 'hi there'
    Sender(socket).frameAndSend(1, text, True, True)
    assert text == 'hi there'
    assert b''.join(socket.written)[:2] == b'\x81\x88'
