"""Any bytes, in any portions."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple, Optional

from hypothesis import example, given
from hypothesis import strategies as st
from protocol.receiver.frames import (
    BAD_DATA,
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_UTF8,
    KEY,
    PING,
    PONG,
    RSV1,
    TEXT,
    TOO_LARGE,
    Recorder,
    events_of,
    frame,
)
from protocol.recording import Event, byte_by_byte, whole

from ws.protocol.permessage_deflate import Inflater

roles = st.sampled_from([True, False, None])
texts = st.text(st.characters(exclude_categories=['Cs']), max_size=300)
payloads = st.one_of(st.binary(max_size=300), st.binary(min_size=120, max_size=130))
sizes = st.sampled_from([1, 1, 1, 1, 20, 400])  # what a payload is repeated by


class Conversation(NamedTuple):
    """Valid frames for a role, and what they should be called back as."""

    role: Optional[bool]
    no_context_takeover: Optional[bool]  # or None without permessage-deflate
    frames: bytes
    events: list[Event]

    def recorder(self) -> Recorder:
        recorder = Recorder(self.role)
        if self.no_context_takeover is not None:
            recorder.receiver.inflater = Inflater(None, self.no_context_takeover)
        return recorder


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    role = draw(roles)
    no_context_takeover = draw(st.sampled_from([None, None, True, False]))
    deflate = zlib.compressobj(wbits=-15)
    out = bytearray()
    events: list[Event] = []

    def put(opcode: int, payload: bytes, fin: bool = True) -> bool:
        masked = draw(st.booleans()) if role is None else role
        out.extend(frame(opcode, payload, fin, draw(st.binary(min_size=4, max_size=4)) if masked else None))
        return masked

    def control() -> None:
        opcode, name = draw(st.sampled_from([(PING, 'ping'), (PONG, 'pong')]))
        payload = draw(st.binary(max_size=125))
        events.append((name, payload, put(opcode, payload)))

    def compressed(payload: bytes) -> bytes:
        nonlocal deflate
        if no_context_takeover:
            deflate = zlib.compressobj(wbits=-15)
        return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4] or b'\0'

    for _ in range(draw(st.integers(0, 6))):
        if draw(st.integers(0, 3)) == 0:
            control()
            continue
        is_text = draw(st.booleans())
        text = draw(texts) * draw(sizes)
        payload = text.encode() if is_text else draw(payloads) * draw(sizes)
        value = text if is_text else payload
        first = TEXT if is_text else BINARY
        if no_context_takeover is not None and draw(st.booleans()):
            first |= RSV1
            payload = compressed(payload)
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=draw(st.sampled_from([0, 0, 5])))))
        parts = [payload[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(payload)])]
        for index, part in enumerate(parts):
            if index and draw(st.integers(0, 3)) == 0:
                control()
            masked = put(CONTINUATION if index else first, part, fin=index == len(parts) - 1)
        events.append(('text' if is_text else 'binary', value, masked))
    if draw(st.booleans()):
        reason = draw(st.text(st.characters(exclude_categories=['Cs']), max_size=30))
        code = draw(st.sampled_from([1000, 1003, 1007, 1014, 3000, 4999]))
        events.append(('close', code, reason, put(CLOSE, code.to_bytes(2, 'big') + reason.encode())))
    return Conversation(role, no_context_takeover, bytes(out), events)


def portions_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)])]


cuts = st.lists(st.integers(0, 1 << 30), max_size=20)


@given(conversations(), cuts)
def test_any_portions_of_valid_frames(conversation: Conversation, cuts: list[int]) -> None:
    recorder = conversation.recorder()
    for portion in portions_of(conversation.frames, cuts):
        recorder.receiver.add(portion)
    assert recorder.events == conversation.events


@given(conversations(), cuts, st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_pauses_anywhere(conversation: Conversation, cuts: list[int], pauses: set[int], resumes: set[int]) -> None:
    recorder = conversation.recorder()
    paused_at = None

    def then() -> None:
        nonlocal paused_at
        assert paused_at is None, 'called back while paused'
        if len(recorder.events) in pauses:
            recorder.receiver.pause()
            paused_at = len(recorder.events)

    recorder.then = then
    for index, portion in enumerate(portions_of(conversation.frames, cuts)):
        recorder.receiver.add(portion)
        if index in resumes:
            paused_at = None
            recorder.receiver.resume()
    while paused_at is not None:
        paused_at = None
        recorder.receiver.resume()
    assert recorder.events == conversation.events


@st.composite
def flushed(draw: st.DrawFn) -> bytes:
    """A compressed payload: blocks that are final and that are not, in the middle and at the end, and what is none."""
    payload = b''
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 20]))):
        data = draw(payloads) * draw(sizes)
        stream = zlib.compressobj(draw(st.sampled_from([0, 6])), wbits=-15)
        payload += stream.compress(data) + stream.flush(draw(st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])))
    ends = [b'', b'\0', b'\0\0\xff\xff', b'\0\xff\xff\0', b'\3\0']
    return payload[: -4 if payload.endswith(b'\0\0\xff\xff') else None] + draw(st.sampled_from(ends))


@given(st.lists(st.tuples(flushed(), cuts), max_size=5), st.booleans(), st.sampled_from([0, 50]), cuts)
def test_compressed_messages_are_the_same_however_they_are_cut(
    messages: list[tuple[bytes, list[int]]], no_context: bool, limit: int, cuts: list[int]
) -> None:
    """Valid or not, in one frame or many, by TCP in one piece or many."""

    def events(fragmented: bool, cuts: list[int]) -> list[Event]:
        recorder = Recorder(max_payload=limit)
        recorder.receiver.inflater = Inflater(None, no_context)
        data = b''
        for payload, places in messages:
            parts = portions_of(payload, places if fragmented else [])
            for index, part in enumerate(parts):
                opcode = CONTINUATION if index else BINARY | RSV1
                data += frame(opcode, part, fin=index == len(parts) - 1)
        for portion in portions_of(data, cuts):
            recorder.receiver.add(portion)
        return alike(recorder.events)

    expected = events(False, [])
    assert events(False, cuts) == events(True, cuts) == events(True, []) == expected


@st.composite
def noise(draw: st.DrawFn) -> bytes:
    """Bytes that look like frames often enough to get somewhere."""
    pieces = []
    for _ in range(draw(st.integers(0, 8))):
        payload = draw(st.one_of(st.binary(max_size=10), texts.map(str.encode)))
        key = draw(st.one_of(st.none(), st.just(KEY)))
        opcode = draw(st.sampled_from([0, 1, 1, 2, 2, 8, 9, 10, TEXT | RSV1, BINARY | RSV1]))
        piece = bytearray(frame(opcode, payload, draw(st.booleans()), key))
        if draw(st.integers(0, 5)) == 0:
            piece[draw(st.integers(0, len(piece) - 1))] = draw(st.integers(0, 255))
        pieces.append(bytes(piece))
    return b''.join([*pieces, draw(st.binary(max_size=10))])


@given(noise(), roles, st.booleans(), cuts)
@example(frame(TEXT, b'\xed\xa0'), None, False, [])
def test_any_bytes_give_callbacks_and_at_most_one_error(
    data: bytes, role: Optional[bool], deflate: bool, cuts: list[int]
) -> None:
    options: dict[str, Any] = {'masked': role, 'deflate': deflate, 'max_payload': 200, 'max_fragments': 3}
    recorder = Recorder(**options)
    for portion in portions_of(data, cuts):
        recorder.receiver.add(portion)
    ends = [event for event in recorder.events if event[0] in ('error', 'close')]
    assert ends == recorder.events[-1:] or not ends
    # The portions the bytes come in make no difference, for errors too.
    same = alike if deflate else list
    for feed in (whole, byte_by_byte):
        assert same(events_of(data, feed, **options)) == same(recorder.events)


def alike(events: list[Event]) -> list[Event]:
    """If several things are wrong with one portion of compressed data, zlib tells which one comes out."""
    return [BAD_DATA if event in (INVALID_UTF8, TOO_LARGE) else event for event in events]
