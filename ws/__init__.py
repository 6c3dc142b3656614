"""Node's ws for Python: a WebSocket client and server with callbacks, on a thread of their own."""

import logging

from .errors import HandshakeError, NotOpenError, ProtocolError, WebSocketError
from .events import EventEmitter
from .websocket import WebSocket
from .websocket_server import WebSocketServer

__all__ = [
    'EventEmitter',
    'HandshakeError',
    'NotOpenError',
    'ProtocolError',
    'WebSocket',
    'WebSocketError',
    'WebSocketServer',
]

# A library prints nothing that it was not asked for: without a handler, logging would write warnings to stderr.
logging.getLogger('ws').addHandler(logging.NullHandler())
