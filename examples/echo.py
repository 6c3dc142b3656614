"""An echo server: it sends every message back as it came.

Start it with:  python examples/echo.py [--port 8080] [--host 127.0.0.1]
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
    print(f'Echoing on ws://localhost:{wss.address().port}', flush=True)


@wss.on('connection')
def connection(ws):
    ws.on('message', lambda message: ws.send(message))  # text comes as str, binary data as bytes, and goes as such
