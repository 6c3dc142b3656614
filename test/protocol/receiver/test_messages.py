"""Incoming frames (RFC 6455 section 5). Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import tracemalloc
import zlib
from typing import Any, Callable, Optional

import pytest
from protocol.receiver.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    RSV1,
    TEXT,
    TOO_LARGE,
    TOO_MANY,
    Feed,
    Recorder,
    events_of,
    frame,
)

from ws.protocol.permessage_deflate import Inflater
from ws.protocol.receiver import MessageFlags, Receiver, flags_of


class TestMessages:
    def test_unmasked_text(self, feed: Feed) -> None:
        """[145]"""
        assert events_of(bytes.fromhex('810548656c6c6f'), feed) == [('text', 'Hello', False)]

    def test_close_without_payload(self, feed: Feed) -> None:
        """[146] with the code of section 7.1.5 for "none"."""
        assert events_of(bytes.fromhex('8800'), feed) == [('close', 1005, '', False)]

    def test_masked_text(self, feed: Feed) -> None:
        """[147]"""
        data = bytes.fromhex('8193 3483a868 01b992524fa1c60959e68a5216e6cb005ba1d5')
        assert events_of(data, feed, masked=True) == [('text', '5:::{"name":"echo"}', True)]

    @pytest.mark.parametrize('size', [301, 65537])
    def test_masked_text_with_extended_length(self, feed: Feed, size: int) -> None:
        """[148] [149]"""
        text = ('A' * 299 + 'Ä漢😀' * size)[:size]
        assert events_of(frame(TEXT, text.encode(), key=KEY), feed, masked=True) == [('text', text, True)]

    def test_two_masked_fragments(self, feed: Feed) -> None:
        """[150]"""
        text = 'A' * 301
        data = frame(TEXT, text[:150].encode(), fin=False, key=KEY) + frame(CONTINUATION, text[150:].encode(), key=KEY)
        assert events_of(data, feed, masked=True) == [('text', text, True)]

    def test_masked_ping(self, feed: Feed) -> None:
        """[151]"""
        assert events_of(frame(PING, b'Hello', key=KEY), feed, masked=True) == [('ping', b'Hello', True)]

    @pytest.mark.parametrize('opcode, name', [(PING, 'ping'), (PONG, 'pong')])
    def test_ping_and_pong_without_payload(self, feed: Feed, opcode: int, name: str) -> None:
        """[152]"""
        assert events_of(frame(opcode), feed) == [(name, b'', False)]

    def test_ping_between_fragments(self, feed: Feed) -> None:
        """[153] whole; [154] in halves and byte by byte."""
        text = 'A' * 301
        data = [
            frame(TEXT, text[:150].encode(), fin=False, key=KEY),
            frame(PING, b'Hello', key=KEY),
            frame(CONTINUATION, text[150:].encode(), key=KEY),
        ]
        recorder = Recorder(masked=True)
        for one in data:
            feed(recorder.receiver, one)
        assert recorder.events == [('ping', b'Hello', True), ('text', text, True)]

    @pytest.mark.parametrize('size', [100, 256, 200 * 1024])
    def test_masked_binary(self, feed: Feed, size: int) -> None:
        """[155] [156] [157]"""
        data = os.urandom(size)
        assert events_of(frame(BINARY, data, key=KEY), feed, masked=True) == [('binary', data, True)]

    def test_unmasked_binary(self, feed: Feed) -> None:
        """[158]"""
        data = os.urandom(200 * 1024)
        assert events_of(frame(BINARY, data), feed, masked=False) == [('binary', data, False)]

    @pytest.mark.parametrize('key', [None, KEY])
    @pytest.mark.parametrize('size', [0, 1, 2, 3, 4, 5, 124, 125, 126, 127, 65535, 65536])
    def test_sizes(self, feed: Feed, size: int, key: Optional[bytes]) -> None:
        masked = key is not None
        assert events_of(frame(BINARY, b'\xfe' * size, key=key), feed) == [('binary', b'\xfe' * size, masked)]
        assert events_of(frame(TEXT, b'x' * size, key=key), feed) == [('text', 'x' * size, masked)]

    @pytest.mark.parametrize('width', [2, 8])
    def test_length_in_more_bytes_than_needed_is_taken(self, feed: Feed, width: int) -> None:
        assert events_of(frame(TEXT, b'Hello', width=width), feed) == [('text', 'Hello', False)]

    def test_empty_fragments(self, feed: Feed) -> None:
        data = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION) + frame(BINARY)
        assert events_of(data, feed) == [('text', '', False), ('binary', b'', False)]

    def test_character_across_fragments(self, feed: Feed) -> None:
        parts = [bytes([byte]) for byte in 'é漢😀'.encode()]
        data = frame(TEXT, parts[0], fin=False)
        data += b''.join(frame(CONTINUATION, part, fin=False) for part in parts[1:]) + frame(CONTINUATION)
        assert events_of(data, feed) == [('text', 'é漢😀', False)]

    def test_text_keeps_line_ends_and_byte_order_mark(self, feed: Feed) -> None:
        text = '\ufeffa\r\nb\rc\nd\0'
        assert events_of(frame(TEXT, text.encode()), feed) == [('text', text, False)]

    def test_masked_tells_of_the_last_frame(self, feed: Feed) -> None:
        first, last = frame(TEXT, b'a', fin=False, key=KEY), frame(CONTINUATION, b'b')
        assert events_of(first + last, feed) == [('text', 'ab', False)]
        first, last = frame(TEXT, b'a', fin=False), frame(CONTINUATION, b'b', key=KEY)
        assert events_of(first + last, feed) == [('text', 'ab', True)]

    def test_thousands_of_frames_at_once(self) -> None:
        data = frame(PING) + frame(TEXT, b'x', fin=False) + frame(CONTINUATION, b'y') + frame(BINARY, b'z')
        events = events_of(data * 5000)
        assert events == [('ping', b'', False), ('text', 'xy', False), ('binary', b'z', False)] * 5000

    def test_close_with_code_and_reason(self, feed: Feed) -> None:
        data = frame(CLOSE, (4000).to_bytes(2, 'big') + 'schön'.encode(), key=KEY)
        assert events_of(data, feed) == [('close', 4000, 'schön', True)]
        assert events_of(frame(CLOSE, b'\x03\xe8'), feed) == [('close', 1000, '', False)]

    def test_nothing_after_close(self, feed: Feed) -> None:
        assert events_of(frame(CLOSE) + frame(PING) + b'\xff', feed) == [('close', 1005, '', False)]

    def test_callbacks_nobody_set(self, feed: Feed) -> None:
        receiver = Receiver()
        feed(receiver, frame(TEXT) + frame(BINARY) + frame(PING) + frame(PONG) + frame(TEXT, b'x', fin=False))
        feed(receiver, frame(CONTINUATION) + frame(CLOSE))
        feed(Receiver(), b'\xff')


class TestFlags:
    def flags_of(self, data: bytes) -> MessageFlags:
        recorder = Recorder()
        recorder.receiver.add(data)
        [flags] = recorder.flags
        return flags

    @pytest.mark.parametrize('key', [None, KEY])
    @pytest.mark.parametrize('opcode', [TEXT, BINARY, PING, PONG])
    def test_message_ping_pong(self, opcode: int, key: Optional[bytes]) -> None:
        flags = self.flags_of(frame(opcode, 'schön'.encode(), key=key))
        assert flags.binary is (opcode != TEXT)
        assert bool(flags) is (opcode != TEXT)
        assert flags.masked is (key is not None)
        assert flags.buffer == 'schön'.encode()

    def test_fragmented_message(self) -> None:
        assert not self.flags_of(frame(TEXT, b'x', fin=False) + frame(CONTINUATION)).binary
        assert self.flags_of(frame(BINARY, b'x', fin=False) + frame(CONTINUATION)).binary

    def test_close(self) -> None:
        flags = self.flags_of(frame(CLOSE, b'\x03\xe8bye'))
        assert not flags.binary
        assert not flags
        assert flags.masked is False
        assert flags.buffer is None

    def test_binary_is_not_kept_twice(self) -> None:
        messages = []
        receiver = Receiver()
        receiver.onbinary = lambda data, flags: messages.append((data, flags.buffer))
        receiver.add(frame(BINARY, b'abc') + frame(BINARY, b'ab', fin=False) + frame(CONTINUATION, b'c'))
        for data, buffer in messages:
            assert data == b'abc'
            assert buffer is data

    def test_any_other_name_is_none(self) -> None:
        flags: Any = self.flags_of(frame(TEXT, b'x'))
        assert flags.compressed is None
        assert not flags_of(False, None)

    def test_as_the_options_of_an_answer(self) -> None:
        flags = self.flags_of(frame(TEXT, b'x', key=KEY))
        assert flags.get('binary', True) is False
        assert flags.get('masked') is True
        assert flags.get('compress', True) is True
        assert flags.get('compress') is None

    def test_protocols_of_python_see_no_none(self) -> None:
        flags = self.flags_of(frame(BINARY, b'x', key=KEY))
        for twin in (copy.copy(flags), copy.deepcopy(flags), pickle.loads(pickle.dumps(flags))):
            assert (twin.binary, twin.masked, twin.buffer) == (True, True, b'x')
        assert not hasattr(flags, '__array_interface__')

    def test_repr(self) -> None:
        flags = self.flags_of(frame(TEXT, b'x', key=KEY))
        assert repr(flags) == "MessageFlags(binary=False, masked=True, buffer=b'x')"


HELLO = bytes.fromhex('f248cdc9c90700')


class TestCompressed:
    """permessage-deflate (RFC 7692 section 7.2.2)."""

    def test_messages(self, feed: Feed) -> None:
        again = bytes.fromhex('f200110000')
        data = (
            frame(TEXT | RSV1, HELLO, key=KEY) + frame(BINARY | RSV1, again, key=KEY) + frame(TEXT, HELLO[-1:], key=KEY)
        )
        assert events_of(data, feed, masked=True, deflate=True) == [
            ('text', 'Hello', True),
            ('binary', b'Hello', True),
            ('text', '\0', True),
        ]

    def test_flags(self) -> None:
        recorder = Recorder(deflate=True)
        recorder.receiver.add(frame(TEXT | RSV1, HELLO) + frame(BINARY | RSV1, HELLO))
        assert [(flags.binary, flags.buffer) for flags in recorder.flags] == [(False, b'Hello'), (True, b'Hello')]

    def test_fragments(self, feed: Feed) -> None:
        """Between them control frames; some are empty."""
        for first in range(len(HELLO) + 1):
            for second in range(first, len(HELLO) + 1):
                data = frame(TEXT | RSV1, HELLO[:first], fin=False) + frame(PING)
                data += frame(CONTINUATION, HELLO[first:second], fin=False) + frame(CONTINUATION, HELLO[second:])
                data += frame(TEXT, b'Hello', fin=False) + frame(CONTINUATION)
                expected = [('ping', b'', False), ('text', 'Hello', False), ('text', 'Hello', False)]
                assert events_of(data, feed, deflate=True) == expected

    def test_empty(self, feed: Feed) -> None:
        data = frame(TEXT | RSV1, b'\0') + frame(BINARY | RSV1, b'\0')
        assert events_of(data * 2, feed, deflate=True) == [('text', '', False), ('binary', b'', False)] * 2

    def test_text_is_decoded_across_pieces(self, feed: Feed) -> None:
        text = 'é漢😀' * 40_000
        deflate = zlib.compressobj(level=0, wbits=-15)
        payload = deflate.compress(text.encode()) + deflate.flush(zlib.Z_SYNC_FLUSH)
        assert events_of(frame(TEXT | RSV1, payload[:-4]), feed, deflate=True) == [('text', text, False)]

    def test_only_what_is_inflated_counts(self, feed: Feed) -> None:
        stored = b'\0\5\0\xfa\xffHello\0'
        data = (
            frame(BINARY | RSV1, stored) + frame(BINARY | RSV1, stored[:4], fin=False) + frame(CONTINUATION, stored[4:])
        )
        data += frame(BINARY, b'Hello')
        assert events_of(data * 2, feed, deflate=True, max_payload=5) == [('binary', b'Hello', False)] * 6

    @pytest.mark.parametrize('limit', [0, sys.maxsize - 1, sys.maxsize, sys.maxsize + 1, 1 << 100])
    def test_without_limit(self, feed: Feed, limit: int) -> None:
        data = frame(TEXT | RSV1, HELLO) + frame(TEXT, b'Hello')
        assert events_of(data, feed, deflate=True, max_payload=limit) == [('text', 'Hello', False)] * 2

    def test_a_message_that_ends_with_a_final_block(self, feed: Feed) -> None:
        """With the empty block behind it that RFC 7692 section 7.2.3.4 asks for, and without: the next one is whole."""
        final = bytes.fromhex('f348cdc9c90700')
        for payload in (final + b'\0', final):
            data = frame(TEXT | RSV1, payload) + frame(TEXT | RSV1, HELLO)
            assert events_of(data * 2, feed, deflate=True) == [('text', 'Hello', False)] * 4

    @pytest.mark.parametrize('opcode', [TEXT, BINARY])
    def test_bomb(self, traced: Callable[[], int], opcode: int) -> None:
        deflate = zlib.compressobj(9, wbits=-15)
        payload = b''.join([*(deflate.compress(bytes(1 << 20)) for _ in range(64)), deflate.flush(zlib.Z_SYNC_FLUSH)])
        recorder = Recorder(deflate=True, max_payload=1 << 20)
        tracemalloc.reset_peak()
        recorder.receiver.add(frame(opcode | RSV1, payload))
        assert recorder.events == [TOO_LARGE]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        del payload, deflate, recorder
        assert traced() < 20000

    @pytest.mark.parametrize('end', [frame(CLOSE), b'\xff', None])
    def test_the_window_is_let_go_of_at_the_end(self, traced: Callable[[], int], end: Optional[bytes]) -> None:
        receiver = Receiver()
        receiver.inflater = Inflater(None, False)
        receiver.add(frame(TEXT | RSV1, HELLO))
        assert traced() > 30000
        if end is None:
            receiver.cleanup()
        else:
            receiver.add(end)
        assert traced() < 20000


class TestLimits:
    def test_payload_of_just_the_limit(self, feed: Feed) -> None:
        data = frame(BINARY, b'abcde') + frame(BINARY, b'abc', fin=False) + frame(CONTINUATION, b'de')
        assert events_of(data * 2, feed, max_payload=5) == [('binary', b'abcde', False)] * 4

    def test_control_frames_have_their_own_limit(self, feed: Feed) -> None:
        data = b'x' * 123
        frames = frame(PING, b'xx' + data) + frame(PONG, b'xx' + data, key=KEY) + frame(CLOSE, b'\x03\xe8' + data)
        assert events_of(frame(TEXT, fin=False) + frames, feed, max_payload=5, max_fragments=1) == [
            ('ping', b'xx' + data, False),
            ('pong', b'xx' + data, True),
            ('close', 1000, data.decode(), False),
        ]

    def test_payload_without_limit(self) -> None:
        assert events_of(bytes.fromhex('82 7f 00000000 ffffffff'), max_payload=0) == []

    def test_fragments_of_just_the_limit(self, feed: Feed) -> None:
        data = frame(TEXT, b'a', fin=False) + frame(PING) + frame(CONTINUATION, fin=False) + frame(CONTINUATION, b'b')
        assert events_of(data * 2, feed, max_fragments=3) == [('ping', b'', False), ('text', 'ab', False)] * 2

    def test_fragments_by_default(self) -> None:
        data = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 131071
        assert events_of(data) == []
        assert events_of(data + frame(CONTINUATION)) == [TOO_MANY]

    def test_fragments_without_limit(self) -> None:
        data = frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) * 131072 + frame(CONTINUATION, b'x')
        assert events_of(data, max_fragments=0) == [('binary', b'x', False)]
