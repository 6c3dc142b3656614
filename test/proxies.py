"""A little HTTP proxy that does what it is there for."""

from __future__ import annotations

import contextlib
import http.server
import select
import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

from support import TIMEOUT


class RunningProxy(NamedTuple):
    address: str
    #: The target and the ``Proxy-Authorization`` header of each request.
    requests: list[tuple[str, str]]


@contextlib.contextmanager
def connect_proxy() -> Iterator[RunningProxy]:
    """A proxy for the method CONNECT, on a free port of 127.0.0.1."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            requests.append((self.path, self.headers.get('Proxy-Authorization', '')))
            host, _, port = self.path.rpartition(':')
            try:
                target = socket.create_connection((host.strip('[]'), int(port)), TIMEOUT)
            except OSError:
                self.send_error(502)
                return
            with target:
                self.send_response(200)
                self.end_headers()
                relay(self.connection, target)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield RunningProxy(f'127.0.0.1:{server.server_port}', requests)
        finally:
            server.shutdown()
            thread.join()


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side ends."""
    while True:
        for sock in select.select([one, other], [], [], TIMEOUT)[0]:
            data = sock.recv(65536)
            if not data:
                return
            (other if sock is one else one).sendall(data)
