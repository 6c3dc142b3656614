"""Which part of a line is drawn, and what is written to draw it."""

from __future__ import annotations

import os

import pyte
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from screens import Screen

from ws.wscat.characters import width_of
from ws.wscat.drawing import Drawing, View, change, draw


def drawing(text: str, cursor: int, columns: int = 20, lines: int = 5, encoding: str = 'utf-8') -> Drawing:
    return View().draw('> ', text, cursor, os.terminal_size((columns, lines)), encoding)


@pytest.mark.parametrize(
    ('text', 'cursor', 'rows', 'place'),
    [
        ('', 0, ['> '], (0, 2)),
        ('hello', 3, ['> hello'], (0, 5)),
        (17 * 'x', 17, ['> ' + 17 * 'x'], (0, 19)),
        (18 * 'x', 18, ['> ' + 18 * 'x', ''], (1, 0)),  # the cursor does not wait at the edge
        (18 * 'x' + 'y', 18, ['> ' + 18 * 'x', 'y'], (1, 0)),
        (17 * 'x' + '日', 17, ['> ' + 17 * 'x' + ' ', '日'], (1, 0)),  # it is not split
        ('日本' + 'e\u0301', 2, ['> 日本e\u0301'], (0, 6)),
        (18 * 'x' + '\u0301', 19, ['> ' + 18 * 'x' + '\u0301', ''], (1, 0)),
        (16 * 'x' + '\x1b', 17, ['> ' + 16 * 'x' + '\\x', '1b'], (1, 2)),
        ('\t\udcff', 2, ['> \\t\\xff'], (0, 8)),
        (74 * 'x', 0, ['> ' + 18 * 'x', *2 * [20 * 'x'], 16 * 'x'], (0, 2)),
        # What takes more than the window without one row is not drawn as a whole.
        (75 * 'x', 0, ['> ' + 18 * 'x', *2 * [20 * 'x'], 16 * 'x' + '...'], (0, 2)),
        ('a' * 60 + 'b' * 40, 100, ['> ...' + 15 * 'b', 20 * 'b', 5 * 'b'], (2, 5)),
        ('a' * 60 + 'b' * 90, 80, ['> ...' + 15 * 'a', 5 * 'a' + 15 * 'b', 20 * 'b', 16 * 'b' + '...'], (2, 5)),
    ],
)
def test_what_is_drawn(text: str, cursor: int, rows: list[str], place: tuple[int, int]) -> None:
    assert drawing(text, cursor) == Drawing(20, tuple(rows), *place)


def test_what_the_encoding_lacks_has_the_width_of_what_stands_for_it() -> None:
    assert drawing('a€b', 2, encoding='latin-1') == Drawing(20, ('> a\\u20acb',), 0, 9)


PROMPTS = st.sampled_from(['> ', "(failed reverse-i-search)`searched for': ", '(i-search)`' + 40 * '日' + "': "])
CHARACTERS = st.sampled_from('abc 日本👋\u0301\x1b\t\ufeff\udcff')
SIZES = st.builds(os.terminal_size, st.tuples(st.integers(2, 40), st.integers(1, 8)))
ENCODINGS = st.sampled_from(['utf-8', 'latin-1'])


@given(PROMPTS, st.text(CHARACTERS, max_size=400), st.integers(0, 400), SIZES, ENCODINGS)
@example('> ', 'aaaa👋', 0, os.terminal_size((8, 3)), 'latin-1')  # what stands for it is longer than a row
@example('(i-search)`' + 40 * '日' + "': ", 'a', 1, os.terminal_size((9, 5)), 'utf-8')
def test_a_drawing_fits_into_the_window(
    prompt: str, text: str, cursor: int, size: os.terminal_size, encoding: str
) -> None:
    found = View().draw(prompt, text, min(cursor, len(text)), size, encoding)
    assert len(found.rows) <= max(1, size.lines - 1)
    *full, last = (sum(map(width_of, row)) for row in found.rows)
    assert set(full) <= {size.columns}
    assert last < size.columns
    assert 0 <= found.row < len(found.rows)
    assert 0 <= found.column < size.columns


@pytest.mark.parametrize('size', [(1, 1), (2, 1), (3, 2), (1, 24)])
def test_windows_that_are_too_small_do_no_harm(size: tuple[int, int]) -> None:
    for text in ('', 'a', '日', '\x1b', 100 * 'x', 100 * '日'):
        for cursor in (0, len(text)):
            assert draw(View().draw('> ', text, cursor, os.terminal_size(size), 'utf-8')) is not None


# What the emulation of a terminal gets right.
SIMPLE = st.text(st.sampled_from('abc 日本👋\u0301\x1b\t'), max_size=120)
LINES = st.lists(st.tuples(SIMPLE, st.integers(0, 120)), min_size=1, max_size=6)


@given(LINES, st.integers(8, 24), st.integers(2, 8))
def test_a_changed_drawing_is_the_same_as_a_new_one(lines: list[tuple[str, int]], columns: int, rows: int) -> None:
    view, changed = View(), Screen(columns, rows)
    drawn = Drawing(columns, ('',), 0, 0)
    for text, cursor in lines:
        new = view.draw('> ', text, min(cursor, len(text)), os.terminal_size((columns, rows)), 'utf-8')
        pyte.Stream(changed).feed(change(drawn, new))
        drawn = new
        fresh = Screen(columns, rows)
        pyte.Stream(fresh).feed(draw(drawn))
        assert looks(changed) == looks(fresh)
        assert not changed.history.top


def looks(screen: Screen) -> tuple[list[str], int, int]:
    return [row.rstrip() for row in screen.display], screen.cursor.y, screen.cursor.x


def written(text: str, *more: str) -> list[int]:
    """How much is written to draw `text` with the cursor at its end, and then these."""
    view, size = View(), os.terminal_size((80, 24))
    drawn = Drawing(80, ('',), 0, 0)
    sizes = []
    for line in (text, *more):
        new = view.draw('> ', line, len(line), size, 'utf-8')
        sizes.append(len(change(drawn, new)))
        drawn = new
    return sizes


def test_what_is_added_is_all_that_is_written() -> None:
    assert written('hello', 'hello!', 'hello!!!') == [7, 1, 2]
    assert written(100 * 'x', 101 * 'x', 101 * 'x' + '日') == [102, 1, 1]
    assert written(77 * 'x', 78 * 'x', 79 * 'x') == [79, 3, 1]  # the cursor goes to the next row


def test_a_screen_is_written_at_most() -> None:
    assert written(100_000 * 'x', 100_001 * 'x', 100_000 * 'y')[1] == 1
    for length in written(10**6 * 'x', 10**6 * 'y', 10**6 * '\u0301', 10**6 * '日', 10**6 * '\x1b'):
        assert length < 80 * 24


def test_typing_at_the_end_of_a_long_line_seldom_writes_a_screen() -> None:
    assert sum(written(*(length * 'x' for length in range(0, 4000, 10)))) < 3 * 4000
