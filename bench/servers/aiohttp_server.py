"""aiohttp. It always compresses with zlib's level 1."""

import asyncio

from aiohttp import WSMsgType, web
from common import announce, run, settings

clients = set()


async def send(client, message):
    if message.type is WSMsgType.TEXT:
        await client.send_str(message.data)
    else:
        await client.send_bytes(message.data)


async def accept(request):
    client = web.WebSocketResponse(compress=settings.deflate, max_msg_size=0)
    await client.prepare(request)
    clients.add(client)
    try:
        async for message in client:
            if settings.broadcast:
                for each in list(clients):
                    await send(each, message)
            else:
                await send(client, message)
    finally:
        clients.discard(client)
    return client


async def main():
    app = web.Application()
    app.router.add_get('/', accept)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, '127.0.0.1', 0, ssl_context=settings.ssl_context()).start()
    announce(runner.addresses[0][1])
    await asyncio.Event().wait()


run(main())
