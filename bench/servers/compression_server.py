"""Ours: argument the option perMessageDeflate as JSON; echoes, and prints the port it listens on."""

import json
import sys

from ws import WebSocketServer

wss = WebSocketServer(host='127.0.0.1', port=0, perMessageDeflate=json.loads(sys.argv[1]))
wss.on('listening', lambda: print(wss.address().port, flush=True))
wss.on('connection', lambda ws: ws.on('message', lambda message: ws.send(message)))
