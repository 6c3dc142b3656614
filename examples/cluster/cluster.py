"""Several workers on one port, and a process that looks after them.

Start it with:     python examples/cluster/cluster.py [--port 8080] [--host 127.0.0.1] [--workers 2]
New workers, with the program as it is now, take over after:     kill -HUP PID
Stop it with Ctrl-C, or:     kill PID

The listening socket belongs to this process, and the workers inherit it. So whoever connects while they change finds
somebody: at the latest the next worker.
"""

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

WORKER = Path(__file__).with_name('worker.py')
LONG_ENOUGH = 1  # seconds; who ends earlier has not worked
LONGEST_WAIT = 10  # seconds until a worker that does not work is tried again


class Worker:
    def __init__(self, sock):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, WORKER, '--fd', str(sock.fileno())],
            pass_fds=[sock.fileno()],
            stdin=subprocess.PIPE,  # tells it when we have died
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us; we tell the workers
        )

    def listens(self):
        """Whether it has come so far; waits for that."""
        return self.process.stdout.readline() == 'listening\n'

    def leave(self):
        self.process.terminate()

    def has_ended(self):
        if self.process.poll() is None:
            return False
        self.process.stdin.close()
        self.process.stdout.close()
        return True


class Cluster:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.workers = []
        self.leaving = []  # they close their connections, and take no others
        self.wait = 0  # seconds, before the next worker is started
        self.next_start = 0

    def run(self, signals):
        """Until SIGINT or SIGTERM."""
        while True:
            self.start_workers()
            for number in received(signals, self.seconds_to_wait()):
                if number == signal.SIGHUP:
                    self.hand_over()
                elif number in (signal.SIGINT, signal.SIGTERM):
                    return
            self.look_after_workers()

    def start_workers(self):
        while len(self.workers) < self.number and time.monotonic() >= self.next_start:
            worker = Worker(self.sock)
            self.workers.append(worker)
            if worker.listens():
                say(f'worker {worker.process.pid} is there')
            else:
                break

    def seconds_to_wait(self):
        if len(self.workers) == self.number:
            return None
        return max(0, self.next_start - time.monotonic())

    def look_after_workers(self):
        for worker in [worker for worker in self.workers if worker.has_ended()]:
            self.workers.remove(worker)
            lived = time.monotonic() - worker.started
            # One that can't even start is not started again and again without a pause.
            self.wait = 0 if lived >= LONG_ENOUGH else min(max(2 * self.wait, 0.1), LONGEST_WAIT)
            self.next_start = time.monotonic() + self.wait
            say(f'worker {worker.process.pid} has ended: {worker.process.returncode}')
        for worker in [worker for worker in self.leaving if worker.has_ended()]:
            self.leaving.remove(worker)
            say(f'worker {worker.process.pid} has left')

    def hand_over(self):
        """New ones first; the old ones leave when all of these are there."""
        new = [Worker(self.sock) for _ in range(self.number)]
        listening = [worker.listens() for worker in new]  # of each: none of them must be left waiting
        if all(listening):
            new, self.workers = self.workers, new
            say('handed over to ' + ' '.join(str(worker.process.pid) for worker in self.workers))
        else:
            say('the new workers do not start: the old ones stay')
        self.dismiss(new)

    def dismiss(self, workers):
        for worker in workers:
            worker.leave()
        self.leaving += workers

    def end(self, signals):
        self.dismiss(self.workers)
        self.workers = []
        while self.leaving:
            received(signals, None)
            self.look_after_workers()


def received(signals, seconds):
    """The numbers of the signals that have come, after a wait of at most so many seconds (None: until one comes)."""
    select.select([signals], [], [], seconds)
    try:
        return list(signals.recv(4096))
    except BlockingIOError:
        return []


def listen_to_signals():
    """A socket from which their numbers can be read."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: writer)  # which has to live
    return reader


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--port', type=int, default=8080)
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--workers', type=int, default=os.cpu_count())
    options = parser.parse_args()
    signals = listen_to_signals()
    with socket.create_server((options.host, options.port), backlog=511) as sock:
        say(f'{options.workers} workers on ws://localhost:{sock.getsockname()[1]}')
        cluster = Cluster(sock, options.workers)
        cluster.run(signals)
        cluster.end(signals)


if __name__ == '__main__':
    main()
