"""websockets with threads."""

from common import announce, settings
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.sync.server import serve

clients = set()


def echo(connection):
    for message in connection:
        connection.send(message)


def broadcasting(connection):
    clients.add(connection)
    for message in connection:
        for client in list(clients):
            client.send(message)


options = {'compression': None, 'ping_interval': None, 'max_size': None, 'ssl': settings.ssl_context()}
if settings.deflate:
    options['extensions'] = [ServerPerMessageDeflateFactory(compress_settings={'level': 1})]
with serve(broadcasting if settings.broadcast else echo, '127.0.0.1', 0, **options) as server:
    announce(server.socket.getsockname()[1])
    server.serve_forever()
