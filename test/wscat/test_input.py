"""How standard input becomes messages."""

from __future__ import annotations

import json
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.wscat.editor import END
from ws.wscat.input import Lines, Pieces, Values


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, none of them empty, and the empty one that is the end."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in zip(edges, edges[1:])] + [b'']


@given(st.text(st.sampled_from('aü日\r\n')), st.lists(st.integers(min_value=0)))
def test_lines_however_they_are_cut(text: str, places: list[int]) -> None:
    lines = Lines('utf-8')
    found = [line for piece in cut(text.encode(), places) for line in lines.feed(piece)]
    expected: list[Optional[str]] = [line.removesuffix('\r') for line in text.split('\n')]
    if text.endswith('\n') or not text:
        expected.pop()
    assert found == [*expected, END]


@given(st.text(st.sampled_from('aü日\r\n')), st.lists(st.integers(min_value=0)))
def test_pieces_lose_nothing(text: str, places: list[int]) -> None:
    for encoding, whole in (('utf-8', text), (None, text.encode())):
        pieces = Pieces(encoding)
        found = [piece for data in cut(text.encode(), places) for piece in pieces.feed(data)]
        assert found.pop() is END
        assert whole[:0].join(found) == whole  # type: ignore[arg-type]
        assert all(found)


@pytest.mark.parametrize('data', [b'\xff\n', b'a\xc3'])
def test_what_is_not_in_the_encoding_is_refused(data: bytes) -> None:
    for source in (Lines('utf-8'), Pieces('utf-8')):
        with pytest.raises(UnicodeDecodeError):
            for piece in (data, b''):
                list(source.feed(piece))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([None, 1, 4]))
def test_a_value_is_complete_with_its_last_line_and_not_before(value: object, indent: Optional[int]) -> None:
    text = json.dumps(value, indent=indent)
    values = Values()
    for _ in range(2):
        *lines, last = text.split('\n')
        assert [values.add(line) for line in ['', *lines]] == [None] * (len(lines) + 1)
        assert values.begun == bool(lines)
        assert values.add(last) == text
        assert not values.begun


@pytest.mark.parametrize('line', ['nonsense', '[1,]', '{1', '"a', '[1]]', '{"a" 1}', '[' * 100_000 + ']' * 100_000])
def test_what_can_not_become_json_is_refused_and_forgotten(line: str) -> None:
    values = Values()
    with pytest.raises(ValueError, match='not JSON: '):
        values.add(line)
    assert not values.begun
    assert values.add('[1]') == '[1]'


def test_many_lines_take_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0
    loads = json.loads

    def counting(text: str) -> object:
        nonlocal parsed
        parsed += len(text)
        return loads(text)

    monkeypatch.setattr(json, 'loads', counting)
    lines = ['[', *['{"a": [1, 2, 3]},'] * 10_000, '1]']
    values = Values()
    assert [text for text in map(values.add, lines) if text is not None] == ['\n'.join(lines)]
    assert parsed < 4 * sum(map(len, lines))


@given(st.lists(st.text(st.sampled_from('[]{}",:1a\\ '))))
def test_nothing_but_the_documented_error_comes_out(lines: list[str]) -> None:
    values = Values()
    for line in lines:
        try:
            text = values.add(line)
        except ValueError:
            continue
        if text is not None:
            json.loads(text)
