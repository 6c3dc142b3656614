"""What is written: messages and whatever else there is to tell."""

from __future__ import annotations

import argparse
import io
import json
import os
import ssl
import sys
from datetime import datetime
from typing import Optional, TextIO, Union

from .characters import visible
from .record import Record, RecordError
from .terminal import Terminal, are_terminals

#: How many bytes of a binary message are shown on a terminal.
_MAX_SHOWN = 1024

#: Where it stands in a time in ISO 8601, with milliseconds.
_TIME_OF_DAY = slice(11, 23)

_GREEN, _YELLOW, _BLUE = 32, 33, 34

Message = Union[str, bytes]


class Output:
    """Decides what is written where, and how it looks.

    Raises OSError if standard output takes no more, and RecordError if the file of ``--output`` doesn't.
    """

    def __init__(self, options: argparse.Namespace, terminal: Optional[Terminal], interactive: bool) -> None:
        self._options = options
        self._terminal = terminal
        self._interactive = interactive
        self._as_is = options.raw or not are_terminals(sys.stdout)
        self._record = Record(options.output) if options.output is not None else None
        self._coloured = not (options.no_color or os.environ.get('NO_COLOR') or os.environ.get('TERM') == 'dumb')
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors='backslashreplace')

    def status(self, text: str) -> None:
        """What happens to the connection."""
        if self._interactive:
            self._write(sys.stdout, text, _GREEN)
        else:
            self.detail(text)

    def close(self) -> None:
        if self._record is not None:
            self._record.close()

    def announce(self, text: str) -> None:
        """What happens to the connection, and has to be known even where nobody types."""
        if self._interactive or self._options.verbose:
            self.status(text)
        else:
            self._write(sys.stderr, text)

    def notice(self, text: str) -> None:
        """What came in besides messages."""
        if self._interactive:
            self._write(sys.stdout, text, _BLUE, '< ')
        else:
            self._write(sys.stderr, text, None, '< ')

    def detail(self, text: str) -> None:
        """What -v asks for."""
        if self._options.verbose:
            self._write(sys.stderr, text, None, '* ')

    def error(self, text: str) -> None:
        self._write(sys.stderr, text, _YELLOW, 'error: ')

    def message(self, data: Message) -> None:
        if self._record is not None:
            self._add_to(self._record, data)
        if self._options.json and isinstance(data, str):
            data = laid_out(data)
        if self._as_is:
            self._pass_on(data)
        elif self._interactive:
            self._write(sys.stdout, shown(data), _BLUE, '< ', keep='\n\t')
        else:
            self._write(sys.stdout, shown(data), keep='\n\t')

    def _add_to(self, record: Record, data: Message) -> None:
        try:
            record.add(self._as_it_is(data))
        except RecordError:
            self.close()
            self._record = None  # it is told once
            raise

    def _pass_on(self, data: Message) -> None:
        if isinstance(data, str):
            data = self._time(sys.stdout) + data
        sys.stdout.buffer.write(self._as_it_is(data))
        sys.stdout.buffer.flush()

    def _as_it_is(self, data: Message) -> bytes:
        """A binary message, or a line; without the end of that, if there is ``--raw``."""
        if isinstance(data, bytes):
            return data
        return data.encode(errors='backslashreplace') + (b'' if self._options.raw else b'\n')

    def _time(self, stream: TextIO) -> str:
        """What stands before all else, if ``--timestamps`` asks for it."""
        if not self._options.timestamps:
            return ''
        now = datetime.now().astimezone().isoformat(timespec='milliseconds')
        return (now[_TIME_OF_DAY] if are_terminals(stream) else now) + ' '

    def _write(self, stream: TextIO, text: str, colour: Optional[int] = None, lead: str = '', keep: str = '') -> None:
        """Write `text` behind `lead`; what `keep` has of ``\\n`` begins lines that are indented as far as that."""
        lead = self._time(stream) + lead
        text = lead + visible(text, keep).replace('\n', '\n' + ' ' * len(lead))
        if colour and self._coloured and are_terminals(stream):
            text = f'\x1b[{colour}m{text}\x1b[39m'
        try:
            self._put(stream, text + '\n')
        except OSError:
            if stream is sys.stdout:
                raise
            # There is nobody left to tell.

    def _put(self, stream: TextIO, text: str) -> None:
        if self._terminal is not None:
            self._terminal.write(text, stream)
        else:
            stream.write(text)
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
        lines.append(f'and {size_of(data[_MAX_SHOWN:])} more')
    return '\n'.join(lines)


def _row(row: bytes) -> str:
    text = ''.join(chr(byte) if 0x20 <= byte < 0x7F else '.' for byte in row)
    return f'{row.hex(" "):47}  {text}'


def size_of(data: bytes) -> str:
    return '1 byte' if len(data) == 1 else f'{len(data)} bytes'


def sized(data: Message) -> str:
    """What kind of message this is, and its size."""
    return f'text, {size_of(data.encode())}' if isinstance(data, str) else f'binary, {size_of(data)}'


def described(error: BaseException) -> str:
    """What went wrong, in one line and without what only a programmer wants to know."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f'certificate verify failed: {error.verify_message}'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def ending(code: int, reason: str) -> str:
    return f'(code: {code}, reason: "{reason}")'


def print_text(text: str) -> None:
    """On standard output, if anybody reads it."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Standard output is broken: have what Python may still write there vanish without a complaint."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
