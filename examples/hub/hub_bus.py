"""HubBus: what carries messages between the rooms of several processes, over hub.py.

rooms = Rooms(wss, bus=HubBus('ws://localhost:8080'))
"""

import json

from ws import ReconnectingWebSocket

MAX_BUFFERED = 16 * 1024 * 1024  # bytes


class HubBus:
    """A ``ws.rooms.Bus``. Its listeners run on the loop thread, its methods on any."""

    def __init__(self, url):
        self._url = url
        self._wanted = {}  # channels, in order
        self._state = None  # 'up' or 'down', as the listener knows it

    def open(self, listener):
        self._listener = listener
        self._hub = ReconnectingWebSocket(self._url, maxEnqueuedMessages=0)
        self._hub.unref()  # the server keeps the process alive, and not this
        self._hub.on('open', self._opened).on('message', self._message).on('close', self._closed)

    def publish(self, channel, message):
        if self._hub.readyState != self._hub.OPEN or self._hub.bufferedAmount > MAX_BUFFERED:
            return False
        self._hub.send(json.dumps(channel).encode() + b'\n' + message)
        return True

    def subscribe(self, channel):
        self._wanted[channel] = None
        self._tell('subscribe', channel)

    def unsubscribe(self, channel):
        self._wanted.pop(channel, None)
        self._tell('unsubscribe', channel)

    def close(self):
        self._listener = None
        self._hub.close()

    def _tell(self, command, channel):
        if self._hub.readyState == self._hub.OPEN:
            self._hub.send(json.dumps([command, channel]))

    def _opened(self):
        if self._listener is not None:
            self._state = 'up'
            self._listener.up()
            for channel in list(self._wanted):
                self._tell('subscribe', channel)

    def _message(self, data):
        if self._listener is None:
            return
        if isinstance(data, bytes):
            channel, _, message = data.partition(b'\n')
            self._listener.received(json.loads(channel), message)
        else:
            self._listener.subscribed(json.loads(data)[1])

    def _closed(self, code):
        if self._listener is not None and self._state != 'down':  # and not for each attempt
            self._state = 'down'
            self._listener.down(ConnectionError(f'the connection to the hub has ended: {code}'))
