"""wscat: talk to a WebSocket server, or be one, from a terminal or a pipe. ``wscat -h`` says how.

A session's main thread is the only one that writes, and the only one that decides: what the loop thread hears of the
connection, and what a thread of its own reads from standard input, arrives there through one queue.
"""

from __future__ import annotations

import argparse
import codecs
import getpass
import importlib.metadata
import io
import json
import logging
import os
import queue
import re
import signal
import ssl
import sys
import threading
import time
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from configparser import ConfigParser
from pathlib import Path
from typing import Any, Optional, TextIO, Union

from .errors import WebSocketError
from .protocol.error_codes import is_valid_error_code
from .protocol.http import Request
from .protocol.receiver import MessageFlags
from .terminal import END, Terminal, are_terminals, visible
from .websocket import WebSocket, close_reason
from .websocket_server import WebSocketServer

HELP = """\
Usage: wscat [options] (-c URL | -l PORT)

Sends each line you type as a message, and shows each message that comes in.

  -c, --connect URL           connect to a server; "localhost:8080" stands for "ws://localhost:8080"
  -l, --listen PORT           be a server, for one client at a time

Messages
  -x, --execute MESSAGE       send this and nothing else; repeat it to send several
  -w, --wait SECONDS          when to close: this long after -x, or once no answer to piped input has come for so long
                              (default: 2; -1: never)
      --binary                send binary messages; piped input goes as it comes, not line by line
      --json                  send JSON, each value of one or more lines a message; lay out what comes in
      --raw                   everything as it comes: line ends are sent, too, and nothing is added to the output
      --slash                 lines can be commands: /ping [DATA], /pong [DATA], /close [CODE [REASON]]

Handshake
  -s, --subprotocol NAME      a subprotocol to offer; repeat it to offer several
  -o, --origin ORIGIN         the Origin header
      --host HOST             the Host header
  -H, --header NAME:VALUE     another header; repeat it to set several
      --auth USER:PASSWORD    the Authorization header of basic authentication
  -p, --protocol VERSION      protocol version, 13 (default) or 8
      --proxy [http://][USER:PASSWORD@]HOST[:PORT]
                              connect through an HTTP proxy, by its CONNECT method
  -L, --location              follow redirects: not possible yet
      --max-redirects [N]     how many of them: not possible yet

TLS
      --ca FILE               certificates of the authorities to trust, instead of the system's
      --cert FILE             certificate of this client
      --key FILE              its private key
      --passphrase [TEXT]     the key's passphrase; without TEXT you are asked for it
  -n, --no-check              take any certificate of the server

Output
  -P, --show-ping-pong        show pings and pongs
  -v, --verbose               show handshakes, close codes and the kinds and sizes of messages, on standard error
      --no-color              no colours; there are none either if NO_COLOR is set, or without a terminal

  -V, --version               show the version
  -h, --help                  show this help

On a terminal, control characters in messages are shown as escape sequences, binary messages in hexadecimal digits.
Into a pipe, text messages are written as lines in UTF-8, binary messages as they are.

Ctrl-C, and Ctrl-D on an empty line, close the connection and end wscat; a second Ctrl-C doesn't wait for the peer.

Exit status
  0   the connection was closed from here, or by the peer with code 1000, 1001 or none
  1   it could not be made, broke, or was closed by the peer with another code; or not all input could be sent
  2   wrong usage

Examples
  wscat -c localhost:8080
  wscat -c wss://example.org/chat -s chat -H 'Cookie: id=42'
  wscat -c localhost:8080 -x '{"get": "time"}' --json -w 0.5
  wscat -c localhost:8080 <questions.txt >answers.txt
  wscat -l 8080 -v
"""

#: Close codes by which a peer says that all is well (RFC 6455 section 7.4.1).
_GOOD_CODES = (1000, 1001, 1005)
_NORMAL_CLOSURE = 1000
_TRY_AGAIN_LATER = 1013
#: How long, in milliseconds, the peer may take to answer a close frame.
_CLOSE_TIMEOUT = 2000
#: How many messages may wait to be written out before reading is held up.
_MAX_WAITING = 256
#: How many bytes of standard input are read at once.
_READ_SIZE = 65536
#: How many bytes of a binary message are shown on a terminal.
_MAX_SHOWN = 1024
#: How often, in seconds, a waiting main thread looks for Ctrl-C where the platform can't interrupt a lock.
_INTERRUPT_POLL = 0.5 if sys.platform == 'win32' else None

_GREEN, _YELLOW, _BLUE = 32, 33, 34

Message = Union[str, bytes]


class UsageError(Exception):
    """The command line asks for what can't be done."""


# -- options -----------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(message)


def parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    """The options of a command line, checked as far as that needs nothing else. Raises UsageError."""
    options = _parser().parse_args(arguments)
    if options.listen is not None and options.connect is not None:
        raise UsageError('use either --listen or --connect')
    if options.location or options.max_redirects is not None:
        raise UsageError('--location: redirects can not be followed yet')
    if options.listen is not None:
        for name in _CONNECT_ONLY:
            if getattr(options, name) not in (None, False, []):
                raise UsageError(f'--{name.replace("_", "-")} works with --connect only')
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='wscat', add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add('-c', '--connect')
    add('-l', '--listen', type=int)
    add('-x', '--execute', action='append', default=[])
    add('-w', '--wait', type=float, default=2.0)
    add('--binary', action='store_true')
    add('--json', action='store_true')
    add('--raw', action='store_true')
    add('--slash', action='store_true')
    add('-s', '--subprotocol', action='append', default=[])
    add('-o', '--origin')
    add('--host')
    add('-H', '--header', action='append', default=[])
    add('--auth')
    add('-p', '--protocol', type=int, choices=(8, 13))
    add('--proxy')
    add('-L', '--location', action='store_true')
    add('--max-redirects', type=int, nargs='?', const=10)
    add('--ca')
    add('--cert')
    add('--key')
    add('--passphrase', nargs='?', const=True)
    add('-n', '--no-check', action='store_true')
    add('-P', '--show-ping-pong', action='store_true')
    add('-v', '--verbose', action='store_true')
    add('--no-color', action='store_true')
    add('-V', '--version', action='store_true')
    add('-h', '--help', action='store_true')
    return parser


_CONNECT_ONLY = (
    'subprotocol', 'origin', 'host', 'header', 'auth', 'protocol', 'proxy',
    'ca', 'cert', 'key', 'passphrase', 'no_check',
)  # fmt: skip


def url_of(text: str) -> str:
    """A URL as people write it: without a scheme it is a ``ws:`` one."""
    return text if '://' in text or text.startswith('ws+unix:') else f'ws://{text}'


def client_options(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line says, as options of WebSocket. Raises UsageError. May ask for the passphrase."""
    return {
        'protocolVersion': options.protocol,
        'origin': options.origin,
        'host': options.host,
        'headers': _headers(options),
        'closeTimeout': _CLOSE_TIMEOUT,
        'ca': _contents('ca', options.ca),
        'cert': _contents('cert', options.cert),
        'key': _contents('key', options.key),
        'passphrase': _ask_for_passphrase() if options.passphrase is True else options.passphrase,
        'rejectUnauthorized': not options.no_check,
    }


def _headers(options: argparse.Namespace) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    names: dict[str, str] = {}  # in lower case -> as first given
    for header in options.header:
        name, colon, value = header.partition(':')
        if not colon:
            raise UsageError(f'--header: {header!r} is not like NAME:VALUE')
        name = names.setdefault(name.strip().lower(), name.strip())
        headers.setdefault(name, []).append(value.strip())
    if options.auth is not None:
        headers.pop(names.get('authorization', ''), None)
        headers['Authorization'] = ['Basic ' + b64encode(os.fsencode(options.auth)).decode('ascii')]  # RFC 7617
    return headers


def _contents(option: str, file: Optional[str]) -> Optional[bytes]:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f'--{option}: {file}: {error.strerror}') from None


def _ask_for_passphrase() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter('error', getpass.GetPassWarning)
        try:
            return getpass.getpass('Passphrase: ')
        except (EOFError, getpass.GetPassWarning):
            raise UsageError('--passphrase: there is no terminal to ask for it') from None


def version() -> str:
    """The version of this package, also where it runs from a checkout."""
    try:
        return importlib.metadata.version('node-ws')
    except importlib.metadata.PackageNotFoundError:
        metadata = ConfigParser()
        metadata.read(Path(__file__).parent.parent / 'setup.cfg', encoding='utf-8')
        return metadata.get('metadata', 'version', fallback='unknown')


# -- input -------------------------------------------------------------------------------------------------------------


class Lines:
    """Lines of text, as a pipe delivers them piece by piece."""

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)('strict')
        self._begun: list[str] = []

    def feed(self, data: bytes) -> Iterator[Optional[str]]:
        """The lines that `data` completes; if there is none, the rest and END. Raises UnicodeError."""
        first, *others = self._decoder.decode(data, final=not data).split('\n')
        self._begun.append(first)
        for begun in others:
            yield self._finish()
            self._begun = [begun]
        if not data:
            if any(self._begun):
                yield self._finish()
            yield END

    def _finish(self) -> str:
        return ''.join(self._begun).removesuffix('\r')


class Pieces:
    """What a pipe delivers, as it comes, with or without an encoding."""

    def __init__(self, encoding: Optional[str]) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)('strict') if encoding else None

    def feed(self, data: bytes) -> Iterator[Union[str, bytes, None]]:
        """As :meth:`Lines.feed`."""
        piece = self._decoder.decode(data, final=not data) if self._decoder else data
        if piece:
            yield piece
        if not data:
            yield END


_drop_strings = re.compile(r'"(?:[^"\\]|\\.)*"').sub


class Values:
    """Puts lines together until they are JSON."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = 0
        self._tried = 0

    @property
    def begun(self) -> bool:
        """Whether there is something that is not JSON yet."""
        return bool(self._lines)

    def add(self, line: str) -> Optional[str]:
        """The text that `line` completes, or None. Raises ValueError for what can't become JSON; it is forgotten."""
        if not (line.strip() or self._lines):
            return None
        self._lines.append(line)
        bare = _drop_strings('', line)
        self._depth += sum(map(bare.count, '[{')) - sum(map(bare.count, ']}'))
        size = sum(map(len, self._lines))
        if self._depth > 0 and size < 2 * self._tried:  # so that many lines don't take quadratic time
            return None
        self._tried = size
        return self._try()

    def _try(self) -> Optional[str]:
        text = '\n'.join(self._lines)
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()):
                return None
            self._forget()
            raise ValueError(f'not JSON: {error}') from None
        except RecursionError:
            self._forget()
            raise ValueError('not JSON: too many levels') from None
        self._forget()
        return text

    def _forget(self) -> None:
        self._lines, self._depth, self._tried = [], 0, 0


class Reader:
    """Reads standard input on a thread of its own, one piece each time it is asked to."""

    def __init__(self, deliver: Callable[[bytes], object]) -> None:
        self._deliver = deliver
        self._asked = threading.Semaphore(0)
        threading.Thread(target=self._run, name='wscat-reader', daemon=True).start()

    def ask(self) -> None:
        self._asked.release()

    def _run(self) -> None:
        data = b'-'
        while data:
            self._asked.acquire()
            try:
                # Not sys.stdin's buffer, whose lock would be held when the process ends.
                data = os.read(0, _READ_SIZE)
            except OSError:  # the terminal is gone
                data = b''
            self._deliver(data)


# -- output ------------------------------------------------------------------------------------------------------------


class Output:
    """Decides what is written where, and how it looks. Raises OSError if standard output takes no more."""

    def __init__(self, options: argparse.Namespace, terminal: Optional[Terminal], interactive: bool) -> None:
        self._options = options
        self._terminal = terminal
        self._interactive = interactive
        self._as_is = options.raw or not are_terminals(sys.stdout)
        self._coloured = not (options.no_color or os.environ.get('NO_COLOR') or os.environ.get('TERM') == 'dumb')
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors='backslashreplace')

    def status(self, text: str) -> None:
        """What happens to the connection: for a person only."""
        if self._interactive:
            self._write(sys.stdout, text, _GREEN)

    def notice(self, text: str) -> None:
        """What came in besides messages."""
        if self._interactive:
            self._write(sys.stdout, f'< {text}', _BLUE)
        else:
            self._write(sys.stderr, f'< {text}')

    def detail(self, text: str) -> None:
        """What -v asks for."""
        if self._options.verbose:
            self._write(sys.stderr, f'* {text}')

    def error(self, text: str) -> None:
        self._write(sys.stderr, f'error: {text}', _YELLOW)

    def message(self, data: Message) -> None:
        if self._options.json and isinstance(data, str):
            data = laid_out(data)
        if self._as_is:
            self._pass_on(data)
        elif self._interactive:
            self._write(sys.stdout, '< ' + shown(data).replace('\n', '\n  '), _BLUE)
        else:
            self._write(sys.stdout, shown(data))

    def _pass_on(self, data: Message) -> None:
        if isinstance(data, str):
            data = data.encode(errors='backslashreplace') + (b'' if self._options.raw else b'\n')
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def _write(self, stream: TextIO, text: str, colour: Optional[int] = None) -> None:
        text = visible(text, keep='\n\t')
        if colour and self._coloured and are_terminals(stream):
            text = f'\x1b[{colour}m{text}\x1b[39m'
        if self._terminal is not None:
            self._terminal.write(text + '\n', stream)
        else:
            stream.write(text + '\n')
            stream.flush()


def laid_out(text: str) -> str:
    """JSON with line breaks and indentation; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def shown(data: Message) -> str:
    """A message as a terminal shows it."""
    if isinstance(data, str):
        return data
    rows = [data[place : place + 16] for place in range(0, min(len(data), _MAX_SHOWN), 16)]
    lines = [f'{sized(data)}:'] + [f'{16 * number:04x}  {_row(row)}' for number, row in enumerate(rows)]
    if len(data) > _MAX_SHOWN:
        lines.append(f'and {len(data) - _MAX_SHOWN} bytes more')
    return '\n'.join(lines)


def _row(row: bytes) -> str:
    text = ''.join(chr(byte) if 0x20 <= byte < 0x7F else '.' for byte in row)
    return f'{row.hex(" "):47}  {text}'


def sized(data: Message) -> str:
    """What kind of message this is, and its size."""
    size = len(data.encode(errors='surrogatepass')) if isinstance(data, str) else len(data)
    return f'{"text" if isinstance(data, str) else "binary"}, {size} {"byte" if size == 1 else "bytes"}'


def described(error: BaseException) -> str:
    """What went wrong, in one line and without what only a programmer wants to know."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f'certificate verify failed: {error.verify_message}'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def ending(code: int, reason: str) -> str:
    return f'(code: {code}, reason: "{reason}")'


# -- sessions ----------------------------------------------------------------------------------------------------------


class Session:
    """One connection at a time, what is sent there, and how all of it ends. Runs on the main thread."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.status = 0
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
        self._interactive = typed and are_terminals(sys.stdout) and not options.execute and not options.raw
        self._terminal: Optional[Terminal] = None
        self._source: Union[Terminal, Lines, Pieces]
        if self._interactive and Terminal.usable(sys.stdin, sys.stdout):
            self._source = self._terminal = Terminal(sys.stdin, sys.stdout)
        elif options.raw or (options.binary and not typed):
            self._source = Pieces(None if options.binary else 'utf-8')
        else:
            self._source = Lines(sys.stdin.encoding if typed else 'utf-8')
        self._output = Output(options, self._terminal, self._interactive)
        self._values = Values() if options.json else None
        self._typed = typed
        self._typed_early = b''
        self._input_ended = bool(options.execute)
        self._reading = False
        self._reader = Reader(self._later(self._on_input)) if not self._input_ended else None

    # -- the queue ---------------------------------------------------------------------------------------------------

    def _later(self, method: Callable[..., object]) -> Callable[..., None]:
        """A function for other threads and for signal handlers, which has `method` called by :meth:`run`."""
        return lambda *args: self._events.put((method, args))

    def start(self) -> None:
        """Begin to connect or to listen. Raises UsageError."""
        raise NotImplementedError

    def run(self) -> int:
        """Returns the exit status."""
        try:
            self._listen_for_signals()
            if self._terminal is not None:
                self._terminal.open()
            while not self._ended:
                self._ask_for_input()
                self._do_next()
        finally:
            if self._terminal is not None:
                self._terminal.close()
        return self.status

    def _do_next(self) -> None:
        timeout = _INTERRUPT_POLL
        if self._deadline is not None:
            timeout = max(0.0, self._deadline - time.monotonic())
        try:
            method, args = self._events.get(timeout=timeout)
        except queue.Empty:
            if self._deadline is not None:
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
        if self._terminal is not None:
            self._terminal.show()
        for message in self.options.execute:
            self._send(message)
        early, self._typed_early = self._typed_early, b''
        if early:
            self._feed(early)

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
            self._output.detail(f'< {kind}, {len(data)} bytes')

    def _on_error(self, error: Exception) -> None:
        if not self._leaving:
            self._complain(described(error))

    def _on_close(self, code: int, reason: str) -> None:
        if self._ws is None:  # it never was open
            return
        self._ws = None
        self._output.detail(f'closed by {"us" if self._closing else "the peer"} {ending(code, reason)}')
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
            self._complain('the connection was closed before everything was sent')
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
        if self._leaving:
            return
        if self._ws is not None:
            self._feed(data)
        elif not data or (self._terminal is not None and b'\x04' in data):
            self.leave()
        else:
            self._typed_early += data

    def _feed(self, data: bytes) -> None:
        try:
            for entry in self._source.feed(data):
                if entry is END:
                    self._end_of_input()
                    return
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
        if self._closing or self._ws is None:
            return
        if isinstance(entry, str) and self.options.slash and entry.startswith('/'):
            self._command(entry)
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
        number = int(code or _NORMAL_CLOSURE)
        if not is_valid_error_code(number):
            raise ValueError(f'{number} is no close code that may be sent')
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
        if self._terminal is not None:
            signal.signal(signal.SIGTSTP, self._later(self._suspend))
            signal.signal(signal.SIGWINCH, self._later(self._terminal.refresh))

    def _on_interrupt(self, *_: object) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        self._later(self.leave)()

    def _suspend(self, *_: object) -> None:
        """Ctrl-Z was typed: stop, with the terminal as it was."""
        assert self._terminal is not None
        self._terminal.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._terminal.open()


class Client(Session):
    """``wscat -c``."""

    def start(self) -> None:
        options = self.options
        if options.verbose:
            show_handshake(self._later(self._output.detail))
        subprotocols = [name.strip() for listed in options.subprotocol for name in listed.split(',')]
        try:
            self._client = WebSocket(url_of(options.connect), subprotocols, client_options(options))
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
        if was_open and not self._closing and code not in _GOOD_CODES and self.status == 0:
            self.status = 1
            if not self._interactive:
                self._output.error(f'disconnected {ending(code, reason)}')
        self._ended = True

    def _close(self) -> None:
        self._client.close(_NORMAL_CLOSURE)


class Server(Session):
    """``wscat -l``."""

    def start(self) -> None:
        self._is_taken = False  # by a client; known to the loop thread only
        try:
            self._server = WebSocketServer(port=self.options.listen, closeTimeout=_CLOSE_TIMEOUT)
        except (TypeError, ValueError) as error:
            raise UsageError(f'--listen: {error}') from None
        self._server.on('headers', self._on_headers)
        self._server.on('connection', self._admit)
        self._server.on('listening', self._later(self._on_listening))
        self._server.on('error', self._later(self._on_server_error))
        self._server.on('close', self._later(self._on_server_close))

    def _on_listening(self) -> None:
        address = self._server.address()
        if address is not None:
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


# -- the program -------------------------------------------------------------------------------------------------------


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run wscat with these arguments, or with those of the command line; returns the exit status."""
    try:
        return _run(parse(arguments))
    except UsageError as error:
        print(f'error: {visible(str(error))}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # Ctrl-C again, or before there was a connection to close: end as killed by it, which is 130 in a shell.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        return 1


def _run(options: argparse.Namespace) -> int:
    if options.version:
        return _print(version())
    if options.help or (options.connect is None and options.listen is None):
        return _print(HELP.rstrip())
    session = Client(options) if options.connect is not None else Server(options)
    session.start()
    return session.run()


def _print(text: str) -> int:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()
    return 0


def discard_output() -> None:
    """Standard output is broken: have what Python may still write there vanish without a complaint."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


if __name__ == '__main__':
    sys.exit(main())
