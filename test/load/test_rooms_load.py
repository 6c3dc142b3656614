"""``make rooms-load`` for a moment; and it notices what is lost, doubled, out of order or in the wrong room."""

from __future__ import annotations

import sys
import time
from collections import Counter

import pytest
from load.rooms_clients import ON_ITS_WAY, Interruption, Ledger, Plain, SocketIO, percentile
from load.test_load import run

FIRST, SECOND = 0, 1  # servers; two members at each, all of them in one room
ANN, BEN, CAT, DAN = range(4)


def ledger() -> Ledger:
    return Ledger(4, 1, lambda member: member % 2)


def everybody_hears(ledger: Ledger, sender: int, *but: int) -> None:
    number = ledger.say(sender)
    for member in {ANN, BEN, CAT, DAN}.difference(but):
        ledger.heard(member, sender, number)


def interruption(between: tuple[int, int]) -> Interruption:
    """Of this moment."""
    now = time.monotonic()
    return Interruption('cut', now, now + ON_ITS_WAY, lambda one, other: (one, other) == between)


def test_all_is_well() -> None:
    whole = ledger()
    for sender in (ANN, BEN, ANN):
        everybody_hears(whole, sender)
    whole.finish()
    assert whole.judge([]) == {}
    assert whole.faults.number == 0
    assert (whole.phase.sent, whole.phase.deliveries()) == (3, 12)
    assert sum(whole.phase.same.values()) == 6


@pytest.mark.parametrize('later', [True, False], ids=['in the middle', 'at the end'])
def test_what_is_lost_is_a_fault(later: bool) -> None:
    whole = ledger()
    everybody_hears(whole, ANN, CAT, DAN)
    if later:
        everybody_hears(whole, ANN)
    whole.finish()
    whole.judge([])
    assert whole.faults.texts == ['2 never heard message 0 of 0', '3 never heard message 0 of 0']


def test_what_is_lost_while_its_link_is_down_is_none() -> None:
    whole = ledger()
    everybody_hears(whole, ANN, BEN)
    whole.finish()
    assert whole.judge([interruption((SECOND, FIRST)), interruption((FIRST, SECOND))]) == {'cut': 1}
    assert whole.faults.number == 0


def test_what_is_lost_elsewhere_is_a_fault() -> None:
    whole = ledger()
    everybody_hears(whole, ANN, CAT)
    whole.finish()
    assert whole.judge([interruption((FIRST, SECOND))]) == {'cut': 0}
    assert whole.faults.texts == ['2 never heard message 0 of 0']


def test_what_is_lost_at_another_time_is_a_fault() -> None:
    whole = ledger()
    everybody_hears(whole, ANN, BEN)
    whole.finish()
    cut = interruption((FIRST, SECOND))
    assert whole.judge([cut._replace(began=cut.began + 2 * ON_ITS_WAY, ended=cut.ended + 60)]) == {'cut': 0}
    assert whole.faults.number == 1


def test_what_comes_twice_or_late_is_a_fault() -> None:
    whole = ledger()
    everybody_hears(whole, ANN)
    whole.heard(BEN, ANN, 0)
    whole.say(ANN)
    whole.say(ANN)
    whole.heard(CAT, ANN, 2)
    whole.heard(CAT, ANN, 1)
    assert whole.faults.texts == [
        '1 heard message 0 of 0 again',
        '2 heard message 1 of 0 after later ones',
    ]
    assert whole.counts == {'again': 1, 'out of order': 1}


def test_another_room_is_a_fault() -> None:
    whole = Ledger(4, 2, lambda member: 0)
    whole.heard(BEN, ANN, whole.say(ANN))
    assert whole.faults.texts == ['1 heard 0, who is in another room']


def test_percentiles() -> None:
    latencies = Counter({10: 98, 20: 1, 50: 1})  # tenths of a millisecond
    assert [round(percentile(latencies, share), 3) for share in (0.5, 0.99, 1)] == [1, 2, 5]
    assert percentile(Counter(), 0.5) == 0


class Sent(list[str]):
    send = list.append


def test_languages() -> None:
    for language in Plain(), SocketIO():
        assert 'ws://10.0.0.1:8000/' in language.url('10.0.0.1', 8000, 'lobby', 5)
    assert Plain().unwrap(None, Plain().wrap('1 2 ...')) == '1 2 ...'
    sent = Sent()
    said = [SocketIO().unwrap(sent, message) for message in ('0{}', '40{}', '42["joined"]', '2', '42["heard","1 2 ."]')]
    assert said == ['', '', 'joined', '', '1 2 .']
    assert sent == ['40', '3']
    assert SocketIO().wrap('1 2 .') == '42["say","1 2 ."]'


@pytest.mark.skipif(sys.platform != 'linux', reason='needs network namespaces')
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_rooms() -> None:
    pytest.importorskip('redis', reason='no rooms under load: the package redis is not there')
    printed = run('load.rooms', '2', '--calm', '--clients', '40', '--rooms', '4', '--rate', '40')
    if printed.startswith('SKIPPED'):
        pytest.skip(printed.strip())
    assert printed.endswith('\n0 faults\n')
