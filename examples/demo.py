"""A server and two clients hold a short conversation, and show who says what to whom.

Start it with:  make demo
"""

import atexit
from array import array

from ws import WebSocket, WebSocketServer


def show(sender, receiver, what):
    """One line for each thing that has arrived."""
    print(f'{sender:>6} -> {receiver:<6}  {what}', flush=True)


# The server. All listeners are called on one thread, one at a time, so nothing here needs a lock.

wss = WebSocketServer(host='127.0.0.1', port=0)  # 0: a port that is free
url = f'ws://127.0.0.1:{wss.address().port}'


@wss.on('connection')
def connection(ws, request):
    ws.name = request.url.strip('/')
    show(ws.name, 'server', 'comes in')
    ws.on('message', answer)
    ws.on('ping', lambda data: show(ws.name, 'server', f'ping: {data.decode()}'))
    ws.on('close', say_goodbye)


def answer(this, message, flags):
    """`this` is the connection the message came from: one function serves them all."""
    if flags.binary:
        numbers = array('f', message)
        show(this.name, 'server', f'{len(message)} bytes of binary data: {numbers.tolist()}')
        this.send(f'The sum is {sum(numbers):g}.')
    elif message.startswith('To all: '):
        show(this.name, 'server', message)
        for client in wss.clients:
            client.send(message)
    else:
        show(this.name, 'server', message)
        this.send(f'Hello, {this.name}!')


def say_goodbye(this, code, reason):
    show(this.name, 'server', f'goodbye: {code} {reason}')
    if this.name == 'bob':
        wss.close(1001, 'That was the demo.')


# The clients. Alice has a list of things to do, and goes on with it whenever she hears something.


def bob_comes_in():
    bob = WebSocket(f'{url}/bob')
    bob.on('open', lambda: bob.send('To all: lunch is ready.'))

    @bob.on('message')
    def hears(message):
        show('server', 'bob', message)
        bob.close(1000, 'Off to lunch.')


to_do = [
    lambda: alice.send('Hello, server!'),
    lambda: alice.send(array('f', [1.5, 2.5, 3.5])),
    lambda: alice.ping('Still there?'),
    bob_comes_in,
]

print(f'A server on {url}', flush=True)
alice = WebSocket(f'{url}/alice')


@alice.on('open')
def go_on():
    if to_do:
        to_do.pop(0)()


@alice.on('message')
def hears(message):
    show('server', 'alice', message)
    go_on()


@alice.on('pong')
def pong(data):
    show('server', 'alice', f'pong: {data.decode()}')
    go_on()


@alice.on('close')
def closed(code, reason):
    show('server', 'alice', f'goodbye: {code} {reason}')


# After its last line the program lives on until every connection and the server are closed.
atexit.register(print, 'Everything is closed, so the program ends.')
