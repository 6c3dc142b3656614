"""The body of a response that is no WebSocket's: as much of it as is of use to whoever reads the error (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Optional

from .http import Response

#: How many bytes of a body are kept.
MAX_BODY = 64 * 1024
#: How many bytes of it are taken at most, what frames its chunks included: that may be more than all they hold.
_MAX_TAKEN = 2 * MAX_BODY
#: The longest line that begins a chunk, or stands behind the last one.
_MAX_LINE = 1024

# RFC 9112 section 7.1: what stands behind the semicolon means nothing to us.
_match_chunk_size = re.compile(rb'([0-9A-Fa-f]{1,15})[\t ]*(?:;.*)?').fullmatch


class BodyReader:
    """Reads one body, as the head of `response` says where it ends (RFC 9112 section 6.3).

    It is cut after :data:`MAX_BODY` bytes, and where it breaks the rules: then ``complete`` stays False.
    """

    def __init__(self, response: Response) -> None:
        self.data: bytearray = bytearray()
        #: Whether ``data`` is the whole body.
        self.complete: bool = False
        self._broken = False  # or cut: nothing more is wanted
        self._room = _MAX_TAKEN
        self._buffer = bytearray()
        self._left = 0  # bytes of this chunk, or of the whole
        self._step: Callable[[], bool] = self._take_all
        coding = response.headers.get('transfer-encoding')
        if response.statusCode in (204, 304):
            self.complete = True
        elif coding is not None:
            if coding.rpartition(',')[2].strip(' \t').lower() == 'chunked':
                self._step = self._take_size
        elif 'content-length' in response.headers:
            self._left = int(response.headers['content-length'])
            self._step = self._take_counted
            self.complete = not self._left

    @property
    def done(self) -> bool:
        """Whether nothing more is to be read: it is complete, or cut."""
        return self.complete or self._broken

    def feed(self, data: bytes) -> None:
        """Add what has arrived. What follows the body is dropped."""
        self._buffer += data[: self._room]
        self._room -= len(data)
        while not self.done and self._step():
            pass
        if self._room <= 0:
            self._broken = True

    def end(self) -> None:
        """The server has closed the connection."""
        if self._step == self._take_all and not self._broken:
            self.complete = True
        self._broken = True

    def _keep(self, size: int) -> int:
        """Take so many bytes, or those that are there; returns how many."""
        piece = self._buffer[:size]
        del self._buffer[:size]
        room = MAX_BODY - len(self.data)
        self.data += piece[:room]
        self._broken = len(piece) > room
        return len(piece)

    def _take_all(self) -> bool:
        """Up to the end of the connection."""
        self._keep(len(self._buffer))
        return False

    def _take_counted(self) -> bool:
        """Content-Length."""
        self._left -= self._keep(self._left)
        self.complete = not self._left and not self._broken
        return False

    def _take_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _match_chunk_size(line)
        if match is None:
            self._broken = True
            return False
        self._left = int(match[1], 16)
        self._step = self._take_chunk if self._left else self._take_trailer
        return True

    def _take_chunk(self) -> bool:
        self._left -= self._keep(self._left)
        if self._left:
            return False
        self._step = self._take_end_of_chunk
        return True

    def _take_end_of_chunk(self) -> bool:
        line = self._line()
        self._broken = self._broken or bool(line)
        self._step = self._take_size if line is not None else self._step
        return line is not None

    def _take_trailer(self) -> bool:
        line = self._line()
        self.complete = line == b''
        return line is not None

    def _line(self) -> Optional[bytes]:
        """The next line without its CRLF; None while it has not come whole."""
        end = self._buffer.find(b'\r\n', 0, _MAX_LINE)
        if end < 0:
            self._broken = self._broken or len(self._buffer) >= _MAX_LINE
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line
