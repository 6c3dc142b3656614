"""What the clients of a soak do: one connection each, from its opening to one of the endings there are."""

from __future__ import annotations

import queue
import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Optional

from load.raw import Raw
from load.records import Faults
from load.soak_server import sequence_of

from ws import WebSocket

#: Seconds that whatever must happen may take.
PATIENCE = 60

MUST, MUST_NOT, MAY = 1, 2, 0


class Fault(Exception):
    """Something that must not be."""


class Client:
    """One of our clients: its events, for a worker to wait for."""

    def __init__(self, everybody: Population, rng: random.Random, path: str = 'echo', **options: Any) -> None:
        self._all = everybody
        self.number = everybody.new_number()
        secure = rng.random() < 0.25
        self._events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._closes = 0
        self.ws = WebSocket(
            f'{"wss" if secure else "ws"}://{everybody.host}:{everybody.ports[secure]}/{path}/{self.number}',
            ca=everybody.ca,
            protocolVersion=rng.choice((13, 13, 8)),
            perMessageDeflate=rng.random() < 0.5 and {'threshold': 256},
            closeTimeout=10_000,
            **options,
        )
        for event in ('open', 'message', 'pong', 'error', 'close'):
            self.ws.on(event, self._listener(event))

    def _listener(self, event: str) -> Callable[..., None]:
        def listen(*args: Any) -> None:
            if self._closes:
                self._all.faults(f'client {self.number}: {event} after its close')
            if event == 'close':
                self._closes += 1
            self._events.put((event, *args))

        return listen

    def next(self, patience: float = PATIENCE) -> tuple[Any, ...]:
        try:
            return self._events.get(timeout=patience)
        except queue.Empty:
            raise Fault(f'client {self.number} {self.ws!r}: nothing came within {patience} s') from None

    def open(self) -> Client:
        event = self.next()
        if event[0] != 'open':
            raise Fault(f'client {self.number}: {event} in the place of open')
        self._all.expect(self.number, MUST)
        return self

    def receive(self) -> Any:
        """The next message."""
        event = self.next()
        while event[0] == 'pong':
            event = self.next()
        if event[0] != 'message':
            raise Fault(f'client {self.number}: {event} in the place of a message')
        self._all.count('messages')
        return event[1]

    def until_close(self, first: int = 0, deadline: Optional[float] = None) -> tuple[int, int, str]:
        """What is received until the end must be numbered from `first` on: the next number, and the close event's
        arguments."""
        while True:
            event = self.next()
            if event[0] == 'close':
                return first, event[1], event[2]
            if event[0] == 'message':
                self._all.count('messages')
                if sequence_of(event[1]) != first:
                    raise Fault(f'client {self.number}: message {sequence_of(event[1])} in the place of {first}')
                first += 1

    def close(self, sent: int) -> None:
        """The clean end: the server checks that so many messages came."""
        self.ws.close(1000, str(sent))
        received, code, reason = self.until_close()
        if (received, code, reason) != (0, 1000, str(sent)):
            raise Fault(f'client {self.number}: {received} more messages, then {code} {reason!r}')


class Population:
    """All clients: where they connect to, their numbers, what was counted, and what was wrong."""

    def __init__(self, seed: object, ca: bytes, host: str = '127.0.0.1') -> None:
        self._seed = seed
        self.host = host
        self.ports: list[int] = []
        self.ca = ca
        self.tls = ssl.create_default_context(cadata=ca.decode())
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.expected = bytearray([MAY])  # that of the bystander, if there is one
        self._lock = threading.Lock()
        threading.excepthook = lambda arguments: self.faults(f'reported: {arguments.exc_value!r}')

    def new_number(self) -> int:
        with self._lock:
            self.expected.append(MAY)
            return len(self.expected) - 1

    def expect(self, number: int, what: int) -> None:
        self.expected[number] = what

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def work(self, name: str, seconds: float, workers: int) -> None:
        """So many at once, for so long; every connection has ended when it returns."""
        deadline = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._work, args=(random.Random(f'{self._seed} {name} {number}'), deadline))
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, rng: random.Random, deadline: float) -> None:
        names = list(SCENES)
        while time.monotonic() < deadline:
            name = rng.choices(names, [SCENES[name][1] for name in names])[0]
            try:
                SCENES[name][0](self, rng)
            except (Fault, OSError, ValueError) as error:
                self.faults(f'{name}: {type(error).__name__}: {error}')
            self.count(f'scene: {name}')

    def raw(self, secure: bool, shake: bool = True) -> Raw:
        """A socket with a number of its own, with TLS or without; `shake`: that of TLS."""
        return Raw((self.host, self.ports[secure]), self.new_number(), self.tls if secure and shake else None)


def judge(expected: bytearray, opened: Callable[[int], int], closed: Callable[[int], int]) -> Iterator[str]:
    """What is wrong. `opened` and `closed`: how often the server heard ``connection`` and ``close`` of a number."""
    for number, expectation in enumerate(expected):
        wanted = {MUST: (1,), MUST_NOT: (0,), MAY: (0, 1)}[expectation]
        if opened(number) != closed(number) or opened(number) not in wanted:
            yield f'connection {number}: {opened(number)} connection, {closed(number)} close'


# -- scenes -----------------------------------------------------------------------------------------------------------

POOL = random.Random(0).randbytes(1 << 20)
TEXT = ''.join(chr(32 + byte % 95) for byte in POOL[: 1 << 19]) + 'äλ漢😀' * 1000


def message(rng: random.Random, sequence: int) -> Any:
    size = rng.choice((0, 1, 20, 100, 125, 126, 1000, 5000, rng.randrange(20_000), rng.randrange(300_000)))
    if rng.random() < 0.5:
        start = rng.randrange(len(TEXT))
        return f'{sequence}:' + TEXT[start : start + size]
    start = rng.randrange(len(POOL))
    return b'%d:' % sequence + POOL[start : start + size]


def send(client: Client, rng: random.Random, data: Any) -> None:
    """Whole, or in pieces."""
    if rng.random() < 0.8:
        client.ws.send(data)
        return
    pieces = [data[: len(data) // 3], data[len(data) // 3 :]]

    def more(error: Any, send_piece: Any = None) -> None:
        if error is None and pieces:
            piece = pieces.pop(0)
            send_piece(piece, not pieces)

    client.ws.stream(more)


def talk(everybody: Population, rng: random.Random, client: Client) -> int:
    """Messages that come back, each as it was and in order; how many."""
    sent = [message(rng, sequence) for sequence in range(rng.randrange(1, 30))]
    for data in sent:
        send(client, rng, data)
        if rng.random() < 0.2:
            client.ws.ping('?')
    for data in sent:
        if client.receive() != data:
            raise Fault(f'client {client.number}: another message than {data[:20]!r}…')
    return len(sent)


def closed_by_the_client(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng).open()
    client.close(talk(everybody, rng, client))


def closed_by_the_server(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng).open()
    number = rng.randrange(200)
    client.ws.send(f'!close {number}')
    received, code, reason = client.until_close()
    if (received, code, reason) != (number, 4000, str(number)):
        raise Fault(f'client {client.number}: {received} of {number} messages, then {code} {reason!r}')


def closed_by_both(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng).open()
    client.ws.send('!close 0')
    client.ws.close(1000)
    _, code, _ = client.until_close()
    if code not in (1000, 4000):
        raise Fault(f'client {client.number}: close {code}')


def _cut(everybody: Population, rng: random.Random, command: Optional[str]) -> None:
    client = Client(everybody, rng).open()
    for sequence in range(rng.randrange(50)):
        client.ws.send(message(rng, sequence))
    if command is None:
        client.ws.terminate()
    else:
        client.ws.send(command)
    _, code, _ = client.until_close()
    if code != 1006:
        raise Fault(f'client {client.number}: close {code}')


def terminated_by_the_client(everybody: Population, rng: random.Random) -> None:
    _cut(everybody, rng, None)


def terminated_by_the_server(everybody: Population, rng: random.Random) -> None:
    _cut(everybody, rng, '!terminate')


def given_up_while_connecting(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng)
    if rng.random() < 0.5:
        time.sleep(rng.random() * 0.005)
    if rng.random() < 0.5:
        client.ws.close()
    else:
        client.ws.terminate()
    client.until_close()


def refused(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng, 'refused')
    everybody.expect(client.number, MUST_NOT)
    events = [client.next(), client.next()]
    if [event[0] for event in events] != ['error', 'close']:
        raise Fault(f'client {client.number}: {events}')


def reads_slowly(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng).open()
    number, size = rng.randrange(10, 200), rng.choice((1000, 20_000))
    client.ws.send(f'!burst {number} {size}')
    for sequence in range(number):
        if rng.random() < 0.05:
            client.ws.pause()
            time.sleep(rng.random() * 0.05)
            client.ws.resume()
        data = client.receive()
        if sequence_of(data) != sequence or len(data) != size:
            raise Fault(f'client {client.number}: {data[:20]!r}… in the place of {sequence}')
    client.close(0)


def subscribes(everybody: Population, rng: random.Random) -> None:
    client = Client(everybody, rng, 'subscribe').open()
    first = sequence_of(client.receive())
    last = first + rng.randrange(1, 60)
    for sequence in range(first + 1, last + 1):
        if sequence_of(client.receive()) != sequence:
            raise Fault(f'client {client.number}: broadcast {sequence} is missing')
    if rng.random() < 0.5:
        client.ws.close()
    else:
        client.ws.terminate()
    client.until_close(last + 1)


def _raw(everybody: Population, rng: random.Random, hixie: bool = False) -> Raw:
    """A socket that has shaken hands, with TLS or without."""
    raw = everybody.raw(rng.random() < 0.25)
    raw.shake_hands(hixie)
    everybody.expect(raw.number, MUST)
    return raw


def _send_raw(rng: random.Random, raw: Raw) -> int:
    number = rng.randrange(1, 20)
    for sequence in range(number):
        raw.send_message(b'%d:' % sequence + bytes(rng.randrange(2000)))
    return number


def half_closed(everybody: Population, rng: random.Random) -> None:
    """What was sent before is answered all the same."""
    raw = _raw(everybody, rng)
    while raw.secure:  # TLS of Python's ssl has no half-closed connections
        raw.close()
        raw = _raw(everybody, rng)
    with raw:
        number = _send_raw(rng, raw)
        raw.end()
        received = [sequence_of(data) for data in raw.messages()]
    if received != list(range(number)):
        raise Fault(f'connection {raw.number}: {received} came back of {number}')
    everybody.count('messages', number)


def reset(everybody: Population, rng: random.Random) -> None:
    raw = _raw(everybody, rng)
    _send_raw(rng, raw)
    raw.reset()


def vanished_in_a_frame(everybody: Population, rng: random.Random) -> None:
    raw = _raw(everybody, rng)
    _send_raw(rng, raw)
    raw.send(b'\x82\xfe\x01\x00abcd'[: rng.randrange(1, 9)])
    raw.end_somehow(rng)


def vanished_in_the_handshake(everybody: Population, rng: random.Random) -> None:
    raw = everybody.raw(rng.random() < 0.25)
    everybody.expect(raw.number, MUST_NOT)
    raw.send(raw.request[: rng.randrange(len(raw.request))])
    raw.end_somehow(rng)


def vanished_before_the_answer(everybody: Population, rng: random.Random) -> None:
    raw = everybody.raw(False)
    raw.send(raw.request)
    raw.end_somehow(rng)


def vanished_in_the_tls_handshake(everybody: Population, rng: random.Random) -> None:
    raw = everybody.raw(True, False)
    everybody.expect(raw.number, MUST_NOT)
    # The begin of a ClientHello, or no TLS at all.
    raw.send(rng.choice((b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', raw.request, b''))[: rng.randrange(12)])
    raw.end_somehow(rng)


def silent(everybody: Population, rng: random.Random) -> None:
    """Until the server has enough of it."""
    raw = everybody.raw(rng.random() < 0.25, False)
    everybody.expect(raw.number, MUST_NOT)
    with raw:
        raw.read_all()


def sends_anything(everybody: Population, rng: random.Random) -> None:
    """The server ends it, with a close frame or without."""
    raw = _raw(everybody, rng)
    with raw:
        raw.send(bytes([rng.randrange(256) | 0x70]) + rng.randbytes(rng.randrange(1, 200)))
        raw.read_all()


def hixie(everybody: Population, rng: random.Random) -> None:
    raw = _raw(everybody, rng, True)
    with raw:
        number = rng.randrange(1, 20)
        for sequence in range(number):
            raw.send(b'\x00%d:%s\xff' % (sequence, b'x' * rng.randrange(500)))
        raw.send(b'\xff\x00')
        received = raw.read_all()
    texts = received[: received.rindex(b'\xff\x00')].split(b'\xff')[:-1]
    if [sequence_of(text[1:]) for text in texts] != list(range(number)):
        raise Fault(f'connection {raw.number}: {len(texts)} came back of {number}')
    everybody.count('messages', number)


#: Name -> what is done, and how often among the others.
SCENES: dict[str, tuple[Callable[[Population, random.Random], None], int]] = {
    'closed by the client': (closed_by_the_client, 8),
    'closed by the server': (closed_by_the_server, 4),
    'closed by both': (closed_by_both, 4),
    'terminated by the client': (terminated_by_the_client, 4),
    'terminated by the server': (terminated_by_the_server, 4),
    'given up while connecting': (given_up_while_connecting, 4),
    'refused': (refused, 2),
    'reads slowly': (reads_slowly, 3),
    'subscribes': (subscribes, 3),
    'half-closed': (half_closed, 4),
    'reset': (reset, 4),
    'vanished in a frame': (vanished_in_a_frame, 4),
    'vanished in the handshake': (vanished_in_the_handshake, 4),
    'vanished before the answer': (vanished_before_the_answer, 4),
    'vanished in the TLS handshake': (vanished_in_the_tls_handshake, 4),
    'silent': (silent, 1),
    'sends anything': (sends_anything, 4),
    'Hixie-76': (hixie, 4),
}
