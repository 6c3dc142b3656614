# A chat with rooms.  Start it with:  python chat.py port
#
# ws://127.0.0.1:port/tea?token=let-me-in leads into the room "tea". What is said there, everybody in it gets to hear.
# Commands are /nick name, /who, /join room, /me does something, /quit, and for operators /kick name and /stop.

import sys
from urllib.parse import parse_qs, urlsplit

from ws import WebSocketServer
from ws.timers import setTimeout

roles = {'let-me-in': 'guest', 'i-run-this-place': 'operator'}


def tokenOf(request):
    return parse_qs(urlsplit(request.url).query).get('token', [''])[0]


def verifyClient(info, callback):
    # Elsewhere, this would be a look-up in a database.
    setTimeout(lambda: callback(tokenOf(info.req) in roles), 10)


def handleProtocols(protocols, callback):
    callback('chat' in protocols, 'chat')


def listening():
    print(wss.address().port)


wss = WebSocketServer(
    {
        'port': int(sys.argv[1]),
        'host': '127.0.0.1',
        'verifyClient': verifyClient,
        'handleProtocols': handleProtocols,
    },
    listening,
)
wss.guests = 0
wss.stopping = False


def broadcast(room, text):
    for ws in wss.clients:
        if ws.room == room and ws.readyState == ws.OPEN:
            ws.send(text)


wss.broadcast = broadcast


def enter(ws, room):
    wss.broadcast(room, '* ' + ws.nick + ' comes in')
    ws.room = room
    ws.send('* you are ' + ws.nick + ' in ' + room)


def find(nick):
    for ws in wss.clients:
        if ws.nick == nick:
            return ws


# Commands


def nick(ws, name):
    if not name or find(name):
        return ws.send('* you cannot be called "' + name + '"')
    wss.broadcast(ws.room, '* ' + ws.nick + ' is now ' + name)
    ws.nick = name


def who(ws, _):
    names = [client.nick for client in wss.clients if client.room == ws.room]
    ws.send('* here are ' + ', '.join(sorted(names)))


def join(ws, room):
    wss.broadcast(ws.room, '* ' + ws.nick + ' goes to ' + room)
    enter(ws, room)


def me(ws, action):
    wss.broadcast(ws.room, '* ' + ws.nick + ' ' + action)


def quit(ws, reason):
    ws.close(1000, reason or 'bye')


def kick(ws, name):
    other = find(name)
    if not other:
        return ws.send('* nobody is called ' + name)
    other.close(4000, 'kicked by ' + ws.nick)


def stop(ws, _):
    wss.stopping = True
    for client in wss.clients:
        client.close(1001, 'the chat is over')


commands = {'/nick': nick, '/who': who, '/join': join, '/me': me, '/quit': quit}
operatorCommands = {'/kick': kick, '/stop': stop}

# Listeners; "this" is the client


def said(this, message, flags):
    if flags.binary:
        return this.close(1003, 'only text')
    words = message.split(' ')
    command = commands.get(words[0])
    if not command and this.role == 'operator':
        command = operatorCommands.get(words[0])
    if command:
        command(this, ' '.join(words[1:]))
    elif message[0] == '/':
        this.send('* no such command: ' + words[0])
    else:
        wss.broadcast(this.room, this.nick + ': ' + message)


def failed(this, error, code):
    print(f'{this.nick} is broken: {error} ({code})')


def gone(this):
    if not wss.stopping:
        print(this.nick + ' is gone')
        wss.broadcast(this.room, '* ' + this.nick + ' is gone')
    elif len(wss.clients) == 0:
        print('over')
        wss.close()


@wss.on('connection')
def connection(ws):
    wss.guests += 1
    ws.nick = f'guest{wss.guests}'
    ws.role = roles[tokenOf(ws.upgradeReq)]
    print(f'{ws.nick} comes from {ws._socket.remoteAddress}, speaks {ws.protocol}, is {ws.role}')
    ws.room = None
    ws.on('message', said).on('error', failed).on('close', gone)
    enter(ws, urlsplit(ws.upgradeReq.url).path[1:] or 'lobby')
