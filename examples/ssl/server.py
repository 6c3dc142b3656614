"""An echo server over TLS (wss:).

Start it with:  python examples/ssl/server.py [--port 8080] [--host 127.0.0.1] [--cert FILE] [--key FILE]
Stop it with Ctrl-C.

Without a certificate of yours it makes one for localhost, which nobody trusts unasked, by the command openssl.
"""

import argparse
import subprocess
from pathlib import Path

from ws import WebSocketServer

HERE = Path(__file__).resolve().parent

parser = argparse.ArgumentParser()
parser.add_argument('--port', type=int, default=8080)
parser.add_argument('--host', default='127.0.0.1')
parser.add_argument('--cert', type=Path, default=HERE / 'certificate.pem')
parser.add_argument('--key', type=Path, default=HERE / 'key.pem')
options = parser.parse_args()

if not options.cert.exists() and not options.key.exists():
    command = 'openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost'
    command += ' -addext subjectAltName=DNS:localhost,IP:127.0.0.1'
    files = ['-out', str(options.cert), '-keyout', str(options.key)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)

# As in Node, the options take what is in the files, not their names.
wss = WebSocketServer(port=options.port, host=options.host, cert=options.cert.read_text(), key=options.key.read_text())


@wss.on('listening')
def listening():
    print(f'Echoing on wss://localhost:{wss.address().port}', flush=True)


@wss.on('connection')
def connection(ws):
    ws.on('message', lambda message: ws.send(message))
