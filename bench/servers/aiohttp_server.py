"""aiohttp: arguments echo or broadcast, asyncio or uvloop; prints the port it listens on."""

import asyncio
import sys

from aiohttp import WSMsgType, web

mode, loop = sys.argv[1:]
clients = set()


async def send(client, message):
    if message.type is WSMsgType.TEXT:
        await client.send_str(message.data)
    else:
        await client.send_bytes(message.data)


async def accept(request):
    client = web.WebSocketResponse(compress=False, max_msg_size=0)
    await client.prepare(request)
    clients.add(client)
    try:
        async for message in client:
            if mode == 'echo':
                await send(client, message)
            else:
                for each in list(clients):
                    await send(each, message)
    finally:
        clients.discard(client)
    return client


async def main():
    app = web.Application()
    app.router.add_get('/', accept)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, '127.0.0.1', 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if loop == 'uvloop':
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
