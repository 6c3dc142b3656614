"""The server of a soak: it does what its clients ask for, and counts what happens to each of its connections.

Its one argument, in JSON: ``folder``, where the counts go, the ``cert`` and ``key`` of its port for TLS, and perhaps
``host``, more ``options`` of its servers, and ``heartbeat``, how often (milliseconds) it asks those who stay whether
they are still there. Prints both ports, and then a line of JSON for each line it is sent: ``resources``, ``counts``,
and ``finish``, with which it ends.

The path says who a client is: ``/echo/NUMBER``, ``/subscribe/NUMBER`` or ``/stay/NUMBER``. It sends
``SEQUENCE:anything``, which is sent back, and ``!close N``, ``!terminate``, ``!burst N SIZE`` and ``!echo …``, which
are done.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Union

from load.records import Counts, Faults, resources, use_one_arena

from ws import WebSocketServer, timers

Message = Union[str, bytes]
#: Milliseconds.
BROADCAST_EVERY = 20
#: Bytes that may wait for a client, else a broadcast parts with it.
LAG = 8 << 20
LIMITS = {'handshakeTimeout': 3000, 'closeTimeout': 3000, 'perMessageDeflate': {'threshold': 256}}


def sequence_of(message: Message) -> int:
    separator = b':' if isinstance(message, bytes) else ':'
    return int(message.split(separator, 1)[0])  # type: ignore[arg-type]


class Connection:
    """One client, from its ``connection`` to its ``close``."""

    def __init__(self, soak: SoakServer, ws: Any, number: int) -> None:
        self._soak = soak
        self._ws = ws
        self._number = number
        self._received = 0
        self._closed = False
        ws.on('message', self._on_message)
        ws.on('error', lambda error: soak.count(f'error: {type(error).__name__}'))
        ws.on('close', self._on_close)
        ws.on('pong', self._on_pong)

    def _fault(self, text: str) -> None:
        self._soak.faults(f'connection {self._number}: {text}')

    def _on_message(self, message: Message, flags: Any) -> None:
        if self._closed:
            self._fault('a message after its close')
        self._soak.count('messages')
        if isinstance(message, str) and message.startswith('!'):
            self._obey(*message[1:].split())
        else:
            self._echo(message, flags.binary)

    def _echo(self, message: Message, binary: bool) -> None:
        try:
            sequence = sequence_of(message)
        except ValueError:  # of those who send anything at all
            self._soak.count('messages without a number')
            return
        if sequence != self._received:
            self._fault(f'message {sequence} in the place of {self._received}')
        self._received += 1
        self._ws.send(message, {'binary': binary}, self._on_sent)

    def _on_pong(self) -> None:
        self._ws.asked = False

    def _on_sent(self, error: Any) -> None:
        self._soak.count('sent' if error is None else 'not sent')

    def _obey(self, command: str, *arguments: str) -> None:
        if command == 'terminate':
            self._ws.terminate()
        elif command == 'close':
            self._burst(int(arguments[0]), 20)
            self._ws.close(4000, arguments[0])
        elif command == 'echo':
            self._ws.send('!echo ' + ' '.join(arguments))
        elif command == 'burst':
            self._burst(int(arguments[0]), int(arguments[1]))
        else:
            self._fault(f'unknown command {command}')

    def _burst(self, number: int, size: int) -> None:
        for sequence in range(number):
            self._ws.send(f'{sequence}:'.ljust(size, '.'))

    def _on_close(self, code: int, reason: str) -> None:
        if self._closed:
            self._fault('a second close')
        self._closed = True
        self._soak.closes.add(self._number)
        self._soak.count(f'close {code}')
        if code == 1000 and reason and int(reason) != self._received:
            self._fault(f'{reason} messages were sent, and {self._received} came')


class SoakServer:
    def __init__(self, given: dict[str, Any]) -> None:
        self._folder = Path(given['folder'])
        self.connections = Counts()
        self.closes = Counts()
        self.faults = Faults()
        self._counter: Counter[str] = Counter()
        self._broadcasts = 0
        plain = {'port': 0, 'host': given.get('host', '127.0.0.1'), 'verifyClient': self._verify, **LIMITS}
        plain.update(given.get('options', {}))
        self.servers = [
            WebSocketServer(plain),
            WebSocketServer({**plain, 'cert': given['cert'], 'key': given['key']}),
        ]
        for wss in self.servers:
            wss.on('connection', self._on_connection)
        threading.excepthook = lambda arguments: self.faults(f'reported: {arguments.exc_value!r}')
        self._intervals = [timers.setInterval(self._broadcast, BROADCAST_EVERY)]
        if 'heartbeat' in given:
            self._intervals.append(timers.setInterval(self._ask, given['heartbeat']))

    def count(self, what: str) -> None:
        self._counter[what] += 1

    @staticmethod
    def _verify(info: Any) -> bool:
        return not info.req.url.startswith('/refused/')

    def _on_connection(self, ws: Any, request: Any) -> None:
        number = int(request.url.split('/')[2])
        self.connections.add(number)
        self.count(f'protocol {ws.protocolVersion}')
        Connection(self, ws, number)

    def _broadcast(self) -> None:
        message = f'{self._broadcasts}:'.ljust(100 + self._broadcasts % 7 * 300, '.')
        self._broadcasts += 1
        for wss in self.servers:
            for client in wss.clients:
                if client.upgradeReq.url.startswith('/subscribe/') and client.readyState == client.OPEN:
                    self._send_broadcast(client, message)

    def _send_broadcast(self, client: Any, message: str) -> None:
        if client.bufferedAmount > LAG:
            client.terminate()
            self.count('parted with')
        else:
            client.send(message)
            self.count('broadcast')

    def _ask(self) -> None:
        """The heartbeat of the documents: who has not answered the last ping is gone."""
        for wss in self.servers:
            for client in wss.clients:
                if not client.upgradeReq.url.startswith('/stay/'):
                    continue
                if getattr(client, 'asked', False):
                    client.terminate()
                    self.count('did not answer')
                else:
                    client.asked = True
                    client.ping(None, {}, True)

    def resources(self) -> dict[str, Any]:
        waiting = sum(len(wss.clients) + len(wss._openings) for wss in self.servers)
        return {**resources(), 'connections': waiting}

    def counts(self) -> dict[str, int]:
        return dict(self._counter)

    def finish(self) -> dict[str, Any]:
        for interval in self._intervals:
            interval.close()
        for wss in self.servers:
            done = threading.Event()
            wss.close(done.set)
            if not done.wait(20):
                self.faults('a server did not close')
        self.connections.save(self._folder / 'connections')
        self.closes.save(self._folder / 'closes')
        return {'faults': self.faults.texts, 'number': self.faults.number, 'counts': self._counter}


def serve(given: dict[str, Any]) -> None:
    use_one_arena()
    soak = SoakServer(given)
    print(json.dumps([wss.address().port for wss in soak.servers]), flush=True)  # type: ignore[union-attr]
    for line in sys.stdin:
        print(json.dumps(getattr(soak, line.strip())()), flush=True)
        if line.strip() == 'finish':
            break


if __name__ == '__main__':
    serve(json.loads(sys.argv[1]))
