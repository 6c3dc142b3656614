"""The screen of a terminal, and what has been scrolled off it. Another width wraps lines anew, as in most terminals."""

from __future__ import annotations

from typing import Any, Optional

import pyte
from pyte.screens import Char, StaticDefaultDict

Row = StaticDefaultDict[int, Char]


class Screen(pyte.HistoryScreen):
    def __init__(self, columns: int, lines: int) -> None:
        self._drawing = False
        super().__init__(columns, lines, history=10**6)

    # -- which rows are one line -------------------------------------------------------------------------------------

    def draw(self, data: str) -> None:
        self._drawing = True
        super().draw(data)
        self._drawing = False

    def linefeed(self) -> None:
        vars(self.buffer[self.cursor.y])['wrapped'] = self._drawing
        super().linefeed()

    def erase_in_display(self, how: int = 0, *args: Any, **options: Any) -> None:
        super().erase_in_display(how, *args, **options)
        if how == 0:
            for row in range(self.cursor.y, self.lines):
                vars(self.buffer[row])['wrapped'] = False

    # -- another size ------------------------------------------------------------------------------------------------

    def resize(self, lines: Optional[int] = None, columns: Optional[int] = None) -> None:
        lines, columns = lines or self.lines, columns or self.columns
        if (lines, columns) != (self.lines, self.columns):
            rows, place = self._rewrapped(columns)
            scrolled = max(0, len(rows) - lines)
            self.history.top.clear()
            self.history.top.extend(rows[:scrolled])
            self.buffer.clear()
            self.buffer.update(enumerate(rows[scrolled:]))
            self.cursor.y, self.cursor.x = max(0, place[0] - scrolled), place[1]
            self.lines, self.columns = lines, columns
            self.set_margins()

    def _rewrapped(self, columns: int) -> tuple[list[Row], tuple[int, int]]:
        """All rows, as a terminal of so many columns has them, and the place of the cursor among them."""
        found: list[Row] = []
        place = (0, 0)
        for line, cursor in self._lines():
            first = len(found)
            for start in range(0, max(1, len(line)), columns):
                row = StaticDefaultDict(self.default_char)
                row.update(enumerate(line[start : start + columns]))
                vars(row)['wrapped'] = start + columns < len(line)
                found.append(row)
            if cursor is not None:
                place = (first + cursor // columns, cursor % columns)
        return found, place

    def _lines(self) -> list[tuple[list[Char], Optional[int]]]:
        """The characters of each line; and where in it the cursor is, if it is there."""
        last = max([self.cursor.y, *(row for row in range(self.lines) if length_of(self.buffer[row]))])
        rows = [*self.history.top, *(self.buffer[row] for row in range(last + 1))]
        lines: list[tuple[list[Char], Optional[int]]] = []
        goes_on = False
        for number, row in enumerate(rows):
            line, cursor = lines.pop() if goes_on else ([], None)
            has_cursor = number == len(self.history.top) + self.cursor.y
            if has_cursor:
                cursor = len(line) + self.cursor.x
            goes_on = vars(row).get('wrapped', False)
            length = self.columns if goes_on else max(length_of(row), self.cursor.x + 1 if has_cursor else 0)
            lines.append((line + [row[column] for column in range(length)], cursor))
        return lines


def length_of(row: Row) -> int:
    """Without the blanks at its end."""
    return max((column + 1 for column, character in row.items() if character.data != ' '), default=0)


def text_of(row: Row) -> str:
    return ''.join(row[column].data for column in range(length_of(row)))
