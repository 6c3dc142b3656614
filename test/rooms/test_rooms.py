"""Rooms in one process."""

from __future__ import annotations

import socket
import threading
import zlib
from typing import Any

import pytest
from meeting import said, site
from support import Log, Waiter, end, on_loop, open_pair, raw_client, raw_connection, read_head, server, until, wait_for

from ws import WebSocket, WebSocketServer
from ws.protocol.sender import LARGE
from ws.rooms import Rooms

#: Of the draft.
HIXIE_REQUEST = (
    b'GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nOrigin: http://page\r\n'
    b'Sec-WebSocket-Key1: 3e6b263  4 17 80\r\nSec-WebSocket-Key2: 17  9 G`ZD9   2 2b 7X 3 /r90\r\n\r\nWjN}|M(6'
)
HIXIE_ANSWER = bytes.fromhex('6e603965426b397a245238704f745662')


def test_members_hear_what_is_sent_to_their_room() -> None:
    with site() as here:
        (_, ann_hears), (_, ben_hears), (eve, eve_hears) = (
            here.member('lobby'), here.member('lobby', 'bar'), here.member('bar'),
        )  # fmt: skip
        here.rooms.to('lobby').send('hello')
        here.rooms.to('bar').send('cheers')
        assert said(ann_hears) == 'hello'
        assert [said(ben_hears), said(ben_hears)] == ['hello', 'cheers']
        assert said(eve_hears) == 'cheers'
        end(eve)
        assert eve_hears.get()[0] == 'close'
        assert ann_hears.nothing()


def test_who_is_in_several_rooms_hears_once() -> None:
    with site() as here:
        _, ann_hears = here.member('lobby', 'bar')
        _, ben_hears = here.member('bar')
        here.rooms.to('lobby', 'bar', 'bar', 'nowhere').send('all of you')
        here.rooms.to('lobby', 'bar').send('last')
        for hears in ann_hears, ben_hears:
            assert [said(hears), said(hears)] == ['all of you', 'last']


def test_all_but_some() -> None:
    with site() as here:
        ann, ann_hears = here.member('lobby')
        ben, ben_hears = here.member('lobby')
        _, eve_hears = here.member('lobby')
        lobby = here.rooms.to('lobby')
        lobby.but(ann).send('not for Ann')
        lobby.but(ann).but(ben).send('for Eve')
        lobby.but(ann, ben).send('for Eve, too')
        lobby.send('for all')
        assert said(ann_hears) == 'for all'
        assert [said(ben_hears), said(ben_hears)] == ['not for Ann', 'for all']
        assert [said(eve_hears) for _ in range(4)] == ['not for Ann', 'for Eve', 'for Eve, too', 'for all']


def test_who_is_where() -> None:
    with site() as here:
        rooms = here.rooms
        ann, _ = here.member('lobby', 'bar')
        ben, _ = here.member('bar', 'lobby')
        assert rooms.members('lobby') == rooms.members('bar') == [ann, ben]
        assert (rooms.of(ann), rooms.of(ben)) == (['lobby', 'bar'], ['bar', 'lobby'])
        rooms.join(ann, 'lobby')
        assert rooms.members('lobby') == [ann, ben]
        rooms.leave(ann, 'lobby')
        rooms.leave(ann, 'lobby')
        rooms.leave(ann, 'nowhere')
        assert (rooms.members('lobby'), rooms.of(ann), rooms.members('nowhere')) == ([ben], ['bar'], [])
        rooms.join(ann, 'lobby')
        assert (rooms.members('lobby'), rooms.of(ann)) == ([ben, ann], ['bar', 'lobby'])


def test_a_connection_that_ends_leaves() -> None:
    with site() as here:
        ann, _ = here.member('lobby', 'bar')
        ben, _ = here.member('lobby')
        seen = Waiter()
        ann.on('close', lambda: seen(here.rooms.of(ann), here.rooms.members('lobby')))
        ann.terminate()
        assert seen.get() == ([], [ben])
        here.rooms.join(ann, 'lobby')  # too late
        assert (here.rooms.members('lobby'), here.rooms.of(ann), here.rooms.members('bar')) == ([ben], [], [])
        assert not here.rooms._members.knows(ann)


def test_a_connection_that_ends_while_it_joins_does_not_stay() -> None:
    with site() as here:
        for _ in range(20):
            ws, log = here.connect()
            joining = threading.Thread(target=lambda ws=ws: [here.rooms.join(ws, str(n)) for n in range(200)])
            joining.start()
            ws.terminate()
            joining.join()
            log.until('close')
            until(lambda ws=ws: ws.readyState == ws.CLOSED)
            until(lambda: not here.rooms.rooms_here())


def test_the_server_counts_its_connections_all_the_same() -> None:
    """Rooms and the server are both told of an end."""
    with site() as here:
        ann, _ = here.member('lobby')
        assert here.wss.metrics().connections == 1
        end(ann)
        assert here.wss.metrics().connections == 0
        assert list(here.wss.clients) == []


@pytest.mark.parametrize(
    ('data', 'options', 'heard', 'binary'),
    [
        ('text ☃', {}, 'text ☃', False),
        (b'\0\xff', {}, b'\0\xff', True),
        (bytearray(b'abc'), {}, b'abc', True),
        (1.5, {}, '1.5', False),
        (None, {}, '', False),
        ('text', {'binary': True}, b'text', True),
        (b'text', {'binary': False}, 'text', False),
        ('x' * LARGE, {}, 'x' * LARGE, False),
        (b'x' * 200_000, {}, b'x' * 200_000, True),
        ('', {'compress': False}, '', False),
    ],
)
@pytest.mark.parametrize('deflate', [False, True])
def test_data_and_options(data: Any, options: Any, heard: Any, binary: bool, deflate: bool) -> None:
    with site(perMessageDeflate=deflate) as here:
        _, log = here.member('lobby')
        for send in (
            lambda: here.rooms.to('lobby').send(data, options or None),
            lambda: here.rooms.to('lobby').send(data, **options),
        ):
            send()
            event, message, flags = log.get()
            assert (event, message, flags.binary) == ('message', heard, binary)
            on_loop(here.wss, send)
            event, message, flags = log.get()
            assert (event, message, flags.binary) == ('message', heard, binary)


def test_the_flags_of_a_message_are_options() -> None:
    with site() as here:
        ann, log = here.member('lobby')
        ann.on('message', lambda data, flags: here.rooms.to('lobby').send(data, flags))
        client = WebSocket(f'ws://127.0.0.1:{here.wss.address().port}')
        wait_for(client, 'open')
        other, _ = here.connected.get()
        other.on('message', lambda data, flags: here.rooms.to('lobby').send(data, flags))
        client.send(b'binary')
        client.send('text')
        assert [log.get()[2].binary, log.get()[2].binary] == [True, False]
        end(client)


def test_compress_is_preserved() -> None:
    with site(perMessageDeflate={'threshold': 0}) as here:
        _, log = here.member('lobby')
        sent = len(zlib.compress(b'x' * 1000))
        before = here.wss.metrics().bytesSent
        here.rooms.to('lobby').send('x' * 1000)
        said(log)
        small = here.wss.metrics().bytesSent - before
        here.rooms.to('lobby').send('x' * 1000, {'compress': False})
        said(log)
        assert small < sent + 50
        assert here.wss.metrics().bytesSent - before - small > 1000


def test_what_is_not_sent() -> None:
    with site() as here:
        _, log = here.member('lobby')
        with pytest.raises(TypeError, match='cannot be sent'):
            here.rooms.to('lobby').send(object())  # type: ignore[arg-type]
        with pytest.warns(UserWarning, match=r"send\(\) has no option 'fin'") as caught:
            here.rooms.to('lobby').send('x', {'fin': False})  # type: ignore[typeddict-unknown-key]
        assert [warning.filename for warning in caught] == [__file__]
        assert said(log) == 'x'


def test_a_buffer_may_change_once_it_was_sent() -> None:
    with site() as here:
        _, log = here.member('lobby')
        data = bytearray(b'before')
        here.rooms.to('lobby').send(data)
        data[:] = b'after!'
        assert said(log) == b'before'


def test_one_frame_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    with site() as here:
        logs = [here.member('lobby')[1] for _ in range(5)]
        from ws.protocol import sender

        frame = sender.frame
        monkeypatch.setattr(sender, 'frame', lambda *arguments: built.append(arguments) or frame(*arguments))
        here.rooms.to('lobby').send('once')
        for log in logs:
            assert said(log) == 'once'
        assert len(built) == 1
        assert here.wss.metrics().messagesSent == 5


def test_the_order_of_each_thread_is_kept() -> None:
    with site() as here:
        ann, log = here.member('lobby')

        def talk(name: str) -> None:
            for number in range(0, 300, 2):
                here.rooms.to('lobby').send(f'{name} {number}')
                ann.send(f'{name} {number + 1}')

        threads = [threading.Thread(target=talk, args=(name,)) for name in 'abc']
        for thread in threads:
            thread.start()
        heard = [said(log) for _ in range(900)]
        for thread in threads:
            thread.join()
        for name in 'abc':
            assert [text for text in heard if text[0] == name] == [f'{name} {number}' for number in range(300)]


def test_who_sends_a_message_decides_who_hears_it() -> None:
    """Those who are members at that moment, whatever the loop thread is busy with."""
    with site() as here:
        (ann, ann_hears), (ben, ben_hears) = here.member('lobby'), here.member()
        busy, go_on = threading.Event(), threading.Event()
        here.wss._loop.call(lambda: (busy.set(), go_on.wait(10)))
        busy.wait(10)
        here.rooms.to('lobby').send('first')
        here.rooms.leave(ann, 'lobby')
        here.rooms.join(ben, 'lobby')
        here.rooms.to('lobby').send('second')
        go_on.set()
        assert (said(ann_hears), said(ben_hears)) == ('first', 'second')
        assert ann_hears.nothing()
        assert ben_hears.nothing(0)


def test_a_message_waits_behind_one_in_pieces() -> None:
    with site() as here:
        ann, log = here.member('lobby')
        pieces = Waiter()
        ann.stream(lambda error, send: pieces(error, send))
        _, send = pieces.get()
        here.rooms.to('lobby').send('behind')
        send('in ', False)
        _, send = pieces.get()
        send('pieces', True)
        assert [said(log), said(log)] == ['in pieces', 'behind']


@pytest.mark.parametrize('size', [1000, 100_000])
def test_a_member_that_does_not_read_ends(size: int) -> None:
    with site(maxBufferedAmount=300_000) as here, raw_client(here.wss) as mute:
        lazy, _ = here.connected.get()
        here.rooms.join(lazy, 'lobby')
        ann, log = here.member('lobby')
        closed = Waiter()
        lazy.on('error', lambda error: closed(str(error))).on('close', closed)
        sent = 0
        most = 0
        while lazy.readyState == lazy.OPEN:
            sent += 1
            here.rooms.to('lobby').send('x' * size)
            most = max(most, lazy.bufferedAmount)
            assert said(log) == 'x' * size  # who reads is not held up
            assert sent * size < 50_000_000
        assert most <= 300_000 + size + 20
        assert closed.get() == ('maxBufferedAmount exceeded',)
        assert closed.get()[0] == 1006
        assert here.rooms.members('lobby') == [ann]
        assert mute.fileno() >= 0


def test_one_message_may_be_larger() -> None:
    """What was there before counts."""
    with site(maxBufferedAmount=1000) as here:
        _, log = here.member('lobby')
        for _ in range(3):
            here.rooms.to('lobby').send(b'x' * 5_000_000)
            assert len(said(log)) == 5_000_000


def test_many_messages_in_one_turn_are_not_waiting() -> None:
    with site(maxBufferedAmount=1000) as here:
        _, log = here.member('lobby')
        on_loop(here.wss, lambda: [here.rooms.to('lobby').send('x' * 100) for _ in range(200)])
        assert [said(log) for _ in range(200)] == ['x' * 100] * 200


def test_a_client_can_be_a_member() -> None:
    """What it sends is masked, and what is sent while it connects goes nowhere."""
    with site() as here, open_pair() as (client, other_end):
        log = Log(other_end, 'message')
        connecting = WebSocket(f'ws://127.0.0.1:{here.wss.address().port}')
        here.rooms.join(connecting, 'lobby')
        here.rooms.join(client, 'lobby')
        here.rooms.to('lobby').send('hello')
        assert said(log) == 'hello'
        end(connecting)


def test_a_client_of_a_draft_before_the_standard() -> None:
    """Hixie-76 can't carry everything: who can't be sent something is told, and not who sends."""
    with site() as here, raw_connection(here.wss) as sock:
        sock.sendall(HIXIE_REQUEST)
        read_head(sock)
        old, _ = here.connected.get()
        errors = Waiter()
        old.on('error', errors)
        here.rooms.join(old, 'lobby')
        here.rooms.to('lobby').send(b'\xff', binary=False)
        assert 'Hixie-76' in str(errors.get()[0])
        _, log = here.member('lobby')
        here.rooms.to('lobby').send('hello')
        assert said(log) == 'hello'
        assert sock.recv(16, socket.MSG_WAITALL) == HIXIE_ANSWER
        assert sock.recv(7, socket.MSG_WAITALL) == b'\0hello\xff'


# -- who is present ----------------------------------------------------------------------------------------------------


def test_who_is_present() -> None:
    with site() as here:
        ann, _ = here.member('lobby', info={'name': 'Ann'})
        assert here.log.get() == ('presence', 'lobby', [{'name': 'Ann'}], [])
        here.member('lobby')
        assert here.log.get() == ('presence', 'lobby', [None], [])
        assert here.rooms.present('lobby') == [{'name': 'Ann'}, None]
        assert here.rooms.present('bar') == []
        here.rooms.join(ann, 'lobby', {'name': 'Ann'})
        here.rooms.join(ann, 'lobby', {'name': 'Anna'})
        assert here.log.get() == ('presence', 'lobby', [{'name': 'Anna'}], [{'name': 'Ann'}])
        here.rooms.leave(ann, 'lobby')
        assert here.log.get() == ('presence', 'lobby', [], [{'name': 'Anna'}])
        assert here.rooms.present('lobby') == [None]


def test_what_is_known_does_not_change_with_the_object_it_was_made_of() -> None:
    with site() as here:
        info = {'names': ['Ann']}
        here.member('lobby', info=info)
        info['names'].append('Ben')
        assert here.rooms.present('lobby') == [{'names': ['Ann']}]


def test_presence_is_told_after_the_listener_that_changes_it() -> None:
    with server() as wss:
        rooms = Rooms(wss)
        events = Waiter()
        rooms.on('presence', lambda room, came: events('came', came))

        @wss.on('connection')
        def connection(ws: WebSocket) -> None:
            rooms.join(ws, 'lobby', 'Ann')
            events('joined')

        client = WebSocket(f'ws://127.0.0.1:{wss.address().port}')
        assert [events.get(), events.get()] == [('joined',), ('came', ['Ann'])]
        end(client)
        assert events.get() == ('came', [])


def test_listeners_are_called_on_the_pool_of_the_server() -> None:
    with site(executor=2) as here:
        threads = Waiter()
        here.rooms.on('presence', lambda: threads(threading.current_thread().name))
        here.member('lobby')
        [name] = threads.get()
        assert name not in ('ws', 'MainThread')


# -- arguments, and the end --------------------------------------------------------------------------------------------


def test_arguments() -> None:
    with pytest.raises(TypeError, match='wss must be a WebSocketServer, not int'):
        Rooms(8080)  # type: ignore[arg-type]
    with site() as here:
        ann, _ = here.connect()
        with pytest.raises(TypeError, match='the name of a room must be a str, not int'):
            here.rooms.join(ann, 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match='not JSON serializable'):
            here.rooms.join(ann, 'lobby', object())
        assert here.rooms.of(ann) == []
        with pytest.warns(UserWarning, match="Rooms has no option 'busses'"):
            Rooms(here.wss, busses=5)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match='maxBufferedAmount'):
            Rooms(here.wss, maxBufferedAmount='1')  # type: ignore[arg-type]
        with pytest.raises(TypeError, match='presenceTimeout'):
            Rooms(here.wss, presenceTimeout='1')  # type: ignore[arg-type]


def test_rooms_of_a_server_that_has_ended() -> None:
    wss = WebSocketServer(port=0, host='127.0.0.1')
    closed = Waiter()
    wss.close(lambda *_: closed())
    closed.get()
    rooms = Rooms(wss)
    until(lambda: rooms._ended)
    rooms.to('lobby').send('nobody')
