"""Tornado."""

import asyncio

from common import announce, run, settings
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

clients = set()


class Handler(WebSocketHandler):
    def get_compression_options(self):
        return {'compression_level': 1} if settings.deflate else None

    def open(self):
        self.set_nodelay(True)
        clients.add(self)

    def on_message(self, message):
        for client in clients if settings.broadcast else [self]:
            client.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        clients.discard(self)


async def main():
    sockets = bind_sockets(0, '127.0.0.1', backlog=1024)
    app = Application([('/', Handler)], websocket_max_message_size=32 << 20)
    HTTPServer(app, ssl_options=settings.ssl_context()).add_sockets(sockets)
    announce(sockets[0].getsockname()[1])
    await asyncio.Event().wait()


run(main())
