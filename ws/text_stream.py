"""WebSocketTextStream: the lines of a stream of bytes."""

from __future__ import annotations

import io
from typing import Any, Optional

from .websocket_stream import WebSocketStream


class WebSocketTextStream(io.TextIOBase):
    """A WebSocket connection as a text file, whose lines end with ``\\n``. Each line is sent when it is complete;
    :meth:`flush` sends an incomplete one. One thread may read it while another one writes."""

    def __init__(self, stream: WebSocketStream, encoding: str) -> None:
        super().__init__()
        self._stream = stream
        # Two: what is written to a TextIOWrapper resets what it has decoded in part.
        self._reader = _text_of(stream, encoding)
        self._writer = _text_of(stream, encoding, line_buffering=True)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self._stream!r}>'

    @property
    def buffer(self) -> WebSocketStream:
        """The stream of bytes. Reading and writing there bypasses what is buffered here."""
        return self._stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # nobody sets it
        return self._reader.encoding

    @property
    def closed(self) -> bool:
        """Whether the stream of bytes is closed."""
        return self._stream.closed

    def readable(self) -> bool:
        """As for the stream of bytes."""
        return self._stream.readable()

    def writable(self) -> bool:
        """As for the stream of bytes."""
        return self._stream.writable()

    def read(self, size: Optional[int] = -1, /) -> str:
        """Up to `size` characters, fewer only at the end; without `size`, everything up to the end."""
        return self._reader.read(size)

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # typeshed's has another name for it
        """The next line, with its end if it has one; '' at the end."""
        return self._reader.readline(size)

    def write(self, text: str, /) -> int:
        """Write `text`; returns its length. Waits as that of the stream of bytes does."""
        return self._writer.write(text)

    def flush(self) -> None:
        """Send what was written, and wait until the system has taken it."""
        self._writer.flush()

    def close(self) -> None:
        """Send what was written, and close the connection, as the stream of bytes does."""
        self._writer.close()


def _text_of(stream: io.RawIOBase, encoding: str, line_buffering: bool = False) -> io.TextIOWrapper:
    wrapped: Any = stream  # typeshed wants a name of it
    return io.TextIOWrapper(wrapped, encoding, newline='\n', line_buffering=line_buffering)
