"""Ours: argument echo or broadcast; prints the port it listens on."""

import sys

from ws import WebSocketServer

mode = sys.argv[1]
wss = WebSocketServer({'port': 0, 'host': '127.0.0.1'})


@wss.on('listening')
def listening():
    print(wss.address()['port'], flush=True)


@wss.on('connection')
def connection(ws):
    def echo(message, flags):
        ws.send(message)

    def broadcast(message, flags):
        for client in wss.clients:
            client.send(message)

    ws.on('message', echo if mode == 'echo' else broadcast)
