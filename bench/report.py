"""What all runs together say: tables of medians, ratios and ties."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import Optional

from measure import Run
from peers import ALL_OURS, CEILING, OURS_PURE, Peer, peers_of
from scenarios import SCENARIOS, Scenario

SPREAD = 0.15  # between runs of one and the same, on an ordinary machine: a smaller gap is a tie

HEADINGS = {
    'rate': 'messages/s',
    'megabytes': 'MB/s',
    'cpu': 'CPU s per 100,000',
    'p50': 'p50 µs',
    'p99': 'p99 µs',
    'handshakes': 'handshakes/s',
    'memory': 'resident KiB each',
}
#: Which figures are compared, and whether more is better.
COMPARED = {'rate': True, 'cpu': False, 'handshakes': True, 'memory': False}
WITH_RANGE = {'rate', 'cpu', 'p50', 'p99', 'handshakes', 'memory'}


@dataclass
class Report:
    """``runs`` and ``left_out`` (with the reason) are by scenario and peer."""

    about: list[str] = field(default_factory=list)
    runs: dict[str, dict[str, list[Run]]] = field(default_factory=dict)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)
    thrown_away: int = 0

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + '\n'

    @classmethod
    def from_json(cls, text: str) -> Report:
        report = cls(**json.loads(text))
        for found in report.runs.values():
            for peer, runs in found.items():
                found[peer] = [Run(**run) for run in runs]
        return report

    def scenarios(self) -> list[Scenario]:
        return [scenario for scenario in SCENARIOS if any(self.runs.get(scenario.name, {}).values())]

    def peers(self, scenario: Scenario) -> list[Peer]:
        return [peer for peer in peers_of(scenario) if self.runs[scenario.name].get(peer.name)]

    def values(self, scenario: Scenario, peer: str, figure: str) -> list[float]:
        """Of the runs that were not contended; of all if there are no others."""
        runs = self.runs[scenario.name].get(peer, [])
        clean = [run for run in runs if not run.contended]
        return [run.figures[figure] for run in clean or runs]

    def median(self, scenario: Scenario, peer: str, figure: str) -> float:
        return statistics.median(self.values(scenario, peer, figure))

    def figures(self, scenario: Scenario) -> list[str]:
        return list(self.runs[scenario.name][self.peers(scenario)[0].name][0].figures)

    def contended(self, scenario: Scenario, peer: str) -> int:
        return sum(run.contended for run in self.runs[scenario.name][peer])

    def best(self, scenario: Scenario, figure: str, compiled: bool = True) -> Optional[str]:
        """The best peer, of all or of those without compiled code; neither this package nor the ceiling counts, nor
        where messages are text who hands out bytes."""
        rivals = [
            peer.name
            for peer in self.peers(scenario)
            if peer.name not in (*ALL_OURS, CEILING)
            and (compiled or not peer.compiled)
            and (peer.gives_str or scenario.kind == 'binary')
        ]
        if not rivals:
            return None
        return max(rivals, key=lambda peer: self.score(scenario, peer, figure))

    def score(self, scenario: Scenario, peer: str, figure: str) -> float:
        """More is better."""
        median = self.median(scenario, peer, figure)
        return median if COMPARED[figure] else 1 / max(median, 1e-9)

    def ratio(self, scenario: Scenario, figure: str, peer: str, other: str) -> float:
        """How much better than another a peer is: above 1 it is ahead."""
        return self.score(scenario, peer, figure) / self.score(scenario, other, figure)


def is_tie(ratio: float) -> bool:
    return 1 / (1 + SPREAD) < ratio < 1 + SPREAD


def word_for(ratio: float) -> str:
    return 'tie' if is_tie(ratio) else 'ahead' if ratio > 1 else 'behind'


def number(value: float) -> str:
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def shown_ratio(ratio: float) -> str:
    return f'{ratio:.2f} tie' if is_tie(ratio) else f'{ratio:.2f}    '


def _row(report: Report, scenario: Scenario, peer: str) -> list[str]:
    cells = [peer + '*' * report.contended(scenario, peer)]
    for figure in report.figures(scenario):
        values = report.values(scenario, peer, figure)
        cell = number(statistics.median(values))
        if figure in WITH_RANGE and len(values) > 1:
            cell += f' ({number(min(values))}-{number(max(values))})'
        cells.append(cell)
        if figure in COMPARED:
            best = report.best(scenario, figure)
            is_best, counts = peer == best, best is not None
            ratio = shown_ratio(report.ratio(scenario, figure, peer, best)) if counts and best else '-'
            cells.append('best    ' if is_best else ratio)
    return cells


def table(report: Report, scenario: Scenario) -> list[list[str]]:
    heading = ['']
    for figure in report.figures(scenario):
        heading += [HEADINGS[figure], 'ratio    '] if figure in COMPARED else [HEADINGS[figure]]
    return [heading, *(_row(report, scenario, peer.name) for peer in report.peers(scenario))]


def aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for name, *cells in rows:
        columns = [name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:]))]
        lines.append('  '.join(columns).rstrip())
    return lines


def verdict(report: Report, scenario: Scenario, ours: str) -> str:
    """This package beside the best peer, for each figure; its fallback beside the best without compiled code."""
    said = []
    for figure in report.figures(scenario):
        best = report.best(scenario, figure, compiled=ours != OURS_PURE) if figure in COMPARED else None
        if best is None:
            continue
        ratio = report.ratio(scenario, figure, ours, best)
        said.append(f'{HEADINGS[figure]}: {ratio:.2f} × {best}, {word_for(ratio)}')
    kind = ' without compiled code' if ours == OURS_PURE else ''
    return f'{ours} beside the best peer{kind}: {"; ".join(said)}' if said else ''


def summary(report: Report, ours: str) -> list[str]:
    """Where this package is ahead, in CPU time, or in handshakes per second where there is no other."""
    scenarios: dict[str, list[str]] = {'ahead': [], 'tie': [], 'behind': []}
    for scenario in report.scenarios():
        figure = 'handshakes' if scenario.mode == 'idle' else 'cpu'
        best = report.best(scenario, figure, compiled=ours != OURS_PURE)
        if best and ours in report.runs[scenario.name]:
            scenarios[word_for(report.ratio(scenario, figure, ours, best))].append(scenario.name)
    return [f'{ours}, {word}: {", ".join(names)}' for word, names in scenarios.items() if names]


def remarks(report: Report, scenario: Scenario) -> list[str]:
    """What was different for some, and who is missing and why."""
    said: dict[str, list[str]] = {}
    for peer in report.peers(scenario):
        if peer.remark(scenario):
            said.setdefault(peer.remark(scenario), []).append(peer.name)
    for name, reason in report.left_out.get(scenario.name, {}).items():
        said.setdefault(f'left out: {reason}', []).append(name)
    return [f'{", ".join(names)}: {remark}' for remark, names in said.items()]


def tell(report: Report) -> str:
    lines = list(report.about)
    for scenario in report.scenarios():
        lines += ['', scenario.title, *(f'  {line}' for line in aligned(table(report, scenario)))]
        measured = [peer.name for peer in report.peers(scenario)]
        verdicts = [verdict(report, scenario, ours) for ours in ALL_OURS if ours in measured]
        lines += [f'  -> {line}' for line in verdicts if line]
        lines += [f'  {line}' for line in remarks(report, scenario)]
    lines += ['', 'In CPU time (idle: handshakes/s), beside the best peer, for ws-pure the best without compiled code:']
    lines += [f'  {line}' for ours in ALL_OURS for line in summary(report, ours)]
    lines += [
        '',
        'Medians (minimum-maximum). Ratio: how much better than the best peer, above 1 is ahead; ws,',
        f'ws-options, ws-pure and c are not peers. Tie: a gap of less than {SPREAD:.0%},',
        'which is what runs of one and the same differ by.',
        f'{report.thrown_away} contended runs were thrown away; an asterisk for each that stayed contended.',
        'Those count in a median only where there are no others.',
    ]
    return '\n'.join(lines)


def markdown(report: Report) -> str:
    """For servers and for clients, a row for each scenario and a column for each peer."""
    groups = [[each for each in report.scenarios() if (each.mode == 'client') == client] for client in (False, True)]
    return '\n\n'.join('\n'.join(_markdown_table(report, scenarios)) for scenarios in groups if scenarios)


def _markdown_table(report: Report, scenarios: list[Scenario]) -> list[str]:
    measured = {peer.name for scenario in scenarios for peer in report.peers(scenario)}
    names = [peer.name for peer in peers_of(scenarios[0]) if peer.name in measured]
    lines = [f'| CPU s per 100,000 messages | {" | ".join(names)} |', '|---' * (len(names) + 1) + '|']
    for scenario in scenarios:
        for figure in ('handshakes', 'memory') if scenario.mode == 'idle' else ('cpu',):
            title = scenario.title if figure == 'cpu' else f'{scenario.title}: {HEADINGS[figure]}'
            medians = [
                number(report.median(scenario, name, figure)) if report.runs[scenario.name].get(name) else ''
                for name in names
            ]
            lines.append(f'| {title} | {" | ".join(medians)} |')
    return lines
