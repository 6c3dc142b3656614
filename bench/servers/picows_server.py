"""picows on uvloop: argument echo or broadcast; prints the port it listens on."""

import sys

import uvloop
from picows import WSListener, ws_create_server

mode = sys.argv[1]
clients = set()


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Broadcast(WSListener):
    def on_ws_connected(self, transport):
        clients.add(transport)

    def on_ws_frame(self, transport, frame):
        message = frame.get_payload_as_bytes()
        for client in clients:
            client.send(frame.msg_type, message)

    def on_ws_disconnected(self, transport):
        clients.discard(transport)


async def main():
    listener = Echo if mode == 'echo' else Broadcast
    server = await ws_create_server(lambda request: listener(), '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


uvloop.run(main())
