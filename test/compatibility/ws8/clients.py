"""Clients as ws 8's suite has them: of a server of ours, of one that says what the test wants, or of nobody at all."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from fakes import accept, fake_server
from support import Log, Waiter, client, read_all, server, wait_for

from ws import WebSocket
from ws.protocol.frames import build_frame

#: An unknown opcode, from a server.
WRONG = build_frame(5, b'')


@contextlib.contextmanager
def pair(of_server: Optional[Mapping[str, Any]] = None, **options: Any) -> Iterator[tuple[WebSocket, WebSocket]]:
    """An open client with these options, and the end of a server with those."""
    with server(**(of_server or {})) as wss:
        connected = Waiter()
        wss.on('connection', connected)
        ws = client(wss, **options)
        wait_for(ws, 'open')
        yield ws, connected.get()[0]
        ws.terminate()


def failure(url: str, *arguments: Any, **options: Any) -> str:
    """What the `error` of a client says that never opens; ``close`` with 1006 follows."""
    (kind, error), close = Log(WebSocket(url, *arguments, **options)).until('close')
    assert (kind, close) == ('error', ('close', 1006, ''))
    return str(error)


def failure_of_answer(*lines: str, head: str = '', protocols: Any = (), **options: Any) -> str:
    """The same for a server that accepts with these header lines, or says `head` instead, and hangs up."""

    def answer(sock: Any, request: bytes) -> None:
        sock.sendall(f'{head}\r\n\r\n'.encode() if head else accept(request, *lines))

    with fake_server(answer) as url:
        return failure(url, list(protocols), **options)


def asked(*arguments: Any, **options: Any) -> tuple[Any, Any]:
    """The request of a client with these arguments, and where it would send it: what its agent is given."""
    given = Waiter()

    def agent(request: Any, where: Any) -> None:
        given(request, where)
        raise ConnectionRefusedError

    ws = WebSocket(*arguments, **options, agent=agent)
    events = Log(ws).until('close')
    assert isinstance(events[0][1], ConnectionRefusedError)
    request, where = given.get()
    return request, where


def deflated(data: bytes) -> bytes:
    """The payload of a compressed message (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@contextlib.contextmanager
def told(*frames: bytes, deflate: bool = False, **options: Any) -> Iterator[WebSocket]:
    """A client of a server that accepts it, sends these bytes, and waits for its end."""
    lines = ['Sec-WebSocket-Extensions: permessage-deflate'] if deflate else []

    def talk(sock: Any, request: bytes) -> None:
        sock.sendall(accept(request, *lines) + b''.join(frames))
        read_all(sock)

    with fake_server(talk) as url:
        ws = WebSocket(url, {'closeTimeout': 2000, **options})
        yield ws
        ws.terminate()
