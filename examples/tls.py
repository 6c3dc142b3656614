"""An echo server over TLS (wss:).

Start it with:  python examples/tls.py certificate.pem key.pem [port]
Stop it with Ctrl-C. A certificate to try it with, which no browser trusts by itself, is made by

    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -out certificate.pem -keyout key.pem

and a client that trusts it by WebSocket('wss://localhost:8080', ca=pathlib.Path('certificate.pem').read_text()).
"""

import sys
from pathlib import Path

from ws import WebSocketServer

if len(sys.argv) < 3:
    sys.exit('usage: python examples/tls.py certificate.pem key.pem [port]')

# As in Node, the options take what is in the files, not their names.
wss = WebSocketServer(
    port=int(sys.argv[3]) if len(sys.argv) > 3 else 8080,
    cert=Path(sys.argv[1]).read_text(),
    key=Path(sys.argv[2]).read_text(),
)


@wss.on('listening')
def listening():
    print(f'Echoing on wss://localhost:{wss.address().port}', flush=True)


@wss.on('connection')
def connection(ws):
    ws.on('message', lambda message: ws.send(message))
