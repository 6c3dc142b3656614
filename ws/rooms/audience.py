"""Whom a message is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, TypedDict, Union

from ..options import of_call
from ..protocol.receiver import MessageFlags
from ..protocol.sender import payload_of
from ..typing import Payload
from ..websocket import WebSocket
from .delivery import Message

_OPTIONS = frozenset(('binary', 'compress'))


class SendOptions(TypedDict, total=False):
    """Of ``send`` to rooms."""

    binary: Union[bool, MessageFlags, None]
    compress: bool


class Audience:
    """The members of some rooms, on all machines: what ``rooms.to(…)`` returns. It can be used any number of times."""

    __slots__ = ('_but', '_rooms', '_send')

    def __init__(
        self,
        send: Callable[[tuple[str, ...], tuple[WebSocket, ...], Message], None],
        rooms: tuple[str, ...],
        but: tuple[WebSocket, ...] = (),
    ) -> None:
        self._send = send
        self._rooms = rooms
        self._but = but

    def but(self, *connections: WebSocket) -> Audience:
        """The same, but without these."""
        return Audience(self._send, self._rooms, self._but + connections)

    def send(
        self,
        data: Payload = None,
        options: Union[SendOptions, MessageFlags, None] = None,
        *,
        binary: Optional[bool] = None,
        compress: bool = True,
    ) -> None:
        """Send a message to each of them once, from any thread: to those who are members here now, and to those on
        other machines who are members when it arrives there.

        `data`, and the options ``binary`` and ``compress``, are those of :meth:`WebSocket.send`; files can't be sent.
        Raises TypeError for data of another type. A member that is not open, or no longer open, gets nothing.
        """
        if type(options) is MessageFlags:
            binary = options.binary
        elif options is not None:
            given: Any = of_call('send()', _OPTIONS, options, depth=-1)
            binary, compress = given.get('binary', binary), given.get('compress', compress)
        payload, is_binary = payload_of(data)
        message = Message(payload, is_binary if binary is None else bool(binary), bool(compress))
        self._send(self._rooms, self._but, message)
