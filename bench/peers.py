"""Who is measured: servers and clients, and how each is started."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any, Optional

from process import settings_argument
from scenarios import Scenario

BENCH = Path(__file__).resolve().parent
OURS, OURS_OPTIONS, OURS_POOL, OURS_PURE, CEILING = 'ws', 'ws-options', 'ws-pool', 'ws-pure', 'c'
#: This package, in all its forms.
ALL_OURS = (OURS, OURS_OPTIONS, OURS_POOL, OURS_PURE)


@dataclass(frozen=True)
class Peer:
    """A program and the packages it uses.

    - ``compiled``: whether any of them has compiled code; that of the standard library does not count
    - ``gives_str``: whether it hands out text as text; the others count as peers only where messages are binary
    - ``settings``: for the program's argument, see servers/common.py
    - ``without``: why it has no part in some scenarios, by their mode or kind, or by 'tls' or 'deflate'
    - ``remarks``: what it does in another way than the rest, by the same
    """

    name: str
    file: str
    packages: tuple[str, ...]
    compiled: bool = True
    gives_str: bool = True
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    by_default: bool = True

    def command(self, mode: str, **settings: Any) -> list[str]:
        if self.name == CEILING:
            return ['build/echo', mode]
        program = (shutil.which('node') or 'node') if self.file.endswith('.js') else sys.executable
        return [program, self.file, settings_argument(mode=mode, **settings, **self.settings)]

    def reason_to_skip(self, scenario: Scenario) -> Optional[str]:
        return _first(self.without, scenario)

    def remark(self, scenario: Scenario) -> Optional[str]:
        return _first(self.remarks, scenario)

    def version(self) -> str:
        """Raises LookupError or OSError if something of it is not installed."""
        if self.name == CEILING:
            return 'echo.c'
        if self.name in ALL_OURS:
            return _version_of_ours(self.name)
        if self.file.endswith('.js'):
            return ', '.join([_output_of('node', '--version'), *map(_version_of_node_package, self.packages)])
        return ', '.join(f'{package} {metadata.version(package)}' for package in self.packages)


def _first(texts: dict[str, str], scenario: Scenario) -> Optional[str]:
    features = [scenario.mode, scenario.kind] + ['tls'] * scenario.tls + ['deflate'] * scenario.deflate
    return next((texts[feature] for feature in features if feature in texts), None)


def _version_of_ours(name: str) -> str:
    source = metadata.version('node-ws')
    if (BENCH.parent / '.git').exists():
        source = f'commit {_output_of("git", "describe", "--always", "--dirty")}'
    if name == OURS_PURE:
        return f'{source}, its pure-Python fallback'
    built = util.find_spec('ws._native.speedups') is not None
    return f'{source}, {"with" if built else "WITHOUT"} its accelerator in C'


def _output_of(*command: str) -> str:
    return subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=True).stdout.strip()


def _version_of_node_package(name: str) -> str:
    return f'{name} {json.loads((BENCH / "node_modules" / name / "package.json").read_text())["version"]}'


_uvloop = {'uvloop': True}
_pure = {'WS_NO_SPEEDUPS': '1'}
_threads = {'idle': 'it needs 2 or 3 threads for each connection'}
_plain = dict.fromkeys(('tls', 'deflate'), 'those without compiled code are compared on plain connections')
_unchecked = 'text is bytes to it, whose UTF-8 it does not check unless asked, and no peer here'

SERVERS = [
    Peer(CEILING, 'echo.c', (), without={'tls': 'it has no TLS', 'deflate': 'it has no permessage-deflate'}),
    Peer(OURS, 'servers/ws_server.py', ()),
    Peer(
        OURS_OPTIONS,
        'servers/ws_server.py',
        (),
        settings={'options': True},
        without={'idle': 'nothing is sent', **dict.fromkeys(('tls', 'deflate'), 'it is compared on plain connections')},
    ),
    Peer(OURS_POOL, 'servers/ws_server.py', (), settings={'threads': 2}, by_default=False),
    Peer(OURS_PURE, 'servers/ws_server.py', (), compiled=False, environment=_pure),
    Peer(
        'picows',
        'servers/picows_server.py',
        ('picows', 'uvloop', 'aiofastnet'),
        gives_str=False,
        settings=_uvloop,
        without={'deflate': 'it has no permessage-deflate'},
        remarks={'text': _unchecked, 'unicode': _unchecked},
    ),
    Peer(
        'node',
        'servers/node_server.js',
        ('ws', 'bufferutil'),
        gives_str=False,
        remarks=dict.fromkeys(('text', 'unicode', 'json'), 'text is bytes to it, and no peer here'),
    ),
    Peer('aiohttp-uvloop', 'servers/aiohttp_server.py', ('aiohttp', 'uvloop'), settings=_uvloop),
    Peer('websockets-uvloop', 'servers/websockets_server.py', ('websockets', 'uvloop'), settings=_uvloop),
    Peer('websockets-threads', 'servers/websockets_threads_server.py', ('websockets',), without=_threads),
    Peer('tornado', 'servers/tornado_server.py', ('tornado',)),
    Peer(
        'uvicorn',
        'servers/uvicorn_server.py',
        ('uvicorn', 'httptools', 'websockets', 'uvloop'),
        settings=_uvloop,
        remarks={'deflate': 'level 6, memLevel 5, windows of 12 bits; they cannot be set'},
    ),
    Peer(
        'simple-websocket',
        'servers/simple_websocket_server.py',
        ('simple-websocket', 'wsproto', 'werkzeug'),
        compiled=False,
        without={**_threads, **_plain},
    ),
    Peer('wsproto', 'servers/wsproto_server.py', ('wsproto',), compiled=False, without=_plain),
    Peer(
        'websockets-pure',
        'servers/websockets_server.py',
        ('websockets',),
        compiled=False,
        settings={'without': 'websockets.speedups'},
        without=_plain,
    ),
    Peer(
        'tornado-pure',
        'servers/tornado_server.py',
        ('tornado',),
        compiled=False,
        environment={'TORNADO_EXTENSION': '0'},
        without=_plain,
    ),
    Peer('aiohttp', 'servers/aiohttp_server.py', ('aiohttp',), by_default=False),
    Peer('websockets', 'servers/websockets_server.py', ('websockets',), by_default=False),
]

CLIENTS = [
    Peer(OURS, 'clients/ws_client.py', ()),
    Peer(OURS_PURE, 'clients/ws_client.py', (), compiled=False, environment=_pure),
    Peer('picows', 'clients/picows_client.py', ('picows', 'uvloop', 'aiofastnet'), settings=_uvloop),
    Peer('node', 'clients/node_client.js', ('ws', 'bufferutil')),
    Peer('aiohttp-uvloop', 'clients/aiohttp_client.py', ('aiohttp', 'uvloop'), settings=_uvloop),
    Peer('websockets-uvloop', 'clients/websockets_client.py', ('websockets', 'uvloop'), settings=_uvloop),
    Peer('websockets-threads', 'clients/websockets_threads_client.py', ('websockets',)),
    Peer('websocket-client', 'clients/websocket_client_client.py', ('websocket-client', 'wsaccel')),
    Peer(
        'websocket-client-pure',
        'clients/websocket_client_client.py',
        ('websocket-client',),
        compiled=False,
        settings={'without': 'wsaccel'},
    ),
]


def peers_of(scenario: Scenario) -> list[Peer]:
    return CLIENTS if scenario.mode == 'client' else SERVERS
