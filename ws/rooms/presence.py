"""Who is in which room on other machines, as far as their processes have said.

Each process says on the channel of a room which members it has there: all of them, or those who come and go. When it
has just subscribed, it asks the others for theirs. A process that has said nothing for some time is gone, and so are
its members.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection
from typing import Any, NamedTuple, Optional

#: How many processes that were taken for gone are remembered.
_REMEMBERED = 1000

#: The members of one process in one room: what is said of each, by its number (as JSON has it).
Infos = dict[str, Any]


class Change(NamedTuple):
    """What has become of a room."""

    room: str
    came: list[Any]
    went: list[Any]


class Said(NamedTuple):
    """What a process says of a room: all its members or some that have come, and some that went."""

    members: Infos
    went: tuple[str, ...] = ()
    #: Whether these are all its members there.
    all: bool = False
    #: Whether the others are asked for theirs.
    asks: bool = False


def write(said: Said) -> bytes:
    return json.dumps(said._asdict()).encode()


def read(data: bytes) -> Optional[Said]:
    """None for anything that is not one."""
    try:
        fields = json.loads(data)
        said = Said(dict(fields['members']), tuple(map(str, fields['went'])), bool(fields['all']), bool(fields['asks']))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return said


def read_rooms(data: bytes) -> list[str]:
    """Names of rooms, as JSON."""
    try:
        return list(map(str, json.loads(data)))
    except (ValueError, TypeError, RecursionError):
        return []


class Presence:
    """What is known of the others. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # for all of this
        self._rooms: dict[str, dict[str, Infos]] = {}  # of each room, by process
        self._doubted: dict[str, set[str]] = {}  # of each room, those who have not answered yet
        self._heard: dict[str, float] = {}  # when each process was heard last
        self._silent: dict[str, None] = {}  # those that were taken for gone, the latest of them

    def heard(self, origin: str, now: float) -> bool:
        """`origin` is there; returns whether it had been taken for gone, so that its members are not known."""
        with self._lock:
            self._heard[origin] = now
            was_gone = origin in self._silent
            if was_gone:
                del self._silent[origin]
            return was_gone

    def said(self, origin: str, room: str, said: Said) -> Change:
        """`origin` has said something of `room`."""
        with self._lock:
            known = self._rooms.get(room, {}).get(origin, {})
            members = said.members if said.all else {**known, **said.members}
            members = {number: info for number, info in members.items() if number not in said.went}
            if members:
                self._rooms.setdefault(room, {})[origin] = members
            else:
                self._drop(room, origin)
            if said.all:
                self._doubted.get(room, set()).discard(origin)
            return Change(room, _missing(members, known), _missing(known, members))

    def rooms(self, origin: str, rooms: Collection[str]) -> list[Change]:
        """`origin` has members in these, and in no others."""
        with self._lock:
            left = [room for room, origins in self._rooms.items() if origin in origins and room not in rooms]
            return [self._drop(room, origin) for room in left]

    def gone(self, origin: str) -> list[Change]:
        """`origin` is there no more."""
        with self._lock:
            self._heard.pop(origin, None)
            return self.rooms(origin, ())

    def expire(self, before: float) -> list[Change]:
        """Those who were last heard `before` then are gone."""
        with self._lock:
            silent = [origin for origin, heard in self._heard.items() if heard < before]
            self._silent.update(dict.fromkeys(silent))
            for origin in list(self._silent)[:-_REMEMBERED]:
                del self._silent[origin]
            return [change for origin in silent for change in self.gone(origin)]

    def doubt(self, room: str) -> None:
        """The others are asked who is in `room`; those who have nobody there don't answer."""
        with self._lock:
            self._doubted[room] = set(self._rooms.get(room, ()))

    def settle(self, room: str) -> Change:
        """Those who have not answered have nobody in `room`."""
        with self._lock:
            went = [info for origin in self._doubted.pop(room, ()) for info in self._drop(room, origin).went]
            return Change(room, [], went)

    def forget(self, room: str) -> None:
        """Nobody here wants to know of `room` any more."""
        with self._lock:
            self._rooms.pop(room, None)
            self._doubted.pop(room, None)

    def infos(self, room: str) -> list[Any]:
        """What is said of those in there."""
        with self._lock:
            return [info for infos in self._rooms.get(room, {}).values() for info in infos.values()]

    def _drop(self, room: str, origin: str) -> Change:
        origins = self._rooms.get(room, {})
        infos = origins.pop(origin, {})
        if not origins:
            self._rooms.pop(room, None)
        return Change(room, [], list(infos.values()))


def _missing(these: Infos, those: Infos) -> list[Any]:
    """What is in `these`, but not in `those`, or differs there."""
    return [info for number, info in these.items() if number not in those or those[number] != info]
