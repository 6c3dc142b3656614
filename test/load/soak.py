"""A server and its clients at work for as long as you like, with every ending that a connection may have.

    python -m load.soak [SECONDS] [--seed N] [--workers N]

The server is a child process (soak_server.py); the clients are this one: ours, and sockets that misbehave. Each of some
workers plays one scene after the other, drawn by the seed. It ends with status 1 if a connection had not exactly one
``connection`` and one ``close``, if a message was lost, doubled or out of order, or if memory, threads or descriptors
of either process are not where they were after a first while.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trustme
from load.bystander import TEST, Bystander
from load.records import Counts, resources, use_one_arena
from load.scenes import MUST, PATIENCE, SCENES, Population, judge
from process import Process

#: The first while, in which caches fill and pools grow: a fifth of the time, at most.
WARM_UP = 60
#: What may be more at the end: KiB, and a share; objects.
MORE_MEMORY, MORE_OF_IT, MORE_OBJECTS = 8192, 0.1, 2000

#: That of the server and of the bystander.
CORE = min(os.sched_getaffinity(0))


def certificate_of(issued: trustme.LeafCert) -> dict[str, str]:
    """The options of a server."""
    chain = b''.join(blob.bytes() for blob in issued.cert_chain_pems)
    return {'cert': chain.decode(), 'key': issued.private_key_pem.bytes().decode()}


class Soak(Population):
    """The run, and its server."""

    def __init__(self, seed: int, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert('127.0.0.1')
        super().__init__(seed, authority.cert_pem.bytes())
        self.folder = folder
        self._certificate = certificate_of(issued)

    def server(self) -> Process:
        settings = json.dumps({'folder': str(self.folder), **self._certificate})
        process = Process([sys.executable, '-m', 'load.soak_server', settings], CORE, TEST, {'PYTHONPATH': str(TEST)})
        self.ports = json.loads(process.read_line(PATIENCE))
        return process

    def judge_resources(self, who: str, before: dict[str, int], after: dict[str, int]) -> None:
        for what in ('threads', 'descriptors'):
            if after[what] > before[what]:
                self.faults(f'{who}: {before[what]} {what}, {after[what]} in the end')
        if after['objects'] > before['objects'] + MORE_OBJECTS:
            self.faults(f'{who}: {before["objects"]} objects, {after["objects"]} in the end')
        if after['memory'] > before['memory'] * (1 + MORE_OF_IT) + MORE_MEMORY:
            self.faults(f'{who}: {before["memory"]} KiB, {after["memory"]} in the end')


def at_rest(server: Process) -> dict[str, int]:
    """What the server takes when nobody is connected any more."""
    deadline = time.monotonic() + PATIENCE
    while True:
        server.write_line('resources')
        taken: dict[str, int] = server.answer(PATIENCE)  # type: ignore[assignment]
        if not taken['connections'] or time.monotonic() > deadline:
            return taken
        time.sleep(0.1)


def run(soak: Soak, seconds: float, workers: int) -> None:
    warm_up = min(WARM_UP, seconds / 5)
    with soak.server() as server:
        soak.work('warm-up', warm_up, workers)
        before = {'server': at_rest(server), 'clients': resources()}
        cpu = server.cpu_seconds()
        with Bystander(soak.ports[0], CORE) as bystander:
            soak.work('run', seconds - warm_up, workers)
            soak.expect(0, MUST)
            waited = bystander.finish()
        cpu = server.cpu_seconds() - cpu
        after = {'server': at_rest(server), 'clients': resources()}
        for who in before:
            soak.judge_resources(who, before[who], after[who])
        if after['server']['connections']:
            soak.faults(f'{after["server"]["connections"]} connections are left')
        server.write_line('finish')
        told: dict[str, Any] = server.answer(PATIENCE)
        for text in told['faults']:
            soak.faults(f'server: {text}')
        opened, closed = Counts.load(soak.folder / 'connections'), Counts.load(soak.folder / 'closes')
        for text in judge(soak.expected, opened.of, closed.of):
            soak.faults(text)
    report(soak, before, after, waited, cpu, told['counts'])


def report(soak: Soak, before: Any, after: Any, waited: dict[str, float], cpu: float, counts: dict[str, int]) -> None:
    print(f'connections: {len(soak.expected)}, messages received by clients: {soak.counts["messages"]}')
    print('scenes: ' + ', '.join(f'{name} {soak.counts[f"scene: {name}"]}' for name in SCENES))
    print('server: ' + ', '.join(f'{name} {number}' for name, number in sorted(counts.items())))
    print(f'server: {cpu:.1f} s of CPU time')
    print('bystander, ms: ' + ', '.join(f'{name} {waited[name]:.1f}' for name in ('longest', 'median', 'overslept')))
    for who in before:
        print(f'{who}: ' + ', '.join(f'{what} {before[who][what]} -> {after[who][what]}' for what in before[who]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('seconds', nargs='?', type=float, default=600)
    parser.add_argument('--seed', type=int, default=None, help='another one each time if it is not given')
    parser.add_argument('--workers', type=int, default=12)
    arguments = parser.parse_args()
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f'seed {seed}, {arguments.workers} workers, {arguments.seconds:g} s', flush=True)
    use_one_arena()
    with tempfile.TemporaryDirectory(prefix='soak-') as folder:
        soak = Soak(seed, Path(folder))
        run(soak, arguments.seconds, arguments.workers)
    for text in soak.faults.texts:
        print(f'FAULT: {text}')
    print(f'{soak.faults.number} faults')
    return 1 if soak.faults.number else 0


if __name__ == '__main__':
    sys.exit(main())
