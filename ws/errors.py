"""The exceptions of this package, under one root.

``str()`` of each is the text that Node's ``ws`` 0.4.31 has for the same error, or that of ``ws`` 8 where only that has
one: ported code may compare it. What goes wrong below the WebSocket protocol (TCP, TLS, name look-ups) keeps its Python
class: :class:`OSError`, :class:`ssl.SSLError`, :class:`TimeoutError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from .protocol.http import Response


class WebSocketError(Exception):
    """The root of all errors of this package.

    ``code`` is the name that ``ws`` 8 has for what is wrong, such as ``'WS_ERR_INVALID_OPCODE'``, or None.
    """

    code: Optional[str] = None


class HandshakeError(WebSocketError):
    """The opening handshake failed (RFC 6455 section 4).

    On a client, ``status`` is the HTTP status of a response other than 101, else ``None``; ``response`` is what the
    server has answered, or ``None``. On a server it is the status to refuse the request with, and ``headers`` are
    header lines for that response.
    """

    def __init__(self, message: str, status: Optional[int] = None, headers: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers: tuple[str, ...] = tuple(headers)
        self.response: Union[Response, Any] = None  # its type doesn't insist on None


class ProtocolError(WebSocketError):
    """The peer broke the framing rules (RFC 6455 section 5) or a limit of ours.

    ``closeCode`` is the close code with which the connection is failed (RFC 6455 section 7.4.1).
    """

    def __init__(self, message: str, closeCode: int = 1002, code: Optional[str] = None) -> None:
        super().__init__(message)
        self.closeCode = closeCode
        self.code = code


class ProxyError(WebSocketError, OSError):
    """A proxy did not make the connection.

    ``status`` is what it refused with, an HTTP status or a reply code of SOCKS; ``None`` if it can't be reached, or did
    not answer with either.
    """

    def __init__(self, message: str, status: Optional[int] = None) -> None:
        super().__init__(message)
        self.status = status


class NotOpenError(WebSocketError):
    """The operation needs ``readyState`` OPEN."""

    def __init__(self, message: str = 'not opened') -> None:
        super().__init__(message)
