"""Hixie-76, the server's side. Numbers in brackets are those of the original's tests."""

from __future__ import annotations

import array
import sys
import time
from typing import Any, Callable, Optional

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws.errors import HandshakeError, NotOpenError, ProtocolError
from ws.protocol.hixie import NONCE_SIZE, VERSION, Receiver, Sender, check_request, is_hixie
from ws.protocol.http import Headers, Request, RequestParser, ResponseParser, build_head
from ws.protocol.receiver import MessageFlags

# The handshake

KEY1, KEY2, NONCE = '3e6b263  4 17 80', '17  9 G`ZD9   2 2b 7X 3 /r90', b'WjN}|M(6'
ANSWER = bytes.fromhex('6e603965426b397a245238704f745662')


def request(method: str = 'GET', url: str = '/chat?a=1', version: str = '1.1', **headers: Optional[str]) -> Request:
    """A request that is right, but for ``headers``: ``x_own='1'`` adds or replaces one, None takes it away."""
    given = {
        'host': 'example.com:8080',
        'upgrade': 'WebSocket',
        'connection': 'Upgrade',
        'sec-websocket-key1': KEY1,
        'sec-websocket-key2': KEY2,
        **{name.replace('_', '-'): value for name, value in headers.items()},
    }
    return Request(method, url, version, Headers({k: v for k, v in given.items() if v is not None}), [])


def refusal(message: Request) -> tuple[Optional[int], str]:
    with pytest.raises(HandshakeError) as caught:
        check_request(message)
    return caught.value.status, str(caught.value)


class TestIsHixie:
    def test_with_both_keys(self) -> None:
        assert is_hixie(request())

    @pytest.mark.parametrize('missing', ['sec_websocket_key1', 'sec_websocket_key2'])
    def test_with_one_key(self, missing: str) -> None:
        """[132] [133] It is refused as what it was meant to be."""
        assert is_hixie(request(**{missing: None}))

    def test_without(self) -> None:
        assert not is_hixie(request(sec_websocket_key1=None, sec_websocket_key2=None))

    def test_the_key_of_later_versions_counts_for_more(self) -> None:
        assert not is_hixie(request(sec_websocket_key='dGhlIHNhbXBsZSBub25jZQ=='))


class TestAnswer:
    @pytest.mark.parametrize(
        'key1, key2, nonce, answer',
        [
            ('4 @1  46546xW%0l 1 5', '12998 5 Y3 1  .P00', b'^n:ds[4U', b"8jKS'y:G*Co,Wxa-"),
            (KEY1, KEY2, NONCE, ANSWER),
        ],
    )
    def test_vectors(self, key1: str, key2: str, nonce: bytes, answer: bytes) -> None:
        handshake = check_request(request(sec_websocket_key1=key1, sec_websocket_key2=key2))
        assert handshake.answer(nonce) == answer

    @pytest.mark.parametrize('number', ['0 ', '0' * 9000 + '1 ', '4294967295 ', '42 94 9672 95'])
    def test_numbers_of_32_bits(self, number: str) -> None:
        """Leading zeros, too, however many a head can hold."""
        assert len(check_request(request(sec_websocket_key1=number)).answer(NONCE)) == 16

    @pytest.mark.parametrize('size', [0, 7, 9])
    def test_nonce_of_another_size(self, size: int) -> None:
        with pytest.raises(ValueError, match=f'^the nonce must be 8 bytes, not {size}$'):
            check_request(request()).answer(bytes(size))

    def test_behind_the_head_as_read_from_the_wire(self) -> None:
        """[134] [141] The nonce is what comes first behind the head, a frame may come with it."""
        lines = ['Host: localhost', 'Connection: Upgrade', 'Upgrade: WebSocket']
        lines += [f'Sec-WebSocket-Key1: {KEY1}', f'Sec-WebSocket-Key2: {KEY2}']
        parser = RequestParser()
        received = parser.feed(build_head('GET / HTTP/1.1', lines) + NONCE + b'\x00Hello\xff')
        assert received is not None
        assert is_hixie(received)
        assert check_request(received).answer(parser.rest[:NONCE_SIZE]) == ANSWER
        assert events_of(parser.rest[NONCE_SIZE:]) == [('text', 'Hello')]


class TestCheckRequest:
    def test_what_it_says(self) -> None:
        """[137] [138]"""
        handshake = check_request(request(origin='http://o', sec_websocket_protocol='a ,b'))
        assert handshake.version == VERSION == 'hixie-76'
        assert handshake.origin == 'http://o'
        assert handshake.protocol == 'a ,b'

    def test_what_it_does_not_say(self) -> None:
        handshake = check_request(request(sec_websocket_origin='http://o'))
        assert handshake.origin is None
        assert handshake.protocol is None

    @pytest.mark.parametrize('name', ['Sec-WebSocket-Key1', 'Sec-WebSocket-Key2'])
    def test_key_is_there(self, name: str) -> None:
        """[132] [133]"""
        without = request(**{name.lower().replace('-', '_'): None})
        assert refusal(without) == (400, f'Missing {name} header')

    @pytest.mark.parametrize('name', ['Sec-WebSocket-Key1', 'Sec-WebSocket-Key2'])
    @pytest.mark.parametrize(
        'key',
        [
            '',
            ' ',
            'a b',  # no digits
            '² ',
            '1234',  # no spaces
            '1234\t\xa0',
            '3  ',  # not divisible
            '12 345 6 7',
            '4294967296 ',  # more than 32 bits
            '10000000000 ',
            '9' * 9000 + ' ',
        ],
    )
    def test_key_hides_a_number(self, name: str, key: str) -> None:
        wrong = request(**{name.lower().replace('-', '_'): key})
        assert refusal(wrong) == (400, f'Invalid {name} header')

    def test_what_every_websocket_request_has(self) -> None:
        assert refusal(request(upgrade=None))[0] == 426
        assert refusal(request('POST'))[0] == 405
        assert refusal(request(host=None)) == (400, 'Missing Host header')
        assert refusal(request(connection='close')) == (400, 'Invalid Connection header')

    @given(st.dictionaries(st.sampled_from(['sec_websocket_key1', 'sec_websocket_key2']), st.text('0123456789 a²\xff')))
    def test_any_key_is_right_or_refused(self, headers: dict[str, str]) -> None:
        try:
            handshake = check_request(request(**headers))
        except HandshakeError as error:
            assert error.status == 400
        else:
            assert len(handshake.answer(NONCE)) == 16


class TestResponse:
    def test_lines_of_the_original(self) -> None:
        handshake = check_request(request(origin='http://o', sec_websocket_protocol='a ,b'))
        assert handshake.response_lines(False) == [
            'HTTP/1.1 101 Switching Protocols',
            'Upgrade: WebSocket',
            'Connection: Upgrade',
            'Sec-WebSocket-Location: ws://example.com:8080/chat?a=1',
            'Sec-WebSocket-Protocol: a ,b',
            'Sec-WebSocket-Origin: http://o',
        ]

    def test_no_protocol_and_no_origin(self) -> None:
        assert check_request(request()).response_lines(True)[3:] == [
            'Sec-WebSocket-Location: wss://example.com:8080/chat?a=1'
        ]

    @pytest.mark.parametrize(
        'host, proto, location',
        [
            ('outside', None, 'ws://outside/chat?a=1'),
            ('', 'http', 'ws://example.com:8080/chat?a=1'),
            ('outside', 'https', 'wss://outside/chat?a=1'),
            (None, 'HTTPS', 'ws://example.com:8080/chat?a=1'),
            (None, 'https, http', 'ws://example.com:8080/chat?a=1'),
        ],
    )
    def test_behind_a_proxy(self, host: Optional[str], proto: Optional[str], location: str) -> None:
        handshake = check_request(request(x_forwarded_host=host, x_forwarded_proto=proto))
        assert handshake.response_lines(False)[3] == f'Sec-WebSocket-Location: {location}'

    def test_lines_may_be_changed(self) -> None:
        handshake = check_request(request())
        handshake.response_lines(False).append('X: 1')
        assert 'X: 1' not in handshake.response_lines(False)

    @pytest.mark.parametrize('name', ['x_forwarded_host', 'origin', 'sec_websocket_protocol'])
    def test_nothing_can_be_smuggled_in(self, name: str) -> None:
        """No parser lets such a header through; and if one did, no head would be built."""
        lines = check_request(request(**{name: 'a\r\nEvil: 1'})).response_lines(False)
        with pytest.raises(ValueError, match='invalid character in header line'):
            build_head(lines[0], lines[1:])

    @given(
        st.sampled_from(['example.com', 'localhost:8080', '[::1]:80', '']),
        *[st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters='\x7f'), min_size=1)] * 3,
        st.booleans(),
    )
    def test_any_head_comes_back_whole(self, host: str, forwarded: str, origin: str, protocol: str, tls: bool) -> None:
        given = request(host=host, x_forwarded_host=forwarded, origin=origin, sec_websocket_protocol=protocol)
        lines = check_request(given).response_lines(tls)
        response = ResponseParser().feed(build_head(lines[0], lines[1:]))
        assert response is not None
        assert response.statusCode == 101
        assert len(response.headers) == 5
        assert response.headers['sec-websocket-origin'] == origin
        assert response.headers['sec-websocket-protocol'] == protocol
        assert given.path in response.headers['sec-websocket-location']


# Receiving

Event = tuple[Any, ...]
Feed = Callable[[Receiver, bytes], None]

CLOSED = ('close', 1005, '')
WRONG_START = ('error', 'payload must start with 0x00 byte', 1002)
TOO_LARGE = ('error', 'Max payload size exceeded', 1009)


def text_frame(text: str) -> bytes:
    return b'\x00' + text.encode() + b'\xff'


def counted_frame(data: bytes, zeros: int = 0) -> bytes:
    """One frame with its length, made as plainly as can be, behind so many leading zeros."""
    length = len(data)
    digits = [length & 0x7F]
    while length >= 0x80:
        length >>= 7
        digits.insert(0, 0x80 | length & 0x7F)
    return b'\x80' + b'\x80' * zeros + bytes(digits) + data


def whole(receiver: Receiver, data: bytes) -> None:
    receiver.add(data)


def byte_by_byte(receiver: Receiver, data: bytes) -> None:
    for index in range(len(data)):
        receiver.add(data[index : index + 1])


def in_halves(receiver: Receiver, data: bytes) -> None:
    receiver.add(data[: len(data) // 2])
    receiver.add(data[len(data) // 2 :])


@pytest.fixture(params=[whole, byte_by_byte, in_halves], ids=lambda feed: feed.__name__)
def feed(request: pytest.FixtureRequest) -> Feed:
    chosen: Feed = request.param
    return chosen


class Recorder:
    """A Receiver and what it called back: tuples of the callback's name and its arguments but the flags."""

    def __init__(self, **limits: int) -> None:
        self.receiver = Receiver(**limits)
        self.events: list[Event] = []
        self.flags: list[MessageFlags] = []
        self.then: Callable[[], None] = lambda: None  # run inside each callback
        for name in ('text', 'binary', 'ping', 'pong', 'close'):
            setattr(self.receiver, f'on{name}', lambda *arguments, name=name: self._record(name, *arguments))
        self.receiver.onerror = self._record_error

    def _record(self, name: str, *arguments: Any) -> None:
        *values, flags = arguments
        self.flags.append(flags)
        self.events.append((name, *values))
        self.then()

    def _record_error(self, error: ProtocolError, code: int) -> None:
        assert type(error) is ProtocolError
        assert error.closeCode == code
        self.events.append(('error', str(error), code))
        self.then()


def events_of(data: bytes, feed: Feed = whole, **limits: int) -> list[Event]:
    recorder = Recorder(**limits)
    feed(recorder.receiver, data)
    return recorder.events


class TestReceiver:
    def test_one_text(self, feed: Feed) -> None:
        """[159]"""
        assert events_of(text_frame('Hello'), feed) == [('text', 'Hello')]

    def test_two_texts(self, feed: Feed) -> None:
        """[160]"""
        assert events_of(text_frame('Hello') + text_frame('schön 漢😀'), feed) == [
            ('text', 'Hello'),
            ('text', 'schön 漢😀'),
        ]

    def test_empty_text(self, feed: Feed) -> None:
        """[161]"""
        assert events_of(b'\x00\xff', feed) == [('text', '')]

    def test_two_texts_in_six_portions(self) -> None:
        """[162]"""
        recorder = Recorder()
        for portion in (b'\x00Hel', b'lo', b' you', b'\xff\x00Good ', b'mor', b'ning\xff'):
            recorder.receiver.add(portion)
        assert recorder.events == [('text', 'Hello you'), ('text', 'Good morning')]

    def test_two_texts_and_junk(self, feed: Feed) -> None:
        """[163]"""
        data = text_frame('Hello') + text_frame('you') + b'\xffHello\xff' + text_frame('again')
        assert events_of(data, feed) == [('text', 'Hello'), ('text', 'you'), WRONG_START]

    def test_close(self, feed: Feed) -> None:
        """[164] In any portions, and whatever follows."""
        assert events_of(b'\xff\x00', feed) == [CLOSED]
        assert events_of(text_frame('bye') + b'\xff\x00' + text_frame('x') + b'\x01', feed) == [('text', 'bye'), CLOSED]

    def test_frames_with_their_length(self) -> None:
        """[165] Leading zeros in a length, and its bytes in different portions."""
        recorder = Recorder()
        for portion in (b'\x80\x05He', b'llo\x80', b'\x80', b'\x05Hel', b'lo'):
            recorder.receiver.add(portion)
        assert recorder.events == [('text', 'Hello')] * 2

    @pytest.mark.parametrize('size', [0, 1, 127, 128, 16383, 16384, 20000])
    def test_sizes(self, feed: Feed, size: int) -> None:
        data = counted_frame(b'x' * size) + text_frame('x' * size) + counted_frame(b'y' * size, zeros=20)
        assert events_of(data, feed) == [('text', 'x' * size), ('text', 'x' * size), ('text', 'y' * size)]

    def test_a_length_of_two_bytes(self) -> None:
        assert events_of(b'\x80\x81\x00' + b'x' * 128) == [('text', 'x' * 128)]

    def test_a_counted_frame_may_hold_any_byte(self, feed: Feed) -> None:
        assert events_of(counted_frame(b'a\xff\x00b\x80'), feed) == [('text', 'a\ufffd\0b\ufffd')]

    def test_what_is_no_utf8_is_replaced(self, feed: Feed) -> None:
        data = b'\x00a\x80b\xc3\xff' + b'\x00\xed\xa0\x80\xff' + text_frame('\ufeffc')
        assert events_of(data, feed) == [('text', 'a\ufffdb\ufffd'), ('text', '\ufffd' * 3), ('text', '\ufeffc')]

    def test_thousands_of_frames_at_once(self) -> None:
        data = text_frame('x') + counted_frame(b'y')
        assert events_of(data * 5000) == [('text', 'x'), ('text', 'y')] * 5000

    @pytest.mark.parametrize('first', [byte for byte in range(256) if byte not in (0x00, 0x80, 0xFF)])
    def test_first_byte_is_wrong(self, feed: Feed, first: int) -> None:
        assert events_of(text_frame('a') + bytes([first]), feed) == [('text', 'a'), WRONG_START]
        assert events_of(bytes([first]) + text_frame('a'), feed) == [WRONG_START]

    @pytest.mark.parametrize('second', [b'\x01', b'\x7f', b'\x80', b'\xff'])
    def test_second_byte_of_a_close_frame_is_wrong(self, feed: Feed, second: bytes) -> None:
        assert events_of(b'\xff', feed) == []
        assert events_of(b'\xff' + second, feed) == [WRONG_START]

    def test_flags(self) -> None:
        recorder = Recorder()
        recorder.receiver.add(text_frame('schön') + counted_frame(b'a\x80') + b'\xff\x00')
        for flags, buffer in zip(recorder.flags, ['schön'.encode(), b'a\xef\xbf\xbd', None]):
            assert flags.binary is False
            assert flags.masked is False
            assert flags.buffer == buffer

    def test_callbacks_nobody_set(self, feed: Feed) -> None:
        feed(Receiver(), text_frame('a') + b'\xff\x00')
        feed(Receiver(), b'\x01')


class TestLimit:
    def test_payload_of_just_the_limit(self, feed: Feed) -> None:
        assert (
            events_of((text_frame('abcde') + counted_frame(b'fghij')) * 2, feed, max_payload=5)
            == [
                ('text', 'abcde'),
                ('text', 'fghij'),
            ]
            * 2
        )

    @pytest.mark.parametrize('data', [b'\x00abcdef', b'\x80\x06', b'\x80\x81', b'\x80\x80\x81'])
    def test_at_the_first_byte_that_shows_it(self, feed: Feed, data: bytes) -> None:
        assert events_of(data[:-1], feed, max_payload=5) == []
        assert events_of(data, feed, max_payload=5) == [TOO_LARGE]
        assert events_of(data + b'\xff\xff\x00', feed, max_payload=5) == [TOO_LARGE]

    def test_by_default(self) -> None:
        assert events_of(b'\x80\xb2\x80\x80\x00') == []  # 100 MiB
        assert events_of(b'\x80\xb2\x80\x80\x01') == [TOO_LARGE]

    def test_none(self) -> None:
        assert events_of(b'\x80' + b'\xff' * 6 + b'\x7f', max_payload=0) == []
        # More than an address has bits.
        assert events_of(b'\x80' + b'\xff' * 20, max_payload=0) == [TOO_LARGE]


SEQUENCE = text_frame('one') + counted_frame(b'two') + text_frame('') + counted_frame(b'', 3) + b'\x00five\xff\xff\x00'
SEQUENCE_EVENTS = [('text', 'one'), ('text', 'two'), ('text', ''), ('text', ''), ('text', 'five'), CLOSED]


class TestPauseAndCleanup:
    """What the base has in common with RFC 6455's receiver is tested there; here, that these frames keep to it."""

    def test_nothing_is_called_back_while_paused(self, feed: Feed) -> None:
        recorder = Recorder()
        recorder.receiver.pause()
        feed(recorder.receiver, SEQUENCE)
        assert recorder.events == []
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('size', range(1, len(SEQUENCE)))
    def test_paused_in_every_callback(self, size: int) -> None:
        recorder = Recorder()
        recorder.then = recorder.receiver.pause
        for start in range(0, len(SEQUENCE), size):
            recorder.receiver.add(SEQUENCE[start : start + size])
            assert len(recorder.events) <= 1
        for count in range(1, len(SEQUENCE_EVENTS) + 1):
            assert recorder.events == SEQUENCE_EVENTS[:count]
            recorder.receiver.resume()

    def test_added_inside_a_callback(self) -> None:
        recorder = Recorder()
        rest = [SEQUENCE[start : start + 2] for start in range(6, len(SEQUENCE), 2)]

        def then() -> None:
            while rest:
                recorder.receiver.add(rest.pop(0))

        recorder.then = then
        recorder.receiver.add(SEQUENCE[:6])
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('count', range(1, len(SEQUENCE_EVENTS) + 1))
    def test_a_callback_that_raises(self, count: int) -> None:
        recorder = Recorder()

        def then() -> None:
            if len(recorder.events) == count:
                raise ProtocolError("mine, not the peer's", 1000)

        recorder.then = then
        with pytest.raises(ProtocolError, match='mine'):
            recorder.receiver.add(SEQUENCE)
        assert recorder.events == SEQUENCE_EVENTS[:count]
        recorder.receiver.resume()
        assert recorder.events == SEQUENCE_EVENTS

    @pytest.mark.parametrize('start', range(len(SEQUENCE)))
    def test_cleanup_drops_everything(self, start: int) -> None:
        recorder = Recorder()
        references = sys.getrefcount(recorder)
        recorder.receiver.add(SEQUENCE[:start])
        events = list(recorder.events)
        recorder.receiver.cleanup()
        recorder.receiver.add(SEQUENCE[start:])
        recorder.receiver.resume()
        assert recorder.events == events
        assert sys.getrefcount(recorder) < references


class TestMemory:
    def test_idle(self, traced: Callable[[], int]) -> None:
        receivers = [Receiver() for _ in range(1000)]
        for receiver in receivers:
            receiver.add(SEQUENCE[:-2])
        assert traced() < 1000 * 300

    def test_announced_length_is_not_allocated(self, traced: Callable[[], int]) -> None:
        receiver = Receiver()
        receiver.add(b'\x80\xb2\x80\x80\x00x')
        assert traced() < 20000

    def test_a_length_without_end_is_not_kept(self, traced: Callable[[], int]) -> None:
        recorder = Recorder()
        recorder.receiver.add(b'\x80')
        for _ in range(4):
            recorder.receiver.add(b'\x80' * 50000)
        assert traced() < 20000
        recorder.receiver.add(b'\x01x')
        assert recorder.events == [('text', 'x')]

    @pytest.mark.parametrize('start', [b'\x00', b'\x80\x81\x80\x00'])
    def test_tiny_portions(self, traced: Callable[[], int], start: bytes) -> None:
        receiver = Receiver()
        receiver.add(start)
        for _ in range(16000):
            receiver.add(b'x')
        assert traced() < 40000

    def test_a_message_does_not_hold_what_came_with_it(self, traced: Callable[[], int]) -> None:
        kept: list[tuple[str, MessageFlags]] = []
        receiver = Receiver()
        receiver.ontext = lambda text, flags: kept.append((text, flags))
        receiver.add(text_frame('x' * 100) + b'\x00' + b'x' * 50000)
        receiver.cleanup()
        assert len(kept) == 1
        assert traced() < 20000

    @pytest.mark.parametrize('end', [b'\xff\x00', b'\x01'])
    def test_what_follows_the_end_is_let_go_of(self, traced: Callable[[], int], end: bytes) -> None:
        receiver = Receiver()
        receiver.add(end + bytes(50000))
        receiver.add(bytes(50000))
        assert traced() < 20000


@pytest.mark.parametrize('start', [b'\x00', b'\x80', b'\x80\xb2\x80\x80\x00'], ids=['text', 'length', 'counted'])
def test_time_is_linear(start: bytes) -> None:
    """Eight times as many portions take eight times as long, not sixty-four times."""

    def seconds(count: int) -> float:
        receiver = Receiver()
        receiver.add(start)
        began = time.process_time()
        for _ in range(count):
            receiver.add(b'\x80')
        return time.process_time() - began

    assert seconds(160000) < 30 * min(seconds(20000) for _ in range(3))


texts = st.text(st.characters(exclude_categories=['Cs']), max_size=300)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """Valid frames, and what they should be called back as."""
    out = bytearray()
    events: list[Event] = []
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            text = draw(texts) * draw(st.sampled_from([1, 1, 1, 100]))
            out += text_frame(text)
        else:
            data = draw(st.binary(max_size=300)) * draw(st.sampled_from([1, 1, 1, 100]))
            text = data.decode('utf-8', 'replace')
            out += counted_frame(data, draw(st.sampled_from([0, 0, 1, 5])))
        events.append(('text', text))
    if draw(st.booleans()):
        out += b'\xff\x00'
        events.append(CLOSED)
    return bytes(out), events


def portions_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)])]


cuts = st.lists(st.integers(0, 1 << 30), max_size=20)


@given(conversations(), cuts, st.sets(st.integers(0, 8)))
def test_any_portions_of_valid_frames(
    conversation: tuple[bytes, list[Event]], cuts: list[int], pauses: set[int]
) -> None:
    data, events = conversation
    recorder = Recorder()

    def then() -> None:
        if len(recorder.events) in pauses:
            recorder.receiver.pause()

    recorder.then = then
    for portion in portions_of(data, cuts):
        recorder.receiver.add(portion)
    for _ in pauses:
        recorder.receiver.resume()
    assert recorder.events == events


pieces = st.sampled_from(
    [b'\x00', b'\x80', b'\x81', b'\xff', b'\xff\x00', b'\x05Hello', b'\x00Hello\xff', b'\xc3', b'\x01']
)


@given(st.one_of(st.binary(), st.lists(pieces, max_size=10).map(b''.join)), cuts)
@example(b'\x80' * 1000, [])
def test_any_bytes_give_texts_and_at_most_one_end(data: bytes, cuts: list[int]) -> None:
    recorder = Recorder(max_payload=20)
    for portion in portions_of(data, cuts):
        recorder.receiver.add(portion)
    ends = [event for event in recorder.events if event[0] != 'text']
    assert ends == recorder.events[-1:] or not ends
    assert not ends or ends[0] in (CLOSED, WRONG_START, TOO_LARGE)
    # The portions the bytes come in make no difference, for errors too.
    assert events_of(data, max_payload=20) == recorder.events
    assert events_of(data, byte_by_byte, max_payload=20) == recorder.events


# Sending


class Socket:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.callbacks: list[Optional[Callable[..., object]]] = []

    def write(self, data: bytes, callback: Optional[Callable[..., object]] = None) -> None:
        assert type(data) is bytes
        self.written.append(data)
        self.callbacks.append(callback)


class TestSender:
    @pytest.fixture
    def socket(self) -> Socket:
        return Socket()

    @pytest.fixture
    def sender(self, socket: Socket) -> Sender:
        return Sender(socket)

    def test_text(self, socket: Socket, sender: Sender) -> None:
        """[168] [169]"""
        sender.send('schön')
        sender.send('')
        sender.send(None)
        sender.send(1.5)
        assert socket.written == [text_frame('schön'), b'\x00\xff', b'\x00\xff', b'\x001.5\xff']

    def test_bytes_as_text(self, socket: Socket, sender: Sender) -> None:
        """[170]"""
        sender.send('schön'.encode(), binary=False)
        sender.send(bytearray(b'Hello'), binary=False)
        assert socket.written == [text_frame('schön'), text_frame('Hello')]

    def test_text_as_binary(self, socket: Socket, sender: Sender) -> None:
        """[171]"""
        sender.send('Hello world', binary=True)
        assert socket.written == [b'\x80\x0bHello world']

    @pytest.mark.parametrize(
        'data', [b'ab\xff\x00', bytearray(b'ab\xff\x00'), memoryview(b'ab\xff\x00'), array.array('B', b'ab\xff\x00')]
    )
    def test_binary(self, socket: Socket, sender: Sender, data: object) -> None:
        sender.send(data)
        assert socket.written == [b'\x80\x04ab\xff\x00']

    @pytest.mark.parametrize(
        'size, length',
        [
            (0, '00'),
            (127, '7f'),
            (128, '81 00'),
            (16383, 'ff 7f'),
            (16384, '81 80 00'),
            (2097151, 'ff ff 7f'),
            (2097152, '81 80 80 00'),
        ],
    )
    def test_lengths(self, socket: Socket, sender: Sender, size: int, length: str) -> None:
        sender.send(bytes(size))
        assert socket.written == [b'\x80' + bytes.fromhex(length) + bytes(size)]

    def test_pieces(self, socket: Socket, sender: Sender) -> None:
        """[172]"""
        sender.send('foobar', fin=False)
        sender.send('bazbar', fin=False)
        sender.send('end', fin=True)
        assert socket.written == [b'\x00foobar', b'bazbar', b'end\xff']
        sender.send('next')
        assert socket.written[3:] == [b'\x00next\xff']

    def test_binary_pieces_are_text(self, socket: Socket, sender: Sender) -> None:
        sender.send(b'foo', fin=False)
        sender.send(b'bar', binary=True, fin=False)
        sender.send(b'baz', binary=True)
        assert b''.join(socket.written) == b'\x00foobarbaz\xff'
        sender.send(b'next')
        assert socket.written[3:] == [b'\x80\x04next']

    def test_the_byte_that_ends_a_text(self, socket: Socket, sender: Sender) -> None:
        with pytest.raises(ValueError, match='the byte 0xff'):
            sender.send(b'a\xffb', binary=False)
        with pytest.raises(ValueError, match='the byte 0xff'):
            sender.send(b'\xff', fin=False)
        assert socket.written == []
        sender.send('a', fin=False)
        with pytest.raises(ValueError, match='the byte 0xff'):
            sender.send(b'\xff', binary=True)
        sender.send('b')
        assert socket.written == [b'\x00a', b'b\xff']

    def test_wrong_data_writes_nothing(self, socket: Socket, sender: Sender) -> None:
        with pytest.raises(TypeError, match='dict cannot be sent'):
            sender.send({}, fin=False)
        with pytest.raises(ValueError, match='surrogates'):
            sender.send('\ud800')
        assert socket.written == []
        sender.send('a')
        assert socket.written == [b'\x00a\xff']

    def test_mask_counts_for_nothing(self, socket: Socket, sender: Sender) -> None:
        sender.send('a', mask=True)
        sender.send(b'a', mask=True)
        sender.close(1000, 'r', True)
        assert socket.written == [b'\x00a\xff', b'\x80\x01a', b'\xff\x00']

    @pytest.mark.parametrize('name', ['ping', 'pong'])
    def test_no_pings_and_pongs(self, socket: Socket, sender: Sender, name: str) -> None:
        """The callback goes with a write of nothing, which comes when its turn has come."""
        callback: Callable[..., None] = lambda error: None  # noqa: E731
        getattr(sender, name)()
        assert socket.written == []
        getattr(sender, name)(b'x', True, callback)
        assert (socket.written, socket.callbacks) == ([b''], [callback])

    def test_close(self, socket: Socket, sender: Sender) -> None:
        """[173]"""
        sender.close()
        assert socket.written == [b'\xff\x00']

    def test_close_during_a_message(self, socket: Socket, sender: Sender) -> None:
        """[174]"""
        sender.send('Hello', fin=False)
        callback: Callable[..., None] = lambda error: None  # noqa: E731
        sender.close(1001, 'bye', callback=callback)
        assert socket.written == [b'\x00Hello', b'\xff', b'\xff\x00']
        assert socket.callbacks == [None, None, callback]

    @pytest.mark.parametrize('code', [1000, 1005])
    def test_answer_to_a_close_frame(self, socket: Socket, sender: Sender, code: int) -> None:
        sender.send('Hello', fin=False)
        sender.answer_close(code, '', False)
        assert socket.written == [b'\x00Hello', b'\xff', b'\xff\x00']

    def test_nothing_after_close(self, socket: Socket, sender: Sender) -> None:
        sender.close()
        errors: list[Any] = []
        sender.send('a')
        sender.send('a', callback=errors.append)
        sender.send(b'a', callback=errors.append)
        sender.close()
        sender.close(1000, '', False, errors.append)
        with pytest.raises(TypeError):
            sender.send({})
        assert socket.written == [b'\xff\x00']
        assert [type(error) for error in errors] == [NotOpenError] * 3

    def test_callbacks(self, socket: Socket, sender: Sender) -> None:
        calls = [lambda error: None for _ in range(4)]
        sender.send('a', callback=calls[0])
        sender.send(b'a', callback=calls[1])
        sender.send('a', fin=False, callback=calls[2])
        sender.send('', callback=calls[3])
        assert socket.callbacks == calls


messages = st.lists(
    st.one_of(texts, st.binary(max_size=300), st.binary(min_size=1, max_size=1).map(lambda b: b * 20000))
)


@given(messages, st.integers(1, 5))
def test_what_is_sent_is_received(messages: list[Any], pieces: int) -> None:
    socket = Socket()
    sender = Sender(socket)
    expected = []
    for message in messages:
        if isinstance(message, str):
            for index in range(pieces):
                start, stop = (len(message) * at // pieces for at in (index, index + 1))
                sender.send(message[start:stop], fin=index == pieces - 1)
            expected.append(message)
        else:
            sender.send(message)
            expected.append(message.decode('utf-8', 'replace'))
    sender.close()
    events = events_of(b''.join(socket.written))
    assert events == [*(('text', text) for text in expected), CLOSED]
