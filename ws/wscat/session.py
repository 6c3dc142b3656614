"""A session: one connection at a time, what is sent there and what comes back, and how all of it ends.

The main thread is the only one that writes, and the only one that decides: what the loop thread hears of the
connection, and what a thread of its own reads from standard input, arrives there through one queue.
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

from ..errors import NotOpenError, WebSocketError
from ..events import fitted
from ..protocol.receiver import MessageFlags
from .characters import is_text
from .commands import COMMANDS, Connection, carry_out
from .editor import END
from .history import History
from .input import Lines, Pieces, Reader, Values
from .output import Message, Output, described, discard_output, ending, size_of, sized
from .record import RecordError
from .signals import SIGNAL_POLL, EndSignals, Interrupted
from .terminal import Terminal, are_terminals

#: How many messages may wait to be written out before reading is held up.
_MAX_WAITING = 256
#: How long, in seconds, to look for piped input that could not be sent any more.
_LAST_LOOK = 0.5

NOT_SENT = 'the connection was closed before everything was sent'


class Session:
    """One connection at a time, what is sent there, and how all of it ends. Runs on the main thread."""

    #: Whether it is about one connection only.
    _ends_with_connection: bool

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.status: int = 0
        self._events: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = queue.SimpleQueue()
        self._room = threading.Semaphore(_MAX_WAITING)
        self._ws: Optional[Connection] = None
        self._has_been_open = False  # some connection
        self._closing = False  # the connection, by us
        self._leaving = False
        self._signals = EndSignals(self._later(self._leave_early))
        self._killed_by: Optional[int] = None  # what is to be told by the way wscat ends
        self._ended = False
        self._deadline: Optional[float] = None  # when to leave
        self._unsent = 0
        self._set_up_input()

    def _set_up_input(self) -> None:
        options = self.options
        typed = are_terminals(sys.stdin)
        # What is typed and is no text is refused line by line; a pipe that brings such a thing is not read on.
        encoding, errors = (sys.stdin.encoding, 'surrogateescape') if typed else ('utf-8', 'strict')
        self._interactive = typed and are_terminals(sys.stdout) and not options.execute and not options.raw
        self._terminal: Optional[Terminal] = None
        self._source: Union[Terminal, Lines, Pieces]
        if self._interactive and Terminal.usable(sys.stdin, sys.stdout):
            commands = sorted(COMMANDS) if options.slash else ()
            self._source = self._terminal = Terminal(sys.stdin, sys.stdout, commands, self._history())
        elif options.raw or (options.binary and not typed):
            self._source = Pieces(None if options.binary else encoding, errors)
        else:
            self._source = Lines(encoding, errors)
        self._output = Output(options, self._terminal, self._interactive)
        self._values = Values() if options.json else None
        self._typed = typed
        self._typed_early: list[Message] = []
        self._input_ended = bool(options.execute)
        self._reading = False
        self._reader = Reader(self._later(self._on_input)) if not self._input_ended else None

    def _history(self) -> Optional[History]:
        file = self.options.history
        if file is None:
            return None
        return History(None if file is True else file, self._later(self._warn))

    def _warn(self, text: str) -> None:
        self._complain(text, fatal=False)

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _later(self, method: Callable[..., object]) -> Callable[..., None]:
        """A function for other threads and for signal handlers, which has `method` called by :meth:`run`."""
        method = fitted(method, self)
        return lambda *args: self._events.put((method, args))

    def run(self) -> int:
        """Returns the exit status. Raises UsageError, and Interrupted."""
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
            self._output.close()
        if self._killed_by is not None:
            raise Interrupted(self._killed_by)
        return self.status

    def _start(self) -> None:
        """Begin to connect or to listen. Raises UsageError."""
        raise NotImplementedError

    def _do_next(self) -> None:
        left = SIGNAL_POLL if self._deadline is None else self._deadline - time.monotonic()
        try:
            method, args = self._events.get(timeout=max(0.0, min(left, SIGNAL_POLL)))
        except queue.Empty:
            if left <= SIGNAL_POLL and self._deadline is not None:
                self.leave()
            return
        try:
            method(*args)
        except BrokenPipeError:  # nobody reads any more, as after `| head -n 1`
            discard_output()
            self.leave()
        except RecordError as error:
            self._complain(str(error))
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

    def _attach(self, ws: Connection) -> None:
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

    def _opened(self, ws: Connection, messages: Sequence[str]) -> None:
        """There is a connection, and these are the first messages to be sent there."""
        self._ws = ws
        self._has_been_open = True
        self._closing = False
        for message in messages:
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
        self._tell_ending(code, reason)

    def _tell_ending(self, code: int, reason: str) -> None:
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
        if error is not None and self.status == 0:
            lost = isinstance(error, (NotOpenError, ConnectionError))
            self._complain(NOT_SENT if lost else described(error))
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
            if self._typed_early:
                self._complain(NOT_SENT)
            self.leave()
        else:
            self._input_ended = True
            self._wait_for_answers()

    def _enter(self, entry: Message) -> None:
        if self._closing:
            return
        if isinstance(entry, str) and not is_text(entry):
            self._complain(f"not sent: it is no text in this terminal's encoding, {sys.stdin.encoding}", fatal=False)
        elif isinstance(entry, str) and self.options.slash and entry.startswith('/'):
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
        try:
            self._closing = carry_out(line, self._ws)
        except (ValueError, WebSocketError) as error:
            self._complain(str(error), fatal=not self._typed)

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

    def _is_something_left(self) -> bool:
        """Whether there is what was to be sent, and was not even begun with."""
        unsent = self.options.execute and not self._has_been_open
        return bool(unsent or self._typed_early) or self._input_is_left()

    def _input_is_left(self) -> bool:
        if self._reader is None or self._typed or self._input_ended:
            return False
        if not self._reading:
            self._reading = True
            self._reader.ask()
        return self._reader.has_read(_LAST_LOOK)

    # -- signals -----------------------------------------------------------------------------------------------------

    def _listen_for_signals(self) -> None:
        self._signals.listen()
        if self._terminal is not None and sys.platform != 'win32':
            signal.signal(signal.SIGTSTP, self._later(self._suspend))
            signal.signal(signal.SIGWINCH, self._later(self._terminal.redraw))

    def _leave_early(self, number: int) -> None:
        if self._leaving:
            return
        if self._is_something_left():
            self._complain('interrupted before everything was sent')
        elif self._is_connecting():
            self._killed_by = number
        self.leave()

    def _is_connecting(self) -> bool:
        raise NotImplementedError

    def _suspend(self, *_: object) -> None:
        """Ctrl-Z was typed: stop, with the terminal as it was."""
        assert self._terminal is not None
        self._terminal.close()
        if sys.platform != 'win32':  # which has no such key
            os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.open()
