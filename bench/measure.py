"""One run: a fresh process of a peer's, and what it shows in one scenario."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from frames import make_payloads, masked_frames
from peers import BENCH, CEILING, SERVERS, Peer
from process import Contention, Failed, Load, Process, Server
from scenarios import Scenario

CONTENDED = 0.03  # of a processor, used by others
CONNECT_TIMEOUT = 60  # seconds

_ceiling = next(peer for peer in SERVERS if peer.name == CEILING)


@dataclass
class Run:
    """``figures``: see README.md."""

    figures: dict[str, float]
    contention: float

    @property
    def contended(self) -> bool:
        return self.contention > CONTENDED


def cores() -> tuple[int, int]:
    """The core of what is measured and that of its opposite; the same one where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def load_program(scenario: Scenario) -> str:
    return 'build/load-tls' if scenario.tls else 'build/load-deflate' if scenario.deflate else 'build/load'


class Laboratory:
    """Measures; keeps the frames and certificates in a folder of its own until it is closed."""

    def __init__(self, warm_up: float, seconds: float) -> None:
        self.warm_up = warm_up
        self.seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix='bench-')
        self._certificate = Path(self._folder.name, 'certificate.pem')
        self._key = Path(self._folder.name, 'key.pem')
        issued = trustme.CA().issue_cert('127.0.0.1')
        self._certificate.write_bytes(b''.join(blob.bytes() for blob in issued.cert_chain_pems))
        self._key.write_bytes(issued.private_key_pem.bytes())

    def close(self) -> None:
        self._folder.cleanup()

    def measure(self, peer: Peer, scenario: Scenario) -> Run:
        """Raises :class:`Failed` or OSError."""
        if scenario.mode == 'client':
            return self._measure_client(peer, scenario)
        with self._start_server(peer, scenario) as server:
            try:
                measure = self._measure_idle if scenario.mode == 'idle' else self._measure_messages
                return measure(server, scenario)
            except Failed as error:
                raise Failed(f'{error}; the server said: {server.last_error() or "nothing"}') from error

    def _start_server(self, peer: Peer, scenario: Scenario) -> Server:
        settings: dict[str, Any] = {'deflate': scenario.deflate}
        if scenario.tls:
            settings.update(certificate=str(self._certificate), key=str(self._key))
        return Server(peer.command(scenario.mode, **settings), cores()[0], BENCH, peer.environment)

    def _frames(self, scenario: Scenario, deflate: bool) -> Path:
        path = Path(self._folder.name, f'{scenario.name}{"-compressed" if deflate else ""}.frames')
        if not path.exists():
            payloads = make_payloads(scenario.kind, scenario.size, scenario.in_flight)
            path.write_bytes(masked_frames(scenario.kind, payloads, deflate))
        return path

    def _start_load(self, server: Server, scenario: Scenario) -> Load:
        mode = 'broadcast' if scenario.mode == 'broadcast' else 'echo'
        frames = str(self._frames(scenario, deflate=False))
        numbers = [str(scenario.connections), str(scenario.in_flight)]
        command = [load_program(scenario), str(server.port), mode, frames, *numbers]
        if scenario.deflate:
            command.append(str(self._frames(scenario, deflate=True)))
        return Load(command, cores()[1], BENCH)

    def _measure_messages(self, server: Server, scenario: Scenario) -> Run:
        with self._start_load(server, scenario) as load:
            load.answer(CONNECT_TIMEOUT)
            load.run_phase(self.warm_up)
            contention, cpu_before = Contention(server, load), server.cpu_seconds()
            result = load.run_phase(self.seconds)
            cpu, share = server.cpu_seconds() - cpu_before, contention.share()
        figures = _figures(scenario, result['messages'], result['seconds'], cpu)
        return Run({**figures, 'p50': result['p50'], 'p99': result['p99']}, share)

    def _measure_idle(self, server: Server, scenario: Scenario) -> Run:
        memory_before = server.status('VmRSS')
        with self._start_load(server, scenario) as load:
            contention = Contention(server, load)
            connected = load.answer(CONNECT_TIMEOUT)
            share = contention.share()
            memory = server.status('VmRSS') - memory_before
        number = scenario.connections
        return Run({'handshakes': number / connected['seconds'], 'memory': memory / number}, share)

    def _measure_client(self, peer: Peer, scenario: Scenario) -> Run:
        with Server(_ceiling.command('echo'), cores()[1], BENCH) as server:
            times = {'warm_up': self.warm_up, 'seconds': self.seconds}
            command = peer.command(
                'client', port=server.port, size=scenario.size, in_flight=scenario.in_flight, **times
            )
            with Process(command, cores()[0], BENCH, peer.environment) as client:
                contention = Contention(server, client)
                result = client.answer(self.warm_up + self.seconds + CONNECT_TIMEOUT)
                share = contention.share()
        return Run(_figures(scenario, result['messages'], result['seconds'], result['cpu']), share)


def _figures(scenario: Scenario, messages: float, seconds: float, cpu: float) -> dict[str, float]:
    rate = messages / seconds
    return {'rate': rate, 'megabytes': rate * scenario.size / 1e6, 'cpu': cpu * 100_000 / messages}
