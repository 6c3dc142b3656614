"""Heads: within limits, in linear time, in any portions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Union
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol.http.heads import REQUEST, RESPONSE, parse_request, request_error, request_with

from ws.errors import HandshakeError
from ws.protocol import http
from ws.protocol.http import MAX_HEAD, MAX_HEADERS, MAX_INTERIM, MAX_TARGET, Request, RequestParser, ResponseParser

# Limits


def test_limits_are_those_documented() -> None:
    assert (MAX_HEAD, MAX_HEADERS, MAX_TARGET, MAX_INTERIM) == (16384, 128, 8192, 16)


def head_of(size: int) -> bytes:
    return request_with(b'X: ' + b'a' * (size - len(request_with(b'X: '))))


def test_longest_head() -> None:
    data = head_of(MAX_HEAD)
    assert len(data) == MAX_HEAD
    parser = RequestParser()
    assert parser.feed(data + b'rest') is not None
    assert parser.rest == b'rest'


@pytest.mark.parametrize('size', [1, 7, MAX_HEAD, 2 * MAX_HEAD])
def test_head_too_long(size: int) -> None:
    data = head_of(MAX_HEAD + 1)
    parser = RequestParser()
    with pytest.raises(HandshakeError) as caught:
        for at in range(0, len(data), size):
            assert parser.feed(data[at : at + size]) is None
    assert (str(caught.value), caught.value.status) == (f'head is longer than {MAX_HEAD} bytes', 431)


def test_parser_keeps_no_more_than_a_head() -> None:
    parser = RequestParser()
    for _ in range(3):
        with pytest.raises(HandshakeError):
            parser.feed(b'a' * 10 * MAX_HEAD)
    assert len(parser._buffer) == MAX_HEAD


@pytest.mark.parametrize('before', [b'', b'\r\n'])
def test_request_line_without_end(before: bytes) -> None:
    error = request_error(before + b'GET /' + b'a' * MAX_HEAD)
    assert (str(error), error.status) == (f'request target is longer than {MAX_TARGET} bytes', 414)


def test_longest_target() -> None:
    target = '/' + 'a' * (MAX_TARGET - 1)
    assert parse_request(f'GET {target} HTTP/1.1\r\n\r\n'.encode()).url == target


def test_target_too_long() -> None:
    error = request_error(b'GET /%b HTTP/1.1\r\n\r\n' % (b'a' * MAX_TARGET))
    assert (str(error), error.status) == (f'request target is longer than {MAX_TARGET} bytes', 414)


def test_most_headers() -> None:
    request = parse_request(request_with(*[b'X%d: a' % n for n in range(MAX_HEADERS)]))
    assert len(request.headers) == MAX_HEADERS


def test_too_many_headers() -> None:
    error = request_error(request_with(*[b'X: a'] * (MAX_HEADERS + 1)))
    assert (str(error), error.status) == (f'more than {MAX_HEADERS} headers', 431)


def test_work_is_linear_one_byte_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow sender costs no more than a fast one: no byte is looked at more than three times."""
    looked_at = 0

    class CountingBuffer(bytearray):
        def find(self, what: Any, start: Any = 0, stop: Any = None) -> int:
            nonlocal looked_at
            looked_at += len(self) - start
            return super().find(what, start)

    def match_lines(buffer: bytearray, start: int, stop: int) -> Union[re.Match[bytes], None]:
        nonlocal looked_at
        looked_at += stop - start
        return original(buffer, start, stop)

    original = http._match_lines
    monkeypatch.setattr(http, '_match_lines', match_lines)
    parser = RequestParser()
    parser._buffer = CountingBuffer()
    data = request_with(*[b'X: ' + b'a' * 120] * 120)
    for byte in data[:-1]:
        assert parser.feed(bytes([byte])) is None
    assert parser.feed(data[-1:]) is not None
    assert looked_at < 6 * len(data)


# Any chunks, any bytes

Outcome = tuple[Any, ...]


def outcome(parser: Union[RequestParser, ResponseParser], chunks: Iterable[bytes]) -> Outcome:
    """What the parser makes of it all: the message with the bytes that followed, or the error."""
    message = None
    rest = b''
    for chunk in chunks:
        if message is not None:
            rest += chunk
            continue
        try:
            message = parser.feed(chunk)
        except HandshakeError as error:
            # Only the excerpt of a foreign protocol depends on how much of it was there.
            return str(error).partition(' but ')[0], error.status
        rest = parser.rest
    if message is None:
        return (None,)
    if isinstance(message, Request):
        return message.method, message.url, message.httpVersion, message.headers, message.rawHeaders, rest
    return message.statusCode, message.statusMessage, message.httpVersion, message.headers, message.rawHeaders, rest


NASTY = st.sampled_from([
    b'\r', b'\n', b'\r\n', b'\r\n\r\n', b'\0', b' ', b'\t', b':', b'\x0b', b'\x85', b'\xff', b'HTTP/1.1', b'GET ',
    b'100', b'\r\n folded', b'\r\nHost: b', b'\r\nContent-Length: x', b'\r\nX:' + b'a' * 200, b'\r\nX: a' * 7,
])  # fmt: skip
HEADS = st.sampled_from([
    REQUEST, RESPONSE, b'\r\n' + REQUEST, b'HTTP/1.1 100 Continue\r\n\r\n' + RESPONSE, b'HTTP/1.1 401\r\n\r\nbody',
])  # fmt: skip


@st.composite
def broken_heads(draw: st.DrawFn) -> bytes:
    data = draw(HEADS)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(NASTY) + data[at + draw(st.integers(0, 2)) :]
    return data


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)])]


@pytest.mark.parametrize('parser', [RequestParser, ResponseParser])
@given(head=st.one_of(broken_heads(), st.binary()), data=st.data())
def test_any_chunks_give_the_same(parser: type[Any], head: bytes, data: st.DataObject) -> None:
    with mock.patch.multiple(http, MAX_HEAD=400, MAX_HEADERS=12, MAX_TARGET=100):
        whole = outcome(parser(), [head])
        assert outcome(parser(), data.draw(chunked(head))) == whole
        assert outcome(parser(), [bytes([byte]) for byte in head]) == whole
