# Follows share prices, logs in if it has to, and comes back if it is sent away.
# Start it with:  python subprotocol_client.py host:port
#
# What it is told depends on the sub-protocol: quotes.v1 is text ("ACME 12.5"), quotes.v2 is JSON.

import json
import sys

from ws import WebSocket
from ws.timers import setTimeout

address = sys.argv[1] + '/quotes?symbols=ACME,EMCA'
credentials = 'ann:s3cret%21'
versions = ['quotes.v2', 'quotes.v1']
visits = 0

# How each sub-protocol is read


def parseText(message):
    words = message.split(' ')
    return {'symbol': words[0], 'price': float(words[1])}


parsers = {'quotes.v1': parseText, 'quotes.v2': json.loads}


def optionsOf(visit):
    return {
        'protocol': ', '.join(versions),
        'origin': 'http://desk.example.com',
        'host': 'quotes.example.com',
        'headers': {'X-Visit': visit, 'Cookie': 'theme=dark; lang=en'},
    }


def follow(url, options):
    global visits
    visits += 1
    ws = WebSocket(url, options)
    ws.quotes = 0
    ws.on('open', opened)
    ws.on('error', failed)


# Listeners; "this" is the connection


def opened(this):
    print(f'open: {this.protocol or "no protocol"}, version {this.protocolVersion}')
    this.on('message', quoted).on('ping', pinged).on('pong', ponged).on('close', closed)
    this.send('subscribe', lambda error: print(error if error else 'subscribed'))


def failed(error):
    text = str(error)
    print('error: ' + text)
    if text == 'unexpected server response (401)':
        follow('ws://' + credentials + '@' + address, optionsOf('second'))
    elif text == 'server responded with an invalid protocol':
        follow('ws://' + address, {'headers': {'Authorization': 'Bearer 4711'}})


def quoted(this, message, flags):
    if flags.binary:
        return this.close(1003, 'quotes are text')
    quote = parsers[this.protocol or 'quotes.v1'](message)
    this.quotes += 1
    print(f'{quote["symbol"]} is at {quote["price"]:.2f}' + (', masked' if flags.masked else ''))
    if quote['price'] > 100:
        this.send(' '.join(['sell', quote['symbol']]).encode(), {'mask': True})
    if quote['price'] < 1:
        this.ping('still there?')


def pinged(data):
    print('ping: ' + data.decode())


def ponged(this, data):
    print('pong: ' + data.decode())
    this.close(1000, f'{this.quotes} quotes')
    # All this is too late.
    this.ping('one more', {}, True)
    this.send('one more', lambda error: print(f'called back: {error}'))


def closed(this, code, message):
    print(f'close: {code} {message} in state {this.readyState}')
    if code == 4002:
        setTimeout(lambda: follow('ws://' + credentials + '@' + address, optionsOf('third')), 10)
    else:
        print(f'{visits} visits')


follow('ws://' + address, optionsOf('first'))
