"""aiohttp."""

from aiohttp import ClientSession
from common import in_flight, message, received, run, url


async def main():
    async with ClientSession() as session, session.ws_connect(url, max_msg_size=0) as ws:
        for _ in range(in_flight):
            await ws.send_bytes(message)
        async for answer in ws:
            received(answer.data)
            await ws.send_bytes(message)


run(main())
