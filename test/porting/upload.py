# Takes files, and gives them back.  Start it with:  python upload.py port folder
#
# A client sends {"put": name, "size": bytes, "sha1": checksum} and then the content, in as many binary messages as it
# likes; each is answered with how far it has got. {"get": name} sends a file back as one binary message,
# {"lines": name} as a text, a fragment for each line; {"stop": true} ends the server.

import hashlib
import json
import os.path
import re
import sys

from ws import WebSocketServer

folder = sys.argv[2]
limit = 1024 * 1024

wss = WebSocketServer(
    {
        'port': int(sys.argv[1]),
        'host': '127.0.0.1',
        'verifyClient': lambda info: info.origin == 'http://files.example.com' and not info.secure,
    },
    lambda: print(wss.address().port),
)


def isFileName(name):
    return re.fullmatch(r'[A-Za-z0-9_][A-Za-z0-9_.-]*', name)


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def answer(ws, object):
    ws.send(json.dumps(object, separators=(',', ':')))


# What comes as text


def put(ws, header):
    if not isFileName(header['put']):
        return ws.close(4000, 'bad file name')
    if header['size'] > limit:
        return ws.close(1009, f'more than {limit} bytes')
    ws.header = header
    ws.pieces = []
    ws.received = 0
    answer(ws, {'ready': header['put']})


def get(ws, header):
    file = os.path.join(folder, header['get'])
    if not isFileName(header['get']) or not os.path.exists(file):
        return answer(ws, {'missing': header['get']})

    def sent(error):
        print(header['get'] + ' sent: ' + (str(error) if error else 'all of it'))

    ws.send(open(file, 'rb'), {'binary': True}, sent)  # noqa: SIM115  (send closes it)
    # This waits until the file is through.
    answer(ws, {'sent': header['get']})


def lines(ws, header):
    with open(os.path.join(folder, header['lines']), encoding='utf-8') as file:
        rest = file.read().split('\n')

    def nextLine(error, send):
        if error:
            return print(f'{header["lines"]}: {error}')
        line = rest.pop(0)
        send(line, len(rest) == 0)

    ws.stream({'mask': False}, nextLine)
    answer(ws, {'sent': header['lines']})


def command(ws, text):
    try:
        header = json.loads(text)
    except ValueError:
        return ws.close(1007, 'not JSON')
    if 'put' in header:
        put(ws, header)
    elif 'get' in header:
        get(ws, header)
    elif 'lines' in header:
        lines(ws, header)
    elif 'stop' in header:
        ws.close(1000, 'stopped')


# What comes as binary data


def piece(ws, data):
    if not ws.header:
        return ws.close(1003, 'what is this?')
    ws.pieces.append(data)
    ws.received += len(data)
    answer(ws, {'received': ws.received, 'percent': 100 * ws.received // ws.header['size']})
    if ws.received >= ws.header['size']:
        store(ws, ws.header, b''.join(ws.pieces))


def store(ws, header, content):
    ws.header = None
    if sha1(content) != header['sha1']:
        return ws.close(1008, 'wrong checksum')
    with open(os.path.join(folder, header['put']), 'wb') as file:
        file.write(content)
    answer(ws, {'stored': header['put']})


@wss.on('connection')
def connection(ws):
    ws.header = None

    @ws.on('message')
    def message(data, flags):
        kind = ('binary' if flags.binary else 'text') + (', masked' if flags.masked else '')
        print(f'{kind}, {len(flags.buffer)} bytes')
        if flags.binary:
            piece(ws, data)
        else:
            command(ws, data)

    @ws.on('close')
    def close(code, message):
        if ws.header:
            print(f'{ws.header["put"]} given up after {ws.received} bytes')
        print(f'closed: {code} {message}')
        if message == 'stopped':
            wss.close()
