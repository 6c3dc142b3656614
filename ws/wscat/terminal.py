"""A terminal: at its bottom a line that is being typed, above it what comes in meanwhile. Knows no WebSockets.

The line is edited here and not by readline, because nothing of Python's can tell readline that the screen has changed
under its line: what came in would be written into it, or the line be lost.
"""

from __future__ import annotations

import codecs
import os
import select
from collections.abc import Iterator, Sequence
from typing import Any, Optional, TextIO

from .characters import visible_typed
from .drawing import Drawing, View, change, draw
from .editor import END, LineEditor
from .history import History

try:
    import termios as found
except ImportError:  # Windows
    found = None  # type: ignore[assignment]
#: For a type checker that looks at Windows, the module is there and has no names.
termios: Any = found

#: Has the terminal mark what is pasted (bracketed paste), or no longer.
_MARK_PASTES, _MARK_NO_PASTES = '\x1b[?2004h', '\x1b[?2004l'
#: What comes at once in so many bytes is pasted; the next may take so many seconds to follow.
_MUCH, _MOMENT = 1000, 0.005
#: How long, in seconds, the rest of an escape sequence may take to follow.
_REST = 0.1


class Terminal:
    """Keyboard and screen. All methods belong to one thread.

    `commands` are completed by Tab; `history` is where lines are kept.
    """

    def __init__(
        self, keyboard: TextIO, screen: TextIO, commands: Sequence[str] = (), history: Optional[History] = None
    ) -> None:
        self._keyboard = keyboard
        self._screen = screen
        self._history = history
        self._editor = LineEditor([] if history is None else history.load(), commands)
        self._decoder = codecs.getincrementaldecoder(keyboard.encoding)('surrogateescape')
        self._saved: Optional[list[Any]] = None
        self._shown = False
        self._view = View()
        self._drawn: Optional[Drawing] = None
        self._told = False  # that there is something the screen can't show
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
        self._put(_MARK_PASTES)
        self._update()

    def close(self) -> None:
        """Leave the terminal as it was found, the cursor on a line of its own."""
        if self._saved is not None:
            self._put(self._erasing() + _MARK_NO_PASTES)
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._saved)
            self._saved = None

    # -- the line ----------------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the line that is being typed."""
        self._shown = True
        self._update()

    def hide(self) -> None:
        self._shown = False
        self._put(self._erasing())

    def redraw(self) -> None:
        """Draw the line anew, if it is shown, as when the window has got another size."""
        self._put(self._erasing())
        self._update()

    def feed(self, data: bytes) -> Iterator[Optional[str]]:
        """Type what the keyboard delivered; yields each finished line, and END for Ctrl-D on an empty one.

        A line that is no text in the keyboard's encoding has surrogates where that is wrong (PEP 383).
        """
        lines = list(self._editor.feed(self._decoder.decode(data)))
        if self._history is not None:
            self._history.add(self._editor.remembered)
        for line in lines:
            if line is not END and self._shown:
                self.echo(line)
            yield line
        if not data:  # the keyboard is gone
            yield END
        if self._editor.may_be_escape and not self._more_comes(_REST):
            self._editor.escape()
        if self._editor.candidates and self._shown:
            self.write('  '.join(self._editor.candidates) + '\n', self._screen)
        self._update(_MOMENT if len(data) >= _MUCH else 0)

    def echo(self, line: str) -> None:
        """Leave a line on the screen as one that was typed."""
        self._put(self._erasing() + self.prompt + visible_typed(line, self._screen.encoding) + '\n')

    def write(self, text: str, stream: TextIO) -> None:
        """Write `text`, whole lines, to a stream; if that is the terminal, above the line that is being typed."""
        if stream.isatty():
            self._put(self._erasing())
        stream.write(text + self._lacking(text, stream))
        stream.flush()
        if self._drawn is None:
            self._update()

    def _lacking(self, text: str, stream: TextIO) -> str:
        """What to say when for the first time there is something in `text` that the screen can't show."""
        if self._told or text.isascii() or not stream.isatty():
            return ''
        try:
            text.encode(stream.encoding)
        except UnicodeEncodeError:
            self._told = True
            return f"(This terminal's encoding is {stream.encoding}; what it lacks is shown like \\u20ac.)\n"
        return ''

    # -- the screen --------------------------------------------------------------------------------------------------

    def _put(self, text: str) -> None:
        if text:
            self._screen.write(text)
            self._screen.flush()

    def _erasing(self) -> str:
        """What takes the line, and all below it, off the screen."""
        if self._drawn is None:
            return ''
        rows = self._drawn.row_of_cursor(self._size().columns)
        self._drawn = None
        return (f'\x1b[{rows}A' if rows else '') + '\r\x1b[J'

    def _update(self, seconds: float = 0) -> None:
        """Have the screen show the line as it is now; or later, if more is typed by then, since it will be another."""
        if not self._shown or self._more_comes(seconds):
            return
        editor = self._editor
        prompt = self.prompt if editor.prompt is None else editor.prompt
        drawing = self._view.draw(prompt, editor.text, editor.cursor, self._size(), self._screen.encoding)
        if self._drawn is not None and self._drawn.columns != drawing.columns:
            self._put(self._erasing())
        self._put(draw(drawing) if self._drawn is None else change(self._drawn, drawing))
        self._drawn = drawing

    def _more_comes(self, seconds: float) -> bool:
        """Whether something waits to be read from the keyboard, or comes in that time."""
        return bool(select.select([self._keyboard], [], [], seconds)[0])

    def _size(self) -> os.terminal_size:
        try:
            size = os.get_terminal_size(self._screen.fileno())
        except OSError:
            size = os.terminal_size((0, 0))
        return os.terminal_size((size.columns or 80, size.lines or 24))


def are_terminals(*streams: Optional[TextIO]) -> bool:
    """Whether all of these are terminals; a stream that is closed or missing is none."""
    return all(stream is not None and not stream.closed and stream.isatty() for stream in streams)
