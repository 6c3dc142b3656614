"""What a stranger can have parsed takes linear time: a head of 16 KiB costs eight times as much as 2 KiB, not 64."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ws.errors import HandshakeError
from ws.protocol import hixie
from ws.protocol.extensions import parse_extensions
from ws.protocol.handshake import check_request
from ws.protocol.http import MAX_HEAD, MAX_TARGET, RequestParser, ResponseParser
from ws.protocol.permessage_deflate import DeflateOptions

Parse = Callable[[str], object]

REQUEST = 'Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
KEYS = REQUEST + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
SIZE = MAX_HEAD - 256


def parsed(lines: str, target: str = '/') -> Any:
    request = RequestParser().feed(f'GET {target} HTTP/1.1\r\n{lines}\r\n'.encode('latin-1'))
    assert request is not None
    request.connection = None
    return request


def with_header(name: str, look: Callable[[Any], object]) -> Parse:
    return lambda value: look(parsed(f'{name}: {value}\r\n'))


def checked(name: str) -> Parse:
    lines = ''.join(line for line in KEYS.splitlines(keepends=True) if not line.startswith(f'{name}:'))
    return lambda value: check_request(parsed(f'{lines}{name}: {value}\r\n'), DeflateOptions())


PARSERS: dict[str, Parse] = {
    'request': lambda text: RequestParser().feed(text.encode('latin-1')),
    'response': lambda text: ResponseParser().feed(f'HTTP/1.1 {text}\r\n\r\n'.encode('latin-1')),
    'header lines': lambda text: parsed(text + '\r\n'),
    'status line': lambda text: ResponseParser().feed(f'HTTP/1.1 101 {text}\r\n\r\n'.encode('latin-1')),
    'target': lambda text: check_request(parsed(KEYS, '/' + text[: MAX_TARGET - 1])),
    'absolute target': lambda text: check_request(parsed(KEYS, 'http://' + text[: MAX_TARGET - 7])),
    'path': lambda text: parsed(KEYS, '/' + text[: MAX_TARGET - 1]).path,
    'query of an environ': lambda text: parsed(KEYS, '/?' + text[: MAX_TARGET - 2]).environ,
    'cookies': with_header('Cookie', lambda request: request.cookies),
    'environ': with_header('X', lambda request: request.environ),
    'extensions': parse_extensions,
    **{
        name: checked(name)
        for name in (
            'Host', 'Upgrade', 'Connection', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'Sec-WebSocket-Protocol',
            'Sec-WebSocket-Extensions', 'Content-Length', 'Transfer-Encoding',
        )
    },
    'Hixie-76': lambda text: hixie.check_request(
        parsed(f'{REQUEST}Sec-WebSocket-Key1: {text}\r\nSec-WebSocket-Key2: 1 2\r\n')
    ),
}  # fmt: skip


def seconds(parse: Parse, text: str) -> float:
    """Of the processor, at least: whatever else runs only adds to it."""
    taken = []
    for _ in range(3):
        started = time.thread_time()
        with contextlib.suppress(HandshakeError, ValueError, AssertionError):
            parse(text)
        taken.append(time.thread_time() - started)
    return min(taken)


# What means something to one parser or another.
pieces = st.text(st.sampled_from('\\",;= \t:/%?#@[]-+()01a7Zé'), max_size=4)


@pytest.mark.parametrize('name', PARSERS)
@given(pieces, pieces.filter(bool), pieces)
@example('a="', '\\', '"')
@example('a="', '\\1', '"')
@example('a; b="', '\\a', '')
@example('', ' ', 'x')
@example('', 'a, ', '')
@example('', 'a;', '=')
@example('', '0', '')
@settings(max_examples=40)
def test_linear(name: str, start: str, repeated: str, end: str) -> None:
    parse = PARSERS[name]

    def text(size: int) -> str:
        return (start + repeated * size)[: size - len(end)] + end

    def is_linear() -> bool:
        return seconds(parse, text(SIZE)) < 24 * seconds(parse, text(SIZE // 8)) + 0.005

    assert any(is_linear() for _ in range(5))  # a collection of garbage, say, may make one of them seem slow
