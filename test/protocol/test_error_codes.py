"""Close codes (RFC 6455 section 7.4)."""

from __future__ import annotations

from enum import IntEnum

import pytest

from ws.protocol.error_codes import ERROR_CODES, ErrorCodes, is_valid_error_code

VALID = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]


def test_valid_codes_are_these_and_no_others() -> None:
    assert [code for code in range(-10, 70000) if is_valid_error_code(code)] == VALID


@pytest.mark.parametrize('code', [None, '1000', 1000.0, True, b'\x03\xe8', [1000], float('nan'), 2**64, -(2**64)])
def test_what_is_no_int_in_range_is_no_code(code: object) -> None:
    assert is_valid_error_code(code) is False


def test_an_int_enum_is_an_int() -> None:
    class Code(IntEnum):
        NORMAL = 1000

    assert is_valid_error_code(Code.NORMAL) is True


def test_table_names_every_code_of_the_protocol() -> None:
    assert list(ERROR_CODES) == list(range(1000, 1015))
    assert ERROR_CODES[1000] == 'normal'
    assert ERROR_CODES[1009] == 'message too big'
    assert ERROR_CODES[1011] == 'an unexpected condition prevented the request from being fulfilled'


def test_codes_of_the_table_are_valid_but_the_reserved_ones() -> None:
    assert [code for code in ERROR_CODES if not is_valid_error_code(code)] == [1004, 1005, 1006]
    assert all(ERROR_CODES[code].startswith('reserved') for code in (1004, 1005, 1006))


def test_the_table_answers_as_in_node() -> None:
    assert ErrorCodes[1001] == 'going away'
    assert ErrorCodes.isValidErrorCode(1001)
    assert not ErrorCodes.isValidErrorCode(1005)
