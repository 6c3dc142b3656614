"""Those who talk in rooms, and what each of them must have heard.

Member `n` is in room ``n % rooms``. All of them are in one process, so each knows when a message was sent.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Protocol

from load.records import Faults

from ws import ReconnectingWebSocket

#: Latencies are counted in steps of so many seconds.
STEP = 0.0001
#: What was sent so many seconds before a link went down may have been on its way; more, if anything took longer.
ON_ITS_WAY = 1.0


class Language(Protocol):
    """How a server is talked to."""

    def url(self, host: str, port: int, room: str, number: int) -> str:
        """Who connects there is member `number` of `room`."""

    def wrap(self, text: str) -> str:
        """The message that says `text` in one's room."""

    def unwrap(self, ws: Any, message: str) -> str:
        """What was said there; 'joined' when one is a member; '' for anything else."""


class Plain:
    """That of rooms_server.py: nothing but the text."""

    def url(self, host: str, port: int, room: str, number: int) -> str:
        return f'ws://{host}:{port}/{room}/{number}'

    def wrap(self, text: str) -> str:
        return text

    def unwrap(self, ws: Any, message: str) -> str:
        return message


class SocketIO:
    """That of Socket.IO 5 over Engine.IO 4, without polling."""

    _HEARD = '42["heard","'

    def url(self, host: str, port: int, room: str, number: int) -> str:
        return f'ws://{host}:{port}/socket.io/?EIO=4&transport=websocket&room={room}'

    def wrap(self, text: str) -> str:
        return f'42["say","{text}"]'

    def unwrap(self, ws: Any, message: str) -> str:
        if message.startswith(self._HEARD):
            return message[len(self._HEARD) : -2]
        if message.startswith('42["joined"'):
            return 'joined'
        if message == '2':  # a ping
            ws.send('3')
        elif message.startswith('0'):  # the transport is open
            ws.send('40')
        return ''


class Interruption(NamedTuple):
    """A link was down, and what was said meanwhile may be lost between some of the servers."""

    what: str
    began: float
    ended: float
    #: Whether it lies between two servers.
    between: Callable[[int, int], bool]


@dataclass
class Phase:
    """What was delivered in a part of the run: latencies in steps, by whether both were at the same server."""

    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    same: Counter[int] = field(default_factory=Counter)
    other: Counter[int] = field(default_factory=Counter)

    def deliveries(self) -> int:
        return sum(self.same.values()) + sum(self.other.values())


def percentile(latencies: Counter[int], share: float) -> float:
    """In milliseconds."""
    step = 0
    left = share * sum(latencies.values())
    for step in sorted(latencies):
        left -= latencies[step]
        if left <= 0:
            break
    return step * STEP * 1000


class Ledger:
    """When each message was sent, and which of them each member has heard."""

    def __init__(self, members: int, rooms: int, server_of: Callable[[int], int]) -> None:
        self._rooms = rooms
        self._server_of = server_of
        self._sent = [array('d') for _ in range(members)]
        self._next: list[dict[int, int]] = [{} for _ in range(members)]  # of each member, by sender
        self._missing: dict[
            tuple[int, int], set[int]
        ] = {}  # by member and sender, those that later ones have overtaken
        self._longest = ON_ITS_WAY  # that a message was on its way, in seconds
        self.phase = Phase()
        self.faults = Faults()
        #: How many of each kind.
        self.counts: Counter[str] = Counter()

    def _fault(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        self.faults(text)

    def say(self, sender: int) -> int:
        """The number of its next message, which is sent now."""
        times = self._sent[sender]
        times.append(time.monotonic())
        self.phase.sent += 1
        return len(times) - 1

    def heard(self, member: int, sender: int, number: int) -> None:
        latency = time.monotonic() - self._sent[sender][number]
        self._longest = max(self._longest, latency)
        is_same = self._server_of(member) == self._server_of(sender)
        (self.phase.same if is_same else self.phase.other)[int(latency / STEP)] += 1
        if (member - sender) % self._rooms:
            self._fault('in another room', f'{member} heard {sender}, who is in another room')
        expected = self._next[member].get(sender, 0)
        if number < expected:
            self._heard_late(member, sender, number)
            return
        self._miss(member, sender, expected, number)
        self._next[member][sender] = number + 1

    def _miss(self, member: int, sender: int, first: int, end: int) -> None:
        if first < end:
            self._missing.setdefault((member, sender), set()).update(range(first, end))

    def _heard_late(self, member: int, sender: int, number: int) -> None:
        missing = self._missing.get((member, sender), set())
        if number in missing:
            missing.remove(number)
            self._fault('out of order', f'{member} heard message {number} of {sender} after later ones')
        else:
            self._fault('again', f'{member} heard message {number} of {sender} again')

    def finish(self) -> None:
        """Nothing more is on its way."""
        for member, heard in enumerate(self._next):
            for sender in range(member % self._rooms, len(self._sent), self._rooms):
                self._miss(member, sender, heard.get(sender, 0), len(self._sent[sender]))

    def judge(self, interruptions: list[Interruption]) -> Counter[str]:
        """How many deliveries were lost in each interruption. Any other is a fault."""
        lost: Counter[str] = Counter({each.what: 0 for each in interruptions})
        interruptions = [each._replace(began=each.began - self._longest) for each in interruptions]
        for (member, sender), numbers in self._missing.items():
            for number in sorted(numbers):
                sent = self._sent[sender][number]
                cause = _cause(interruptions, sent, self._server_of(sender), self._server_of(member))
                if cause is None:
                    self._fault('never', f'{member} never heard message {number} of {sender}')
                else:
                    lost[cause] += 1
        return lost


def _cause(interruptions: list[Interruption], sent: float, one: int, other: int) -> Optional[str]:
    for each in interruptions:
        if each.began <= sent <= each.ended and each.between(one, other):
            return each.what
    return None


class Member:
    """One client, which connects again when it has lost its server."""

    def __init__(self, number: int, room: str, host: str, port: int, language: Language, crowd: Crowd) -> None:
        self.number = number
        self.is_in = False
        self._language = language
        self._crowd = crowd
        self._ws = ReconnectingWebSocket(
            language.url(host, port, room, number),
            minReconnectionDelay=300,
            jitter=2,
            maxReconnectionDelay=2000,
            maxEnqueuedMessages=0,
            connectionTimeout=30_000,
            perMessageDeflate=False,
            origin=f'http://{host}:{port}',  # as a browser would say
        )
        self._ws.on('message', self._on_message)
        self._ws.on('close', self._on_close)

    def say(self) -> None:
        number = self._crowd.ledger.say(self.number)
        text = f'{self.number} {number} '
        self._ws.send(self._language.wrap(text.ljust(self._crowd.size, '.')))

    def close(self) -> None:
        self._ws.close()

    def _on_message(self, message: str) -> None:
        text = self._language.unwrap(self._ws, message)
        if text == 'joined':
            self.is_in = True
        elif text:
            sender, number, _ = text.split(' ')
            self._crowd.ledger.heard(self.number, int(sender), int(number))
            self._crowd.on_heard(int(sender), int(number))

    def _on_close(self) -> None:
        self.is_in = False


class Crowd:
    """All members. ``size``: characters of what they say; on_heard(sender, number) is called for each delivery."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        self.ledger = ledger
        self.size = size
        self.members: list[Member] = []
        self.on_heard: Callable[[int, int], None] = _ignore

    def are_in(self) -> bool:
        return all(member.is_in for member in self.members)

    def close(self) -> None:
        for member in self.members:
            member.close()


def _ignore(sender: int, number: int) -> None:
    pass


class Talk:
    """Members say something in turn, so many a second, in a thread, until :meth:`stop`. Those that are not in pass."""

    def __init__(self, members: list[Member], rate: float) -> None:
        self._members = members
        self._rate = rate
        self._stopping = threading.Event()
        #: The longest, in seconds, that a message was late: then this machine has not the time for all this.
        self.late = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        said = 0
        while True:
            wait = started + said / self._rate - time.monotonic()
            self.late = max(self.late, -wait)
            if self._stopping.wait(max(wait, 0)):
                return
            member = self._members[said % len(self._members)]
            said += 1
            if member.is_in:
                member.say()


class Rush:
    """In each room somebody says something, and when all have heard it, the next one does: as fast as it goes."""

    def __init__(self, crowd: Crowd, rooms: Iterable[list[Member]]) -> None:
        self._crowd = crowd
        self._rooms = [_Round(members) for members in rooms]
        self._round_of = {member.number: each for each in self._rooms for member in each.members}
        self._stopping = False
        crowd.on_heard = self._on_heard

    def start(self) -> None:
        """On the loop thread."""
        for each in self._rooms:
            each.next()

    def stop(self) -> None:
        self._stopping = True

    def _on_heard(self, sender: int, number: int) -> None:
        current = self._round_of[sender]
        current.missing -= 1
        if not current.missing and not self._stopping:
            current.next()


class _Round:
    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.missing = 0
        self._turn = 0

    def next(self) -> None:
        self.missing = len(self.members)
        self._turn += 1
        self.members[self._turn % len(self.members)].say()
