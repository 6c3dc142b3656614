"""A client's request as listeners see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

from ..errors import WebSocketError
from ..net.face import Socket
from ..protocol.handshake import ClientHandshake, HeaderValue


class ClientRequest:
    """The request for a WebSocket, like Node's ``http.ClientRequest``. Its headers may be changed until it is sent."""

    def __init__(
        self,
        handshake: ClientHandshake,
        on_destroy: Callable[[ClientRequest, Optional[BaseException]], object],
        on_end: Callable[[ClientRequest], object],
    ) -> None:
        self._handshake = handshake
        self._on_destroy = on_destroy
        self._on_end = on_end
        #: What it is sent over, once there is a connection.
        self.socket: Union[Socket, Any] = None
        #: Whether it is too late to change them.
        self.headersSent: bool = False
        #: Whether :meth:`destroy` was called.
        self.destroyed: bool = False

    @property
    def method(self) -> str:
        return 'GET'

    @property
    def path(self) -> str:
        """Path and query."""
        return self._handshake.address.target

    @property
    def host(self) -> str:
        """Where it goes to, a name or an IP address; '' for a UNIX socket."""
        return self._handshake.address.host

    def getHeader(self, name: str) -> Optional[HeaderValue]:
        """The value that header `name`, in any case, was set to; None if there is none."""
        return self._handshake.fields.get(name)

    def getHeaders(self) -> dict[str, HeaderValue]:
        """Names in lower case -> values."""
        return {name.lower(): value for name, value in self._handshake.fields.items()}

    def hasHeader(self, name: str) -> bool:
        """Whether there is a header `name`, in any case."""
        return self.getHeader(name) is not None

    def setHeader(self, name: str, value: HeaderValue) -> ClientRequest:
        """Replace header `name`, or add it; a list makes one line of each of its items.

        Raises TypeError or ValueError for an invalid header, and :class:`~ws.WebSocketError` when it is too late.
        """
        self._check_not_sent()
        self._handshake.fields.set(name, value)
        return self

    def removeHeader(self, name: str) -> None:
        """Take header `name` away, if it is there. Raises :class:`~ws.WebSocketError` when it is too late."""
        self._check_not_sent()
        self._handshake.fields.remove(name)

    def _check_not_sent(self) -> None:
        if self.headersSent:
            raise WebSocketError('the headers have been sent')

    def end(self) -> ClientRequest:
        """Send it, if that was left to ``finishRequest``. Otherwise, or called again, this does nothing."""
        self._on_end(self)
        return self

    def destroy(self, error: Optional[BaseException] = None) -> ClientRequest:
        """Give up. If the request was not answered, there is an ``error`` event, with `error` if that is given; if it
        was answered, only if that is given. ``close`` follows, if the connection isn't open."""
        if not self.destroyed:
            self.destroyed = True
            self._on_destroy(self, error)
        return self

    def abort(self) -> None:
        """The same, by its former name."""
        self.destroy()
