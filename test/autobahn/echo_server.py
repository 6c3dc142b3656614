"""What Autobahn tests as our server: sends every message back. Prints its port; ends when its standard input does."""

import sys

from ws import WebSocketServer

wss = WebSocketServer(host='127.0.0.1', port=0, perMessageDeflate=True)


@wss.on('connection')
def connection(ws):
    ws.on('error', lambda error: None)  # what the cases do wrong
    ws.on('message', lambda message: ws.send(message))


print(wss.address().port, flush=True)
sys.stdin.read()
wss.close()
