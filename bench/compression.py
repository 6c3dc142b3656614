"""What compression costs a server: memory of each connection, bytes on the wire, CPU time; see doc/compression.md.

For each of several settings, a fresh server process echoes JSON messages to many connections. Memory is the server's,
resident, when all messages have been echoed and the connections are idle. Linux only.

Usage: compression.py [connections]
"""

from __future__ import annotations

import json
import random
import sys
import threading
from pathlib import Path
from typing import Any

from process import Server

from ws import WebSocket

MESSAGES = 200  # on each connection
TIMEOUT = 120  # seconds

_alone = {'serverNoContextTakeover': True, 'clientNoContextTakeover': True}
SETTINGS: dict[str, Any] = {
    'False': False,
    'True': True,
    'windows of 12 bits, memLevel 5': {
        'serverMaxWindowBits': 12,
        'clientMaxWindowBits': 12,
        'zlibDeflateOptions': {'memLevel': 5},
    },
    'windows of 9 bits, memLevel 1': {
        'serverMaxWindowBits': 9,
        'clientMaxWindowBits': 9,
        'zlibDeflateOptions': {'memLevel': 1},
    },
    'level 1': {'zlibDeflateOptions': {'level': 1}},
    'serverNoContextTakeover': {'serverNoContextTakeover': True},
    'both NoContextTakeover': _alone,
    'both NoContextTakeover, threshold 0': {**_alone, 'threshold': 0},
}


def make_message(randomness: random.Random) -> str:
    """About 500 bytes of JSON, as a program sends them all the time."""
    quotes = [
        {'symbol': symbol, 'price': round(randomness.uniform(10, 500), 2), 'volume': randomness.randrange(100_000)}
        for symbol in randomness.sample(['AAPL', 'MSFT', 'GOOG', 'AMZN', 'TSLA', 'NFLX', 'INTC', 'ORCL'], 8)
    ]
    return json.dumps({'type': 'quotes', 'number': randomness.randrange(10**9), 'quotes': quotes})


class Client:
    """Sends its messages one after the other, each when the one before has come back."""

    def __init__(self, url: str, messages: list[str], done: threading.Semaphore) -> None:
        self.ws = WebSocket(url)
        self._messages = iter(messages)
        self._done = done
        self.ws.on('open', done.release)
        self.ws.on('message', self.send_next)

    def send_next(self) -> None:
        message = next(self._messages, None)
        if message is None:
            self._done.release()
        else:
            self.ws.send(message)


def measure(setting: Any, number: int) -> tuple[float, float, float]:
    """KiB for each connection; bytes sent to the client, and microseconds of CPU time, for each message."""
    folder = Path(__file__).parent / 'servers'
    command = [sys.executable, 'compression_server.py', json.dumps(setting)]
    randomness = random.Random(1)
    done = threading.Semaphore(0)
    with Server(command, 0, folder) as server:
        before = server.status('VmRSS')
        url = f'ws://127.0.0.1:{server.port}'
        clients = [Client(url, [make_message(randomness) for _ in range(MESSAGES)], done) for _ in range(number)]
        wait(done, number)
        started = server.cpu_seconds()
        for client in clients:
            client.send_next()
        wait(done, number)
        seconds = server.cpu_seconds() - started
        memory = server.status('VmRSS') - before
        received = sum(client.ws.bytesReceived for client in clients)
        for client in clients:
            client.ws.terminate()
    messages = number * MESSAGES
    return memory / number, received / messages, seconds / messages * 1e6


def wait(done: threading.Semaphore, number: int) -> None:
    for _ in range(number):
        if not done.acquire(timeout=TIMEOUT):
            raise SystemExit('the connections did not get what they were to get')


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f'{"perMessageDeflate":36}  {"KiB/connection":>14}  {"bytes/message":>13}  {"CPU µs/message":>14}')
    for name, setting in SETTINGS.items():
        memory, size, time = measure(setting, number)
        print(f'{name:36}  {memory:14.0f}  {size:13.0f}  {time:14.0f}', flush=True)


if __name__ == '__main__':
    main()
