"""Echo, broadcast and idle connections: this package beside other WebSocket servers, in one interleaved run.

Each run has a fresh server process on one core and the load generator (load.c) on another. Shown are the medians over
the rounds, with minimum and maximum. The CPU time is the server's, during the measured phase only, after connecting
and a warm-up. A run in which others had one of the two cores for more than CONTENDED of the time is repeated a few
times; what stays contended is marked. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from process import Failed, Load, Server, stolen_seconds

BENCH = Path(__file__).resolve().parent
OURS = 'ws'
CONTENDED = 0.03
WARM_UP = 0.4  # seconds

PYTHON_PEERS = {
    OURS: ['ws_server.py'],
    'picows': ['picows_server.py'],
    'aiohttp': ['aiohttp_server.py', 'asyncio'],
    'aiohttp-uvloop': ['aiohttp_server.py', 'uvloop'],
    'websockets': ['websockets_server.py', 'asyncio'],
    'websockets-uvloop': ['websockets_server.py', 'uvloop'],
}
PEERS = [*PYTHON_PEERS, 'node']


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    size: int
    connections: int = 1
    in_flight: int = 1
    kind: str = 'binary'
    mode: str = 'echo'
    idle: bool = False


SCENARIOS = [
    Scenario('64-text', 'echo, 64 B text, 1 in flight', 64, kind='text'),
    Scenario('64', 'echo, 64 B, 1 in flight', 64),
    Scenario('64x64-text', 'echo, 64 B text, 64 in flight', 64, in_flight=64, kind='text'),
    Scenario('64x64', 'echo, 64 B, 64 in flight', 64, in_flight=64),
    Scenario('100', 'echo, 64 B, 100 connections, 1 in flight each', 64, connections=100),
    Scenario('100x8', 'echo, 1 KiB, 100 connections, 8 in flight each', 1024, connections=100, in_flight=8),
    Scenario('16k', 'echo, 16 KiB, 4 in flight', 16 << 10, in_flight=4),
    Scenario('64k', 'echo, 64 KiB, 1 in flight', 64 << 10),
    Scenario('1m', 'echo, 1 MiB, 1 in flight', 1 << 20),
    Scenario(
        'broadcast', 'broadcast, 64 B text to 1,000 (a delivery is a message)', 64, 1000, kind='text', mode='broadcast'
    ),
    Scenario('idle', '5,000 idle connections', 0, connections=5000, idle=True),
]


@dataclass
class Run:
    """What one server process showed in one scenario."""

    figures: dict[str, float]
    contention: float

    @property
    def contended(self) -> bool:
        return self.contention > CONTENDED


Results = dict[str, dict[str, list[Run]]]  # by scenario and peer


# --- measuring --------------------------------------------------------------------------------------------------------


def cores() -> tuple[int, int]:
    """The core of the server and that of the load generator; the same one where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def server_command(peer: str, mode: str) -> list[str]:
    if peer == 'node':
        return [shutil.which('node') or 'node', 'servers/node_server.js', mode]
    script, *arguments = PYTHON_PEERS[peer]
    return [sys.executable, f'servers/{script}', mode, *arguments]


def start_server(peer: str, mode: str) -> Server:
    return Server(server_command(peer, mode), cores()[0], BENCH)


def start_load(server: Server, scenario: Scenario) -> Load:
    numbers = [str(number) for number in (scenario.size, scenario.connections, scenario.in_flight)]
    return Load(['build/load', str(server.port), scenario.mode, scenario.kind, *numbers], cores()[1], BENCH)


class Contention:
    """The share of the time in which other processes, or other virtual machines, had the core of one of ours."""

    def __init__(self, *processes: Server | Load) -> None:
        self._processes = processes
        self._started = time.monotonic()
        self._lost_before = self._lost()

    def _lost(self) -> float:
        return sum(process.waited_seconds() for process in self._processes) + stolen_seconds(set(cores()))

    def share(self) -> float:
        return (self._lost() - self._lost_before) / (time.monotonic() - self._started)


def measure_messages(server: Server, scenario: Scenario, seconds: float) -> Run:
    with start_load(server, scenario) as load:
        load.answer(timeout=60)
        load.run_phase(WARM_UP)
        contention, cpu_before = Contention(server, load), server.cpu_seconds()
        result = load.run_phase(seconds)
        cpu, share = server.cpu_seconds() - cpu_before, contention.share()
    messages = result['messages']
    return Run({'rate': messages / result['seconds'], 'cpu': cpu * 100_000 / messages}, share)


def measure_idle(server: Server, scenario: Scenario) -> Run:
    memory_before, threads_before = server.status('VmRSS'), server.status('Threads')
    with start_load(server, scenario) as load:
        contention = Contention(server, load)
        connected = load.answer(timeout=60)
        share = contention.share()
        memory, threads = server.status('VmRSS') - memory_before, server.status('Threads')
    rate, each = scenario.connections / connected['seconds'], memory / scenario.connections
    return Run({'handshakes': rate, 'memory': each, 'threads_before': threads_before, 'threads': threads}, share)


def measure_once(peer: str, scenario: Scenario, seconds: float) -> Run:
    with start_server(peer, scenario.mode) as server:
        try:
            return measure_idle(server, scenario) if scenario.idle else measure_messages(server, scenario, seconds)
        except Failed as error:
            raise Failed(f'{error}; the server said: {server.last_error() or "nothing"}') from error


def measure(peer: str, scenario: Scenario, seconds: float, repeats: int) -> Run:
    best = measure_once(peer, scenario, seconds)
    for _ in range(repeats):
        if not best.contended:
            break
        best = min(best, measure_once(peer, scenario, seconds), key=lambda run: run.contention)
    return best


# --- telling ----------------------------------------------------------------------------------------------------------


def version_of(peer: str) -> str:
    if peer == OURS:
        return git_description()
    if peer == 'node':
        packages = [
            json.loads((BENCH / 'node_modules' / name / 'package.json').read_text()) for name in ('ws', 'bufferutil')
        ]
        node = subprocess.run(['node', '--version'], capture_output=True, text=True, check=True).stdout.strip()
        return ', '.join([f'Node {node}', *(f'{package["name"]} {package["version"]}' for package in packages)])
    library, _, loop = peer.partition('-')
    libraries = [library, 'uvloop'] if loop or library == 'picows' else [library]
    return ', '.join(f'{name} {metadata.version(name)}' for name in libraries)


def git_description() -> str:
    command = ['git', 'describe', '--always', '--dirty']
    return 'commit ' + subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False).stdout.strip()


def available(peers: list[str]) -> dict[str, str]:
    """The peers whose server starts, with their versions."""
    versions = {}
    for peer in peers:
        try:
            start_server(peer, 'echo').kill()
        except (Failed, OSError) as error:
            print(f'SKIPPED: {peer}: {error}')
        else:
            versions[peer] = version_of(peer)
            print(f'{peer}: {versions[peer]}')
    return versions


HEADINGS = {
    'rate': 'messages/s',
    'cpu': 'CPU s per 100,000',
    'handshakes': 'handshakes/s',
    'memory': 'resident KiB each',
    'threads_before': 'threads before',
    'threads': 'with them',
}
COMPARED = {'rate', 'cpu', 'handshakes', 'memory'}


def number(value: float) -> str:
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def cells(runs: list[Run], ours: list[Run], figure: str) -> list[str]:
    """Median and range of a figure, and where it is compared the median divided by ours."""
    values = [run.figures[figure] for run in runs]
    median = statistics.median(values)
    shown = [f'{number(median)} ({number(min(values))}-{number(max(values))})']
    if figure in COMPARED:
        shown.append(f'{median / statistics.median(run.figures[figure] for run in ours):.2f}' if ours else '-')
    return shown


def table(runs: dict[str, list[Run]]) -> list[list[str]]:
    """Heading and rows of one scenario; a peer whose runs all failed has none."""
    ours = runs.get(OURS, [])
    measured = {peer: found for peer, found in runs.items() if found}
    heading, rows = [''], []
    for peer, found in measured.items():
        heading, row = [''], [peer + '*' * sum(run.contended for run in found)]
        for figure in found[0].figures:
            heading += [HEADINGS[figure], 'to ours'] if figure in COMPARED else [HEADINGS[figure]]
            row += cells(found, ours, figure)
        rows.append(row)
    return [heading, *rows]


def print_table(title: str, rows: list[list[str]]) -> None:
    print(f'\n{title}')
    widths = [max(map(len, column)) for column in zip(*rows)]
    for name, *figures in rows:
        columns = [name.ljust(widths[0]), *(figure.rjust(width) for figure, width in zip(figures, widths[1:]))]
        print('  ' + '  '.join(columns))


def as_json(versions: dict[str, str], results: Results) -> str:
    figures = {
        scenario: {peer: [dict(run.figures, contention=run.contention) for run in runs] for peer, runs in found.items()}
        for scenario, found in results.items()
    }
    return json.dumps({'versions': versions, 'figures': figures}, indent=1) + '\n'


# --- command line -----------------------------------------------------------------------------------------------------


def chosen(text: str, known: list[str], what: str) -> list[str]:
    names = text.split(',') if text else known
    unknown = set(names) - set(known)
    if unknown:
        sys.exit(f'unknown {what}: {", ".join(sorted(unknown))}; known: {", ".join(known)}')
    return [name for name in known if name in names]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true', help='one short round: shows that all works, not how fast')
    parser.add_argument('--only', default='', metavar='A,B', help=f'of {", ".join(each.name for each in SCENARIOS)}')
    parser.add_argument('--peers', default='', metavar='A,B', help=f'of {", ".join(PEERS)}')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=2, help='length of a measured phase')
    parser.add_argument('--repeats', type=int, default=2, help='how often a contended run is tried again')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.repeats = 1, 0.3, 0
    return arguments


def raise_descriptor_limit() -> None:
    """The servers inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run_all(scenarios: list[Scenario], peers: list[str], arguments: argparse.Namespace) -> tuple[Results, int]:
    """All figures, and how many runs failed."""
    results: Results = {scenario.name: {peer: [] for peer in peers} for scenario in scenarios}
    failures = 0
    rounds = range(1, arguments.rounds + 1)
    for count, scenario, peer in itertools.product(rounds, scenarios, peers):
        print(f'round {count} of {arguments.rounds}: {scenario.name}, {peer}', file=sys.stderr)
        try:
            results[scenario.name][peer].append(measure(peer, scenario, arguments.seconds, arguments.repeats))
        except (Failed, OSError) as error:
            print(f'FAILED: {scenario.name}, {peer}: {error}')
            failures += 1
    return results, failures


def main() -> int:
    arguments = parse_arguments()
    names = chosen(arguments.only, [each.name for each in SCENARIOS], 'scenario')
    scenarios = [each for each in SCENARIOS if each.name in names]
    raise_descriptor_limit()
    system = f'{platform.system()} {platform.release()}'
    print(f'Python {platform.python_version()}, {system}, cores {cores()} of {os.cpu_count()}')
    if len(set(cores())) == 1:
        print('NOTE: only one core: server and load generator share it, and all counts as contended')
    versions = available(chosen(arguments.peers, PEERS, 'peer'))

    results, failures = run_all(scenarios, list(versions), arguments)
    for scenario in scenarios:
        print_table(scenario.title, table(results[scenario.name]))
    print('\nMedian (minimum-maximum); an asterisk for each contended run; "to ours": that figure divided by ours.')
    if arguments.json:
        arguments.json.write_text(as_json(versions, results))
    return min(failures, 1)


if __name__ == '__main__':
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
