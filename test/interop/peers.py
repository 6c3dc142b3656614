"""WebSocket implementations other than ours, each in a process of its own, and connections between them and us.

A peer is told what to do by lines of JSON on its standard input, ``[command, name, arguments...]``, reports by lines
``[name, event, arguments...]`` on its standard output, and ends when its input does. Bytes travel as
``{"base64": ...}``. A connection's name is the path of its URL; what the peer shall do with it stands in the query:

- ``echo``: send every message back instead of reporting it;
- ``pipe``, if it is Node's ws 8: pipe its createWebSocketStream into itself instead;
- and if the peer is the server: ``greeting=text``: send this at once; ``protocol=name``: select this sub-protocol,
  or none if it is empty; ``refuse``: answer with status 401; ``deflate=json``, if it is Node's ws 8:
  its option ``perMessageDeflate``. Clients of ws 8 and ``websockets`` take that as an option ``deflate``, and the
  server of ``websockets`` always accepts it.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import itertools
import json
import queue
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from support import TIMEOUT, Log, Waiter, server, url_of

from ws import WebSocket, WebSocketServer

HERE = Path(__file__).parent

_numbers = itertools.count(1)


class Kind(NamedTuple):
    """An implementation that can be a peer."""

    name: str
    package: str
    node: bool

    def __str__(self) -> str:
        return self.name

    def missing(self) -> Optional[str]:
        """What is not there, or None."""
        if not self.node:
            return None if importlib.util.find_spec(self.package) else f'the Python package {self.package}'
        if shutil.which('node') is None:
            return 'node'
        found = (HERE / 'node' / 'node_modules' / self.package).is_dir()
        return None if found else f'the npm package {self.package} (make node-peers installs it)'

    def command(self) -> list[str]:
        if self.node:
            # 0.4.31 uses what Node has deprecated since.
            return ['node', '--no-deprecation', str(HERE / 'node' / 'peer.js'), self.package]
        return [sys.executable, str(HERE / 'python' / f'{self.package}_peer.py')]


WS_8 = Kind('ws8', 'ws', node=True)
WS_0 = Kind('ws0.4.31', 'ws-0.4.31', node=True)
WEBSOCKETS = Kind('websockets', 'websockets', node=False)
AIOHTTP = Kind('aiohttp', 'aiohttp', node=False)
KINDS = [WS_8, WS_0, WEBSOCKETS, AIOHTTP]


class Certificates(NamedTuple):
    """Files in PEM: an authority, and a server's certificate and key, for 127.0.0.1 and no other name."""

    ca: Path
    certificate: Path
    key: Path


class Peer:
    """A running peer."""

    def __init__(self, kind: Kind, certificates: Certificates) -> None:
        self.kind = kind
        self.certificates = certificates
        self._events: dict[str, queue.SimpleQueue[Any]] = defaultdict(queue.SimpleQueue)
        self._lock = threading.Lock()
        self._other_output: list[str] = []
        self._process = subprocess.Popen(
            [*kind.command(), str(certificates.certificate), str(certificates.key)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding='utf-8',
        )
        self._reader = threading.Thread(target=self._read, name=f'reads from {kind}', daemon=True)
        self._reader.start()
        try:
            _, self._port, self._secure_port = self.next('')
        except BaseException:
            self.end()
            raise

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith('["'):
                name, *event = json.loads(line)
                self._queue(name).put(tuple(map(_decode, event)))
            else:
                self._other_output.append(line)

    def _queue(self, name: str) -> queue.SimpleQueue[Any]:
        with self._lock:
            return self._events[name]

    def end(self) -> None:
        """End the process, by its own means if it can."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            status = self._process.wait(TIMEOUT)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            self._process.stdout.close()
        assert status == 0, f'{self.kind} ended with status {status}: {"".join(self._other_output)}'

    def tell(self, command: str, name: str, *args: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, name, *map(_encode, args)]) + '\n')
        self._process.stdin.flush()

    def next(self, name: str) -> Any:
        """The next event of the connection `name`, ``(event, arguments...)``."""
        try:
            return self._queue(name).get(timeout=TIMEOUT)
        except queue.Empty:
            said = ''.join(self._other_output)
            raise AssertionError(f'{self.kind} reported nothing within {TIMEOUT} s; {said}') from None

    def url(self, target: str, secure: bool = False, host: str = '127.0.0.1') -> str:
        scheme, port = ('wss', self._secure_port) if secure else ('ws', self._port)
        return f'{scheme}://{host}:{port}{target}'


def _encode(value: Any) -> Any:
    if isinstance(value, bytes):
        return {'base64': base64.b64encode(value).decode()}
    return [_encode(item) for item in value] if isinstance(value, list) else value


def _decode(value: Any) -> Any:
    return base64.b64decode(value['base64']) if isinstance(value, dict) and 'base64' in value else value


class Theirs:
    """The peer's end of a connection."""

    def __init__(self, peer: Peer, name: str) -> None:
        self._peer = peer
        self._name = name

    def next(self) -> Any:
        return self._peer.next(self._name)

    def send(self, data: Any) -> None:
        self._peer.tell('send', self._name, data)

    def send_fragments(self, pieces: list[Any], pings: bool) -> None:
        """A message in several frames, if wanted with pings between them: ``1``, ``2``, ..."""
        self._peer.tell('fragments', self._name, pieces, pings)

    def ping(self, data: bytes) -> None:
        self._peer.tell('ping', self._name, data)

    def pong(self, data: bytes) -> None:
        self._peer.tell('pong', self._name, data)

    def close(self, *args: Any) -> None:
        self._peer.tell('close', self._name, *args)

    def vanish(self) -> None:
        self._peer.tell('vanish', self._name)


class Ours:
    """Our end of a connection."""

    def __init__(self, ws: WebSocket) -> None:
        self.ws = ws
        self._log = Log(ws, 'open', 'message', 'ping', 'pong', 'error', 'close')

    def next(self) -> Any:
        """The next event, ``(event, arguments...)``, without the flags that only we have."""
        event, *args = self._log.get()
        return (event, args[0]) if event in ('message', 'ping', 'pong') else (event, *args)


class Ends(NamedTuple):
    ours: Ours
    theirs: Theirs


def _target(query: str) -> tuple[str, str]:
    name = f'/{next(_numbers)}'
    return name, f'{name}?{query}'


@contextlib.contextmanager
def calling(
    peer: Peer, query: str = '', *, secure: bool = False, host: str = '127.0.0.1', **options: Any
) -> Iterator[Ends]:
    """Our client, with these options, on its way to their server."""
    name, target = _target(query)
    if secure:
        options = {'ca': peer.certificates.ca.read_text(), **options}
    ws = WebSocket(peer.url(target, secure, host), options)
    try:
        yield Ends(Ours(ws), Theirs(peer, name))
    finally:
        ws.terminate()


@contextlib.contextmanager
def our_server(peer: Peer, *, secure: bool = False, **options: Any) -> Iterator[WebSocketServer]:
    if secure:
        cert, key = peer.certificates.certificate.read_text(), peer.certificates.key.read_text()
        options = {'cert': cert, 'key': key, **options}
    with server(**options) as wss:
        yield wss


def call_us(peer: Peer, wss: WebSocketServer, query: str = '', host: str = '127.0.0.1', **options: Any) -> Theirs:
    """Their client, with these options, on its way to our server."""
    name, target = _target(query)
    url = url_of(wss, target, 'wss' if wss.options.cert else 'ws').replace('127.0.0.1', host)
    if wss.options.cert:
        options = {'ca': str(peer.certificates.ca), **options}
    peer.tell('connect', url, options)
    return Theirs(peer, name)


@contextlib.contextmanager
def called(peer: Peer, query: str = '', *, secure: bool = False, **options: Any) -> Iterator[Ends]:
    """Their client, with these options, connected to our server."""
    with our_server(peer, secure=secure) as wss:
        connected = Waiter()
        wss.on('connection', lambda ws: connected(Ours(ws)))
        theirs = call_us(peer, wss, query, **options)
        yield Ends(*connected.get(), theirs)


@contextlib.contextmanager
def both_open(role: str, peer: Peer, query: str = '', **options: Any) -> Iterator[Ends]:
    """A connection between us, in that `role`, and the peer in the other one."""
    with (calling if role == 'client' else called)(peer, query, **options) as ends:
        if role == 'client':
            assert ends.ours.next() == ('open',)
        assert ends.theirs.next()[0] == 'open'
        yield ends
