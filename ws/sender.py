"""Sender: writes frames to a socket of the user's, without the rules of a connection; Node's module exports it, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

from .events import EventEmitter, arity_of, fitted
from .protocol import sender
from .sending import mask_option, message_options
from .typing import Callback, ControlOptions, FrameOptions, Payload


class Sender(EventEmitter):
    """Writes frames to ``socket``, an object with ``write(data, callback)``, or just ``write(data)``.

    What writing raises goes to the callback, or without one to the event ``error``.
    """

    _emits = frozenset(('error',))

    def __init__(self, socket: Any) -> None:
        super().__init__()
        if not callable(getattr(socket, 'write', None)):
            raise TypeError(f'socket must have a method write, which {type(socket).__name__} lacks')
        self._sender = sender.Sender(_Socket(socket))
        self._calls_back = arity_of(socket.write).most > 1

    def send(self, data: Payload, options: Optional[FrameOptions] = None, callback: Optional[Callback] = None) -> None:
        """Send a message, or a fragment of one. Options: ``fin`` (bool, True), ``mask`` and ``binary`` (bool)."""
        binary, mask, _, fin = message_options('send()', options, None, None, True)
        self._write(callback, self._sender.send, data, binary, fin, bool(mask))

    def ping(self, data: Payload = None, options: Optional[ControlOptions] = None) -> None:
        """Send a ping. Options: ``mask`` (bool)."""
        self._write(None, self._sender.ping, data, bool(mask_option('ping()', options)))

    def pong(self, data: Payload = None, options: Optional[ControlOptions] = None) -> None:
        """Send a pong. Options: ``mask`` (bool)."""
        self._write(None, self._sender.pong, data, bool(mask_option('pong()', options)))

    def close(self, code: Optional[int] = None, data: Union[str, bytes, None] = None, mask: bool = False) -> None:
        """Send a close frame. Raises ValueError for a `code` or reason that no close frame may carry, TypeError for a
        reason that is neither text nor bytes."""
        self._write(None, self._sender.close, code, data, mask)

    def frameAndSend(
        self,
        opcode: int,
        data: Payload,
        fin: bool = True,
        mask: bool = False,
        callback: Optional[Callback] = None,
    ) -> None:
        """Send a frame."""
        self._write(callback, self._sender.frame_and_send, opcode, sender.payload_of(data)[0], fin, mask)

    def _write(self, callback: Optional[Callable[..., Any]], method: Callable[..., None], *args: Any) -> None:
        callback = None if callback is None else fitted(callback, self)
        try:
            method(*args, callback=callback)
        except OSError as error:
            if callback is not None:
                callback(error)
            else:
                self.emit('error', error)
        else:
            if callback is not None and not self._calls_back:
                callback(None)


class _Socket:
    """A socket of the user's, as the sender writes to it."""

    def __init__(self, socket: Any) -> None:
        self.write = fitted(socket.write, socket)
