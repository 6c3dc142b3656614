"""The other side of a ported program, and the transcript of what both see.

A script plays it step by step, and each step waits for what it tells of: so a transcript depends on nothing but what
the program does. The peers speak WebSocket with the protocol half of `websockets`, frame by frame.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any, Optional, Union

from documents import Child
from support import TIMEOUT
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Protocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class Play:
    """A program and its peers."""

    def __init__(self) -> None:
        #: What was seen, line by line: who saw it, and what it was.
        self.transcript: list[str] = []
        self._exits = contextlib.ExitStack()
        self._program: Optional[Child] = None

    def __enter__(self) -> Play:
        return self

    def __exit__(self, *details: object) -> None:
        self._exits.close()

    def note(self, who: str, what: str) -> None:
        self.transcript.append(f'{who:8} {what}')

    def starts(self, program: Child) -> None:
        self._program = program
        self._exits.callback(program.discard)

    def says(self, lines: int = 1) -> None:
        """The program prints that many lines."""
        assert self._program is not None
        for _ in range(lines):
            self.note('program', self._program.line())

    def port(self) -> int:
        """The port the program listens on, which is the first thing it prints."""
        assert self._program is not None
        return int(self._program.line())

    def ends(self) -> None:
        """The program ends by itself, having nothing more to say."""
        assert self._program is not None
        self._program.ends()
        self.note('program', 'ends')

    def connect(self, who: str, url: str, answers_pings: bool = True, **options: Any) -> Connection:
        """A client of the program, for which the opening handshake is over."""
        uri = parse_uri(url)
        sock = socket.create_connection((uri.host, uri.port), TIMEOUT)
        protocol = ClientProtocol(uri, max_size=None, **options)
        self.note(who, f'GET {uri.resource_name}')
        protocol.send_request(protocol.connect())
        connection = self._add(Connection(self, who, sock, protocol, answers_pings))
        response = connection.next()
        assert isinstance(response, Response)
        chosen = f', protocol {protocol.subprotocol}' if protocol.subprotocol else ''
        self.note(who, f'<- {response.status_code}{chosen}')
        return connection

    def listen(self) -> Listener:
        """A server for a program that is a client."""
        sock = socket.create_server(('127.0.0.1', 0))
        sock.settimeout(TIMEOUT)
        self._exits.callback(sock.close)
        return Listener(self, sock)

    def _add(self, connection: Connection) -> Connection:
        self._exits.callback(connection.vanishes, silently=True)
        return connection


class Listener:
    """Where clients connect to."""

    def __init__(self, play: Play, sock: socket.socket) -> None:
        self._play = play
        self._sock = sock
        self.address = f'127.0.0.1:{sock.getsockname()[1]}'

    def accept(self, who: str, *headers: str) -> Connection:
        """The next client, whose request is noted with these headers. It has no answer yet."""
        sock, _ = self._sock.accept()
        connection = self._play._add(Connection(self._play, who, sock, ServerProtocol(max_size=None)))
        request = connection.next()
        assert isinstance(request, Request)
        connection.request = request
        self._play.note(who, f'<- GET {request.path}')
        for name in headers:
            self._play.note(who, f'<- {name}: {request.headers.get(name)}')
        return connection


class Connection:
    """The peer's end of a connection. A thread of its own reads, and answers pings."""

    request: Request

    def __init__(
        self,
        play: Play,
        who: str,
        sock: socket.socket,
        protocol: Union[ClientProtocol, ServerProtocol],
        answers_pings: bool = True,
    ) -> None:
        self._play = play
        self._who = who
        self._sock = sock
        self._sock.settimeout(None)
        self._protocol: Protocol = protocol
        self._answers_pings = answers_pings
        self._lock = threading.Lock()  # of the protocol
        self._pings = 0  # those passed over
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._write()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        data = b'-'
        while data:
            try:
                data = self._sock.recv(65536)
            except OSError:
                data = b''
            with self._lock:
                if data:
                    self._protocol.receive_data(data)
                else:
                    self._protocol.receive_eof()
                events = self._protocol.events_received()
                if self._answers_pings:
                    self._write()
                else:
                    self._protocol.data_to_send()  # or the pongs would go out with what is sent next
            for event in events:
                self._events.put(event)
        self._end_writing()
        self._events.put(None)

    def _end_writing(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # it is gone
            pass

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            try:
                if data:
                    self._sock.sendall(data)
                else:
                    self._end_writing()
            except OSError:  # the program has ended the connection
                return

    def _note(self, what: str) -> None:
        self._play.note(self._who, what)

    # -- what it does ------------------------------------------------------------------------------------------------

    def accepts(self, chosen: Optional[str] = None) -> None:
        """Complete the opening handshake of a client, with this sub-protocol."""
        assert isinstance(self._protocol, ServerProtocol)
        response = self._protocol.accept(self.request)
        if chosen is not None:
            response.headers['Sec-WebSocket-Protocol'] = chosen
        self._respond(response)

    def refuses(self, status: int) -> None:
        assert isinstance(self._protocol, ServerProtocol)
        self._respond(self._protocol.reject(status, 'no'))

    def _respond(self, response: Response) -> None:
        assert isinstance(self._protocol, ServerProtocol)
        chosen = response.headers.get('Sec-WebSocket-Protocol')
        self._note(f'{response.status_code}, protocol {chosen}' if chosen else str(response.status_code))
        with self._lock:
            self._protocol.send_response(response)
            self._write()

    def sends(self, *messages: Union[str, bytes]) -> None:
        for message in messages:
            self._note(_shown(message))
            self.send(message)

    def send(self, message: Union[str, bytes]) -> None:
        """As :meth:`sends`, without a note."""
        with self._lock:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
            self._write()

    def sends_fragments(self, *fragments: bytes) -> None:
        """One binary message, with pings between its frames."""
        for number, fragment in enumerate(fragments):
            final = number == len(fragments) - 1
            self._note(f'{_shown(fragment)}, {"the last" if final else "a"} fragment')
            with self._lock:
                if number == 0:
                    self._protocol.send_binary(fragment, final)
                else:
                    self._protocol.send_continuation(fragment, final)
                if not final:
                    self._protocol.send_ping(b'')
                self._write()

    def pings(self, data: bytes) -> None:
        self._note(f'ping {data!r}')
        with self._lock:
            self._protocol.send_ping(data)
            self._write()

    def sends_raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self._note(f'bytes {data.hex(" ")}')
        with self._lock:
            self._sock.sendall(data)

    def closes(self, code: int, reason: str, while_data_comes: bool = False) -> None:
        """Close frame, close frame, and the end of the connection."""
        self._note(f'close {code} {reason}')
        with self._lock:
            self._protocol.send_close(code, reason)
            self._write()
        self.is_closed(while_data_comes)

    def vanishes(self, silently: bool = False) -> None:
        """The connection ends without a word."""
        if not silently:
            self._note('vanishes')
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join()
        self._sock.close()

    # -- what it sees ------------------------------------------------------------------------------------------------

    def next(self) -> Any:
        """The next request, response or frame; None at the end."""
        try:
            return self._events.get(timeout=TIMEOUT)
        except queue.Empty:
            raise AssertionError(f'{self._who} saw nothing within {TIMEOUT} s: {self._play.transcript}') from None

    def _next_but_pings(self) -> Any:
        event = self.next()
        while isinstance(event, Frame) and event.opcode == Opcode.PING:
            self._pings += 1
            event = self.next()
        return event

    def frames(self) -> Iterator[Frame]:
        """Frames of data as they come; pings between them are passed over."""
        while True:
            frame = self._next_but_pings()
            assert frame is not None and frame.opcode in DATA, f'{self._who}: {frame} instead of data'
            yield frame

    def messages(self) -> Iterator[Union[str, bytes]]:
        """Whole messages, in whatever frames they come."""
        data, is_text = b'', False
        for frame in self.frames():
            if frame.opcode != Opcode.CONT:
                data, is_text = b'', frame.opcode == Opcode.TEXT
            data += frame.data
            if frame.fin:
                yield data.decode() if is_text else data

    def gets(self, count: int = 1) -> None:
        """That many messages."""
        for message in itertools.islice(self.messages(), count):
            self._note(f'<- {_shown(message)}')

    def gets_frames(self) -> None:
        """One message, frame by frame."""
        for frame in self.frames():
            fragment = 'the last fragment' if frame.fin else 'a fragment'
            self._note(f'<- {frame.opcode.name.lower()} {bytes(frame.data)!r}, {fragment}')
            if frame.fin:
                return

    def gets_control(self, *opcodes: Opcode) -> None:
        for opcode in opcodes:
            frame = self.next()
            assert frame is not None and frame.opcode == opcode, f'{self._who}: {frame} instead of {opcode}'
            self._note(f'<- {opcode.name.lower()} {bytes(frame.data)!r}')

    def is_closed(self, while_data_comes: bool = False) -> None:
        """A close frame, which is answered if it was not the answer, and the end of the connection."""
        frame = self._next_but_pings()
        while while_data_comes and frame is not None and frame.opcode in DATA:
            frame = self._next_but_pings()
        assert frame is not None and frame.opcode == Opcode.CLOSE, f'{self._who}: {frame} instead of a close frame'
        close = Close.parse(frame.data)
        self._note(f'<- close {close.code} {close.reason}')
        self.is_ended()

    def is_ended(self) -> None:
        """The end of the connection."""
        frame = self._next_but_pings()
        assert frame is None, f'{self._who}: {frame} instead of the end'
        self._note('<- the end')

    def notes_pings(self) -> None:
        """How many pings there were, in all, among the rest."""
        self._note(f'<- {self._pings} pings')


def _shown(data: Union[str, bytes]) -> str:
    if isinstance(data, str):
        return f'text {data}'
    if len(data) <= 40:
        return f'binary {bytes(data)!r}'
    return f'binary, {len(data)} bytes, SHA-1 {hashlib.sha1(data).hexdigest()}'
