"""Proxies: little ones that do what a test wants, and real ones as child processes."""

from __future__ import annotations

import contextlib
import http.server
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
import trustme
from documents import free_port
from support import TIMEOUT, until

# -- of our own -------------------------------------------------------------------------------------------------------

Serve = Callable[[socket.socket], object]


@contextlib.contextmanager
def listening(*serves: Serve) -> Iterator[int]:
    """Has each of them called with a connection, one after the other, which is closed thereafter; yields the port to
    connect to."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(TIMEOUT)

        def run() -> None:
            for serve in serves:
                with listener.accept()[0] as sock:
                    sock.settimeout(TIMEOUT)
                    serve(sock)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


class RunningProxy(NamedTuple):
    address: str
    #: The target and the ``Proxy-Authorization`` header of each request.
    requests: list[tuple[str, str]]
    #: Those of the connections that are passed on.
    sockets: list[socket.socket]


@contextlib.contextmanager
def connect_proxy(context: Optional[ssl.SSLContext] = None, to: Optional[int] = None) -> Iterator[RunningProxy]:
    """A proxy for the method CONNECT, on a free port of 127.0.0.1; over TLS if there is a `context`. If there is a port
    `to`, all clients get to that one, whatever they ask for."""
    running = RunningProxy('', [], [])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            running.requests.append((self.path, self.headers.get('Proxy-Authorization', '')))
            host, _, port = self.path.rpartition(':')
            try:
                address = (host.strip('[]'), int(port)) if to is None else ('127.0.0.1', to)
                target = socket.create_connection(address, TIMEOUT)
            except OSError:
                self.send_error(502)
                return
            with target:
                self.send_response(200)
                self.end_headers()
                running.sockets.append(self.connection)
                with contextlib.suppress(OSError):
                    relay(self.connection, target)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that does not like the certificate, for one."""

    with Server(('127.0.0.1', 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield running._replace(address=f'127.0.0.1:{server.server_port}')
        finally:
            server.shutdown()
            thread.join()


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side ends."""
    while True:
        decrypted = [sock for sock in (one, other) if isinstance(sock, ssl.SSLSocket) and sock.pending()]
        for sock in decrypted or select.select([one, other], [], [], TIMEOUT)[0]:
            data = sock.recv(65536)
            if not data:
                return
            (other if sock is one else one).sendall(data)


@contextlib.contextmanager
def proxy_variables(**values: str) -> Iterator[pytest.MonkeyPatch]:
    """An environment in which there are these variables about proxies, and no other ones."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith('_proxy') or name == 'REQUEST_METHOD':
                patch.delenv(name)
        for name, value in values.items():
            patch.setenv(name, value)
        yield patch


# -- of others --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(command: Sequence[str], *ports: int) -> Iterator[None]:
    """A child process that is to listen on these ports of 127.0.0.1; skips the test where there is no such program."""
    if shutil.which(command[0]) is None:
        pytest.skip(f'no {command[0]} on this machine')
    # Without the sanitizers of `make sanitize`, which are for our own.
    environment = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or all(map(_can_connect, ports)))
        assert process.poll() is None, 'it has ended'
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _can_connect(port: int) -> bool:
    try:
        socket.create_connection(('127.0.0.1', port), TIMEOUT).close()
    except OSError:
        return False
    return True


#: Where Debian has it.
_NCSA_AUTH = '/usr/lib/squid/basic_ncsa_auth'
_SQUID = """
http_port 127.0.0.1:{port}
https_port 127.0.0.1:{tls_port} tls-cert={folder}/proxy.pem
auth_param basic program {ncsa_auth} {folder}/passwords
auth_param basic realm test
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
cache deny all
access_log none
cache_log /dev/null
cache_store_log none
netdb_filename none
pid_filename none
coredump_dir {folder}
visible_hostname localhost
shutdown_lifetime 0 seconds
max_filedescriptors 1024
"""


class Squid(NamedTuple):
    #: Its addresses, and those with which it lets somebody in.
    http: str
    https: str


#: Who is known to the proxies.
USER, PASSWORD = 'me', 'se:cret'
KNOWN = 'me:se%3Acret'


@contextlib.contextmanager
def squid(authority: trustme.CA) -> Iterator[Squid]:
    """squid that demands Basic authentication, over TCP and over TLS with a certificate for ``localhost``."""
    with tempfile.TemporaryDirectory() as name, free_port() as port, free_port() as tls_port:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, it becomes another user
        hashed = subprocess.run(
            ['openssl', 'passwd', '-apr1', PASSWORD], capture_output=True, encoding='ascii', check=True
        ).stdout
        (folder / 'passwords').write_text(f'{USER}:{hashed}')
        issued = authority.issue_cert('localhost')
        (folder / 'proxy.pem').write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        (folder / 'squid.conf').write_text(
            _SQUID.format(port=port, tls_port=tls_port, folder=folder, ncsa_auth=_NCSA_AUTH)
        )
        with running(['squid', '-N', '-f', str(folder / 'squid.conf')], port, tls_port):
            yield Squid(f'127.0.0.1:{port}', f'localhost:{tls_port}')


_LOCAL = ('-i', '127.0.0.1')


@contextlib.contextmanager
def microsocks() -> Iterator[str]:
    """A SOCKS 5 proxy that demands user name and password; its address."""
    with free_port() as port, running(['microsocks', '-p', str(port), '-u', USER, '-P', PASSWORD, *_LOCAL], port):
        yield f'127.0.0.1:{port}'


_DANTE = """
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: none
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""


@contextlib.contextmanager
def dante() -> Iterator[str]:
    """A SOCKS 4 and 5 proxy for everybody; its address."""
    with tempfile.TemporaryDirectory() as name, free_port() as port:
        file = Path(name, 'danted.conf')
        file.write_text(_DANTE.format(port=port))
        with running(['danted', '-N', '1', '-f', str(file), '-p', os.devnull], port):
            yield f'127.0.0.1:{port}'
