"""What a stranger can do to a server: each attack against a fresh child process, beside a bystander.

    python -m load.attacks [--ws FOLDER] [NUMBER...]

prints for each of them how it ended, the longest that the bystander waited for an echo (milliseconds), the CPU time it
cost the server (seconds) and the memory it cost it at the most (MiB). ``--ws`` attacks the library of another checkout,
for figures before and after a change; only these attacks: ``load.attacks 1 8``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import trustme
from load.bystander import TEST, Bystander
from load.soak import certificate_of
from process import Failed, Process, Server

from ws.protocol.frames import build_frame

TEXT, BINARY, PING, CONTINUATION = 1, 2, 9, 0
#: How long, in seconds, an attack's consequences may last before they are taken for endless.
PATIENCE = 60
DEFLATE = {'perMessageDeflate': True}


class Victim(Server):
    """The server under attack."""

    def __init__(self, attack: Attack, library: Path, core: int) -> None:
        environment = {'PYTHONPATH': os.pathsep.join([str(library), str(TEST)])}
        settings = json.dumps({'options': attack.options, 'application': attack.application, **attack.settings})
        super().__init__([sys.executable, '-m', 'load.victim', settings], core, TEST, environment)

    def connections(self) -> dict[str, float]:
        """What it has counted, if its loop still answers."""
        self.write_line('')
        return self.answer(PATIENCE)

    def settle(self) -> None:
        """Wait until it works no more than for the bystander."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(0.1)
            if self.cpu_seconds() - before < 0.06:
                return

    def memory(self) -> float:
        return self.status('VmRSS') / 1024

    def peak(self) -> float:
        return self.status('VmHWM') / 1024

    def start_peak_anew(self) -> None:
        Path('/proc', str(self.pid), 'clear_refs').write_text('5')


@dataclass
class Attack:
    """One row of the table."""

    number: str
    title: str
    run: Callable[[Victim], str]
    options: dict[str, Any] = field(default_factory=dict)
    application: Optional[str] = None
    settings: dict[str, Any] = field(default_factory=dict)


# -- the wire ---------------------------------------------------------------------------------------------------------


def request(
    *lines: str, key: str = 'dGhlIHNhbXBsZSBub25jZQ==', start: str = 'GET / HTTP/1.1', body: bytes = b''
) -> bytes:
    head = [start, 'Host: 127.0.0.1', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13']
    return '\r\n'.join([*head, f'Sec-WebSocket-Key: {key}', *lines, '', '']).encode('latin-1') + body


HIXIE = (
    b'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:ds[4U'
)


@contextlib.contextmanager
def tcp(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(('127.0.0.1', port), PATIENCE) as sock:
        yield sock


def read_answer(sock: socket.socket) -> bytes:
    """The head of the answer, or as much of it as there is."""
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        try:
            piece = sock.recv(1)
        except OSError:
            break
        if not piece:
            break
        head += piece
    return head


def status(head: bytes) -> str:
    return head[9:12].decode('latin-1') if head else 'no answer'


@contextlib.contextmanager
def opened(port: int, head: Optional[bytes] = None) -> Iterator[socket.socket]:
    with tcp(port) as sock:
        sock.sendall(request() if head is None else head)
        answer = read_answer(sock)
        if status(answer) != '101':
            raise Failed(f'refused: {answer[:40]!r}')
        yield sock


def opened_with_deflate(port: int) -> contextlib.AbstractContextManager[socket.socket]:
    return opened(port, request('Sec-WebSocket-Extensions: permessage-deflate'))


def frame(opcode: int, payload: bytes, fin: bool = True, compressed: bool = False) -> bytes:
    data = bytearray(build_frame(opcode, payload, fin, True))
    if compressed:
        data[0] |= 0x40
    return bytes(data)


def deflate(data: bytes, final: bool = False) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    if final:  # RFC 7692 section 7.2.3.4: with BFINAL set
        return compressor.compress(data) + compressor.flush(zlib.Z_FINISH) + b'\0'
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def close_code(sock: socket.socket) -> str:
    """How the server ended the connection."""
    data = b''
    sock.settimeout(PATIENCE)
    try:
        while True:
            piece = sock.recv(1 << 16)
            if not piece:
                break
            data = data[-64:] + piece
    except TimeoutError:
        return 'still open'
    except OSError:
        return 'reset'
    at = data.rfind(b'\x88')
    return str(struct.unpack('!H', data[at + 2 : at + 4])[0]) if 0 <= at <= len(data) - 4 else 'cut off'


def send_all(sock: socket.socket, data: bytes) -> str:
    """Send it, and then something that is answered if the connection is still open."""
    try:
        sock.sendall(data + frame(PING, b'there?'))
    except OSError:
        return close_code(sock)
    received = b''
    try:
        while b'\x8a\x06there?' not in received:
            piece = sock.recv(1 << 16)
            if not piece:
                at = received.rfind(b'\x88')
                return f'closed {struct.unpack("!H", received[at + 2 : at + 4])[0] if at >= 0 else ""}'
            received = received[-64:] + piece
    except OSError:
        return 'reset'
    return 'taken'


# -- attacks ----------------------------------------------------------------------------------------------------------


def nothing(victim: Victim) -> str:
    time.sleep(2)
    return 'what is measured without an attack'


def cookies(victim: Victim) -> str:
    with tcp(victim.port) as sock:
        sock.sendall(request('Cookie: a="' + '\\' * 15_900 + '"'))
        return status(read_answer(sock))


def final_blocks(victim: Victim) -> str:
    with opened_with_deflate(victim.port) as sock:
        return send_all(sock, frame(BINARY, b'\x03\x00' * (1 << 19), compressed=True))


def final_block_without_its_byte(victim: Victim) -> str:
    """Whether what follows is the same however TCP cuts it."""
    first = zlib.compressobj(9, wbits=-15)
    message = frame(TEXT, first.compress(b'one') + first.flush(zlib.Z_FINISH), compressed=True)
    data = message + frame(TEXT, deflate(b'two'), compressed=True) + frame(8, b'\x03\xe8')
    outcomes = set()
    for size in (len(data), 1, 3, 7):
        with opened_with_deflate(victim.port) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                for start in range(0, len(data), size):
                    sock.sendall(data[start : start + size])
                    if size < len(data):
                        time.sleep(0.002)
            received = b''
            with contextlib.suppress(OSError):
                while piece := sock.recv(4096):
                    received += piece
            outcomes.add(received)
    return f'{len(outcomes)} outcome(s) of 4 cuts'


def no_limit(victim: Victim) -> str:
    with opened_with_deflate(victim.port) as sock:
        return send_all(sock, frame(TEXT, deflate(b'x' * 5000), compressed=True))


def bodies(victim: Victim) -> str:
    body = frame(TEXT, b'GET /x')
    outcomes = {}
    for name, lines in {
        'length': ['Content-Length: 12'],
        'chunked': ['Transfer-Encoding: chunked'],
        'both': ['Content-Length: 12', 'Transfer-Encoding: chunked'],
    }.items():
        outcomes[name] = _status_of(victim, request(*lines, body=body))
    outcomes['HTTP/1.9'] = _status_of(victim, request(start='GET / HTTP/1.9'))
    outcomes['key'] = _status_of(victim, request(key='dGhlIHNhbXBsZSBub25jZR=='))
    outcomes['target'] = _status_of(victim, request(start='GET x HTTP/1.1'))
    outcomes['host'] = _status_of(victim, request().replace(b'Host: 127.0.0.1', b'Host: a b/c'))
    return ', '.join(f'{name} {outcome}' for name, outcome in outcomes.items())


def _status_of(victim: Victim, data: bytes) -> str:
    with tcp(victim.port) as sock:
        sock.sendall(data)
        return status(read_answer(sock))


def header_lines(victim: Victim) -> str:
    with tcp(victim.port) as sock:
        sock.sendall(request())
        head = read_answer(sock)
        return f'{status(head)}, {len(head)} bytes of head'


def wide_text(victim: Victim) -> str:
    """100 MiB of text, one character of four bytes in each 16 KiB."""
    piece = 'x' * (16384 - 4) + '😀'
    compressed = deflate((piece * (100 * (1 << 20) // 16384)).encode()[: (100 << 20) - 1024])
    with opened_with_deflate(victim.port) as sock:
        return f'{len(compressed) >> 10} KiB: ' + send_all(sock, frame(TEXT, compressed, compressed=True))


def _flood(kind: bytes, size: int = 128 << 10) -> Callable[[Victim], str]:
    def run(victim: Victim) -> str:
        with opened(victim.port) as sock:
            return send_all(sock, kind * (size // len(kind)))

    return run


def fragments(victim: Victim) -> str:
    with opened(victim.port) as sock:
        start = frame(TEXT, b'', fin=False)
        rest = frame(CONTINUATION, b'', fin=False) * ((128 << 10) // 6) + frame(CONTINUATION, b'')
        return send_all(sock, start + rest)


def hixie_texts(victim: Victim) -> str:
    with opened(victim.port, HIXIE) as sock:
        sock.sendall(b'\x00\xff' * (64 << 10) + b'\xff\x00')
        return close_code(sock)


def bombs(victim: Victim) -> str:
    """Eight at once, 16 MB each when they are inflated."""
    bomb = frame(BINARY, deflate(bytes(16_000_000)), compressed=True)
    with opened_with_deflate(victim.port) as sock:
        return f'{8 * len(bomb) >> 10} KiB: ' + send_all(sock, bomb * 8)


def never_reads(victim: Victim) -> str:
    """It asks for 64 MiB of echoes."""
    message = frame(BINARY, bytes(64 << 10))
    with opened(victim.port) as sock:
        sent = 0
        sock.settimeout(5)
        try:
            for _ in range(1024):
                sock.sendall(message)
                sent += len(message)
        except TimeoutError:
            return f'read no further after {sent >> 20} MiB'
        except OSError:
            return f'ended after {sent >> 20} MiB'
        return f'{sent >> 20} MiB taken'


def many_descriptors(victim: Victim) -> str:
    """More than select has room for: 1,024 on Linux, 512 on Windows."""
    with contextlib.ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(tcp(victim.port))
        time.sleep(1)
    with tcp(victim.port) as sock:
        sock.settimeout(5)
        sock.sendall(request())
        return f'afterwards: {status(read_answer(sock))}'


NAMES = """
import socket, sys, threading, time
real, hang = socket.getaddrinfo, threading.Event()
def look_up(host, *args, flags=0, **kwargs):
    if host.startswith('hangs') and not flags & socket.AI_NUMERICHOST:
        hang.wait()
    return real(host, *args, flags=flags, **kwargs)
socket.getaddrinfo = look_up
from ws import WebSocket
for number in range(4):
    WebSocket('ws://hangs%d.test/' % number).on('error', lambda error: None)
time.sleep(0.2)
started = time.monotonic()
def report(what):
    print('{}, {:.0f} ms'.format(what, (time.monotonic() - started) * 1000), flush=True)
ws = WebSocket('ws://localhost:%s/' % sys.argv[1], handshakeTimeout=5000)
ws.on('open', lambda: report('open'))
ws.on('error', lambda error: report(error))
sys.stdin.readline()
"""


def hanging_names(victim: Victim) -> str:
    environment = {'PYTHONPATH': os.environ['ATTACKED']}
    with Process([sys.executable, '-c', NAMES, str(victim.port)], CORES[1], TEST, environment) as client:
        return client.read_line(PATIENCE).strip()


def unmasked(victim: Victim) -> str:
    before = len(victim.errors())
    for _ in range(500):
        with opened(victim.port) as sock:
            sock.sendall(b'\x81\x01x')
            close_code(sock)
    return f'{(len(victim.errors()) - before) / 1000:.0f} kB on stderr'


def silent_tls(victim: Victim) -> str:
    with contextlib.ExitStack() as stack:
        for _ in range(5000):
            stack.enter_context(tcp(victim.port))
        victim.settle()
    return 'see the memory'


def out_of_descriptors(victim: Victim) -> str:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(tcp(victim.port))
        time.sleep(2)
        text = victim.errors()
    return f'{len(text.splitlines())} lines on stderr'


ATTACKS = [
    Attack('0', 'nothing', nothing),
    Attack('1', 'a cookie of 15,900 backslashes', cookies, application='cookies'),
    Attack('2', '1 MiB of final DEFLATE blocks', final_blocks, DEFLATE),
    Attack('3', 'a final block without its byte', final_block_without_its_byte, DEFLATE),
    Attack('4', 'maxPayload: sys.maxsize', no_limit, {**DEFLATE, 'maxPayload': 'no limit'}),
    Attack('5', 'a request with a body, and other odd ones', bodies),
    Attack('6', 'a headers listener that adds an empty line', header_lines, application='empty header line'),
    Attack('6b', 'the same with a folded line', header_lines, application='folded header line'),
    Attack('7', '100 MiB of text with emojis, compressed', wide_text, DEFLATE),
    Attack('8a', '128 KiB of empty fragments', fragments),
    Attack('8b', '128 KiB of pings', _flood(frame(PING, b''))),
    Attack('8c', '128 KiB of empty Hixie texts', hixie_texts),
    Attack('8d', '128 KiB of empty messages', _flood(frame(TEXT, b''))),
    Attack('8e', 'eight bombs of 16 MB', bombs, DEFLATE),
    Attack('9', 'a client that never reads its echoes', never_reads),
    Attack('9b', 'the same with a maxBufferedAmount of 1 MiB', never_reads, {'maxBufferedAmount': 1 << 20}),
    Attack(
        '10', '1,100 connections, polled by select', many_descriptors, settings={'select': True, 'descriptors': 4096}
    ),
    Attack('11', 'four names that hang, and one that does not', hanging_names),
    Attack('12', '500 unmasked frames', unmasked),
    Attack('13', '5,000 silent connections to a TLS port', silent_tls, settings={'descriptors': 8192}),
    Attack('14', '100 connections, 64 descriptors', out_of_descriptors, settings={'descriptors': 64}),
]

# The server on one core, everybody else on another.
CORES = sorted(os.sched_getaffinity(0))[0], sorted(os.sched_getaffinity(0))[-1]


def measure(attack: Attack, library: Path) -> dict[str, Any]:
    """The outcome and the figures of one attack. The bystander of a TLS port would need TLS: there is none."""
    with contextlib.ExitStack() as stack:
        if attack.number == '13':
            attack.options = certificate_of(trustme.CA().issue_cert('127.0.0.1'))
        victim = stack.enter_context(Victim(attack, library, CORES[0]))
        bystander = None if attack.number == '13' else stack.enter_context(Bystander(victim.port, CORES[1]))
        time.sleep(0.3)
        victim.start_peak_anew()
        cpu, memory = victim.cpu_seconds(), victim.memory()
        try:
            outcome = attack.run(victim)
        except (Failed, OSError) as error:
            outcome = f'{type(error).__name__}: {error}'
        victim.settle()
        figures: dict[str, Any] = {'outcome': outcome, 'longest': -1, 'lost': 0}
        if bystander is not None:
            figures.update(bystander.finish())
        return {**figures, 'cpu': victim.cpu_seconds() - cpu, 'memory': victim.peak() - memory}


def row(attack: Attack, figures: dict[str, Any]) -> str:
    longest = 'ended' if figures['lost'] else f'{figures["longest"]:.0f}' if figures['longest'] >= 0 else ''
    cells = (
        attack.number,
        attack.title,
        figures['outcome'],
        longest,
        f'{figures["cpu"]:.2f}',
        f'{figures["memory"]:.0f}',
    )
    return f'| {" | ".join(cells)} |'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ws', type=Path, default=TEST.parent, metavar='FOLDER', help='the checkout that is attacked')
    parser.add_argument(
        '--rounds', type=int, default=3, help='of each attack, the round is shown that was disturbed least'
    )
    parser.add_argument('numbers', nargs='*', help='rows of the table; all of them by default')
    arguments = parser.parse_args()
    library = arguments.ws.resolve()
    os.environ['ATTACKED'] = str(library)
    os.sched_setaffinity(0, {CORES[1]})
    with contextlib.suppress(PermissionError):  # whatever else this machine does is not what is measured
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    print('| | attack | outcome | bystander waited, ms | CPU, s | memory, MiB |')
    print('|---|---|---|---|---|---|')
    for attack in ATTACKS:
        if not arguments.numbers or attack.number in arguments.numbers or attack.number[:-1] in arguments.numbers:
            rounds = [measure(attack, library) for _ in range(arguments.rounds)]
            print(row(attack, min(rounds, key=lambda figures: figures['longest'])), flush=True)


if __name__ == '__main__':
    main()
