"""What type checkers must refuse: see test_typing.py. Behind each wrong line stands how they call what they find."""

from __future__ import annotations

import io
from typing import Union

import ws as module
from ws import ProxyAgent, ReconnectingWebSocket, WebSocket, WebSocketServer
from ws.typing import ClientInfo, MessageFlags, Request, ServerOptions

ws = WebSocket('ws://localhost:8080')
wss = WebSocketServer({'port': 8080})

# Options.
WebSocket()  # mypy: call-overload; pyright: reportCallIssue
WebSocket(8080)  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', 5)  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', {'orgin': 'x'})  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', {'origin': 5})  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', orgin='x')  # mypy: call-overload; pyright: reportCallIssue
WebSocket('ws://localhost', maxPayload='1 MiB')  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', perMessageDeflate={'level': 9})  # mypy: call-overload; pyright: reportArgumentType
ReconnectingWebSocket('ws://localhost', {'maxRetrys': 5})  # mypy: call-overload; pyright: reportArgumentType
ReconnectingWebSocket(5)  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', lookup='127.0.0.1')  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', family='4')  # mypy: call-overload; pyright: reportArgumentType
WebSocket('wss://localhost', context='ca.pem')  # mypy: call-overload; pyright: reportArgumentType
WebSocket('ws://localhost', skipUTF8Validation=True)  # mypy: call-overload; pyright: reportArgumentType
WebSocketServer({'port': 8080, 'WebSocket': dict})  # mypy: arg-type; pyright: reportArgumentType
WebSocketServer({'prot': 8080})  # mypy: arg-type; pyright: reportArgumentType
WebSocketServer({'port': 80.5})  # mypy: arg-type; pyright: reportArgumentType
WebSocketServer(prot=8080)  # mypy: call-arg; pyright: reportCallIssue
WebSocketServer(verifyClient=lambda: 5, path=5)  # mypy: arg-type; pyright: reportArgumentType
WebSocketServer({'port': 8080}, 5)  # mypy: arg-type; pyright: reportArgumentType
WebSocket.Server({'prot': 8080})  # mypy: arg-type; pyright: reportArgumentType
WebSocket.createServer(prot=8080)  # mypy: call-arg; pyright: reportCallIssue
ProxyAgent(5)  # mypy: arg-type; pyright: reportArgumentType
ProxyAgent('proxy', {'cA': b''})  # mypy: arg-type; pyright: reportArgumentType
ProxyAgent('proxy', context='x')  # mypy: arg-type; pyright: reportArgumentType
WebSocket.connect(5)  # mypy: arg-type; pyright: reportArgumentType
module.createServer({'port': 8080}, 'x')  # mypy: arg-type; pyright: reportArgumentType
options: ServerOptions = {'port': 8080, 'hots': 'x'}  # mypy: typeddict-unknown-key; pyright: reportAssignmentType


# Listeners.
def of_int(data: int) -> None: ...
def of_text(data: str) -> None: ...
def of_three(data: str, flags: MessageFlags, more: object) -> None: ...
def of_another_order(flags: MessageFlags, data: str) -> None: ...
def of_socket_by_another_name(ws: WebSocket, data: str) -> None: ...
def of_server(wss: WebSocketServer) -> None: ...


ws.on('mesage', of_text)  # mypy: call-overload; pyright: reportArgumentType
ws.on('upgrade', of_text)  # mypy: call-overload; pyright: reportArgumentType
ws.on('open', of_text)  # mypy: call-overload; pyright: reportArgumentType
ReconnectingWebSocket('ws://localhost').on('open', of_text)  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', 'of_text')  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', None)  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', of_int)  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', of_three)  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', of_another_order)  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', of_socket_by_another_name)  # mypy: call-overload; pyright: reportArgumentType
ws.on('message', lambda data, flags, more: None)  # mypy: nothing; pyright: reportArgumentType
ws.on('message', lambda data, flags: flags.bynary())  # mypy: nothing; pyright: reportOptionalCall
ws.once('ping', of_text)  # mypy: call-overload; pyright: reportArgumentType
ws.addListener('close', of_text)  # mypy: call-overload; pyright: reportArgumentType
ws.addListener('close')  # mypy: call-overload; pyright: reportCallIssue
ws.prependListener('error', of_text)  # mypy: call-overload; pyright: reportArgumentType
wss.on('connection', of_text)  # mypy: arg-type; pyright: reportArgumentType
wss.on('connection', of_server)  # mypy: arg-type; pyright: reportArgumentType
wss.on('connection/chat', of_server)  # mypy: arg-type; pyright: reportArgumentType
wss.once('headers', of_text)  # mypy: arg-type; pyright: reportArgumentType
wss.on('error', of_text)  # mypy: arg-type; pyright: reportArgumentType


@ws.on('message')  # mypy: type-var; pyright: reportArgumentType
def message(data: int) -> None: ...


@ws.once('open')  # mypy: type-var; pyright: reportArgumentType
def opened(data: str) -> None: ...


@wss.on('connection')  # mypy: type-var; pyright: reportArgumentType
def connection(request: Request) -> None: ...


ws.onmessage = 'x'  # mypy: assignment; pyright: reportAttributeAccessIssue
ws.onmessage = of_text  # mypy: assignment; pyright: reportAttributeAccessIssue
ws.addEventListener('message', of_text)  # mypy: call-overload; pyright: reportArgumentType

# Methods and attributes.
ws.send(object())  # mypy: arg-type; pyright: reportArgumentType
ws.send(['x'])  # mypy: arg-type; pyright: reportArgumentType
ws.send({'x': 1})  # mypy: arg-type; pyright: reportArgumentType
ws.send('x', {'binray': True})  # mypy: arg-type; pyright: reportArgumentType
ws.send('x', 5)  # mypy: arg-type; pyright: reportArgumentType
ws.send('x', of_int)  # mypy: arg-type; pyright: reportArgumentType
ws.send('x', compres=False)  # mypy: call-arg; pyright: reportCallIssue
ws.ping(io.BytesIO())  # mypy: arg-type; pyright: reportArgumentType
ws.stream(of_int)  # mypy: arg-type; pyright: reportArgumentType
ws.close('reason')  # mypy: arg-type; pyright: reportArgumentType
ws.binaryType = 'text'  # mypy: assignment; pyright: reportAttributeAccessIssue
ws.setMaxListeners('5')  # mypy: arg-type; pyright: reportArgumentType
ws.isPaused = True  # mypy: misc; pyright: reportAttributeAccessIssue
ws.readyState = 'open'  # mypy: assignment; pyright: reportAttributeAccessIssue
text: str = wss.address().port  # mypy: assignment; pyright: reportAssignmentType
code: int = ws.protocol  # mypy: assignment; pyright: reportAssignmentType


# Functions among the options.
def verify(info: ClientInfo, callback: Union[str, int]) -> bool:
    return bool(info.secure)


def choose(protocols: list[int]) -> str:
    return 'x'


WebSocketServer(port=0, verifyClient=verify)  # mypy: arg-type; pyright: reportArgumentType
WebSocketServer({'port': 0, 'handleProtocols': choose})  # mypy: arg-type; pyright: reportArgumentType
