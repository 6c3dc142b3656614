"""Rooms of several processes, with a real Redis between them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from documents import child
from meeting import Site, said, site
from redises import RedisServer, redis_server, stopped
from support import end, until


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def bus(redis: RedisServer, **options: Any) -> Any:
    from ws.rooms.redis import RedisBus

    return RedisBus(redis.url, **options)


def until_event(here: Site, name: str) -> Any:
    """The arguments of the next `name`."""
    return here.log.until(name)[-1][1:]


def knows(here: Site, room: str, count: int) -> None:
    until(lambda: len(here.rooms.present(room)) == count)


def test_members_of_several_processes_hear_each_other(redis: RedisServer) -> None:
    with site(bus(redis)) as here, site(bus(redis)) as there:
        (ann, ann_hears), (_, ben_hears) = here.member('lobby'), there.member('lobby')
        knows(here, 'lobby', 2)
        here.rooms.to('lobby').send('hello ☃')
        assert said(ann_hears) == 'hello ☃' == said(ben_hears)
        there.rooms.to('lobby').send(b'\0\xff\n')
        assert said(ann_hears) == b'\0\xff\n' == said(ben_hears)
        here.rooms.to('lobby').but(ann).send('not for Ann')
        assert said(ben_hears) == 'not for Ann'
        there.rooms.to('lobby').send('text as bytes', binary=True)
        assert said(ann_hears) == b'text as bytes' == said(ben_hears)
        assert ann_hears.nothing()
        assert ben_hears.nothing(0)


def test_who_is_in_several_rooms_hears_once(redis: RedisServer) -> None:
    with site(bus(redis)) as here, site(bus(redis)) as there:
        _, both_hear = there.member('lobby', 'bar')
        _, ben_hears = there.member('bar')
        here.member('lobby', 'bar')
        knows(here, 'lobby', 2)
        knows(here, 'bar', 3)
        for number in range(50):
            here.rooms.to('lobby', 'nowhere', 'bar').send(f'all {number}')
            here.rooms.to('bar').send(f'bar {number}')
        expected = [f'{what} {number}' for number in range(50) for what in ('all', 'bar')]
        assert [said(both_hear) for _ in range(100)] == expected
        assert [said(ben_hears) for _ in range(100)] == expected
        assert both_hear.nothing()
        assert ben_hears.nothing(0)


def test_compression_is_preserved(redis: RedisServer) -> None:
    deflate = {'threshold': 0}
    with site(bus(redis), perMessageDeflate=deflate) as here, site(bus(redis), perMessageDeflate=deflate) as there:
        _, log = there.member('lobby')
        here.member('lobby')
        knows(here, 'lobby', 2)
        sizes = []
        for compress in True, False:
            before = there.wss.metrics().bytesSent
            here.rooms.to('lobby').send('x' * 1000, compress=compress)
            assert said(log) == 'x' * 1000
            sizes.append(there.wss.metrics().bytesSent - before)
        assert sizes[0] < 100 < 1000 < sizes[1]


def test_only_rooms_with_members_are_subscribed_to(redis: RedisServer) -> None:
    def channels() -> set[bytes]:
        return set(redis.ask('PUBSUB', 'CHANNELS'))

    with site(bus(redis, prefix='test:')) as here:
        ann, _ = here.member('lobby', 'bar')
        ben, _ = here.member('bar')
        until(lambda: channels() == {b'test:processes', b'test:room:lobby', b'test:room:bar'})
        here.rooms.leave(ann, 'bar')
        here.rooms.leave(ann, 'lobby')
        until(lambda: channels() == {b'test:processes', b'test:room:bar'})
        end(ben)
        until(lambda: channels() == {b'test:processes'})
    until(lambda: channels() == set())


def test_one_connection_for_each_direction(redis: RedisServer) -> None:
    def connections() -> int:
        beside_ours: int = redis.ask('INFO', 'clients')['connected_clients'] - 1
        return beside_ours

    with site(bus(redis)) as here:
        until_event(here, 'up')
        for number in range(10):
            here.member(str(number))
        until(lambda: connections() == 2)
    until(lambda: connections() == 0)


def test_the_order_of_each_sender_is_kept_and_nothing_doubled(redis: RedisServer) -> None:
    with site(bus(redis)) as here, site(bus(redis)) as there:
        hears = [one for place in (here, there) for _, one in (place.member('lobby', 'bar'), place.member('lobby'))]
        knows(here, 'lobby', 4)
        knows(there, 'bar', 2)

        def talk(place: Site, name: str) -> None:
            for number in range(200):
                place.rooms.to('lobby', 'bar').send(f'{name} {number}')

        talkers = [(here, 'a'), (there, 'b'), (here, 'c')]
        threads = [threading.Thread(target=talk, args=talker) for talker in talkers]
        for thread in threads:
            thread.start()
        for one in hears:
            texts = [said(one) for _ in range(600)]
            for name in 'abc':
                assert [text for text in texts if text[0] == name] == [f'{name} {number}' for number in range(200)]
        for thread in threads:
            thread.join()
        for one in hears:
            assert one.nothing(0.05)


# -- when Redis is not there -------------------------------------------------------------------------------------------


def test_redis_is_killed_and_comes_again(redis: RedisServer) -> None:
    with site(bus(redis)) as here, site(bus(redis)) as there:
        _, ann_hears = here.member('lobby', info='Ann')
        _, ben_hears = there.member('lobby', info='Ben')
        eve, _ = there.member('lobby', 'bar', info='Eve')
        here.member('bar', info='Tim')
        for place in here, there:
            knows(place, 'lobby', 3)
            knows(place, 'bar', 2)
            until_event(place, 'up')

        redis.kill()
        for place in here, there:
            [error] = until_event(place, 'down')
            assert isinstance(error, Exception)
        here.rooms.to('lobby').send('only here')
        there.rooms.to('lobby').send('only there')
        assert (said(ann_hears), said(ben_hears)) == ('only here', 'only there')
        end(eve)  # nobody can be told
        assert here.rooms.present('lobby') == ['Ann', 'Ben', 'Eve']

        redis.start()
        for place in here, there:
            until_event(place, 'up')
        until(lambda: here.rooms.present('lobby') == ['Ann', 'Ben'])
        until(lambda: there.rooms.present('lobby') == ['Ben', 'Ann'])
        until(lambda: here.rooms.present('bar') == ['Tim'])
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:lobby') == [b'ws:room:lobby', 2])
        for number in range(20):
            here.rooms.to('lobby').send(f'again {number}')
        there.rooms.to('lobby').send('you, too')
        assert [said(ben_hears) for _ in range(21)].count('you, too') == 1
        assert [said(ann_hears) for _ in range(21)].count('you, too') == 1
        assert ann_hears.nothing()
        assert ben_hears.nothing(0)


def test_redis_is_back_before_its_end_was_noticed(redis: RedisServer) -> None:
    """The thread that writes has nothing to write, and would ask Redis in 20 seconds whether it is there."""
    with site(bus(redis, timeout=60_000)) as here, site(bus(redis, timeout=60_000)) as there:
        here.member('lobby')
        _, ben_hears = there.member('lobby')
        for place in here, there:
            knows(place, 'lobby', 2)
            until_event(place, 'up')
        redis.kill()
        redis.start()
        for place in here, there:
            until_event(place, 'up')
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:lobby') == [b'ws:room:lobby', 2])
        here.rooms.to('lobby').send('again')
        assert said(ben_hears) == 'again'


def test_redis_that_answers_nothing_holds_up_nobody(redis: RedisServer) -> None:
    with site(bus(redis, timeout=1000)) as here, site(bus(redis, timeout=1000)) as there:
        _, ann_hears = here.member('lobby')
        _, ben_hears = there.member('lobby')
        knows(here, 'lobby', 2)
        until_event(here, 'up')
        with stopped(redis):
            started = time.monotonic()
            for _ in range(500):
                here.rooms.to('lobby').send('x' * 1000)
                assert said(ann_hears) == 'x' * 1000
            for number in range(100):
                here.member(f'room {number}')
            assert time.monotonic() - started < 10
            until_event(here, 'down')
            here.rooms.to('lobby').send('only here')
            assert said(ann_hears) == 'only here'
        until_event(here, 'up')
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:lobby') == [b'ws:room:lobby', 2])
        here.rooms.to('lobby').send('again')
        heard = []
        while not heard or heard[-1] != 'again':
            heard.append(said(ben_hears))
        assert len(heard) <= 501  # those that Redis had in its hands may have come, each once
        assert 'only here' not in heard
        assert said(ann_hears) == 'again'
        assert ann_hears.nothing()


def test_what_waits_for_redis_is_bounded(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from ws.rooms import redis as module

    monkeypatch.setattr(module, 'MOST', 100_000)
    one = bus(redis, timeout=20_000)
    with site(one) as here:
        until_event(here, 'up')
        with stopped(redis):
            published = [one.publish('somewhere', b'x' * 1000) for _ in range(200)]
            assert 50 < sum(published) < 100
            assert not published[-1]
            assert one._session._links[0]._size <= 100_000
        until(lambda: one.publish('somewhere', b'x' * 1000))


def test_redis_that_is_not_there_yet(tmp_path: Path) -> None:
    with redis_server(tmp_path, started=False) as redis, site(bus(redis)) as here:
        [error] = until_event(here, 'down')
        assert 'refused' in str(error)
        _, log = here.member('lobby')
        here.rooms.to('lobby').send('hello')
        assert said(log) == 'hello'
        redis.start()
        until_event(here, 'up')
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:lobby') == [b'ws:room:lobby', 1])


def test_who_may_not_subscribe_asks_less_and_less_often(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from ws.rooms import redis as module

    monkeypatch.setattr(module, 'random', SimpleNamespace(random=lambda: 1))
    redis.ask('ACL', 'SETUSER', 'default', '-subscribe')
    started = time.monotonic()
    with site(bus(redis)) as here:
        for _ in range(3):
            [error] = until_event(here, 'down')
            assert 'permissions' in str(error)
        assert time.monotonic() - started > 0.2 + 0.4


def test_a_closed_bus_does_not_wait_for_a_redis_that_hangs(redis: RedisServer) -> None:
    with site(bus(redis, timeout=60_000)) as here:
        until_event(here, 'up')
        redis.signal(signal.SIGSTOP)
        started = time.monotonic()
    until(lambda: not any(thread.name.startswith('ws-redis') for thread in threading.enumerate()))
    assert time.monotonic() - started < 10
    redis.signal(signal.SIGCONT)


def test_what_others_write_there_is_no_message(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with site(bus(redis)) as here:
        _, log = here.member('lobby')
        until(lambda: redis.ask('PUBSUB', 'NUMSUB', 'ws:room:lobby') == [b'ws:room:lobby', 1])
        for data in (
            '',
            'x',
            '{}',
            '[' * 100_000,
            '{"kind": "message"}\n',
            'null\n',
            '{"kind": 5, "origin": [], "rooms": 7}\n',
        ):
            redis.ask('PUBLISH', 'ws:room:lobby', data)
            redis.ask('PUBLISH', 'ws:processes', data)
        for kind in 'presence', 'rooms', 'message', 'unheard of':
            for rooms in '[]', '["lobby"]', '[5]':
                redis.ask('PUBLISH', 'ws:room:lobby', f'{{"kind": "{kind}", "origin": "x", "rooms": {rooms}}}\n[')
        assert said(log) == '['  # whoever can publish there can do that
        here.rooms.to('lobby').send('still here')
        assert said(log) == 'still here'
        assert here.rooms.present('lobby') == [None]
        assert 'not a message of ours on the bus' in caplog.text


def test_a_bus_belongs_to_one(redis: RedisServer) -> None:
    from ws.rooms import Rooms

    one = bus(redis)
    with site(one) as here, pytest.raises(RuntimeError, match='a bus can belong to only one Rooms'):
        Rooms(here.wss, bus=one)


# -- who is present ----------------------------------------------------------------------------------------------------


def test_a_server_that_closes_takes_leave(redis: RedisServer) -> None:
    with site(bus(redis), presenceTimeout=60_000) as here:
        here.member('lobby', info='Ann')
        with site(bus(redis)) as there:
            there.member('lobby', info='Ben')
            knows(here, 'lobby', 2)
        knows(here, 'lobby', 1)
        assert here.rooms.present('lobby') == ['Ann']


WORKER = """
import sys
from ws import WebSocket, WebSocketServer
from ws.rooms import Rooms
from ws.rooms.redis import RedisBus

wss = WebSocketServer(port=0, host='127.0.0.1')
rooms = Rooms(wss, bus=RedisBus(sys.argv[1]), presenceTimeout=2000)


@wss.on('connection')
def connection(ws):
    rooms.join(ws, 'lobby', 'of the worker')
    ws.on('message', lambda text: rooms.to('lobby').send(text))


client = WebSocket('ws://127.0.0.1:%d' % wss.address().port)
client.on('open', lambda: client.send('hello'))
client.once('message', lambda text: print(text))
"""


def test_a_worker_is_killed(redis: RedisServer, tmp_path: Path) -> None:
    script = tmp_path / 'worker.py'
    script.write_text(WORKER)
    with site(bus(redis), presenceTimeout=2000) as here:
        _, log = here.member('lobby', info='Ann')
        for _ in range(2):  # killed, and started again
            with child(script, redis.url) as worker:
                assert worker.line() == 'hello'
                knows(here, 'lobby', 2)
                assert here.rooms.present('lobby') == ['Ann', 'of the worker']
                worker.signal_at_once(signal.SIGKILL)
                worker.wait()
            knows(here, 'lobby', 1)
        here.rooms.to('lobby').send('still here')
        heard = [said(log)]
        while heard[-1] != 'still here':
            heard.append(said(log))
        assert heard.count('hello') <= 2


# -- a cluster ---------------------------------------------------------------------------------------------------------


def test_a_cluster_shares_the_channels_out(tmp_path: Path) -> None:
    with redis_server(tmp_path, '--cluster-enabled', 'yes', '--cluster-node-timeout', '2000') as redis:
        redis.ask('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
        until(lambda: b'cluster_state:ok' in redis.ask('CLUSTER', 'INFO'))
        with site(bus(redis)) as here, site(bus(redis)) as there:
            _, ann_hears = here.member('lobby')
            _, ben_hears = there.member('lobby')
            knows(here, 'lobby', 2)
            knows(there, 'lobby', 2)
            assert redis.ask('PUBSUB', 'CHANNELS') == []
            assert set(redis.ask('PUBSUB', 'SHARDCHANNELS')) == {b'ws:room:lobby', b'ws:processes'}
            here.rooms.to('lobby').send('hello')
            assert (said(ann_hears), said(ben_hears)) == ('hello', 'hello')
