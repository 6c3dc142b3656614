"""websockets on asyncio."""

from common import in_flight, message, received, run, url
from websockets.asyncio.client import connect


async def main():
    async with connect(url, compression=None, ping_interval=None, max_size=None, proxy=None) as ws:
        for _ in range(in_flight):
            await ws.send(message)
        async for answer in ws:
            received(answer)
            await ws.send(message)


run(main())
