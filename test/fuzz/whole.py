"""Whole servers and clients are fuzzed, too: over real sockets, beside a connection that must not notice.

Whatever bytes come, in whatever pieces, a connection has one of the outcomes that are documented: a refusal, or
``connection`` (``open``), messages, at most one ``error``, and exactly one ``close``; and a bystander's echo takes no
longer than the budget, in milliseconds: the environment variable FUZZ_BUDGET.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

from support import read_head

from ws import HandshakeError, ProtocolError, WebSocket, WebSocketServer
from ws.protocol.handshake import accept_key

BUDGET = float(os.environ.get('FUZZ_BUDGET', '50'))
#: Seconds for what must happen.
PATIENCE = 20.0
LIMITS = {'maxPayload': 4096, 'maxFragments': 8, 'handshakeTimeout': 5000, 'closeTimeout': 5000}
#: What a server may refuse a request with.
REFUSALS = (400, 401, 404, 405, 408, 414, 417, 426, 431, 501, 503, 505)
#: What either side may send in a close frame of its own: the peer's fault.
FAULTS = (1002, 1007, 1008, 1009)
#: As many pieces are waited for; the rest goes as TCP likes it.
PIECES = 12

_HEAD = b'GET /%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
_KEY = b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
#: What comes before the bytes, by the protocol they are meant for.
OPENINGS = [
    b'',
    _HEAD % b'13' + _KEY + b'Sec-WebSocket-Version: 13\r\n\r\n',
    _HEAD % b'8' + _KEY + b'Sec-WebSocket-Version: 8\r\n\r\n',
    _HEAD % b'deflate'
    + _KEY
    + b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n',
    b'GET /hixie HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:ds[4U',
]
_ANSWER = b'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n'
_ANSWER += b'Sec-WebSocket-Protocol: a\r\n'
ANSWERS = [b'', _ANSWER + b'\r\n', _ANSWER + b'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n']


class Events:
    """What one connection says, in order."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def listen(self, ws: Any) -> None:
        for event in ('open', 'message', 'ping', 'pong', 'error', 'close'):
            ws.on(event, self._listener(event))

    def _listener(self, event: str) -> Callable[..., None]:
        return lambda *args: self._events.put((event, *args))

    def until_close(self) -> list[tuple[Any, ...]]:
        seen: list[tuple[Any, ...]] = []
        while not seen or seen[-1][0] != 'close':
            try:
                seen.append(self._events.get(timeout=PATIENCE))
            except queue.Empty:
                raise AssertionError(f'no close after {seen}') from None
        return seen

    def rest(self) -> list[tuple[Any, ...]]:
        seen = []
        with contextlib.suppress(queue.Empty):
            while True:
                seen.append(self._events.get_nowait())
        return seen


class Laboratory:
    """A server that echoes, and a bystander connected to it; ``server`` and ``client`` are what can be fuzzed."""

    def __init__(self) -> None:
        #: The names of the latest connection's events; empty if there was none.
        self.events: list[str] = []
        self._reported: list[Any] = []
        self._connections: queue.SimpleQueue[Events] = queue.SimpleQueue()
        self._wss = WebSocketServer({'port': 0, 'host': '127.0.0.1', 'perMessageDeflate': True, **LIMITS})
        self._wss.on('connection', self._on_connection)
        address: Any = self._wss.address()
        self._port: int = address.port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._bystander = self._connect()
        self._bystander.sendall(OPENINGS[1])
        read_head(self._bystander)
        self._connections.get(timeout=PATIENCE)
        self._hook, threading.excepthook = threading.excepthook, self._reported.append

    def close(self) -> None:
        threading.excepthook = self._hook
        self._bystander.close()
        self._listener.close()
        closed = threading.Event()
        self._wss.close(closed.set)
        assert closed.wait(PATIENCE)

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(('127.0.0.1', self._port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _on_connection(self, ws: Any) -> None:
        events = Events()
        ws.on('message', lambda message, flags: ws.send(message, {'binary': flags.binary}))
        events.listen(ws)
        self._connections.put(events)

    def _echo(self) -> float:
        """How many milliseconds the bystander waits."""
        started = time.perf_counter()
        self._bystander.sendall(b'\x82\x84\0\0\0\0echo')
        answer = b''
        while len(answer) < 6:
            piece = self._bystander.recv(6 - len(answer))
            assert piece, 'the bystander was cut off'
            answer += piece
        assert answer == b'\x82\x04echo'
        return (time.perf_counter() - started) * 1000

    def _check(self, function: Callable[[bytes], float], data: bytes) -> None:
        """The longest wait must keep to the budget: in one of several tries, as the machine does other things, too."""
        waits = []
        while not waits or (waits[-1] > BUDGET and len(waits) < 4):
            waits.append(function(data))
            assert not self._reported, f'reported: {self._reported.pop().exc_value!r}'
        assert min(waits) <= BUDGET, f'the bystander waited {min(waits):.0f} ms'

    def _send(self, sock: socket.socket, data: bytes, size: int) -> float:
        """In pieces of `size` bytes, each read before the next is sent; the longest that the bystander waited."""
        longest = 0.0
        for number, start in enumerate(range(0, len(data), size)):
            if number == PIECES:
                size = len(data)
            sock.sendall(data[start : start + size])
            longest = max(longest, self._echo())
            if number == PIECES:
                break
        return longest

    # -- a server ----------------------------------------------------------------------------------------------------

    def server(self, data: bytes) -> None:
        """The first byte tells what it takes the rest for, the second one how it is cut."""
        self._check(self._server, data.ljust(2, b'\0'))

    def _server(self, data: bytes) -> float:
        opening = OPENINGS[data[0] % len(OPENINGS)]
        longest = 0.0
        with self._connect() as sock:
            try:
                longest = self._send(sock, opening + data[2:], data[1] or 1 << 16)
                sock.shutdown(socket.SHUT_WR)
                received: Optional[bytes] = _read_all(sock)
            except OSError:  # it may end with what is sent unread
                received = None
        longest = max(longest, self._echo())
        status = None if received is None else _check_answer(received)
        self.events = []
        if status == 101 or not self._connections.empty():
            self._check_events(self._connections.get(timeout=PATIENCE))
        return longest

    def _check_events(self, events: Events) -> None:
        seen = events.until_close()
        self.events = [event[0] for event in seen]
        errors = [event for event in seen if event[0] == 'error']
        assert len(errors) <= 1, seen
        for _, error, *code in errors:
            assert isinstance(error, OSError) or (isinstance(error, ProtocolError) and code[0] in FAULTS), seen
        assert all(len(event[1]) <= LIMITS['maxPayload'] for event in seen if event[0] == 'message')
        assert seen[-1][1] in range(1000, 5000)
        assert not events.rest()

    # -- a client ----------------------------------------------------------------------------------------------------

    def client(self, data: bytes) -> None:
        """The same for the answer of a server, and what it sends then."""
        self._check(self._client, data.ljust(2, b'\0'))

    def _client(self, data: bytes) -> float:
        events = Events()
        ws = WebSocket(f'ws://127.0.0.1:{self._listener.getsockname()[1]}/', ['a', 'b'], **LIMITS)
        events.listen(ws)
        longest = 0.0
        sock, _ = self._listener.accept()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, contextlib.suppress(OSError):  # it may have had enough
            key = next(line for line in read_head(sock).split(b'\r\n') if line.lower().startswith(b'sec-websocket-key'))
            accept = accept_key(key.partition(b': ')[2].decode()).encode()
            answer = (ANSWERS[data[0] % len(ANSWERS)] + data[2:]).replace(b'ACCEPT', accept)
            longest = self._send(sock, answer, data[1] or 1 << 16)
            sock.shutdown(socket.SHUT_WR)
            _check_frames(_read_all(sock), True)
        seen = events.until_close()
        longest = max(longest, self._echo())
        self.events = names = [event[0] for event in seen]
        assert names.count('error') <= 1 and names.count('open') <= 1 and names.count('close') == 1, seen
        if 'open' in names:
            assert names[0] == 'open'
        else:
            assert names == ['error', 'close'] and seen[1][1] == 1006, seen
            assert isinstance(seen[0][1], (HandshakeError, OSError)), seen
        assert not events.rest()
        return longest


def _read_all(sock: socket.socket) -> bytes:
    data = b''
    while True:
        piece = sock.recv(1 << 16)
        if not piece:
            return data
        data += piece


def _check_answer(received: bytes) -> Optional[int]:
    """The status of what a server sent; the rest of it must be what the protocol allows."""
    if not received:
        return None
    head, separator, rest = received.partition(b'\r\n\r\n')
    assert separator and head.startswith(b'HTTP/1.1 '), received
    status = int(head[9:12])
    if status != 101:
        assert status in REFUSALS, received
        return status
    if b'Sec-WebSocket-Accept' in head:
        _check_frames(rest, False)
    return status


def _check_frames(data: bytes, masked: bool) -> None:
    """Whole frames, none after a close frame, and a close code that may be sent."""
    while data:
        assert len(data) >= 2 and data[0] & 0x0F in (0, 1, 2, 8, 9, 10) and bool(data[1] & 0x80) == masked, data
        length = data[1] & 0x7F
        start = 2 + {126: 2, 127: 8}.get(length, 0)
        if start > 2:
            length = int.from_bytes(data[2:start], 'big')
        key, start = (data[start : start + 4], start + 4) if masked else (bytes(4), start)
        payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(data[start : start + length]))
        assert len(payload) == length, data
        if data[0] & 0x0F == 8:
            assert len(data) == start + length, data
            assert not payload or int.from_bytes(payload[:2], 'big') in range(1000, 5000), data
        data = data[start + length :]


_BOMB = zlib.compress(bytes(5000))[2:-4]
_MASKED = b'\x81\x85abcd)\x04\x0f\x08\x0e'
SERVER_SEEDS = [
    b'\x00\x00' + OPENINGS[1] + _MASKED,
    b'\x00\x03' + OPENINGS[3] + b'\xc1\x87\0\0\0\0\xf2H\xcd\xc9\xc9\x07\x00',
    b'\x00\x00GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
    b'\x01\x01' + _MASKED + b'\x89\x80abcd\x88\x82\0\0\0\0\x03\xe8',
    b'\x01\x00\x01\x81\0\0\0\0\xc3\x80\x81\0\0\0\0\xa4\x82\xfe\x00\x80\0\0\0\0' + b'abcd' * 32,
    b'\x02\x05' + _MASKED + b'\x8a\x80abcd\x88\x80abcd',
    b'\x03\x02\xc1\x87\0\0\0\0\xf2H\xcd\xc9\xc9\x07\x00\xc2\x85\0\0\0\0\xf2\x00\x11\x00\x00',
    b'\x03\x00\xc2' + bytes([0x80 | len(_BOMB)]) + bytes(4) + _BOMB + b'\x41\x82\0\0\0\0\x03\x00\x80\x80\0\0\0\0',
    b'\x04\x04\x00Hello\xff\x80\x05Hello\x80\x81\x00' + b'x' * 128 + b'\xff\x00',
]
CLIENT_SEEDS = [
    b'\x00\x00' + ANSWERS[1] + b'\x81\x05Hello',
    b'\x00\x07HTTP/1.1 103 x\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n',
    b'\x01\x01\x81\x05Hello\x89\x01x\x01\x02\xc3\xa4\x80\x01y\x88\x04\x03\xe8ok',
    b'\x02\x02\xc1\x07\xf2H\xcd\xc9\xc9\x07\x00\xc2\x05\xf2\x00\x11\x00\x00\x88\x00',
    b'\x02\x00\xc2' + bytes([len(_BOMB)]) + _BOMB,
]

_shared: list[Laboratory] = []


def _laboratory() -> Laboratory:
    """The one of a process that does nothing else."""
    if not _shared:
        _shared.append(Laboratory())
    return _shared[0]


#: As targets.TARGETS.
WHOLE: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    'server': (lambda data: _laboratory().server(data), SERVER_SEEDS),
    'client': (lambda data: _laboratory().client(data), CLIENT_SEEDS),
}


@contextlib.contextmanager
def laboratory() -> Iterator[Laboratory]:
    made = Laboratory()
    try:
        yield made
    finally:
        made.close()
