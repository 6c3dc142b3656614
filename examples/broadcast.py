"""A broadcast server: what one client sends, all clients get, the sender too.

Start it with:  python examples/broadcast.py [--port 8080] [--host 127.0.0.1]
Stop it with Ctrl-C.
"""

import argparse

from ws import WebSocketServer

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
options = parser.parse_args()

wss = WebSocketServer(port=options.port, host=options.host)


@wss.on('listening')
def listening():
    print(f'Broadcasting on ws://localhost:{wss.address().port}', flush=True)


@wss.on('connection')
def connection(ws):
    ws.on('message', broadcast)


def broadcast(message):
    for client in wss.clients:
        if client.readyState == client.OPEN:  # not one that is closing
            client.send(message)
