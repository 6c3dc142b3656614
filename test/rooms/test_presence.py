"""What is known of other processes, whatever is lost on the way from them."""

from __future__ import annotations

import threading

import pytest
from meeting import Broker, MemoryBus, Site, said, site
from support import end, until

from ws.rooms import inflow, network, presence
from ws.rooms.inflow import Inflow
from ws.rooms.presence import Presence, Said


def shows(here: Site, room: str, *infos: str) -> None:
    until(lambda: sorted(here.rooms.present(room)) == sorted(infos))


def test_what_could_not_be_said_is_said_later() -> None:
    """The bus is full for a while: the others learn in the end who came and who went."""
    broker = Broker()
    full = broker.bus()
    with site(full, presenceTimeout=300) as here, site(broker.bus(), presenceTimeout=300) as there:
        ann, _ = here.member('lobby', info='Ann')
        bea, _ = here.member('bar', info='Bea')
        there.member('lobby', 'bar', info='Tim')
        shows(there, 'lobby', 'Ann', 'Tim')
        shows(there, 'bar', 'Bea', 'Tim')
        full.is_full = True
        here.rooms.leave(ann, 'lobby')
        here.rooms.join(bea, 'bar', 'Beatrice')
        here.member('bar', info='Eve')
        full.is_full = False
        shows(there, 'lobby', 'Tim')
        shows(there, 'bar', 'Beatrice', 'Eve', 'Tim')


def test_who_has_changed_while_the_connection_was_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, '_PATIENCE', 100)
    broker = Broker()
    one, other = broker.bus(), broker.bus()
    with site(one, presenceTimeout=600_000) as here, site(other, presenceTimeout=600_000) as there:
        ann, _ = here.member('lobby', 'bar', info='Ann')
        tim, _ = there.member('lobby', 'bar', info='Tim')
        tom, _ = there.member('lobby', info='Tom')
        for place in here, there:
            shows(place, 'bar', 'Ann', 'Tim')
            shows(place, 'lobby', 'Ann', 'Tim', 'Tom')
        one.cut()
        here.rooms.leave(ann, 'bar')  # the others are told of it when it is up again
        there.rooms.leave(tim, 'lobby')
        there.rooms.leave(tom, 'lobby')  # nobody there hears the question who is in the lobby
        shows(here, 'lobby', 'Ann', 'Tim', 'Tom')
        one.mend()
        shows(there, 'bar', 'Tim')
        shows(here, 'lobby', 'Ann')
        assert here.log.until('up')


def test_a_process_that_was_taken_for_gone_is_heard_again() -> None:
    broker = Broker()
    silent = broker.bus()
    with site(silent, presenceTimeout=300) as here, site(broker.bus(), presenceTimeout=300) as there:
        here.member('lobby', info='Ann')
        there.member('lobby', info='Tim')
        shows(there, 'lobby', 'Ann', 'Tim')
        silent.is_full = True
        shows(there, 'lobby', 'Tim')
        silent.is_full = False
        shows(there, 'lobby', 'Ann', 'Tim')


def test_what_is_told_is_what_has_changed() -> None:
    broker = Broker()
    with site(broker.bus()) as here:
        here.member('lobby', info='Ann')
        with site(broker.bus()) as there:
            tim, _ = there.member('lobby', info='Tim')
            shows(here, 'lobby', 'Ann', 'Tim')
            there.rooms.join(tim, 'lobby', 'Tom')
            shows(here, 'lobby', 'Ann', 'Tom')
            there.member('bar', info='nobody here asks')
            end(tim)
            shows(here, 'lobby', 'Ann')
            there.member('lobby', info='Eve')
            shows(here, 'lobby', 'Ann', 'Eve')
        shows(here, 'lobby', 'Ann')
        changes = [('Ann', None), ('Tim', None), ('Tom', 'Tim'), (None, 'Tom'), ('Eve', None), (None, 'Eve')]
        for came, went in changes:
            expected = ('presence', 'lobby', [came] if came else [], [went] if went else [])
            assert here.log.until('presence')[-1] == expected


def test_a_second_copy_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of how many messages is bounded."""
    monkeypatch.setattr(network, '_REMEMBERED', 10)
    broker = Broker()
    with site(broker.bus()) as here, site(broker.bus()) as there:
        here.member('lobby')
        _, log = there.member('lobby', 'bar')
        for number in range(100):
            here.rooms.to('bar', 'lobby').send(str(number))
        assert [said(log) for _ in range(100)] == [str(number) for number in range(100)]
        assert log.nothing()
        assert there.rooms._network is not None
        assert len(there.rooms._network._copies) == 10


def test_a_bus_that_brings_more_than_the_loop_takes_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, 'MOST', 10_000)
    broker = Broker()
    one: MemoryBus = broker.bus()
    with site(one) as here, site(broker.bus()) as there:
        _, log = there.member('lobby')
        busy, go_on = threading.Event(), threading.Event()
        here.wss._loop.call(lambda: (busy.set(), go_on.wait(20)))
        assert busy.wait(20)
        sent = []

        def send() -> None:
            for number in range(50):
                here.rooms.to('lobby').send('x' * 1000)
                sent.append(number)

        sender = threading.Thread(target=send)  # it is this bus' only thread
        sender.start()
        until(lambda: len(sent) >= 8)
        assert len(sent) < 15
        go_on.set()
        sender.join()
        assert [len(said(log)) for _ in range(50)] == [1000] * 50


def test_nobody_waits_for_one_that_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, 'MOST', 10)
    flow = Inflow()
    flow.add(100, wait=True)
    waiting = threading.Thread(target=flow.add, args=(1, True))
    waiting.start()
    flow.end()
    waiting.join(20)
    assert not waiting.is_alive()


def test_how_many_are_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, '_REMEMBERED', 3)
    known = Presence()
    for number in range(10):
        known.heard(str(number), number)
    known.expire(100)
    assert [known.heard(str(number), 200) for number in (0, 6, 7, 8, 9)] == [False, False, True, True, True]


def test_a_state_replaces_what_was_known() -> None:
    known = Presence()
    known.said('a', 'lobby', Said({'1': 'Ann', '2': 'Ben'}, all=True))
    assert known.said('a', 'lobby', Said({'2': 'Benno', '3': 'Eve'}, all=True)) == (
        'lobby', ['Benno', 'Eve'], ['Ann', 'Ben'],
    )  # fmt: skip
    assert known.said('a', 'lobby', Said({}, went=('3', '7'))) == ('lobby', [], ['Eve'])
    assert known.infos('lobby') == ['Benno']
    known.forget('lobby')
    assert known.infos('lobby') == []
