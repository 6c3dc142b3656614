"""createWebSocketStream: which of the streams it is."""

from __future__ import annotations

import codecs
import io
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union, overload

from .options import DUPLEX_OPTIONS, flag, merge, text
from .text_stream import WebSocketTextStream
from .typing import DuplexKeywords, DuplexOptions, MessageDuplexOptions, TextDuplexOptions, Unpack
from .websocket import WebSocket
from .websocket_stream import WebSocketMessageStream, WebSocketStream


@overload
def createWebSocketStream(  # type: ignore[overload-overlap]  # a dict that has it is one of these
    ws: WebSocket, options: TextDuplexOptions, **keywords: Unpack[DuplexKeywords]
) -> WebSocketTextStream: ...
@overload
def createWebSocketStream(
    ws: WebSocket, options: Optional[DuplexOptions] = None, *, encoding: str, **keywords: Unpack[DuplexKeywords]
) -> WebSocketTextStream: ...
@overload
def createWebSocketStream(
    ws: WebSocket, options: MessageDuplexOptions, **keywords: Unpack[DuplexKeywords]
) -> WebSocketMessageStream: ...
@overload
def createWebSocketStream(
    ws: WebSocket,
    options: Optional[DuplexOptions] = None,
    *,
    readableObjectMode: Literal[True],
    **keywords: Unpack[DuplexKeywords],
) -> WebSocketMessageStream: ...
@overload
def createWebSocketStream(
    ws: WebSocket, options: Optional[DuplexOptions] = None, **keywords: Unpack[DuplexKeywords]
) -> WebSocketStream: ...
def createWebSocketStream(
    ws: WebSocket, options: Optional[Mapping[str, Any]] = None, **keywords: Any
) -> Union[WebSocketStream, WebSocketTextStream]:
    """`ws` as a stream, for threads: an unbuffered binary file.

    Options, as a dict or as keywords:

    - ``readableHighWaterMark`` (bytes, 65536): when more than this has been received and not yet read, the connection
      is paused until half of it is read. ``writableHighWaterMark`` (bytes, 65536): while more than this has been
      written and not yet taken by the system, ``write`` waits. ``highWaterMark`` (bytes): both.
    - ``timeout`` (milliseconds, 0; 0: none): how long a call waits before it raises TimeoutError.
    - ``encoding`` (str): text instead of bytes: a :class:`WebSocketTextStream`, with the stream as its ``buffer``.
    - ``readableObjectMode`` (bool, False): messages instead of bytes: a :class:`WebSocketMessageStream`.
    - ``decodeStrings`` (bool, True): if it is False, ``write`` takes str, too, and text is sent as text messages.
    - ``allowHalfOpen`` has no effect: a WebSocket that one side has closed is closed.

    Raises TypeError if `ws` is not a :class:`WebSocket`; TypeError, ValueError and LookupError for wrong options.
    """
    if not isinstance(ws, WebSocket):
        raise TypeError(f'ws must be a WebSocket, not {type(ws).__name__}')
    given = merge('createWebSocketStream', DUPLEX_OPTIONS, options, keywords, depth=-1)
    encoding = text(given, 'encoding')
    as_messages = flag(given, 'readableObjectMode')
    if encoding is None:
        return (WebSocketMessageStream if as_messages else WebSocketStream)(ws, given)
    if as_messages:
        raise ValueError('encoding and readableObjectMode exclude each other')
    io.TextIOWrapper(io.BytesIO(), encoding)  # raises if it is wrong: nobody could close a stream that is half made
    if not flag(given, 'decodeStrings') and codecs.lookup(encoding).name != 'utf-8':
        raise ValueError(f'text messages are UTF-8, not {encoding}')
    return WebSocketTextStream(WebSocketStream(ws, given), encoding)
