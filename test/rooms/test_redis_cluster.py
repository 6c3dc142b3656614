"""Rooms of several processes, with a cluster of real Redis servers between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meeting import Site, said, site
from redises import RedisCluster, RedisServer, redis_cluster, redis_server
from support import until

ROOMS = [f'room {number}' for number in range(30)]


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with redis_cluster(tmp_path_factory.mktemp('cluster')) as cluster:
        yield cluster


def bus(node: RedisServer) -> Any:
    from ws.rooms.redis import RedisBus

    return RedisBus(node.url, timeout=2000)


def channel(room: str) -> str:
    return f'ws:room:{room}'


def channels(node: RedisServer) -> set[str]:
    return {name.decode() for name in node.ask('PUBSUB', 'SHARDCHANNELS')}


def connections(node: RedisServer) -> int:
    beside_ours: int = node.ask('INFO', 'clients')['connected_clients'] - 1
    return beside_ours


def until_subscribed(node: RedisServer, room: str, number: int = 2) -> None:
    name = channel(room)
    until(lambda: node.ask('PUBSUB', 'SHARDNUMSUB', name) == [name.encode(), number])


def knows(here: Site, room: str, count: int) -> None:
    until(lambda: len(here.rooms.present(room)) == count)


def test_each_channel_is_on_its_node(cluster: RedisCluster) -> None:
    expected: dict[RedisServer, set[str]] = {node: set() for node in cluster.nodes}
    for name in [*map(channel, ROOMS), 'ws:processes']:
        expected[cluster.owner_of(name)].add(name)
    assert all(expected.values())
    with site(bus(cluster.nodes[0])) as here, site(bus(cluster.nodes[1])) as there:
        _, ann_hears = here.member(*ROOMS)
        _, ben_hears = there.member(*ROOMS)
        for room in ROOMS:
            knows(here, room, 2)
            knows(there, room, 2)
        for node in cluster.nodes:
            assert channels(node) == expected[node]
            until(lambda node=node: connections(node) == 2 * 2)
        for room in ROOMS:
            here.rooms.to(room).send(room)
        assert {said(ann_hears) for _ in ROOMS} == {said(ben_hears) for _ in ROOMS} == set(ROOMS)
        assert ben_hears.nothing()
    for node in cluster.nodes:
        until(lambda node=node: not channels(node))


def test_order_is_kept_and_nothing_doubled(cluster: RedisCluster) -> None:
    with site(bus(cluster.nodes[0])) as here, site(bus(cluster.nodes[1])) as there:
        _, all_hear = there.member(*ROOMS)
        here.member(*ROOMS)
        for room in ROOMS:
            knows(here, room, 2)
        for number in range(100):
            here.rooms.to(*ROOMS).send(f'all {number}')
            here.rooms.to(ROOMS[0]).send(f'one {number}')
        heard = [said(all_hear) for _ in range(200)]
        for sender in 'all', 'one':
            assert [text for text in heard if text.startswith(sender)] == [f'{sender} {n}' for n in range(100)]
        assert all_hear.nothing()


def test_a_slot_moves(cluster: RedisCluster) -> None:
    room, downs = ROOMS[0], []
    with site(bus(cluster.nodes[0])) as here, site(bus(cluster.nodes[1])) as there:
        for place in here, there:
            place.rooms.on('down', downs.append)
        _, ann_hears = here.member(room)
        _, ben_hears = there.member(room)
        knows(here, room, 2)
        knows(there, room, 2)
        old = cluster.owner_of(channel(room))
        new = next(node for node in cluster.nodes if node is not old)
        cluster.move(channel(room), new)
        until_subscribed(new, room)
        assert channel(room) not in channels(old)
        until(lambda: hears(here, room, ben_hears))
        until(lambda: hears(there, room, ann_hears))
        assert len(here.rooms.present(room)) == 2
        assert not downs


def hears(here: Site, room: str, log: Any) -> bool:
    """Whether a message to `room` arrives. It may be lost while the connections of a process change."""
    here.rooms.to(room).send('again')
    return not log.nothing()


def test_who_publishes_alone_finds_a_slot_that_has_moved(cluster: RedisCluster) -> None:
    """Redis tells who has subscribed; who has not, learns it from an error."""
    with site(bus(cluster.nodes[0])) as here, site(bus(cluster.nodes[1])) as there:
        _, ben_hears = there.member('nowhere else')
        old = cluster.owner_of(channel('nowhere else'))
        until_subscribed(old, 'nowhere else', 1)
        until(lambda: hears(here, 'nowhere else', ben_hears))
        new = next(node for node in cluster.nodes if node is not old)
        cluster.move(channel('nowhere else'), new)
        until_subscribed(new, 'nowhere else', 1)
        until(lambda: hears(here, 'nowhere else', ben_hears))


def test_who_leaves_and_comes_again_keeps_the_connection(cluster: RedisCluster) -> None:
    with site(bus(cluster.nodes[0])) as here, site(bus(cluster.nodes[1])) as there:
        downs: list[Any] = []
        there.rooms.on('down', downs.append)
        here.member('lobby')
        ben, ben_hears = there.member('lobby')
        until_subscribed(cluster.owner_of(channel('lobby')), 'lobby')
        for _ in range(20):
            there.rooms.leave(ben, 'lobby')
            there.rooms.join(ben, 'lobby')
        until(lambda: hears(here, 'lobby', ben_hears))
        assert not downs


def test_a_node_is_killed_and_its_replica_takes_over(cluster: RedisCluster) -> None:
    """The one whose address the bus was given."""
    dead, room = cluster.nodes[0], next(room for room in ROOMS if cluster.owner_of(channel(room)) is cluster.nodes[0])
    with site(bus(dead)) as here, site(bus(cluster.nodes[1])) as there:
        _, ann_hears = here.member(room, info='Ann')
        _, ben_hears = there.member(room, info='Ben')
        knows(here, room, 2)
        here.log.until('up')
        dead.kill()
        here.log.until('down')
        here.rooms.to(room).send('only here')
        here.rooms.join(*here.wss.clients, 'another room')
        assert said(ann_hears) == 'only here'
        cluster.replica.ask('CLUSTER', 'FAILOVER', 'TAKEOVER')
        here.log.until('up')
        until_subscribed(cluster.replica, room)
        until(lambda: hears(here, room, ben_hears))
        until(lambda: hears(there, room, ann_hears))
        until(lambda: here.rooms.present(room) == ['Ann', 'Ben'])
    dead.start()


def test_a_cluster_without_a_node_for_each_channel_is_down(tmp_path: Path) -> None:
    options = '--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'no'
    with redis_server(tmp_path, *options) as redis:
        redis.ask('CLUSTER', 'ADDSLOTSRANGE', '0', '8000')
        with site(bus(redis)) as here:
            [*_, (_, error)] = here.log.until('down')
            assert 'slots' in str(error)
            _, log = here.member(*ROOMS)
            for room in ROOMS:
                here.rooms.to(room).send(room)
            assert [said(log) for _ in ROOMS] == ROOMS
            redis.ask('CLUSTER', 'ADDSLOTSRANGE', '8001', '16383')
            here.log.until('up')
