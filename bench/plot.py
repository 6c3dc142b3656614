"""The report as a picture: for each scenario, how far everybody is from the best peer."""

from __future__ import annotations

import math
from html import escape

from peers import CEILING, OURS, OURS_PURE
from report import SPREAD, Report
from scenarios import Scenario

LEFT, RIGHT, WIDTH = 440, 190, 1100  # pixels: for the titles, for the words at the end, in all
TOP, ROW = 92, 28
LEAST, MOST = 0.05, 20.0  # of the axis; what is beyond stands at its end
TICKS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 12px; fill: #57606a } .title { font-size: 16px; font-weight: 600 }
.grid { stroke: #d0d7de } .one { stroke: #57606a } .tie { fill: #57606a; opacity: .12 }
.peer { fill: #8c959f; opacity: .75 } .ours { fill: #0969da } .range { stroke: #0969da; stroke-width: 2 }
.pure { fill: none; stroke: #0969da; stroke-width: 2 } .ceiling { stroke: #bc4c00; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d } .one { stroke: #9198a1 }
.tie { fill: #9198a1; opacity: .18 } .peer { fill: #9198a1 } .ours { fill: #4493f8 }
.range, .pure { stroke: #4493f8 } .ceiling { stroke: #f0883e }
}
"""


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _text(x: float, y: float, text: str, kind: str = '', anchor: str = 'start') -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" class="{kind}"/>'


def _mark(name: str, x: float, y: float) -> str:
    title = f'<title>{escape(name)}</title>'
    if name == CEILING:
        return f'<g>{_line(x, y - 8, x, y + 8, "ceiling")}{title}</g>'
    kind, radius = {OURS: ('ours', 6), OURS_PURE: ('pure', 5)}.get(name, ('peer', 4))
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}">{title}</circle>'


def _row(report: Report, scenario: Scenario, y: float) -> list[str]:
    figure = 'handshakes' if scenario.mode == 'idle' else 'cpu'
    best = report.best(scenario, figure)
    parts = [_text(LEFT - 14, y + 4, scenario.title, anchor='end')]
    if best is None:
        return parts
    ratios = {peer.name: report.ratio(scenario, figure, peer.name, best) for peer in report.peers(scenario)}
    if OURS in ratios:
        values = report.values(scenario, OURS, figure)
        middle = report.median(scenario, OURS, figure)
        ends = [ratios[OURS] * value / middle if figure == 'handshakes' else ratios[OURS] * middle / value
                for value in (min(values), max(values))]  # fmt: skip
        parts.append(_line(_x(ends[0]), y, _x(ends[1]), y, 'range'))
        parts.append(_text(WIDTH - RIGHT + 14, y + 4, f'{ratios[OURS]:.2f} × {best}', 'small'))
    # Ours come last, on top of the others.
    for name in sorted(ratios, key=lambda name: name in (OURS, OURS_PURE)):
        parts.append(_mark(name, _x(ratios[name]), y))
    return parts


def _legend() -> list[str]:
    entries = [
        (OURS, OURS),
        (OURS_PURE, 'ws without its C'),
        ('peer', 'another library'),
        (CEILING, 'a bare server in C'),
    ]
    parts, x = [], 14.0
    for name, label in entries:
        parts += [_mark(name, x, 46), _text(x + 12, 50, label, 'small')]
        x += 40 + 7 * len(label)
    return parts


def draw(report: Report) -> str:
    scenarios = report.scenarios()
    bottom = TOP + ROW * len(scenarios)
    parts = [_text(8, 22, 'Messages for each second of CPU time, beside the best of the other libraries', 'title')]
    parts += [
        *_legend(),
        _text(
            8,
            70,
            f'grey band: a tie, less than {SPREAD:.0%} apart; idle: handshakes/s; beyond the axis: at its end',
            'small',
        ),
    ]
    left, right = _x(1 / (1 + SPREAD)), _x(1 + SPREAD)
    parts.append(
        f'<rect x="{left:.1f}" y="{TOP - 10}" width="{right - left:.1f}" height="{bottom - TOP + 4}" class="tie"/>'
    )
    for tick in TICKS:
        parts.append(_line(_x(tick), TOP - 10, _x(tick), bottom - 6, 'one' if tick == 1 else 'grid'))
        parts.append(_text(_x(tick), bottom + 10, f'{tick:g} ×', 'small', 'middle'))
    for index, scenario in enumerate(scenarios):
        parts += _row(report, scenario, TOP + ROW * index + 6)
    height = bottom + 24
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return '\n'.join([head, f'<style>{STYLE}</style>', *parts, '</svg>\n'])
