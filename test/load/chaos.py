"""A server and its clients on two hosts, with everything between them that may happen to a network.

    python -m load.chaos [--seed N] [NAME...]

Each case has a network of its own (network.py), and prints a line. Ends with status 1 if one of them went wrong. Where
namespaces can't be made, all are skipped, and it says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trustme
from load.bystander import TEST
from load.network import Host, Wire, check
from load.records import Counts
from load.scenes import judge
from load.soak import CORE, certificate_of

from ws import WebSocket

SERVER, CLIENTS = '10.77.0.1', '10.77.0.2'
PATIENCE = 90
HEARTBEAT = 500  # milliseconds


class Network:
    """The two hosts, and the wire."""

    def __init__(self, server: Host, clients: Host, wire: Wire, folder: Path) -> None:
        self.server = server
        self.clients = clients
        self.wire = wire
        self._folder = folder
        self.problems: list[str] = []
        self._expected = bytearray()
        self.messages = 0

    def ask(self, *command: Any, patience: float = PATIENCE) -> Any:
        """The answer of the clients."""
        self.clients.write_line(json.dumps(command))
        return self.clients.answer(patience)

    def ask_server(self, command: str) -> dict[str, Any]:
        self.server.write_line(command)
        return self.server.answer(PATIENCE)

    def wait(self) -> None:
        """Until the clients are done; what they complain of are problems."""
        told = self.ask('wait')
        self._expected = bytearray(told['expected'])
        self.messages = told['messages']
        self.problems += told['faults']

    def until_nobody_is_left(self, seconds: float) -> float:
        """How long the server took to notice."""
        started = time.monotonic()
        while self.ask_server('resources')['connections']:
            if time.monotonic() - started > seconds:
                self.problems.append(f'after {seconds} s the server still has connections')
                break
            time.sleep(0.05)
        return time.monotonic() - started

    def finish(self) -> None:
        """The server ends; what it complains of, and connections without exactly one end, are problems."""
        told = self.ask_server('finish')
        self.problems += [f'server: {text}' for text in told['faults']]
        opened, closed = Counts.load(self._folder / 'connections'), Counts.load(self._folder / 'closes')
        self.problems += judge(self._expected, opened.of, closed.of)


# -- cases ------------------------------------------------------------------------------------------------------------


def loses_delays_reorders(network: Network) -> str:
    network.wire.set(delay=0.005, jitter=0.02, loss=0.02, twice=0.02)
    network.ask('begin', 8, 12)
    network.wait()
    network.wire.set()
    network.until_nobody_is_left(10)
    network.finish()
    return f'{network.messages} messages; {network.wire.carried} packets, {network.wire.lost} lost'


def link_goes_down_and_comes_back(network: Network) -> str:
    """A reset that is lost with the link is not sent again: of those connections the server learns by its pings."""
    network.ask('begin', 6, 8)
    for _ in range(3):
        time.sleep(1)
        network.wire.set(up=False)
        time.sleep(0.8)
        network.wire.set()
    network.wait()
    network.until_nobody_is_left(20)
    network.finish()
    return f'{network.messages} messages, {network.wire.lost} packets lost'


def clients_vanish(network: Network) -> str:
    """Their host dies without a word; the server's heartbeat finds out."""
    network.ask('stay', 20, 60_000)
    network.wait()
    network.wire.set(up=False)
    os.kill(network.clients.pid, signal.SIGKILL)
    took = network.until_nobody_is_left(10)
    network.finish()
    return f'20 connections, all closed after {took:.1f} s'


def clients_vanish_as_the_server_ends(network: Network) -> str:
    """``close`` of the server waits for nobody longer than closeTimeout (3 s)."""
    network.ask('stay', 20, 60_000)
    network.wait()
    network.wire.set(up=False)
    started = time.monotonic()
    network.finish()
    took = time.monotonic() - started
    if took > 8:
        network.problems.append(f'close took {took:.1f} s')
    return f'20 connections, closed after {took:.1f} s'


def server_vanishes(network: Network) -> str:
    """The clients' heartbeat finds out; who connects now gets an error in time."""
    network.ask('stay', 20, HEARTBEAT)
    network.wire.set(up=False)
    codes = network.ask('stayed', 20)
    if codes != [1006] * 20:
        network.problems.append(f'clients ended with {codes}')
    events, took = network.ask('connect', 1500)
    if len(events) != 2 or events[1] != 'close 1006' or not 1.4 < took < 5:
        network.problems.append(f'connecting: {events} after {took:.1f} s')
    return f'20 connections closed with 1006; connecting: {events[0]!r} after {took:.1f} s'


def server_is_stopped(network: Network) -> str:
    """SIGSTOP for longer than its heartbeat: whose answers have arrived meanwhile is not taken for gone."""
    network.ask('stay', 20, 60_000)
    network.ask('begin', 4, 6)
    time.sleep(1)
    os.kill(network.server.pid, signal.SIGSTOP)
    time.sleep(2)
    os.kill(network.server.pid, signal.SIGCONT)
    network.wait()
    states = network.ask('state')
    if states != [WebSocket.OPEN] * 20:
        network.problems.append(f'states of connections that were idle: {states}')
    parted = network.ask_server('counts').get('did not answer', 0)
    if parted:
        network.problems.append(f'the server took {parted} clients for gone')
    network.finish()
    return f'{network.messages} messages, nobody was taken for gone'


def clients_are_stopped(network: Network) -> str:
    """SIGSTOP of all clients: those that do not answer are parted with, and when they go on they find out."""
    network.ask('stay', 20, 60_000)
    network.wait()
    os.kill(network.clients.pid, signal.SIGSTOP)
    took = network.until_nobody_is_left(10)
    os.kill(network.clients.pid, signal.SIGCONT)
    codes = network.ask('stayed', 20)
    if codes != [1006] * 20:
        network.problems.append(f'clients ended with {codes}')
    network.finish()
    return f'20 connections, all closed after {took:.1f} s'


CASES: dict[str, Callable[[Network], str]] = {
    'loses-delays-reorders': loses_delays_reorders,
    'link-goes-down-and-comes-back': link_goes_down_and_comes_back,
    'clients-vanish': clients_vanish,
    'clients-vanish-as-the-server-ends': clients_vanish_as_the_server_ends,
    'server-vanishes': server_vanishes,
    'server-is-stopped': server_is_stopped,
    'clients-are-stopped': clients_are_stopped,
}
_BY_HAND = {'heartbeat': HEARTBEAT}
#: In these, the server asks its clients whether they are still there; the others would be disturbed.
HEARTBEATS = {
    'clients-vanish': _BY_HAND,
    'server-is-stopped': _BY_HAND,
    'clients-are-stopped': _BY_HAND,
    # All of them, also those that are busy. What the link loses is sent again within two seconds.
    'link-goes-down-and-comes-back': {'options': {'pingInterval': 1000, 'pingTimeout': 5000}},
}


@contextlib.contextmanager
def network_for(name: str, seed: int) -> Iterator[Network]:
    authority = trustme.CA()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='chaos-')))
        settings = {'folder': str(folder), **certificate_of(authority.issue_cert(SERVER)), **HEARTBEATS.get(name, {})}
        server = stack.enter_context(Host(SERVER, 'server', settings, CORE, TEST))
        ports = json.loads(server.read_line(PATIENCE))
        told = {'seed': seed, 'ca': authority.cert_pem.bytes().decode(), 'host': SERVER, 'ports': ports}
        clients = stack.enter_context(Host(CLIENTS, 'clients', told, max(os.sched_getaffinity(0)), TEST))
        wire = Wire(server.device, clients.device, seed)
        stack.callback(wire.close)
        yield Network(server, clients, wire, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('names', nargs='*', metavar='NAME', choices=[[], *CASES], help=', '.join(CASES))
    arguments = parser.parse_args()
    problem = check()
    if problem is not None:
        print(f'SKIPPED: make chaos, as no network can be made here: {problem}')
        return 0
    bad = 0
    for name in arguments.names or CASES:
        started = time.monotonic()
        with network_for(name, arguments.seed) as network:
            result = CASES[name](network)
        print(f'{name}: {result} ({time.monotonic() - started:.0f} s)', flush=True)
        for text in network.problems:
            print(f'  PROBLEM: {text}', flush=True)
        bad += bool(network.problems)
    print(f'{bad} of {len(arguments.names or CASES)} cases went wrong')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
