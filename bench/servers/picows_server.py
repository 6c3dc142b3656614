"""picows. It hands out bytes of text as well, and does not check its UTF-8 unless asked; nor do its own examples."""

from common import announce, run, settings
from picows import WSListener, ws_create_server

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
    listener = Broadcast if settings.broadcast else Echo
    options = {'max_frame_size': 32 << 20, 'ssl': settings.ssl_context()}
    server = await ws_create_server(lambda request: listener(), '127.0.0.1', 0, **options)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


run(main())
