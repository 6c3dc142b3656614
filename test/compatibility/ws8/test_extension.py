"""Tests X001 to X013 of ws 8's suite: the header Sec-WebSocket-Extensions.

Here parsing yields a list in the order of the header, with pairs, where it is a dict of lists there: so there are no
names that could collide with anything.
"""

from __future__ import annotations

import pytest

from ws.protocol.extensions import Extension, format_extension, parse_extensions


def formatted(extensions: list[Extension]) -> str:
    """The value of the header."""
    return ', '.join(map(format_extension, extensions))


# -- parsing ----------------------------------------------------------------------------------------------------------


def test_x001_one() -> None:
    assert parse_extensions('foo') == [Extension('foo', [])]


def test_x002_parameters() -> None:
    assert parse_extensions('foo;bar;baz=1;bar=2') == [Extension('foo', [('bar', None), ('baz', '1'), ('bar', '2')])]


def test_x003_several() -> None:
    assert parse_extensions('foo,bar;baz,foo;baz') == [
        Extension('foo', []),
        Extension('bar', [('baz', None)]),
        Extension('foo', [('baz', None)]),
    ]


def test_x004_quoted_values() -> None:
    for quoted, value in ('"hi"', 'hi'), (r'"\0"', '0'), (r'"b\a\z"', 'baz'):
        assert parse_extensions(f'foo;bar={quoted}') == [Extension('foo', [('bar', value)])]
    assert parse_extensions(r'foo;bar="b\az";bar') == [Extension('foo', [('bar', 'baz'), ('bar', None)])]
    for header, index in ('foo;bar="baz"qux', 13), ('foo;bar="baz" qux', 14):
        with pytest.raises(ValueError, match=f'^Unexpected character at index {index}$'):
            parse_extensions(header)


def test_x005_names_of_what_objects_have() -> None:
    names = ['__class__', '__init__', 'hasOwnProperty', 'items', 'toString']
    assert parse_extensions(', '.join(names)) == [Extension(name, []) for name in names]
    assert parse_extensions('foo;__dict__;constructor') == [
        Extension('foo', [('__dict__', None), ('constructor', None)])
    ]


def test_x006_blanks() -> None:
    header = 'foo; bar\t; \tbaz=1\t ;  bar="1"\t\t, \tqux\t ;norf'
    assert parse_extensions(header) == [
        Extension('foo', [('bar', None), ('baz', '1'), ('bar', '1')]),
        Extension('qux', [('norf', None)]),
    ]


# -- what is wrong ----------------------------------------------------------------------------------------------------


def is_unexpected(*headers: str) -> bool:
    """Whether each has a character that does not belong there. The index that is told is that of the character, or
    where the value or the name it is part of begins; there it is always the former."""
    for header in headers:
        with pytest.raises(ValueError, match=r'^Unexpected character at index \d+$'):
            parse_extensions(header)
    return True


def test_x007_an_empty_name() -> None:
    assert is_unexpected(',', 'foo,,', 'foo,  ,', 'foo;=', 'foo; =', 'foo;;', 'foo; ;', 'foo;bar=,', 'foo;bar=""')


def test_x008_a_blank_in_the_wrong_place() -> None:
    """One before the first name is none of the header's value (RFC 9110 section 5.5), and never gets to the parser of
    ws 8, as Node takes it off; here it is passed over."""
    assert is_unexpected('f oo', 'foo;ba r', 'foo;bar =', 'foo;bar= ', 'foo;bar=ba z')
    assert parse_extensions(' foo') == [Extension('foo', [])]


def test_x009_a_character_that_no_token_has() -> None:
    assert is_unexpected('f@o', r'f\oo', '"foo"', 'f"oo"', 'foo;b@r', r'foo;b\ar', 'foo;"bar"', 'foo;b"ar"')
    assert is_unexpected(r'foo;bar=b@z', r'foo;bar=b\az ', 'foo;bar="b@z"', 'foo;bar="baz;"', 'foo;bar=b"az"')
    assert is_unexpected(r'foo;bar="\\"')


def test_x010_an_early_end() -> None:
    """A blank behind the last name or value is none of the header's value, either."""
    for header in 'foo', 'foo;bar', 'foo;bar="baz"':
        assert parse_extensions(f'{header} \t') == parse_extensions(header)
    for header in '', 'foo, ', 'foo;', 'foo;bar,', 'foo;bar; ':
        with pytest.raises(ValueError, match=r'^Unexpected end of input$'):
            parse_extensions(header)
    assert is_unexpected('foo;bar=', 'foo;bar="baz', 'foo;bar="1\\')


# -- writing ----------------------------------------------------------------------------------------------------------


def test_x011_writing_one() -> None:
    assert formatted([Extension('foo')]) == 'foo'


def test_x012_writing_parameters() -> None:
    extension = Extension('foo', [('bar', None), ('bar', '2'), ('baz', '1')])
    assert formatted([extension]) == 'foo; bar; bar=2; baz=1'


def test_x013_writing_several() -> None:
    header = 'foo, foo; baz, bar; baz'
    assert formatted(parse_extensions(header)) == header
