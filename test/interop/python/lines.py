"""What the peers in Python share: they are told what to do line by line, see ``../peers.py``."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit


def report(name: str, event: str, *args: Any) -> None:
    encoded = [{'base64': base64.b64encode(arg).decode()} if isinstance(arg, bytes) else arg for arg in args]
    print(json.dumps([name, event, *encoded]), flush=True)


def decode(value: Any) -> Any:
    return base64.b64decode(value['base64']) if isinstance(value, dict) else value


def parse(target: str) -> tuple[str, dict[str, str]]:
    """The connection's name and options, out of a URL or its path."""
    parts = urlsplit(target)
    return parts.path, {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}


def client_context(ca: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def cut_off(transport_socket: Any) -> None:
    """End the TCP connection as a program does that dies."""
    transport_socket.shutdown(socket.SHUT_RDWR)


async def commands() -> AsyncIterator[tuple[str, str, list[Any]]]:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        command, name, *args = json.loads(line)
        yield command, name, args


async def obey(peer: Any) -> None:
    """Do what the lines say, one after the other: each is a method of `peer`, ``connect`` or one for a connection."""
    async for command, name, args in commands():
        if command == 'connect':
            connection_name, options = parse(name)
            try:
                await peer.connect(name, connection_name, options, **args[0])
            except Exception as error:
                report(connection_name, 'error', f'{type(error).__name__}: {error}')
        else:
            with contextlib.suppress(ConnectionError):  # closed from the other end at the same time
                await getattr(peer, command)(name, *map(decode, args))
