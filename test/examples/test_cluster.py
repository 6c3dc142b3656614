"""examples/cluster: workers that share a port, die, hand over and leave; behind HAProxy, too."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Optional

import pytest
from documents import ROOT, Child, child, connect, free_port
from support import TIMEOUT, Log, Waiter, until

from ws import WebSocket

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='workers inherit a socket')

EXAMPLE = ROOT / 'examples' / 'cluster'
Start = Callable[..., 'tuple[Child, int]']


def start_cluster(start: Start, port: int = 0) -> tuple[Child, int, list[int]]:
    cluster, port = start('cluster/cluster.py', '--workers', 2, port=port)
    return cluster, port, [arrived(cluster), arrived(cluster)]


def arrived(cluster: Child) -> int:
    worker = re.fullmatch(r'worker (\d+) is there', cluster.line())
    assert worker is not None
    return int(worker[1])


def worker_of(log: Log) -> int:
    _name, message, *_ = log.until('message')[-1]
    worker = re.fullmatch(r'worker (\d+)', message)
    assert worker is not None
    return int(worker[1])


def test_all_workers_serve_one_port(start: Start) -> None:
    cluster, port, workers = start_cluster(start)
    served: set[int] = set()
    clients: list[tuple[WebSocket, Log]] = []
    while served != set(workers):
        clients.append(connect(port))
        served.add(worker_of(clients[-1][1]))
        assert len(clients) < 1000
    cluster.signal(signal.SIGTERM)
    assert {log.until('close')[-1][1] for _, log in clients} == {1001}
    assert {cluster.line(), cluster.line()} == {f'worker {pid} has left' for pid in workers}
    assert cluster.wait() == 0


def test_a_worker_that_dies_is_replaced(start: Start) -> None:
    cluster, port, [first, second] = start_cluster(start)
    os.kill(first, signal.SIGKILL)
    assert cluster.line() == f'worker {first} has ended: -9'
    third = arrived(cluster)
    os.kill(second, signal.SIGKILL)
    assert cluster.line() == f'worker {second} has ended: -9'
    fourth = arrived(cluster)
    ws, log = connect(port)
    assert worker_of(log) in (third, fourth)
    ws.terminate()
    log.until('close')


def test_hand_over(start: Start) -> None:
    """Who connects meanwhile finds somebody, at the latest when he tries again; who was connected is told 1001."""
    cluster, port, workers = start_cluster(start)
    _ws, log = connect(port)
    assert worker_of(log) in workers
    over, served = threading.Event(), Waiter()

    def connect_again_and_again() -> None:
        while not over.is_set():
            ws, log = connect(port)
            event = log.get()
            while event[0] not in ('message', 'close'):
                event = log.get()
            if event[0] == 'message':  # else an old worker was just letting it in
                served(event[1])
                ws.terminate()
                log.until('close')

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(connect_again_and_again)
        served.get()
        cluster.signal_at_once(signal.SIGHUP)
        told = re.fullmatch(r'handed over to (\d+) (\d+)', cluster.line())
        assert {cluster.line(), cluster.line()} == {f'worker {pid} has left' for pid in workers}
        assert log.until('close')[-1][1] == 1001
        over.set()
        done.result()
    assert told is not None
    ws, log = connect(port)
    assert worker_of(log) in (int(told[1]), int(told[2]))
    ws.terminate()
    log.until('close')


def test_old_workers_stay_if_new_ones_do_not_start(tmp_path: Path) -> None:
    for name in ('cluster.py', 'worker.py'):
        shutil.copy(EXAMPLE / name, tmp_path)
    with child(tmp_path / 'cluster.py', '--port', 0, '--workers', 1) as cluster:
        port = int(cluster.line().rpartition(':')[2])
        worker = arrived(cluster)
        (tmp_path / 'worker.py').write_text('raise SystemExit(3)\n')
        cluster.signal(signal.SIGHUP)
        assert cluster.line() == 'the new workers do not start: the old ones stay'
        ws, log = connect(port)
        assert worker_of(log) == worker
        ws.terminate()
        log.until('close')


def test_ctrl_c_ends_all(start: Start) -> None:
    cluster, port, workers = start_cluster(start)
    _ws, log = connect(port)
    log.until('message')
    cluster.signal(signal.SIGINT)
    assert log.until('close')[-1][1] == 1001
    assert {cluster.line(), cluster.line()} == {f'worker {pid} has left' for pid in workers}
    assert cluster.wait() == 0


@contextlib.contextmanager
def haproxy(folder: Path, ports: dict[str, int]) -> Iterator[None]:
    """HAProxy as the example has it, but for the ports."""
    text = (EXAMPLE / 'haproxy.cfg').read_text()
    for written, port in ports.items():
        text = text.replace(f'127.0.0.1:{written}', f'127.0.0.1:{port}')
    file = folder / 'haproxy.cfg'
    file.write_text(text)
    process = subprocess.Popen(['haproxy', '-db', '-f', file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def served_by(port: int) -> Optional[int]:
    """The worker that answers, if one does."""
    ws, log = connect(port)
    event = log.get()
    if event[0] == 'error':
        return None
    worker = worker_of(log)
    ws.terminate()
    return worker


@pytest.mark.skipif(shutil.which('haproxy') is None, reason='haproxy was not found')
def test_behind_haproxy(start: Start, tmp_path: Path) -> None:
    """When one of two clusters ends, clients find the other one."""
    (one, first, of_one), (_two, second, of_two) = start_cluster(start), start_cluster(start)
    with free_port() as port, haproxy(tmp_path, {'8000': port, '8080': first, '8081': second}):
        until(lambda: served_by(port) in of_one)
        until(lambda: served_by(port) in of_two)
        one.signal(signal.SIGTERM)
        assert one.wait() == 0
        # HAProxy may have to find out first; one that takes turns has done so when it is ten times the same.
        until(lambda: all(served_by(port) in of_two for _ in range(10)))


def test_workers_do_not_outlive_who_looks_after_them(start: Start) -> None:
    cluster, port, _workers = start_cluster(start)
    _ws, log = connect(port)
    log.until('message')
    cluster.signal_at_once(signal.SIGKILL)
    assert log.until('close')[-1][1] == 1001
