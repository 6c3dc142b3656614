"""A page that draws live what this server measures: its memory, its messages, its connections.

Start it with:  python examples/serverstats/server.py [--port 8080] [--host 127.0.0.1]
Stop it with Ctrl-C.
"""

import argparse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from stats import Stats

from ws import WebSocketServer

HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
options = parser.parse_args()


class Pages(SimpleHTTPRequestHandler):
    def translate_path(self, path):
        """The look is that of all examples."""
        return str(HERE.parent / 'look.css') if path == '/look.css' else super().translate_path(path)

    def log_message(self, *args):
        """Not a line for each request."""


# The page and its WebSocket share one port.
pages = partial(Pages, directory=str(HERE / 'page'))
httpd = ThreadingHTTPServer((options.host, options.port), pages)
wss = WebSocketServer({'server': httpd})

stats = Stats()
wss.on('connection', stats.connection)

print(f'Server statistics on http://{options.host}:{httpd.server_port}', flush=True)
try:
    httpd.serve_forever()
except KeyboardInterrupt:
    pass
httpd.server_close()
wss.close()
