"""websockets on asyncio: arguments echo or broadcast, asyncio or uvloop; prints the port it listens on."""

import asyncio
import sys

from websockets.asyncio.server import broadcast, serve

mode, loop = sys.argv[1:]


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def broadcasting(connection):
    async for message in connection:
        broadcast(connection.server.connections, message)


async def main():
    handler = echo if mode == 'echo' else broadcasting
    async with serve(handler, '127.0.0.1', 0, compression=None, ping_interval=None, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if loop == 'uvloop':
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
