"""Who is in which room, in this process."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple, Optional

from ..websocket import WebSocket


class Entry(NamedTuple):
    """A connection in a room."""

    #: Its number in this process.
    number: int
    #: What its program says of it, as JSON has it.
    info: Any


class Members:
    """Rooms and who is in them, in the order in which they came. Not for two threads at once."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[WebSocket, Entry]] = {}
        self._rooms_of: dict[WebSocket, dict[str, None]] = {}  # those that have ever been in one, until they end
        self._count = 0

    def knows(self, ws: WebSocket) -> bool:
        """Whether `ws` has been in a room, and not been forgotten since."""
        return ws in self._rooms_of

    def add(self, ws: WebSocket, room: str, info: Any) -> tuple[Entry, Optional[Entry]]:
        """The new entry, and the one that it replaces."""
        self._rooms_of.setdefault(ws, {})[room] = None
        entries = self._rooms.setdefault(room, {})
        before = entries.get(ws)
        if before is None:
            self._count += 1
        entry = entries[ws] = Entry(self._count if before is None else before.number, info)
        return entry, before

    def remove(self, ws: WebSocket, room: str) -> Optional[Entry]:
        """Its entry; None if it was not in there."""
        entries = self._rooms.get(room, {})
        entry = entries.pop(ws, None)
        if entry is not None:
            del self._rooms_of[ws][room]
            if not entries:
                del self._rooms[room]
        return entry

    def forget(self, ws: WebSocket) -> None:
        """It is in no room, and will not be in one again."""
        self._rooms_of.pop(ws, None)

    def rooms(self) -> list[str]:
        """Those that have members."""
        return list(self._rooms)

    def rooms_of(self, ws: WebSocket) -> list[str]:
        return list(self._rooms_of.get(ws, ()))

    def entries(self, room: str) -> Collection[Entry]:
        return self._rooms.get(room, {}).values()

    def of(self, room: str) -> list[WebSocket]:
        return list(self._rooms.get(room, ()))

    def of_any(self, rooms: Iterable[str], but: Collection[WebSocket] = ()) -> list[WebSocket]:
        """Those who are in at least one of `rooms`, each once, without those of `but`."""
        found = dict.fromkeys(ws for room in rooms for ws in self._rooms.get(room, ()))
        for ws in but:
            found.pop(ws, None)
        return list(found)
