"""Close codes (RFC 6455 section 7.4)."""

from __future__ import annotations

#: Close code -> what it means. The last three are younger than RFC 6455, from the IANA registry of its section 11.7.
ERROR_CODES: dict[int, str] = {
    1000: 'normal',
    1001: 'going away',
    1002: 'protocol error',
    1003: 'unsupported data',
    1004: 'reserved',
    1005: 'reserved for extensions',
    1006: 'reserved for extensions',
    1007: 'inconsistent or invalid data',
    1008: 'policy violation',
    1009: 'message too big',
    1010: 'extension handshake missing',
    1011: 'an unexpected condition prevented the request from being fulfilled',
    1012: 'service restart',
    1013: 'try again later',
    1014: 'bad gateway',
}

#: What a close frame without a code counts as (section 7.1.5).
NO_STATUS = 1005


def is_valid_error_code(code: object) -> bool:
    """Whether ``code`` may stand in a close frame, in either direction.

    1004, 1005 and 1006 never may (section 7.4.1). 3000-3999 are for libraries, 4000-4999 for programs (section 7.4.2).
    1012 to 1014 may: Node's ws 0.4.31 refuses them, but ws 8 takes them and servers that restart do send them.
    """
    if isinstance(code, bool) or not isinstance(code, int):
        return False
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class ErrorCodeTable(dict[int, str]):
    """Close code -> what it means (RFC 6455 section 7.4)."""

    @staticmethod
    def isValidErrorCode(code: object) -> bool:
        """Whether `code` may stand in a close frame."""
        return is_valid_error_code(code)


#: Node's name for the table.
ErrorCodes: ErrorCodeTable = ErrorCodeTable(ERROR_CODES)
