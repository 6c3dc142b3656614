"""Ours."""

from pathlib import Path

from common import announce, settings

from ws import WebSocketServer

options = {'port': 0, 'host': '127.0.0.1'}
if settings.deflate:
    options['perMessageDeflate'] = {'threshold': 0, 'zlibDeflateOptions': {'level': 1}}
if settings.certificate:
    options['cert'] = Path(settings.certificate).read_text()
    options['key'] = Path(settings.key).read_text()
wss = WebSocketServer(options)


@wss.on('listening')
def listening():
    announce(wss.address()['port'])


@wss.on('connection')
def connection(ws):
    def echo(message):
        ws.send(message)

    def broadcast(message):
        for client in wss.clients:
            client.send(message)

    ws.on('message', broadcast if settings.broadcast else echo)
