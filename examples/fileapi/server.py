"""Files and folders that are dropped into a page go up over one WebSocket, into a folder of the server.

Start it with:  python examples/fileapi/server.py [--port 8080] [--host 127.0.0.1] [--folder uploads]
Stop it with Ctrl-C.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from upload import Refused, Upload

from ws import WebSocketServer
from ws.timers import setInterval

HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
parser.add_argument('--folder', type=Path, default='uploads', help='where the files go (default: uploads)')
options = parser.parse_args()
options.folder.mkdir(parents=True, exist_ok=True)


class Pages(SimpleHTTPRequestHandler):
    def translate_path(self, path):
        """The look is that of all examples."""
        return str(HERE.parent / 'look.css') if path == '/look.css' else super().translate_path(path)

    def log_message(self, *args):
        """Not a line for each request."""


def is_from_our_page(info):
    """A browser lets any page connect to anywhere, and says in Origin which page it is: no other may write here."""
    host = info.req.headers.get('host')
    return info.origin is None or host in (info.origin, urlsplit(info.origin).netloc)


pages = partial(Pages, directory=str(HERE / 'page'))
httpd = ThreadingHTTPServer((options.host, options.port), pages)
wss = WebSocketServer({'server': httpd, 'verifyClient': is_from_our_page, 'maxPayload': 1024 * 1024})


@wss.on('connection')
def connection(ws):
    upload = Upload(options.folder)
    # Disks may be slow, and a listener that waits holds up all others: so each connection has a thread for its files.
    worker = ThreadPoolExecutor(1)

    @ws.on('message')
    def message(data):
        meter.received += len(data)
        ws.pause()  # until this is written: who sends faster than the disk writes has to wait
        worker.submit(take, data)

    def take(data):
        answer = answer_to(upload, data)
        if answer is not None:
            ws.send(json.dumps(answer))
        ws.resume()

    @ws.on('close')
    def closed():
        worker.submit(upload.discard)
        worker.shutdown(wait=False)


def answer_to(upload, data):
    """How many bytes of the file are there, which is what the page's progress bars show; or why it is refused."""
    try:
        received = upload.begin(data) if isinstance(data, str) else upload.add(data)
    except Refused as reason:
        print(f'Refused: {upload.path!a}, {reason}', flush=True)
        return {'refused': str(reason)}
    return None if received is None else {'received': received}


class Meter:
    """Shows the bandwidth on the terminal, in one line for each second in which something comes in."""

    def __init__(self):
        self.received = 0  # bytes
        self._shown = 0

    def show(self):
        if self.received != self._shown:
            rate = self.received - self._shown
            self._shown = self.received
            line = f'{rate / 1e6:9.2f} MB/s {self.received / 1e6:12.2f} MB in all'
            print(line, end='\r' if sys.stdout.isatty() else '\n', flush=True)


meter = Meter()
setInterval(meter.show, 1000).unref()

print(f'Files go to {options.folder.resolve()}, from http://{options.host}:{httpd.server_port}', flush=True)
try:
    httpd.serve_forever()
except KeyboardInterrupt:
    pass
httpd.server_close()
wss.close()
