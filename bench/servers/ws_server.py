"""Ours. It answers by ``send(message)``; told so, in the form with options that the documentation teaches."""

from pathlib import Path

from common import announce, settings

from ws import WebSocketServer

options = {'port': 0, 'host': '127.0.0.1'}
if settings.threads:
    options['executor'] = settings.threads
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

    def echo_with_options(data, flags):
        ws.send(data, {'binary': flags.binary})

    def broadcast(message):
        for client in wss.clients:
            client.send(message)

    def broadcast_with_options(data, flags):
        for client in wss.clients:
            client.send(data, {'binary': flags.binary})

    if settings.broadcast:
        ws.on('message', broadcast_with_options if settings.options else broadcast)
    else:
        ws.on('message', echo_with_options if settings.options else echo)
