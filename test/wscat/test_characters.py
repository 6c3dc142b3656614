"""How characters look on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.wscat.characters import is_text, visible, visible_typed, width_of


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


def test_what_was_typed_is_shown_in_the_encoding_of_the_terminal() -> None:
    assert visible_typed('aü€\udcff\x1b', 'utf-8') == 'aü€\\xff\\x1b'
    assert visible_typed('aü€\udcff\x1b', 'latin-1') == 'aü\\u20ac\\xff\\x1b'
    assert visible_typed('aü€\udcff\x1b', 'ascii') == 'a\\xfc\\u20ac\\xff\\x1b'


@given(st.binary())
def test_bytes_that_are_no_text_are_told_apart(data: bytes) -> None:
    text = data.decode('utf-8', 'surrogateescape')
    assert is_text(text) == (text == data.decode('utf-8', 'replace'))
    visible_typed(text, 'utf-8').encode()  # and can be shown
