"""Several machines on one: a network namespace for each, wired to that of the program by a pair of veth devices.

It needs no root, only a Linux that lets users make namespaces, and the programs of util-linux and iproute2. None of it
has a name outside: it is gone with the last process in there, and those end with the program, however that ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Optional

_INSIDE = 'WS_INSIDE_NAMESPACE'
_PROGRAMS = 'unshare', 'nsenter', 'setpriv', 'ip'


def check() -> Optional[str]:
    """Why there can be no machines here, or None."""
    if _INSIDE in os.environ:
        return None
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f'{", ".join(missing)} not found'
    trial = 'ip link add veth0 type veth peer name veth1 && setpriv --pdeathsig KILL true'
    done = subprocess.run([*_namespaces(), 'sh', '-c', trial], capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip().rpartition('\n')[2]


def enter(module: str) -> None:
    """Go on in namespaces of its own: run `module` there, with the arguments of this program, in its place."""
    if _INSIDE in os.environ:
        ip('link set lo up')
        return
    os.environ[_INSIDE] = 'yes'
    os.execvp('unshare', [*_namespaces(), sys.executable, '-m', module, *sys.argv[1:]])


def _namespaces() -> list[str]:
    return ['unshare', '--user', '--map-root-user', '--net']


def ip(arguments: str, *prefix: str) -> None:
    """The program of that name."""
    subprocess.run([*prefix, 'ip', *arguments.split()], check=True)


def with_us(*command: str) -> list[str]:
    """The command that is killed when we die."""
    return ['setpriv', '--pdeathsig', 'KILL', *command]


class Machine:
    """``address``: that of the machine; ``gateway``: ours, on its wire. Ends with a ``with`` block."""

    def __init__(self, number: int) -> None:
        self.address, self.gateway = f'10.78.{number}.2', f'10.78.{number}.1'
        # A namespace lives as long as somebody is in there.
        self._holder = subprocess.Popen(
            with_us('unshare', '--net', 'sh', '-c', 'echo there; exec cat'),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert self._holder.stdout is not None and self._holder.stdout.readline()
            ip(f'link add veth{number} type veth peer name wire netns {self._holder.pid}')
            ip(f'address add {self.gateway}/30 dev veth{number}')
            ip(f'link set veth{number} up')
            for arguments in f'address add {self.address}/30 dev wire', 'link set wire up', 'link set lo up':
                ip(arguments, *self.command())
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *details: object) -> None:
        self._end()

    def _end(self) -> None:
        self._holder.kill()
        self._holder.communicate()

    def command(self, *command: str) -> list[str]:
        """What runs `command` there."""
        return ['nsenter', f'--net=/proc/{self._holder.pid}/ns/net', *command]
