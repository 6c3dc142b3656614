"""Rooms: connections by name."""

from __future__ import annotations

import json
from typing import Any, Optional, TypedDict

from ..delivery import Emitter
from ..options import Options, count, merge, milliseconds
from ..typing import Unpack
from ..websocket import WebSocket
from ..websocket_server import WebSocketServer
from .audience import Audience
from .bus import Bus
from .delivery import Message, deliver
from .members import Entry, Members
from .network import Network
from .presence import Change, Infos, Said

#: Options and their defaults; see the class.
ROOMS_OPTIONS: dict[str, Any] = {
    'bus': None,
    'maxBufferedAmount': 1024 * 1024,
    'presenceTimeout': 15_000,
}


class RoomsOptions(TypedDict, total=False):
    """Of ``Rooms``."""

    bus: Optional[Bus]
    maxBufferedAmount: Optional[int]
    presenceTimeout: Optional[float]


class Rooms(Emitter):
    """Connections in rooms, which have names. A room exists as long as somebody is in it.

    ``Rooms(wss, [options])``: `wss` is the server (:class:`WebSocketServer`); when it closes, the rooms end, too.
    Options, as a dict or as keywords:

    - ``bus`` (:class:`Bus`): what carries messages to the rooms of other processes, and theirs to us:
      ``RedisBus('redis://localhost')``. It belongs only to these rooms, and ends with them.
    - ``maxBufferedAmount`` (bytes, 1 MiB; 0: none): if more than this is waiting for a member when the next message
      comes, it does not read, and its connection ends with 1006.
    - ``presenceTimeout`` (milliseconds, 15000): a process that is not heard from for this long is taken for gone, and
      so are its members.

    Raises TypeError and ValueError for wrong arguments.

    Events, on the loop thread, or on the server's ``executor``: ``presence(room, came, went)`` when the members of
    `room`, in all processes, have changed, or what is known of them; `came` and `went` are lists of what :meth:`join`
    was given for them. Only for rooms with members in this process. With a bus: ``up()`` when there is a connection to
    the broker, ``down(error)`` when it is lost, or the first attempt fails; it is made again.

    Every method may be called from any thread, and none waits.
    """

    _emits = frozenset(('presence', 'up', 'down'))

    def __init__(
        self, wss: WebSocketServer, options: Optional[RoomsOptions] = None, **keywords: Unpack[RoomsOptions]
    ) -> None:
        if not isinstance(wss, WebSocketServer):
            raise TypeError(f'wss must be a WebSocketServer, not {type(wss).__name__}')
        super().__init__()
        #: All options, with their defaults.
        self.options: Options = merge('Rooms', ROOMS_OPTIONS, options, keywords)
        self._limit = count(self.options, 'maxBufferedAmount')
        timeout = milliseconds(self.options, 'presenceTimeout')
        self._wss = wss
        self._order = wss._new_order()
        self._keeps_process = False  # that is up to the server
        self._members = Members()  # under the lock
        self._network: Optional[Network] = None  # until the end
        if self.options.bus is not None:
            self._network = Network(self.options.bus, self, self._loop, timeout)
        self._ended = False

    # -- who is in there ---------------------------------------------------------------------------------------------

    def join(self, ws: WebSocket, room: str, info: object = None) -> None:
        """Put `ws` in `room`, until it leaves or its connection ends. Nothing happens if it is there already.

        `info`: what others are to know of it, see :meth:`present`. If given again, it replaces what was given before.
        Raises TypeError if `room` is not a str, and what :func:`json.dumps` raises if `info` can't be written as JSON.
        """
        if not isinstance(room, str):
            raise TypeError(f'the name of a room must be a str, not {type(room).__name__}')
        info = json.loads(json.dumps(info))
        with self._lock:
            if not self._members.knows(ws) and not ws._when_closed((self._on_closed,)):
                return
            is_first = not self._members.entries(room)
            entry, before = self._members.add(ws, room, info)
            if self._network is not None:
                if is_first:
                    self._network.open_room(room)
                self._network.say(room, Said({str(entry.number): info}))
        if before is None or before.info != info:
            self._announce(Change(room, [info], [] if before is None else [before.info]))

    def leave(self, ws: WebSocket, room: str) -> None:
        """Take `ws` out of `room`. Nothing happens if it is not there."""
        with self._lock:
            entry = self._leave(ws, room)
        if entry is not None:
            self._announce(Change(room, [], [entry.info]))

    def _leave(self, ws: WebSocket, room: str) -> Optional[Entry]:
        entry = self._members.remove(ws, room)
        if entry is not None and self._network is not None:
            self._network.say(room, Said({}, went=(str(entry.number),)))
            if not self._members.entries(room):
                self._network.close_room(room)
        return entry

    def _on_closed(self, ws: WebSocket) -> None:
        with self._lock:
            rooms = self._members.rooms_of(ws)
            left = [(room, self._leave(ws, room)) for room in rooms]
            self._members.forget(ws)
        for room, entry in left:
            if entry is not None:
                self._announce(Change(room, [], [entry.info]))

    def members(self, room: str) -> list[WebSocket]:
        """The connections of this process that are in `room`, in the order in which they came."""
        with self._lock:
            return self._members.of(room)

    def of(self, ws: WebSocket) -> list[str]:
        """The rooms that `ws` is in, in the order in which it came there."""
        with self._lock:
            return self._members.rooms_of(ws)

    def present(self, room: str) -> list[Any]:
        """What :meth:`join` was given for each connection that is in `room`, in all processes, those of this one first.
        Nothing is known of a room without members in this process."""
        with self._lock:
            here = [entry.info for entry in self._members.entries(room)]
            return here + (self._network.presence.infos(room) if here and self._network is not None else [])

    # -- messages ----------------------------------------------------------------------------------------------------

    def to(self, room: str, *rooms: str) -> Audience:
        """The members of `room` and of further rooms, in all processes, each once. What to do with them:
        ``rooms.to('lobby').but(ws).send(data)``."""
        return Audience(self._send, tuple(dict.fromkeys((room, *rooms))))

    def _send(self, rooms: tuple[str, ...], but: tuple[WebSocket, ...], message: Message) -> None:
        with self._lock:
            members = self._members.of_any(rooms, but)
            network = self._network
        if members:
            self._run(deliver, message, members, self._limit)
        if network is not None:
            network.send(rooms, message)

    def _run(self, function: Any, *args: Any) -> None:
        if self._loop.in_thread():
            function(*args)
        else:
            self._loop.call(function, *args)

    # -- what the network asks for, and tells ------------------------------------------------------------------------

    def infos_here(self, room: str) -> Infos:
        with self._lock:
            return {str(entry.number): entry.info for entry in self._members.entries(room)}

    def rooms_here(self) -> list[str]:
        with self._lock:
            return self._members.rooms()

    def deliver_here(self, rooms: tuple[str, ...], message: Message) -> None:
        with self._lock:
            members = self._members.of_any(rooms)
        deliver(message, members, self._limit)

    def tell_change(self, change: Change) -> None:
        self._deliver('presence', *change)

    def tell_up(self) -> None:
        self._deliver('up')

    def tell_down(self, error: Optional[Exception]) -> None:
        self._deliver('down', error)

    # -- from beginning to end ---------------------------------------------------------------------------------------

    def _announce(self, change: Change) -> None:
        self._loop.call(self._announce_now, change)  # not in the middle of a listener, who may be our caller

    def _announce_now(self, change: Change) -> None:
        if not self._ended:
            self._deliver('presence', *change)

    def _begin(self) -> None:
        if self._network is not None:
            self._network.open()
        self._hold()
        self._loop.call(self._wss._when_closed, self._end)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        with self._lock:
            network, self._network = self._network, None
        if network is not None:
            network.close()
        self._end_of_events()

    def shutdown(self) -> None:
        """The process is about to exit."""
        self._end()

    def fail(self, error: BaseException) -> None:
        """The loop has lost its sockets, of which none is ours."""

    def abandon(self) -> None:
        """This is the child after a fork: the connections are the parent's, and so is the bus."""
        super().abandon()
        self._members = Members()
        if self._network is not None:
            self._network.abandon()
            self._network = None
