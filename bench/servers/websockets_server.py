"""websockets on asyncio."""

from common import announce, run, settings
from websockets.asyncio.server import broadcast, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def broadcasting(connection):
    async for message in connection:
        broadcast(connection.server.connections, message)


async def main():
    options = {'compression': None, 'ping_interval': None, 'max_size': None, 'ssl': settings.ssl_context()}
    if settings.deflate:
        options['extensions'] = [ServerPerMessageDeflateFactory(compress_settings={'level': 1})]
    async with serve(broadcasting if settings.broadcast else echo, '127.0.0.1', 0, **options) as server:
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()


run(main())
