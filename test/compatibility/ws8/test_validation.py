"""Tests V001 to V005 of ws 8's suite: what is UTF-8.

There it is a function; here it is whether a receiver takes a text, whole or byte by byte.
"""

from __future__ import annotations

from compatibility.ws8.recording import received


def is_valid_utf8(data: bytes) -> bool:
    frame = bytes((0x81, len(data))) + data
    whole = received(frame)
    assert received(*(frame[index : index + 1] for index in range(len(frame)))) == whole
    assert whole in ([('text', data.decode('utf-8', 'replace'))], [('error', 1007, 'invalid utf8 sequence')])
    return bool(whole[0][0] == 'text')


def test_v001_a_byte_that_begins_nothing() -> None:
    assert not is_valid_utf8(b'\xf8')


def test_v002_more_bytes_than_are_needed() -> None:
    assert not any(map(is_valid_utf8, (b'\xc0\xa0', b'\xe0\x80\xa0', b'\xf0\x80\x80\xa0')))


def test_v003_surrogates() -> None:
    for second in range(0xA0, 0xC0):
        assert not any(is_valid_utf8(bytes((0xED, second, third))) for third in range(0x80, 0xC0))


def test_v004_more_than_unicode_has() -> None:
    assert not any(map(is_valid_utf8, (b'\xf4\x90\x80\x80', b'\xf5\x80\x80\x80')))


def test_v005_characters_of_one_three_and_four_bytes() -> None:
    assert is_valid_utf8('€𐍈$'.encode())
