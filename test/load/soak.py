"""A server and its clients at work for as long as you like, with every ending that a connection may have.

    python -m load.soak [SECONDS] [--seed N] [--workers N]

The server is a child process (soak_server.py); the clients are this one: ours, and sockets that misbehave. Each of some
workers plays one scene after the other, drawn by the seed. It ends with status 1 if a connection had not exactly one
``connection`` and one ``close``, if a message was lost, doubled or out of order, or if memory, threads or descriptors
of either process are not where they were after a first while.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import ssl
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import trustme
from load.bystander import TEST, Bystander
from load.raw import Raw
from load.records import Counts, Faults, resources
from load.soak_server import sequence_of
from process import Process

from ws import WebSocket

#: Seconds that whatever must happen may take.
PATIENCE = 60
#: The first while, in which caches fill and pools grow: a fifth of the time, at most.
WARM_UP = 60
#: What may be more at the end: KiB, and a share; objects.
MORE_MEMORY, MORE_OF_IT, MORE_OBJECTS = 8192, 0.1, 2000

MUST, MUST_NOT, MAY = 1, 2, 0


class Fault(Exception):
    """Something that must not be."""


class Client:
    """One of our clients: its events, for a worker to wait for."""

    def __init__(self, soak: Soak, rng: random.Random, path: str = 'echo', **options: Any) -> None:
        self._soak = soak
        self.number = soak.new_number()
        secure = rng.random() < 0.25
        self._events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._closes = 0
        self.ws = WebSocket(
            f'{"wss" if secure else "ws"}://127.0.0.1:{soak.ports[secure]}/{path}/{self.number}',
            ca=soak.ca,
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
                self._soak.faults(f'client {self.number}: {event} after its close')
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
        self._soak.expect(self.number, MUST)
        return self

    def receive(self) -> Any:
        """The next message."""
        event = self.next()
        while event[0] == 'pong':
            event = self.next()
        if event[0] != 'message':
            raise Fault(f'client {self.number}: {event} in the place of a message')
        self._soak.count('messages')
        return event[1]

    def until_close(self, first: int = 0, deadline: Optional[float] = None) -> tuple[int, int, str]:
        """What is received until the end must be numbered from `first` on: the next number, and the close event's
        arguments."""
        while True:
            event = self.next()
            if event[0] == 'close':
                return first, event[1], event[2]
            if event[0] == 'message':
                self._soak.count('messages')
                if sequence_of(event[1]) != first:
                    raise Fault(f'client {self.number}: message {sequence_of(event[1])} in the place of {first}')
                first += 1

    def close(self, sent: int) -> None:
        """The clean end: the server checks that so many messages came."""
        self.ws.close(1000, str(sent))
        received, code, reason = self.until_close()
        if (received, code, reason) != (0, 1000, str(sent)):
            raise Fault(f'client {self.number}: {received} more messages, then {code} {reason!r}')


class Soak:
    """The run: its server, its numbers, what was counted, and what was wrong."""

    def __init__(self, seed: int, workers: int, folder: Path) -> None:
        self._seed = seed
        self._workers = workers
        self._folder = folder
        authority = trustme.CA()
        issued = authority.issue_cert('127.0.0.1')
        self.ca = authority.cert_pem.bytes()
        self.tls = ssl.create_default_context()
        authority.configure_trust(self.tls)
        self._chain = b''.join(blob.bytes() for blob in issued.cert_chain_pems).decode()
        self._key = issued.private_key_pem.bytes().decode()
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self._expected = bytearray([MUST])  # the bystander's
        self._lock = threading.Lock()
        self.ports: list[int] = []
        threading.excepthook = lambda arguments: self.faults(f'reported: {arguments.exc_value!r}')

    def new_number(self) -> int:
        with self._lock:
            self._expected.append(MAY)
            return len(self._expected) - 1

    def expect(self, number: int, what: int) -> None:
        self._expected[number] = what

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def server(self) -> Process:
        settings = json.dumps({'folder': str(self._folder), 'cert': self._chain, 'key': self._key})
        core = sorted(os.sched_getaffinity(0))[0]
        process = Process([sys.executable, '-m', 'load.soak_server', settings], core, TEST, {'PYTHONPATH': str(TEST)})
        self.ports = json.loads(process.read_line(PATIENCE))
        return process

    def run_phase(self, name: str, seconds: float) -> None:
        """All workers for so long; every connection has ended when it returns."""
        deadline = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._work, args=(random.Random(f'{self._seed} {name} {number}'), deadline))
            for number in range(self._workers)
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

    def judge(self, connections: Counts, closes: Counts) -> None:
        for number, expected in enumerate(self._expected):
            opened, closed = connections[number], closes[number]
            wanted = {MUST: (1,), MUST_NOT: (0,), MAY: (0, 1)}[expected]
            if opened != closed or opened not in wanted:
                self.faults(f'connection {number}: {opened} connection, {closed} close')

    def judge_resources(self, who: str, before: dict[str, int], after: dict[str, int]) -> None:
        for what in ('threads', 'descriptors'):
            if after[what] > before[what]:
                self.faults(f'{who}: {before[what]} {what}, {after[what]} in the end')
        if after['objects'] > before['objects'] + MORE_OBJECTS:
            self.faults(f'{who}: {before["objects"]} objects, {after["objects"]} in the end')
        if after['memory'] > before['memory'] * (1 + MORE_OF_IT) + MORE_MEMORY:
            self.faults(f'{who}: {before["memory"]} KiB, {after["memory"]} in the end')


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


def talk(soak: Soak, rng: random.Random, client: Client) -> int:
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


def closed_by_the_client(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng).open()
    client.close(talk(soak, rng, client))


def closed_by_the_server(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng).open()
    number = rng.randrange(200)
    client.ws.send(f'!close {number}')
    received, code, reason = client.until_close()
    if (received, code, reason) != (number, 4000, str(number)):
        raise Fault(f'client {client.number}: {received} of {number} messages, then {code} {reason!r}')


def closed_by_both(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng).open()
    client.ws.send('!close 0')
    client.ws.close(1000)
    _, code, _ = client.until_close()
    if code not in (1000, 4000):
        raise Fault(f'client {client.number}: close {code}')


def _cut(soak: Soak, rng: random.Random, command: Optional[str]) -> None:
    client = Client(soak, rng).open()
    for sequence in range(rng.randrange(50)):
        client.ws.send(message(rng, sequence))
    if command is None:
        client.ws.terminate()
    else:
        client.ws.send(command)
    _, code, _ = client.until_close()
    if code != 1006:
        raise Fault(f'client {client.number}: close {code}')


def terminated_by_the_client(soak: Soak, rng: random.Random) -> None:
    _cut(soak, rng, None)


def terminated_by_the_server(soak: Soak, rng: random.Random) -> None:
    _cut(soak, rng, '!terminate')


def given_up_while_connecting(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng)
    if rng.random() < 0.5:
        time.sleep(rng.random() * 0.005)
    if rng.random() < 0.5:
        client.ws.close()
    else:
        client.ws.terminate()
    client.until_close()


def refused(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng, 'refused')
    soak.expect(client.number, MUST_NOT)
    events = [client.next(), client.next()]
    if [event[0] for event in events] != ['error', 'close']:
        raise Fault(f'client {client.number}: {events}')


def reads_slowly(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng).open()
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


def subscribes(soak: Soak, rng: random.Random) -> None:
    client = Client(soak, rng, 'subscribe').open()
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


def _raw(soak: Soak, rng: random.Random, hixie: bool = False) -> Raw:
    """A socket that has shaken hands, with TLS or without."""
    secure = rng.random() < 0.25
    number = soak.new_number()
    raw = Raw(soak.ports[secure], number, soak.tls if secure else None)
    raw.shake_hands(hixie)
    soak.expect(number, MUST)
    return raw


def _send_raw(rng: random.Random, raw: Raw) -> int:
    number = rng.randrange(1, 20)
    for sequence in range(number):
        raw.send_message(b'%d:' % sequence + bytes(rng.randrange(2000)))
    return number


def half_closed(soak: Soak, rng: random.Random) -> None:
    """What was sent before is answered all the same."""
    raw = _raw(soak, rng)
    while raw.secure:  # TLS of Python's ssl has no half-closed connections
        raw.close()
        raw = _raw(soak, rng)
    with raw:
        number = _send_raw(rng, raw)
        raw.end()
        received = [sequence_of(data) for data in raw.messages()]
    if received != list(range(number)):
        raise Fault(f'connection {raw.number}: {received} came back of {number}')
    soak.count('messages', number)


def reset(soak: Soak, rng: random.Random) -> None:
    raw = _raw(soak, rng)
    _send_raw(rng, raw)
    raw.reset()


def vanished_in_a_frame(soak: Soak, rng: random.Random) -> None:
    raw = _raw(soak, rng)
    _send_raw(rng, raw)
    raw.send(b'\x82\xfe\x01\x00abcd'[: rng.randrange(1, 9)])
    raw.end_somehow(rng)


def vanished_in_the_handshake(soak: Soak, rng: random.Random) -> None:
    secure = rng.random() < 0.25
    raw = Raw(soak.ports[secure], soak.new_number(), soak.tls if secure else None)
    soak.expect(raw.number, MUST_NOT)
    raw.send(raw.request[: rng.randrange(len(raw.request))])
    raw.end_somehow(rng)


def vanished_before_the_answer(soak: Soak, rng: random.Random) -> None:
    raw = Raw(soak.ports[0], soak.new_number(), None)
    raw.send(raw.request)
    raw.end_somehow(rng)


def vanished_in_the_tls_handshake(soak: Soak, rng: random.Random) -> None:
    raw = Raw(soak.ports[1], soak.new_number(), None)
    soak.expect(raw.number, MUST_NOT)
    # The begin of a ClientHello, or no TLS at all.
    raw.send(rng.choice((b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', raw.request, b''))[: rng.randrange(12)])
    raw.end_somehow(rng)


def silent(soak: Soak, rng: random.Random) -> None:
    """Until the server has enough of it."""
    raw = Raw(soak.ports[rng.random() < 0.25], soak.new_number(), None)
    soak.expect(raw.number, MUST_NOT)
    with raw:
        raw.read_all()


def sends_anything(soak: Soak, rng: random.Random) -> None:
    """The server ends it, with a close frame or without."""
    raw = _raw(soak, rng)
    with raw:
        raw.send(bytes([rng.randrange(256) | 0x70]) + rng.randbytes(rng.randrange(1, 200)))
        raw.read_all()


def hixie(soak: Soak, rng: random.Random) -> None:
    raw = _raw(soak, rng, True)
    with raw:
        number = rng.randrange(1, 20)
        for sequence in range(number):
            raw.send(b'\x00%d:%s\xff' % (sequence, b'x' * rng.randrange(500)))
        raw.send(b'\xff\x00')
        received = raw.read_all()
    texts = received[: received.rindex(b'\xff\x00')].split(b'\xff')[:-1]
    if [sequence_of(text[1:]) for text in texts] != list(range(number)):
        raise Fault(f'connection {raw.number}: {len(texts)} came back of {number}')
    soak.count('messages', number)


#: Name -> what is done, and how often among the others.
SCENES: dict[str, tuple[Callable[[Soak, random.Random], None], int]] = {
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


# -- the run ----------------------------------------------------------------------------------------------------------


def at_rest(server: Process) -> dict[str, int]:
    """What the server takes when nobody is connected any more."""
    deadline = time.monotonic() + PATIENCE
    while True:
        server.write_line('resources')
        taken: dict[str, int] = server.answer(PATIENCE)  # type: ignore[assignment]
        if not taken['connections'] or time.monotonic() > deadline:
            return taken
        time.sleep(0.1)


def run(soak: Soak, seconds: float) -> None:
    warm_up = min(WARM_UP, seconds / 5)
    with soak.server() as server:
        soak.run_phase('warm-up', warm_up)
        before = {'server': at_rest(server), 'clients': resources()}
        cpu = server.cpu_seconds()
        with Bystander(soak.ports[0], sorted(os.sched_getaffinity(0))[0]) as bystander:
            soak.run_phase('run', seconds - warm_up)
            waited = bystander.finish()
        cpu = server.cpu_seconds() - cpu
        after = {'server': at_rest(server), 'clients': resources()}
        for who in before:
            soak.judge_resources(who, before[who], after[who])
        if after['server']['connections']:
            soak.faults(f'{after["server"]["connections"]} connections are left')
        server.write_line('finish')
        told: dict[str, Any] = server.answer(PATIENCE)
        for text in told['faults']:
            soak.faults(f'server: {text}')
        soak.judge(Counts.load(soak._folder / 'connections'), Counts.load(soak._folder / 'closes'))
    report(soak, before, after, waited, cpu, told['counts'])


def report(soak: Soak, before: Any, after: Any, waited: dict[str, float], cpu: float, counts: dict[str, int]) -> None:
    print(f'connections: {len(soak._expected)}, messages received by clients: {soak.counts["messages"]}')
    print('scenes: ' + ', '.join(f'{name} {soak.counts[f"scene: {name}"]}' for name in SCENES))
    print('server: ' + ', '.join(f'{name} {number}' for name, number in sorted(counts.items())))
    print(f'server: {cpu:.1f} s of CPU time; a bystander waited {waited["longest"]:.0f} ms at the most')
    for who in before:
        print(f'{who}: ' + ', '.join(f'{what} {before[who][what]} -> {after[who][what]}' for what in before[who]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('seconds', nargs='?', type=float, default=600)
    parser.add_argument('--seed', type=int, default=None, help='another one each time if it is not given')
    parser.add_argument('--workers', type=int, default=12)
    arguments = parser.parse_args()
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f'seed {seed}, {arguments.workers} workers, {arguments.seconds:g} s', flush=True)
    with tempfile.TemporaryDirectory(prefix='soak-') as folder:
        soak = Soak(seed, arguments.workers, Path(folder))
        run(soak, arguments.seconds)
    for text in soak.faults.texts:
        print(f'FAULT: {text}')
    print(f'{soak.faults.number} faults')
    return 1 if soak.faults.number else 0


if __name__ == '__main__':
    sys.exit(main())
