"""The line editor, without a terminal; with one it is tested in test_typing.py."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ws.wscat.editor import END, MAX_LINES, LineEditor

LEFT, RIGHT, UP, DOWN = '\x1b[D', '\x1b[C', '\x1b[A', '\x1b[B'
HOME, LAST, DELETE = '\x1b[H', '\x1b[F', '\x1b[3~'


def edited(keys: str, **options: Any) -> tuple[str, int]:
    """The line and its cursor after these keys."""
    editor = LineEditor(**options)
    assert list(editor.feed(keys)) == []
    return editor.text, editor.cursor


def lines(keys: str) -> list[Optional[str]]:
    return list(LineEditor().feed(keys))


@pytest.mark.parametrize(
    ('keys', 'text', 'cursor'),
    [
        ('abc', 'abc', 3),
        ('a\tü日👋', 'a\tü日👋', 5),
        ('\tabc', '\tabc', 4),
        ('abc' + LEFT + LEFT + 'x', 'axbc', 2),
        ('abc\x02\x02x\x06y', 'axbyc', 4),
        ('abc' + RIGHT, 'abc', 3),
        ('a' + LEFT + LEFT, 'a', 0),
        ('abc\x01x\x05y', 'xabcy', 5),
        ('abc' + HOME + 'x' + LAST + 'y', 'xabcy', 5),
        ('abc\x1bOHx\x1bOFy', 'xabcy', 5),
        ('abc\x1b[1~x\x1b[4~y', 'xabcy', 5),
        ('abc\x7f\x08', 'a', 1),
        ('\x7f', '', 0),
        ('abc' + LEFT + '\x7f', 'ac', 1),
        ('abc' + HOME + DELETE, 'bc', 0),
        ('abc' + HOME + '\x04', 'bc', 0),
        ('abc' + DELETE + '\x04', 'abc', 3),
        ('one two' + LEFT + LEFT + '\x15', 'wo', 0),
        ('one two' + LEFT + LEFT + '\x0b', 'one t', 5),
        ('one two, \x17', 'one ', 4),
        ('one two\x17\x17', '', 0),
        ('one two\x1b\x7f', 'one ', 4),
        ('one two\x17\x19\x19', 'one twotwo', 10),
        ('one two\x1bb\x1bbx', 'xone two', 1),
        ('one two' + HOME + '\x1bfx', 'onex two', 4),
        ('one two' + HOME + '\x1b[1;5Cx\x1b[1;5Dy', 'yonex two', 1),
        ('one two' + HOME + '\x1bd', ' two', 0),
        ('a\x1b[99~\x1b[1;2;3Q\x1bOQ\x1bz\x1b\x1bb\x00\x14\x1fc', 'abc', 3),  # keys that do nothing
        ('a\x1b[\x07b', 'ab', 2),  # no well-formed sequence
        (UP + DOWN, '', 0),
    ],
)
def test_keys(keys: str, text: str, cursor: int) -> None:
    assert edited(keys) == (text, cursor)


def test_lines() -> None:
    assert lines('one\rtwo\n\r\x04') == ['one', 'two', '', END]
    assert lines('one' + HOME + '\r') == ['one']


def test_ctrl_d_ends_the_input_on_an_empty_line_only() -> None:
    assert lines('a\x04\r\x04') == ['a', END]


@pytest.mark.parametrize(
    ('keys', 'text'),
    [
        (UP, 'three'),
        (UP + UP, 'two'),
        (5 * UP, 'one'),
        (UP + UP + DOWN, 'three'),
        ('new' + UP + UP + DOWN + DOWN, 'new'),
        ('new' + 3 * DOWN, 'new'),
        (UP + 'x' + UP + DOWN, 'three'),  # what is changed there is not kept
        (UP + '\x10\x0e!', 'three!'),
        (UP + '\r' + UP + UP, 'two'),  # a repetition is kept once
        ('\r' + UP, 'three'),  # an empty line is not kept
        (UP + UP + '\r' + UP, 'two'),
    ],
)
def test_history(keys: str, text: str) -> None:
    editor = LineEditor()
    list(editor.feed('one\rtwo\rthree\r' + keys))
    assert editor.text == text
    assert editor.cursor == len(text)


KEYS = st.text(
    st.sampled_from('ab ü日\t\x01\x02\x04\x05\x07\x08\x0b\x12\x13\x15\x17\x19\r\n\x1b[]O~ABCDFH;01257')
    | st.characters()
)


@given(st.lists(KEYS))
def test_however_keys_are_cut_they_do_the_same(pieces: list[str]) -> None:
    whole, cut = LineEditor(), LineEditor()
    expected = list(whole.feed(''.join(pieces)))
    assert [line for piece in pieces for line in cut.feed(piece)] == expected
    assert (cut.text, cut.cursor) == (whole.text, whole.cursor)
    assert 0 <= cut.cursor <= len(cut.text)


# -- pastes ------------------------------------------------------------------------------------------------------------

PASTE, PASTED = '\x1b[200~', '\x1b[201~'


@pytest.mark.parametrize(
    ('keys', 'text', 'cursor'),
    [
        (f'a{PASTE}b{PASTED}c', 'abc', 3),
        (f'ad{LEFT}{PASTE}b\tc{PASTED}\x01', 'ab\tcd', 0),
        (f'{PASTE}\x01\x04\x12\x7f{UP}{PASTED}', '\x01\x04\x12\x7f' + UP, 7),  # in there, nothing is a key
        (f'{PASTE}{PASTE}\x1b[20{PASTED}x', '\x1b[200~\x1b[20x', 11),
        (f'{PASTED}x', 'x', 1),
    ],
)
def test_what_is_pasted_is_text(keys: str, text: str, cursor: int) -> None:
    assert edited(keys) == (text, cursor)


def test_lines_that_are_pasted() -> None:
    assert lines(f'one{PASTE}, two\nthree\r\nfour{PASTED}\r') == ['one, two', 'three', '', 'four']


@given(st.text(st.sampled_from('ab\r\x1b[201~')), st.lists(st.integers(min_value=0)))
def test_pastes_however_they_are_cut(text: str, places: list[int]) -> None:
    assume(PASTED not in text)
    keys = f'{PASTE}{text}{PASTED}\x01'
    edges = sorted({0, len(keys), *(place % len(keys) for place in places)})
    editor = LineEditor()
    found = [line for start, end in zip(edges, edges[1:]) for line in editor.feed(keys[start:end])]
    assert [*found, editor.text] == text.split('\r')
    assert editor.cursor == 0


def test_a_long_line_takes_linear_time() -> None:
    """It is put together when somebody looks, and not for each piece."""
    editor = LineEditor(commands=['/ping'])
    for _ in range(20_000):
        list(editor.feed(50 * 'x' + '\t' + 50 * 'y'))  # in quadratic time, this would copy 20 GB
    assert len(editor.text) == editor.cursor == 20_000 * 101


# -- the history -------------------------------------------------------------------------------------------------------


def test_lines_from_an_earlier_session() -> None:
    assert edited(UP + UP, history=['one', 'two']) == ('one', 3)
    assert edited('new' + UP + DOWN, history=['one', 'two']) == ('new', 3)


def test_what_comes_into_the_history() -> None:
    editor = LineEditor(history=['one'])
    list(editor.feed('one\r\rtwo\rtwo\rone\rthree'))
    assert editor.remembered == ['two', 'one']
    list(editor.feed('x'))
    assert editor.remembered == []


def test_the_oldest_lines_are_forgotten() -> None:
    keys = ''.join(f'{number}\r' for number in range(MAX_LINES + 5))
    editor = LineEditor()
    assert len(list(editor.feed(keys))) == MAX_LINES + 5
    list(editor.feed((MAX_LINES + 10) * UP))
    assert editor.text == '5'


HISTORY = ['one two', 'three', 'two', 'four', 'two', 'the last']
CTRL_R, CTRL_S, CTRL_G, BACKSPACE = '\x12', '\x13', '\x07', '\x7f'


@pytest.mark.parametrize(
    ('keys', 'prompt', 'text', 'cursor'),
    [
        ('new' + CTRL_R, "(reverse-i-search)`': ", 'new', 3),
        (CTRL_R + 't', "(reverse-i-search)`t': ", 'the last', 0),
        (CTRL_R + 'tw', "(reverse-i-search)`tw': ", 'two', 0),
        (CTRL_R + 't' + CTRL_R, "(reverse-i-search)`t': ", 'two', 0),
        (CTRL_R + 'two' + CTRL_R, "(reverse-i-search)`two': ", 'one two', 4),  # not the same line once more
        (CTRL_R + 'two' + 2 * CTRL_R, "(failed reverse-i-search)`two': ", 'one two', 4),
        (CTRL_R + 'two' + CTRL_R + CTRL_S, "(i-search)`two': ", 'two', 0),
        (CTRL_R + 'two' + 3 * CTRL_R + CTRL_S, "(i-search)`two': ", 'two', 0),
        (CTRL_R + 'two' + CTRL_S, "(failed i-search)`two': ", 'two', 0),
        (CTRL_R + 'tx', "(failed reverse-i-search)`tx': ", 'the last', 0),
        (CTRL_R + 'tx' + BACKSPACE, "(reverse-i-search)`t': ", 'the last', 0),
        (CTRL_R + 'tx' + BACKSPACE + 'w', "(reverse-i-search)`tw': ", 'two', 0),
        (CTRL_R + 't' + 3 * BACKSPACE, "(reverse-i-search)`': ", 'the last', 0),
        (CTRL_R + 'zzz', "(failed reverse-i-search)`zzz': ", '', 0),
        (UP + UP + CTRL_R + 'r', "(reverse-i-search)`r': ", 'four', 3),  # from the line that is shown
        (5 * UP + CTRL_S + 'two', "(i-search)`two': ", 'two', 0),
        (CTRL_S + 'two', "(failed i-search)`two': ", '', 0),
        (CTRL_R + 'tw' + CTRL_G, None, '', 0),
        ('new' + LEFT + CTRL_R + 'tw' + CTRL_R + CTRL_G, None, 'new', 2),
        ('new' + CTRL_R + 'tw' + CTRL_R + CTRL_G + DOWN, None, 'new', 3),
        ('new' + CTRL_R + 'one' + LEFT, None, 'one two', 0),
        ('new' + CTRL_R + 'one' + RIGHT + RIGHT + 'X', None, 'onXe two', 3),
        ('new' + CTRL_R + 'fo' + UP, None, 'two', 3),  # on from the line that was found
        ('new' + CTRL_R + 'one' + 9 * DOWN, None, 'new', 3),
        (CTRL_R + 'two' + LAST + CTRL_R + CTRL_R, "(reverse-i-search)`two': ", 'two', 0),  # the same again
        (CTRL_R + 'fou' + PASTE + 'r' + PASTED, "(reverse-i-search)`four': ", 'four', 0),
        (CTRL_R + PASTE + '\x01' + PASTED, "(failed reverse-i-search)`\x01': ", '', 0),
        (CTRL_R + 50 * 'x' + 'y', f"(failed reverse-i-search)`{39 * 'x'}y': ", '', 0),
    ],
)
def test_searching(keys: str, prompt: Optional[str], text: str, cursor: int) -> None:
    editor = LineEditor(HISTORY)
    assert list(editor.feed(keys)) == []
    assert (editor.prompt, editor.text, editor.cursor) == (prompt, text, cursor)


def test_enter_takes_what_was_found() -> None:
    editor = LineEditor(HISTORY)
    assert list(editor.feed(CTRL_R + 'thr\r')) == ['three']
    assert (editor.prompt, editor.text) == (None, '')
    assert list(editor.feed(UP + '\r')) == ['three']


def test_esc_is_known_by_nothing_coming_after_it() -> None:
    editor = LineEditor(HISTORY)
    list(editor.feed('\x1b'))
    assert not editor.may_be_escape
    list(editor.feed('b' + CTRL_R + 'thr'))
    assert not editor.may_be_escape
    list(editor.feed('\x1b'))
    assert editor.may_be_escape
    editor.escape()
    assert (editor.prompt, editor.text, editor.cursor) == (None, 'three', 0)
    list(editor.feed('['))
    assert editor.text == '[three'


# -- completing --------------------------------------------------------------------------------------------------------

COMMANDS = ['/close', '/ping', '/pong']


@pytest.mark.parametrize(
    ('keys', 'text', 'candidates'),
    [
        ('/c\t', '/close ', []),
        ('/pi\t', '/ping ', []),
        ('/ping\tx', '/ping x', []),
        ('/\t', '/', COMMANDS),
        ('/p\t', '/p', ['/ping', '/pong']),
        ('/p\t\t', '/p', ['/ping', '/pong']),
        ('/p\to\t', '/pong ', []),
        ('/close\t\t', '/close \t', []),
        ('/x\t', '/x\t', []),
        ('\t', '\t', []),
        ('a\t', 'a\t', []),
        ('one /p\t', 'one /p\t', []),
        ('/pixx' + LEFT + LEFT + '\t', '/ping xx', []),
        (f'{PASTE}/c\t{PASTED}', '/c\t', []),
    ],
)
def test_tab_completes_commands(keys: str, text: str, candidates: list[str]) -> None:
    editor = LineEditor(commands=COMMANDS)
    assert list(editor.feed(keys)) == []
    assert (editor.text, editor.candidates) == (text, candidates)


def test_candidates_are_of_the_last_keys() -> None:
    editor = LineEditor(commands=COMMANDS)
    list(editor.feed('/p\t'))
    list(editor.feed('o'))
    assert editor.candidates == []


def test_tab_is_a_character_where_there_are_no_commands() -> None:
    assert edited('/c\t') == ('/c\t', 3)
