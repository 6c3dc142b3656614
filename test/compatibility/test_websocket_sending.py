"""Items 42 to 70 of the original's suite: send and stream."""

from __future__ import annotations

import array
from pathlib import Path
from typing import Any, Optional

import pytest
from compatibility.peers import connected, in_node, peer, silence
from support import Waiter, end, wait_for

from ws import NotOpenError, WebSocket


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    path = tmp_path / 'textfile'
    path.write_text('Lorem ipsum dolor sit amet, Grüße.\n' * 100, encoding='utf-8')
    return path


# -- send -------------------------------------------------------------------------------------------------------------


def test_042_a_very_long_message_is_echoed() -> None:
    with connected() as (ws, _):
        numbers = array.array('f', (number / 5 for number in range(5 * 1024 * 1024)))
        ws.send(numbers, {'binary': True})
        data, flags = wait_for(ws, 'message')
        assert flags.binary
        assert data == numbers.tobytes()


def test_043_text_is_echoed() -> None:
    with connected() as (ws, _):
        ws.send('hi')
        assert wait_for(ws, 'message')[0] == 'hi'


def test_044_only_the_slice_of_a_view_is_sent() -> None:
    with connected() as (ws, _):
        view = memoryview(array.array('f', (number / 2 for number in range(10))))[2:5]
        ws.send(view, {'binary': True})
        data, flags = wait_for(ws, 'message')
        assert flags.binary
        assert array.array('f', data) == array.array('f', [1, 1.5, 2])


def test_045_bytes_with_the_option_binary_are_echoed() -> None:
    with connected() as (ws, _):
        ws.send(b'foobar', {'binary': True})
        data, flags = wait_for(ws, 'message')
        assert (data, flags.binary) == (b'foobar', True)


def test_046_a_buffer_is_binary_without_the_option() -> None:
    with connected() as (ws, _):
        events = Waiter()
        ws.onmessage = events
        ws.send(bytearray(range(4)))
        (event,) = events.get()
        assert (event.type, event.data) == ('Binary', bytes(range(4)))


def test_047_bytes_are_binary_without_the_option() -> None:
    with connected() as (ws, _):
        events = Waiter()
        ws.onmessage = events
        ws.send(b'foobar')
        (event,) = events.get()
        assert (event.type, event.data) == ('Binary', b'foobar')


def test_048_send_before_connect_raises() -> None:
    with silence() as url:
        ws = WebSocket(url)
        with pytest.raises(NotOpenError, match=r'^not opened$'):
            ws.send('hi')
        end(ws)


def test_049_send_before_connect_tells_its_callback() -> None:
    """It is called on the loop thread (0.4.31: before send() returns)."""
    with silence() as url:
        ws = WebSocket(url)
        sent = Waiter()
        ws.send('hi', sent)
        (error,) = sent.get()
        assert isinstance(error, NotOpenError)
        end(ws)


def test_050_no_data_is_an_empty_text() -> None:
    with connected() as (ws, mini):
        ws.send()
        assert mini.received.get()[:2] == ('text', '')


def test_051_the_callback_of_send() -> None:
    with connected() as (ws, _):
        sent = Waiter()
        ws.send('hi', sent)
        assert sent.get() == (None,)


def test_052_text_without_options() -> None:
    with connected() as (ws, mini):
        ws.send('hi')
        assert mini.received.get()[:2] == ('text', 'hi')


def test_053_masked_text() -> None:
    with connected() as (ws, mini):
        ws.send('hi', {'mask': True})
        kind, data, flags = mini.received.get()
        assert (kind, data, flags.masked) == ('text', 'hi', True)


NUMBERS = array.array('f', (number / 2 for number in range(5)))


def test_054_an_array() -> None:
    with connected() as (ws, mini):
        ws.send(NUMBERS, {'binary': True})
        kind, data, flags = mini.received.get()
        assert (kind, data, flags.binary) == ('binary', NUMBERS.tobytes(), True)


def test_055_a_masked_array() -> None:
    with connected() as (ws, mini):
        ws.send(NUMBERS, {'mask': True, 'binary': True})
        kind, data, flags = mini.received.get()
        assert (kind, data) == ('binary', NUMBERS.tobytes())
        assert flags.binary
        assert flags.masked


def send_file(file: Any, binary: bool) -> tuple[Any, ...]:
    """What the peer gets of the file. Its echo ends the client, and until then the callback must have been called."""
    with peer() as mini:
        ws = WebSocket(mini.url)
        happened = Waiter()
        ws.on('message', lambda: ws.terminate())
        ws.on('close', lambda: happened('close'))
        ws.on('open', lambda: ws.send(file, {'binary': binary}, lambda error: happened('sent', error)))
        assert happened.get() == ('sent', None)
        assert happened.get() == ('close',)
        kind, data, _flags = mini.received.get()
        return kind, data


def test_056_a_file_as_one_binary_message(textfile: Path) -> None:
    assert send_file(open(textfile, 'rb'), True) == ('binary', textfile.read_bytes())  # noqa: SIM115  # ws closes it


def test_057_a_file_as_one_text_message(textfile: Path) -> None:
    text = textfile.read_text(encoding='utf-8')
    assert send_file(open(textfile, encoding='utf-8'), False) == ('text', text)  # noqa: SIM115


def while_a_file_is_sent(ws: WebSocket, textfile: Path, *calls: Any) -> None:
    """Send a file, and do the rest before the first piece of it can have been read."""

    def send() -> None:
        ws.send(open(textfile, 'rb'), {'binary': True})  # noqa: SIM115
        for call in calls:
            call()

    in_node(send)


def test_058_sends_wait_for_a_file(textfile: Path) -> None:
    with connected() as (ws, mini):
        sends = [lambda: ws.send('foobar'), lambda: ws.send('baz')]
        while_a_file_is_sent(ws, textfile, *sends)
        assert mini.received.get()[:2] == ('binary', textfile.read_bytes())
        assert mini.received.get()[:2] == ('text', 'foobar')
        assert mini.received.get()[:2] == ('text', 'baz')


def supply(ws: WebSocket, *pieces: Any, **options: Any) -> None:
    """Stream a message that consists of these pieces."""
    left = list(pieces)

    def callback(error: Optional[Exception], send: Any) -> None:
        assert error is None
        piece = left.pop(0)
        send(piece, not left)

    ws.stream(options, callback)


def test_059_a_stream_waits_for_a_file(textfile: Path) -> None:
    with connected() as (ws, mini):
        while_a_file_is_sent(ws, textfile, lambda: supply(ws, 'foo', 'bar'))
        assert mini.received.get()[:2] == ('binary', textfile.read_bytes())
        assert mini.received.get()[:2] == ('text', 'foobar')


def test_060_a_ping_does_not_wait_for_a_file(textfile: Path) -> None:
    with connected() as (ws, mini):
        while_a_file_is_sent(ws, textfile, lambda: ws.ping('foobar'))
        received = [mini.received.get()[:2], mini.received.get()[:2]]
        assert sorted(received) == [('binary', textfile.read_bytes()), ('ping', b'foobar')]


def test_061_a_pong_does_not_wait_for_a_file(textfile: Path) -> None:
    with connected() as (ws, mini):
        while_a_file_is_sent(ws, textfile, lambda: ws.pong('foobar'))
        received = [mini.received.get()[:2], mini.received.get()[:2]]
        assert sorted(received) == [('binary', textfile.read_bytes()), ('pong', b'foobar')]


def test_062_close_does_not_wait_for_a_file(textfile: Path) -> None:
    """That the file was not sent, ``close`` tells (0.4.31: an ``error``, too)."""
    with connected() as (ws, mini):
        closed = Waiter()
        ws.on('close', closed)
        while_a_file_is_sent(ws, textfile, lambda: ws.close(1000, 'foobar'))
        assert mini.received.get()[:3] == ('close', 1000, 'foobar')
        closed.get()


# -- stream -----------------------------------------------------------------------------------------------------------


def test_063_very_long_binary_data_in_pieces() -> None:
    with connected() as (ws, mini):
        data = bytes(number % 0xFF for number in range(10 * 1024))
        supply(ws, *(data[start : start + 800] for start in range(0, len(data), 800)), binary=True)
        assert mini.received.get()[:2] == ('binary', data)


def test_064_stream_before_connect_tells_its_callback() -> None:
    with silence() as url:
        ws = WebSocket(url)
        supplied = Waiter()
        ws.stream(lambda error: supplied(error))
        (error,) = supplied.get()
        assert isinstance(error, NotOpenError)
        end(ws)


def test_065_stream_without_a_callback_raises() -> None:
    with connected() as (ws, _), pytest.raises(TypeError, match=r'^callback must be provided$'):
        ws.stream()


def stream_and(ws: WebSocket, between: Any) -> None:
    """Stream 'HelloWorld' in two pieces, and call `between` after the first."""
    pieces: list[str] = []

    def callback(error: Optional[Exception], send: Any) -> None:
        assert error is None
        pieces.append('piece')
        if len(pieces) == 1:
            send('Hello')
            between()
        else:
            send('World', True)

    ws.stream(callback)


def test_066_sends_wait_for_a_stream() -> None:
    with connected() as (ws, mini):

        def between() -> None:
            ws.send('foobar')
            ws.send('baz')

        stream_and(ws, between)
        for text in 'HelloWorld', 'foobar', 'baz':
            kind, data, flags = mini.received.get()
            assert (kind, data, flags.binary) == ('text', text, False)


def test_067_streams_wait_for_a_stream() -> None:
    with connected() as (ws, mini):

        def between() -> None:
            supply(ws, 'foo', 'bar')
            ws.send('baz')

        stream_and(ws, between)
        for text in 'HelloWorld', 'foobar', 'baz':
            kind, data, flags = mini.received.get()
            assert (kind, data, flags.binary) == ('text', text, False)
        assert mini.received.nothing(0.2)


def test_068_a_ping_does_not_wait_for_a_stream() -> None:
    with connected() as (ws, mini):
        stream_and(ws, lambda: ws.ping('foobar'))
        assert mini.received.get()[:2] == ('ping', b'foobar')
        assert mini.received.get()[:2] == ('text', 'HelloWorld')


def test_069_a_pong_does_not_wait_for_a_stream() -> None:
    with connected() as (ws, mini):
        stream_and(ws, lambda: ws.pong('foobar'))
        assert mini.received.get()[:2] == ('pong', b'foobar')
        assert mini.received.get()[:2] == ('text', 'HelloWorld')


def test_070_close_does_not_wait_for_a_stream() -> None:
    """The error comes in place of the next piece (0.4.31: after one more piece, which it drops)."""
    with connected() as (ws, mini):
        happened = Waiter()

        def callback(error: Optional[Exception], send: Any) -> None:
            happened('callback', error)
            if error is None:
                send('Hello')
                ws.close(1000, 'foobar')

        ws.on('close', lambda: happened('close'))
        ws.stream(callback)
        assert mini.received.get()[:3] == ('close', 1000, 'foobar')
        assert happened.get() == ('callback', None)
        kind, error = happened.get()
        assert (kind, type(error)) == ('callback', NotOpenError)
        assert happened.get() == ('close',)
