"""What type checkers must take: see test_typing.py. Nobody runs this."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import socket
import ssl
import threading
from array import array
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy

import ws as module
from ws import (
    EventEmitter,
    HandshakeError,
    ProtocolError,
    ProxyAgent,
    ProxyError,
    Receiver,
    ReconnectingWebSocket,
    Sender,
    WebSocket,
    WebSocketMessageStream,
    WebSocketServer,
    WebSocketStream,
    WebSocketTextStream,
    createWebSocketStream,
)
from ws.event_target import MessageEvent
from ws.protocol.receiver import flags_of
from ws.timers import clearInterval, setInterval, setTimeout
from ws.typing import (
    Address,
    AgentOptions,
    BinaryType,
    Certificate,
    ClientInfo,
    ClientOptions,
    ClientRequest,
    Data,
    DuplexOptions,
    LookupOptions,
    MessageFlags,
    ReconnectingOptions,
    Request,
    Response,
    SendOptions,
    ServerOptions,
    VerifyCallback,
)

# -- making -----------------------------------------------------------------------------------------------------------

ws = WebSocket('ws://localhost:8080')
WebSocket('ws://localhost:8080', 'chat')
WebSocket('ws://localhost:8080', ['chat', 'superchat'], {'origin': 'http://example.org'}, protocolVersion=8)
WebSocket('ws://localhost:8080', {'headers': {'Cookie': 'a=b', 'X-Many': ['1', '2']}, 'maxPayload': 1024})
WebSocket('ws://localhost:8080', perMessageDeflate={'threshold': 0, 'zlibDeflateOptions': {'level': 9}})
WebSocket('wss://localhost:8080', ca=Path('ca.pem').read_text(), cert=None, handshakeTimeout=0.5)
client_options: ClientOptions = {'perMessageDeflate': False}
client_options['origin'] = 'http://example.org'
WebSocket('ws://localhost:8080', client_options, followRedirects=True, maxRedirects=3)

reconnecting = ReconnectingWebSocket('ws://localhost:8080', 'chat', {'maxRetries': 5, 'origin': 'x'}, jitter=0.5)
reconnecting_options: ReconnectingOptions = {'protocols': lambda: ['chat'], 'terminalCodes': [1000], 'ca': None}
ReconnectingWebSocket(lambda: 'ws://localhost:8080', reconnecting_options, startClosed=True)
ReconnectingWebSocket('ws://localhost:8080', lambda: None, terminalCodes=lambda code, reason: code == 1000)
ReconnectingWebSocket('ws://localhost:8080', terminalCodes=lambda code: code > 4000)
reconnecting.on('message', lambda message: print(message.upper())).once('open', lambda: None)
reconnecting.onclose = lambda event: print(event.code)
if reconnecting.send('x', {'binary': False}, lambda error: None) and reconnecting.readyState == reconnecting.OPEN:
    reconnecting.reconnect(4000, 'anew')
print(reconnecting.retryCount + 1, reconnecting.shouldReconnect)
reconnecting.mine = 5


@reconnecting.on('close')
def lost(code: int, reason: str) -> None:
    print(code, reason)


wss = WebSocketServer({'port': 8080})
WebSocketServer({'port': 8080, 'path': '/chat'}, lambda: print('listening'))
WebSocketServer(noServer=True)
WebSocketServer({'host': '127.0.0.1'}, port=0)
WebSocketServer(socketPath=Path('/tmp/socket'), backlog=5)
WebSocketServer(socket=socket.create_server(('127.0.0.1', 0)))
server_options: ServerOptions = {'port': 0}
WebSocketServer(server_options)
with HTTPServer(('127.0.0.1', 0), SimpleHTTPRequestHandler) as httpd:
    WebSocketServer({'server': httpd})

module.createServer({'port': 0}, lambda ws: ws.send('hello')).close()
module.Server(port=0)
WebSocket.Server({'port': 0}).close()
WebSocket.createServer({'port': 0}, lambda: None).on('connection', lambda ws, request: None)
WebSocket.connect('ws://localhost:8080', lambda: None).close()
print(WebSocket.createConnection('ws://localhost:8080').readyState == WebSocket.OPEN)


class Server(WebSocket.Server):
    def greet(self) -> None: ...


Server(port=0).on('connection', lambda: None).greet()

# -- attributes -------------------------------------------------------------------------------------------------------

ws.isAlive = True
ws.name = 'Ann'
print(ws.name.upper())
wss.broadcast = lambda data: None
wss.broadcast('x')
port: int = wss.address().port
address: Address = wss.address()
if wss.address() is not None:
    print(wss.address().address, wss.address()['family'])
print(ws.upgradeReq.headers['host'], ws.upgradeReq.headers.get('cookie', '').split(';'), ws.upgradeReq.url)
print(ws.upgradeReq.connection.remoteAddress, ws.upgradeReq.cookies['a'])
ws.upgradeReq.user = 'Ann'
if ws.upgradeReq is None:
    print('a client')
state: int = ws.readyState
print(wss.options.port, wss.options['port'], ws.protocol, ws.supports.binary, ws.url)
for client in wss.clients:
    client.send('x')
count = len(wss.clients) + wss.clients.index(ws) + sum(1 for client in wss.clients if client.isAlive)

# -- listeners --------------------------------------------------------------------------------------------------------


def nothing() -> None: ...


def text(data: str) -> None: ...


def binary(data: bytes, flags: MessageFlags) -> int:
    return len(flags.buffer or b'') if flags.binary and not flags.masked and flags else 0


def both(data: Union[str, bytes], flags: Optional[MessageFlags] = None) -> None: ...


def anything(*arguments: object) -> None: ...


def of_socket(this: WebSocket) -> None:
    this.messages += 1


def of_socket_and_data(this: WebSocket, data: str) -> None:
    this.send(data)


def redirect(url: str, request: ClientRequest) -> None:
    request.setHeader('X-Many', ['1', '2']).setHeader('X-One', 1).abort()


def unexpected(request: ClientRequest, response: Response) -> None:
    print(response.statusCode + 1, response.headers['retry-after'].upper(), request.getHeader('cookie'))


class Listeners:
    def message(self, data: str, flags: MessageFlags) -> None: ...


ws.on('open', nothing).on('message', text).once('message', binary).on('message', both).addListener('ping', both)
ws.on('message', anything).on('message', print).on('message', Listeners().message).prependListener('message', of_socket)
ws.on('message', of_socket_and_data).prependOnceListener('message', nothing).off('message', text)
ws.on('message', lambda message: print(message.upper())).on('message', lambda data, flags: print(flags.binary))
ws.on('message', lambda: None).on('message', lambda this, data: this.send(data)).on('message', json.loads)
ws.on('pong', lambda data: print(data.hex())).on('close', lambda code, reason: print(code + 1, reason.upper()))
ws.on('close', lambda code: None).on('error', lambda error: print(error.args)).on('error', lambda error, code: None)
ws.on('redirect', lambda url, request: request.removeHeader(url.upper())).on('redirect', lambda url: print(url.upper()))
ws.on('upgrade', lambda response: print(response.cookies['a'].upper())).once('upgrade', nothing)
ws.on('unexpected-response', lambda request, response: print(request.path.upper(), response.body.decode()))
ws.on('redirect', redirect).prependListener('unexpected-response', unexpected)
ws.removeListener('message', text).removeAllListeners('message').removeAllListeners()
wss.on('connection', lambda ws: ws.send('x')).on('connection', lambda ws, request: print(request.url, ws.isAlive))
wss.on('connection/chat', lambda ws: ws.send('x')).on('listening', nothing).once('close', nothing)
wss.on('headers', lambda lines: lines.append('Set-Cookie: a=b')).on('error', lambda error: print(error.errno))
ws.on('joined')(text)  # an event of our own
ws.emit('joined', 'lobby')
wss.emit('joined', ws, room='lobby')
EventEmitter().on('anything', text).emit('anything', 1)


@ws.on('open')
def opened() -> None: ...


@ws.on('message')
def message(data: str, flags: MessageFlags) -> None: ...


@ws.once('message')
def first(this: WebSocket, data: str) -> None: ...


@ws.on('error')
def error(error: Exception, code: Optional[int]) -> None:
    if isinstance(error, HandshakeError):
        print(error.status)
    elif isinstance(error, ProtocolError):
        print(error.closeCode + 1, error.code == 'WS_ERR_INVALID_UTF8')


@ws.on('close')
def closed(code: int, reason: str) -> None: ...


@wss.on('connection')
def connection(ws: WebSocket, request: Request) -> None:
    ws.on('message', lambda message: print(f'received: {message}'))
    request.user = 'Ann'


@wss.on('connection/chat')
def chat(ws: WebSocket) -> None: ...


@wss.on('headers')
def headers(lines: list[str], request: Request) -> None: ...


text('a decorated function is what it was before')
opened()
message('x', flags_of(False, 'x'))

ws.onopen = lambda event: print(event.target)
ws.onmessage = lambda event: print(event.data)
ws.onclose = lambda event: print(event.code, event.reason, event.wasClean)
ws.onerror = lambda event: print(event.message, event.error)
ws.onmessage = None
ws.addEventListener('message', lambda event: print(event.data), {'once': True})


class Handler:
    def handleEvent(self, event: MessageEvent) -> None:
        print(event.data)


ws.addEventListener('message', Handler())
ws.removeEventListener('message', Handler())
print(ws.setMaxListeners(20).getMaxListeners() + 1, ws.rawListeners('message'), ws.isPaused)
ws.binaryType = 'fragments'
kind: BinaryType = ws.binaryType

# -- sending ----------------------------------------------------------------------------------------------------------

data: Data = 'text'
for data in ('text', b'bytes', bytearray(b'x'), memoryview(b'x'), array('f', [1]), 1, 2.5, None, io.BytesIO()):
    ws.send(data)
ws.send(numpy.zeros(3))
with open('data', 'rb') as data_file, open('text', encoding='utf-8') as text_file:
    ws.send(data_file, {'binary': True}, lambda error: print(error))
    ws.send(text_file, lambda error: ws.close())
ws.send('x', nothing)
ws.send('x', {'mask': True, 'compress': False})
ws.send('x', binary=True)
ws.send('x', flags_of(False, 'x'))
ws.send('x', {'binary': flags_of(False, 'x')})
options: SendOptions = {'binary': True}
ws.send('x', options)
ws.send()
ws.ping()
ws.ping('x', {'mask': True}, True)
ws.pong(b'x', None, False, lambda error: None)
ws.ping(lambda error: None)
ws.stream(lambda error, send: send('x', True))
ws.stream({'binary': True}, lambda error, send: None if error else send(b'x', True))
ws.close()
ws.close(1000, 'reason')
ws.terminate()
wss.close()
wss.close(lambda error: None)
wss.close(4000, 'reason', nothing)

# -- functions among the options --------------------------------------------------------------------------------------


def verify(info: ClientInfo) -> bool:
    info.req.user = info.origin
    return info.secure and 'cookie' in info.req.headers


def verify_later(info: ClientInfo, callback: VerifyCallback) -> None:
    threading.Thread(target=callback, args=(True,)).start()
    callback(False, 403, 'Forbidden', {'X': '1'})
    callback(info.origin == 'http://example.org')


def agent(request: Request, options: AgentOptions) -> socket.socket:
    return socket.create_connection((options.host, options.port))


class Agent:
    def addRequest(self, request: Request, options: AgentOptions) -> socket.socket:
        return agent(request, options)


def choose(protocols: list[str]) -> Union[str, bool]:
    return protocols[0] if protocols else False


def choose_by_request(protocols: list[str], request: Request) -> Optional[str]:
    return protocols[0]


def choose_by_callback(protocols: list[str], callback: Callable[..., None], request: Request) -> None:
    callback(request.url == '/', protocols[0])


class Player(WebSocket):
    score = 0


def generate(mask: bytearray) -> None:
    mask[:] = b'mask'


WebSocketServer({'port': 0, 'WebSocket': Player, 'handleProtocols': choose_by_callback, 'autoPong': False})
WebSocketServer({'port': 0, 'maxBufferedChunks': 5, 'skipUTF8Validation': False})
WebSocket('ws://localhost:8080', generateMask=generate, autoPong=False, allowSynchronousEvents=True)
WebSocket('ws://localhost:8080', finishRequest=lambda request, ws: request.setHeader('X-Port', ws.port).end())
WebSocket('ws://localhost:8080', {'perMessageDeflate': {'concurrencyLimit': 5}, 'generateMask': lambda mask: None})
WebSocketServer({'port': 0, 'verifyClient': verify, 'handleProtocols': choose})
WebSocketServer({'port': 0, 'verifyClient': verify_later, 'handleProtocols': choose_by_request})
WebSocketServer(port=0, verifyClient=lambda info: info.origin is None)
WebSocketServer(port=0, verifyClient=lambda info, callback: callback(info.secure))
WebSocket('ws://localhost:8080', agent=agent)
WebSocket('ws://localhost:8080', {'agent': Agent()})
proxied = ProxyAgent('http://proxy:3128', {'ca': Path('ca.pem'), 'rejectUnauthorized': False})
WebSocket('ws://localhost:8080', agent=proxied)
WebSocket('ws://localhost:8080', agent=ProxyAgent.from_environment(context=ssl.create_default_context()))


def choosing(request: Request, options: AgentOptions) -> socket.socket:
    limit: float = options.timeout
    return proxied.addRequest(request, options) if limit else agent(request, options)


@ws.on('error')
def failed(error: Exception) -> None:
    if isinstance(error, ProxyError) and error.status == 407:
        print(error)


WebSocket('ws://localhost:8080', createConnection=lambda options: socket.create_connection((options.host, 80)))


def look_up(host: str, options: LookupOptions) -> list[str]:
    return ['127.0.0.1'] if options.family != 6 else ['::1']


def check_identity(name: str, certificate: Certificate) -> Optional[Exception]:
    return None if name == certificate.subject.CN else ValueError(certificate.fingerprint256)


contexts = {'one.example': ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}
WebSocket('ws://localhost:8080', lookup=look_up, family=4, localAddress='127.0.0.1', localPort=0, auth='ann:secret')
WebSocket('ws://localhost:8080', {'lookup': lambda host: '127.0.0.1', 'socketPath': Path('/run/app.sock')})
WebSocket('ws://localhost:8080', lookup=lambda host, options, callback: callback(None, [{'address': '127.0.0.1'}]))
WebSocket('wss://localhost:8080', checkServerIdentity=check_identity, servername='a.example', minVersion='TLSv1.3')
WebSocket('wss://localhost:8080', context=ssl.create_default_context())
WebSocketServer(port=0, key=b'', cert=b'', ca=[b''], requestCert=True, SNICallback=contexts.get)
WebSocketServer(port=0, SNICallback=lambda name, callback: callback(None, contexts['one.example']))
WebSocketServer({'port': 0, 'context': contexts['one.example']})

# -- streams ----------------------------------------------------------------------------------------------------------

stream: WebSocketStream = createWebSocketStream(ws, {'highWaterMark': 5}, timeout=100)
size: int = stream.write(bytearray(stream.read(5)))
io.BufferedRWPair(stream, stream).write(b'x')
pickle.dump(pickle.load(io.BufferedReader(stream)), stream)
shutil.copyfileobj(stream, io.BytesIO())
first_line: bytes = next(stream)
text_stream: WebSocketTextStream = createWebSocketStream(ws, {'encoding': 'utf-8'})
print('x', file=text_stream)
lines: list[str] = list(WebSocket.createWebSocketStream(ws, encoding='utf-8', decodeStrings=False))
messages: WebSocketMessageStream = createWebSocketStream(ws, {'readableObjectMode': True})
some_message: Union[str, bytes, None] = createWebSocketStream(ws, readableObjectMode=True).read()
duplex_options: DuplexOptions = {'timeout': 5}
createWebSocketStream(ws, duplex_options).destroy(ValueError())

# -- the rest ---------------------------------------------------------------------------------------------------------

interval = setInterval(lambda: ws.ping(), 30000)
setTimeout(print, 10, 'x').unref().refresh()
clearInterval(interval)


class Socket:
    def write(self, data: Any) -> None: ...


receiver = Receiver()
receiver.ontext = lambda text, flags: print(text)
Sender(Socket()).send('x', {'fin': False, 'mask': True})
print(module.ErrorCodes[1001], module.speedups, module.__version__)
