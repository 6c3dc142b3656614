"""One of the workers of cluster.py, which starts it: an echo that says who answers."""

import argparse
import os
import signal
import sys
import threading

from ws import WebSocketServer

parser = argparse.ArgumentParser()
parser.add_argument('--fd', type=int, required=True, help='the descriptor of the listening socket')
options = parser.parse_args()

wss = WebSocketServer(fd=options.fd, closeTimeout=5000)
wss.on('listening', lambda: print('listening', flush=True))


@wss.on('connection')
def connection(ws):
    ws.send(f'worker {os.getpid()}')
    ws.on('message', lambda data: ws.send(data))


# Clients are told 1001, "going away". When the last of them has left, nothing is open, and the process ends.
signal.signal(signal.SIGTERM, lambda *_: wss.close())
# The same if the process that looks after us dies: its end of the pipe is closed then.
threading.Thread(target=lambda: (sys.stdin.read(), wss.close()), daemon=True).start()
