"""Sockets that keep what is sent, for the tests of this folder."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ws.protocol.receiver import Receiver

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Socket:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.callbacks: list[Optional[Callable[..., object]]] = []

    def write(self, data: bytes, callback: Optional[Callable[..., object]] = None) -> None:
        assert type(data) is bytes
        self.written.append(data)
        self.callbacks.append(callback)


class Wire(Socket):
    """Keeps what a Receiver makes of what is written to it."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.events: list[tuple[Any, ...]] = []
        self.receiver = Receiver(masked, max_payload=0)
        self.receiver.ontext = lambda text, flags: self.events.append(('text', text))
        self.receiver.onbinary = lambda data, flags: self.events.append(('binary', data))
        self.receiver.onping = lambda data, flags: self.events.append(('ping', data))
        self.receiver.onpong = lambda data, flags: self.events.append(('pong', data))
        self.receiver.onclose = lambda code, reason, flags: self.events.append(('close', code, reason))
        self.receiver.onerror = lambda error, code: self.events.append(('error', str(error), code))

    def write(self, data: bytes, callback: Optional[Callable[..., object]] = None) -> None:
        super().write(data, callback)
        self.receiver.add(data)
