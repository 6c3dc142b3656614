"""A session: one connection at a time, what is sent there and what comes back, and how all of it ends.

The main thread is the only one that writes, and the only one that decides: what the loop thread hears of the
connection, and what a thread of its own reads from standard input, arrives there through one queue.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Optional, Union

from ..errors import NotOpenError, WebSocketError
from ..events import fitted
from ..options import Options
from ..protocol.error_codes import is_valid_error_code
from ..protocol.http import Request
from ..protocol.receiver import MessageFlags
from ..sending import close_reason
from ..websocket import WebSocket
from ..websocket_server import WebSocketServer
from .input import Lines, Pieces, Reader, Values
from .options import CLOSE_TIMEOUT, UsageError, client_options, url_of
from .output import Message, Output, described, discard_output, ending, size_of, sized
from .terminal import END, Terminal, are_terminals

#: Close codes by which a peer says that all is well (RFC 6455 section 7.4.1).
_GOOD_CODES = (1000, 1001, 1005)
_NORMAL_CLOSURE = 1000
_TRY_AGAIN_LATER = 1013
#: How many messages may wait to be written out before reading is held up.
_MAX_WAITING = 256
#: How often, in seconds, the main thread ends its wait to look for signals: one that comes when it is just about to
#: wait doesn't interrupt that, and on Windows none ever does.
_SIGNAL_POLL = 0.5
#: How long, in seconds, to look for piped input when the peer has closed the connection.
_LAST_LOOK = 0.5

_NOT_SENT = 'the connection was closed before everything was sent'


class Session:
    """One connection at a time, what is sent there, and how all of it ends. Runs on the main thread."""

    #: Whether it is about one connection only.
    _ends_with_connection: bool

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.status: int = 0
        self._events: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = queue.SimpleQueue()
        self._room = threading.Semaphore(_MAX_WAITING)
        self._ws: Optional[WebSocket] = None
        self._closing = False  # that connection, by us
        self._leaving = False
        self._interrupted = False
        self._ended = False
        self._deadline: Optional[float] = None  # when to leave
        self._unsent = 0
        self._set_up_input()

    def _set_up_input(self) -> None:
        options = self.options
        typed = are_terminals(sys.stdin)
        encoding = sys.stdin.encoding if typed else 'utf-8'
        self._interactive = typed and are_terminals(sys.stdout) and not options.execute and not options.raw
        self._terminal: Optional[Terminal] = None
        self._source: Union[Terminal, Lines, Pieces]
        if self._interactive and Terminal.usable(sys.stdin, sys.stdout):
            self._source = self._terminal = Terminal(sys.stdin, sys.stdout)
        elif options.raw or (options.binary and not typed):
            self._source = Pieces(None if options.binary else encoding)
        else:
            self._source = Lines(encoding)
        self._output = Output(options, self._terminal, self._interactive)
        self._values = Values() if options.json else None
        self._typed = typed
        self._typed_early: list[Message] = []
        self._input_ended = bool(options.execute)
        self._reading = False
        self._reader = Reader(self._later(self._on_input)) if not self._input_ended else None

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _later(self, method: Callable[..., object]) -> Callable[..., None]:
        """A function for other threads and for signal handlers, which has `method` called by :meth:`run`."""
        method = fitted(method, self)
        return lambda *args: self._events.put((method, args))

    def run(self) -> int:
        """Returns the exit status. Raises UsageError."""
        try:
            self._listen_for_signals()
            if self._terminal is not None:
                self._terminal.open()
            self._start()
            while not self._ended:
                self._ask_for_input()
                self._do_next()
        finally:
            if self._terminal is not None:
                self._terminal.close()
        return self.status

    def _start(self) -> None:
        """Begin to connect or to listen. Raises UsageError."""
        raise NotImplementedError

    def _do_next(self) -> None:
        left = _SIGNAL_POLL if self._deadline is None else self._deadline - time.monotonic()
        try:
            method, args = self._events.get(timeout=max(0.0, min(left, _SIGNAL_POLL)))
        except queue.Empty:
            if left <= _SIGNAL_POLL and self._deadline is not None:
                self.leave()
            return
        try:
            method(*args)
        except BrokenPipeError:  # nobody reads any more, as after `| head -n 1`
            discard_output()
            self.leave()
        except OSError as error:
            discard_output()
            self._complain(f'standard output: {described(error)}')
            self.leave()

    def _complain(self, text: str, fatal: bool = True) -> None:
        self._output.error(text)
        if fatal:
            self.status = 1

    # -- the connection ----------------------------------------------------------------------------------------------

    def _attach(self, ws: WebSocket) -> None:
        """Have all that happens to `ws` brought here."""
        ws.on('message', self._hand_over)
        ws.on('ping', self._later(self._on_ping))
        ws.on('pong', self._later(self._on_pong))
        ws.on('error', self._later(self._on_error))
        ws.on('close', self._later(self._on_close))

    def _hand_over(self, data: Message, flags: MessageFlags) -> None:
        """On the loop thread, which waits here while the output is slower than the peer."""
        self._room.acquire()
        self._events.put((self._on_message, (data, flags)))

    def _opened(self, ws: WebSocket, text: str) -> None:
        self._ws = ws
        self._closing = False
        self._output.status(text)
        for message in self.options.execute:
            self._send(message)
        early, self._typed_early = self._typed_early, []
        for entry in early:
            if self._terminal is not None and isinstance(entry, str):
                self._terminal.echo(entry)
            self._enter(entry)
        if self._terminal is not None:
            self._terminal.show()

    def _on_message(self, data: Message, flags: MessageFlags) -> None:
        self._room.release()
        self._output.detail(f'< {sized(data)}{", masked" if flags.masked else ""}')
        self._output.message(data)
        if not self.options.execute:
            self._wait_for_answers()

    def _on_ping(self, data: bytes) -> None:
        self._control_frame('ping', data)

    def _on_pong(self, data: bytes) -> None:
        self._control_frame('pong', data)

    def _control_frame(self, kind: str, data: bytes) -> None:
        if self.options.show_ping_pong:
            self._output.notice(f'Received {kind} (data: "{data.decode(errors="backslashreplace")}")')
        else:
            self._output.detail(f'< {kind}, {size_of(data)}')

    def _on_error(self, error: Exception) -> None:
        if not self._leaving:
            self._complain(described(error), fatal=self._ends_with_connection)

    def _on_close(self, code: int, reason: str) -> None:
        if self._ws is None:  # it never was open
            return
        self._ws = None
        self._output.detail('closed by us' if self._closing else 'closed by the peer')
        if self._terminal is not None:
            self._terminal.hide()
        self._output.status(f'Disconnected {ending(code, reason)}')

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        assert self._ws is not None
        if self.options.binary and isinstance(message, str):
            message = message.encode()
        self._unsent += 1
        self._output.detail(f'> {sized(message)}')
        self._ws.send(message, self._later(self._on_sent))

    def _on_sent(self, error: Optional[Exception]) -> None:
        self._unsent -= 1
        if error is not None and not self._closing and self.status == 0:
            lost = isinstance(error, (NotOpenError, ConnectionError))
            self._complain(_NOT_SENT if lost else described(error))
        self._wait_for_answers()

    def _wait_for_answers(self) -> None:
        """If nothing is left to send, answers have from now on as long as ``--wait`` says."""
        if self._input_ended and not self._unsent and not self._leaving and self.options.wait >= 0:
            self._deadline = time.monotonic() + self.options.wait

    # -- input -------------------------------------------------------------------------------------------------------

    def _ask_for_input(self) -> None:
        """A terminal is always listened to; a pipe is read when what it brings can be sent."""
        if self._reader is None or self._reading or self._input_ended or self._leaving:
            return
        if self._typed or (self._ws is not None and not self._unsent):
            self._reading = True
            self._reader.ask()

    def _on_input(self, data: bytes) -> None:
        self._reading = False
        try:
            for entry in self._source.feed(data):
                if self._leaving:
                    return
                if entry is END:
                    self._end_of_input()
                elif self._ws is None:
                    self._typed_early.append(entry)
                else:
                    self._enter(entry)
        except UnicodeError:
            self._complain('standard input is not UTF-8 text; --binary sends it as it is')
            self.leave()

    def _end_of_input(self) -> None:
        if self._values is not None and self._values.begun and not self._typed:
            self._complain('not JSON: it is incomplete')
        if self._typed:
            self.leave()
        else:
            self._input_ended = True
            self._wait_for_answers()

    def _enter(self, entry: Message) -> None:
        if self._closing:
            return
        if isinstance(entry, str) and self.options.slash and entry.startswith('/'):
            self._command(entry.rstrip('\r\n'))
        elif isinstance(entry, str) and self._values is not None:
            self._enter_json(self._values, entry)
        else:
            self._send(entry)

    def _enter_json(self, values: Values, line: str) -> None:
        try:
            text = values.add(line)
        except ValueError as error:
            self._complain(str(error), fatal=not self._typed)
        else:
            if text is not None:
                self._send(text)
        if self._terminal is not None:
            self._terminal.prompt = '. ' if values.begun else '> '

    def _command(self, line: str) -> None:
        assert self._ws is not None
        command, _, rest = line.partition(' ')
        try:
            if command == '/ping':
                self._ws.ping(rest)
            elif command == '/pong':
                self._ws.pong(rest)
            elif command == '/close':
                self._close_with(self._ws, rest.strip())
            else:
                raise ValueError('Unrecognized slash command.')
        except (ValueError, WebSocketError) as error:
            self._complain(str(error), fatal=not self._typed)

    def _close_with(self, ws: WebSocket, arguments: str) -> None:
        code, _, reason = arguments.partition(' ')
        if code and not code.isdecimal():
            raise ValueError(f'{code!r} is no close code')
        number = int(code[:5] or _NORMAL_CLOSURE)
        if not is_valid_error_code(number):
            raise ValueError(f'{code} is no close code that may be sent')
        close_reason(number, reason)
        ws.close(number, reason)
        self._closing = True

    # -- ending ------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Close the connection, and end when that is done."""
        self._deadline = None
        if not self._leaving:
            self._leaving = self._closing = True
            if self._terminal is not None:
                self._terminal.hide()
            self._close()

    def _close(self) -> None:
        raise NotImplementedError

    # -- signals -----------------------------------------------------------------------------------------------------

    def _listen_for_signals(self) -> None:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as for what a script starts in the background
            signal.signal(signal.SIGINT, self._on_interrupt)
        signal.signal(signal.SIGTERM, self._on_interrupt)
        if self._terminal is not None and sys.platform != 'win32':
            signal.signal(signal.SIGTSTP, self._later(self._suspend))
            signal.signal(signal.SIGWINCH, self._later(self._terminal.redraw))

    def _on_interrupt(self, *_: object) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._later(self.leave)()

    def _suspend(self, *_: object) -> None:
        """Ctrl-Z was typed: stop, with the terminal as it was."""
        assert self._terminal is not None
        self._terminal.close()
        if sys.platform != 'win32':  # which has no such key
            os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.open()


class Client(Session):
    """``wscat -c``."""

    _ends_with_connection = True

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._subprotocols = [name.strip() for listed in options.subprotocol for name in listed.split(',')]
        self._client_options = client_options(options)

    def _start(self) -> None:
        if self.options.verbose:
            show_handshake(self._later(self._output.detail))
        try:
            self._client = WebSocket(url_of(self.options.connect), self._subprotocols, self._client_options)
        except ssl.SSLError as error:
            raise UsageError(f'--ca, --cert, --key or --passphrase: {described(error)}') from None
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from None
        self._client.on('open', self._later(self._on_open))
        self._attach(self._client)

    def _on_open(self) -> None:
        if not self._leaving:
            self._opened(self._client, 'Connected (press CTRL+C to quit)')

    def _on_close(self, code: int, reason: str) -> None:
        was_open = self._ws is not None
        super()._on_close(code, reason)
        if was_open and not self._closing and self.status == 0:
            self._judge(code, reason)
        self._ended = True

    def _judge(self, code: int, reason: str) -> None:
        """The peer has closed the connection: does a script have to know?"""
        if code not in _GOOD_CODES:
            self.status = 1
            if not self._interactive:
                self._output.error(f'disconnected {ending(code, reason)}')
        elif self._unsent or self._input_is_left():
            self._complain(_NOT_SENT)

    def _input_is_left(self) -> bool:
        waiting = self._reading and not self._typed
        return waiting and self._reader is not None and self._reader.has_read(_LAST_LOOK)

    def _close(self) -> None:
        self._client.close(_NORMAL_CLOSURE)


class Server(Session):
    """``wscat -l``."""

    _ends_with_connection = False

    def _start(self) -> None:
        self._is_taken = False  # by a client; known to the loop thread only
        try:
            self._server = WebSocketServer(port=self.options.listen, closeTimeout=CLOSE_TIMEOUT)
        except (TypeError, ValueError) as error:
            raise UsageError(f'--listen: {error}') from None
        self._server.on('headers', self._on_headers)
        self._server.on('connection', self._admit)
        self._server.on('listening', self._later(self._on_listening))
        self._server.on('error', self._later(self._on_server_error))
        self._server.on('close', self._later(self._on_server_close))

    def _on_listening(self) -> None:
        address = self._server.address()
        if isinstance(address, Options):
            self._output.status(f'Listening on port {address.port} (press CTRL+C to quit)')

    def _on_headers(self, lines: list[str], request: Request) -> None:
        """On the loop thread, with the lines of the answer."""
        detail = self._later(self._output.detail)
        detail(f'< {request.method} {request.url} HTTP/{request.httpVersion}')
        for name, value in zip(request.rawHeaders[::2], request.rawHeaders[1::2]):
            detail(f'< {name}: {value}')
        for line in lines:
            detail(f'> {line}')

    def _admit(self, ws: WebSocket) -> None:
        """On the loop thread."""
        if self._is_taken:
            ws.close(_TRY_AGAIN_LATER, 'wscat talks to one client at a time')
            return
        self._is_taken = True
        ws.on('close', self._release)
        self._attach(ws)
        self._later(self._opened)(ws, 'Client connected')

    def _release(self) -> None:
        self._is_taken = False

    def _on_server_error(self, error: Exception) -> None:
        self._complain(described(error))
        self._ended = True

    def _on_server_close(self) -> None:
        self._ended = True

    def _close(self) -> None:
        self._server.close(_NORMAL_CLOSURE)


def show_handshake(show: Callable[[str], object]) -> None:
    """Have `show` called with each line of a client's opening handshake."""
    log = logging.getLogger('ws.handshake')
    log.setLevel(logging.DEBUG)
    log.addHandler(_Details(show))


class _Details(logging.Handler):
    """Passes log messages on."""

    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__()
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show(record.getMessage())
