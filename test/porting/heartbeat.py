# A clock that knows who is still listening.  Start it with:  python heartbeat.py port interval
#
# Clients of ws://127.0.0.1:port/clock say "hello name" within five intervals of so many milliseconds, and then "start",
# or "three" for three ticks. At each interval they are sent a ping; who leaves three unanswered is ended.

import math
import sys

from ws import WebSocketServer
from ws.timers import clearInterval, clearTimeout, setInterval, setTimeout

interval = int(sys.argv[2])
allowed = 3

wss = WebSocketServer({'port': int(sys.argv[1]), 'host': '127.0.0.1', 'path': '/clock'})


@wss.on('listening')
def listening():
    print(wss.address().port)


def heartbeat(this):
    this.unanswered = 0


def isAlive(this):
    print(this.name + ' is alive')


def check():
    for ws in wss.clients:
        if ws.unanswered == allowed:
            print(ws.name + ' does not answer')
            ws.terminate()
        elif ws.unanswered < allowed:
            ws.ping('', {}, True)
        ws.unanswered += 1


beat = setInterval(check, interval)


def tick(ws):
    ws.ticks += 1
    if ws.readyState == ws.OPEN:
        ws.send(f'tick {ws.ticks}')
    if ws.ticks == ws.wanted:
        stop(ws)


def start(ws, wanted):
    stop(ws)
    ws.ticks = 0
    ws.wanted = wanted
    ws.clock = setInterval(lambda: tick(ws), 20)


def stop(ws):
    clearInterval(ws.clock)
    ws.clock = None


def hello(ws, name):
    clearTimeout(ws.impatience)
    ws.name = name
    ws.once('pong', isAlive)
    ws.send('hello ' + name)


def end():
    clearInterval(beat)
    for ws in wss.clients:
        ws.close(1001, 'the clock stops')


def said(this, message):
    words = message.split(' ')
    if words[0] == 'hello':
        hello(this, words[1])
    elif message == 'start':
        start(this, math.inf)
    elif message == 'three':
        start(this, 3)
    elif message == 'end':
        end()
    else:
        this.close(1008, 'what is ' + message + '?')


def gone(this):
    print(this.name + ' is gone')
    stop(this)
    clearTimeout(this.impatience)
    if len(wss.clients) == 0:
        wss.close()


@wss.on('connection')
def connection(ws):
    ws.name = 'somebody'
    ws.clock = None
    ws.unanswered = 0
    ws.impatience = setTimeout(lambda: ws.close(4001, 'no hello'), 5 * interval)
    ws.on('pong', heartbeat)
    ws.on('message', said)
    ws.on('close', gone)
