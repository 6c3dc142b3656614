"""The header Sec-WebSocket-Extensions (RFC 6455 section 9.1)."""

from __future__ import annotations

import time
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.protocol.extensions import MAX_EXTENSIONS, MAX_PARAMETERS, Extension, format_extension, parse_extensions

Parameters = list[tuple[str, Optional[str]]]


@pytest.mark.parametrize(
    'header, extensions',
    [
        ('foo', [('foo', [])]),
        ('foo,bar', [('foo', []), ('bar', [])]),
        ('foo ,\tbar', [('foo', []), ('bar', [])]),
        (' \tfoo\t ', [('foo', [])]),
        ('foo; a', [('foo', [('a', None)])]),
        ('foo;a=1 ;\t b ; c=x', [('foo', [('a', '1'), ('b', None), ('c', 'x')])]),
        ('foo; a="1"', [('foo', [('a', '1')])]),
        ('foo; a="1" , bar', [('foo', [('a', '1')]), ('bar', [])]),
        (r'foo; a="\1\2x\y"', [('foo', [('a', '12xy')])]),
        ('foo; a=1, foo; a=2; a=3', [('foo', [('a', '1')]), ('foo', [('a', '2'), ('a', '3')])]),
        ('Foo; A=X', [('Foo', [('A', 'X')])]),
        ("!#$%&'*+-.^_`|~09azAZ", [("!#$%&'*+-.^_`|~09azAZ", [])]),
        ('__proto__; constructor=prototype', [('__proto__', [('constructor', 'prototype')])]),
    ],
)
def test_valid(header: str, extensions: list[tuple[str, Parameters]]) -> None:
    assert parse_extensions(header) == extensions


@pytest.mark.parametrize('header', ['', ' ', 'foo,', 'foo, ', 'foo;', 'foo; ', 'foo; a,', 'foo; a=1;', 'foo; a="1",\t'])
def test_something_is_missing_at_the_end(header: str) -> None:
    with pytest.raises(ValueError, match=r'^Unexpected end of input$'):
        parse_extensions(header)


@pytest.mark.parametrize(
    'header, index',
    [
        (',', 0),
        (' ,foo', 1),
        ('foo,,bar', 4),
        ('foo, ,bar', 5),
        ('foo bar', 4),
        ('foo; a b', 7),
        ('foo;;a', 4),
        ('foo;\t,bar', 5),
        ('foo=1', 3),
        ('=', 0),
        (';a', 0),
        ('foo; =1', 5),
        ('foo; a=', 6),
        ('foo; a= 1', 6),
        ('foo; a =1', 7),
        ('foo; a==1', 6),
        ('foo; a=1=2', 8),
        ('foo; a=1 2', 9),
        ('foo; a=,bar', 6),
        ('foo; a=""', 6),
        ('foo; a="1', 6),
        ('foo; a="1 2"', 6),
        (r'foo; a="1\"', 6),
        (r'foo; a="\ "', 6),
        ('foo; a="1"2', 10),
        ('foo; a="1""2"', 10),
        ('foo; a="\xe9"', 6),
        ('f\xf6\xf6', 1),
        ('"foo"', 0),
        ('foo\n', 3),
        ('foo\x0b; a', 3),
        ('foo/bar', 3),
        ('foo\u0131', 3),
    ],
)
def test_what_is_wrong_is_told_by_its_place(header: str, index: int) -> None:
    with pytest.raises(ValueError, match=f'^Unexpected character at index {index}$'):
        parse_extensions(header)


def test_limits() -> None:
    many = ', '.join(['foo'] * MAX_EXTENSIONS)
    assert len(parse_extensions(many)) == MAX_EXTENSIONS
    with pytest.raises(ValueError, match=f'^more than {MAX_EXTENSIONS} extensions$'):
        parse_extensions(many + ',bar')

    many = 'foo' + ';a' * MAX_PARAMETERS
    assert len(parse_extensions(many + ',' + many)[1].parameters) == MAX_PARAMETERS
    with pytest.raises(ValueError, match=f'^more than {MAX_PARAMETERS} parameters of extension foo$'):
        parse_extensions(many + ';b')


@pytest.mark.parametrize(
    'unit', ['a', ' ', '\t', 'a,', 'a;', ';a', '"', '\\', '\\a', 'a;b=', 'a;b="', 'a;b="c', 'a;b="\\c', 'a;b="c\\']
)
@pytest.mark.parametrize('start', ['', 'a', 'a;', 'a;b=', 'a;b="'])
def test_takes_linear_time(start: str, unit: str) -> None:
    started = time.process_time()
    for end in ['', '"', ',', '\0']:
        try:
            parse_extensions(start + unit * 200_000 + end)
        except ValueError:
            continue
    assert time.process_time() - started < 2  # it takes 30 ms; if squared, hours


tokens = st.text("!#$%&'*+-.^_`|~0189abyzABYZ", min_size=1, max_size=8)
blanks = st.text(' \t', max_size=2)
extensions = st.builds(Extension, tokens, st.lists(st.tuples(tokens, st.one_of(st.none(), tokens)), max_size=4))


@st.composite
def headers(draw: st.DrawFn, extensions: list[Extension]) -> str:
    """One of the ways to write them down."""

    def value(text: Optional[str]) -> str:
        if text is None:
            return ''
        if draw(st.booleans()):
            return '=' + text
        return '="' + ''.join(('\\' if draw(st.booleans()) else '') + character for character in text) + '"'

    def padded(text: str) -> str:
        return draw(blanks) + text + draw(blanks)

    return ','.join(
        ';'.join([padded(name), *(padded(key + value(text)) for key, text in parameters)])
        for name, parameters in extensions
    )


@given(st.data(), st.lists(extensions, min_size=1, max_size=5))
def test_however_written(data: st.DataObject, extensions: list[Extension]) -> None:
    assert parse_extensions(data.draw(headers(extensions))) == extensions


@given(st.lists(extensions, min_size=1, max_size=5))
def test_what_we_write_we_read(extensions: list[Extension]) -> None:
    assert parse_extensions(', '.join(map(format_extension, extensions))) == extensions


@given(st.text('ab1 \t,;="\\\xe9\n', max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parsed = parse_extensions(text)
    except ValueError as error:
        assert str(error).startswith('Unexpected ')
    else:
        assert parse_extensions(', '.join(map(format_extension, parsed))) == parsed


def test_format() -> None:
    assert format_extension(Extension('foo')) == 'foo'
    assert format_extension(Extension('foo', [('a', None), ('b', '1')])) == 'foo; a; b=1'
