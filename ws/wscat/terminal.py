"""A terminal: at its bottom a line that is being typed, above it what comes in meanwhile. Knows no WebSockets.

The line is edited here and not by readline, because nothing of Python's can tell readline that the screen has changed
under its line: what came in would be written into it, or the line be lost.
"""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Optional, TextIO

try:
    import termios as found
except ImportError:  # Windows
    found = None  # type: ignore[assignment]
#: For a type checker that looks at Windows, the module is there and has no names.
termios: Any = found

# What a terminal would obey, or what would change the order of what is read: control characters, the marks of
# bidirectional text, line and paragraph separators, and halves of surrogate pairs.
_find_control = re.compile('[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')

# One key: an escape sequence, as much ordinary text as there is, or a control character. A sequence that has not come
# whole yet is none of them.
_match_key = re.compile('\x1b(?:\\[[0-?]*[ -/]*[^ -?]|O[\\s\\S]|[^[O])|[^\x00-\x08\x0a-\x1f\x7f]+|[^\x1b]').match
_last_word = re.compile(r'\w*\W*\Z')
_match_word = re.compile(r'\W*\w*').match

#: What Terminal.feed yields when the line is empty and Ctrl-D was typed.
END = None


def visible(text: str, keep: str = '') -> str:
    """`text` with an escape sequence like ``\\x1b`` for each control character that is not in `keep`."""
    return _find_control.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode('unicode_escape').decode('ascii')


def width_of(character: str) -> int:
    """How many columns a terminal gives to `character`, which is no control character."""
    if unicodedata.combining(character) or unicodedata.category(character) in ('Mn', 'Me', 'Cf'):
        return 0
    return 2 if unicodedata.east_asian_width(character) in 'WF' else 1


class LineEditor:
    """A line of text with a cursor, and the lines before it. Takes keys, gives finished lines."""

    def __init__(self) -> None:
        self.text: str = ''
        #: Where the next character goes.
        self.cursor: int = 0
        self._unread = ''  # the beginning of an escape sequence
        self._history: list[str] = []
        self._place = 0  # in the history; past its end for the line that is new
        self._draft = ''  # that line, while an old one is shown
        self._killed = ''

    def feed(self, keys: str) -> Iterator[Optional[str]]:
        """Type `keys`; yields each finished line, and END for Ctrl-D on an empty one."""
        keys = self._unread + keys
        place = 0
        while True:
            match = _match_key(keys, place)
            if match is None:
                break
            place = match.end()
            key = match[0]
            if key in ('\r', '\n'):
                yield self._finish()
            elif key == '\x04' and not self.text:
                yield END
            elif key in _ACTIONS:
                _ACTIONS[key](self)
            elif key >= ' ' or key[0] == '\t':
                self._insert(key)
        self._unread = keys[place:]

    def _finish(self) -> str:
        line = self.text
        if line and line not in self._history[-1:]:
            self._history.append(line)
        self._place = len(self._history)
        self.text, self.cursor = '', 0
        return line

    def _insert(self, text: str) -> None:
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    # -- moving ------------------------------------------------------------------------------------------------------

    def _left(self) -> None:
        self.cursor = max(0, self.cursor - 1)

    def _right(self) -> None:
        self.cursor = min(len(self.text), self.cursor + 1)

    def _to_start(self) -> None:
        self.cursor = 0

    def _to_end(self) -> None:
        self.cursor = len(self.text)

    def _word_left(self) -> None:
        self.cursor = self._start_of_word()

    def _word_right(self) -> None:
        self.cursor = self._end_of_word()

    def _start_of_word(self) -> int:
        match = _last_word.search(self.text[: self.cursor])
        return match.start() if match else 0

    def _end_of_word(self) -> int:
        match = _match_word(self.text, self.cursor)
        return match.end() if match else len(self.text)

    # -- deleting ----------------------------------------------------------------------------------------------------

    def _delete(self, start: int, end: int) -> None:
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start

    def _kill(self, start: int, end: int) -> None:
        self._killed = self.text[start:end]
        self._delete(start, end)

    def _delete_left(self) -> None:
        self._delete(max(0, self.cursor - 1), self.cursor)

    def _delete_right(self) -> None:
        self._delete(self.cursor, self.cursor + 1)

    def _kill_to_start(self) -> None:
        self._kill(0, self.cursor)

    def _kill_to_end(self) -> None:
        self._kill(self.cursor, len(self.text))

    def _kill_word_left(self) -> None:
        self._kill(self._start_of_word(), self.cursor)

    def _kill_word_right(self) -> None:
        self._kill(self.cursor, self._end_of_word())

    def _yank(self) -> None:
        self._insert(self._killed)

    # -- history -----------------------------------------------------------------------------------------------------

    def _older(self) -> None:
        self._go_to(self._place - 1)

    def _newer(self) -> None:
        self._go_to(self._place + 1)

    def _go_to(self, place: int) -> None:
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self.text = self._draft if place == len(self._history) else self._history[place]
        self.cursor = len(self.text)


# As readline has them, and what terminals send for the keys with names.
_ACTIONS = {
    key: action
    for action, keys in (
        (LineEditor._left, ('\x02', '\x1b[D', '\x1bOD')),
        (LineEditor._right, ('\x06', '\x1b[C', '\x1bOC')),
        (LineEditor._to_start, ('\x01', '\x1b[H', '\x1bOH', '\x1b[1~', '\x1b[7~')),
        (LineEditor._to_end, ('\x05', '\x1b[F', '\x1bOF', '\x1b[4~', '\x1b[8~')),
        (LineEditor._word_left, ('\x1bb', '\x1b[1;5D', '\x1b[1;3D')),
        (LineEditor._word_right, ('\x1bf', '\x1b[1;5C', '\x1b[1;3C')),
        (LineEditor._delete_left, ('\x08', '\x7f')),
        (LineEditor._delete_right, ('\x04', '\x1b[3~')),
        (LineEditor._kill_to_start, ('\x15',)),
        (LineEditor._kill_to_end, ('\x0b',)),
        (LineEditor._kill_word_left, ('\x17', '\x1b\x7f', '\x1b\x08')),
        (LineEditor._kill_word_right, ('\x1bd',)),
        (LineEditor._yank, ('\x19',)),
        (LineEditor._older, ('\x10', '\x1b[A', '\x1bOA')),
        (LineEditor._newer, ('\x0e', '\x1b[B', '\x1bOB')),
    )
    for key in keys
}


class Terminal:
    """Keyboard and screen. All methods belong to one thread."""

    def __init__(self, keyboard: TextIO, screen: TextIO) -> None:
        self._keyboard = keyboard
        self._screen = screen
        self._editor = LineEditor()
        self._decoder = codecs.getincrementaldecoder(keyboard.encoding)('replace')
        self._saved: Optional[list[Any]] = None
        self._shown = False
        self._before_cursor: Optional[str] = None  # what was drawn of the line up to the cursor
        #: What stands before the line.
        self.prompt = '> '

    @staticmethod
    def usable(keyboard: TextIO, screen: TextIO) -> bool:
        """Whether both are a terminal that can do what is done here."""
        return termios is not None and os.environ.get('TERM', 'dumb') != 'dumb' and are_terminals(keyboard, screen)

    # -- the terminal's mode -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Have every key delivered at once, and echoed here. Ctrl-C and Ctrl-Z stay signals."""
        self._saved = termios.tcgetattr(self._keyboard)
        mode = termios.tcgetattr(self._keyboard)
        mode[0] &= ~termios.IXON
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._keyboard, termios.TCSANOW, mode)
        if self._shown:
            self._draw()

    def close(self) -> None:
        """Leave the terminal as it was found, the cursor on a line of its own."""
        if self._saved is not None:
            self._erase()
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._saved)
            self._saved = None

    # -- the line ----------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the line that is being typed."""
        self._shown = True
        self.redraw()

    def hide(self) -> None:
        self._shown = False
        self._erase()

    def redraw(self) -> None:
        """Draw the line anew, if it is shown, as when the window has got another size."""
        if self._shown:
            self._put(self._erasing() + self._drawing())

    def feed(self, data: bytes) -> Iterator[Optional[str]]:
        """Type what the keyboard delivered; yields each finished line, and END for Ctrl-D on an empty one."""
        for line in self._editor.feed(self._decoder.decode(data)):
            if line is not END and self._shown:
                self.echo(line)
            yield line
        if not data:  # the keyboard is gone
            yield END
        self.redraw()

    def echo(self, line: str) -> None:
        """Leave a line on the screen as one that was typed."""
        self._erase()
        self._put(self.prompt + visible(line) + '\n')

    def write(self, text: str, stream: TextIO) -> None:
        """Write `text`, whole lines, to a stream; if that is the terminal, above the line that is being typed."""
        if stream.isatty():
            self._erase()
        stream.write(text)
        stream.flush()
        if self._shown and self._before_cursor is None:
            self._draw()

    # -- the screen --------------------------------------------------------------------------------------------------

    def _put(self, text: str) -> None:
        self._screen.write(text)
        self._screen.flush()

    def _erase(self) -> None:
        self._put(self._erasing())

    def _draw(self) -> None:
        self._put(self._drawing())

    def _erasing(self) -> str:
        """What takes the line, and all below it, off the screen."""
        if self._before_cursor is None:
            return ''
        row, _ = self._position(self._before_cursor)
        self._before_cursor = None
        return _up(row) + '\r\x1b[J'

    def _drawing(self) -> str:
        """What draws the line, beginning where the cursor is, and puts the cursor into its place."""
        line, cursor = self._editor.text, self._editor.cursor
        self._before_cursor = self.prompt + visible(line[:cursor])
        whole = self.prompt + visible(line)
        last_row, last_column = self._position(whole)
        row, column = self._position(self._before_cursor)
        # At the end of a row, the terminal's cursor waits there until the next character comes.
        wrap = '\r\n' if last_column == 0 and last_row else ''
        right = f'\x1b[{column}C' if column else ''
        return whole + wrap + _up(last_row - row) + '\r' + right

    def _position(self, text: str) -> tuple[int, int]:
        """Row and column of what follows `text`, counted from where it begins, which is the first column."""
        columns = self._columns()
        row = column = 0
        for character in text:
            width = width_of(character)
            if column + width > columns:  # what is two columns wide isn't split
                row, column = row + 1, 0
            column += width
        return (row + 1, 0) if column >= columns else (row, column)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._screen.fileno()).columns or 80
        except OSError:
            return 80


def _up(rows: int) -> str:
    return f'\x1b[{rows}A' if rows else ''


def are_terminals(*streams: Optional[TextIO]) -> bool:
    """Whether all of these are terminals; a stream that is closed or missing is none."""
    return all(stream is not None and not stream.closed and stream.isatty() for stream in streams)
