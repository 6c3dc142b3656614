"""Ours."""

from common import in_flight, message, received, url

from ws import WebSocket

ws = WebSocket(url, perMessageDeflate=False)


@ws.on('open')
def opened():
    for _ in range(in_flight):
        ws.send(message)


@ws.on('message')
def answered(answer):
    received(answer)
    ws.send(message)
