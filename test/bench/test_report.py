"""What a benchmark says of its figures: medians, ratios and ties, which runs count, and who is compared with whom."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from measure import CONTENDED, Run, _figures
from peers import peers_of
from report import Report, is_tie, markdown, remarks, summary, tell, verdict, word_for
from run import Session
from scenarios import SCENARIOS, Scenario

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
ECHO, TEXT, CLIENTS, IDLE = BY_NAME['64'], BY_NAME['64-text'], BY_NAME['client-64'], BY_NAME['idle']


def run(cpu: float, contention: float = 0.0) -> Run:
    return Run({'rate': 1e7 / cpu, 'megabytes': 1.0, 'cpu': cpu, 'p50': 10.0, 'p99': 20.0}, contention)


def report_of(scenario: Scenario, **cpu: Any) -> Report:
    """With one run for each peer, or with those given; an underscore stands for a hyphen."""
    runs = {name.replace('_', '-'): found if isinstance(found, list) else [run(found)] for name, found in cpu.items()}
    return Report(runs={scenario.name: runs})


# -- which runs count -------------------------------------------------------------------------------------------------


def test_the_median_is_that_of_the_runs_that_were_not_contended() -> None:
    report = report_of(ECHO, ws=[run(9, 0.5), run(1), run(8, 0.04), run(2), run(4)])
    assert report.values(ECHO, 'ws', 'cpu') == [1, 2, 4]
    assert report.median(ECHO, 'ws', 'cpu') == 2
    assert report.contended(ECHO, 'ws') == 2


def test_where_all_were_contended_all_count() -> None:
    assert report_of(ECHO, ws=[run(9, 0.5), run(3, 0.2), run(4, 0.1)]).median(ECHO, 'ws', 'cpu') == 4


def test_three_hundredths_of_a_processor_are_no_contention() -> None:
    assert not Run({}, CONTENDED).contended
    assert Run({}, CONTENDED + 0.001).contended


@pytest.mark.parametrize(
    ('contentions', 'taken', 'thrown_away'),
    [
        ([0.0], 0.0, 0),
        ([0.5, 0.01, 0.0], 0.01, 1),  # the first that is clean
        ([0.5, 0.2, 0.3, 0.4, 0.0], 0.2, 3),  # no longer than that, and then the best of them
    ],
)
def test_a_contended_run_is_tried_again(contentions: list[float], taken: float, thrown_away: int) -> None:
    runs = iter([run(1, contention) for contention in contentions])
    session: Any = SimpleNamespace(
        repeats=3, report=Report(), laboratory=SimpleNamespace(measure=lambda peer, scenario: next(runs))
    )
    assert Session._least_contended(session, ECHO, peers_of(ECHO)[0]).contention == taken
    assert session.report.thrown_away == thrown_away


# -- figures ----------------------------------------------------------------------------------------------------------


def test_figures_of_messages() -> None:
    figures = _figures(BY_NAME['64k'], messages=20_000, seconds=4.0, cpu=0.5)
    assert figures == {'rate': 5000, 'megabytes': 5000 * 65536 / 1e6, 'cpu': 2.5}


@pytest.mark.parametrize(
    ('ratio', 'word'),
    [(1.0, 'tie'), (1.149, 'tie'), (1.151, 'ahead'), (3.0, 'ahead'), (0.871, 'tie'), (0.868, 'behind')],
)
def test_a_gap_of_less_than_15_percent_is_a_tie_whichever_way(ratio: float, word: str) -> None:
    assert word_for(ratio) == word
    assert is_tie(ratio) == is_tie(1 / ratio) == (word == 'tie')


def test_ratios_above_one_are_ahead_whether_more_is_better_or_less() -> None:
    report = report_of(ECHO, ws=2.0, node=4.0)
    assert report.ratio(ECHO, 'cpu', 'ws', 'node') == pytest.approx(2)
    assert report.ratio(ECHO, 'rate', 'ws', 'node') == pytest.approx(2)
    assert report.ratio(ECHO, 'cpu', 'node', 'ws') == pytest.approx(0.5)


# -- who is compared with whom ----------------------------------------------------------------------------------------


def test_neither_this_package_nor_the_ceiling_is_a_peer() -> None:
    report = report_of(ECHO, c=0.1, ws=1.0, ws_pure=2.0, picows=3.0, node=4.0)
    assert report.best(ECHO, 'cpu') == 'picows'
    assert report_of(ECHO, c=0.1, ws=1.0, ws_pure=2.0).best(ECHO, 'cpu') is None


@pytest.mark.parametrize('name', ['64-text', '1m-unicode', 'deflate-64'])
def test_where_messages_are_text_who_hands_out_bytes_is_no_peer(name: str) -> None:
    scenario = BY_NAME[name]
    report = report_of(scenario, ws=2.0, picows=1.0, node=1.0, aiohttp_uvloop=4.0)
    assert report.best(scenario, 'cpu') == 'aiohttp-uvloop'
    assert summary(report, 'ws') == [f'ws, ahead: {name}']
    assert any('no peer here' in line and 'node' in line for line in remarks(report, scenario))


def test_the_fallback_is_compared_with_those_without_compiled_code() -> None:
    report = report_of(ECHO, ws=1.0, ws_pure=5.0, picows=1.1, wsproto=20.0, websockets_pure=10.0)
    assert verdict(report, ECHO, 'ws') == (
        'ws beside the best peer: messages/s: 1.10 × picows, tie; CPU s per 100,000: 1.10 × picows, tie'
    )
    assert verdict(report, ECHO, 'ws-pure') == (
        'ws-pure beside the best peer without compiled code: '
        'messages/s: 2.00 × websockets-pure, ahead; CPU s per 100,000: 2.00 × websockets-pure, ahead'
    )


def test_clients_are_compared_with_clients() -> None:
    report = report_of(CLIENTS, ws=4.0, websocket_client=2.0)
    assert summary(report, 'ws') == ['ws, behind: client-64']
    assert summary(report, 'ws-pure') == []


def test_idle_connections_are_compared_by_handshakes() -> None:
    handshakes = {'ws': 9000.0, 'node': 4000.0}
    runs = {name: [Run({'handshakes': number, 'memory': 10.0}, 0.0)] for name, number in handshakes.items()}
    report = Report(runs={IDLE.name: runs})
    assert report.ratio(IDLE, 'handshakes', 'ws', 'node') == 2.25
    assert summary(report, 'ws') == ['ws, ahead: idle']


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_the_table() -> None:
    report = report_of(ECHO, ws=[run(1.0), run(2.0), run(9.0, 0.5)], node=[run(3.0)])
    report.left_out[ECHO.name] = {'tornado': 'FAILED: it ended'}
    report.thrown_away = 7
    text = tell(report)
    lines = [' '.join(line.split()) for line in text.splitlines()]
    figures = '(5,000,000-10,000,000) 2.25 1 1.5 (1-2) 2.00 10 (10-10) 20 (20-20)'
    assert f'ws* 7,500,000 {figures}' in lines
    assert 'node 3,333,333 best 1 3 best 10 20' in lines
    assert 'left out: FAILED: it ended' in text and 'tornado' in text
    assert '7 contended runs were thrown away' in text


def test_the_markdown_table() -> None:
    assert markdown(report_of(ECHO, ws=[run(1.0), run(2.0)], node=[run(300.0)])).splitlines() == [
        '| CPU s per 100,000 messages | ws | node |',
        '|---|---|---|',
        f'| {ECHO.title} | 1.5 | 300 |',
    ]


def test_a_report_outlives_its_file() -> None:
    report = report_of(ECHO, ws=[run(1.0), run(2.0, 0.5)], node=[run(3.0)])
    report.about, report.thrown_away = ['a machine'], 3
    again = Report.from_json(report.as_json())
    assert again == report
    assert tell(again) == tell(report)
