"""websockets with threads."""

from common import in_flight, message, received, url
from websockets.sync.client import connect

with connect(url, compression=None, ping_interval=None, max_size=None, proxy=None) as ws:
    for _ in range(in_flight):
        ws.send(message)
    for answer in ws:
        received(answer)
        ws.send(message)
