# How fast is an echo server?  Start it with:  python echo_benchmark.py url messages [--times]
#
# Messages of several kinds and sizes are sent to it, sixteen of them on their way at any time, and what comes back is
# compared with what was sent.

import sys
import time
from array import array

from ws import WebSocket

address = sys.argv[1]
count = int(sys.argv[2])
withTimes = sys.argv[3:] == ['--times']
inFlight = 16

# Kinds of messages: what is sent, and what has to come back, given the number of the message and a size.


def text(number, size):
    return 'aäα€'[number % 4] * size


def bytes(number, size):
    return bytearray([number % 256]) * size


def floats(number, size):
    return array('f', [number + i / 2 for i in range(size // 4)])


def isSame(data, message):
    return data == message if isinstance(message, str) else data == memoryview(message).tobytes()


rounds = [
    [text, 0], [text, 1], [text, 125], [text, 126], [text, 65536],
    [bytes, 0], [bytes, 1], [bytes, 125], [bytes, 126], [bytes, 65535], [bytes, 65536],
    [floats, 4], [floats, 4096],
]  # fmt: skip


def run(kind, size, done):
    ws = WebSocket(f'{address}/{kind.__name__}?size={size}')
    waiting = []
    sent = written = echoed = wrong = 0
    started = None

    def send():
        nonlocal sent
        message = kind(sent, size)
        waiting.append(message)
        sent += 1

        def wrote(error):
            nonlocal written
            if not error:
                written += 1

        ws.send(message, {'binary': kind is not text, 'mask': True}, wrote)

    def onopen():
        nonlocal started
        started = time.time()
        while sent < min(inFlight, count):
            send()

    ws.onopen = onopen

    def onmessage(event):
        nonlocal echoed, wrong
        echoed += 1
        if event.type != ('Text' if kind is text else 'Binary') or not isSame(event.data, waiting.pop(0)):
            wrong += 1
        if sent < count:
            send()
        elif len(waiting) == 0:
            finish(event.target)

    ws.onmessage = onmessage

    def finish(target):
        duration = time.time() - started
        print(f'{kind.__name__}, {size}, {sent} sent, {written} written, {echoed} echoed, {wrong} wrong')
        print(f'{ws.bytesReceived} bytes received, {ws.bufferedAmount} buffered')
        if withTimes:
            print(f'{round(echoed / duration)} per second')
        target.close(1000, f'{echoed} messages')

    def onclose(event):
        print(f'closed: {event.code} {event.reason}' + (', clean' if event.wasClean else ', not clean'))
        done()

    ws.onclose = onclose


def next():
    if rounds:
        round = rounds.pop(0)
        run(round[0], round[1], next)
    else:
        print('done')


next()
