"""A client and a server of ``websockets``, told what to do line by line: see ``../peers.py``."""

from __future__ import annotations

import asyncio
import http
import sys
from typing import Any

from lines import client_context, cut_off, decode, obey, parse, report, server_context
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


class Peer:
    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, certificate: str, key: str) -> None:
        async with self.server() as plain, self.server(ssl=server_context(certificate, key)) as secure:
            report('', 'listening', *(server.sockets[0].getsockname()[1] for server in (plain, secure)))
            await obey(self)

    def server(self, **options: Any) -> serve:
        return serve(
            self.accept,
            '127.0.0.1',
            0,
            process_request=self.check,
            select_subprotocol=lambda protocol, offered: self.chosen,
            max_size=None,
            ping_interval=None,
            **options,
        )

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        options = parse(request.path)[1]
        self.chosen = options.get('protocol') or None  # asked for in the same breath
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, '') if 'refuse' in options else None

    async def accept(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        name, options = parse(ws.request.path)
        headers = {field.lower(): value for field, value in ws.request.headers.raw_items()}
        report(name, 'open', ws.subprotocol, headers)
        if 'greeting' in options:
            await ws.send(options['greeting'])
        await self.listen(ws, name, options)

    async def connect(
        self,
        url: str,
        name: str,
        options: dict[str, str],
        protocols: Any = None,
        origin: Any = None,
        headers: Any = None,
        ca: str | None = None,
        deflate: dict[str, Any] | None = None,
    ) -> None:
        ws = await connect(
            url,
            subprotocols=protocols,
            origin=origin,
            additional_headers=headers,
            extensions=None if deflate is None else [offer(deflate)],
            ssl=client_context(ca) if url.startswith('wss:') else None,
            max_size=None,
            ping_interval=None,
            proxy=None,
        )
        report(name, 'open', ws.subprotocol, {})
        task = asyncio.create_task(self.listen(ws, name, options))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def listen(self, ws: Connection, name: str, options: dict[str, str]) -> None:
        self.connections[name] = ws
        try:
            async for message in ws:
                if 'echo' in options:
                    await ws.send(message)
                else:
                    report(name, 'message', message)
        except ConnectionClosed:
            pass
        report(name, 'close', ws.close_code, ws.close_reason)

    async def send(self, name: str, data: Any) -> None:
        await self.connections[name].send(data)

    async def fragments(self, name: str, pieces: list[Any], pings: bool) -> None:
        ws = self.connections[name]

        async def parts() -> Any:
            for number, piece in enumerate(pieces):
                if number and pings:
                    await ws.ping(str(number))
                yield decode(piece)

        await ws.send(parts())

    async def ping(self, name: str, data: Any) -> None:
        answered = await self.connections[name].ping(data)
        answered.add_done_callback(lambda future: future.exception() or report(name, 'pong', data))

    async def pong(self, name: str, data: Any) -> None:
        await self.connections[name].pong(data)

    async def close(self, name: str, *args: Any) -> None:
        await self.connections[name].close(*args)

    async def vanish(self, name: str) -> None:
        cut_off(self.connections[name].transport.get_extra_info('socket'))


def offer(options: dict[str, Any]) -> ClientPerMessageDeflateFactory:
    """What Node's names stand for."""
    return ClientPerMessageDeflateFactory(
        bool(options.get('serverNoContextTakeover')),
        bool(options.get('clientNoContextTakeover')),
        options.get('serverMaxWindowBits'),
        options.get('clientMaxWindowBits', True) or None,
    )


asyncio.run(Peer().run(*sys.argv[1:]))
