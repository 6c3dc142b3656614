"""Servers with rooms, and those who are in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

from support import Log, Waiter, client, server

from ws import WebSocket, WebSocketServer
from ws.rooms import BusListener, Rooms


class Site(NamedTuple):
    """A server with rooms, as each process has one."""

    wss: WebSocketServer
    rooms: Rooms
    log: Log
    connected: Waiter

    def connect(self, **options: Any) -> tuple[WebSocket, Log]:
        """The server's end of a new connection, and what its client hears."""
        ws = client(self.wss, **options)
        log = Log(ws, 'open', 'message', 'close')
        assert log.get() == ('open',)
        here, _request = self.connected.get()
        return here, log

    def member(self, *names: str, info: object = None) -> tuple[WebSocket, Log]:
        """One who is in these rooms."""
        here, log = self.connect()
        for name in names:
            self.rooms.join(here, name, info)
        return here, log


@contextlib.contextmanager
def site(bus: Any = None, **options: Any) -> Iterator[Site]:
    rooms_options = {name: options.pop(name) for name in ('maxBufferedAmount', 'presenceTimeout') if name in options}
    with server(**options) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        rooms = Rooms(wss, {'bus': bus, **rooms_options})
        yield Site(wss, rooms, Log(rooms, 'presence', 'up', 'down'), connected)


def said(log: Log) -> Any:
    """The next message that comes."""
    event, *arguments = log.get()
    assert event == 'message', (event, arguments)
    return arguments[0]


class Broker:
    """Carries messages between buses of one process, at once and on the thread that publishes."""

    def __init__(self) -> None:
        self.buses: list[MemoryBus] = []

    def bus(self) -> MemoryBus:
        self.buses.append(MemoryBus(self))
        return self.buses[-1]


class MemoryBus:
    """A bus whose connection can be cut."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.channels: dict[str, None] = {}
        self.is_up = True
        self.is_full = False
        self.listener: Optional[BusListener] = None

    def open(self, listener: BusListener) -> None:
        self.listener = listener
        listener.up()

    def publish(self, channel: str, message: bytes) -> bool:
        if not self.is_up or self.is_full:
            return False
        for bus in self._broker.buses:
            if bus.is_up and channel in bus.channels and bus.listener is not None:
                bus.listener.received(channel, message)
        return True

    def subscribe(self, channel: str) -> None:
        self.channels[channel] = None
        if self.is_up and self.listener is not None:
            self.listener.subscribed(channel)

    def unsubscribe(self, channel: str) -> None:
        self.channels.pop(channel, None)

    def close(self) -> None:
        self.listener = None

    def cut(self) -> None:
        assert self.listener is not None
        self.is_up = False
        self.listener.down(ConnectionError('cut'))

    def mend(self) -> None:
        assert self.listener is not None
        self.is_up = True
        self.listener.up()
        for channel in list(self.channels):
            self.listener.subscribed(channel)
