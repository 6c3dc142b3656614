"""What goes over a bus: a line of JSON that says what it is, and the data behind it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Optional

# Kinds of envelopes.
MESSAGE = 'message'  # the body is that of a message to the members of `rooms`
PRESENCE = 'presence'  # the body is JSON: who is in the room of this channel, see Presence
ALIVE = 'alive'  # nothing but that the process is there
ROOMS = 'rooms'  # the body is JSON: the rooms that the process has members in
GONE = 'gone'  # the process takes leave


class Envelope(NamedTuple):
    """One message on a bus."""

    kind: str
    #: The process that it comes from.
    origin: str
    body: bytes = b''
    #: Counted by the process that it comes from.
    number: int = 0
    rooms: tuple[str, ...] = ()
    binary: bool = False
    compress: bool = True


def pack(envelope: Envelope) -> bytes:
    """As bytes. The body is copied once."""
    head = envelope._asdict()
    del head['body']
    return b'%s\n%s' % (json.dumps(head).encode(), envelope.body)


def unpack(data: bytes) -> Optional[Envelope]:
    """None for anything that is not an envelope: whoever can publish there need not be one of us."""
    line, _, body = data.partition(b'\n')
    try:
        head: Any = json.loads(line)
        envelope = Envelope(**{**head, 'rooms': tuple(head['rooms'])}, body=body)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return envelope if _is_sound(envelope) else None


def _is_sound(envelope: Envelope) -> bool:
    return (
        isinstance(envelope.kind, str)
        and isinstance(envelope.origin, str)
        and isinstance(envelope.number, int)
        and isinstance(envelope.binary, bool)
        and isinstance(envelope.compress, bool)
        and all(isinstance(room, str) for room in envelope.rooms)
    )
