"""websocket-client."""

from common import in_flight, message, received, url
from websocket import create_connection

ws = create_connection(url, enable_multithread=False, skip_utf8_validation=True)
for _ in range(in_flight):
    ws.send_binary(message)
while True:
    received(ws.recv())
    ws.send_binary(message)
