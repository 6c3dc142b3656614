"""The clients at the other end of a bad wire: they do what they are told, a line of JSON each, and answer in JSON."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from load.scenes import MUST, Client, Fault, Population

from ws import WebSocket, timers


class Clients(Population):
    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given['seed'], given['ca'].encode(), given['host'])
        self.ports = given['ports']
        self._thread = threading.Thread()
        self._staying: list[Stays] = []

    def begin(self, seconds: float, workers: int) -> None:
        """Play scenes, in the background."""
        self._thread = threading.Thread(target=self.work, args=('chaos', seconds, workers))
        self._thread.start()

    def wait(self) -> dict[str, Any]:
        """Until the last scene is over; what went wrong, and what was to be expected of the server."""
        if self._thread.ident is not None:
            self._thread.join()
        expected = list(self.expected)
        return {'faults': self.faults.texts, 'expected': expected, 'messages': self.counts['messages']}

    def stay(self, number: int, heartbeat: int) -> None:
        """Connect so many clients that do nothing but ask the server (milliseconds) whether it is still there."""
        self._staying = [Stays(self, heartbeat) for _ in range(number)]

    def stayed(self, patience: float) -> list[Any]:
        """How those have ended, and how many seconds ago; waits for those that have not."""
        deadline = time.monotonic() + patience
        return [client.end(max(deadline - time.monotonic(), 0)) for client in self._staying]

    def state(self) -> list[int]:
        """Their ``readyState``."""
        return [client.ws.readyState for client in self._staying]

    def connect(self, timeout: int) -> list[Any]:
        """The events of a client that gets no answer, and the seconds they took."""
        started = time.monotonic()
        done = threading.Event()
        events: list[str] = []
        ws = WebSocket(f'ws://{self.host}:{self.ports[0]}/echo/0', handshakeTimeout=timeout)
        ws.on('open', lambda: events.append('open'))
        ws.on('error', lambda error: events.append(str(error)))
        ws.on('close', lambda code: (events.append(f'close {code}'), done.set()))
        done.wait(60)
        return [events, time.monotonic() - started]


class Stays(Client):
    def __init__(self, everybody: Clients, heartbeat: int) -> None:
        super().__init__(everybody, _Plain(), 'stay')
        self._asked = False
        self._end: list[Any] = []
        self._ended = threading.Event()
        self.ws.on('pong', self._answered)
        self.ws.on('close', self._on_close)
        self.open()
        everybody.expect(self.number, MUST)
        self._timer = timers.setInterval(self._ask, heartbeat)

    def _answered(self) -> None:
        self._asked = False

    def _ask(self) -> None:
        if self._asked:
            self.ws.terminate()
        else:
            self._asked = True
            self.ws.ping(None, {}, True)

    def _on_close(self, code: int) -> None:
        self._timer.close()
        self._end = [code]
        self._ended.set()

    def end(self, patience: float) -> Any:
        return self._end[0] if self._ended.wait(patience) else None


class _Plain:
    """In the place of a random generator: the plainest client."""

    def random(self) -> float:
        return 1.0

    def choice(self, things: Any) -> Any:
        return things[0]


def obey(given: dict[str, Any]) -> None:
    clients = Clients(given)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            answer = getattr(clients, name)(*arguments)
        except Fault as error:
            answer = {'fault': str(error)}
        print(json.dumps(answer), flush=True)
