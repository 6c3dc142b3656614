"""How a line stands on the screen: which part of it, in which rows, and what makes one drawing out of another."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple, Optional

from .characters import shared, visible_typed, width_of

#: Stands where the line goes on beyond what is drawn, unless the window is too narrow for that.
_MORE = '...'
_NARROW = 12


class Drawing(NamedTuple):
    """Rows, and where the cursor is in them. All rows but the last, which never is full, go from edge to edge."""

    columns: int
    rows: tuple[str, ...]
    row: int
    column: int

    def row_of_cursor(self, columns: int) -> int:
        """That row after the terminal has got so many columns, and has wrapped the rows anew."""
        return (self.row * self.columns + self.column) // columns


def draw(drawing: Drawing) -> str:
    """What draws it, beginning where the cursor is."""
    return change(Drawing(drawing.columns, ('',), 0, 0), drawing)


def change(old: Drawing, new: Drawing) -> str:
    """What makes `new` out of `old` on the screen: what both begin with stays as it is."""
    row, place = _parting(old.rows, new.rows)
    column = _width(new.rows[row][:place])
    written = new.rows[row][place:] + ''.join(new.rows[row + 1 :])
    if written and not new.rows[-1]:
        written += ' \r'  # at the edge, a terminal's cursor waits for another character before it goes to the next row
    if old.rows[row][place:] or len(old.rows) > row + 1:
        written += '\x1b[J'
    if not written:
        return _move(old.row, old.column, new.row, new.column)
    end = len(new.rows) - 1
    to_start = _move(old.row, old.column, row, column)
    return to_start + written + _move(end, _width(new.rows[end]), new.row, new.column)


def _parting(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[int, int]:
    """In which row they begin to differ, and with which of its characters."""
    row = min(shared(old, new), len(old) - 1, len(new) - 1)
    place = shared(old[row], new[row])
    while place and not all(map(width_of, old[row][place : place + 1] + new[row][place : place + 1])):
        place -= 1  # what has no width belongs to what stands before it
    return row, place


def _move(row: int, column: int, to_row: int, to_column: int) -> str:
    rows = f'\x1b[{row - to_row}A' if to_row < row else f'\x1b[{to_row - row}B' if to_row > row else ''
    if column == to_column:
        return rows
    return rows + '\r' + (f'\x1b[{to_column}C' if to_column else '')


def _width(text: str) -> int:
    return sum(map(width_of, text))


def _end_of(text: str, width: int) -> str:
    """As much of it as is no wider than that."""
    first = len(text)
    while first and width_of(text[first - 1]) <= width:
        first -= 1
        width -= width_of(text[first])
    return text[first:]


class View:
    """Decides which part of a line is drawn.

    That is all of it, if it leaves one row of the window for what stands above. Otherwise it is as much as that is,
    around the cursor; it takes the same time for the longest line.
    """

    def __init__(self) -> None:
        self._first = 0  # of the characters that were drawn

    def draw(self, prompt: str, text: str, cursor: int, size: os.terminal_size, encoding: str) -> Drawing:
        """`prompt` and `text`, with the cursor before that character of `text`."""
        page = _Page(size, encoding)
        for first in (0, self._first, page.first_around(text, cursor), cursor):
            drawing = page.draw(prompt, text, cursor, first)
            if drawing is not None:
                self._first = first
                return drawing
        return Drawing(size.columns, ('',), 0, 0)  # there is no room for anything


class _Page:
    """The room there is for a line."""

    def __init__(self, size: os.terminal_size, encoding: str) -> None:
        self._columns = size.columns
        self._rows = max(1, size.lines - 1)
        self._encoding = encoding
        self._more = _MORE if size.columns >= _NARROW else ''

    @property
    def _cells(self) -> int:
        """How many characters are drawn at most; of those without a width, there could be any number."""
        return self._columns * self._rows

    def first_around(self, text: str, cursor: int) -> int:
        """Where to begin, so that half of the room is before the cursor."""
        left = self._cells // 2
        first = cursor
        while first and left > 0:
            first -= 1
            left -= max(1, _glyph(text[first], self._encoding)[1])
        while first < cursor and not _glyph(text[first], self._encoding)[1]:
            first += 1  # it belongs to what would stand before it
        return first

    def draw(self, prompt: str, text: str, cursor: int, first: int) -> Optional[Drawing]:
        """The part that begins with the character `first`; None if the cursor is not in there."""
        if not first <= cursor <= first + self._cells:
            return None
        rows = _Rows(self._columns)
        shown = visible_typed(prompt, self._encoding)
        rows.add(_end_of(shown, self._cells // 2 - len(self._more)) + (self._more if first else ''))
        found = None
        end = first
        while end < len(text) and end - first < self._cells:
            shown, width = _glyph(text[end], self._encoding)
            place = rows.position(shown)
            if not self._has_room(place, width):
                break
            if end == cursor:
                found = place
            rows.add(shown)
            end += 1
        if end < len(text):
            rows.add(self._more)
        elif end == cursor:
            found = rows.position(' ')
        return None if found is None else Drawing(self._columns, rows.finish(), *found)

    def _has_room(self, place: tuple[int, int], width: int) -> bool:
        """Whether what is so wide, and begins there, leaves room for the sign that there is more, and the last row not
        full."""
        row, column = place
        return row * self._columns + column + width < self._cells - len(self._more)


class _Rows:
    """Breaks text into rows, as a terminal does."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self.full: list[str] = []
        self._row = ''
        #: Where the cursor is in the row that is not full.
        self.column = 0

    def add(self, text: str) -> None:
        for character in text:
            width = width_of(character)
            if self.column + width > self._columns:
                self._break()
            self._row += character
            self.column += width

    def position(self, text: str) -> tuple[int, int]:
        """Row and column of what is going to be added."""
        if self.column + max(1, width_of(text[0])) > self._columns:
            return len(self.full) + 1, 0
        return len(self.full), self.column

    def finish(self) -> tuple[str, ...]:
        if self.column >= self._columns:
            self._break()
        return (*self.full, self._row)

    def _break(self) -> None:
        # What is two columns wide isn't split; a blank stands in its place.
        self.full.append(self._row + ' ' * (self._columns - self.column))
        self._row, self.column = '', 0


@lru_cache(4096)
def _glyph(character: str, encoding: str) -> tuple[str, int]:
    """What is shown for `character`, and how wide that is."""
    shown = visible_typed(character, encoding)
    return shown, _width(shown)
