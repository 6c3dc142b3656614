"""A chat with rooms and nicknames, in the browser.

Start it with:  python examples/chat/server.py [--port 8080] [--host 127.0.0.1] [--redis URL]
Stop it with Ctrl-C.

To connect is to enter a room: ws://localhost:8080/ROOM?name=NAME. Each text message is something said there; back come
JSON objects, whose kinds are in rooms.py. With --redis, all servers that name the same Redis have the same rooms.
"""

import argparse
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from history import History, RedisHistory
from rooms import MAX_NAME, REFUSED, Chat, Refused

from ws import WebSocketServer
from ws.timers import setInterval

HERE = Path(__file__).resolve().parent
HEARTBEAT = 30_000  # milliseconds
WORKERS = 8  # threads for listeners, who wait for Redis

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
parser.add_argument('--redis', metavar='URL', help='redis://localhost:6379, for servers on several machines')
options = parser.parse_args()


class Pages(SimpleHTTPRequestHandler):
    def translate_path(self, path):
        """The look is that of all examples."""
        return str(HERE.parent / 'look.css') if path == '/look.css' else super().translate_path(path)

    def log_message(self, *args):
        """Not a line for each request."""


def is_from_our_page(info):
    """A browser lets any page connect to anywhere, and says in Origin which page it is: no other may listen in."""
    host = info.req.headers.get('host')
    return info.origin is None or host in (info.origin, urlsplit(info.origin).netloc)


pages = partial(Pages, directory=str(HERE / 'page'))
httpd = ThreadingHTTPServer((options.host, options.port), pages)
wss = WebSocketServer({
    'server': httpd, 'verifyClient': is_from_our_page, 'maxPayload': 16 * 1024,
    'executor': WORKERS if options.redis else None,
})  # fmt: skip
if options.redis:
    from ws.rooms.redis import RedisBus

    chat = Chat(wss, RedisHistory(options.redis), RedisBus(options.redis, prefix='chat:'))
else:
    chat = Chat(wss, History())


@wss.on('connection')
def connection(ws, request):
    query = parse_qs(request.query)
    ws.isAlive = True
    ws.on('pong', pong)
    try:
        name = name_from(query.get('name', [''])[0])
        room = name_from(unquote(request.path[1:]))
        chat.enter(ws, room, name, query.get('key', [''])[0])
    except Refused as reason:
        ws.close(REFUSED, str(reason))
    else:
        ws.on('message', message)


def message(this, text, flags):
    if flags.binary:
        this.close(1003, 'Only text, please.')
    elif text.strip():
        chat.say(this, text)


def name_from(text):
    """The name of somebody, or of a room. Raises Refused."""
    name = ' '.join(text.split())
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise Refused(f'Names have 1 to {MAX_NAME} printable characters.')
    return name


# A line that breaks without a word looks open: who has not answered the last ping when the next is due is gone.


def heartbeat():
    for ws in wss.clients:
        if not ws.isAlive:
            ws.terminate()
        else:
            ws.isAlive = False
            ws.ping()


def pong(this):
    this.isAlive = True


setInterval(heartbeat, HEARTBEAT).unref()

print(f'Chat on http://{options.host}:{httpd.server_port}', flush=True)
try:
    httpd.serve_forever()
except KeyboardInterrupt:
    pass
httpd.server_close()
wss.close()
