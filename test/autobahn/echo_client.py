"""What Autobahn tests as our client: sends every message back, case after case. Argument: the URL of its server."""

import sys

from ws import WebSocket

url = sys.argv[1]


def get_count():
    ws = WebSocket(f'{url}/getCaseCount')
    ws.on('message', lambda count: ws.on('close', lambda: run_case(1, int(count))))


def run_case(number, count):
    if number > count:
        WebSocket(f'{url}/updateReports?agent=ws')
        return
    ws = WebSocket(f'{url}/runCase?case={number}&agent=ws')
    ws.on('error', lambda error: None)  # what the cases do wrong
    ws.on('message', lambda message: ws.send(message))
    ws.on('close', lambda: run_case(number + 1, count))


get_count()
