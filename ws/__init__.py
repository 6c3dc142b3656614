"""Node's ws for Python: a WebSocket client and server with callbacks, on a thread of their own."""

import logging

from . import timers
from ._native import native
from .client.proxy_agent import ProxyAgent
from .connection import CLOSED, CLOSING, CONNECTING, OPEN
from .duplex import createWebSocketStream
from .errors import HandshakeError, NotOpenError, ProtocolError, ProxyError, WebSocketError
from .events import EventEmitter
from .net.lifetime import wait
from .protocol.error_codes import ErrorCodes
from .protocol.receiver import Receiver
from .reconnecting_websocket import ReconnectingWebSocket
from .sender import Sender
from .text_stream import WebSocketTextStream
from .websocket import WebSocket, connect
from .websocket_server import WebSocketServer, createServer
from .websocket_stream import WebSocketMessageStream, WebSocketStream

__version__ = '1.0.0'

Server = WebSocketServer
createConnection = connect

#: Whether the C accelerator is in use: it was built, and the environment variable WS_NO_SPEEDUPS is not set.
speedups: bool = native is not None

__all__ = [
    'CLOSED',
    'CLOSING',
    'CONNECTING',
    'OPEN',
    'ErrorCodes',
    'EventEmitter',
    'HandshakeError',
    'NotOpenError',
    'ProtocolError',
    'ProxyAgent',
    'ProxyError',
    'Receiver',
    'ReconnectingWebSocket',
    'Sender',
    'Server',
    'WebSocket',
    'WebSocketError',
    'WebSocketMessageStream',
    'WebSocketServer',
    'WebSocketStream',
    'WebSocketTextStream',
    'connect',
    'createConnection',
    'createServer',
    'createWebSocketStream',
    'timers',
    'wait',
]

# In Node, the module is the class: `var WebSocket = require('ws')`, then `WebSocket.Server`.
WebSocket.Server = Server
WebSocket.Receiver = Receiver
WebSocket.Sender = Sender
WebSocket.ErrorCodes = ErrorCodes
WebSocket.createServer = staticmethod(createServer)  # type: ignore[method-assign]
WebSocket.createWebSocketStream = staticmethod(createWebSocketStream)
WebSocket.connect = WebSocket.createConnection = staticmethod(connect)  # type: ignore[method-assign]

# A library prints nothing that it was not asked for: without a handler, logging would write warnings to stderr.
logging.getLogger('ws').addHandler(logging.NullHandler())
