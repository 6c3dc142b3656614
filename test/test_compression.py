"""permessage-deflate through the public classes, over real sockets."""

from __future__ import annotations

import io
import socket
import struct
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from support import (
    HANDSHAKE,
    Log,
    Waiter,
    client,
    echo_server,
    end,
    on_loop,
    raw_connection,
    read_all,
    read_head,
    server,
    until,
    url_of,
)

from ws import ReconnectingWebSocket, WebSocket, WebSocketServer

TEXT = 'What is said twice need not be sent twice. ' * 100
MASK_KEY = bytes(4)


def ask(wss: WebSocketServer, offer: bytes) -> Iterator[tuple[socket.socket, bytes]]:
    """A connection whose request offers this, and the head of the answer."""
    with raw_connection(wss) as sock:
        sock.sendall(HANDSHAKE[:-2] % b'/' + b'Sec-WebSocket-Extensions: ' + offer + b'\r\n\r\n')
        yield sock, read_head(sock)


def frame(first: int, payload: bytes) -> bytes:
    """As a client sends it, up to 64 KiB."""
    return bytes([first, 0xFE]) + struct.pack('!H', len(payload)) + MASK_KEY + payload


def deflated(data: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_default_is_off_on_servers() -> None:
    with echo_server() as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws))
        ws = client(wss)
        log = Log(ws, 'open', 'message')
        log.until('open')
        [theirs] = connected.get()
        assert theirs.upgradeReq.headers['sec-websocket-extensions'] == 'permessage-deflate; client_max_window_bits'
        assert ws.extensions == theirs.extensions == ''
        ws.send(TEXT)
        assert log.get()[1] == TEXT
        assert ws.bytesReceived > len(TEXT)
        end(ws)


@pytest.mark.parametrize('option', [True, {}, {'serverMaxWindowBits': 10}])
def test_on(option: Any) -> None:
    with echo_server(perMessageDeflate=option) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws))

        def begin() -> tuple[WebSocket, Log]:
            ws = client(wss)
            assert ws.extensions == ''
            return ws, Log(ws, 'open', 'message')

        ws, log = on_loop(wss, begin)
        log.until('open')
        [theirs] = connected.get()
        assert ws.extensions == theirs.extensions == 'permessage-deflate'
        for message in (TEXT, TEXT.encode(), '', b'', TEXT):
            ws.send(message)
            assert log.get()[1] == message
        assert ws.bytesReceived < len(TEXT) / 10
        assert theirs.bytesReceived < len(TEXT) / 10
        end(ws)


def test_off_on_the_client() -> None:
    with echo_server(perMessageDeflate=True) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws))
        ws = client(wss, perMessageDeflate=False)
        log = Log(ws, 'open', 'message')
        log.until('open')
        [theirs] = connected.get()
        assert 'sec-websocket-extensions' not in theirs.upgradeReq.headers
        assert ws.extensions == theirs.extensions == ''
        ws.send(TEXT)
        assert log.get()[1] == TEXT
        end(ws)


def test_the_compress_option() -> None:
    """Of send and of stream; from the loop thread and others; for files, too."""
    with server(perMessageDeflate=True) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws, Log(ws, 'message')))
        ws = client(wss)
        log = Log(ws, 'open')
        log.until('open')
        theirs, received = connected.get()

        def size_of(send: Any) -> int:
            before = theirs.bytesReceived
            send()
            assert received.get()[1] in (TEXT, TEXT.encode())
            return int(theirs.bytesReceived - before)

        def supply(error: Any, send: Any) -> None:
            if error is None:
                send(TEXT[:10], False)
                send(TEXT[10:], True)

        ways = [
            lambda **options: ws.send(TEXT, **options),
            lambda **options: ws.send(TEXT, options),
            lambda **options: on_loop(ws, lambda: ws.send(TEXT, **options)),
            lambda **options: ws.send(io.BytesIO(TEXT.encode()), **options),
            lambda **options: ws.stream(options, supply),
            lambda **options: ws.stream(supply, **options),
        ]
        for send in ways:
            assert size_of(send) < len(TEXT) / 10
            assert size_of(lambda send=send: send(compress=True)) < len(TEXT) / 10
            assert size_of(lambda send=send: send(compress=False)) > len(TEXT)
        end(ws)


def test_what_waits_behind_a_stream_keeps_its_option() -> None:
    with server(perMessageDeflate=True) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws, Log(ws, 'message')))
        ws = client(wss)
        Log(ws, 'open').until('open')
        theirs, received = connected.get()
        sends = Waiter()
        ws.stream(lambda error, send: sends(send))
        [send] = sends.get()
        ws.send(TEXT, compress=False)
        ws.send(TEXT)
        send('first', True)
        assert [received.get()[1] for _ in range(3)] == ['first', TEXT, TEXT]
        assert len(TEXT) < theirs.bytesReceived < len(TEXT) * 1.5
        end(ws)


def test_threshold() -> None:
    options = {'serverNoContextTakeover': True, 'threshold': 100}
    with echo_server(perMessageDeflate=options) as wss:
        ws = client(wss)
        log = Log(ws, 'open', 'message')
        log.until('open')
        ws.send('x' * 99)
        log.get()
        assert ws.bytesReceived == 101
        ws.send('x' * 100)
        log.get()
        assert ws.bytesReceived < 120
        end(ws)


def test_a_broadcast_to_all_kinds_of_clients() -> None:
    with server(perMessageDeflate=True) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws))
        options: list[Any] = [True, False, {'serverNoContextTakeover': True}, {'serverMaxWindowBits': 9}, False, True]
        clients = []
        for option in options:
            ws = client(wss, perMessageDeflate=option)
            clients.append((ws, Log(ws, 'message')))
            connected.get()
        messages = ['hello', 'hello', TEXT, b'hello', TEXT]

        def broadcast() -> None:
            for message in messages:
                for ws in wss.clients:
                    ws.send(message)

        on_loop(wss, broadcast)
        for _, log in clients:
            assert [log.get()[1] for _ in messages] == messages
        for ws, _ in clients:
            end(ws)


def test_dictionaries() -> None:
    """What both know need not be sent, not even once. Who has another one sees the difference."""
    words = b'{"type": "subscribe", "channel": "quotes", "symbols": ["AAPL", "MSFT", "GOOG"]}'
    both = {'zlibDeflateOptions': {'dictionary': words}, 'zlibInflateOptions': {'dictionary': words}}
    with echo_server(perMessageDeflate=both) as wss:
        ws = client(wss, perMessageDeflate=both)
        log = Log(ws, 'open', 'message', 'error')
        log.until('open')
        ws.send(words.decode())
        assert log.get()[1] == words.decode()
        assert ws.bytesReceived < 12
        end(ws)
        ws = client(wss, perMessageDeflate={'zlibDeflateOptions': {'dictionary': words}})
        log = Log(ws, 'open', 'message', 'error')
        log.until('open')
        ws.send(words.decode())
        event, error, code = log.get()
        assert (event, str(error), code) == ('error', 'invalid compressed data', 1007)
        end(ws)


@pytest.mark.parametrize(
    ('offer', 'answer'),
    [
        (b'foo', None),
        (b'permessage-deflate', b'permessage-deflate'),
        (b'foo; a=1, permessage-deflate; client_max_window_bits', b'permessage-deflate'),
        (b'permessage-deflate; server_max_window_bits=10', b'permessage-deflate; server_max_window_bits=10'),
    ],
)
def test_answers(offer: bytes, answer: Any) -> None:
    with server(perMessageDeflate=True) as wss:
        wss.on('connection', lambda: None)
        for _, head in ask(wss, offer):
            assert head.startswith(b'HTTP/1.1 101 ')
            lines = [line for line in head.split(b'\r\n') if line.startswith(b'Sec-WebSocket-Extensions')]
            assert lines == ([] if answer is None else [b'Sec-WebSocket-Extensions: ' + answer])


@pytest.mark.parametrize(
    'offer', [b'', b'permessage-deflate;', b'permessage-deflate; a', b'permessage-deflate; server_max_window_bits=10']
)
def test_refusals(offer: bytes) -> None:
    with server(perMessageDeflate={'serverMaxWindowBits': 11}) as wss:
        wss.on('connection', lambda: None)
        for sock, head in ask(wss, offer):
            assert head.startswith(b'HTTP/1.1 400 ')
            assert read_all(sock) == b'Invalid or unacceptable Sec-WebSocket-Extensions header'
    with server() as wss:  # and nothing of that matters to who doesn't compress
        wss.on('connection', lambda: None)
        for _, head in ask(wss, offer):
            assert head.startswith(b'HTTP/1.1 101 ')


def test_an_offer_that_the_server_refuses() -> None:
    with server(perMessageDeflate={'serverNoContextTakeover': False}) as wss:
        wss.on('connection', lambda: None)
        log = Log(client(wss, perMessageDeflate={'serverNoContextTakeover': True}))
        event, error = log.get()
        assert (event, str(error)) == ('error', 'unexpected server response (400)')
        assert log.get() == ('close', 1006, '')


def test_an_answer_that_is_none() -> None:
    with server() as wss:
        wss.on('headers', lambda lines: lines.append('Sec-WebSocket-Extensions: permessage-deflate; a'))
        wss.on('connection', lambda: None)
        log = Log(client(wss))
        event, error = log.get()
        assert (event, str(error)) == ('error', 'Invalid Sec-WebSocket-Extensions header')
        assert str(error.__cause__) == 'Unknown parameter "a"'
        assert log.get() == ('close', 1006, '')


@pytest.mark.parametrize(
    ('data', 'code', 'text'),
    [
        (frame(0xC1, b'\xff'), 1007, 'invalid compressed data'),
        (frame(0xC1, deflated(b'\xff')), 1007, 'invalid utf8 sequence'),
        (frame(0xC2, deflated(bytes(1001))), 1009, 'Max payload size exceeded'),
        (frame(0xC9, b''), 1002, 'reserved fields must be empty'),
        (frame(0x42, b'') + frame(0xC0, b''), 1002, 'reserved fields must be empty'),
    ],
)
def test_wrong_messages(data: bytes, code: int, text: str) -> None:
    with server(perMessageDeflate=True, maxPayload=1000) as wss:
        errors = Waiter()
        wss.on('connection', lambda ws: ws.on('error', errors))
        for sock, _ in ask(wss, b'permessage-deflate'):
            sock.sendall(data)
            error, error_code = errors.get()
            assert (str(error), error_code) == (text, code)
            assert read_all(sock) == b'\x88\x02' + code.to_bytes(2, 'big')


def test_compressed_without_an_agreement() -> None:
    with server() as wss:
        errors = Waiter()
        wss.on('connection', lambda ws: ws.on('error', errors))
        for sock, _ in ask(wss, b'permessage-deflate'):
            sock.sendall(frame(0xC1, deflated(b'hello')))
            assert errors.get()[1] == 1002
            assert read_all(sock) == b'\x88\x02\x03\xea'


def test_a_bomb_harms_nobody() -> None:
    with echo_server(perMessageDeflate=True, maxPayload=1 << 20) as wss:
        errors = Waiter()
        wss.on('connection', lambda ws: ws.on('error', errors))
        good = client(wss)
        log = Log(good, 'open', 'message')
        log.until('open')
        for sock, _ in ask(wss, b'permessage-deflate'):
            bomb = frame(0xC2, deflated(bytes(60 << 20)))
            tracemalloc.start()
            sock.sendall(bomb)
            assert errors.get()[1] == 1009
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
            tracemalloc.stop()
        good.send('still there?')
        assert log.get()[1] == 'still there?'
        end(good)


def test_a_closed_connection_holds_no_windows() -> None:
    """Whoever keeps the object, for its attributes say, does not keep 300 KiB with it."""
    with server(perMessageDeflate=True) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws))
        ws = client(wss)
        Log(ws, 'open').until('open')
        [theirs] = connected.get()
        theirs_log = Log(theirs, 'message', 'close')
        tracemalloc.start()
        ws.send(TEXT)
        theirs_log.get()
        open_size = tracemalloc.get_traced_memory()[0]
        assert open_size > 250_000
        end(ws, 'close')
        theirs_log.get()
        until(lambda: tracemalloc.get_traced_memory()[0] < open_size - 250_000)
        tracemalloc.stop()
        assert ws.extensions == theirs.extensions == 'permessage-deflate'


def test_pausing() -> None:
    with server(perMessageDeflate=True) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(ws, Log(ws, 'message')))
        ws = client(wss)
        Log(ws, 'open').until('open')
        theirs, log = connected.get()
        theirs.pause()
        for number in range(100):
            ws.send(f'{number} {TEXT}')
        assert log.nothing()
        theirs.resume()
        assert [log.get()[1] for _ in range(100)] == [f'{number} {TEXT}' for number in range(100)]
        end(ws)


@pytest.mark.parametrize('make', [WebSocket, WebSocketServer])
def test_options_are_checked_where_they_are_given(make: Any) -> None:
    first = 'ws://127.0.0.1:9' if make is WebSocket else {'port': 0, 'host': '127.0.0.1'}
    with pytest.raises(ValueError, match='clientMaxWindowBits must be from 8 to 15, not 20'):
        make(first, perMessageDeflate={'clientMaxWindowBits': 20})
    with pytest.raises(TypeError, match='perMessageDeflate must be a bool or a dict, not int'):
        make(first, perMessageDeflate=1)


def test_unknown_options_are_warned_of_where_they_are_given() -> None:
    with server() as wss, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        ws = WebSocket(url_of(wss), perMessageDeflate={'compressionLevel': 5, 'zlibDeflateOptions': {'chunkSize': 1}})
        with server(perMessageDeflate={'treshold': 5}):
            pass
        ReconnectingWebSocket(url_of(wss), startClosed=True, perMessageDeflate={'treshold': 5})
        end(ws)
    assert [str(warning.message) for warning in caught] == [
        "perMessageDeflate has no option 'compressionLevel': ignored",
        "zlibDeflateOptions has no option 'chunkSize': ignored",
        "perMessageDeflate has no option 'treshold': ignored; did you mean 'threshold'?",
        "perMessageDeflate has no option 'treshold': ignored; did you mean 'threshold'?",
    ]
    files = [warning.filename.rpartition('/')[2] for warning in caught]
    assert files == ['test_compression.py', 'test_compression.py', 'support.py', 'test_compression.py']
