"""examples/hub: another broker than Redis."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from documents import ROOT, Child
from meeting import said, site
from support import until

from ws.rooms import Bus

Start = Callable[..., 'tuple[Child, int]']

SPEC = importlib.util.spec_from_file_location('hub_bus', ROOT / 'examples' / 'hub' / 'hub_bus.py')
assert SPEC is not None and SPEC.loader is not None
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)


def test_rooms_of_two_servers(start: Start) -> None:
    hub, port = start('hub/hub.py')
    buses: list[Bus] = [MODULE.HubBus(f'ws://127.0.0.1:{port}') for _ in range(2)]
    with site(buses[0]) as here, site(buses[1]) as there:
        (ann, ann_hears), (_, ben_hears) = here.member('lobby', info='Ann'), there.member('lobby', 'a\nb', info='Ben')

        def know_each_other() -> bool:
            present: list[Any] = [place.rooms.present('lobby') for place in (here, there)]
            return present == [['Ann', 'Ben'], ['Ben', 'Ann']]

        until(know_each_other)
        for number in range(100):
            here.rooms.to('lobby', 'a\nb').but(ann).send(f'number {number}')
        assert [said(ben_hears) for _ in range(100)] == [f'number {number}' for number in range(100)]
        there.rooms.to('lobby').send(b'\0\n\xff')
        assert said(ann_hears) == b'\0\n\xff' == said(ben_hears)

        hub.discard()
        for place in here, there:
            place.log.until('down')
        here.rooms.to('lobby').send('only here')
        assert said(ann_hears) == 'only here'
        start('hub/hub.py', port=port)
        for place in here, there:
            place.log.until('up')
        until(know_each_other)
        here.rooms.to('lobby').but(ann).send('again')
        assert said(ben_hears) == 'again'
        there.rooms.join(there.rooms.members('lobby')[0], 'lobby', 'Benno')
        until(lambda: here.rooms.present('lobby') == ['Ann', 'Benno'])
    assert ann_hears.until('close')[0][0] == 'close'
