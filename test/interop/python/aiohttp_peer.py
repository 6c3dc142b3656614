"""A client and a server of ``aiohttp``, told what to do line by line: see ``../peers.py``."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Union

import aiohttp
from aiohttp import WSMsgType, web
from lines import client_context, cut_off, obey, parse, report, server_context

Connection = Union[aiohttp.ClientWebSocketResponse, web.WebSocketResponse]


class Peer:
    def __init__(self) -> None:
        self.connections: dict[str, Connection] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, certificate: str, key: str) -> None:
        application = web.Application()
        application.router.add_get('/{name}', self.accept)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, '127.0.0.1', 0).start()
        await web.TCPSite(runner, '127.0.0.1', 0, ssl_context=server_context(certificate, key)).start()
        async with aiohttp.ClientSession() as self.session:
            report('', 'listening', *(address[1] for address in runner.addresses))
            await obey(self)
        await runner.cleanup()

    async def accept(self, request: web.Request) -> web.StreamResponse:
        name, options = parse(request.path_qs)
        if 'refuse' in options:
            return web.Response(status=401)
        chosen = [options['protocol']] if options.get('protocol') else []
        ws = web.WebSocketResponse(protocols=chosen, autoping=False, max_msg_size=0)
        await ws.prepare(request)
        report(name, 'open', ws.ws_protocol, {field.lower(): value for field, value in request.headers.items()})
        if 'greeting' in options:
            await ws.send_str(options['greeting'])
        await self.listen(ws, name, options)
        return ws

    async def connect(
        self,
        url: str,
        name: str,
        options: dict[str, str],
        protocols: Any = (),
        origin: Any = None,
        headers: Any = None,
        ca: str | None = None,
    ) -> None:
        ws = await self.session.ws_connect(
            url,
            protocols=protocols,
            origin=origin,
            headers=headers,
            ssl=client_context(ca),
            autoping=False,
            max_msg_size=0,
            compress=15,
        )
        report(name, 'open', ws.protocol, {})
        task = asyncio.create_task(self.listen(ws, name, options))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def listen(self, ws: Connection, name: str, options: dict[str, str]) -> None:
        self.connections[name] = ws
        while True:
            message = await ws.receive()
            if message.type is WSMsgType.TEXT and 'echo' in options:
                await ws.send_str(message.data)
            elif message.type is WSMsgType.BINARY and 'echo' in options:
                await ws.send_bytes(message.data)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                report(name, 'message', message.data)
            elif message.type is WSMsgType.PING:
                await ws.pong(message.data)
                report(name, 'ping', bytes(message.data))
            elif message.type is WSMsgType.PONG:
                report(name, 'pong', bytes(message.data))
            elif message.type is WSMsgType.CLOSE:
                report(name, 'close', message.data, message.extra)
                return
            elif message.type is WSMsgType.CLOSED:
                report(name, 'close', ws.close_code, '')
                return
            elif message.type is WSMsgType.CLOSING:  # close() reports
                return
            else:
                report(name, 'error', str(message))

    async def send(self, name: str, data: Any) -> None:
        ws = self.connections[name]
        await (ws.send_str(data) if isinstance(data, str) else ws.send_bytes(data))

    async def ping(self, name: str, data: Any) -> None:
        await self.connections[name].ping(data)

    async def pong(self, name: str, data: Any) -> None:
        await self.connections[name].pong(data)

    async def close(self, name: str, code: int = 1000, reason: str = '') -> None:
        ws = self.connections[name]
        await ws.close(code=code, message=reason.encode())
        report(name, 'close', ws.close_code, '')

    async def vanish(self, name: str) -> None:
        cut_off(self.connections[name].get_extra_info('socket'))


asyncio.run(Peer().run(*sys.argv[1:]))
