"""This package beside other WebSocket libraries, in one interleaved run; see README.md. Linux only."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from subprocess import CalledProcessError

import plot
from measure import CONTENDED, Laboratory, Run, cores, load_program
from peers import BENCH, CLIENTS, SERVERS, Peer, peers_of
from process import Failed
from report import Report, markdown, tell
from scenarios import QUICK, SCENARIOS, Scenario

WARM_UP = 1.2  # seconds: ours has a timer running in its first one
AROUND = 0.25  # seconds that a run takes beside its two phases
CONNECTING = 2.0  # seconds that one with many connections takes
QUICK_PEERS = ['c', 'ws', 'ws-pure', 'picows', 'node', 'aiohttp-uvloop', 'websockets-threads', 'wsproto']
PLOT = BENCH.parent / 'doc' / 'speed.svg'


def parse_arguments() -> argparse.Namespace:
    names = sorted({peer.name for peer in SERVERS + CLIENTS})
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='one short round of some: shows that all works')
    parser.add_argument('--only', default='', metavar='A,B', help=f'of {", ".join(each.name for each in SCENARIOS)}')
    parser.add_argument('--peers', default='', metavar='A,B', help=f'of {", ".join(names)}')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=0.5, help='length of a measured phase')
    parser.add_argument('--repeats', type=int, default=3, help='how often a contended run is tried again')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    parser.add_argument('--from', type=Path, metavar='FILE', dest='source', help='measure nothing, tell what it holds')
    parser.add_argument('--markdown', action='store_true', help='a short table in Markdown instead of the tables')
    parser.add_argument(
        '--plot', type=Path, metavar='FILE', help='write the plot there (a whole run: to doc/speed.svg)'
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.repeats = 1, 0.25, 0
        arguments.only = arguments.only or ','.join(QUICK)
        arguments.peers = arguments.peers or ','.join(QUICK_PEERS)
    return arguments


def chosen(text: str, known: list[str], default: list[str], what: str) -> set[str]:
    names = set(text.split(',')) if text else set(default)
    if names - set(known):
        sys.exit(f'unknown {what}: {", ".join(sorted(names - set(known)))}; known: {", ".join(known)}')
    return names


def raise_descriptor_limit() -> None:
    """The servers inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def versions(peers: list[Peer], what: str) -> tuple[list[str], list[Peer]]:
    """What is installed, in words, and the peers that are."""
    lines, installed = [], []
    for peer in peers:
        try:
            lines.append(f'{what} {peer.name}: {peer.version()}')
            installed.append(peer)
        except (PackageNotFoundError, OSError, CalledProcessError) as error:
            lines.append(f'SKIPPED: {what} {peer.name}, which is not installed: {error}')
    return lines, installed


class Session:
    """All the runs of one command."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.rounds, self.repeats = arguments.rounds, arguments.repeats
        self.laboratory = Laboratory(WARM_UP, arguments.seconds)
        self.report = Report()
        self.failures = 0

        everyone = SERVERS + CLIENTS
        default = [peer.name for peer in everyone if peer.by_default]
        names = chosen(arguments.peers, [peer.name for peer in everyone], default, 'peer')
        only = chosen(arguments.only, [each.name for each in SCENARIOS], [each.name for each in SCENARIOS], 'scenario')
        scenarios = [scenario for scenario in SCENARIOS if scenario.name in only]
        self.report.about = [_about_machine(), f'{self.rounds} rounds, phases of {arguments.seconds:g} s']
        peers: list[Peer] = []
        for group, what in ((SERVERS, 'server'), (CLIENTS, 'client')):
            lines, installed = versions([peer for peer in group if peer.name in names], what)
            self.report.about += lines
            peers += installed
        for scenario in [scenario for scenario in scenarios if not (BENCH / load_program(scenario)).exists()]:
            self.report.about.append(f'SKIPPED: {scenario.name}, as {load_program(scenario)} could not be built')
            scenarios.remove(scenario)
        self.plan = [(scenario, [peer for peer in peers_of(scenario) if peer in peers]) for scenario in scenarios]

    def seconds_needed(self) -> float:
        echoes = WARM_UP + self.laboratory.seconds
        return self.rounds * sum(
            AROUND + (CONNECTING if scenario.mode == 'idle' else echoes)
            for scenario, peers in self.plan
            for peer in peers
            if not peer.reason_to_skip(scenario)
        )

    def run(self) -> None:
        try:
            for count in range(self.rounds):
                for scenario, peers in self.plan:
                    started = time.monotonic()
                    # Nobody always comes first.
                    shift = count % max(len(peers), 1)
                    for peer in peers[shift:] + peers[:shift]:
                        self._run_once(scenario, peer)
                    seconds = time.monotonic() - started
                    print(f'round {count + 1} of {self.rounds}: {scenario.name}, {seconds:.0f} s', file=sys.stderr)
        finally:
            self.laboratory.close()

    def _run_once(self, scenario: Scenario, peer: Peer) -> None:
        reason = peer.reason_to_skip(scenario)
        if reason:
            self.report.left_out.setdefault(scenario.name, {})[peer.name] = reason
            return
        runs = self.report.runs.setdefault(scenario.name, {}).setdefault(peer.name, [])
        try:
            runs.append(self._least_contended(scenario, peer))
        except (Failed, OSError) as error:
            print(f'FAILED: {scenario.name}, {peer.name}: {error}', flush=True)
            self.report.left_out.setdefault(scenario.name, {})[peer.name] = f'FAILED: {error}'
            self.failures += 1

    def _least_contended(self, scenario: Scenario, peer: Peer) -> Run:
        best = self.laboratory.measure(peer, scenario)
        for _ in range(self.repeats):
            if not best.contended:
                break
            self.report.thrown_away += 1
            best = min(best, self.laboratory.measure(peer, scenario), key=lambda run: run.contention)
        return best


def _about_machine() -> str:
    system = f'{platform.system()} {platform.release()}'
    about = f'Python {platform.python_version()}, {system}, cores {cores()} of {os.cpu_count()}'
    return about + (', WHICH THEY SHARE: all is contended' if len(set(cores())) == 1 else '')


def measure(arguments: argparse.Namespace) -> tuple[Report, int]:
    """The report, and how many runs failed."""
    raise_descriptor_limit()
    session = Session(arguments)
    print(f'This takes about {session.seconds_needed() / 60:.0f} minutes on an idle machine;', end=' ')
    print(f'a run in which others use more than {CONTENDED:.0%} of a processor is repeated.', flush=True)
    session.run()
    return session.report, session.failures


def main() -> int:
    arguments = parse_arguments()
    if arguments.source:
        report, failures = Report.from_json(arguments.source.read_text()), 0
    else:
        report, failures = measure(arguments)
    if arguments.json:
        arguments.json.write_text(report.as_json())
    print(markdown(report) if arguments.markdown else tell(report))
    # The plot in the documentation is that of a whole run.
    path = arguments.plot or (None if arguments.only or arguments.peers else PLOT)
    if path:
        path.write_text(plot.draw(report))
        print(f'\nPlot: {path}')
    return min(failures, 1)


if __name__ == '__main__':
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
