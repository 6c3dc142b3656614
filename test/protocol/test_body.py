"""The bodies of refusals: where they end, and how much of them is kept."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws.protocol.body import MAX_BODY, BodyReader
from ws.protocol.http import Headers, Response

CHUNKED = {'transfer-encoding': 'chunked'}


def reader(status: int = 401, **headers: str) -> BodyReader:
    fields = Headers({name.replace('_', '-'): value for name, value in headers.items()})
    return BodyReader(Response(status, '', '1.1', fields, []))


def read(data: bytes, size: int = 1 << 20, status: int = 401, **headers: str) -> tuple[bytes, bool, bool]:
    """What is kept, whether that is all, and whether no more is wanted."""
    body = reader(status, **headers)
    for start in range(0, len(data), size):
        if not body.done:
            body.feed(data[start : start + size])
    return bytes(body.data), body.complete, body.done


@pytest.mark.parametrize('size', [1, 2, 7, 1 << 20])
def test_a_length_that_is_told(size: int) -> None:
    assert read(b'hello', size, content_length='5') == (b'hello', True, True)
    assert read(b'hello, more', size, content_length='5') == (b'hello', True, True)
    assert read(b'hell', size, content_length='5') == (b'hell', False, False)


def test_nothing_at_all() -> None:
    assert read(b'', content_length='0') == (b'', True, True)
    for status in 204, 304:  # whatever the headers say
        assert read(b'x', status=status, content_length='5') == (b'', True, True)
    assert read(b'0\r\n\r\n', transfer_encoding='chunked') == (b'', True, True)


def test_to_the_end_of_the_connection() -> None:
    for headers in {}, {'transfer_encoding': 'gzip'}:
        body = reader(**headers)
        body.feed(b'hello')
        assert not body.done
        body.end()
        assert (bytes(body.data), body.complete) == (b'hello', True)


@pytest.mark.parametrize('headers', [{'content_length': '6'}, {'transfer_encoding': 'chunked'}])
def test_an_end_that_comes_too_early(headers: dict[str, str]) -> None:
    body = reader(**headers)
    body.feed(b'5\r\nab')
    body.end()
    assert body.done and not body.complete


@pytest.mark.parametrize('size', [1, 3, 1 << 20])
@pytest.mark.parametrize(
    'data',
    [
        b'5\r\nhello\r\n0\r\n\r\n',
        b'2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
        b'05;name=value;"x"\r\nhello\r\n000\r\nTrailer: x\r\nOther: y\r\n\r\nrest',
        b'1 \t\r\nh\r\n4\r\nello\r\n0;x\r\n\r\n',
    ],
)
def test_chunks(data: bytes, size: int) -> None:
    assert read(data, size, transfer_encoding='chunked') == (b'hello', True, True)
    assert read(data, size, transfer_encoding='gzip, Chunked ') == (b'hello', True, True)


@pytest.mark.parametrize(
    'data',
    [b'x\r\nhello', b'\r\nhello', b'-1\r\n', b'0x5\r\nhello', b'5\nhello\n', b'5\r\nhelloX\r\n', b'1' * 16 + b'\r\n'],
)
def test_chunks_that_are_none(data: bytes) -> None:
    kept, complete, _ = read(data + b'0\r\n\r\n', transfer_encoding='chunked')
    assert not complete
    assert kept in (b'', b'hello')


def test_what_is_too_long_is_cut() -> None:
    long = b'x' * (MAX_BODY + 1)
    whole = long[:-1]
    for headers, data in (
        ({}, long),
        ({'content_length': str(len(long))}, long),
        ({'content_length': str(1 << 40)}, long),
        ({'transfer_encoding': 'chunked'}, b'%x\r\n' % (1 << 40) + long),
        ({'transfer_encoding': 'chunked'}, b'100\r\n' + b'x' * 256 + b'\r\nfff00\r\n' + long),
    ):
        assert read(data, 4096, **headers) == (whole, False, True)
    assert read(whole, 4096, content_length=str(MAX_BODY)) == (whole, True, True)


@pytest.mark.parametrize(
    'endless',
    [
        b'1;' + b'x' * 10_000_000,  # one line
        b'1;xxxxxxxx\r\ny\r\n' * 1_000_000,  # more around the chunks than in them
        b'0\r\n' + b'X: y\r\n' * 1_000_000,
        b'\0' * 10_000_000,
    ],
)
def test_what_frames_the_chunks_is_limited_too(endless: bytes) -> None:
    body = reader(transfer_encoding='chunked')
    taken = 0
    began = time.process_time()
    while not body.done:
        body.feed(endless[taken : taken + 100])
        taken += 100
    assert taken <= 2 * MAX_BODY + 100
    assert not body.complete
    assert time.process_time() - began < 5


@given(st.binary(max_size=300), st.integers(1, 50), st.sampled_from(['', 'chunked']), st.sampled_from(['', '0', '20']))
def test_it_makes_no_difference_how_it_is_cut(data: bytes, size: int, coding: str, length: str) -> None:
    headers = {}
    if coding:
        headers['transfer_encoding'] = coding
    if length:
        headers['content_length'] = length
    assert read(data, size, **headers) == read(data, **headers)
