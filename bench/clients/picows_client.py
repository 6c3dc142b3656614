"""picows."""

from common import in_flight, message, received, run, url
from picows import WSListener, WSMsgType, ws_connect


class Client(WSListener):
    def on_ws_connected(self, transport):
        for _ in range(in_flight):
            transport.send(WSMsgType.BINARY, message)

    def on_ws_frame(self, transport, frame):
        received(frame.get_payload_as_bytes())
        transport.send(WSMsgType.BINARY, message)


async def main():
    transport, _ = await ws_connect(Client, url)
    await transport.wait_disconnected()


run(main())
