"""A broker for rooms of several processes, which is a WebSocket server itself.

Start it with:  python examples/hub/hub.py [--port 8080] [--host 127.0.0.1]
Stop it with Ctrl-C.

Text that comes is ["subscribe", CHANNEL] or ["unsubscribe", CHANNEL]; the first comes back when it is done. Binary data
is a channel, as JSON, a line feed and a message, and goes as it is to who has subscribed to the channel.
"""

import argparse
import json

from ws import WebSocketServer
from ws.rooms import Rooms

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
options = parser.parse_args()

wss = WebSocketServer(port=options.port, host=options.host)
channels = Rooms(wss, maxBufferedAmount=16 * 1024 * 1024)


@wss.on('listening')
def listening():
    print(f'Hub on ws://{options.host}:{wss.address().port}', flush=True)


@wss.on('connection')
def connection(ws):
    ws.on('message', message)


def message(this, data):
    if isinstance(data, bytes):
        channel = json.loads(data.partition(b'\n')[0])
        channels.to(channel).but(this).send(data)
        return
    command, channel = json.loads(data)
    if command == 'subscribe':
        channels.join(this, channel)
        this.send(data)
    else:
        channels.leave(this, channel)
