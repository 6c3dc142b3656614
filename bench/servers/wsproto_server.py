"""wsproto in an asyncio protocol: the smallest server that can be made with it."""

import asyncio

from common import announce, run, settings
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Message, Request, TextMessage

clients = set()


class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.connection = WSConnection(ConnectionType.SERVER)
        self.parts = []  # of a message that comes in several
        clients.add(self)

    def connection_lost(self, error):
        clients.discard(self)

    def data_received(self, data):
        self.connection.receive_data(data)
        answers = []
        for event in self.connection.events():
            if isinstance(event, Request):
                answers.append(self.connection.send(AcceptConnection()))
            elif isinstance(event, (TextMessage, BytesMessage)):
                self.parts.append(event.data)
                if event.message_finished:
                    message = Message(self.parts[0][:0].join(self.parts))
                    self.parts.clear()
                    if settings.broadcast:
                        for client in clients:
                            client.transport.write(client.connection.send(message))
                    else:
                        answers.append(self.connection.send(message))
        if answers:
            self.transport.write(b''.join(answers))


async def main():
    server = await asyncio.get_running_loop().create_server(Protocol, '127.0.0.1', 0, backlog=1024)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


run(main())
