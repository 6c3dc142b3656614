"""The line editor, without a terminal; with one it is tested in test_wscat.py."""

from __future__ import annotations

import unicodedata
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.wscat.terminal import END, LineEditor, visible, width_of

LEFT, RIGHT, UP, DOWN = '\x1b[D', '\x1b[C', '\x1b[A', '\x1b[B'
HOME, LAST, DELETE = '\x1b[H', '\x1b[F', '\x1b[3~'


def edited(keys: str) -> tuple[str, int]:
    """The line and its cursor after these keys."""
    editor = LineEditor()
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
        ('a\x1b[99~\x1b[1;2;3Q\x1bOQ\x1bz\x1b\x1bb\x00\x12\x1fc', 'abc', 3),  # keys that do nothing
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
    st.sampled_from('ab ü日\t\x01\x02\x04\x05\x08\x0b\x15\x17\x19\r\n\x1b[]O~ABCDFH;13579') | st.characters()
)


@given(st.lists(KEYS))
def test_however_keys_are_cut_they_do_the_same(pieces: list[str]) -> None:
    whole, cut = LineEditor(), LineEditor()
    expected = list(whole.feed(''.join(pieces)))
    assert [line for piece in pieces for line in cut.feed(piece)] == expected
    assert (cut.text, cut.cursor) == (whole.text, whole.cursor)
    assert 0 <= cut.cursor <= len(cut.text)


@given(st.text())
def test_what_is_visible_is_harmless(text: str) -> None:
    shown = visible(text, keep='\n\t')
    assert all(
        unicodedata.category(character) not in ('Cc', 'Cs', 'Zl', 'Zp')
        for character in shown
        if character not in '\n\t'
    )
    assert not set(shown) & set('\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c')
    assert visible(shown, keep='\n\t') == shown


def test_control_characters_as_escape_sequences() -> None:
    assert visible('a\x1b\n\t\x7f\x9b\u202e\ud800ü') == 'a\\x1b\\n\\t\\x7f\\x9b\\u202e\\ud800ü'
    assert visible('a\n\t\r', keep='\n') == 'a\n\\t\\r'


@pytest.mark.parametrize(
    ('character', 'width'), [('a', 1), ('ü', 1), ('日', 2), ('👋', 2), ('\u0301', 0), ('\u200d', 0)]
)
def test_widths(character: str, width: int) -> None:
    assert width_of(character) == width
