"""Who is in which room, and what was said there last."""

import json
import time
from collections import deque

MAX_NAME = 24  # characters, of people and of rooms
MAX_TEXT = 1000  # characters
HISTORY = 50  # messages
MAX_BUFFERED = 1024 * 1024  # bytes


class Refused(Exception):
    """Somebody is not let in; the text says why."""


class Room:
    """Used by listeners only, which run one at a time: no lock is needed."""

    def __init__(self, name):
        self.name = name
        self.people = {}  # name -> the connection
        self._history = deque(maxlen=HISTORY)
        self._last = 0

    def enter(self, ws):
        """Let somebody in, called `ws.name`. Raises Refused."""
        present = self.people.get(ws.name)
        if present is not None:
            # A connection that broke may look open here for a while. Who comes back for it knows its key.
            if not ws.key or present.key != ws.key:
                raise Refused('Somebody with this name is there already.')
            present.terminate()
        self.people[ws.name] = ws
        send(ws, {'type': 'history', 'messages': list(self._history)})
        self._tell({'type': 'people', 'people': list(self.people), 'came': None if present else ws.name})

    def leave(self, ws):
        if self.people.get(ws.name) is ws:
            del self.people[ws.name]
            self._tell({'type': 'people', 'people': list(self.people), 'left': ws.name})

    def say(self, ws, text):
        # Milliseconds since 1970; no two messages have the same, so that pages know which ones they have.
        self._last = max(self._last + 1, int(time.time() * 1000))
        message = {'type': 'message', 'name': ws.name, 'text': text[:MAX_TEXT], 'time': self._last}
        self._history.append(message)
        self._tell(message)

    def _tell(self, what):
        text = json.dumps(what)
        for ws in list(self.people.values()):
            send(ws, text)


def send(ws, what):
    if ws.readyState != ws.OPEN:
        return
    if ws.bufferedAmount > MAX_BUFFERED:  # it does not read, and what waits for it fills our memory
        ws.terminate()
        return
    ws.send(what if isinstance(what, str) else json.dumps(what))
