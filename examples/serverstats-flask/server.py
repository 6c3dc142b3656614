"""The page of ../serverstats behind Flask, on one port: Flask answers HTTP, and WebSockets are ours.

Start it with:  python examples/serverstats-flask/server.py [--port 8080] [--host 127.0.0.1]
Stop it with Ctrl-C. It needs Flask:  pip install flask
"""

import argparse
import logging
import sys
from pathlib import Path

from flask import Flask, send_file
from werkzeug.serving import make_server

from ws import WebSocketServer

SERVERSTATS = Path(__file__).resolve().parent.parent / 'serverstats'
sys.path.append(str(SERVERSTATS))

from stats import Stats  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
options = parser.parse_args()

stats = Stats()
app = Flask(__name__, static_folder=SERVERSTATS / 'page', static_url_path='')


@app.get('/')
def index():
    return app.send_static_file('index.html')


@app.get('/look.css')
def look():
    """That of all examples."""
    return send_file(SERVERSTATS.parent / 'look.css')


@app.get('/stats.json')
def snapshot():
    """The same by HTTP, for who asks once. Flask's threads may read what the listeners count."""
    return stats.sample()


logging.getLogger('werkzeug').setLevel(logging.WARNING)  # not a line for each request
httpd = make_server(options.host, options.port, app, threaded=True)
wss = WebSocketServer({'server': httpd})
wss.on('connection', stats.connection)

print(f'Server statistics on http://{options.host}:{httpd.server_port}', flush=True)
httpd.serve_forever()  # returns at Ctrl-C, and has closed its port then
wss.close()
