"""What is fuzzed by itself: all that reads a peer's bytes. Each function takes any bytes, and raises only if something
is wrong: an undocumented exception, or an outcome that depends on the portions the bytes came in."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Optional

from hypothesis import strategies as st

from ws.client.redirects import Redirects, is_redirect
from ws.errors import HandshakeError, ProtocolError
from ws.protocol import hixie
from ws.protocol.body import BodyReader
from ws.protocol.extensions import format_extension, parse_extensions
from ws.protocol.handshake import ClientHandshake, accept_key, check_request
from ws.protocol.http import RequestParser, Response, ResponseParser, build_head
from ws.protocol.permessage_deflate import DeflateOptions, Inflater, accept_offer, check_answer
from ws.protocol.receiver import Receiver
from ws.protocol.url import parse_url

OPTIONS = [DeflateOptions(), DeflateOptions(True, False, 9, 10), DeflateOptions(False, True, False, False)]
MAX_PAYLOAD = 4096
MAX_FRAGMENTS = 8


def portions(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size or 1)]


def request(data: bytes) -> None:
    """The head of a request, and what a server makes of it."""
    outcomes = []
    for size in (len(data), 1):
        parser = RequestParser()
        try:
            parsed = None
            rest = portions(data, size)
            while parsed is None and rest:
                parsed = parser.feed(rest.pop(0))
            outcomes.append(parsed and (parsed.method, parsed.url, parsed.rawHeaders, parser.rest + b''.join(rest)))
        except HandshakeError as error:
            assert error.status in (400, 414, 431, 505)
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1], outcomes
    if parsed is None:
        return
    for options in (None, *OPTIONS):
        try:
            handshake: Any = hixie.check_request(parsed) if hixie.is_hixie(parsed) else check_request(parsed, options)
        except HandshakeError as error:
            assert error.status in (400, 405, 426)
            continue
        if isinstance(handshake, hixie.ServerHandshake):
            lines = handshake.response_lines(False)
        else:
            lines = handshake.response_lines(handshake.protocols[0] if handshake.protocols else None)
        build_head(lines[0], lines[1:])


def response(data: bytes) -> None:
    """The head of a response, and what a client makes of it."""
    for options in (None, *OPTIONS):
        handshake = ClientHandshake(address=parse_url('ws://localhost/'), protocols=['a', 'b'], deflate=options)
        # No fuzzer can guess it.
        answer = data.replace(b'ACCEPT', accept_key(handshake.key).encode())
        outcomes = []
        for size in (len(answer), 1):
            parser = ResponseParser()
            try:
                parsed = None
                rest = portions(answer, size)
                while parsed is None and rest:
                    parsed = parser.feed(rest.pop(0))
                outcomes.append(parsed and (parsed.statusCode, parsed.rawHeaders, parser.rest + b''.join(rest)))
            except HandshakeError:
                # Of several things that are wrong, the portions decide which is seen first.
                outcomes.append('refused')
        assert outcomes[0] == outcomes[1], outcomes
        if parsed is not None:
            try:
                assert handshake.check(parsed) in ('a', 'b', None)
            except HandshakeError:
                refusal(parsed, parser.rest + b''.join(rest))
                continue


def refusal(response: Response, rest: bytes) -> None:
    """The body of a response, and where it leads."""
    bodies = []
    for size in (len(rest), 1):
        body = BodyReader(response)
        for portion in portions(rest, size):
            if not body.done:
                body.feed(portion)
        body.end()
        bodies.append((bytes(body.data), body.complete))
    assert bodies[0] == bodies[1], bodies
    if is_redirect(response):
        redirects = Redirects('ws://localhost/a/b', parse_url('ws://localhost/a/b'), 1)
        try:
            redirects.follow(response)
        except HandshakeError as error:
            assert str(error).startswith('invalid url')


def frames(data: bytes) -> None:
    """Frames, in either role, compressed or not. The first byte tells which."""
    kind = data[:1].rjust(1, b'\0')[0]
    inflater = (None, lambda: Inflater(None, False), lambda: Inflater(9, True))[kind // 3 % 3]
    masked = (True, False, None)[kind % 3]
    outcomes = [_received(portions(data[1:], size), masked, inflater) for size in (len(data), 1, 7)]
    if inflater is None:
        assert outcomes[0] == outcomes[1] == outcomes[2], outcomes
    else:
        # Of several things that are wrong with compressed data, the portions decide which is seen first.
        assert [_without_text(outcome) for outcome in outcomes[1:]] == [_without_text(outcomes[0])] * 2, outcomes


def _received(
    portions: list[bytes], masked: Optional[bool], inflater: Optional[Callable[[], Inflater]]
) -> list[tuple[Any, ...]]:
    events: list[tuple[Any, ...]] = []
    receiver = Receiver(masked, MAX_PAYLOAD, MAX_FRAGMENTS)
    if inflater is not None:
        receiver.inflater = inflater()
    receiver.ontext = receiver.onbinary = lambda message, flags: events.append((message, flags.binary))
    receiver.onping = receiver.onpong = lambda message, flags: events.append((message,))
    receiver.onclose = lambda code, reason, flags: events.append((code, reason))
    receiver.onerror = lambda error, code: events.append((type(error), str(error), code))
    for portion in portions:
        receiver.add(portion)
    for event in events:
        assert len(event[0]) <= MAX_PAYLOAD if isinstance(event[0], (str, bytes)) else event is events[-1]
        assert event[0] is not ProtocolError or event[2] in (1002, 1007, 1008, 1009)
    return events


def _without_text(events: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [event[:1] if event[0] is ProtocolError and event[2] in (1007, 1009) else event for event in events]


def extensions(data: bytes) -> None:
    """The value of a Sec-WebSocket-Extensions header, for a server and for a client."""
    try:
        parsed = parse_extensions(data.decode('latin-1'))
    except ValueError:
        return
    assert parse_extensions(', '.join(map(format_extension, parsed))) == parsed
    for options in OPTIONS:
        try:
            answer = accept_offer(options, parsed)
            if answer is not None:
                assert parse_extensions(format_extension(answer.extension())) == [answer.extension()]
        except ValueError:
            pass
        for extension in parsed:
            try:
                check_answer(options, extension)
            except ValueError:
                continue


#: Name -> the function, and bytes to begin with.
TARGETS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    'request': (
        request,
        [
            b'GET /chat?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'
            b'Sec-WebSocket-Protocol: a, b\r\n'
            b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n\x81\x80abcd',
            b'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: y\r\n'
            b'Sec-WebSocket-Key1: 3e6b263  4 17 80\r\nSec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90\r\n\r\nWjN}|M(6',
        ],
    ),
    'response': (
        response,
        [
            b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            b'Sec-WebSocket-Accept: ACCEPT\r\nSec-WebSocket-Protocol: a\r\n'
            b'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\r\n\x81\x00',
            b'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n',
            b'HTTP/1.1 302 Found\r\nLocation: ../x/./y?z\r\nContent-Length: 5\r\n\r\nhello',
            b'HTTP/1.1 302 Found\r\nLocation: wss://u:p@[::1]:8/x\r\nTransfer-Encoding: chunked\r\n\r\n'
            b'2;x\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n',
        ],
    ),
    'frames': (
        frames,
        [
            b'\x01\x81\x05Hello\x01\x02\xc3\xa4\x89\x01x\x80\x01y\x88\x04\x03\xe8ok',
            b'\x00\x81\x85abcd)\x04\x0f\x08\x0e\x82\xfe\x00\x80abcd' + b'abcd' * 32,
            b'\x05\xc1\x07\xf2H\xcd\xc9\xc9\x07\x00\xc2\x05\xf2\x00\x11\x00\x00\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00',
            b'\x08\xc2\x0d' + zlib.compress(bytes(5000))[2:-4],
        ],
    ),
    'extensions': (
        extensions,
        [
            b'permessage-deflate; client_max_window_bits, permessage-deflate; server_max_window_bits="1\\0"',
            b'foo; a=b; c, permessage-deflate; server_no_context_takeover; client_no_context_takeover',
        ],
    ),
}


@st.composite
def changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the seeds, parts of it replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        stop = start + draw(st.integers(0, 8))
        data = data[:start] + draw(st.binary(max_size=8)) + data[stop:]
    return data
