"""Heads: built such that no data becomes a header."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.http.heads import parse_request, parse_response

from ws.protocol.http import ResponseParser, build_head, build_refusal, is_token

LINE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters='\x7f'), max_size=30)
NAMES = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=20)


@given(fields=st.lists(st.tuples(NAMES.filter(lambda name: name != 'Host'), LINE), max_size=20))
def test_what_is_built_is_parsed(fields: list[tuple[str, str]]) -> None:
    request = parse_request(build_head('GET / HTTP/1.1', [f'{name}:{value}' for name, value in fields]))
    assert request.rawHeaders == [part for name, value in fields for part in (name, value.strip(' \t'))]
    assert set(request.headers) == {name.lower() for name, _ in fields}


def test_build_head() -> None:
    assert build_head('GET / HTTP/1.1', ['Host: a', 'X: \té']) == b'GET / HTTP/1.1\r\nHost: a\r\nX: \t\xe9\r\n\r\n'


def test_build_head_takes_any_iterable() -> None:
    assert build_head('HTTP/1.1 200 OK', iter(())) == b'HTTP/1.1 200 OK\r\n\r\n'


@pytest.mark.parametrize(
    'character', ['\r', '\n', '\r\nEvil: 1', '\0', '\x0b', '\x1f', '\x7f', '\u0100', '\u2028', '\ud800']
)
def test_build_head_names_the_line_it_refuses(character: str) -> None:
    line = f'X: a{character}'
    with pytest.raises(ValueError, match=re.escape(f'invalid character in header line {line!r}')):
        build_head('GET / HTTP/1.1', ['Host: a', line])
    with pytest.raises(ValueError, match='invalid character'):
        build_head(f'GET /{character} HTTP/1.1', [])


@pytest.mark.parametrize('line', ['', ' ', ' X: folded', '\tX: 1', 'X', ': 1', 'X : 1', 'é: 1', 'HTTP/1.1 200 OK'])
def test_build_head_takes_header_lines_only(line: str) -> None:
    """An empty one would end the head, and what follows be the body."""
    for lines in ([line], ['X: 1', line], [line, 'Y: 1']):
        with pytest.raises(ValueError, match=re.escape(f'invalid header line {line!r}')):
            build_head('HTTP/1.1 101 Switching Protocols', lines)


@given(line=st.one_of(st.text(), st.text().map('X: {}'.format)))
def test_nothing_that_is_built_holds_a_second_line(line: str) -> None:
    try:
        head = build_head('GET / HTTP/1.1', [line])
    except ValueError:
        return
    assert head == b'GET / HTTP/1.1\r\n' + line.encode('latin-1') + b'\r\n\r\n'
    assert not set(line) & set('\r\n\0')


def test_build_refusal() -> None:
    assert build_refusal(401) == (
        b'HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n'
        b'Content-Length: 12\r\n\r\nUnauthorized'
    )


def test_build_refusal_with_message_headers_and_name() -> None:
    assert build_refusal(404, 'né', ['X: 1', 'Y: 2'], 'Unauthorized') == (
        b'HTTP/1.1 404 Unauthorized\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n'
        b'Content-Length: 3\r\nX: 1\r\nY: 2\r\n\r\nn\xc3\xa9'
    )


def test_the_answer_to_head_has_no_body() -> None:
    assert build_refusal(405, method='GET') == build_refusal(405)
    assert build_refusal(405, method='HEAD') + b'Method Not Allowed' == build_refusal(405)


def test_name_without_message_is_the_body() -> None:
    assert build_refusal(501, name='Could not process protocols').endswith(b'\r\n\r\nCould not process protocols')


def test_headers_of_a_refusal_replace_those_built_in() -> None:
    response = parse_response(build_refusal(403, '<p>', ['content-type: text/html']))
    assert response.rawHeaders == ['Connection', 'close', 'Content-Length', '3', 'content-type', 'text/html']


def test_status_without_standard_reason() -> None:
    assert build_refusal(499) == (
        b'HTTP/1.1 499 \r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n'
    )


@pytest.mark.parametrize('status', [-1, 0, 100, 101, 199, 600, 1000])
def test_what_is_no_status_of_a_refusal(status: int) -> None:
    with pytest.raises(ValueError, match=f'not the status of a refusal: {status}'):
        build_refusal(status)


@pytest.mark.parametrize('arguments', [{'name': 'a\r\nEvil: 1'}, {'headers': ['X: a\nb']}, {'name': '\u20ac'}])
def test_refusals_let_no_data_become_headers(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='invalid character'):
        build_refusal(400, **arguments)


@pytest.mark.parametrize('status', [200, 302, 400, 405, 426, 431, 500, 503, 505, 599])
def test_refusals_are_whole_responses(status: int) -> None:
    parser = ResponseParser()
    response = parser.feed(build_refusal(status, 'sorry'))
    assert response is not None
    assert response.statusCode == status
    assert response.headers['connection'] == 'close'
    assert parser.rest == b'sorry'
    assert response.headers['content-length'] == '5'


@pytest.mark.parametrize(
    ('text', 'expected'), [('chat', True), ("!#$%&'*+-.^_`|~9zZ", True), ('', False), ('a b', False), ('a,b', False)]
)
def test_tokens(text: str, expected: bool) -> None:
    assert is_token(text) is expected


@pytest.mark.parametrize('text', ['a\n', 'é', '"a"', 'a/b', '\x7f', '\u0661', '(a)', 'a:'])
def test_no_tokens(text: str) -> None:
    assert is_token(text) is False
