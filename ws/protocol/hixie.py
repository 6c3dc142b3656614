"""Hixie-76, what browsers spoke before RFC 6455, the server's side (draft-hixie-thewebsocketprotocol-76).

Its handshake ends behind the head: the client sends eight bytes more, the nonce, and the server answers with sixteen.
Its frames know text and nothing else: no fragments, no pings, no codes and reasons at the end.
"""

from __future__ import annotations

import re
from functools import partial
from hashlib import md5
from typing import Callable, Optional

from ..errors import HandshakeError, NotOpenError, ProtocolError
from .content import Text
from .error_codes import NO_STATUS
from .faults import too_large
from .frames import TEXT, WholeFrame
from .handshake import check_upgrade
from .http import Request
from .receiver import BaseReceiver, Found, flags_of
from .sender import Callback, Writable, payload_of

#: What ``protocolVersion`` calls it.
VERSION = 'hixie-76'
#: Bytes that a client sends behind the head of its request.
NONCE_SIZE = 8

_LARGEST_NUMBER = 0xFFFFFFFF  # what a key hides, section 4.1
_LARGEST_DIGITS = len(str(_LARGEST_NUMBER))

_TEXT_START = b'\x00'
_TEXT_END = b'\xff'
_COUNTED_START = b'\x80'
_CLOSE_FRAME = b'\xff\x00'

# A byte of a length: seven bits of it, and whether more of them follow.
_MORE = 0x80
_SEVEN_BITS = 0x7F
#: The first of a length, if that has leading zeros.
_ZERO = b'\x80'


def is_hixie(request: Request) -> bool:
    """Whether a request is meant for this protocol, be it right or not."""
    headers = request.headers
    return 'sec-websocket-key' not in headers and ('sec-websocket-key1' in headers or 'sec-websocket-key2' in headers)


class ServerHandshake:
    """The server's side of a request that was found right."""

    version = VERSION

    def __init__(self, request: Request, key1: bytes, key2: bytes) -> None:
        headers = request.headers
        #: Where the page comes from whose script connects.
        self.origin: Optional[str] = headers.get('origin')
        #: The header as it came, and as it is answered.
        self.protocol: Optional[str] = headers.get('sec-websocket-protocol')
        self._keys = key1 + key2
        # A proxy that takes TLS off names the host and the scheme that its clients see.
        self._host = headers.get('x-forwarded-host') or headers['host']
        self._behind_tls = headers.get('x-forwarded-proto') == 'https'
        self._url = request.url

    def response_lines(self, secure: bool) -> list[str]:
        """The lines of the response's head, its status line first, for ``build_head``; ``answer`` follows the head.

        ``secure``: whether the connection is encrypted.
        """
        scheme = 'wss' if secure or self._behind_tls else 'ws'
        lines = [
            'HTTP/1.1 101 Switching Protocols',
            'Upgrade: WebSocket',
            'Connection: Upgrade',
            f'Sec-WebSocket-Location: {scheme}://{self._host}{self._url}',
        ]
        if self.protocol is not None:
            lines.append(f'Sec-WebSocket-Protocol: {self.protocol}')
        if self.origin is not None:
            lines.append(f'Sec-WebSocket-Origin: {self.origin}')
        return lines

    def answer(self, nonce: bytes) -> bytes:
        """The 16 bytes that answer the client's nonce (section 5.2). Raises ValueError if that isn't 8 bytes long."""
        if len(nonce) != NONCE_SIZE:
            raise ValueError(f'the nonce must be {NONCE_SIZE} bytes, not {len(nonce)}')
        return md5(self._keys + nonce, usedforsecurity=False).digest()


def check_request(request: Request) -> ServerHandshake:
    """Check a request for a connection of this version (section 5.2).

    Raises HandshakeError with the status to refuse it with.
    """
    check_upgrade(request)
    return ServerHandshake(request, _number(request, 'Sec-WebSocket-Key1'), _number(request, 'Sec-WebSocket-Key2'))


def _number(request: Request, name: str) -> bytes:
    """The number a key hides: its digits, divided by its spaces."""
    key = request.headers.get(name)
    if key is None:
        raise HandshakeError(f'Missing {name} header', 400)
    digits = ''.join(re.findall('[0-9]', key))
    spaces = key.count(' ')
    if not digits or not spaces:
        raise HandshakeError(f'Invalid {name} header', 400)
    # As many as tell that it is too large: a whole head of them would take long.
    number = int(digits.lstrip('0')[: _LARGEST_DIGITS + 1] or '0')
    if number > _LARGEST_NUMBER or number % spaces:
        raise HandshakeError(f'Invalid {name} header', 400)
    return (number // spaces).to_bytes(4, 'big')


class Receiver(BaseReceiver):
    """Takes bytes in any portions and calls ``ontext``, ``onclose`` and ``onerror`` for what they hold (section 5.3).

    Bytes that aren't UTF-8 become replacement characters, in ``flags.buffer``, too. What comes with its length counts
    as text, as in Node's ws. A close frame has no code, which is 1005. ``max_payload`` (bytes in a message) is a limit;
    0 is none.
    """

    __slots__ = ('_content', '_length', '_size', '_take')

    def __init__(self, max_payload: int = 104857600) -> None:
        super().__init__(b'', None, max_payload)  # no frame of its is one of RFC 6455
        #: What takes the next bytes. Not a bound method: that would refer back to this object.
        self._take: Callable[[Receiver], Found] = Receiver._frame_type
        self._content: Optional[Text] = None  # of the message that is under way
        self._size = 0  # of that, in bytes
        self._length = 0  # that it is to have; at least, as long as that is coming in

    def _end(self) -> None:
        super()._end()
        self._content = None

    def _advance(self) -> Found:
        return self._take(self)

    def _frame_type(self) -> None:
        first = self._data[self._pos : self._pos + 1]
        self._pos += 1
        if first == _TEXT_START:
            self._take = Receiver._text
        elif first == _COUNTED_START:
            self._length = 0
            self._take = Receiver._counted_length
        elif first == _CLOSE_FRAME[:1]:
            self._take = Receiver._close_frame
        else:
            raise _wrong_start()

    def _text(self) -> Found:
        end = self._data.find(_TEXT_END, self._pos)
        if end < 0:
            self._gather(len(self._data))
            return None
        self._gather(end)
        self._pos += len(_TEXT_END)
        return self._message()

    def _counted_length(self) -> Found:
        """Nothing is kept of it but the number: any number of leading zeros may come."""
        if not self._length:
            self._pos = len(self._data) - len(self._data[self._pos :].lstrip(_ZERO))
        for byte in memoryview(self._data)[self._pos :]:
            self._pos += 1
            self._length |= byte & _SEVEN_BITS
            if not byte & _MORE:
                self._check_size(self._length)
                self._take = Receiver._counted
                return self._counted()
            self._length <<= 7
            self._check_size(self._length)
        return None

    def _counted(self) -> Found:
        missing = self._length - self._size
        self._gather(min(self._pos + missing, len(self._data)))
        return self._message() if self._size == self._length else None

    def _close_frame(self) -> Callable[[], object]:
        if self._data[self._pos] != _CLOSE_FRAME[1]:
            raise _wrong_start()
        self._end()
        return partial(self.onclose, NO_STATUS, '', flags_of(False, None))

    def _gather(self, stop: int) -> None:
        self._check_size(self._size + stop - self._pos)
        self._size += stop - self._pos
        if self._content is None:
            self._content = Text('replace')
        self._content.append(self._data[self._pos : stop], None)
        self._pos = stop

    def _check_size(self, size: int) -> None:
        if size > self._max_payload:
            raise too_large()

    def _message(self) -> WholeFrame:
        text = self._content.value() if self._content is not None else ''
        self._content = None
        self._size = 0
        self._take = Receiver._frame_type
        return TEXT, text, False, self._pos


def _wrong_start() -> ProtocolError:
    return ProtocolError('payload must start with 0x00 byte')


class Sender:
    """Writes messages, whole or in pieces, to ``socket`` (section 5.3). Not for two threads at once.

    It takes what :class:`ws.protocol.sender.Sender` takes; what these frames can't say is left out: masks, compression,
    pings and pongs, and why the connection is closed. After that, callbacks get a NotOpenError.
    """

    __slots__ = ('_closed', '_fragmented', '_socket', 'messages')

    #: As of :class:`ws.protocol.sender.Sender`.
    plain = False

    def __init__(self, socket: Writable) -> None:
        self._socket = socket
        self._fragmented = False  # a message is under way, and its end still to be written
        #: As of :class:`ws.protocol.sender.Sender`.
        self.messages: int = 0
        self._closed = False

    def send(
        self,
        data: object,
        binary: Optional[bool] = None,
        fin: bool = True,
        mask: bool = False,
        callback: Optional[Callback] = None,
        compress: bool = True,
    ) -> None:
        """Send a message, or with ``fin`` False all but the last piece of one. Errors: see ``payload_of``.

        A message in pieces is text, whatever ``binary`` says: the other kind begins with its length. Raises ValueError
        for text with the byte 0xff, which UTF-8 doesn't have.
        """
        payload, is_binary = payload_of(data)
        if self._closed:
            _refuse(callback)
            return
        if (is_binary if binary is None else binary) and fin and not self._fragmented:
            self.messages += 1
            self._socket.write(_COUNTED_START + _base_128(len(payload)) + payload, callback)
            return
        if _TEXT_END in payload:
            raise ValueError('the byte 0xff, which ends a text of Hixie-76, cannot be sent in one')
        if fin:
            self.messages += 1
        start = b'' if self._fragmented else _TEXT_START
        self._fragmented = not fin
        self._socket.write(start + payload + (_TEXT_END if fin else b''), callback)

    def ping(self, data: object = None, mask: bool = False, callback: Optional[Callback] = None) -> None:
        """Do nothing but call back: there are no pings."""
        if callback is not None:
            self._socket.write(b'', callback)

    def pong(self, data: object = None, mask: bool = False, callback: Optional[Callback] = None) -> None:
        """Do nothing but call back: there are no pongs."""
        if callback is not None:
            self._socket.write(b'', callback)

    def close(
        self,
        code: Optional[int] = None,
        reason: object = None,
        mask: bool = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """End the message that is under way, if any, and send a close frame; it has no room for code and reason."""
        if self._closed:
            _refuse(callback)
            return
        self._closed = True
        if self._fragmented:
            self._socket.write(_TEXT_END)
        self._socket.write(_CLOSE_FRAME, callback)

    def answer_close(self, code: int, reason: str, mask: bool = False) -> None:
        """Answer a close frame with a close frame."""
        self.close()


def _refuse(callback: Optional[Callback]) -> None:
    if callback is not None:
        callback(NotOpenError())


def _base_128(number: int) -> bytes:
    """Seven bits in each byte, the most significant first; all but the last byte have the high bit."""
    encoded = bytearray([number & _SEVEN_BITS])
    while number > _SEVEN_BITS:
        number >>= 7
        encoded.append(_MORE | number & _SEVEN_BITS)
    encoded.reverse()
    return bytes(encoded)
