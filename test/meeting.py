"""Servers with rooms, and those who are in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from support import Log, Waiter, client, end, server

from ws import WebSocket, WebSocketServer
from ws.rooms import Rooms


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


def leaves(ws: WebSocket) -> None:
    """It has ended, and its rooms know."""
    end(ws)
