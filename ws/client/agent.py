"""Agents: objects of the user's that connect in our place."""

from __future__ import annotations

import socket
from typing import Any, Optional
from weakref import WeakSet

from ..events import check_callable
from ..protocol.http import RequestParser
from ..protocol.url import Address
from ..typing import AgentOptions

# The sockets agents have returned. Only for the loop thread.
_claimed: WeakSet[socket.socket] = WeakSet()


def check_agent(agent: Any) -> None:
    """Raises TypeError for what is no agent."""
    if agent is None:
        return
    connect = getattr(agent, 'addRequest', agent)
    if not callable(connect):
        raise TypeError(f'agent must be callable, or have a method addRequest, not {type(agent).__name__}')
    check_callable(connect, 'agent')


def connect_by_agent(agent: Any, address: Address, request: bytes) -> socket.socket:
    """The connected socket that `agent` yields for `request`. Raises what that does, and TypeError for what is none."""
    options = AgentOptions(
        host=address.host, port=address.port, secure=address.secure, socketPath=address.socket_path, path=address.target
    )
    sock = getattr(agent, 'addRequest', agent)(RequestParser().feed(request), options)
    if not isinstance(sock, socket.socket):
        raise TypeError(f'agent must return a connected socket, not {type(sock).__name__}')
    return sock


def claim(sock: socket.socket) -> Optional[OSError]:
    """What is wrong with an agent's socket. It is closed then, unless it is another connection's."""
    if sock in _claimed:
        return OSError('agent must return another socket for each connection')
    try:
        sock.getpeername()
    except OSError as error:
        sock.close()
        return OSError(f'agent must return a connected socket: {error}')
    _claimed.add(sock)
    return None
