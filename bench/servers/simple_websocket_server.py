"""simple-websocket on Werkzeug's threads, as Flask-Sock runs it."""

import logging

import simple_websocket
from common import announce, settings
from werkzeug.serving import make_server

clients = set()


def app(environ, start_response):
    client = simple_websocket.Server.accept(environ, receive_bytes=65536)
    clients.add(client)
    try:
        while True:
            message = client.receive()
            for each in list(clients) if settings.broadcast else [client]:
                each.send(message)
    except simple_websocket.ConnectionClosed:
        clients.discard(client)
    start_response('200 OK', [])
    return []


logging.getLogger('werkzeug').setLevel(logging.ERROR)
server = make_server('127.0.0.1', 0, app, threaded=True)
announce(server.port)
server.serve_forever()
