"""The rooms of this process and those of the others: what goes out over a bus, and what comes in."""

from __future__ import annotations

import itertools
import json
import logging
import random
import time
import uuid
from collections.abc import Iterable
from typing import Optional, Protocol

from ..net.loop import Loop
from ..net.timers import Timer
from . import envelope
from .bus import Bus
from .delivery import Message
from .envelope import Envelope, pack, unpack
from .inflow import Inflow
from .presence import Change, Infos, Presence, Said, read, read_rooms, write

#: Where processes say that they are there.
PROCESSES = 'processes'
_ROOM = 'room:'
#: How long, in milliseconds, a process that is asked for its members waits for others to ask, too.
_GATHER = 50
#: How long, in milliseconds, a process that is asked for its members has to answer.
_PATIENCE = 3000
#: How many messages to several rooms are remembered, to recognize further copies.
_REMEMBERED = 4096


_log = logging.getLogger('ws.rooms')


class Here(Protocol):
    """The rooms of this process. All on the loop thread, but for the first two."""

    def infos_here(self, room: str) -> Infos:
        """Who is in `room` in this process."""

    def rooms_here(self) -> list[str]:
        """Those that have members in this process."""

    def deliver_here(self, rooms: tuple[str, ...], message: Message) -> None:
        """Send `message` to the members of `rooms` in this process."""

    def tell_change(self, change: Change) -> None:
        """Other processes have said who has come and gone."""

    def tell_up(self) -> None:
        """There is a connection to the others."""

    def tell_down(self, error: Optional[Exception]) -> None:
        """The connection is lost."""


class Network:
    """A bus, and what this process and the others say there.

    A :class:`BusListener`: its methods may be called from any thread. So may :meth:`send`, :meth:`open_room`,
    :meth:`close_room` and :meth:`say`; the rest belongs to the loop thread.
    """

    def __init__(self, bus: Bus, here: Here, loop: Loop, timeout: float) -> None:
        self._bus = bus
        self._here = here
        self._loop = loop
        self._timeout = timeout / 1000
        self._origin = uuid.uuid4().hex
        self._numbers = itertools.count(1)  # any thread takes the next one, which is one step
        self._inflow = Inflow()
        self.presence: Presence = Presence()
        self._copies: dict[tuple[str, int], None] = {}  # messages to several rooms that have come
        self._asked: dict[str, Timer] = {}  # rooms whose members others have asked for
        self._owes = False  # something could not be said. Set by any thread; the loop thread undoes it, and says all
        self._beat: Optional[Timer] = None
        self._closed = False

    # -- from any thread ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin; called before anything else."""
        self._bus.open(self)
        self._bus.subscribe(PROCESSES)
        self._loop.call(self._live)

    def send(self, rooms: tuple[str, ...], message: Message) -> None:
        """Send `message` to the members of `rooms` in other processes."""
        payload, binary, compress = message
        number = next(self._numbers)
        packed = pack(Envelope(envelope.MESSAGE, self._origin, payload, number, rooms, binary, compress))
        for room in rooms:
            self._bus.publish(_ROOM + room, packed)

    def open_room(self, room: str) -> None:
        """It has its first member here."""
        self._bus.subscribe(_ROOM + room)

    def close_room(self, room: str) -> None:
        """Its last member here has left."""
        self._bus.unsubscribe(_ROOM + room)
        self.presence.forget(room)

    def say(self, room: str, said: Said) -> None:
        """Tell the others of `room`."""
        packed = pack(Envelope(envelope.PRESENCE, self._origin, write(said), rooms=(room,)))
        if not self._bus.publish(_ROOM + room, packed):
            self._owes = True

    # -- the bus -----------------------------------------------------------------------------------------------------

    def received(self, channel: str, message: bytes) -> None:
        self._inflow.add(len(message), wait=not self._loop.in_thread())
        self._loop.call(self._take, message)

    def subscribed(self, channel: str) -> None:
        if channel.startswith(_ROOM):
            self._loop.call(self._ask, channel[len(_ROOM) :])

    def up(self) -> None:
        self._loop.call(self._on_up)

    def down(self, error: Optional[Exception]) -> None:
        self._loop.call(self._on_down, error)

    # -- the loop thread ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Say goodbye, and end."""
        self._say_of_process(envelope.GONE)
        self.abandon()
        self._inflow.end()
        self._bus.close()

    def abandon(self) -> None:
        """Do nothing more; after a fork, the bus is the parent's."""
        self._closed = True
        for timer in [*self._asked.values(), *([] if self._beat is None else [self._beat])]:
            timer.cancel()

    def _live(self) -> None:
        """Show that this process is there, and see which others are gone."""
        if self._closed:
            return
        self._beat = self._loop.call_later(self._timeout * 1000 / 3, self._live)
        self._say_of_process(envelope.ALIVE)
        if self._owes:
            self._owes = False
            self._say_rooms()
            for room in self._here.rooms_here():
                self.say(room, Said(self._here.infos_here(room), all=True))
        self._tell(self.presence.expire(time.monotonic() - self._timeout))

    def _say_of_process(self, kind: str, body: bytes = b'') -> bool:
        return self._bus.publish(PROCESSES, pack(Envelope(kind, self._origin, body)))

    def _say_rooms(self) -> None:
        """Others may believe that this process has members in rooms that they have left."""
        if not self._say_of_process(envelope.ROOMS, json.dumps(self._here.rooms_here()).encode()):
            self._owes = True

    def _on_up(self) -> None:
        if not self._closed:
            self._say_rooms()  # who is in them is said when they are subscribed to
            self._here.tell_up()

    def _on_down(self, error: Optional[Exception]) -> None:
        if not self._closed:
            self._here.tell_down(error)

    def _ask(self, room: str) -> None:
        """What the others say of `room` comes here from now on. What they have said before may be wrong by now."""
        if not self._closed:
            self.presence.doubt(room)
            self.say(room, Said(self._here.infos_here(room), all=True, asks=True))
            self._loop.call_later(_PATIENCE, self._settle, room)

    def _settle(self, room: str) -> None:
        if not self._closed:
            self._tell([self.presence.settle(room)])

    def _answer_soon(self, room: str) -> None:
        if room not in self._asked:
            self._asked[room] = self._loop.call_later(_GATHER * random.random(), self._answer, room)

    def _answer(self, room: str) -> None:
        del self._asked[room]
        infos = self._here.infos_here(room)
        if infos:
            self.say(room, Said(infos, all=True))

    def _take(self, data: bytes) -> None:
        self._inflow.take(len(data))
        message = unpack(data)
        if message is None:
            _log.warning('not a message of ours on the bus: %.100r', data)
        elif message.origin != self._origin and not self._closed:
            self._take_from(message.origin, message)

    def _take_from(self, origin: str, message: Envelope) -> None:
        if message.kind == envelope.GONE:
            self._tell(self.presence.gone(origin))
            return
        if self.presence.heard(origin, time.monotonic()):
            for room in self._here.rooms_here():
                self._ask(room)
        if message.kind == envelope.MESSAGE:
            if len(message.rooms) == 1 or self._is_first(origin, message.number):
                self._here.deliver_here(message.rooms, Message(message.body, message.binary, message.compress))
        elif message.kind == envelope.PRESENCE:
            self._take_presence(origin, message)
        elif message.kind == envelope.ROOMS:
            self._tell(self.presence.rooms(origin, read_rooms(message.body)))

    def _is_first(self, origin: str, number: int) -> bool:
        """A message to several rooms comes once for each that this process has members in: the first is for all."""
        copies = self._copies
        if (origin, number) in copies:
            return False
        copies[origin, number] = None
        if len(copies) > _REMEMBERED:
            del copies[next(iter(copies))]
        return True

    def _take_presence(self, origin: str, message: Envelope) -> None:
        said = read(message.body)
        if said is None or len(message.rooms) != 1:
            return
        [room] = message.rooms
        if not self._here.infos_here(room):  # it has been left meanwhile
            return
        self._tell([self.presence.said(origin, room, said)])
        if said.asks:
            self._answer_soon(room)

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.came or change.went:
                self._here.tell_change(change)
