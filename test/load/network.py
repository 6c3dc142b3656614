"""Two hosts and the wire between them, on one machine: a network namespace for each, and in each a TUN device, whose
packets a thread carries across: late, out of order, twice or not at all.

It needs neither root nor the tools of iproute2, only a Linux that lets users make namespaces, and /dev/net/tun. What a
kernel's own netem does is done here, so that it is the same on every machine, and repeats with its seed.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Optional

from process import Process

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x4004_54CA, 0x0001, 0x1000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40
NETMASK = '255.255.255.252'
PACKET = 1 << 16


class Unavailable(Exception):
    """This machine makes no namespaces, or no TUN devices."""


# -- inside a namespace -----------------------------------------------------------------------------------------------


def enter_namespace() -> None:
    """A network of its own for this process, which must have one thread only."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise Unavailable(f'unshare: {os.strerror(ctypes.get_errno())}')


def make_device(address: str) -> int:
    """The descriptor of a TUN device with this address, up; and the loopback device."""
    try:
        device = os.open('/dev/net/tun', os.O_RDWR)
        fcntl.ioctl(device, TUNSETIFF, _request('wire', struct.pack('H', IFF_TUN | IFF_NO_PI)))
    except OSError as error:
        raise Unavailable(f'/dev/net/tun: {error.strerror}') from None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFADDR, _request('wire', _address(address)))
        fcntl.ioctl(control, SIOCSIFNETMASK, _request('wire', _address(NETMASK)))
        for name in 'wire', 'lo':
            fcntl.ioctl(control, SIOCSIFFLAGS, _request(name, struct.pack('H', IFF_UP | IFF_RUNNING)))
    return device


def _request(name: str, value: bytes) -> bytes:
    """A ``struct ifreq``: see netdevice(7)."""
    return struct.pack('16s24s', name.encode(), value)


def _address(text: str) -> bytes:
    return struct.pack('HH4s', socket.AF_INET, 0, socket.inet_aton(text))


def be_host(address: str, channel: int) -> None:
    """Enter a namespace, and hand the device in through the socket `channel`."""
    with socket.socket(fileno=channel) as sock:
        try:
            enter_namespace()
            device = make_device(address)
        except Unavailable as error:
            sock.sendall(str(error).encode())
            sys.exit(1)
        socket.send_fds(sock, [b'device'], [device])
        os.close(device)


# -- outside ----------------------------------------------------------------------------------------------------------


class Host(Process):
    """A program of this folder that runs in a namespace of its own; ``device`` is its end of the wire."""

    def __init__(self, address: str, program: str, settings: dict[str, Any], core: int, folder: Path) -> None:
        mine, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        self.device = -1
        arguments = [address, str(theirs.fileno()), program, json.dumps(settings)]
        with mine, theirs:
            super().__init__(
                [sys.executable, '-m', 'load.host', *arguments],
                core,
                folder,
                {'PYTHONPATH': os.pathsep.join(sys.path)},
                pass_fds=[theirs.fileno()],
            )
            theirs.close()
            try:
                message, descriptors, _, _ = socket.recv_fds(mine, 1000, 1)
                if not descriptors:
                    raise Unavailable(message.decode() or self.last_error())
                self.device = descriptors[0]
            except BaseException:
                self.kill()
                raise

    def kill(self) -> None:
        super().kill()
        if self.device >= 0:
            os.close(self.device)
            self.device = -1


class Wire:
    """Carries packets between two devices, until it is closed.

    ``delay`` and ``jitter``: seconds; each packet has its own, so that jitter puts them out of order. ``loss`` and
    ``twice``: of all packets, this share. ``up``: whether it carries any at all.
    """

    def __init__(self, one: int, other: int, seed: int) -> None:
        self.delay = self.jitter = self.loss = self.twice = 0.0
        self.up = True
        self.carried = self.lost = 0
        self._across = {one: other, other: one}
        self._random = random.Random(seed)
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._numbers = 0
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def set(self, delay: float = 0, jitter: float = 0, loss: float = 0, twice: float = 0, up: bool = True) -> None:
        self.delay, self.jitter, self.loss, self.twice, self.up = delay, jitter, loss, twice, up

    def close(self) -> None:
        os.close(self._woken)
        self._thread.join()
        os.close(self._wake)

    def _run(self) -> None:
        while True:
            timeout = max(self._under_way[0][0] - time.monotonic(), 0) if self._under_way else None
            ready, _, _ = select.select([*self._across, self._wake], [], [], timeout)
            if self._wake in ready:
                return
            for device in ready:
                self._take(self._across[device], os.read(device, PACKET))
            self._deliver(time.monotonic())

    def _take(self, to: int, packet: bytes) -> None:
        for _ in range(1 + (self._random.random() < self.twice)):
            if not self.up or self._random.random() < self.loss:
                self.lost += 1
                continue
            due = time.monotonic() + self.delay + self._random.random() * self.jitter
            self._numbers += 1
            heapq.heappush(self._under_way, (due, self._numbers, to, packet))

    def _deliver(self, now: float) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            _, _, to, packet = heapq.heappop(self._under_way)
            if self.up:
                self.carried += 1
                _write(to, packet)


def _write(device: int, packet: bytes) -> None:
    try:
        os.write(device, packet)
    except OSError:  # the host has gone
        pass


def check() -> Optional[str]:
    """Why there can be no such network here, or None."""
    if sys.platform != 'linux':
        return 'there are no network namespaces'
    program = 'from load.network import enter_namespace, make_device; enter_namespace(); make_device("10.77.0.1")'
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip().rpartition('\n')[2]
