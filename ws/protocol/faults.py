"""What a peer does wrong in more places than one."""

from __future__ import annotations

from ..errors import ProtocolError


def invalid_utf8() -> ProtocolError:
    return ProtocolError('invalid utf8 sequence', 1007, 'WS_ERR_INVALID_UTF8')


def too_large() -> ProtocolError:
    """A message beyond ``maxPayload``."""
    return ProtocolError('Max payload size exceeded', 1009, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
