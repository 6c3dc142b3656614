"""Messages that wait for the next connection."""

from __future__ import annotations

import io
from typing import Any

import pytest
from documents import free_port
from reconnecting.clients import FAST, NEVER, collect, reconnecting, stop, url_at
from support import Waiter, echo_server, on_loop, server, until, url_of, wait_for

from ws import CLOSED, OPEN, NotOpenError, ReconnectingWebSocket, WebSocketError


def test_messages_wait_with_their_options_as_they_were() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        told = Waiter()
        data = bytearray(b'first')
        assert not ws.send(data, told)
        data[:] = b'other'
        ws.send('binary', {'binary': True}, told)
        ws.send(b'text', binary=False, callback=told)
        ws.send(1.5)
        ws.send('frag', fin=False)
        ws.send('ment')
        ws.send(io.BytesIO(b'file'))
        assert not on_loop(ws, lambda: ws.send('last'))
        assert ws.bufferedAmount == len('firstbinarytext1.5fragmentlast')
        with server(port=port) as wss:
            seen = collect(wss)
            assert seen.get()[0] == 'connection'
            expected = [b'first', b'binary', 'text', '1.5', 'fragment', b'file', 'last']
            assert [seen.get()[1] for _ in expected] == expected
            assert [told.get() for _ in range(3)] == [(None,)] * 3
            assert ws.bufferedAmount == 0


def test_what_waits_is_sent_before_open_is_told() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        ws.on('open', lambda: ws.send('opened'))
        ws.send('waited')
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(2)] == ['waited', 'opened']


def test_no_more_wait_than_may() -> None:
    with free_port() as port, reconnecting(url_at(port), maxEnqueuedMessages=2) as ws:
        told = Waiter()
        file = io.BytesIO(b'file')
        for data in ('0', '1', '2', file):
            ws.send(data, lambda error, data=data: told(data, error))
        refused = [told.get() for _ in range(2)]
        assert sorted(str(data) for data, _ in refused) == sorted(['2', str(file)])
        assert {str(error) for data, error in refused if data == '2'} == {'maxEnqueuedMessages exceeded'}
        assert all(isinstance(error, WebSocketError) for _, error in refused)
        until(lambda: file.closed)
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(2)] == ['0', '1']
            assert [told.get() for _ in range(2)] == [('0', None), ('1', None)]
            for number in range(5):  # there is a connection
                ws.send(str(number))
            assert [seen.get()[1] for _ in range(5)] == list('01234')


def test_none_wait_if_none_may() -> None:
    with free_port() as port, reconnecting(url_at(port), maxEnqueuedMessages=0) as ws:
        told = Waiter()
        ws.send('lost', told)
        assert isinstance(told.get()[0], WebSocketError)
        with server(port=port) as wss:
            seen = collect(wss)
            wait_for(ws, 'open')
            ws.send('sent')
            seen.get()
            assert seen.get()[1] == 'sent'


@pytest.mark.parametrize('how', ['close', 'terminate'])
def test_what_waits_is_dropped_at_the_end(call: Any, how: str) -> None:
    with free_port() as port, reconnecting(url_at(port), startClosed=True) as ws:
        ws.on('error', lambda: None)
        seen = Waiter()
        file = io.BytesIO(b'file')
        ws.send('x', lambda error: seen(type(error)))
        ws.send(file)
        ws.on('close', lambda this: seen('close') if this.readyState == CLOSED else None)
        ws.reconnect()
        call(ws, getattr(ws, how))
        assert [seen.get()[0] for _ in range(2)] == [NotOpenError, 'close']
        until(lambda: file.closed)
        ws.send('y', lambda error: seen(type(error)))
        assert seen.get() == (NotOpenError,)
        assert ws.bufferedAmount == 0


def test_what_was_sent_before_close_arrives_before_the_end() -> None:
    """Also if it has waited, and is more than the connection takes at once."""
    with free_port() as port:
        ws = ReconnectingWebSocket(url_at(port), {**FAST, 'perMessageDeflate': False})
        large = 'x' * 2_000_000
        for _ in range(10):
            ws.send(large)
        ws.on('open', lambda: (ws.send('last'), ws.close(4000)))
        with server(port=port) as wss:
            closed = Waiter()
            wss.on('connection', lambda peer: peer.on('close', closed))
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(11)] == [large] * 10 + ['last']
            assert closed.get() == (4000, '')
            until(lambda: ws.readyState == CLOSED)


def test_drain_is_told_when_what_waited_has_gone() -> None:
    with free_port() as port, reconnecting(url_at(port), perMessageDeflate=False) as ws:
        drained = Waiter()
        ws.on('drain', lambda: drained(ws.bufferedAmount))
        assert not ws.send('x')
        assert not on_loop(ws, lambda: ws.send('y'))
        assert drained.nothing(0.05)
        with server(port=port) as wss:
            seen = collect(wss)
            assert drained.get() == (0,)
            assert drained.nothing(0.05)
            peer = seen.get()[1]
            peer.pause()
            for _ in range(40):  # more than the system takes
                ws.send('z' * 1_000_000)
            until(lambda: ws._waiting == 0)
            while not drained.nothing(0.05):
                pass
            assert ws.bufferedAmount > 1_000_000
            peer.resume()
            assert drained.get()[0] < 1_000_000


def test_what_waits_goes_no_faster_than_the_peer_reads_and_in_order() -> None:
    count = 200
    with free_port() as port, reconnecting(url_at(port), perMessageDeflate=False, maxEnqueuedMessages=count) as ws:
        for number in range(count):
            ws.send(f'{number:05}' + 'x' * 100_000)
        with server(port=port) as wss:
            wss.on('connection', lambda peer: peer.pause())
            wait_for(ws, 'open')
            [peer] = wss.clients
            for number in range(count, 2 * count):  # behind the others
                ws.send(f'{number:05}')  # the limit is for who has no connection
            connection = ws._connection
            assert connection is not None
            assert connection.bufferedAmount < 1_000_000 < ws.bufferedAmount
            received = Waiter()
            peer.on('message', lambda message: received(int(message[:5])))
            peer.resume()
            assert [received.get()[0] for _ in range(2 * count)] == list(range(2 * count))


def test_fragments_do_not_go_on_over_another_connection() -> None:
    with server() as wss, reconnecting(url_of(wss)) as ws:
        seen = collect(wss)
        peer = seen.get()[1]
        until(lambda: ws.readyState == OPEN)
        told = Waiter()
        ws.send('begun', fin=False, callback=told)
        assert told.get() == (None,)
        peer.terminate()
        seen.get()
        until(lambda: ws.readyState == OPEN)
        ws.send('middle', fin=False, callback=told)
        ws.send('end', told)
        assert [type(told.get()[0]) for _ in range(2)] == [NotOpenError] * 2
        ws.send('whole', told)
        assert told.get() == (None,)
        assert seen.get()[1] == 'whole'


def test_fragments_are_kept_or_dropped_together() -> None:
    with free_port() as port, reconnecting(url_at(port), maxEnqueuedMessages=1) as ws:
        told = Waiter()
        ws.send('a', fin=False)
        ws.send('b')
        ws.send('c', fin=False, callback=told)
        ws.send('d', told)
        assert [str(told.get()[0]) for _ in range(2)] == ['maxEnqueuedMessages exceeded'] * 2
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert seen.get()[1] == 'ab'


def test_messages_in_pieces_wait_too() -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        pieces = iter(['one', 'two', ''])

        def supply(error: Any, send: Any) -> None:
            piece = next(pieces)
            send(piece, not piece)

        ws.send('before')
        ws.stream(supply)
        ws.send('after')
        with pytest.raises(TypeError):
            ws.stream()  # type: ignore[call-arg]
        with server(port=port) as wss:
            seen = collect(wss)
            seen.get()
            assert [seen.get()[1] for _ in range(3)] == ['before', 'onetwo', 'after']
        stop(ws)
        told = Waiter()
        ws.stream(told)
        assert isinstance(told.get()[0], NotOpenError)


def test_what_cannot_be_sent_raises_in_any_state(call: Any) -> None:
    with echo_server() as wss:
        with free_port() as port, reconnecting(url_at(port)) as ws:
            for wrong in (object(), True, '\ud800'):
                with pytest.raises((TypeError, ValueError)):
                    call(ws, lambda wrong=wrong: ws.send(wrong))
        with reconnecting(url_of(wss)) as ws:
            wait_for(ws, 'open')
            for wrong in (object(), True, '\ud800'):
                with pytest.raises((TypeError, ValueError)):
                    call(ws, lambda wrong=wrong: ws.send(wrong))
            ws.send('right')
            assert wait_for(ws, 'message')[0] == 'right'


def test_pings_do_not_wait(call: Any) -> None:
    with free_port() as port, reconnecting(url_at(port)) as ws:
        told = Waiter()
        call(ws, lambda: ws.ping())
        call(ws, lambda: ws.ping('x', told))
        call(ws, lambda: ws.pong('x', {'mask': True}, True, told))
        assert [type(told.get()[0]) for _ in range(2)] == [NotOpenError] * 2
        with pytest.raises(ValueError, match='125'):
            ws.ping('x' * 126)


def test_a_pause_outlasts_connections() -> None:
    by_hand = {'startClosed': True, 'minReconnectionDelay': NEVER, 'maxReconnectionDelay': NEVER}
    with free_port() as port, reconnecting(url_at(port), **by_hand) as ws:
        messages, opened, closed = Waiter(), Waiter(), Waiter()
        for event, waiter in ('message', messages), ('open', opened), ('close', closed):
            ws.on(event, waiter)
        ws.pause()
        until(lambda: ws.isPaused)
        for _ in range(2):
            with server(port=port) as wss:
                wss.on('connection', lambda peer: peer.send('hello'))
                ws.reconnect()
                opened.get()
                assert messages.nothing(0.05)
                for peer in wss.clients:
                    peer.terminate()
                ws.resume()
                assert messages.get()[0] == 'hello'
                closed.get()
                ws.pause()
                until(lambda: ws.isPaused)
        assert ws.isPaused
