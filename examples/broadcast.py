"""A broadcast server: what one client sends, all clients get, the sender too.

Start it with:  python examples/broadcast.py [port]
Stop it with Ctrl-C.
"""

import sys

from ws import WebSocketServer

wss = WebSocketServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)


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
