"""A server with rooms, as one of several: who connects to ``/ROOM/NUMBER`` is in that room, and talks to it.

Asked by a line, it answers with one of JSON. It ends with its standard input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from load.records import resources, use_one_arena

from ws import WebSocketServer
from ws.rooms import Rooms
from ws.rooms.redis import RedisBus


class RoomsServer:
    def __init__(self, given: dict[str, Any]) -> None:
        self._wss = WebSocketServer(host=given['host'], port=given['port'])
        self._rooms = Rooms(self._wss, bus=RedisBus(given['redis']), presenceTimeout=given['presenceTimeout'])
        self._wss.on('connection', self._on_connection)

    def _on_connection(self, ws: Any, request: Any) -> None:
        _, room, number = request.url.split('/')
        self._rooms.join(ws, room, int(number))
        ws.on('message', lambda text: self._rooms.to(room).send(text))
        ws.send('joined')

    def present(self) -> dict[str, list[int]]:
        """Who is in each room that has members here, on all machines."""
        rooms = {room for ws in self._wss.clients for room in self._rooms.of(ws)}
        return {room: sorted(self._rooms.present(room)) for room in rooms}

    @staticmethod
    def resources() -> dict[str, int]:
        return resources()


def serve(given: dict[str, Any]) -> None:
    use_one_arena()
    server = RoomsServer(given)
    for line in sys.stdin:
        print(json.dumps(getattr(server, line.strip())()), flush=True)


if __name__ == '__main__':
    serve(json.loads(sys.argv[1]))
