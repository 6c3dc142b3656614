"""An echo server: it sends every message back as it came.

Start it with:  python examples/echo.py [port]
Stop it with Ctrl-C.
"""

import sys

from ws import WebSocketServer

wss = WebSocketServer(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)


@wss.on('listening')
def listening():
    print(f'Echoing on ws://localhost:{wss.address().port}', flush=True)


@wss.on('connection')
def connection(ws):
    ws.on('message', lambda message: ws.send(message))  # text comes as str, binary data as bytes, and goes as such
