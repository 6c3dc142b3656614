"""Who is in which room, in all processes."""

import hashlib
import itertools
import json
import threading
import time
import uuid

from ws.rooms import Rooms

MAX_NAME = 24  # characters, of people and of rooms
MAX_TEXT = 1000  # characters
NEW = 10  # seconds: who has been there for longer is not announced
REFUSED = 4000  # a close code of our own (RFC 6455 section 7.4.2): who gets it need not try again
IS_THERE = 'Somebody with this name is there already.'


class Refused(Exception):
    """Somebody is not let in; the text says why."""


class Chat:
    """Rooms whose members have names, each once."""

    def __init__(self, wss, history, bus=None):
        self._history = history
        self._rooms = Rooms(wss, bus=bus)
        self._rooms.on('presence', self._presence)
        self._shown = {}  # room -> the names that its members here have been told
        self._lock = threading.Lock()
        self._last = 0

    def enter(self, ws, room, name, key):
        """Let somebody in. Raises Refused."""
        digest = hashlib.sha256(key.encode()).hexdigest() if key else uuid.uuid4().hex
        # A connection that broke may look open for a while. Who comes back for it knows its key.
        if any(info['name'] == name and info['key'] != digest for info in self._rooms.present(room)):
            raise Refused(IS_THERE)
        ws.info = {'name': name, 'key': digest, 'id': uuid.uuid4().hex, 'since': time.time()}
        ws.room = room
        messages = [json.loads(message) for message in self._history.of(room)]
        ws.send(json.dumps({'type': 'history', 'messages': messages}))
        self._rooms.join(ws, room, ws.info)

    def say(self, ws, text):
        message = {'type': 'message', 'name': ws.info['name'], 'text': text[:MAX_TEXT], 'time': self._now()}
        self._rooms.to(ws.room).send(json.dumps(message))
        self._history.add(ws.room, json.dumps(message))

    def _now(self):
        """Milliseconds since 1970; no two messages have the same, so that pages know which ones they have."""
        with self._lock:
            self._last = max(self._last + 1, int(time.time() * 1000))
            return self._last

    def _presence(self, room, came, went):
        """Tell those who are here; other processes tell theirs."""
        here = self._rooms.members(room)
        if not here:
            self._shown.pop(room, None)
            self._history.forget(room)
            return
        for ws, info in itertools.product(here, came):
            self._one_of_a_name(ws, info)
        people = sorted(self._rooms.present(room), key=lambda info: info['since'])
        names = list(dict.fromkeys(info['name'] for info in people))
        shown, self._shown[room] = self._shown.get(room, []), names
        new = [info['name'] for info in came if info['name'] not in shown and info['since'] > time.time() - NEW]
        gone = [name for name in shown if name not in names]
        what = {'type': 'people', 'people': names}
        if came:
            what['came'] = one_of(new)
        if gone:
            what['left'] = one_of(gone)
        if came or names != shown:
            for ws in here:
                ws.send(json.dumps(what))

    def _one_of_a_name(self, ws, other):
        """Of two who have the same name, the later one is who the first one was, and has come back; or, with another
        key, has come in elsewhere at the same time, and has to go."""
        mine = ws.info
        if mine['name'] == other['name'] and mine['id'] != other['id']:
            is_later = (mine['since'], mine['id']) > (other['since'], other['id'])
            if mine['key'] != other['key'] and is_later:
                ws.close(REFUSED, IS_THERE)
            elif mine['key'] == other['key'] and not is_later:
                ws.terminate()


def one_of(names):
    return names[0] if len(names) == 1 else None
